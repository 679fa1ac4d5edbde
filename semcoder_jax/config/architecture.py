"""Defines the DeepSeekCoder family's architectures, for planning and tests without a checkpoint.

Sizes: Guo et al., DeepSeek-Coder (2024), Table 2; the rest, common to the family, from the
release's config.json of 6.7b. Reading a real checkpoint uses its own config.json, not these.
"""

import dataclasses
from collections.abc import Mapping

from semcoder_jax.config.fields import parse_section
from semcoder_jax.config.sections import ConfigError


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Architecture of a DeepSeekCoder-shaped decoder: all that an HF config.json determines.

    `rope_scaling_factor` is the linear (position interpolation) factor, 1.0 for none.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    rope_theta: float = 100_000.0
    rope_scaling_factor: float = 1.0
    rms_norm_eps: float = 1e-6
    tie_embeddings: bool = False
    initializer_range: float = 0.02

    def __post_init__(self):
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_kv_heads={self.num_kv_heads} must divide num_heads={self.num_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} must be even for rotary embedding")


_6_7B = DecoderConfig(
    vocab_size=32_256,
    hidden_size=4_096,
    intermediate_size=11_008,
    num_layers=32,
    num_heads=32,
    num_kv_heads=32,
    head_dim=128,
    max_positions=16_384,
    rope_theta=100_000.0,
    rope_scaling_factor=4.0,
    rms_norm_eps=1e-6,
    tie_embeddings=False,
)
MODELS = {
    "1.3b": dataclasses.replace(
        _6_7B,
        hidden_size=2_048,
        intermediate_size=5_504,
        num_layers=24,
        num_heads=16,
        num_kv_heads=16,
    ),
    "6.7b": _6_7B,
    "33b": dataclasses.replace(
        _6_7B,
        hidden_size=7_168,
        intermediate_size=19_200,
        num_layers=62,
        num_heads=56,
        num_kv_heads=8,
    ),
}


def build_decoder_config(model: Mapping, *, vocab_size: int, sequence_length: int) -> DecoderConfig:
    """Builds the architecture from the fields of the `model` section.

    `vocab_size` (the tokenizer's) and `sequence_length` replace missing fields. Raises ConfigError.
    """
    fields = {name: value for name, value in model.items() if name != "init_from"}
    if name := fields.pop("architecture", None):
        fields = dataclasses.asdict(MODELS[name]) | fields
    fields.setdefault("vocab_size", vocab_size)
    if fields["vocab_size"] < vocab_size:
        raise ConfigError(
            f"config: model.vocab_size {fields['vocab_size']} is below the tokenizer's {vocab_size}"
        )
    heads = fields.get("num_heads") or 1
    fields.setdefault("num_kv_heads", heads)
    if "hidden_size" in fields:
        fields.setdefault("head_dim", fields["hidden_size"] // heads)
    fields.setdefault("max_positions", sequence_length)
    return parse_section(DecoderConfig, fields, "model")
