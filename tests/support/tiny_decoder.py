"""The architecture of decoders that are small enough to compile in a test."""

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
    """Grouped queries and two layers; `fields` sets what a test needs otherwise."""
    return DecoderConfig(**_FIELDS | fields)
