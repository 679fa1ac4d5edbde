"""Holds the slots of the batch: the sample and pages of each slot, and the arrays behind them.

Owns the device state (KV cache, token history) and the inputs of each chunk (`decoding.Rows`).
The engine decides when to act. A prompt's whole blocks of 64 tokens that are still in the cache,
because an earlier prompt began with the same tokens, are not computed again.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding

from semcoder_jax import hf
from semcoder_jax.inference.decoding import (
    BLOCK,
    CHUNK_TOKENS,
    PIECES,
    Chunk,
    Rows,
    Vocabulary,
    copy_page,
    decode,
    pieces_of,
    read_piece,
    score_piece,
    set_history,
)
from semcoder_jax.inference.page_pool import PagePool
from semcoder_jax.inference.params import SamplingError, TokenLogprobs
from semcoder_jax.inference.request import OpenRequest, OpenSample, logprobs_of_arrays
from semcoder_jax.model import sharding
from semcoder_jax.model.kv_cache import KVCache
from semcoder_jax.model.layer_weights import separate_layers

CPU_CACHE_BYTES = 4 << 30
CACHE_SHARE = 0.8  # of the free memory of an accelerator


class Slots:
    """Holds `num_slots` rows over a KV cache of `cache_tokens` positions; see Engine for both.

    `adapters` are the model's parameters with each adapter attached, by name.

    Attributes:
      samples: sample in each slot, or None.
      pool: owners of the pages.
      num_read: prompt tokens prefilled so far.
      num_cached: prompt tokens that were in the cache already.
    """

    def __init__(
        self,
        model,
        num_slots: int,
        cache_tokens: int | None,
        cache_dtype,
        page_size: int,
        adapters: Mapping[str, Any],
        prefix_cache: bool,
    ):
        config = model.config
        cache_dtype = jnp.dtype(cache_dtype or compute_dtype(model))
        if cache_tokens is None:
            cache_tokens = default_cache_tokens(model, num_slots, cache_dtype)
        self.page_size = page_size
        self.pool = PagePool(1 + max(-(-cache_tokens // page_size), 1))
        self.samples: list[OpenSample | None] = [None] * num_slots
        self.num_read = 0
        self.num_cached = 0
        self._prefix_cache = prefix_cache
        self._model = model
        self._params = {None: model.params, **adapters}
        self._separate: dict[str | None, Any] = {}  # those in use, by adapter
        self._context = config.max_positions
        self.vocabulary = Vocabulary(hf.tokenizer_size(model.tokenizer), _end_tokens(model))
        self._cache = _make_cache(model, 1 + self.pool.capacity, cache_dtype, page_size)
        history_SxM = jnp.zeros((num_slots, self._context), jnp.int32)
        self._history_SxM = jax.device_put(history_SxM, _replicated_sharding(model))
        self._inputs = empty_rows(num_slots, self.pages_for(self._context))  # a row for each slot
        self._no_masks: dict[int, jax.Array] = {}  # by number of rows

    def replace_parameters(self, params) -> None:
        """Decodes with `params` from now on; all slots must be free."""
        self._params[None] = params
        self._separate.clear()
        self.pool.forget()  # keys and values of the former parameters

    @property
    def num_active(self) -> int:
        return sum(sample is not None for sample in self.samples)

    def pages_for(self, length: int) -> int:
        return -(-length // self.page_size)

    def by_age(self) -> list[int]:
        """Returns the occupied slots, oldest sample first."""
        taken = (slot for slot, sample in enumerate(self.samples) if sample is not None)
        return sorted(taken, key=lambda slot: self.samples[slot].order)

    # ---- a sample comes and goes

    def seat(self, sample: OpenSample, slot: int, *, alone: bool = False) -> bool:
        """Puts a sample with its prefilled prompt in a slot; returns False if pages are lacking.

        Samples of one request share the prefilled prompt, unless `alone`.
        """
        # Active samples will need pages soon: reserve one for each.
        reserved = self.num_active
        request = sample.request
        if alone or sample.begun or (request.num_to_begin == 1 and request.pages is None):
            pages = self._read(request, reserved)
        elif request.num_to_begin == 1:
            pages, request.pages = request.pages, None
        else:
            pages = self._fork(request, reserved)
        if pages is None:
            return False
        sample.pages = pages
        request.num_to_begin -= not sample.begun
        sample.begun = True
        if not request.num_to_begin:
            self.release_prompt(request)
        self._describe(sample, slot)
        self.samples[slot] = sample
        return True

    def vacate(self, slot: int) -> None:
        sample = self.samples[slot]
        self.pool.release(sample.pages)
        sample.pages = []
        self.samples[slot] = None
        if not self.num_active:
            self._separate.clear()  # so that a trainer may update the weights in place

    def release_prompt(self, request: OpenRequest) -> bool:
        """Releases the pages reserved for later samples; returns whether there were any."""
        if request.pages is None:
            return False
        self.pool.release(request.pages)
        request.pages = None
        return True

    def cover_chunk(self, slot: int) -> bool:
        """Gives a slot the pages that a chunk may need; returns False if too few are free."""
        sample = self.samples[slot]
        last = min(sample.length + CHUNK_TOKENS, int(self._inputs.limit_B[slot]))
        more = self.pool.take(max(self.pages_for(last) - len(sample.pages), 0))
        if more is None:
            return False
        sample.pages += more
        return True

    def _fork(self, request: OpenRequest, reserved: int) -> list[int] | None:
        """Returns the prompt's pages for one of several samples; None if pages are lacking.

        Shares full pages and copies the last one, which the sample extends.
        """
        if self.pool.num_free <= reserved:
            return None
        if request.pages is None:
            request.pages = self._read(request, reserved + 1)
            if request.pages is None:
                return None
        *shared, last = request.pages
        (own,) = self.pool.take(1)
        self.pool.share(shared)
        if (len(request.tokens) - 1) % self.page_size:
            self._cache = copy_page(self._cache, np.int32(last), np.int32(own))
        return [*shared, own]

    def _read(self, request: OpenRequest, reserved: int) -> list[int] | None:
        """Prefills all tokens but the last into pages; decoding begins with the last one.

        Returns None if that would leave fewer than `reserved` pages free.
        """
        tokens, end = request.tokens, len(request.tokens) - 1
        contents = self._contents(request)
        cached = self._recall(contents)
        count = self.pages_for(len(tokens)) - len(cached)
        if self.pool.num_free - reserved < count:
            self.pool.release(cached)
            return None
        pages = [*cached, *self.pool.take(count)]
        pages_1xN = np.zeros((1, self._inputs.pages_BxN.shape[1]), np.int32)
        pages_1xN[0, : len(pages)] = pages
        start, entries = len(cached) * self.page_size, []
        self.num_cached += start
        self.num_read += end - start
        for size in pieces_of(end - start):
            length = min(size, end - start)
            tokens_T = np.zeros(size + 1, np.int32)
            tokens_T[: length + 1] = tokens[start : start + length + 1]
            if request.request.params.prompt_logprobs:
                entries += self._score_piece(request, pages_1xN, tokens_T, start)[:length]
            else:
                self._read_piece(pages_1xN, tokens_T[None, :-1], start, request.request.adapter)
            start += size
        if request.request.params.prompt_logprobs:
            request.prompt_logprobs = tuple(entries)
        num_pages = BLOCK // self.page_size
        for number, content in enumerate(contents):
            self.pool.remember(content, pages[number * num_pages : (number + 1) * num_pages])
        return pages

    def _contents(self, request: OpenRequest) -> list[bytes]:
        """Returns a digest for each whole block of the prompt, of it and all before it.

        Returns none where every token has to be computed, for its log-probabilities.
        """
        if not self._prefix_cache or request.request.params.prompt_logprobs:
            return []
        digest = hashlib.blake2b(repr(request.request.adapter).encode())
        tokens, contents = np.array(request.tokens[:-1], np.int32), []
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            digest.update(tokens[start : start + BLOCK].tobytes())
            contents.append(digest.digest())
        return contents

    def _recall(self, contents: Iterable[bytes]) -> list[int]:
        """Returns the pages of the first blocks that the cache still holds, one owner added."""
        known: list[int] = []
        for content in contents:
            pages = self.pool.recall(content)
            if not pages:
                break
            known += pages
        return known

    def _read_piece(self, pages_1xN, tokens_1xT, start: int, adapter: str | None) -> None:
        self._cache = read_piece(
            self._model.graphdef,
            self._weights(adapter),
            self._cache,
            pages_1xN,
            tokens_1xT,
            np.int32(start),
        )

    def _score_piece(
        self, request: OpenRequest, pages_1xN, tokens_T: np.ndarray, start: int
    ) -> list[TokenLogprobs]:
        """Prefills all of `tokens_T` but the last; returns the entries of all but the first."""
        self._cache, scores = score_piece(
            self._model.graphdef,
            self._weights(request.request.adapter),
            self._cache,
            pages_1xN,
            tokens_T[None, :-1],
            tokens_T[1:],
            np.int32(start),
            vocabulary=self.vocabulary,
        )
        logprob_T, top_logprob_TxA, top_TxA = jax.device_get(scores)
        num_top = request.request.params.logprobs
        return logprobs_of_arrays(logprob_T, top_TxA, top_logprob_TxA, num_top)

    def _describe(self, sample: OpenSample, slot: int) -> None:
        """Writes the inputs of a new sample to its slot."""
        tokens, params, rows = sample.request.tokens, sample.params, self._inputs
        tokens_M = np.zeros(self._context, np.int32)
        tokens_M[: len(tokens)] = tokens
        self._history_SxM = set_history(self._history_SxM, np.int32(slot), tokens_M)
        rows.limit_B[slot] = min(len(tokens) + params.max_new_tokens, self._context)
        rows.seed_B[slot] = params.seed & 0xFFFFFFFF
        rows.stream_B[slot] = sample.stream & 0xFFFFFFFF
        rows.temperature_B[slot] = params.temperature
        rows.top_k_B[slot] = params.top_k
        rows.top_p_B[slot] = params.top_p
        rows.min_p_B[slot] = params.min_p
        rows.penalty_B[slot] = params.repetition_penalty
        rows.ignore_eos_B[slot] = params.ignore_eos
        rows.logprobs_B[slot] = -1 if params.logprobs is None else params.logprobs

    # ---- chunks

    def constrained(self, active: Iterable[int]) -> list[int]:
        """Returns those of the slots whose text must follow a grammar."""
        return [slot for slot in active if self.samples[slot].matcher is not None]

    def decode(
        self,
        active: Sequence[int],
        num_rows: int,
        max_steps: int,
        min_going: int,
        drafts: int,
        adapter: str | None,
    ) -> Chunk:
        """Starts a chunk of `num_rows` rows; row i is that of the slot active[i], later ones idle.

        All slots of `active` use `adapter`; see `decoding.decode`.
        """
        idle = (slot for slot in range(len(self.samples)) if slot not in active)
        slots = [*active, *itertools.islice(idle, num_rows - len(active))]
        rows = Rows(*(array[slots] for array in self._inputs))
        rows.active_B[:] = np.arange(num_rows) < len(active)
        rows.length_B[:] = 1
        rows.pages_BxN[:] = 0
        for row, slot in enumerate(active):
            sample = self.samples[slot]
            rows.length_B[row] = sample.length
            rows.pages_BxN[row, : len(sample.pages)] = sample.pages
        allowed_BxW = self._allowed(active, rows)
        return self._decode(slots, rows, allowed_BxW, max_steps, min_going, drafts, adapter)

    def _allowed(self, active: Sequence[int], rows: Rows) -> jax.Array:
        """Returns the masks of the constrained rows, and marks these."""
        no_mask_BxW = self._no_mask(len(rows.active_B))
        constrained = self.constrained(active)
        if not constrained:
            return no_mask_BxW
        allowed_BxW = np.zeros(no_mask_BxW.shape, np.uint32)
        for slot in constrained:
            row = active.index(slot)
            rows.constrained_B[row] = True
            self.samples[slot].matcher.write_allowed(allowed_BxW[row])
        return jax.device_put(allowed_BxW, no_mask_BxW.sharding)

    def _no_mask(self, num_rows: int) -> jax.Array:
        """Returns what a chunk without a constrained row takes; it stays on the device."""
        if num_rows not in self._no_masks:
            allowed_BxW = jnp.zeros((num_rows, -(-self._model.config.vocab_size // 32)), jnp.uint32)
            self._no_masks[num_rows] = jax.device_put(
                allowed_BxW, _replicated_sharding(self._model)
            )
        return self._no_masks[num_rows]

    def _decode(
        self,
        slots: Sequence[int],
        rows: Rows,
        allowed_BxW: jax.Array,
        max_steps: int,
        min_going: int,
        drafts: int,
        adapter: str | None,
    ) -> Chunk:
        self._cache, self._history_SxM, chunk = decode(
            self._model.graphdef,
            self._weights(adapter),
            self._cache,
            self._history_SxM,
            np.array(slots, np.int32),
            rows,
            allowed_BxW,
            np.int32(max_steps),
            np.int32(min_going),
            vocabulary=self.vocabulary,
            num_drafts=drafts,
        )
        return chunk

    def _weights(self, adapter: str | None):
        """Returns the parameters for a program: on a CPU each layer's apart."""
        if adapter not in self._separate:
            self._separate[adapter] = separate_layers(self._params[adapter])
        return self._separate[adapter]

    # ---- before the first request

    def compile_reading(self, adapter: str | None) -> None:
        """Compiles every program except the chunks, on page 0; all slots must be free."""
        pages_1xN = np.zeros((1, self._inputs.pages_BxN.shape[1]), np.int32)
        for size in PIECES:
            self._read_piece(pages_1xN, np.zeros((1, size), np.int32), 0, adapter)
            if size >= self._context:
                break
        self._cache = copy_page(self._cache, np.int32(0), np.int32(0))
        tokens_M = np.zeros(self._context, np.int32)
        self._history_SxM = set_history(self._history_SxM, np.int32(0), tokens_M)

    def trial_chunk(self, num_rows: int, drafts: int, adapter: str | None = None) -> int:
        """Decodes a few steps on page 0; returns the number of steps, at least 1."""
        rows = empty_rows(num_rows, self._inputs.pages_BxN.shape[1])
        rows.active_B[:] = True
        rows.limit_B[:] = self._context
        no_mask_BxW = self._no_mask(num_rows)
        chunk = self._decode(range(num_rows), rows, no_mask_BxW, 4, 1, drafts, adapter)
        return int(chunk.num_steps)


def chunk_logprobs(chunk: Chunk, row: int, count: int, num_top: int | None) -> list[TokenLogprobs]:
    """Returns the entries of a row's first `count` tokens; none if they were not requested."""
    if num_top is None:
        return []
    arrays = chunk.logprob_BxC, chunk.top_BxCxA, chunk.top_logprob_BxCxA
    return logprobs_of_arrays(*(array[row, :count] for array in arrays), num_top)


def _end_tokens(model) -> tuple[int, ...]:
    """Returns the ids that end a row of `model`: its files', or else its tokenizer's EOS."""
    end_tokens = getattr(model, "end_tokens", None)
    if end_tokens is not None:
        return tuple(end_tokens)
    eos = model.tokenizer.eos_token_id
    return () if eos is None else (eos,)


def empty_rows(B: int, N: int) -> Rows:
    """Returns the inputs of B idle rows, whose page tables have N entries."""
    return Rows(
        active_B=np.zeros(B, bool),
        length_B=np.ones(B, np.int32),
        limit_B=np.ones(B, np.int32),
        pages_BxN=np.zeros((B, N), np.int32),
        seed_B=np.zeros(B, np.uint32),
        stream_B=np.zeros(B, np.uint32),
        temperature_B=np.zeros(B, np.float32),
        top_k_B=np.zeros(B, np.int32),
        top_p_B=np.ones(B, np.float32),
        min_p_B=np.zeros(B, np.float32),
        penalty_B=np.ones(B, np.float32),
        ignore_eos_B=np.zeros(B, bool),
        constrained_B=np.zeros(B, bool),
        logprobs_B=np.full(B, -1, np.int32),
    )


def mesh_of(model) -> Mesh | None:
    """Returns the mesh of the parameters, or None."""
    place = jax.tree.leaves(model.params)[0].sharding
    return place.mesh if isinstance(place, NamedSharding) else None


def _replicated_sharding(model) -> jax.sharding.Sharding:
    place = jax.tree.leaves(model.params)[0].sharding
    return sharding.replicated_sharding(place.mesh) if isinstance(place, NamedSharding) else place


def _make_cache(model, num_pages: int, dtype, page_size: int) -> KVCache:
    """Makes an empty cache on its devices; a mesh splits its heads like the weights."""
    config, mesh = model.config, mesh_of(model)
    if mesh is None:
        # Place it beside the parameters: an array that moves there with the first call would
        # compile every program twice.
        cache = KVCache.zeros(config, num_pages, dtype, page_size)
        return jax.device_put(cache, _replicated_sharding(model))
    if config.num_kv_heads % mesh.shape["tensor"]:
        raise SamplingError(
            f"tensor={mesh.shape['tensor']}: the model's {config.num_kv_heads} key/value heads "
            "cannot be split evenly over so many devices"
        )
    make = jax.jit(
        KVCache.zeros,
        static_argnames=("config", "num_pages", "dtype", "page_size"),
        out_shardings=NamedSharding(mesh, KVCache.SPEC),
    )
    return make(config=config, num_pages=num_pages, dtype=dtype, page_size=page_size)


def default_cache_tokens(model, num_slots: int, cache_dtype=None) -> int:
    """Returns the positions of full contexts for all slots, or as many as memory allows."""
    config, dtype = model.config, jnp.dtype(cache_dtype or compute_dtype(model))
    wanted = num_slots * config.max_positions
    head_bytes = config.head_dim * dtype.itemsize + (4 if dtype == jnp.int8 else 0)  # and a scale
    token_bytes = 2 * config.num_layers * config.num_kv_heads * head_bytes
    device = jax.local_devices()[0]
    memory = None if device.platform == "cpu" else device.memory_stats()
    if memory and "bytes_limit" in memory:
        allowed = int(CACHE_SHARE * (memory["bytes_limit"] - memory["bytes_in_use"]))
    else:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        allowed = min(CPU_CACHE_BYTES, physical // 4)
    if jax.process_count() > 1:  # all run one program, so all need the same cache
        allowed = int(multihost_utils.process_allgather(np.float32(allowed)).min())
    return max(min(wanted, allowed // token_bytes), 1)


def compute_dtype(model) -> str:
    """Returns the dtype of activations, and so of keys and values."""
    return nnx.merge(model.graphdef, model.params).compute.dtype
