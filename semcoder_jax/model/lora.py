"""Implements LoRA: small trained matrices beside a frozen base, which may be quantized.

Sources: Hu et al., LoRA (2022): W + alpha/rank · a b, a random, b zero at the start. Dettmers et
al., QLoRA (2023): the base in 4 bits, computed with in bfloat16. Kalajdzievski, rank-stabilized
LoRA (2023): alpha/sqrt(rank).

An adapted weight is a leaf that takes the array's place in its nnx.Param, as a quantized one does,
so that the decoder's modules stay as they are; adapters, being stacked and scanned like their
weights, are trained by the ordinary step as `TrainState.params` with the base in `frozen`.
qwix and NNX's own LoRA were considered: qwix intercepts flax layers and NNX wraps them, one module
a weight; this decoder has neither, its products are of stacked parameters.

A base that is not float32 is held on the devices as it is stored, all parameters but the layers'
matrices in bfloat16, and a layer's weights are dequantized inside the scan over layers, forward
and again backward: no more than one layer of them exists.

No dropout of the adapters' input (PEFT's `lora_dropout`).
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict

from semcoder_jax.config import QUANTIZED_BASES, LoRAConfig
from semcoder_jax.model.nf4 import NF4Weight, quantize_nf4
from semcoder_jax.model.parameters import PARAMETERS, parameter_at
from semcoder_jax.model.quantization import QuantizedWeight, quantize_weight

# The weights that may be adapted, by PEFT's names.
TARGETS = {parameter.target: parameter for parameter in PARAMETERS if parameter.target}


@struct.dataclass
class LoRAWeight:
    """Represents base + scaling · a b; it replaces the weight in its nnx.Param.

    Attributes:
      base: an array, QuantizedWeight or NF4Weight of the weight's shape (L in front if stacked).
      a: float32 [*axes the product sums over, rank], likewise.
      b: float32 [rank, *the weight's other axes].
    """

    base: jax.Array | QuantizedWeight | NF4Weight
    a: jax.Array
    b: jax.Array
    scaling: float = struct.field(pytree_node=False)


def initial_adapters(lora: LoRAConfig, frozen: dict, seed: int) -> dict:
    """Returns new adapters (plain dicts) over the base `frozen` (arrays or shapes).

    a is uniform within ±1/sqrt(inputs), as in LoRA's code and PEFT; b is zero, so the adapters have
    no effect yet.
    """
    weights, adapters = flatten_dict(frozen), {}
    for number, (target, parameter) in enumerate(TARGETS.items()):
        if target not in lora.targets:
            continue
        sizes = dict(zip(parameter.axes, weights[parameter.path].shape, strict=True))
        sizes["R"] = lora.rank
        bound = 1 / math.sqrt(math.prod(sizes[axis] for axis in parameter.contracted))
        key = jax.random.fold_in(jax.random.key(seed), number)
        a_name, b_name = parameter.adapter
        a_shape, b_shape = (
            tuple(sizes[axis] for axis in axes) for axes in parameter.adapter.values()
        )
        adapters[parameter.path] = {
            a_name: jax.random.uniform(key, a_shape, minval=-1, maxval=1) * bound,
            b_name: jnp.zeros(b_shape),
        }
    return unflatten_dict(adapters)


def freeze_leaf(lora: LoRAConfig, path: tuple[str, ...], weight: jax.Array):
    """Casts or quantizes the parameter at `path` for the base, one layer at a time."""
    if lora.base not in QUANTIZED_BASES:
        return weight.astype(lora.base)
    parameter = parameter_at(path)
    if not parameter.is_layer_matrix:
        return weight.astype(jnp.bfloat16)
    quantize = {"int8": quantize_weight, "nf4": quantize_nf4}[lora.base]
    summed = parameter.positions(parameter.contracted, within=parameter.layer_axes)
    return jax.lax.map(functools.partial(quantize, summed=summed), weight)


def freeze(lora: LoRAConfig, params: dict) -> dict:
    """Casts or quantizes all parameters (plain dicts) for the base.

    Raises ValueError if they do not fit its blocks.
    """
    flat = flatten_dict(params)
    return unflatten_dict({path: freeze_leaf(lora, path, flat[path]) for path in flat})


def attach_adapters(lora: LoRAConfig, adapters: dict, frozen: dict) -> dict:
    """Returns the parameters in `frozen` (plain dicts), with a LoRAWeight for each adapted one."""
    weights, arrays = flatten_dict(frozen), flatten_dict(adapters)
    for target, parameter in TARGETS.items():
        if target in lora.targets:
            a, b = (arrays[*parameter.path, name] for name in parameter.adapter)
            weights[parameter.path] = LoRAWeight(weights[parameter.path], a, b, lora.scaling)
    return unflatten_dict(weights)


def merge_leaf(path: tuple[str, ...], weight, dtype: str) -> jax.Array:
    """Merges a parameter of `attach_adapters` into one array: dequantized base + scaling · a b."""
    if isinstance(weight, jax.Array):
        return weight.astype(dtype)
    num_summed = len(parameter_at(path).contracted)
    return jax.lax.map(lambda layer: _dense(layer, num_summed).astype(dtype), weight)


def _dense(weight, num_summed: int) -> jax.Array:
    """Returns a layer's weight of any type in float32; the first `num_summed` axes are inputs."""
    if isinstance(weight, LoRAWeight):
        change = jnp.tensordot(weight.a, weight.b, 1, precision="highest")
        return _dense(weight.base, num_summed) + weight.scaling * change
    if isinstance(weight, NF4Weight):
        return weight.dequantize(jnp.float32)
    if isinstance(weight, QuantizedWeight):
        return weight.int8 * jnp.expand_dims(weight.scale, tuple(range(num_summed)))
    return weight.astype(jnp.float32)
