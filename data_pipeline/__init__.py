"""Turns programs into training batches: execution, tracing, PyX records, prompts, grain input.

Nothing here imports JAX, except that `data_pipeline.tokens.batches` imports grain, which does.
"""
