"""Fully sharded data parallelism: each device computes on its own rows, with weights it gathers.

The loss of a device's rows is computed inside `jax.shard_map`, where every exchange between
devices is written out, so that none happens but these:

- each layer's weights are gathered over `fsdp` inside the scan over layers, cast to the compute
  dtype before, once for the forward and once for the backward pass (what was gathered is never
  saved between them); embeddings and the output matrix once a microbatch;
- a weight's gradient leaves by the transpose of its gather, a reduce-scatter in the same dtype;
- sums over `data`, and over all devices what none of them holds a part of (norms), are taken
  once a step, after the last microbatch.

`tensor` stays with the compiler, which propagates the weights' own sharding.

Sources: Rajbhandari et al., ZeRO (2020); Zhao et al., PyTorch FSDP (2023).
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from semcoder_jax.model import sharding
from semcoder_jax.model.sharding import BATCH_AXES, BATCH_SPEC

# Parts of quantized weights that stay float32.
_SCALES = ("scale", "channel_scale")


@dataclasses.dataclass(frozen=True)
class Shards:
    """What a device's parts of the parameters are parts of, for use inside `over_rows`.

    `mesh` is the whole mesh; `specs` the PartitionSpec of each parameter by its path, e.g.
    ("layers", "attention", "q_DxHxK").
    """

    mesh: Mesh
    specs: Mapping[tuple[str, ...], P]

    @classmethod
    def of(cls, places, mesh: Mesh) -> "Shards":
        """`places`: the decoder's parameters as NamedShardings."""
        leaves = jax.tree_util.tree_leaves_with_path(places)
        return cls(mesh, {sharding.path_keys(path): place.spec for path, place in leaves})

    @property
    def split(self) -> bool:
        """Whether there is anything to gather."""
        return self.mesh.shape["fsdp"] > 1

    def gather(self, parts, dtype, prefix: tuple[str, ...] = ()):
        """The tree `parts`, which lies at `prefix` in the parameters, whole over `fsdp`.

        Floating-point weights become `dtype` first, so that fewer bytes travel. Below "layers"
        leaves are one layer's, without the axis L. A mesh that splits nothing changes nothing.
        """
        if not self.split:
            return parts

        def whole(part, spec):
            return jax.lax.all_gather(part, "fsdp", axis=tuple(spec).index("fsdp"), tiled=True)

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


def gathered_dtype(path: tuple[str, ...], held, compute):
    """The dtype in which the array at `path`, held as `held`, travels to where it is used:
    `compute` for floating-point weights, so that fewer bytes travel."""
    is_weight = jnp.issubdtype(held, jnp.floating) and path[-1] not in _SCALES
    return jnp.dtype(compute if is_weight else held)


def over_rows(function: Callable, mesh: Mesh, places: tuple, gradients=None) -> Callable:
    """`function(*trees, batch)` on every device's own parts and rows, its results summed.

    `places` are trees of NamedShardings, one for each of `trees`. `function` returns sums
    over this device's rows (any tree) or, where `gradients` (one of `places`) is given, such
    sums and gradients with regard to that tree's parts, summed already over the axis that splits
    them. All come back summed over all rows.
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
        in_specs=(*map(specs_of, places), BATCH_SPEC),
        out_specs=P() if gradients is None else (P(), specs_of(gradients)),
        axis_names=manual,
        check_vma=False,
    )


def _sum_over_absent(tree, specs):
    """Each leaf summed over the batch axes that do not split it, those alike in one exchange."""
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
