"""Computes rotary position embedding with linear scaling, in Hugging Face's half-rotation layout.

Source: Su et al., RoFormer (2021); Chen et al., Position Interpolation (2023) for the scaling.
"""

import jax
import jax.numpy as jnp
import numpy as np


def rope_angles(
    positions_BxT: jax.Array, head_dim: int, theta: float, scaling_factor: float
) -> tuple[jax.Array, jax.Array]:
    """Returns cosines and sines for integer positions, each float32 [B, T, K/2].

    DeepSeekCoder divides every frequency by 4 (`scaling_factor`), so that position 4p turns as
    far as p did before scaling.

    Frequencies are constants, rounded to float32 where PyTorch rounds them: one unit in the last
    place (a device's own power makes several) is 2e-4 radians at position 16,000.
    """
    exponents_K2 = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    powers_K2 = np.power(theta, exponents_K2.astype(np.float64)).astype(np.float32)
    inverse_frequencies = np.float32(1) / powers_K2 / np.float32(scaling_factor)
    angles_BxTxK2 = positions_BxT[..., None].astype(jnp.float32) * inverse_frequencies
    return jnp.cos(angles_BxTxK2), jnp.sin(angles_BxTxK2)


def apply_rope(x_BxTxHxK: jax.Array, cos_BxTxK2: jax.Array, sin_BxTxK2: jax.Array) -> jax.Array:
    """Rotates each head by its position in float32; returns the dtype of `x`."""
    first, second = jnp.split(x_BxTxHxK.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos_BxTxK2[:, :, None, :], sin_BxTxK2[:, :, None, :]
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_BxTxHxK.dtype)
