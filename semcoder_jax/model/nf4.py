"""Stores weights as 4-bit NormalFloat (NF4), the format of a frozen base in QLoRA.

Source: Dettmers et al., QLoRA (2023): the 16 levels (appendix E) are the quantiles of a normal
distribution with zero among them, scaled to [-1, 1]; 64 weights in a row share their largest
magnitude as scale; the scales are quantized once more (section 3, "double quantization"), here to
8 bits with one float32 for each output channel, 4.13 bits a weight in all as in the paper (which
takes 8-bit floats in groups of 256 less their mean).

A block runs along the axis that a product sums over, as it does in bitsandbytes, where it is 64
neighbours in the rows of PyTorch's [out, in]: the same weights get the same 4-bit codes.

Written here because bitsandbytes packs PyTorch tensors alone, and qwix, which knows NF4 on JAX,
quantizes by intercepting layers of flax that this decoder does not have (see lora.py).
"""

import itertools
import math

import jax
import jax.numpy as jnp
from flax import struct

BLOCK_SIZE = 64
LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_LARGEST = 255  # of a block's scale


@struct.dataclass
class NF4Weight:
    """Holds a weight as 4-bit codes; it replaces the array in its nnx.Param.

    The weight's axes, L in front where layers are stacked; blocks of `block_size` lie on `axis`
    (counted from the end). weight ≈ LEVELS[code] · block_scale · channel_scale.

    Attributes:
      codes: uint8, `axis` half as long; a block's first half in the low four bits, its second
        in the high ones, so that they are unpacked without interleaving.
      block_scale: uint8, `axis` shorter by `block_size`.
      channel_scale: float32, 1 at each axis the product sums over.
    """

    codes: jax.Array
    block_scale: jax.Array
    channel_scale: jax.Array
    axis: int = struct.field(pytree_node=False)

    @property
    def shape(self) -> tuple[int, ...]:
        shape = list(self.codes.shape)
        shape[self.axis] *= 2
        return tuple(shape)

    @property
    def block_size(self) -> int:
        return self.shape[self.axis] // self.block_scale.shape[self.axis]

    def dequantize(self, dtype) -> jax.Array:
        """Returns the weight as `dtype`, computed in float32."""
        axis = self.axis + self.codes.ndim
        blocks = _split(self.codes, axis, self.block_size // 2)
        levels = jnp.concatenate([_levels(blocks & 15), _levels(blocks >> 4)], axis=axis + 1)
        scale = self.block_scale.astype(jnp.float32) * self.channel_scale
        return (levels * jnp.expand_dims(scale, axis + 1)).astype(dtype).reshape(self.shape)


def quantize_nf4(weight: jax.Array, summed: tuple[int, ...]) -> NF4Weight:
    """Quantizes `weight` in blocks along the last of the axes `summed` that its product sums over.

    Blocks are shorter if BLOCK_SIZE does not divide that axis. Raises ValueError if the axis is
    odd, because codes are stored in pairs.
    """
    weight = weight.astype(jnp.float32)
    axis = summed[-1]
    block_size = math.gcd(BLOCK_SIZE, weight.shape[axis])
    if block_size % 2:
        raise ValueError(f"nf4: an axis of {weight.shape[axis]} weights, expected an even number")
    blocks = _split(weight, axis, block_size)
    largest = jnp.max(jnp.abs(blocks), axis=axis + 1, keepdims=True)
    normed = blocks / jnp.where(largest > 0, largest, 1.0)
    codes = jnp.zeros(blocks.shape, jnp.uint8)
    for low, high in itertools.pairwise(LEVELS):
        codes += (normed > (low + high) / 2).astype(jnp.uint8)
    low, high = jnp.split(codes, 2, axis=axis + 1)
    packed_shape = list(weight.shape)
    packed_shape[axis] //= 2

    largest = jnp.squeeze(largest, axis + 1)
    channel_scale = jnp.max(largest, axis=summed, keepdims=True) / _LARGEST
    channel_scale = jnp.where(channel_scale > 0, channel_scale, 1.0)
    block_scale = jnp.round(largest / channel_scale).astype(jnp.uint8)
    packed = (low | high << 4).reshape(packed_shape)
    return NF4Weight(packed, block_scale, channel_scale, axis - weight.ndim)


def _split(array: jax.Array, axis: int, size: int) -> jax.Array:
    """Splits `axis` in two: blocks, and `size` entries within each."""
    shape = array.shape
    return array.reshape(*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :])


def _levels(codes: jax.Array) -> jax.Array:
    """Returns LEVELS[codes] by 15 selections, four deep.

    Selections fuse with the next operation; a TPU would gather single elements one by one.
    """
    values = [jnp.float32(level) for level in LEVELS]
    for bit in range(4):
        is_set = (codes >> bit & 1).astype(bool)
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [jnp.where(is_set, high, low) for low, high in pairs]
    return values[0]
