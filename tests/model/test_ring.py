"""Compares the ring's sums with NumPy's, and its order with the chips' coordinates."""

import itertools
import json
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from semcoder_jax.model import fsdp
from semcoder_jax.model.ring import find_ring, ring_order, ring_reduce_scatter
from tests.support.compiling import QUICK
from tests.support.simulated_devices import measure_on_devices


@pytest.fixture(scope="module")
def scattered():
    """What each of 8 simulated devices gets, for every axis and number of devices."""
    return measure_on_devices(8, __file__, flags=QUICK)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [3, 8])
def test_each_device_gets_its_part_of_the_sum(scattered, axis, count):
    """Whole numbers, so that no order of addition rounds; a part of 5 rows or of
    1 column does not halve evenly."""
    expected = values_of(count).sum(axis=0)
    np.testing.assert_array_equal(scattered[f"{count} {axis}"], expected)


def values_of(count: int) -> np.ndarray:
    shape = (count, 5 * count, count)
    return np.random.default_rng(count).integers(-100, 100, shape).astype(np.float32)


def measure() -> dict:
    found = {}
    for count, axis in itertools.product((3, 8), (0, 1)):
        order = tuple(random.Random(count).sample(range(count), count))

        def scatter(x_1xRxC, axis=axis, order=order):
            return ring_reduce_scatter(x_1xRxC[0], "fsdp", axis, order)

        mesh = Mesh(np.array(jax.devices()[:count]), ("fsdp",))
        spec = P("fsdp") if axis == 0 else P(None, "fsdp")
        run = jax.jit(jax.shard_map(scatter, mesh=mesh, in_specs=P("fsdp"), out_specs=spec))
        found[f"{count} {axis}"] = np.asarray(run(jnp.asarray(values_of(count)))).tolist()
    found["gradients"] = measure_gradients()
    return found


def test_a_gather_has_the_same_gradient_by_ring(scattered):
    """Of sum(x·W)², which is 2 xᵀ(x·W), with W gathered again in the backward pass."""
    weights, rows = values_of(8)[0], values_of(8)[:, :3, :1].repeat(40, axis=2)
    expected = sum(2 * x.T @ (x @ weights) for x in rows)
    np.testing.assert_allclose(scattered["gradients"], expected, rtol=1e-6)


def measure_gradients() -> list:
    order = tuple(random.Random(0).sample(range(8), 8))
    mesh = Mesh(np.array(jax.devices()), ("fsdp",))

    def gradient(part, x_1xBxD):
        @jax.checkpoint
        def loss(part):
            return jnp.sum((x_1xBxD[0] @ fsdp._gather_by_ring(part, 0, order)) ** 2)

        return jax.grad(loss)(part)

    run = jax.shard_map(
        gradient,
        mesh=mesh,
        in_specs=(P("fsdp"), P("fsdp")),
        out_specs=P("fsdp"),
        check_vma=False,
    )
    rows = values_of(8)[:, :3, :1].repeat(40, axis=2)
    return np.asarray(jax.jit(run)(jnp.asarray(values_of(8)[0]), jnp.asarray(rows))).tolist()


@pytest.mark.parametrize("sides", [(2, 2), (4, 4), (2, 2, 2), (2, 2, 4), (3, 4)])
def test_a_ring_visits_all_chips_by_single_steps(sides):
    chips = list(itertools.product(*map(range, sides)))
    random.Random(0).shuffle(chips)
    order = find_ring(chips)
    assert sorted(order) == list(range(len(chips)))
    for one, other in zip(order, (*order[1:], order[0]), strict=True):
        distance = sum(abs(a - b) for a, b in zip(chips[one], chips[other], strict=True))
        assert distance == 1


def test_there_is_no_ring_of_an_odd_grid_or_of_two_devices_a_chip():
    assert find_ring(list(itertools.product(range(3), range(3)))) is None
    assert find_ring([(0, 0), (0, 0), (0, 1), (0, 1)]) is None


class Chip:
    def __init__(self, coords, platform="tpu", slice_index=0):
        self.coords, self.platform, self.slice_index = coords, platform, slice_index


class FakeMesh:
    """As much of a mesh as ring_order reads."""

    empty = False

    def __init__(self, sides, fsdp=None, **fields):
        grids = itertools.product(*map(range, sides))
        chips = [Chip((*place, 0)[:3], **fields) for place in grids]
        self.devices = np.array(chips, dtype=object)
        self.size = len(chips)
        self.shape = {"fsdp": fsdp or len(chips)}


def test_only_slices_whose_reduce_scatter_becomes_an_all_reduce_have_a_ring():
    for sides in ((4, 4), (2, 2, 2), (2, 2, 4)):
        assert sorted(ring_order(FakeMesh(sides), "fsdp")) == list(range(np.prod(sides)))
    for sides in ((1, 1), (2, 2), (2, 4), (4, 8), (8, 8), (2, 2, 1)):
        assert ring_order(FakeMesh(sides), "fsdp") is None
    assert ring_order(FakeMesh((4, 4), fsdp=4), "fsdp") is None
    assert ring_order(FakeMesh((4, 4), platform="cpu"), "fsdp") is None
    mesh = Mesh(np.array(jax.devices()), ("fsdp",))
    assert ring_order(mesh, "fsdp") is None


if __name__ == "__main__":
    print(json.dumps(measure()))
