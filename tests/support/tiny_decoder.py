"""Defines a decoder architecture that is small enough to compile in a test."""

from semcoder_jax.model.decoder import DecoderConfig

_FIELDS = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 96,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 8,
    "max_positions": 64,
}


def tiny_decoder(**fields) -> DecoderConfig:
    """Makes a config with grouped queries and two layers; `fields` replace its values."""
    return DecoderConfig(**_FIELDS | fields)
