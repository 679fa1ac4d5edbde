"""Makes the device mesh and the sharding of every array.

parameters.MESH_AXIS_OF maps a parameter's axes to mesh axes. The mesh always has three axes, any of
size 1: `data` replicates parameters and splits the batch, `fsdp` splits both, `tensor` splits
heads, the feed-forward width and the vocabulary.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from semcoder_jax.config import MESH_AXES
from semcoder_jax.errors import UserError
from semcoder_jax.model.parameters import MESH_AXIS_OF, DecoderParameter, parameter_at

BATCH_AXES = ("data", "fsdp")
BATCH_SPEC = P(BATCH_AXES)


class MeshError(UserError):
    """Raised if the devices do not fit the mesh, or the mesh does not fit the batch or model."""


def make_mesh(shape: Mapping[str, int], devices: list[jax.Device] | None = None) -> Mesh:
    """Makes a mesh of the sizes in `shape` (missing axes are 1; one may be -1: the rest).

    If the devices lie in several slices of a pod, only `data` spans the slices, because the network
    between them is far slower; without `data` in `shape` its size is the number of slices. Raises
    MeshError.
    """
    devices = jax.devices() if devices is None else devices
    unknown = set(shape) - set(MESH_AXES)
    if unknown:
        raise MeshError(f"mesh: unknown axis {sorted(unknown)}, expected {list(MESH_AXES)}")
    num_slices = len({getattr(device, "slice_index", 0) for device in devices})
    sizes = [int(shape.get(axis, 1)) for axis in MESH_AXES]
    if "data" not in shape:
        sizes[0] = num_slices
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise MeshError(f"mesh: sizes {sizes} must be positive, at most one of them -1")
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = max(1, len(devices) // known)
    if math.prod(sizes) != len(devices):
        named = dict(zip(MESH_AXES, sizes, strict=True))
        raise MeshError(f"mesh: {named} needs {math.prod(sizes)} devices, found {len(devices)}")
    # Auto axes: shardings are propagated by the compiler (pjit semantics), not part of types.
    axis_types = (AxisType.Auto,) * 3
    if num_slices == 1:
        return jax.make_mesh(sizes, MESH_AXES, axis_types=axis_types, devices=devices)
    if sizes[0] % num_slices:
        raise MeshError(
            f"mesh: data is {sizes[0]}, expected a multiple of {num_slices}, the number of slices "
            f"that the devices lie in: no other axis spans them"
        )
    within, between = (sizes[0] // num_slices, *sizes[1:]), (num_slices, 1, 1)
    ordered = mesh_utils.create_hybrid_device_mesh(
        within, between, devices, allow_split_physical_axes=True
    )
    return Mesh(ordered, MESH_AXES, axis_types=axis_types)


def batch_shards(mesh: Mesh) -> int:
    """Returns the number of parts of the batch axis."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def parameter_spec(path: tuple[str, ...]) -> P:
    """Returns the partition of the parameter at `path`, e.g. ("layers", "attention", "q_DxHxK").

    The parts of a quantized weight follow it: (..., "q_DxHxK", "int8") or "scale", or those of an
    NF4Weight. An adapter's arrays, (..., "q_DxHxK", "b_RxHxK") or "b" of a LoRAWeight, have axes of
    their own, of which fsdp splits the rank where it splits no other.
    """
    parameter = parameter_at(path)
    if not parameter.is_matrix:
        return P()  # norms are small: replicated
    axes = _part_axes(parameter, path[-1])
    places = [MESH_AXIS_OF[axis] for axis in axes]
    if "R" in axes and "fsdp" not in places:
        places[axes.index("R")] = "fsdp"
    return P(*places)


def _part_axes(parameter: DecoderParameter, part: str) -> str:
    """Returns the axes of the array with last key `part`: the matrix or a part that replaces it."""
    if part == "scale":
        return "".join(axis for axis in parameter.axes if axis not in parameter.contracted)
    for name, axes in parameter.adapter.items():
        if part in (name, name[0]):
            return axes
    return parameter.axes


def parameter_shardings(params: Any, mesh: Mesh) -> Any:
    """Returns the tree of `params` (arrays or ShapeDtypeStructs) with a NamedSharding at each leaf.

    Does not split an axis that its mesh axis does not divide (4 key/value heads over tensor=8, a
    vocabulary of 32,022).
    """

    def sharding(path, leaf):
        spec = parameter_spec(path_keys(path))
        fitting = [
            axis if axis is None or leaf.shape[i] % mesh.shape[axis] == 0 else None
            for i, axis in enumerate(spec)
        ]
        return NamedSharding(mesh, P(*fitting))

    return jax.tree_util.tree_map_with_path(sharding, params)


def path_keys(path) -> tuple[str, ...]:
    """Returns the string keys of a tree path, without tuple positions and an nnx leaf's value."""
    keys = (getattr(entry, "key", getattr(entry, "name", None)) for entry in path)
    return tuple(key for key in keys if isinstance(key, str) and key != "value")


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of batch rows over the data and fsdp axes."""
    return NamedSharding(mesh, BATCH_SPEC)


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays from this process's rows of a batch, with rows split over the mesh."""
    sharding = batch_sharding(mesh)
    return {
        key: jax.make_array_from_process_local_data(sharding, np.asarray(value))
        for key, value in batch.items()
    }
