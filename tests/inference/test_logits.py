"""Tests drawing of tokens: transformers' distributions, independent rows, ties at a cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.generation import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from semcoder_jax.inference import logits as token_choice

choose = jax.jit(token_choice.choose)
DRAWS = 20_000


def expected_shares(logits, temperature, top_k, top_p, min_p=0.0):
    scores = TemperatureLogitsWarper(temperature)(None, torch.tensor(logits[None]))
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    if min_p:
        scores = MinPLogitsWarper(min_p)(None, scores)
    return torch.softmax(scores, -1)[0].numpy()


def draw(logits, temperature, top_k, top_p, min_p=0.0, draws=DRAWS, seed=0):
    chosen = choose(
        jnp.broadcast_to(jnp.asarray(logits), (draws, len(logits))),
        jax.random.split(jax.random.key(seed), draws),
        jnp.full(draws, temperature, jnp.float32),
        jnp.full(draws, top_k, jnp.int32),
        jnp.full(draws, top_p, jnp.float32),
        jnp.full(draws, min_p, jnp.float32),
    )
    return np.asarray(chosen)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "min_p"),
    [
        (0.7, 0, 1.0, 0),
        (1.3, 0, 0.8, 0),
        (1.0, 0, 0.35, 0),
        (1.0, 3, 1.0, 0),
        (2.0, 6, 0.7, 0),
        (1.0, 99, 0.99, 0),
        (1.3, 0, 1.0, 0.1),
        (2.0, 9, 0.9, 0.3),
        (1.0, 0, 1.0, 1.0),
    ],
)
def test_choices_follow_the_distribution_of_transformers(temperature, top_k, top_p, min_p):
    logits = np.random.default_rng(5).normal(size=20).astype(np.float32) * 2
    logits[4] = logits[9]  # a tie
    expected = expected_shares(logits, temperature, top_k, top_p, min_p)
    drawn = draw(logits, temperature, top_k, top_p, min_p)
    share = np.bincount(drawn, minlength=20) / DRAWS
    assert not share[expected == 0].any()
    sigma = np.sqrt(expected * (1 - expected) / DRAWS)
    assert np.all(np.abs(share - expected) <= 5 * sigma + 1e-9)


def test_a_large_vocabulary_is_cut_where_transformers_cuts_it():
    """Which tokens may be drawn at all, over hundreds of blocks of the vocabulary."""
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=5000) * 3).astype(np.float32)
    for top_k, top_p in [(0, 0.5), (0, 0.93), (40, 1.0), (300, 0.6)]:
        expected = expected_shares(logits, 1.0, top_k, top_p)
        weights = np.exp(logits - logits.max())
        kept = jax.jit(token_choice._filter_weights)(
            jnp.asarray(logits[None]),
            jnp.asarray(weights[None]),
            jnp.array([top_k]),
            jnp.array([top_p], jnp.float32),
            jnp.zeros(1),
        )
        assert (np.asarray(kept[0] > 0) == (expected > 0)).all()
        np.testing.assert_allclose(kept[0] / kept[0].sum(), expected, atol=1e-6)
        drawn = draw(logits, 1.0, top_k, top_p, draws=500)
        assert (expected[drawn] > 0).all()


def test_equal_tokens_at_the_edge_are_told_apart():
    """Four equal tokens and top_p 0.5: two of them, as a sort would leave."""
    drawn = draw(np.zeros(4, np.float32), 1.0, 0, 0.5, draws=500)
    assert set(drawn.tolist()) == {0, 1}


def test_a_token_depends_on_its_own_row_alone():
    """A row that wants no cut draws the same beside one that does, at any place and width."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6, 300)).astype(np.float32)
    keys = jax.random.split(jax.random.key(3), 6)
    temperature = jnp.array([1.0, 0.0, 0.7, 1.5, 1.0, 0.0])
    top_k, top_p = jnp.array([0, 0, 0, 5, 0, 0]), jnp.array([1, 1, 0.9, 1, 1, 1], jnp.float32)
    cuts = top_k, top_p, jnp.array([0, 0, 0, 0, 0.2, 0])
    together = np.asarray(choose(jnp.asarray(logits), keys, temperature, *cuts))
    for rows in ([0], [5, 0, 2], [3, 2, 4], [4, 4, 4]):
        at = jnp.array(rows)
        some = choose(
            jnp.asarray(logits)[at], keys[at], temperature[at], *(cut[at] for cut in cuts)
        )
        assert (np.asarray(some) == together[rows]).all()
    assert (together[[1, 5]] == logits[[1, 5]].argmax(-1)).all()


def test_what_has_no_probability_is_never_drawn():
    logits = np.full(300, -np.inf, np.float32)
    logits[[7, 140, 299]] = [0.0, -80.0, 1.0]
    for temperature in (0.01, 1.0, 1000.0):
        drawn = draw(logits, temperature, 0, 1.0, draws=2000)
        assert set(drawn.tolist()) <= {7, 140, 299}
    assert set(drawn.tolist()) == {7, 140, 299}  # nearly even at a temperature of 1000


def test_a_temperature_near_zero_is_greedy():
    logits = np.array([-40.0, 60.0, 59.0, 3.0], np.float32)
    for temperature in (1e-5, 1e-30, 2e-38):
        assert set(draw(logits, temperature, 0, 1.0, draws=2000).tolist()) == {1}


def test_order_of_floats():
    scores = jnp.array([-jnp.inf, -3.0, -1e-30, 0.0, 1e-30, 2.0, 1e30])
    assert (np.diff(np.asarray(token_choice._order(scores)).astype(np.int64)) > 0).all()


def test_repetitions_are_penalized_as_in_transformers():
    rng = np.random.default_rng(4)
    penalize = jax.jit(token_choice.penalize_repetition)
    for penalty in (0.5, 1.0, 1.3, 2.0):
        scores = np.round(rng.normal(size=(1, 8)) * 3).astype(np.float32)  # zeros, too
        row = rng.integers(0, 8, (1, 5))
        seen = np.isin(np.arange(8), row)[None]
        expected = RepetitionPenaltyLogitsProcessor(penalty)(
            torch.tensor(row), torch.tensor(scores)
        )
        np.testing.assert_allclose(penalize(scores, seen, np.array([penalty])), expected, rtol=1e-6)


def test_a_mask_allows_its_bits_in_constrained_rows():
    rng = np.random.default_rng(2)
    allowed = rng.random((2, 70)) < 0.3
    words = np.zeros((2, 3), np.uint32)
    for row, token in zip(*np.nonzero(allowed), strict=True):
        words[row, token // 32] |= np.uint32(1 << token % 32)
    logits = rng.normal(size=(2, 70)).astype(np.float32)
    found = token_choice.allow_only(jnp.asarray(logits), words, jnp.array([True, False]))
    np.testing.assert_array_equal(found[0], np.where(allowed[0], logits[0], -np.inf))
    np.testing.assert_array_equal(found[1], logits[1])
