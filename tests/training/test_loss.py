"""Compares cross entropy with float64 NumPy, and tests the shape of the compiled gradient.

All is jitted, as in training: op by op, each shape of each operation is a program of its own.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semcoder_jax.training import loss as training_loss
from semcoder_jax.training.loss import chunked_cross_entropy

B, T, V = 3, 7, 13
token_cross_entropy = jax.jit(training_loss.token_cross_entropy)
sums_by_kind = jax.jit(training_loss.sums_by_kind, static_argnums=2)


def example(scale=3.0):
    random = np.random.default_rng(0)
    logits = random.normal(scale=scale, size=(B, T, V)).astype(np.float32)
    targets = random.integers(0, V, (B, T), np.int32)
    weights = random.integers(0, 3, (B, T)).astype(np.float32)
    return logits, targets, weights


def log_softmax64(logits):
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@jax.jit
def weighted_cross_entropy(logits, targets, weights):
    """(sum of losses, sum of weights), all positions at once."""
    return chunked_cross_entropy(lambda x: x, logits, targets, weights, targets.shape[1])[:2]


def test_sums_are_those_of_float64():
    logits, targets, weights = example()
    expected_BxT = -np.take_along_axis(log_softmax64(logits), targets[..., None], -1)[..., 0]
    loss_sum, weight_sum = weighted_cross_entropy(logits, targets, weights)
    np.testing.assert_allclose(loss_sum, (expected_BxT * weights).sum(), rtol=1e-6)
    assert weight_sum == weights.sum()
    np.testing.assert_allclose(token_cross_entropy(logits, targets), expected_BxT, rtol=1e-5)


def test_gradient_is_softmax_minus_one_hot():
    logits, targets, weights = example()
    gradient_of = jax.jit(jax.grad(lambda x: weighted_cross_entropy(x, targets, weights)[0]))
    gradient = gradient_of(logits)
    expected = weights[..., None] * (np.exp(log_softmax64(logits)) - np.eye(V)[targets])
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_hidden_targets_add_nothing_even_when_infinite():
    logits, targets, _ = example()
    weights = np.zeros((B, T), np.float32)
    weights[0, 0] = 1.0
    wild = logits.copy()
    wild[1] = np.inf
    assert weighted_cross_entropy(wild, targets, weights) == weighted_cross_entropy(
        logits, targets, weights
    )


def test_logits_of_a_thousand_stay_finite_and_exact():
    logits = np.zeros((1, 1, V), np.float32)
    logits[..., 4] = 1000.0
    assert token_cross_entropy(logits, np.array([[4]]))[0, 0] == 0.0
    assert token_cross_entropy(logits, np.array([[5]]))[0, 0] == 1000.0


def test_bfloat16_logits_are_summed_in_float32():
    logits, targets, weights = example()
    logits = jnp.asarray(logits, jnp.bfloat16)
    in_float32 = weighted_cross_entropy(logits.astype(jnp.float32), targets, weights)
    assert weighted_cross_entropy(logits, targets, weights) == in_float32


def test_gradient_compiles_without_gather_and_scatter():
    logits, targets, weights = example()
    gradient = jax.jit(jax.grad(lambda x: weighted_cross_entropy(x, targets, weights)[0]))
    compiled = gradient.lower(logits).compile().as_text()
    assert "exponential" in compiled
    assert not re.search(r" (gather|scatter)\(", compiled)


def chunked_example(chunk):
    """(loss of a hidden state and an output matrix, in chunks; both arguments)."""
    random = np.random.default_rng(1)
    hidden_BxTxD = random.normal(size=(B, T, 5)).astype(np.float32)
    weight_DxV = random.normal(size=(5, V)).astype(np.float32)
    _, targets, weights = example()

    def loss(hidden_BxTxD, weight_DxV):
        total, weight, _ = chunked_cross_entropy(
            lambda x: x @ weight_DxV, hidden_BxTxD, targets, weights, chunk
        )
        return total / weight

    return loss, (hidden_BxTxD, weight_DxV)


@pytest.mark.parametrize("chunk", [1, 2, 3, 6, 7, 100])
def test_chunks_change_neither_loss_nor_gradients(chunk):
    loss, arguments = chunked_example(chunk)
    whole, _ = chunked_example(T)
    with_gradients = functools.partial(jax.value_and_grad, argnums=(0, 1))
    value, gradients = jax.jit(with_gradients(loss))(*arguments)
    expected, expected_gradients = jax.jit(with_gradients(whole))(*arguments)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)


@pytest.mark.parametrize("chunk", [2, 4, 100])
def test_the_loss_of_each_position_and_their_sums_by_kind(chunk):
    logits, targets, weights = example()
    total, _, losses = jax.jit(lambda *arrays: chunked_cross_entropy(lambda x: x, *arrays, chunk))(
        logits, targets, weights
    )
    expected = -np.take_along_axis(log_softmax64(logits), targets[..., None], -1)[..., 0] * weights
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    kinds = np.random.default_rng(2).integers(0, 4, losses.shape).astype(np.int32)
    by_kind = sums_by_kind(losses, kinds, 3)
    for kind in (1, 2, 3):
        np.testing.assert_allclose(by_kind[kind - 1], expected[kinds == kind].sum(), rtol=1e-5)
    everything = sums_by_kind(losses, np.ones_like(kinds), 1)
    np.testing.assert_allclose(everything[0], total, rtol=1e-6)


def test_no_logits_of_the_whole_batch_exist():
    def shapes(chunk):
        loss, arguments = chunked_example(chunk)
        compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*arguments).compile()
        found = re.findall(r"f32\[([\d,]+)\]", compiled.as_text())
        return {np.prod([int(size) for size in shape.split(",")]) for shape in found}

    assert B * T * V in shapes(T)
    assert max(shapes(2)) < B * T * V
