"""Tests log-probabilities of given tokens against those of the decoder's whole logits."""

import numpy as np
import pytest
import scipy.special

from semcoder_jax.inference.generate import SamplingParams, generate
from semcoder_jax.inference.likelihood import CHUNK, score_rows
from semcoder_jax.inference.params import SamplingError
from semcoder_jax.loading import load_model
from tests.support.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_checkpoint(tmp_path_factory.mktemp("likelihood") / "checkpoint"))


def logits_of(model, rows):
    """The logits of each row's tokens; one program, for a token sees nothing of what follows."""
    import jax
    from flax import nnx

    tokens_BxT = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for tokens_T, row in zip(tokens_BxT, rows, strict=True):
        tokens_T[: len(row)] = row
    positions_BxT = np.broadcast_to(np.arange(tokens_BxT.shape[1]), tokens_BxT.shape)
    decode = jax.jit(lambda params, *batch: nnx.merge(model.graphdef, params)(*batch))
    logits = decode(model.params, tokens_BxT, positions_BxT, np.ones_like(tokens_BxT))
    return [one[: len(row)] for one, row in zip(np.asarray(logits, np.float64), rows, strict=True)]


def expected(logits_TxV, row, count):
    """(log-probability, greedy) of the last tokens, by numpy."""
    logprobs_TxV = scipy.special.log_softmax(logits_TxV, axis=-1)
    places = range(len(row) - 1 - count, len(row) - 1)
    greedy = all(logits_TxV[place].argmax() == row[place + 1] for place in places)
    return sum(logprobs_TxV[place, row[place + 1]] for place in places), greedy


def test_the_last_tokens_count_whatever_stands_beside_them(model):
    rng = np.random.default_rng(0)
    vocab_size = model.config.vocab_size
    lengths = [2, 9, 64, CHUNK, CHUNK + 1, CHUNK + 2, 200]
    rows = [rng.integers(0, vocab_size, length).tolist() for length in lengths]
    counts = [1, 3, 63, 5, 0, CHUNK + 1, 7]
    found = score_rows(model, rows, counts, batch_size=3)
    for one, logits, row, count in zip(found, logits_of(model, rows), rows, counts, strict=True):
        logprob, greedy = expected(logits, row, count)
        assert one.logprob == pytest.approx(logprob, abs=2e-4)
        assert one.is_greedy == greedy
    assert found[4] == (0.0, True)


def test_what_the_engine_samples_greedily_is_greedy(model):
    prompt = [1, 5, 9, 4]
    params = SamplingParams(max_new_tokens=6)
    (generated,) = generate(model, [prompt], params, progress=None)
    tokens = [*prompt, *generated.tokens]
    count = len(generated.tokens)
    changed = [*tokens[:-1], (tokens[-1] + 1) % 50]
    found = score_rows(model, [tokens, changed], [count, count])
    assert [one.is_greedy for one in found] == [True, False]


@pytest.mark.parametrize(
    ("row", "count", "message"),
    [([1, 2], 2, "2 tokens to score, expected 0 to 1"), ([], 0, "expected 0 to -1"),
     ([1] * 322, 1, "322 tokens, the model's context holds 320")],
)  # fmt: skip
def test_rows_that_cannot_be_scored(model, row, count, message):
    with pytest.raises(SamplingError, match=message):
        score_rows(model, [[1, 2], row], [1, count])
