"""Programs in, training batches out: PyX records, prompts, execution, tracing, grain input.

Nothing here imports JAX (grain, imported by `data_pipeline.tokens.batches` alone, brings it
along).
"""
