"""Sampling on the device: prompts in, generations out, no host round trip for a token.

One batch runs as a prefill (every prompt at once, right padded, true lengths explicit) and then
chunks of decoding steps, each chunk a ``lax.while_loop`` over a donated key/value cache that
ends early when every row is done. Between chunks the host looks once at the new tokens.

Stop strings are the host's part. Under BPE one string has many spellings in tokens, and a token
may reach past its end, so no automaton over token ids is exact. The device therefore decodes at
most ``CHUNK_STEPS`` tokens beyond a stop string; the host finds it in the *text*, ends the row
and cuts: text and tokens are those of a loop that had looked after every single token.

A row's tokens depend on its prompt, the parameters and its own key. Neighbours share shapes with
it (the bucket of the longest prompt), never values.
"""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from semcoder_jax import hf
from semcoder_jax.model import KVCache

CHUNK_STEPS = 32
FIRST_ROOM = 4 * CHUNK_STEPS
# Tokens of the prompt decoded together with the generation: a sentencepiece decoder drops the
# space before a text's first word, which must not be the first word generated.
DECODE_CONTEXT = 8


class SamplingError(ValueError):
    """Parameters or prompts that cannot be sampled from."""


@dataclasses.dataclass(frozen=True)
class SamplingParams:
    """How to sample.

    Attributes:
      max_new_tokens: most tokens generated for a prompt, EOS included.
      temperature: 0 is greedy; otherwise logits are divided by it.
      top_p: smallest set of most probable tokens whose mass reaches this (after temperature).
      stop: strings that end a row; the text is cut before the first of them.
      seed: of every random choice; each row draws from its own stream of it.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self):
        if self.max_new_tokens < 1:
            raise SamplingError(f"max_new_tokens={self.max_new_tokens}, expected at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise SamplingError(f"temperature={self.temperature}, expected 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise SamplingError(f"top_p={self.top_p}, expected 0 < top_p <= 1")
        if not -(2**31) <= self.seed < 2**32:
            raise SamplingError(f"seed={self.seed}, expected a 32-bit integer")
        if isinstance(self.stop, str) or not all(self.stop):
            raise SamplingError(f"stop={self.stop!r}, expected a tuple of non-empty strings")


@dataclasses.dataclass(frozen=True)
class Generation:
    """What a prompt led to.

    Attributes:
      text: decoded tokens, special tokens left out, cut before the first stop string.
      tokens: generated ids, up to and including the EOS or the token that completed the stop
        string.
      finish_reason: "stop" (EOS or a stop string) or "length" (max_new_tokens or the context).
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: str


def generate(
    model,
    prompts: Sequence[str | Sequence[int]],
    params: SamplingParams,
    *,
    batch_size: int = 64,
    row_seeds: Sequence[int] | None = None,
    progress: str | None = "sampling",
) -> list[Generation]:
    """Generations of ``prompts``, in their order; see ``stream`` for the arguments."""
    done = dict(
        stream(
            model, prompts, params, batch_size=batch_size, row_seeds=row_seeds, progress=progress
        )
    )
    return [done[i] for i in range(len(prompts))]


def stream(
    model,
    prompts: Sequence[str | Sequence[int]],
    params: SamplingParams,
    *,
    batch_size: int = 64,
    row_seeds: Sequence[int] | None = None,
    progress: str | None = "sampling",
) -> Iterator[tuple[int, Generation]]:
    """Yield (index of the prompt, its generation) as they end, longest prompts first.

    Args:
      model: has ``config``, ``graphdef``, ``params`` and ``tokenizer`` (checkpoints.load_model).
      prompts: texts, to which BOS is added by id, or token ids, taken as they are.
      params: how to sample, the same for all.
      batch_size: most rows decoded together.
      row_seeds: what distinguishes the random stream of each prompt; its index by default. A
        row that is sampled again with the same one gives the same tokens in any company.
      progress: label of the progress bar, None for no bar.

    Raises SamplingError, before any work, for an empty prompt or one that fills the context.
    """
    rows = _rows(model, prompts, range(len(prompts)) if row_seeds is None else row_seeds)
    rows.sort(key=lambda row: (-len(row.tokens), row.index))
    num_batches = -(-len(rows) // batch_size)
    size = _batch_bucket(-(-len(rows) // num_batches)) if rows else 0
    bar = tqdm(total=len(rows), desc=progress, unit="prompt", disable=progress is None)
    num_tokens, started = 0, time.monotonic()
    with bar:
        for start in range(0, len(rows), max(size, 1)):
            for index, generation in _sample_batch(model, rows[start : start + size], size, params):
                num_tokens += len(generation.tokens)
                bar.update()
                rate = num_tokens / (time.monotonic() - started)
                bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
                yield index, generation


# ---- the host's part: rows, batches, text --------------------------------------------------


class _Row(NamedTuple):
    index: int  # in the caller's list
    tokens: list[int]
    seed: int


def _rows(model, prompts, row_seeds) -> list[_Row]:
    if len(prompts) != len(row_seeds):
        raise SamplingError(f"{len(row_seeds)} row seeds for {len(prompts)} prompts")
    rows = []
    for i, (prompt, seed) in enumerate(zip(prompts, row_seeds, strict=True)):
        tokens = encode_prompt(model.tokenizer, prompt) if isinstance(prompt, str) else prompt
        tokens = [int(token) for token in tokens]
        if not tokens:
            raise SamplingError(f"prompt {i} is empty, expected at least one token")
        if len(tokens) >= model.config.max_positions:
            raise SamplingError(
                f"prompt {i} has {len(tokens)} tokens, "
                f"the model's context holds {model.config.max_positions}"
            )
        rows.append(_Row(i, tokens, int(seed)))
    return rows


def encode_prompt(tokenizer, text: str) -> list[int]:
    """BOS, by id where the tokenizer has one, and the tokens of ``text`` without special ones."""
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + tokenizer.encode(text, add_special_tokens=False)


def _sample_batch(
    model, rows: Sequence[_Row], size: int, params: SamplingParams
) -> Iterator[tuple[int, Generation]]:
    """Sample at most ``size`` rows together; unused places of the batch start out done."""
    context = model.config.max_positions
    T = min(_length_bucket(max(len(row.tokens) for row in rows)), context)
    # Attention costs what the cache is long, and few rows use all of max_new_tokens: it begins
    # with room for some chunks and doubles when they are full.
    longest = min(_length_bucket(T + params.max_new_tokens), context)
    S = min(_length_bucket(T + FIRST_ROOM), longest)
    tokens_BxT = np.zeros((size, T), np.int32)
    length_B, limit_B, seed_B = (np.zeros(size, np.int32) for _ in range(3))
    for b, row in enumerate(rows):
        tokens_BxT[b, : len(row.tokens)] = row.tokens
        length_B[b] = len(row.tokens)
        limit_B[b] = min(params.max_new_tokens, context - len(row.tokens))
        seed_B[b] = np.uint32(row.seed & 0xFFFFFFFF).astype(np.int32)
    eos = model.tokenizer.eos_token_id
    sampler = Sampler(
        num_real_tokens=hf.tokenizer_size(model.tokenizer),
        eos_ids=() if eos is None else (eos,),
        random=params.temperature > 0,
        nucleus=params.temperature > 0 and params.top_p < 1,
    )
    state = prefill(
        model.graphdef,
        model.params,
        tokens_BxT,
        length_B,
        limit_B,
        jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(params.seed), seed_B),
        np.full(size, params.temperature, np.float32),
        np.full(size, params.top_p, np.float32),
        cache_length=S,
        max_new_tokens=_length_bucket(params.max_new_tokens),
        sampler=sampler,
    )
    texts = [RowText(model.tokenizer, row.tokens, params.stop) for row in rows]
    open_rows = set(range(len(rows)))
    while open_rows:
        stopped_B = np.zeros(size, bool)
        tokens_BxN, count_B, done_B = jax.device_get(
            (state.tokens_BxN, state.count_B, state.done_B)
        )
        for b in sorted(open_rows):
            ids = tokens_BxN[b, : count_B[b]].tolist()
            generation = texts[b].finished(ids, done=bool(done_B[b]), eos_ids=sampler.eos_ids)
            if generation is not None:
                open_rows.remove(b)
                stopped_B[b] = True
                yield rows[b].index, generation
        if open_rows:
            if longest > S and T + int(count_B.max()) + CHUNK_STEPS > S:
                S = min(_length_bucket(2 * S), longest)
                state = _with_longer_cache(state, cache_length=S)
            state = decode(model.graphdef, model.params, state, stopped_B, sampler=sampler)


class RowText:
    """The text of one row as its tokens arrive, and where it must end.

    Args:
      prompt: ids before the generation; the last few are decoded with it.
      stop: strings that end the row.
    """

    def __init__(self, tokenizer, prompt: Sequence[int], stop: Sequence[str]):
        self._tokenizer = tokenizer
        self._context = list(prompt[-DECODE_CONTEXT:])
        self._context_text = self._decode(self._context)
        self._stop = stop
        self._num_clean = 0  # tokens known to hold no stop string

    def finished(
        self, tokens: list[int], *, done: bool, eos_ids: Iterable[int]
    ) -> Generation | None:
        """The generation, when ``tokens`` (all so far) hold a stop string or the row is done."""
        if self._stop and (done or self._may_hold_stop(tokens)):
            end = self._first_stop_token(tokens)
            if end is not None:
                text = self.text(tokens[:end])
                cut = min(i for i in (text.find(stop) for stop in self._stop) if i >= 0)
                return Generation(text[:cut], tuple(tokens[:end]), "stop")
        self._num_clean = len(tokens)
        if not done:
            return None
        at_eos = bool(tokens) and tokens[-1] in eos_ids
        text = self.text(tokens[:-1] if at_eos else tokens)
        return Generation(text, tuple(tokens), "stop" if at_eos else "length")

    def text(self, tokens: list[int]) -> str:
        whole = self._decode(self._context + tokens)
        if whole.startswith(self._context_text):
            return whole[len(self._context_text) :]
        return self._decode(tokens)

    def _may_hold_stop(self, tokens: list[int]) -> bool:
        """Search of the newest tokens only. A token usually holds at least a byte; where one
        holds none the stop string can be missed here, and is found when the row is done."""
        margin = max(len(stop.encode()) for stop in self._stop) + 4
        tail = self._decode(tokens[max(0, self._num_clean - margin) :])
        return any(stop in tail for stop in self._stop)

    def _first_stop_token(self, tokens: list[int]) -> int | None:
        """Least n such that the text of tokens[:n] holds a stop string; more tokens never undo
        that, so bisection finds it."""

        def holds(n: int) -> bool:
            text = self.text(tokens[:n])
            return any(stop in text for stop in self._stop)

        if not holds(len(tokens)):
            return None
        low, high = 0, len(tokens)  # not holds(low), holds(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def _length_bucket(length: int) -> int:
    """The next of 32, 64, 96, 128, 192, 256, 384, …: at most half as much again is wasted, and
    lengths up to 16,384 need 19 programs."""
    bucket = 32
    while bucket < length:
        three_quarters = bucket * 3 // 2
        if bucket >= 64 and three_quarters >= length:
            return three_quarters
        bucket *= 2
    return bucket


def _batch_bucket(size: int) -> int:
    """Powers of two up to 8, then multiples of 8."""
    return -(-size // 8) * 8 if size > 8 else 1 << (size - 1).bit_length()


# ---- the device's part: prefill, chunks of decoding, the choice of a token -------------------


@dataclasses.dataclass(frozen=True)
class Sampler:
    """What of the choice of a token is compiled in.

    Attributes:
      num_real_tokens: size of the tokenizer; ids from here on are padding rows of the
        vocabulary and are never chosen.
      eos_ids: tokens that end a row.
      random: False where every row is greedy.
      nucleus: False where every row has top_p 1 (top-p sorts the vocabulary at each step).
    """

    num_real_tokens: int
    eos_ids: tuple[int, ...]
    random: bool
    nucleus: bool


class DecodeState(NamedTuple):
    """A batch between two chunks. All rows are at the same ``step``; a done row stays where it is.

    Attributes:
      cache: keys and values of positions 0 … position_B - 1 of each row.
      token_B: int32, the newest token, not yet in the cache.
      position_B: int32, where it goes.
      tokens_BxN: int32, everything generated; meaningful up to ``count_B``.
      count_B: int32, number of tokens generated.
      limit_B: int32, count at which a row must end.
      done_B: bool.
      key_B: PRNG keys, one stream a row.
      temperature_B, top_p_B: float32.
      step: int32 scalar, tokens generated by a row that is not done.
    """

    cache: KVCache
    token_B: jax.Array
    position_B: jax.Array
    tokens_BxN: jax.Array
    count_B: jax.Array
    limit_B: jax.Array
    done_B: jax.Array
    key_B: jax.Array
    temperature_B: jax.Array
    top_p_B: jax.Array
    step: jax.Array


@functools.partial(
    jax.jit, static_argnames=("graphdef", "cache_length", "max_new_tokens", "sampler")
)
def prefill(
    graphdef,
    params,
    tokens_BxT,
    length_B,
    limit_B,
    key_B,
    temperature_B,
    top_p_B,
    *,
    cache_length: int,
    max_new_tokens: int,
    sampler: Sampler,
) -> DecodeState:
    """Read right-padded prompts [B, T] of lengths [B] (0: an unused row) and choose a first token.

    ``cache_length`` is at least T + 1. Padding is written to the cache as well,
    into slots that decoding overwrites before any query may see them.
    """
    model = nnx.merge(graphdef, params)
    B, T = tokens_BxT.shape
    cache = KVCache.zeros(model.config, B, cache_length, jnp.dtype(model.compute.dtype))
    positions_BxT = jnp.broadcast_to(jnp.arange(T), (B, T))
    hidden_BxTxD, cache = model.hidden(tokens_BxT, positions_BxT, cache=cache)
    last_B = jnp.maximum(length_B - 1, 0)
    logits_BxV = model.logits(hidden_BxTxD[jnp.arange(B), last_B])
    zeros_B = jnp.zeros(B, jnp.int32)
    state = DecodeState(
        cache=cache,
        token_B=zeros_B,
        position_B=length_B - 1,
        tokens_BxN=jnp.zeros((B, max_new_tokens), jnp.int32),
        count_B=zeros_B,
        limit_B=limit_B,
        done_B=limit_B == 0,
        key_B=key_B,
        temperature_B=temperature_B,
        top_p_B=top_p_B,
        step=jnp.int32(0),
    )
    return _advance(state, logits_BxV, sampler)


@functools.partial(
    jax.jit, static_argnames=("graphdef", "sampler", "num_steps"), donate_argnames=("state",)
)
def decode(
    graphdef,
    params,
    state: DecodeState,
    stopped_B,
    *,
    sampler: Sampler,
    num_steps: int = CHUNK_STEPS,
) -> DecodeState:
    """At most ``num_steps`` more tokens for each row that is neither done nor in ``stopped_B``."""
    model = nnx.merge(graphdef, params)
    state = state._replace(done_B=state.done_B | stopped_B)
    last_step = state.step + num_steps

    def going(state: DecodeState):
        return (state.step < last_step) & ~jnp.all(state.done_B)

    def one_step(state: DecodeState) -> DecodeState:
        hidden_Bx1xD, cache = model.hidden(
            state.token_B[:, None], state.position_B[:, None], cache=state.cache
        )
        logits_BxV = model.logits(hidden_Bx1xD[:, 0])
        return _advance(state._replace(cache=cache), logits_BxV, sampler)

    return jax.lax.while_loop(going, one_step, state)


@functools.partial(jax.jit, static_argnames=("cache_length",))
def _with_longer_cache(state: DecodeState, *, cache_length: int) -> DecodeState:
    def lengthen(stack_LxBxGxSxK):
        more = cache_length - stack_LxBxGxSxK.shape[3]
        return jnp.pad(stack_LxBxGxSxK, ((0, 0),) * 3 + ((0, more), (0, 0)))

    return state._replace(cache=KVCache(*map(lengthen, state.cache)))


def _advance(state: DecodeState, logits_BxV: jax.Array, sampler: Sampler) -> DecodeState:
    """Choose each row's next token and note it; done rows keep everything as it is."""
    step_key_B = jax.vmap(jax.random.fold_in, (0, None))(state.key_B, state.step)
    chosen_B = choose(logits_BxV, step_key_B, state.temperature_B, state.top_p_B, sampler)
    going_B = ~state.done_B
    count_B = state.count_B + going_B
    ended_B = count_B >= state.limit_B
    for eos in sampler.eos_ids:
        ended_B |= chosen_B == eos
    return state._replace(
        token_B=jnp.where(going_B, chosen_B, state.token_B),
        position_B=state.position_B + going_B,
        # A done row's later columns are never read.
        tokens_BxN=jax.lax.dynamic_update_slice(
            state.tokens_BxN, chosen_B[:, None], (0, state.step)
        ),
        count_B=count_B,
        done_B=state.done_B | ended_B,
        step=state.step + 1,
    )


def choose(
    logits_BxV: jax.Array,
    key_B: jax.Array,
    temperature_B: jax.Array,
    top_p_B: jax.Array,
    sampler: Sampler,
) -> jax.Array:
    """One token a row, int32 [B], from float32 logits [B, V]; temperature 0 is greedy."""
    real_V = jnp.arange(logits_BxV.shape[1]) < sampler.num_real_tokens
    logits_BxV = jnp.where(real_V, logits_BxV, -jnp.inf)
    greedy_B = jnp.argmax(logits_BxV, axis=-1).astype(jnp.int32)
    if not sampler.random:
        return greedy_B
    scaled_BxV = logits_BxV / jnp.where(temperature_B > 0, temperature_B, 1.0)[:, None]
    if sampler.nucleus:
        sampled_B = _draw_nucleus(scaled_BxV, key_B, top_p_B)
    else:
        sampled_B = jax.vmap(jax.random.categorical)(key_B, scaled_BxV)
    return jnp.where(temperature_B > 0, sampled_B.astype(jnp.int32), greedy_B)


def _draw_nucleus(logits_BxV: jax.Array, key_B: jax.Array, top_p_B: jax.Array) -> jax.Array:
    """Draw among the most probable tokens that are needed to reach a mass of top_p (Holtzman et
    al., 2020). The draw is made in sorted order, so that equal logits are told apart."""
    order_BxV = jnp.argsort(logits_BxV, axis=-1, descending=True)
    sorted_BxV = jnp.take_along_axis(logits_BxV, order_BxV, axis=-1)
    probability_BxV = jax.nn.softmax(sorted_BxV, axis=-1)
    mass_before_BxV = jnp.cumsum(probability_BxV, axis=-1) - probability_BxV
    kept_BxV = jnp.where(mass_before_BxV < top_p_B[:, None], sorted_BxV, -jnp.inf)
    drawn_B = jax.vmap(jax.random.categorical)(key_B, kept_BxV)
    return jnp.take_along_axis(order_BxV, drawn_B[:, None], axis=-1)[:, 0]
