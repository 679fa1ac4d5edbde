"""Converts between Hugging Face files and sharded, stacked parameters, one tensor at a time.

Neither direction ever holds the model twice. When reading, each process reads only the slices that
its devices hold; the devices cast and stack them into the parameter's own (donated) buffer. Writing
reverses this.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from tqdm import tqdm

from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.layout import (
    abstract_params,
    layer_sharding,
    parameter_count,
    tensor_index,
    tensor_list,
    tensor_shapes,
    to_parameter,
    to_tensor,
)
from semcoder_jax.hf.shards import ShardReader
from semcoder_jax.model.parameters import OUTPUT, DecoderParameter, axis_sizes, parameters_of
from semcoder_jax.model.sharding import parameter_shardings


def read_params(
    directory: Path,
    config: DecoderConfig,
    *,
    mesh: Mesh | None = None,
    dtype: str = "float32",
    progress: bool = False,
) -> nnx.State:
    """Reads the decoder's parameters from `directory`, sharded over `mesh` (None: one device).

    Raises HFError, before any weight is read, if files or tensors are missing or do not fit; and at
    the first parameter that holds a NaN.
    """
    shards = ShardReader(directory)
    tied_copy = (OUTPUT.tensor,) if config.tie_embeddings else ()
    shards.check(tensor_shapes(config), ignored=tied_copy)
    params = abstract_params(config, dtype)
    if mesh is None:
        device = SingleDeviceSharding(jax.local_devices()[0])
        shardings = jax.tree.map(lambda _: device, params)
    else:
        shardings = parameter_shardings(params, mesh)
    places = _by_path(shardings)
    arrays = {}
    total = parameter_count(config) * jnp.dtype(dtype).itemsize
    with _byte_bar(total, "importing", progress) as bar:
        for parameter in parameters_of(config):
            array = _read_parameter(shards, parameter, config, places[parameter.path], dtype, bar)
            if _has_nan(array):
                name = parameter.tensor.format(layer="*")
                raise HFError(f"{directory}: {name} holds values that are no numbers (NaN)")
            arrays[parameter.path] = array
    return _with_arrays(params, arrays)


def tensors(
    config: DecoderConfig, params: nnx.State, dtype: str, *, progress: bool = False
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yields every (name, tensor) of the Hugging Face layout, in the order of layout.tensor_shapes.

    Gathers one tensor at a time. All processes must iterate; the first one gets the arrays, the
    others get None.
    """
    arrays, itemsize = _by_path(params), jnp.dtype(dtype).itemsize
    with _byte_bar(parameter_count(config) * itemsize, "exporting", progress) as bar:
        for name, parameter, layer in tensor_list(config):
            tensor = _gather(config, arrays[parameter.path], parameter, layer, dtype)
            first = jax.process_index() == 0
            yield name, np.asarray(tensor.addressable_data(0)) if first else None
            bar.update(tensor.size * itemsize)


def tensor_by_name(config: DecoderConfig, params: nnx.State, dtype: str, name: str) -> np.ndarray:
    """Returns one tensor of the Hugging Face layout, on every process."""
    found = {tensor: (parameter, layer) for tensor, parameter, layer in tensor_list(config)}
    parameter, layer = found[name]
    array = _by_path(params)[parameter.path]
    return np.asarray(_gather(config, array, parameter, layer, dtype).addressable_data(0))


def _gather(
    config, array: jax.Array, parameter: DecoderParameter, layer: int, dtype: str
) -> jax.Array:
    """Gathers a tensor onto every device of the parameter's mesh."""
    if isinstance(array.sharding, NamedSharding):
        place = NamedSharding(array.sharding.mesh, PartitionSpec())
    else:
        place = array.sharding
    # Two programs: fused with the slice, the transpose takes six times as long on CPU.
    part = _take(array, layer, parameter.is_stacked, dtype)
    return _to_tensor(part, parameter, tuple(axis_sizes(config).items()), place)


def _read_parameter(
    shards: ShardReader, parameter: DecoderParameter, config, sharding: Sharding, dtype, bar
):
    sizes, name = axis_sizes(config), parameter.tensor
    if not parameter.is_stacked:
        array = _cast(_read_layer(shards, parameter, name, sizes, sharding), dtype)
        bar.update(array.nbytes)
        return array
    stack = _zeros(parameter.shape(sizes), dtype, sharding)
    of_layer = layer_sharding(parameter, sharding)
    for layer in range(config.num_layers):
        part = _read_layer(shards, parameter, name.format(layer=layer), sizes, of_layer)
        stack = _place(stack, part, layer, sharding)
        # Without waiting, layers that were read but not yet placed would pile up.
        stack.block_until_ready()
        bar.update(stack.nbytes // config.num_layers)
    return stack


def _read_layer(
    shards: ShardReader, parameter: DecoderParameter, name: str, sizes, sharding
) -> jax.Array:
    """Reads a global array in the parameter's layout and the file's dtype.

    The host passes transposed views: the runtime transposes them on transfer, blocked and threaded,
    which is faster than a fused transpose in a compiled program. A slice that several devices of
    this process hold is read once.
    """
    parts = {}
    shape = tuple(sizes[axis] for axis in parameter.layer_axes)

    def read(index: tuple[slice, ...]) -> np.ndarray:
        wanted = tensor_index(parameter, index, sizes)
        key = tuple((part.start, part.stop) for part in wanted)
        if key not in parts:
            parts[key] = shards.read(name, wanted)
        return to_parameter(parameter, parts[key], sizes)

    return jax.make_array_from_callback(shape, sharding, read)


def _has_nan(array: jax.Array) -> bool:
    """Returns whether a value on this process's devices is a NaN.

    Looks at each shard by itself: a reduction over the mesh would wait for the other processes.
    """
    return any(bool(_any_nan(shard.data)) for shard in array.addressable_shards)


@jax.jit
def _any_nan(array):
    return jnp.isnan(array).any()


@functools.partial(jax.jit, static_argnums=1)
def _cast(array, dtype):
    return array.astype(dtype)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _zeros(shape, dtype, sharding):
    return jax.lax.with_sharding_constraint(jnp.zeros(shape, dtype), sharding)


@functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
def _place(stack, part, layer, sharding):
    """Writes `part` into layer `layer` of `stack`, in place.

    Moves bits as integers: XLA on CPU would convert each bfloat16 through float32, twenty times
    slower.
    """
    bits = jnp.dtype(f"uint{8 * stack.dtype.itemsize}")
    stack_bits, part_bits = (
        jax.lax.bitcast_convert_type(array, bits) for array in (stack, part.astype(stack.dtype))
    )
    placed = jax.lax.dynamic_update_index_in_dim(stack_bits, part_bits, layer, axis=0)
    placed = jax.lax.bitcast_convert_type(placed, stack.dtype)
    return jax.lax.with_sharding_constraint(placed, sharding)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _take(array, layer, stacked, dtype):
    if stacked:
        array = jax.lax.dynamic_index_in_dim(array, layer, keepdims=False)
    return array.astype(dtype)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _to_tensor(array, parameter: DecoderParameter, sizes, sharding):
    tensor = to_tensor(parameter, array, dict(sizes))
    return jax.lax.with_sharding_constraint(tensor, sharding)


def _by_path(params: nnx.State) -> dict[tuple[str, ...], jax.Array]:
    """Returns leaf arrays by path, of a State or its plain dict."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {tuple(k.key for k in path if hasattr(k, "key")): leaf for path, leaf in leaves}


def _with_arrays(params: nnx.State, arrays) -> nnx.State:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: arrays[tuple(k.key for k in path if hasattr(k, "key"))], params
    )


def _byte_bar(total: int, description: str, shown: bool) -> tqdm:
    return tqdm(
        total=total,
        unit="B",
        unit_scale=True,
        desc=description,
        disable=not shown or jax.process_index() != 0,
    )
