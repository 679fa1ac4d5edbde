"""Compares the roofline with arithmetic by hand, and counted FLOPs with known products."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from semcoder_jax.config import MODELS
from semcoder_jax.model import flops
from semcoder_jax.model.attention import make_attend
from semcoder_jax.planner.executed_flops import executed_flops
from semcoder_jax.planner.roofline import Exchange, memory_bytes, roofline
from semcoder_jax.planner.topologies import parse


@pytest.mark.parametrize(
    ("kind", "slices", "within", "across"),
    [
        ("all-gather", 1, 1600 * 15 / 16, 0),
        ("reduce-scatter", 1, 1600 * 15 / 16, 0),
        ("all-reduce", 1, 2 * 1600 * 15 / 16, 0),
        ("collective-permute", 1, 1600, 0),
        # Eight devices of each slice reduce among themselves; then a device's eighth crosses.
        ("all-reduce", 2, 2 * 1600 * 7 / 8, 2 * 200 / 2),
    ],
)
def test_what_a_device_receives_of_an_exchange(kind, slices, within, across):
    exchange = Exchange(kind, "bfloat16", (800,), 1600, group=16, slices=slices, loops=(3,))
    assert exchange.received_bytes() == pytest.approx((3 * within, 3 * across))


def test_one_device_a_slice_has_nothing_to_receive_within():
    exchange = Exchange("all-reduce", "float32", (25,), 100, group=2, slices=2)
    assert exchange.received_bytes() == (0, 100)


def test_step_time_is_the_slowest_part():
    # 16 chips of 197 TFLOP/s; 819 GB/s; the corner chip has two links of 50 GB/s.
    found = roofline(
        parse("v5e:4x4"),
        executed_flops=2 * 16 * 197e12,
        memory_bytes=819e9,
        exchanges=[Exchange("all-gather", "bfloat16", (), 160_000_000_000, 16, count=2)],
    )
    assert (found.compute, found.memory) == pytest.approx((2, 1))
    assert found.ici == pytest.approx(2 * 150e9 / 100e9)
    assert found.network == 0
    assert (found.step_seconds, found.limit) == (pytest.approx(3), "ICI")
    assert found.total_seconds == pytest.approx(6)


def test_slices_are_limited_by_the_network_and_an_unknown_one_is_said():
    exchange = Exchange("all-reduce", "float32", (8 * 10**9,), 32 * 10**9, 32, slices=2)
    arguments = {"executed_flops": 1.0, "memory_bytes": 1.0, "exchanges": [exchange]}
    found = roofline(parse("v5e:4x4x2slices"), **arguments)
    assert found.network == pytest.approx(2e9 / 3.125e9)  # 32 GB / 16 devices, there and back
    unknown = roofline(parse("v4:2x2x4x2slices"), **arguments)
    assert unknown.network is None and unknown.step_seconds == unknown.ici


def test_two_devices_of_a_chip_share_what_it_has():
    found = roofline(
        parse("tpu7x:2x2x1"), executed_flops=4 * 2307e12, memory_bytes=3690e9, exchanges=[]
    )
    assert (found.compute, found.memory) == pytest.approx((1, 1))


def test_memory_traffic_of_products_and_optimizer():
    config = dataclasses.replace(
        MODELS["1.3b"], hidden_size=8, intermediate_size=16, num_layers=3, num_heads=2,
        num_kv_heads=1, head_dim=4, vocab_size=32,
    )  # fmt: skip
    # D = H K = 8, G K = 4, F = 16, V = 32. Weights of a layer: 64 + 2 x 32 + 64 + 3 x 128 = 576;
    # elements in and out for a token: 16 + 2 x 12 + 16 + 3 x 24 = 128. Output matrix: 256 and 40.
    weights, for_a_token = 3 * 576 + 256, 3 * 128 + 40
    tokens = 100
    forward = flops.forward_flops(config, tokens, 0)
    arguments = {"tokens": tokens, "tensor": 1, "trained_parameters": 7}
    once = memory_bytes(config, microbatches=1, executed_flops=3 * forward, **arguments)
    assert once == pytest.approx(3 * 2 * (weights + tokens * for_a_token) + 28 * 7)
    # In five microbatches the weights are read five times, the activations as often as before.
    five = memory_bytes(config, microbatches=5, executed_flops=4 * forward, **arguments)
    assert five == pytest.approx(4 * 2 * (5 * weights + tokens * for_a_token) + (28 + 5 * 12) * 7)


# ==== FLOPs of a program


def traced_flops(function, *arguments) -> float:
    return executed_flops(jax.make_jaxpr(function)(*arguments))


def test_products_count_as_often_as_loops_run_them():
    x, w = jnp.ones((4, 8)), jnp.ones((8, 8))
    product = 2 * 4 * 8 * 8

    def looped(x, w):
        x, _ = jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x)

    assert traced_flops(jax.jit(looped), x, w) == (5 + 2) * product

    def scores(q, k):
        return jnp.einsum("bthk,bshk->bhts", q, k)

    q, k = jnp.ones((2, 5, 3, 4)), jnp.ones((2, 7, 3, 4))
    assert traced_flops(scores, q, k) == 2 * 2 * 3 * 5 * 7 * 4


def test_a_gradient_costs_twice_and_rematerialization_once_more():
    x, w = jnp.ones((4, 8)), jnp.ones((3, 8, 8))
    product = 2 * 4 * 8 * 8

    def loss(policy, w, x):
        def layer(x, w):
            return jnp.sin(jnp.sin(x @ w) @ w), None

        layer = layer if policy is None else jax.checkpoint(layer, policy=policy)
        return jnp.sum(jax.lax.scan(layer, x, w)[0])

    def of(policy):
        return traced_flops(jax.grad(lambda w: loss(policy, w, x)), w)

    whole = 3 * 2 * product
    # The first layer's input needs a gradient too, as far as the scan can tell.
    assert of(None) == 3 * whole
    # The last product's result is an input of sin, whose gradient needs it: both come again.
    assert of(jax.checkpoint_policies.nothing_saveable) == 4 * whole
    assert of(jax.checkpoint_policies.everything_saveable) == 3 * whole


def test_what_is_kept_is_not_counted_as_computed_again():
    x, w = jnp.ones((4, 8)), jnp.ones((8, 8))

    def loss(policy, w):
        def layer(w):
            return jnp.sin(checkpoint_name(jnp.sin(x @ w), "kept") @ w)

        return jnp.sum(jax.checkpoint(layer, policy=policy)(w))

    def products(policy):
        both = jax.value_and_grad(functools.partial(loss, policy))
        return traced_flops(both, w) / (2 * 4 * 8 * 8)

    policies = jax.checkpoint_policies
    # Forward 2; for the gradients 3 (x needs none); again: both, or the second and, for the
    # derivative of sin, the first; with the first product itself kept only the second.
    assert products(policies.everything_saveable) == 2 + 3
    assert products(policies.nothing_saveable) == 2 + 3 + 2
    assert products(policies.save_only_these_names("kept")) == 2 + 3 + 2
    assert products(policies.dots_saveable) == 2 + 3
    unused = lambda w: (jnp.sum(x @ w), x @ w @ w)[0]  # noqa: E731
    assert traced_flops(unused, w) == 2 * 4 * 8 * 8


def test_a_body_that_each_device_runs_counts_for_all():
    mesh = Mesh(jax.devices()[:1], ("x",))
    mapped = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    assert traced_flops(mapped, jnp.ones((4, 8))) == 2 * 4 * 4 * 8
    # As in model/sharding; JAX 0.12 makes an abstract mesh with explicit axes by itself.
    four = jax.sharding.AbstractMesh((4,), ("x",), axis_types=(AxisType.Auto,))
    mapped = jax.shard_map(lambda x: x @ x.T, mesh=four, in_specs=P("x"), out_specs=P("x"))
    assert traced_flops(mapped, jax.ShapeDtypeStruct((16, 8), jnp.float32)) == 4 * 2 * 4 * 4 * 8


@pytest.mark.parametrize("length", [512, 1024, 2048])
def test_splash_attention_computes_the_blocks_that_no_query_hides(length):
    """Counted block by block, of 512 x 512; forward 2 products, for the gradients 4 and 3 more."""
    H, K, block = 2, 128, 512
    positions_BxT = jnp.arange(length)[None]
    segments_BxT = jnp.ones((1, length), jnp.int32)

    def total(q, k, v):
        attend = make_attend("splash", positions_BxT, segments_BxT)
        return jnp.sum(attend(q, k, v))

    row = jax.ShapeDtypeStruct((1, length, H, K), jnp.bfloat16)
    blocks = [
        (first_query, first_key)
        for first_query in range(0, length, block)
        for first_key in range(0, length, block)
        if first_key <= first_query + block - 1  # its last query sees its first key
    ]
    product = 2 * block * block * K * H * len(blocks)
    assert traced_flops(total, row, row, row) == 2 * product
    gradients = jax.grad(total, (0, 1, 2))
    # Beside the kernels, the sum of output x gradient of each query: less than 0.1 %.
    assert traced_flops(gradients, row, row, row) == pytest.approx(9 * product, rel=1e-3)


@pytest.mark.parametrize(("length", "products"), [(512, 7), (2048, 7), (4096, 9)])
def test_fused_gradients_compute_scores_and_their_slopes_once(length, products):
    """Forward 2 products; gradients 5 (scores, slopes, and one each for q, k and v), apart 7."""
    H, K, block = 2, 128, 512
    positions_BxT = jnp.arange(length)[None]
    segments_BxT = jnp.ones((1, length), jnp.int32)

    def total(q, k, v):
        attend = make_attend("splash", positions_BxT, segments_BxT, fused_gradients=True)
        return jnp.sum(attend(q, k, v))

    row = jax.ShapeDtypeStruct((1, length, H, K), jnp.bfloat16)
    sides = length // block
    product = 2 * block * block * K * H * (sides * (sides + 1) // 2)
    found = traced_flops(jax.grad(total, (0, 1, 2)), row, row, row)
    assert found == pytest.approx(products * product, rel=1e-3)
