"""Defines a decoder's architecture, and named ones for planning and tests without a checkpoint.

DeepSeekCoder's sizes: Guo et al., DeepSeek-Coder (2024), Table 2; the rest, common to the family,
from the release's config.json of 6.7b. The others: their published config.json. Reading a real
checkpoint uses its own config.json, not these.
"""

import dataclasses
import math
from collections.abc import Mapping

from semcoder_jax.config.fields import parse_section
from semcoder_jax.config.sections import ConfigError


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Architecture of a Llama-shaped decoder: all that an HF config.json determines.

    `rope_scaling_factor` is the linear (position interpolation) factor, 1.0 for none; with
    `rope_original_positions` above 0 it is Llama 3's, which spares pairs that make more than
    `rope_high_turns` turns in so many positions, and scales fully those below `rope_low_turns`.
    `qkv_bias`: queries, keys and values have a bias, as in Qwen2.
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
    rope_original_positions: int = 0
    rope_low_turns: float = 1.0
    rope_high_turns: float = 4.0
    qkv_bias: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "rope_original_positions":
                is_right, expected = value >= 0, "0 or more"
            elif field.type is int:
                is_right, expected = value >= 1, "at least 1"
            elif field.type is float:
                is_right, expected = 0 < value < math.inf, "a positive number"
            else:
                continue
            if not is_right:
                raise ValueError(f"{field.name} is {value}, expected {expected}")
        if self.rope_original_positions and not self.rope_low_turns < self.rope_high_turns:
            raise ValueError(
                f"rope_low_turns={self.rope_low_turns} must be below "
                f"rope_high_turns={self.rope_high_turns}"
            )
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
_LLAMA_3_1_8B = DecoderConfig(
    vocab_size=128_256,
    hidden_size=4_096,
    intermediate_size=14_336,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    max_positions=131_072,
    rope_theta=500_000.0,
    rope_scaling_factor=8.0,
    rope_original_positions=8_192,
    rms_norm_eps=1e-5,
)
_QWEN_7B = DecoderConfig(
    vocab_size=152_064,
    hidden_size=3_584,
    intermediate_size=18_944,
    num_layers=28,
    num_heads=28,
    num_kv_heads=4,
    head_dim=128,
    max_positions=32_768,
    rope_theta=1_000_000.0,
    qkv_bias=True,
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
    "deepseek-coder-7b-v1.5": dataclasses.replace(
        _6_7B,
        vocab_size=102_400,
        num_layers=30,
        max_positions=4_096,
        rope_theta=10_000.0,
        rope_scaling_factor=1.0,
    ),
    "codellama-7b": dataclasses.replace(
        _6_7B,
        vocab_size=32_016,
        rope_theta=1_000_000.0,
        rope_scaling_factor=1.0,
        rms_norm_eps=1e-5,
    ),
    "llama-3.1-8b": _LLAMA_3_1_8B,
    "llama-3.2-1b": dataclasses.replace(
        _LLAMA_3_1_8B,
        hidden_size=2_048,
        intermediate_size=8_192,
        num_layers=16,
        head_dim=64,
        rope_scaling_factor=32.0,
        tie_embeddings=True,
    ),
    "qwen2.5-coder-0.5b": dataclasses.replace(
        _QWEN_7B,
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4_864,
        num_layers=24,
        num_heads=14,
        num_kv_heads=2,
        head_dim=64,
        tie_embeddings=True,
    ),
    "qwen2.5-coder-1.5b": dataclasses.replace(
        _QWEN_7B,
        vocab_size=151_936,
        hidden_size=1_536,
        intermediate_size=8_960,
        num_heads=12,
        num_kv_heads=2,
        tie_embeddings=True,
    ),
    "qwen2.5-coder-7b": _QWEN_7B,
}


def build_decoder_config(model: Mapping, *, vocab_size: int, sequence_length: int) -> DecoderConfig:
    """Builds the architecture from the fields of the `model` section.

    `vocab_size` (the tokenizer's) and `sequence_length` replace missing fields. Raises ConfigError.
    """
    fields = {name: value for name, value in model.items() if name != "init_from"}
    if name := fields.pop("architecture", None):
        fields = vars(MODELS[name]) | fields
    fields.setdefault("vocab_size", vocab_size)
    if fields["vocab_size"] < vocab_size:
        raise ConfigError(
            f"config: model.vocab_size {fields['vocab_size']} is below the tokenizer's {vocab_size}"
        )
    heads = fields.get("num_heads") or 1
    fields.setdefault("num_kv_heads", heads)
    if "hidden_size" in fields and "head_dim" not in fields:
        hidden = fields["hidden_size"]
        if isinstance(hidden, int) and isinstance(heads, int) and hidden % heads:
            raise ConfigError(
                f"config: model.hidden_size {hidden} is no multiple of num_heads {heads}, and "
                f"model.head_dim is not given"
            )
        fields["head_dim"] = hidden // heads
    fields.setdefault("max_positions", sequence_length)
    return parse_section(DecoderConfig, fields, "model")
