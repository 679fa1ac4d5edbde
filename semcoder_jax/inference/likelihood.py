"""Computes how probable given tokens are after others: log-probabilities without sampling.

Over the model's whole vocabulary, padding included, as transformers and other servers have it. The
engine never samples padding.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from semcoder_jax.inference.params import SamplingError

CHUNK = 128  # positions whose logits exist at one time


class Likelihood(NamedTuple):
    """The natural log-probability of a row's last tokens, and whether each is the most probable."""

    logprob: float
    is_greedy: bool


def score_rows(
    model,
    rows: Sequence[Sequence[int]],
    counts: Sequence[int],
    *,
    batch_size: int = 16,
    progress: str | None = None,
) -> list[Likelihood]:
    """Returns the likelihood of the last `counts[i]` tokens of `rows[i]`, given those before them.

    Args:
      model: has `config`, `graphdef` and `params` (loading.load_model).
      rows: token ids.
      counts: how many of a row's tokens to score; the first token cannot be scored.
      batch_size: rows computed together.
      progress: label of the progress bar, None for no bar.

    Raises SamplingError for a row that does not fit the context, or a count out of range.
    """
    for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
        if not 0 <= count < len(row):
            raise SamplingError(f"row {i}: {count} tokens to score, expected 0 to {len(row) - 1}")
        if len(row) - 1 > model.config.max_positions:
            raise SamplingError(
                f"row {i} has {len(row)} tokens, the model's context holds "
                f"{model.config.max_positions}"
            )
    found: list[Likelihood | None] = [None] * len(rows)
    with tqdm(total=len(rows), desc=progress, unit="row", disable=progress is None) as bar:
        for some in _batches(rows, batch_size):
            padded = [rows[i] for i in some] + [[0, 0]] * (batch_size - len(some))
            wanted = [counts[i] for i in some] + [0] * (batch_size - len(some))
            logprob_B, greedy_B = jax.device_get(_score(model, padded, wanted))
            for place, i in enumerate(some):
                found[i] = Likelihood(float(logprob_B[place]), bool(greedy_B[place]))
            bar.update(len(some))
    return [one for one in found if one is not None]


def _batches(rows: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Yields the indices of rows of similar length, the longest first: memory fails at once."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _score(model, rows: Sequence[Sequence[int]], counts: Sequence[int]):
    longest = max(map(len, rows)) - 1
    T = -(-longest // CHUNK) * CHUNK  # few lengths, so few programs
    tokens_BxT = np.zeros((len(rows), T), np.int32)
    targets_BxT = np.zeros_like(tokens_BxT)
    segments_BxT = np.zeros_like(tokens_BxT)
    wanted_BxT = np.zeros(tokens_BxT.shape, bool)
    for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
        end = len(row) - 1
        tokens_BxT[i, :end], targets_BxT[i, :end] = row[:-1], row[1:]
        segments_BxT[i, :end] = 1
        wanted_BxT[i, end - count : end] = True
    return _score_batch(
        model.graphdef,
        model.params,
        tokens_BxT,
        targets_BxT,
        segments_BxT,
        wanted_BxT,
    )


@functools.partial(jax.jit, static_argnames=("graphdef",))
def _score_batch(graphdef, params, tokens_BxT, targets_BxT, segments_BxT, wanted_BxT):
    """Returns the summed log-probability of the wanted targets and whether all are greedy, [B]."""
    model = nnx.merge(graphdef, params)
    B, T = tokens_BxT.shape
    positions_BxT = jnp.broadcast_to(jnp.arange(T), (B, T))
    hidden_BxTxD, _ = model.hidden(tokens_BxT, positions_BxT, segments_BxT)

    def score_chunk(part):
        hidden_BxCxD, targets_BxC = part
        logits_BxCxV = model.logits(hidden_BxCxD)
        chosen_BxC = jnp.take_along_axis(logits_BxCxV, targets_BxC[..., None], axis=-1)[..., 0]
        logprob_BxC = chosen_BxC - jax.nn.logsumexp(logits_BxCxV, axis=-1)
        return logprob_BxC, logits_BxCxV.argmax(axis=-1) == targets_BxC

    def split_chunks(x):
        return jnp.moveaxis(x.reshape(B, T // CHUNK, CHUNK, *x.shape[2:]), 1, 0)

    parts = jax.lax.map(score_chunk, (split_chunks(hidden_BxTxD), split_chunks(targets_BxT)))
    logprob_BxT, greedy_BxT = (jnp.moveaxis(part, 0, 1).reshape(B, T) for part in parts)
    return (
        jnp.where(wanted_BxT, logprob_BxT, 0.0).sum(axis=1),
        jnp.where(wanted_BxT, greedy_BxT, True).all(axis=1),
    )
