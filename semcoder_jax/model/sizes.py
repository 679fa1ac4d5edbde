"""The DeepSeekCoder family's architectures, for planning and for tests without a checkpoint.

Sizes: Guo et al., DeepSeek-Coder (2024), Table 2; the rest, common to the family, from the
release's config.json of 6.7b. Reading a real checkpoint uses its own config.json, not these.
"""

import dataclasses

from semcoder_jax.model.decoder import DecoderConfig

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
