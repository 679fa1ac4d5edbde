"""Turns programs into training batches: PyX records, prompts, execution, tracing, grain input.

No module here imports JAX; only `data_pipeline.tokens.batches` loads it, through grain.
"""
