"""Converts between the axes of a Hugging Face tensor and of its parameter.

A Hugging Face linear weight is [out, in] with heads and head size merged, one tensor a layer;
a parameter here is [in, out] with heads apart, all layers stacked. model/parameters maps
tensors to parameters. `sizes` is the length of each axis (parameters.axis_sizes).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.parameters import DecoderParameter, axis_sizes, parameters_of


def tensor_shape(parameter: DecoderParameter, sizes: dict[str, int]) -> tuple[int, ...]:
    """Returns the shape of (one layer's) tensor."""
    return tuple(math.prod(sizes[axis] for axis in merged) for merged in parameter.tensor_axes)


def to_parameter(
    parameter: DecoderParameter, tensor: np.ndarray, sizes: dict[str, int]
) -> np.ndarray:
    """Converts a tensor to (one layer of) the parameter; a NumPy array becomes a view.

    Any one axis of a split tensor may be smaller than in `sizes`.
    """
    axes, shape = "".join(parameter.tensor_axes), []
    for merged, length in zip(parameter.tensor_axes, tensor.shape, strict=True):
        inner = [sizes[axis] for axis in merged[1:]]
        shape += [length // math.prod(inner), *inner]
    return tensor.reshape(shape).transpose([axes.index(axis) for axis in parameter.layer_axes])


def to_tensor(parameter: DecoderParameter, array: jax.Array, sizes: dict[str, int]) -> jax.Array:
    """Converts (one layer of) the parameter to a tensor."""
    axes = parameter.layer_axes
    apart = array.transpose([axes.index(axis) for axis in "".join(parameter.tensor_axes)])
    return apart.reshape(tensor_shape(parameter, sizes))


def tensor_index(
    parameter: DecoderParameter, index: tuple[slice, ...], sizes: dict[str, int]
) -> tuple[slice, ...]:
    """Returns the slices of a tensor that hold the slices `index` of the parameter's layer.

    Of merged axes only the first may be sliced (heads, not head size), so that a slice of the
    merged axis is one range.
    """
    cuts = dict(zip(parameter.layer_axes, index, strict=True))
    parts = []
    for merged in parameter.tensor_axes:
        start, stop, _ = cuts[merged[0]].indices(sizes[merged[0]])
        inner = math.prod(sizes[axis] for axis in merged[1:])
        parts.append(slice(start * inner, stop * inner))
    return tuple(parts)


def layer_sharding(parameter: DecoderParameter, sharding: Sharding) -> Sharding:
    """Returns the sharding of one layer of a parameter with `sharding`."""
    if not (parameter.is_stacked and isinstance(sharding, NamedSharding)):
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))


def tensor_list(config: DecoderConfig) -> list[tuple[str, DecoderParameter, int]]:
    """Returns (name, parameter, layer) of every tensor, in the order of a written checkpoint.

    The layer is 0 for a tensor outside the layers.
    """
    parameters = parameters_of(config)
    stacked = [parameter for parameter in parameters if parameter.is_stacked]
    first = parameters.index(stacked[0])
    return [
        *((parameter.tensor, parameter, 0) for parameter in parameters[:first]),
        *(
            (parameter.tensor.format(layer=layer), parameter, layer)
            for layer in range(config.num_layers)
            for parameter in stacked
        ),
        *((p.tensor, p, 0) for p in parameters[first:] if not p.is_stacked),
    ]


def tensor_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor by name, in the order of tensor_list."""
    sizes = axis_sizes(config)
    return {name: tensor_shape(parameter, sizes) for name, parameter, _ in tensor_list(config)}


def parameter_count(config: DecoderConfig) -> int:
    return sum(math.prod(shape) for shape in tensor_shapes(config).values())


def abstract_params(config: DecoderConfig, dtype: str = "float32") -> nnx.State:
    """Returns the decoder's parameter tree with ShapeDtypeStructs for arrays."""
    params = nnx.eval_shape(lambda: nnx.state(Decoder(config, rngs=nnx.Rngs(0)), nnx.Param))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype)), params)
