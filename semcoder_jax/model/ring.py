"""Sums gradients over a ring of neighbouring chips, where the TPU compiler has no reduce-scatter.

A reduce-scatter over n devices must send (n-1)/n of the array from each. On some slices the TPU
compiler (libtpu 0.0.42) does that; on others it runs an all-reduce, which sends twice as much, and
drops the part that the device does not need. `ring_order` tells these slices apart;
benchmarks/reduce_scatter.py shows the difference with the smallest program.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

# A ring has n-1 steps, each written out so that it overlaps with computing.
MOST_IN_RING = 16
# Grids of chips, sides sorted, on which the compiler runs a reduce-scatter over all as one.
SCATTERED = ((1, 1, 2), (1, 2, 2), (1, 2, 4), (1, 4, 8))


def ring_order(mesh: Mesh, axis: str) -> tuple[int, ...] | None:
    """Returns the positions along `axis` in the order of a ring, or None if the compiler does well.

    None too if the devices are no TPU chips, if the axis is not the whole mesh, or if it is long.
    In the ring each chip is next to the one before and the one after.
    """
    if mesh.empty or not 2 < mesh.shape[axis] == mesh.size <= MOST_IN_RING:
        return None
    devices = getattr(mesh, "devices", np.array([None])).flat
    if getattr(devices[0], "platform", None) != "tpu":
        return None
    chips = [tuple(device.coords) for device in devices]
    if len({getattr(device, "slice_index", 0) for device in devices}) > 1:
        return None
    sides = sorted(len(set(along)) for along in zip(*chips, strict=True))
    return None if tuple(sides) in SCATTERED else find_ring(chips)


def find_ring(chips: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Returns the order in which chips at these coordinates form a ring of neighbours, if any.

    Tries every path from the first chip, so it is for few chips.
    """
    places = {chip: position for position, chip in enumerate(chips)}
    if len(places) < len(chips):  # several devices of one chip
        return None
    next_to = [_neighbours(chip, places) for chip in chips]

    def extend(path: list[int], left: set[int]) -> list[int] | None:
        if not left:
            return path if path[0] in next_to[path[-1]] else None
        # Chips with few ways out first, or they are cut off.
        ways = sorted(next_to[path[-1]] & left, key=lambda way: len(next_to[way] & left))
        for way in ways:
            if found := extend([*path, way], left - {way}):
                return found
        return None

    found = extend([0], set(range(1, len(chips))))
    return tuple(found) if found else None


def _neighbours(chip: tuple[int, ...], places: dict[tuple[int, ...], int]) -> set[int]:
    found = set()
    for axis in range(len(chip)):
        for step in (-1, 1):
            other = (*chip[:axis], chip[axis] + step, *chip[axis + 1 :])
            if other in places:
                found.add(places[other])
    return found


def ring_reduce_scatter(x: jax.Array, name: str, axis: int, order: Sequence[int]) -> jax.Array:
    """Returns this device's part of the sum of `x` over the mesh axis `name`, split along `axis`.

    Equals jax.lax.psum_scatter(..., tiled=True) up to the order of addition. `order` lists the
    positions along `name` in the order of the ring. Half of each part travels one way, half the
    other, so that both links of a chip to its neighbours in the ring are busy.
    """
    n, size = len(order), x.shape[axis] // len(order)
    of_place, place_of = jnp.array(order), jnp.array(np.argsort(order))
    own_place = place_of[jax.lax.axis_index(name)]
    halves = []
    for way, start, length in ((1, 0, size - size // 2), (-1, size - size // 2, size // 2)):
        if not length:
            continue

        def part(place, start=start, length=length):
            first = of_place[place % n] * size + start
            return jax.lax.dynamic_slice_in_dim(x, first, length, axis)

        to_next = [(order[place], order[(place + way) % n]) for place in range(n)]
        total = part(own_place - way)
        for step in range(2, n + 1):
            total = jax.lax.ppermute(total, name, to_next) + part(own_place - way * step)
        halves.append(total)
    return jax.lax.concatenate(halves, axis)
