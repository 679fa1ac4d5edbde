"""Quantizes weights to 8-bit integers with one scale per output channel, for inference.

A decoding step reads every weight once, so its time and the memory it needs follow the bytes of
the weights. The integers enter the product as they are (cast to the activations' dtype inside it:
-127 … 127 are exact in bfloat16) and the scale multiplies the product, where it is a factor of
each output channel; no dequantized weight is ever stored.

Rounding is to nearest with a symmetric range, per channel: Jacob et al. (2018), section 2;
Dettmers et al., LLM.int8() (2022), section 2.1, "vector-wise". Activations are not quantized.
`qwix` offers the same scheme by intercepting flax layers; the decoder has none (its products
are of stacked parameters), so that a leaf of the parameter tree is replaced instead.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx, struct

from semcoder_jax.model.parameters import parameter_at

LARGEST = 127


@struct.dataclass
class QuantizedWeight:
    """Holds a weight as integers; it replaces the array in its nnx.Param.

    Attributes:
      int8: int8, the weight's own shape (with L in front where layers are stacked).
      scale: float32, the same axes without the summed ones; weight ≈ int8 · scale.
    """

    int8: jax.Array
    scale: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.int8.shape


def quantize_weight(weight: jax.Array, summed: tuple[int, ...]) -> QuantizedWeight:
    """Quantizes `weight` with one scale for each index of the axes that are not in `summed`."""
    weight = weight.astype(jnp.float32)
    largest = jnp.max(jnp.abs(weight), axis=summed, keepdims=True)
    scale = jnp.where(largest > 0, largest / LARGEST, 1.0)
    int8 = jnp.round(weight / scale).astype(jnp.int8)
    return QuantizedWeight(int8, jnp.squeeze(scale, summed))


def quantize_params(params: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
    """Quantizes the decoder's parameters except the norms; skips weights quantized before.

    Quantizes one leaf at a time on its own device, then moves it to its sharding in `shardings` (a
    tree like `abstract_quantized(params)`; None: does not move it).
    """
    places = dict(shardings.flat_state()) if shardings else {}
    leaves = {}
    for path, param in params.flat_state():
        value, parameter = param.get_value(), parameter_at(path)
        if parameter.is_matrix and not isinstance(value, QuantizedWeight):
            # The embedding is looked up by row and, where it is tied, multiplied along D: one
            # scale a token serves both.
            value = _quantize(value, parameter.positions(parameter.contracted))
        leaves[path] = param.replace(value)
        if places:
            leaves[path] = jax.device_put(leaves[path], places[path])
    return nnx.State.from_flat_path(leaves)


def abstract_quantized(params: nnx.State) -> nnx.State:
    """Returns the result of `quantize_params` as ShapeDtypeStructs."""
    return jax.eval_shape(quantize_params, params)


def weight_bytes(params: nnx.State) -> int:
    """Returns the bytes of the parameters on all devices together, without replicas."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


@functools.partial(jax.jit, static_argnames="summed")
def _quantize(weight: jax.Array, summed: tuple[int, ...]) -> QuantizedWeight:
    return quantize_weight(weight, summed)
