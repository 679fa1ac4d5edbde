"""Tests that rematerialization changes memory, but never the loss or a gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.config import Compute
from semcoder_jax.model.decoder import Decoder, _lookup_rows
from semcoder_jax.model.remat import POLICIES
from semcoder_jax.training.step import batch_loss_sums
from tests.support.tiny_decoder import tiny_decoder

CONFIG = tiny_decoder(vocab_size=64, max_positions=128)


@pytest.fixture(scope="module")
def batch():
    tokens = np.random.default_rng(0).integers(0, 64, (2, 128), np.int32)
    place = np.arange(128, dtype=np.int32)[None].repeat(2, 0)
    return {
        "tokens": tokens,
        "targets": np.roll(tokens, -1, 1),
        "positions": np.where(place < 50, place, place - 50),
        "segment_ids": np.where(place < 50, 1, 2),
        "loss_mask": np.ones((2, 128), bool),
        "kinds": np.ones((2, 128), np.int32),
    }


@functools.cache
def compiled(policy):
    model = Decoder(CONFIG, rngs=nnx.Rngs(0), compute=Compute(remat=policy))
    graphdef, params = nnx.split(model)

    def loss(params, batch):
        return batch_loss_sums(graphdef, params, batch)[0]

    params = nnx.to_pure_dict(params)
    shapes = {
        name: jax.ShapeDtypeStruct((2, 128), bool if name == "loss_mask" else jnp.int32)
        for name in ("tokens", "targets", "positions", "segment_ids", "loss_mask", "kinds")
    }
    return jax.jit(jax.value_and_grad(loss)).lower(params, shapes).compile(), params


QUICK = ("nothing_saveable", "offload")


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(policy, marks=() if policy in QUICK else pytest.mark.slow)
        for policy in POLICIES
        if policy != "none"
    ],
)
def test_loss_and_gradients_are_the_same(policy, batch):
    (step, params), (plain, _) = compiled(policy), compiled("none")
    loss, gradients = step(params, batch)
    expected_loss, expected = plain(params, batch)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=2e-5),
        gradients,
        expected,
    )


@pytest.mark.slow
def test_less_is_kept_in_this_order():
    """By the compiler's count of temporary memory."""
    order = ("nothing_saveable", "dots_with_no_batch_dims_saveable", "none")
    sizes = [compiled(policy)[0].memory_analysis().temp_size_in_bytes for policy in order]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes), sizes


@pytest.mark.parametrize("by_product", [False, True], ids=["scatter", "product"])
def test_a_frequent_tokens_gradient_arrives_whole_in_bfloat16(by_product):
    """8,192 addends of one; a bfloat16 sum stops growing at 256."""
    table, tokens = jnp.zeros((4, 8), jnp.bfloat16), jnp.zeros((2, 4096), jnp.int32)
    gradient = jax.grad(lambda table: jnp.sum(_lookup_rows(table, tokens, by_product)))(table)
    np.testing.assert_array_equal(gradient[0], 8192)
    assert gradient.dtype == jnp.bfloat16 and not gradient[1:].any()
