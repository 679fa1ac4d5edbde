"""Tests prompt-lookup drafts: equal to a plain search, and without effect on the output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from semcoder_jax.inference.engine import Engine, Request
from semcoder_jax.inference.params import SamplingParams
from semcoder_jax.inference.speculation import NGRAM, Lookup, SpeculationPolicy, draft
from semcoder_jax.loading import LoadedModel
from semcoder_jax.model.decoder import Decoder
from tests.support.deepseek_shaped import Letters
from tests.support.tiny_decoder import tiny_decoder


def searched(tokens, count):
    """The draft by the definition: the latest place of the longest suffix."""
    for n in range(NGRAM, 0, -1):
        for end in range(len(tokens) - 1, n - 1, -1):
            if len(tokens) >= n and tokens[end - n : end] == tokens[-n:]:
                follows = tokens[end:]
                return [follows[i % len(follows)] for i in range(count)]
    return []


def test_drafts_are_what_a_plain_search_finds():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 4, rng.integers(1, 30)).tolist() for _ in range(60)]
    rows += [[1], [1, 1], [1, 2], [1, 2, 1], [5] * 12, list(range(20))]
    history = np.full((len(rows), 40), 3, np.int32)  # what stands beyond a row's end is not seen
    for b, row in enumerate(rows):
        history[b, : len(row)] = row
    lengths = jnp.array([len(row) for row in rows])
    drafts = np.asarray(jax.jit(draft, static_argnums=2)(jnp.asarray(history), lengths, 5))
    for row, found in zip(rows, drafts, strict=True):
        expected = searched(row, 5)
        assert found.tolist() == (expected or [-1] * 5)
        assert Lookup(row, 5).draft() == expected


@given(st.lists(st.integers(0, 2), min_size=11, max_size=60))
def test_the_host_counts_the_passes_that_drafts_would_have_taken(tokens):
    passes, at = 0, 10
    while at < len(tokens):
        guesses = searched(tokens[:at], 3)
        right = 0
        while right < len(guesses) and tokens[at + right : at + right + 1] == [guesses[right]]:
            right += 1
        at, passes = at + right + 1, passes + 1
    lookup = Lookup(tokens[:10], 3)
    assert lookup.passes_for(tokens[10:]) == passes
    assert lookup.draft() == searched(tokens, 3)


def test_drafts_are_checked_where_that_pays():
    policy = SpeculationPolicy()
    assert not policy.pays([]) and not policy.pays([1.0, 1.2])
    assert policy.pays([3.0, 2.0])  # whatever it costs at first
    policy.record_trial([0.013, 0.010, 0.050], [0.090, 0.013, 0.014])
    assert policy.cost == pytest.approx(1.3)
    assert policy.pays([1.5, 1.4]) and not policy.pays([1.3, 1.4])


def test_the_cost_of_drafts_is_that_of_neighbouring_chunks():
    policy = SpeculationPolicy()
    policy.record_trial([0.010], [0.013])
    for busy in (1.0, 2.0, 4.0, 8.0):  # the whole machine slows: the ratio does not
        for _ in range(5):
            policy.record_time(False, 0.010 * busy, 4)
            policy.record_time(True, 0.013 * busy, 4)
            policy.record_time(True, 0.013 * busy, 4)
    assert policy.cost == pytest.approx(1.3, rel=0.15)
    for _ in range(40):
        policy.record_time(False, 0.010, 4)
        policy.record_time(True, 0.030, 4)
    assert policy.cost == pytest.approx(3.0, rel=0.05)
    policy.record_time(False, 0.010, 4)
    policy.record_time(True, 1000.0, 4)  # a moment of a busy machine
    assert policy.cost < 4


@pytest.mark.parametrize("cost", [1.0, 1.5, 4.0])
def test_drafts_that_gain_nothing_lose_little(cost):
    """The worst case: text that always promises much and never keeps it."""
    policy = SpeculationPolicy()
    policy.record_trial([1.0], [cost])
    tokens, seconds = 0, 0.0
    while tokens < 5000:
        drafted = policy.pays([8.0])
        passes = 8
        policy.record_gain(drafted, passes, 1.0)
        tokens += passes
        seconds += passes * (cost if drafted else 1.0)
    once = policy.FIRST + 8 * (cost - 1)  # the account, and the chunk that empties it
    assert seconds <= 1.04 * tokens + once


def test_what_drafts_gained_pays_for_no_long_loss():
    policy = SpeculationPolicy()
    policy.record_trial([1.0], [1.5])
    policy.record_gain(True, 1000, 3.0)
    lost = 0.0
    while policy.pays([8.0]):
        policy.record_gain(True, 8, 1.0)
        lost += 8 * 0.5
    assert lost <= policy.MOST + 8 * 0.5


@pytest.fixture(scope="module")
def small():
    """A vocabulary of 8, so that every pair of tokens can be counted."""
    config = tiny_decoder(
        vocab_size=8,
        hidden_size=16,
        intermediate_size=32,
        num_heads=2,
        num_kv_heads=1,
        initializer_range=0.3,
    )
    graphdef, params = nnx.split(Decoder(config, rngs=nnx.Rngs(3)))
    return LoadedModel(config, graphdef, params, Letters(8))


PROMPT = [0, 1, 2, 1, 2, 1, 2, 5, 1, 2]


def test_drawn_tokens_follow_the_distribution_of_the_model(small):
    """Chi-square of 6,000 draws of two tokens, both decided in passes over drafts, against the
    probabilities of the model without a cache."""
    draws, temperature = 6000, 2.0
    engine = Engine(small, num_slots=40, page_size=16, speculation="always", num_drafts=3)
    params = SamplingParams(max_new_tokens=2, temperature=temperature, seed=5)
    (generations,) = engine.generate([Request(PROMPT, params, n=draws)])
    counts = np.zeros((8, 8))
    for generation in generations:
        counts[generation.tokens] += 1
    assert engine.stats.drafted_row_steps < engine.stats.generated_tokens  # some were accepted

    model = jax.jit(lambda *batch: nnx.merge(small.graphdef, small.params)(*batch))
    contexts = np.array([[*PROMPT, token] for token in range(8)], np.int32)
    positions = np.broadcast_to(np.arange(contexts.shape[1]), contexts.shape)
    logits = np.asarray(model(contexts, positions, np.ones_like(contexts))) / temperature
    first = jax.nn.softmax(logits[0, -2])
    expected = draws * np.asarray(first)[:, None] * np.asarray(jax.nn.softmax(logits[:, -1]))
    assert expected.min() > 5
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 63 + 4 * np.sqrt(2 * 63)  # 63 degrees of freedom


def test_drafts_change_no_token(small):
    rng = np.random.default_rng(2)
    requests = [
        Request(
            rng.integers(0, 8, rng.integers(1, 20)).tolist(),
            SamplingParams(max_new_tokens=40, temperature=t, top_p=p, seed=i),
        )
        for i, (t, p) in enumerate([(0, 1), (0, 1), (0.4, 1), (1, 0.8), (0.2, 0.9), (0, 1)])
    ]
    kwargs = {"num_slots": 4, "page_size": 16}
    plain = Engine(small, **kwargs, speculation="off")
    drafted = Engine(small, **kwargs, speculation="always", num_drafts=3)
    assert drafted.generate(requests) == plain.generate(requests)
    assert plain.stats.drafted_steps == 0
    assert drafted.stats.drafted_steps == drafted.stats.steps < 0.8 * plain.stats.steps
    assert 0.2 < drafted.stats.accepted < 3
