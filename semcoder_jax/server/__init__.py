"""An OpenAI-compatible endpoint over the engine: `python -m semcoder_jax.serve --help`.

`protocol` parses requests, `responses` builds answers, `engine_thread` runs the engine beside the
event loop, `app` is the web application, and `prometheus` exports metrics.
"""
