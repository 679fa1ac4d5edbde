"""An OpenAI-compatible endpoint over the engine: `python -m semcoder_jax.serve --help`.

`protocol` reads requests and writes answers, `engine_thread` runs the engine beside the event
loop, `app` is the web application, `prometheus` the metrics.
"""
