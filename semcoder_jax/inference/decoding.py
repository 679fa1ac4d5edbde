"""Device programs of the engine: prefill of a prompt, and a chunk of decoding.

A chunk decodes some of the slots, each a row of the batch. Before each chunk the host (engine.py)
sends the inputs of every row. The device keeps the cache and the tokens of all slots, both donated,
and runs the steps of a chunk in a `lax.while_loop`, which ends early if rows have ended and other
samples wait.

Prefill leaves out the last token of a prompt: it is the first input of decoding, so that one
place chooses every token, and the samples of a prompt share the prefill.

The engine's size fixes all shapes. There is one program per size of a prompt piece, one each for a
new slot's tokens and the copy of a page, and two per number of rows of a chunk: with and without
drafts.

Axes beside those of model.py: S slots, M positions of the context, N pages of a row, C tokens of a
chunk, A most probable alternatives.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from semcoder_jax.inference.logits import (
    allow_only,
    choose,
    penalize_repetition,
    token_logprobs,
)
from semcoder_jax.inference.params import MAX_TOP_LOGPROBS
from semcoder_jax.inference.speculation import draft
from semcoder_jax.model.kv_cache import KVCache

CHUNK_TOKENS = 32
PIECES = (32, 64, 128, 256, 512)
BLOCK = 64  # tokens of a prompt that are found in the cache together


class Rows(NamedTuple):
    """Inputs of each row, from the host; a row without a sample is inactive with length 1.

    Attributes:
      active_B: bool.
      length_B: int32, tokens so far, prompt included; the last is not yet in the cache.
      limit_B: int32, length at which the row must end.
      pages_BxN: int32, see kv_cache.
      seed_B, stream_B: uint32, the random stream of the row.
      temperature_B, top_p_B, min_p_B, penalty_B: float32.
      top_k_B: int32.
      ignore_eos_B: bool, rows that end tokens do not end.
      constrained_B: bool, rows whose next token must be allowed (see `decode`).
      logprobs_B: int32, -1 for none, else the number of alternatives.
    """

    active_B: jax.Array
    length_B: jax.Array
    limit_B: jax.Array
    pages_BxN: jax.Array
    seed_B: jax.Array
    stream_B: jax.Array
    temperature_B: jax.Array
    top_k_B: jax.Array
    top_p_B: jax.Array
    min_p_B: jax.Array
    penalty_B: jax.Array
    ignore_eos_B: jax.Array
    constrained_B: jax.Array
    logprobs_B: jax.Array


class Chunk(NamedTuple):
    """Results of a chunk of decoding.

    Attributes:
      tokens_BxC: int32, valid up to `count_B`, as are the log-probabilities.
      count_B: int32.
      ended_B: bool, rows that reached EOS or their limit.
      logprob_BxC: float32, of each token; top_BxCxA and top_logprob_BxCxA of the alternatives.
      num_steps, row_steps: int32 scalars, passes of the model, and active rows summed over them.
    """

    tokens_BxC: jax.Array
    count_B: jax.Array
    ended_B: jax.Array
    logprob_BxC: jax.Array
    top_BxCxA: jax.Array
    top_logprob_BxCxA: jax.Array
    num_steps: jax.Array
    row_steps: jax.Array


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Describes the vocabulary.

    num_real_tokens: ids from here on are padding and never chosen; eos_ids: tokens that end a row.
    """

    num_real_tokens: int
    eos_ids: tuple[int, ...]


def pieces_of(length: int) -> list[int]:
    """Returns the piece sizes of the prefill of `length` tokens; the last piece may be padded.

    They depend only on the length. All but the last are whole blocks, and so begin at the start of
    a page. 32 tokens or fewer after the last whole block are a piece of their own: on a CPU,
    products with up to 32 rows give other bits than larger ones do, so that a token's bits depend
    only on its place, not on where the prefill began.
    """
    rest = length % BLOCK
    if 0 < rest <= PIECES[0]:
        return [*_whole_pieces(length - rest), PIECES[0]]
    pieces, left = [], length
    while left > 0:
        covering = next((size for size in PIECES[1:] if size >= left), PIECES[-1])
        if left > 0.75 * covering or covering == PIECES[1]:
            pieces.append(covering)
        else:  # a quarter or more of the covering piece would be padding
            pieces.append(max(size for size in PIECES if size <= left))
        left -= pieces[-1]
    return pieces


def _whole_pieces(length: int) -> list[int]:
    """Returns sizes that add up to `length`, a multiple of BLOCK, the largest first."""
    pieces = []
    for size in reversed(PIECES[1:]):
        pieces += [size] * (length // size)
        length %= size
    return pieces


@functools.partial(jax.jit, static_argnames=("graphdef",), donate_argnames=("cache",))
def read_piece(graphdef, params, cache: KVCache, pages_1xN, tokens_1xT, start) -> KVCache:
    """Prefills tokens of one row at positions `start` …; returns the new cache."""
    model = nnx.merge(graphdef, params)
    positions_1xT = start + jnp.arange(tokens_1xT.shape[1])[None]
    _, cache = model.hidden(tokens_1xT, positions_1xT, cache=cache, pages_BxN=pages_1xN)
    return cache


@functools.partial(jax.jit, static_argnames=("graphdef", "vocabulary"), donate_argnames=("cache",))
def score_piece(
    graphdef,
    params,
    cache: KVCache,
    pages_1xN,
    tokens_1xT,
    targets_T,
    start,
    *,
    vocabulary: Vocabulary,
) -> tuple[KVCache, tuple[jax.Array, jax.Array, jax.Array]]:
    """Prefills as `read_piece` does; returns `token_logprobs` of the targets, the next tokens."""
    model = nnx.merge(graphdef, params)
    positions_1xT = start + jnp.arange(tokens_1xT.shape[1])[None]
    hidden_1xTxD, cache = model.hidden(tokens_1xT, positions_1xT, cache=cache, pages_BxN=pages_1xN)

    def score(block):
        hidden_NxD, targets_N = block
        logits_NxV = _real_logits(model, hidden_NxD, vocabulary)
        return token_logprobs(logits_NxV, targets_N, MAX_TOP_LOGPROBS)

    # By blocks: logits of a whole piece would take more memory than a chunk of decoding.
    N = PIECES[0]
    blocks = hidden_1xTxD.reshape(-1, N, hidden_1xTxD.shape[-1]), targets_T.reshape(-1, N)
    scores = jax.lax.map(score, blocks)
    return cache, jax.tree.map(lambda each: each.reshape(-1, *each.shape[2:]), scores)


def _real_logits(model, hidden_NxD, vocabulary: Vocabulary) -> jax.Array:
    """Returns logits, -inf for ids that are padding."""
    logits_NxV = model.logits(hidden_NxD)
    real_V = jnp.arange(logits_NxV.shape[1]) < vocabulary.num_real_tokens
    return jnp.where(real_V, logits_NxV, -jnp.inf)


@functools.partial(jax.jit, donate_argnames=("history_SxM",))
def set_history(history_SxM, slot, tokens_M) -> jax.Array:
    """Writes the tokens of a new sample into its slot."""
    return jax.lax.dynamic_update_index_in_dim(history_SxM, tokens_M, slot, 0)


@functools.partial(jax.jit, donate_argnames=("cache",))
def copy_page(cache: KVCache, source, target) -> KVCache:
    return cache.copy_page(source, target)


@functools.partial(
    jax.jit,
    static_argnames=("graphdef", "vocabulary", "num_drafts"),
    donate_argnames=("cache", "history_SxM"),
)
def decode(
    graphdef,
    params,
    cache: KVCache,
    history_SxM,
    slot_B,
    rows: Rows,
    allowed_BxW,
    max_steps,
    min_going,
    *,
    vocabulary: Vocabulary,
    num_drafts: int,
) -> tuple[KVCache, jax.Array, Chunk]:
    """Decodes up to CHUNK_TOKENS tokens for each active row; the row must have the pages.

    `history_SxM` has the tokens of every slot; `slot_B` names the slot of each row, no slot twice.
    Ends after `max_steps` steps, when fewer than `min_going` (at least 1) rows are active, or
    when a row's chunk may overflow. Each step drafts and checks `num_drafts` tokens per row
    (0: none). A constrained row takes its next token from `allowed_BxW` (see logits.allow_only),
    which holds for one token: then `max_steps` must be 1 and `num_drafts` 0.
    """
    model = nnx.merge(graphdef, params)
    B, C, A, T = rows.active_B.shape[0], CHUNK_TOKENS, MAX_TOP_LOGPROBS, 1 + num_drafts
    step_T, row_Bx1 = jnp.arange(T), jnp.arange(B)[:, None]
    keys_B = jax.random.wrap_key_data(
        jnp.stack([rows.seed_B, rows.stream_B], axis=1), impl="threefry2x32"
    )

    def of_each_token(of_row_B):
        return jnp.repeat(of_row_B, T, axis=0)

    def going(state):
        _, _, _, going_B, chunk = state
        room = chunk.count_B.max() + T <= C
        return (chunk.num_steps < max_steps) & room & (going_B.sum() >= min_going)

    def one_step(state):
        cache, history_BxM, length_B, going_B, chunk = state
        position_BxT = length_B[:, None] - 1 + step_T
        last_Bx1 = jnp.take_along_axis(history_BxM, length_B[:, None] - 1, axis=1)
        drafts_BxK = draft(history_BxM, length_B, num_drafts)
        tokens_BxT = jnp.concatenate([last_Bx1, jnp.maximum(drafts_BxK, 0)], axis=1)
        hidden_BxTxD, cache = model.hidden(
            tokens_BxT, position_BxT, cache=cache, pages_BxN=rows.pages_BxN
        )
        logits_XxV = _real_logits(model, hidden_BxTxD.reshape(B * T, -1), vocabulary)
        likely_XxV = jax.lax.cond(
            (rows.penalty_B != 1).any(),
            lambda: penalize_repetition(
                logits_XxV,
                _seen(history_BxM, length_B, tokens_BxT, logits_XxV.shape[1]),
                of_each_token(rows.penalty_B),
            ),
            lambda: logits_XxV,
        )
        likely_XxV = jax.lax.cond(
            rows.constrained_B.any(),
            lambda: allow_only(
                likely_XxV, of_each_token(allowed_BxW), of_each_token(rows.constrained_B)
            ),
            lambda: likely_XxV,
        )
        # A token's random number depends only on its row's stream and its position.
        key_X = jax.vmap(jax.random.fold_in)(of_each_token(keys_B), position_BxT.reshape(-1) + 1)
        chosen_X = choose(
            likely_XxV,
            key_X,
            of_each_token(rows.temperature_B),
            of_each_token(rows.top_k_B),
            of_each_token(rows.top_p_B),
            of_each_token(rows.min_p_B),
        )
        chosen_BxT = chosen_X.reshape(B, T)
        # A token counts if all drafts before it were right and none of them ended the row.
        right_BxT = jnp.pad(
            chosen_BxT[:, :-1] == drafts_BxK, ((0, 0), (1, 0)), constant_values=True
        )
        final_BxT = position_BxT + 2 >= rows.limit_B[:, None]
        for eos in vocabulary.eos_ids:
            final_BxT |= (chosen_BxT == eos) & ~rows.ignore_eos_B[:, None]
        open_BxT = jnp.pad(~final_BxT[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        taken_BxT = jnp.cumprod(right_BxT & open_BxT, axis=1).astype(bool) & going_B[:, None]
        num_taken_B = taken_BxT.sum(axis=1)
        ended_B = (taken_BxT & final_BxT).any(axis=1)

        place_BxT = jnp.where(taken_BxT, chunk.count_B[:, None] + step_T, C)
        history_place_BxT = jnp.where(taken_BxT, position_BxT + 1, history_BxM.shape[1])
        history_BxM = history_BxM.at[row_Bx1, history_place_BxT].set(chosen_BxT, mode="drop")
        chunk = chunk._replace(
            tokens_BxC=chunk.tokens_BxC.at[row_Bx1, place_BxT].set(chosen_BxT, mode="drop"),
            count_B=chunk.count_B + num_taken_B,
            ended_B=chunk.ended_B | ended_B,
            num_steps=chunk.num_steps + 1,
            row_steps=chunk.row_steps + going_B.sum(),
        )
        chunk = jax.lax.cond(
            (rows.logprobs_B >= 0).any(),
            lambda: _with_logprobs(chunk, logits_XxV, chosen_X, row_Bx1, place_BxT),
            lambda: chunk,
        )
        return cache, history_BxM, length_B + num_taken_B, going_B & ~ended_B, chunk

    chunk = Chunk(
        tokens_BxC=jnp.zeros((B, C), jnp.int32),
        count_B=jnp.zeros(B, jnp.int32),
        ended_B=jnp.zeros(B, bool),
        logprob_BxC=jnp.zeros((B, C)),
        top_BxCxA=jnp.zeros((B, C, A), jnp.int32),
        top_logprob_BxCxA=jnp.zeros((B, C, A)),
        num_steps=jnp.int32(0),
        row_steps=jnp.int32(0),
    )
    state = (cache, history_SxM[slot_B], rows.length_B, rows.active_B, chunk)
    cache, history_BxM, _, _, chunk = jax.lax.while_loop(going, one_step, state)
    return cache, history_SxM.at[slot_B].set(history_BxM), chunk


def _seen(history_BxM, length_B, tokens_BxT, V: int) -> jax.Array:
    """Returns which tokens stand before each choice, bool [B·T, V]: the row's, then its drafts."""
    (B, M), T = history_BxM.shape, tokens_BxT.shape[1]
    known_BxM = jnp.arange(M) < length_B[:, None]
    row_B = jnp.arange(B)
    seen_BxV = jnp.zeros((B, V), bool)
    seen_BxV = seen_BxV.at[row_B[:, None], jnp.where(known_BxM, history_BxM, V)].set(
        True, mode="drop"
    )
    earlier_TxT = jnp.tril(jnp.ones((T, T), bool))
    drafts_BxTxT = jnp.where(earlier_TxT, tokens_BxT[:, None, :], V)
    seen_BxTxV = jnp.broadcast_to(seen_BxV[:, None], (B, T, V))
    seen_BxTxV = seen_BxTxV.at[
        row_B[:, None, None], jnp.arange(T)[None, :, None], drafts_BxTxT
    ].set(True, mode="drop")
    return seen_BxTxV.reshape(B * T, V)


def _with_logprobs(chunk: Chunk, logits_XxV, chosen_X, row_Bx1, place_BxT) -> Chunk:
    chosen_X, top_logprob_XxA, top_XxA = token_logprobs(logits_XxV, chosen_X, MAX_TOP_LOGPROBS)
    A = top_XxA.shape[1]

    def put(array, new):
        return array.at[row_Bx1, place_BxT].set(new.reshape(place_BxT.shape), mode="drop")

    def put_top(array_BxCxA, new_XxA):
        return array_BxCxA.at[row_Bx1, place_BxT, :A].set(
            new_XxA.reshape(*place_BxT.shape, A), mode="drop"
        )

    return chunk._replace(
        logprob_BxC=put(chunk.logprob_BxC, chosen_X),
        top_BxCxA=put_top(chunk.top_BxCxA, top_XxA),
        top_logprob_BxCxA=put_top(chunk.top_logprob_BxCxA, top_logprob_XxA),
    )
