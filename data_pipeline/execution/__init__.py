"""Running untrusted Python: isolated processes, tagged results, verdicts decided outside.

`service`   the `Sandbox`, its jobs and limits: start here
`outcomes`  what a run comes to; `oracles` hold it against what was expected, outside the sandbox
`tiers`     how isolated a worker is, and how it is started
`worker`, `jobs`, `proxies`, `determinism`, `seccomp`, `landlock`: inside the sandbox, standard
library only

From a shell: `python -m data_pipeline.execution --program=FILE.py --call='f(3)'`.
"""
