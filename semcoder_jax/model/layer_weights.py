"""Gives each layer's weights as arrays of their own, for decoding on a CPU.

Training keeps a weight of all layers in one stacked array, over which the decoder scans. XLA on a
CPU copies a layer's part out of the stack before each product, which takes longer than the product
of a few rows. An array of its own is read where it lies. Integers stay stacked: they are written
once in any case, as the floats that the product takes.
"""

import jax
import numpy as np
from flax import nnx, struct
from flax.traverse_util import flatten_dict, unflatten_dict

from semcoder_jax.model.lora import LoRAWeight
from semcoder_jax.model.parameters import parameter_at


@struct.dataclass
class SeparateLayers:
    """Holds a weight of every layer; it replaces the stacked weight in its nnx.Param.

    Attributes:
      layers: by layer, what the stack would hold of it: an array or a LoRAWeight.
    """

    layers: tuple


@struct.dataclass
class ChosenLayer:
    """Holds a weight of every layer and which of them is meant.

    Attributes:
      layers: as in SeparateLayers.
      index: int32 scalar.
    """

    layers: tuple
    index: jax.Array


def separate_layers(params: nnx.State | dict) -> nnx.State | dict:
    """Returns the decoder's parameters with the matrices of each layer as arrays of their own.

    They lie in the memory of the stacked arrays (a layer that is no multiple of 64 bytes is
    copied), which cannot be donated to a program as long as they live. Returns `params` itself
    unless each of its arrays lies whole on one CPU of this process, in a dtype of NumPy.
    """
    if not all(_has_view(leaf) for leaf in jax.tree.leaves(params)):
        return params
    if isinstance(params, dict):
        leaves = flatten_dict(params)
        return unflatten_dict({path: _separated(path, leaves[path]) for path in leaves})
    return nnx.State.from_flat_path(
        {
            path: leaf.replace(_separated(path, leaf.get_value()))
            for path, leaf in params.flat_state()
        }
    )


def split_off(params: nnx.State) -> tuple[nnx.State, dict[tuple, nnx.Param]]:
    """Returns the stacked parameters of the layers, and the separate ones by path."""
    leaves = dict(params.flat_state())
    separate = {
        path: leaves.pop(path)
        for path, param in list(leaves.items())
        if isinstance(param.get_value(), SeparateLayers)
    }
    return nnx.State.from_flat_path(leaves), separate


def join(params: nnx.State, separate: dict[tuple, nnx.Param], index: jax.Array) -> nnx.State:
    """Returns the parameters of the layer `index`, of which `params` are those of the stack."""
    leaves = dict(params.flat_state())
    for path, param in separate.items():
        leaves[path] = param.replace(ChosenLayer(param.get_value().layers, index))
    return nnx.State.from_flat_path(leaves)


def _separated(path: tuple, value):
    """Returns SeparateLayers for a matrix of floats, with or without an adapter; else `value`."""
    base = value.base if isinstance(value, LoRAWeight) else value
    if path[0] != "layers" or not parameter_at(path).is_matrix or not isinstance(base, jax.Array):
        return value
    leaves, tree = jax.tree.flatten(value)
    layers = zip(*map(_layers_of, leaves), strict=True)
    return SeparateLayers(tuple(map(tree.unflatten, layers)))


def _has_view(leaf: jax.Array) -> bool:
    """Returns whether NumPy can view the array: its own dtypes have no bfloat16."""
    [device, *others] = leaf.sharding.device_set
    is_whole = leaf.is_fully_addressable and not others
    return is_whole and device.platform == "cpu" and leaf.dtype.isbuiltin == 1


def _layers_of(stacked: jax.Array) -> list[jax.Array]:
    [device] = stacked.sharding.device_set
    host = np.from_dlpack(stacked)
    return jax.device_put([host[layer] for layer in range(len(host))], device, may_alias=True)
