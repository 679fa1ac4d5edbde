"""The DeepSeekCoder family's architectures, for planning and for tests without a checkpoint.

Sizes: Guo et al., DeepSeek-Coder (2024), Table 2; the rest, common to the family, from the
release's config.json of 6.7b. Reading a real checkpoint uses its own config.json, not these.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Architecture of a DeepSeekCoder-shaped decoder: everything that an HF config.json decides.

    ``rope_scaling_factor`` is the linear (position interpolation) factor, 1.0 for none.
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
