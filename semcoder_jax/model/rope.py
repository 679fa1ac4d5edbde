"""Computes rotary position embedding in Hugging Face's half-rotation layout, plain or scaled.

Source: Su et al., RoFormer (2021); Chen et al., Position Interpolation (2023) for linear scaling;
Grattafiori et al., The Llama 3 Herd of Models (2024), and transformers for Llama 3's.
"""

import jax
import jax.numpy as jnp
import numpy as np

from semcoder_jax.config import DecoderConfig


def rope_angles(
    positions_BxT: jax.Array, frequencies_K2: np.ndarray
) -> tuple[jax.Array, jax.Array]:
    """Returns cosines and sines for integer positions, each float32 [B, T, K/2]."""
    angles_BxTxK2 = positions_BxT[..., None].astype(jnp.float32) * frequencies_K2
    return jnp.cos(angles_BxTxK2), jnp.sin(angles_BxTxK2)


def rope_frequencies(config: DecoderConfig) -> np.ndarray:
    """Returns the radians that each pair of features turns from a position to the next, float32.

    DeepSeekCoder divides every frequency by 4 (`rope_scaling_factor`), so that position 4p turns
    as far as p did before scaling. Llama 3 divides only slow ones: see `_scale_slow`.

    Frequencies are constants, rounded to float32 where PyTorch rounds them: one unit in the last
    place (a device's own power makes several) is 2e-4 radians at position 16,000.
    """
    size = config.head_dim
    exponents_K2 = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    powers_K2 = np.power(config.rope_theta, exponents_K2.astype(np.float64)).astype(np.float32)
    frequencies_K2 = np.float32(1) / powers_K2
    if config.rope_original_positions:
        return _scale_slow(frequencies_K2, config)
    return frequencies_K2 / np.float32(config.rope_scaling_factor)


def _scale_slow(frequencies_K2: np.ndarray, config: DecoderConfig) -> np.ndarray:
    """Scales as Llama 3.1: by the full turns that a pair makes in the original context.

    Below `rope_low_turns` turns the frequency is divided by the factor, above `rope_high_turns` it
    stays, and between them the two are mixed.
    """
    divided_K2 = frequencies_K2 / np.float32(config.rope_scaling_factor)
    wavelengths_K2 = np.float32(2 * np.pi) / frequencies_K2
    turns_K2 = np.float32(config.rope_original_positions) / wavelengths_K2
    low, high = np.float32(config.rope_low_turns), np.float32(config.rope_high_turns)
    share_K2 = np.clip((turns_K2 - low) / (high - low), 0, 1)
    return (1 - share_K2) * divided_K2 + share_K2 * frequencies_K2


def apply_rope(x_BxTxHxK: jax.Array, cos_BxTxK2: jax.Array, sin_BxTxK2: jax.Array) -> jax.Array:
    """Rotates each head by its position in float32; returns the dtype of `x`."""
    first, second = jnp.split(x_BxTxHxK.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos_BxTxK2[:, :, None, :], sin_BxTxK2[:, :, None, :]
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_BxTxHxK.dtype)
