"""A local page that shows a run beside the words about it: `semcoder demo --help`.

`requests` reads what the page asks, `runs` runs the user's programs in the sandbox, `authors` write
(a model, or the narrator without one), `telling` marks a monologue as it comes, `repairing` writes
and repairs code and runs its tests, `app` is the web application, and `run` starts it.
"""
