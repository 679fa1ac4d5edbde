"""Implements fully sharded data parallelism: devices gather weights and compute their own rows.

The loss of a device's rows is computed inside `jax.shard_map`, where every exchange between
devices is written out, so that none happens but these:

- each layer's weights are gathered over `fsdp` inside the scan over layers, cast to the compute
  dtype before, once for the forward and once for the backward pass (what was gathered is never
  saved between them); embeddings and the output matrix once a microbatch;
- a weight's gradient leaves by the transpose of its gather, a reduce-scatter in the same dtype;
  where the TPU compiler would make an all-reduce of that, by a ring (semcoder_jax.model.ring);
- sums over `data`, and over all devices what none of them holds a part of (norms), are taken
  once a step, after the last microbatch.

`tensor` stays with the compiler, which propagates the weights' own sharding.

Sources: Rajbhandari et al., ZeRO (2020); Zhao et al., PyTorch FSDP (2023).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from semcoder_jax.model import sharding
from semcoder_jax.model.ring import ring_order, ring_reduce_scatter
from semcoder_jax.model.sharding import BATCH_AXES, BATCH_SPEC

# Parts of quantized weights that stay float32.
_SCALES = ("scale", "channel_scale")


@dataclasses.dataclass(frozen=True)
class Shards:
    """Describes how the parameters are split, for use inside `over_rows`.

    `mesh` is the whole mesh; `specs` the PartitionSpec of each parameter by its path, e.g.
    ("layers", "attention", "q_DxHxK").
    """

    mesh: Mesh
    specs: Mapping[tuple[str, ...], P]

    @classmethod
    def of(cls, shardings, mesh: Mesh) -> "Shards":
        """Builds it from `shardings`, the decoder's parameters as NamedShardings."""
        leaves = jax.tree_util.tree_leaves_with_path(shardings)
        return cls(mesh, {sharding.path_keys(path): leaf.spec for path, leaf in leaves})

    @property
    def split(self) -> bool:
        """Returns whether `fsdp` splits the parameters."""
        return self.mesh.shape["fsdp"] > 1

    def gather(self, parts, dtype, prefix: tuple[str, ...] = ()):
        """Gathers over `fsdp` the tree `parts`, which lies at `prefix` in the parameters.

        Casts floating-point weights to `dtype` first, so that fewer bytes travel. Leaves below
        "layers" belong to one layer, without the axis L. Returns `parts` if nothing is split.
        """
        if not self.split:
            return parts

        order = ring_order(self.mesh, "fsdp")

        def whole(part, spec):
            axis = tuple(spec).index("fsdp")
            return _gather(part, axis) if order is None else _gather_by_ring(part, axis, order)

        leaves, structure = jax.tree_util.tree_flatten_with_path(parts)
        places, specs = [], []
        for place, (path, leaf) in enumerate(leaves):
            keys = (*prefix, *sharding.path_keys(path))
            spec = self.specs[keys][1:] if keys[0] == "layers" else self.specs[keys]
            if "fsdp" in spec:
                places.append(place)
                specs.append(spec)
                leaf = leaf.astype(gathered_dtype(keys, leaf.dtype, dtype))
            leaves[place] = leaf

        def all_whole(*parts):
            return tuple(map(whole, parts, specs))

        if self.mesh.shape["tensor"] > 1:
            # Left to the compiler, tensor would be gathered too before another axis is.
            tensor = tuple(
                P(*(axis if axis == "tensor" else None for axis in spec)) for spec in specs
            )
            all_whole = jax.shard_map(
                all_whole, in_specs=tensor, out_specs=tensor, axis_names={"tensor"}, check_vma=False
            )
        for place, leaf in zip(
            places, all_whole(*(leaves[place] for place in places)), strict=True
        ):
            leaves[place] = leaf
        return jax.tree.unflatten(structure, leaves)


def _gather(part: jax.Array, axis: int) -> jax.Array:
    return jax.lax.all_gather(part, "fsdp", axis=axis, tiled=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gather_by_ring(part: jax.Array, axis: int, order: tuple[int, ...]) -> jax.Array:
    """Gathers as `_gather` does; the gradient goes by a ring in this order."""
    return _gather(part, axis)


_gather_by_ring.defvjp(
    lambda part, axis, order: (_gather(part, axis), None),
    lambda axis, order, _, gradient: (ring_reduce_scatter(gradient, "fsdp", axis, order),),
)


def gathered_dtype(path: tuple[str, ...], held, compute):
    """Returns the dtype in which the array at `path`, stored as `held`, is gathered.

    Floating-point weights are gathered as `compute`, so that fewer bytes travel.
    """
    is_weight = jnp.issubdtype(held, jnp.floating) and path[-1] not in _SCALES
    return jnp.dtype(compute if is_weight else held)


def over_rows(function: Callable, mesh: Mesh, shardings: tuple, gradients=None) -> Callable:
    """Runs `function(*trees, batch)` on every device's shards and rows, and sums the results.

    `shardings` are trees of NamedShardings, one for each of `trees`. `function` returns sums over
    this device's rows (any tree). With `gradients` (one of `shardings`) it returns such sums, and
    gradients of that tree's shards, already summed over the axis that splits them. All results are
    summed over all rows.
    """
    if sharding.batch_shards(mesh) == 1:  # all rows in one place; tensor is the compiler's
        return function
    # An axis left to the compiler must not be named in what is written here.
    manual = set(mesh.axis_names) if mesh.shape["tensor"] == 1 else set(BATCH_AXES)

    def specs_of(tree):
        return jax.tree.map(
            lambda place: P(*(axis if axis in manual else None for axis in place.spec)), tree
        )

    def local(*arguments):
        if gradients is None:
            return jax.lax.psum(function(*arguments), BATCH_AXES)
        sums, parts = function(*arguments)
        return jax.lax.psum(sums, BATCH_AXES), _sum_over_absent(parts, specs_of(gradients))

    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(*map(specs_of, shardings), BATCH_SPEC),
        out_specs=P() if gradients is None else (P(), specs_of(gradients)),
        axis_names=manual,
        check_vma=False,
    )


def _sum_over_absent(tree, specs):
    """Sums each leaf over the batch axes that do not split it, in one exchange per set of axes."""
    leaves, structure = jax.tree.flatten(tree)
    absent = [
        tuple(axis for axis in BATCH_AXES if axis not in spec) for spec in jax.tree.leaves(specs)
    ]
    for axes in sorted(set(absent) - {()}):
        places = [place for place, found in enumerate(absent) if found == axes]
        sums = jax.lax.psum([leaves[place] for place in places], axes)
        for place, value in zip(places, sums, strict=True):
            leaves[place] = value
    return jax.tree.unflatten(structure, leaves)
