"""Imports and exports Hugging Face models, tokenizers and configs exactly.

Hugging Face names and layouts exist only here. Commands: `python -m semcoder_jax.hf --help`.
"""

from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import decoder_config, read_config
from semcoder_jax.hf.directory import export, load, write_model_directory
from semcoder_jax.hf.generation import read_end_tokens
from semcoder_jax.hf.layout import parameter_count
from semcoder_jax.hf.tokenizer import read_tokenizer, tokenizer_size

__all__ = [
    "HFError",
    "decoder_config",
    "export",
    "load",
    "parameter_count",
    "read_config",
    "read_end_tokens",
    "read_tokenizer",
    "tokenizer_size",
    "write_model_directory",
]
