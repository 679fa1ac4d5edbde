"""Turns programs into training batches: PyX records, prompts, execution, tracing, grain input.

No module here imports JAX; only `data_pipeline.tokens.batches` loads it, through grain.
"""

import os

# On import, transformers warns of a missing PyTorch; its tokenizers, all that is used, need none.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
