"""Holds the slots of the batch: the sample and pages of each slot, and the arrays behind them.

Owns the device state (KV cache, token history) and the inputs of each chunk (`decoding.Rows`).
The engine decides when to act.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding

from semcoder_jax import hf
from semcoder_jax.inference.decoding import (
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

CPU_CACHE_BYTES = 4 << 30
CACHE_SHARE = 0.8  # of the free memory of an accelerator


class Slots:
    """Holds `num_slots` rows over a KV cache of `cache_tokens` positions; see Engine for both.

    `adapters` are the model's parameters with each adapter attached, by name.

    Attributes:
      samples: sample in each slot, or None.
      pool: owners of the pages.
      num_read: prompt tokens prefilled so far.
    """

    def __init__(
        self,
        model,
        num_slots: int,
        cache_tokens: int | None,
        cache_dtype,
        page_size: int,
        adapters: Mapping[str, Any],
    ):
        config = model.config
        cache_dtype = jnp.dtype(cache_dtype or compute_dtype(model))
        if cache_tokens is None:
            cache_tokens = default_cache_tokens(model, num_slots, cache_dtype)
        self.page_size = page_size
        self.pool = PagePool(1 + max(-(-cache_tokens // page_size), 1))
        self.samples: list[OpenSample | None] = [None] * num_slots
        self.num_read = 0
        self._model = model
        self._params = {None: model.params, **adapters}
        self._context = config.max_positions
        self.vocabulary = Vocabulary(hf.tokenizer_size(model.tokenizer), _end_tokens(model))
        self._cache = _make_cache(model, 1 + self.pool.capacity, cache_dtype, page_size)
        history_BxM = jnp.zeros((num_slots, self._context), jnp.int32)
        self._history_BxM = jax.device_put(history_BxM, _replicated_sharding(model))
        self._rows = _empty_rows(num_slots, self.pages_for(self._context))
        allowed_BxW = jnp.zeros((num_slots, -(-config.vocab_size // 32)), jnp.uint32)
        # Stays on the device: no chunk without a constrained row sends a mask.
        self._no_mask_BxW = jax.device_put(allowed_BxW, _replicated_sharding(model))

    def replace_parameters(self, params) -> None:
        """Decodes with `params` from now on; all slots must be free."""
        self._params[None] = params

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
        spare = self.pool.num_free - self.num_active
        request = sample.request
        if alone or sample.begun or (request.num_to_begin == 1 and request.pages is None):
            pages = self._read(request, spare)
        elif request.num_to_begin == 1:
            pages, request.pages = request.pages, None
        else:
            pages = self._fork(request, spare)
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
        last = min(sample.length + CHUNK_TOKENS, int(self._rows.limit_B[slot]))
        more = self.pool.take(max(self.pages_for(last) - len(sample.pages), 0))
        if more is None:
            return False
        sample.pages += more
        return True

    def _fork(self, request: OpenRequest, spare: int) -> list[int] | None:
        """Returns the prompt's pages for one of several samples; None if pages are lacking.

        Shares full pages and copies the last one, which the sample extends.
        """
        if spare < 1:
            return None
        if request.pages is None:
            request.pages = self._read(request, spare - 1)
            if request.pages is None:
                return None
        *shared, last = request.pages
        (own,) = self.pool.take(1)
        self.pool.share(shared)
        if (len(request.tokens) - 1) % self.page_size:
            self._cache = copy_page(self._cache, np.int32(last), np.int32(own))
        return [*shared, own]

    def _read(self, request: OpenRequest, spare: int) -> list[int] | None:
        """Prefills all tokens but the last into new pages; decoding begins with the last one."""
        tokens = request.tokens
        count = self.pages_for(len(tokens))
        if spare < count:
            return None
        pages = self.pool.take(count)
        pages_1xN = np.zeros((1, self._rows.pages_BxN.shape[1]), np.int32)
        pages_1xN[0, :count] = pages
        start, end, entries = 0, len(tokens) - 1, []
        for size in pieces_of(end):
            length = min(size, end - start)
            tokens_T = np.zeros(size + 1, np.int32)
            tokens_T[: length + 1] = tokens[start : start + length + 1]
            if request.request.params.prompt_logprobs:
                entries += self._score_piece(request, pages_1xN, tokens_T, start)[:length]
            else:
                self._read_piece(pages_1xN, tokens_T[None, :-1], start, request.request.adapter)
            start += size
        self.num_read += end
        if request.request.params.prompt_logprobs:
            request.prompt_logprobs = tuple(entries)
        return pages

    def _read_piece(self, pages_1xN, tokens_1xT, start: int, adapter: str | None) -> None:
        self._cache = read_piece(
            self._model.graphdef,
            self._params[adapter],
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
            self._params[request.request.adapter],
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
        tokens, params, rows = sample.request.tokens, sample.params, self._rows
        tokens_M = np.zeros(self._context, np.int32)
        tokens_M[: len(tokens)] = tokens
        self._history_BxM = set_history(self._history_BxM, np.int32(slot), tokens_M)
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
        active: Iterable[int],
        max_steps: int,
        min_going: int,
        drafts: int,
        adapter: str | None,
    ) -> Chunk:
        """Starts a chunk for the slots `active`, which all use `adapter`; see `decoding.decode`."""
        rows = self._rows
        rows.active_B[:] = False
        rows.length_B[:] = 1
        rows.pages_BxN[:] = 0
        for slot, sample in enumerate(self.samples):
            if sample is not None:
                rows.length_B[slot] = sample.length
                rows.pages_BxN[slot, : len(sample.pages)] = sample.pages
        rows.active_B[list(active)] = True
        allowed_BxW = self._allowed(active)
        return self._decode(rows, allowed_BxW, max_steps, min_going, drafts, adapter)

    def _allowed(self, active: Iterable[int]) -> jax.Array | np.ndarray:
        """Returns the masks of the constrained slots, and marks these."""
        self._rows.constrained_B[:] = False
        constrained = self.constrained(active)
        if not constrained:
            return self._no_mask_BxW
        self._rows.constrained_B[constrained] = True
        allowed_BxW = np.zeros(self._no_mask_BxW.shape, np.uint32)
        for slot in constrained:
            self.samples[slot].matcher.write_allowed(allowed_BxW[slot])
        return jax.device_put(allowed_BxW, self._no_mask_BxW.sharding)

    def _decode(
        self,
        rows: Rows,
        allowed_BxW: jax.Array,
        max_steps: int,
        min_going: int,
        drafts: int,
        adapter: str | None,
    ) -> Chunk:
        self._cache, self._history_BxM, chunk = decode(
            self._model.graphdef,
            self._params[adapter],
            self._cache,
            self._history_BxM,
            # Copy: on CPU the device may read the host's arrays while the host changes them.
            Rows(*(array.copy() for array in rows)),
            allowed_BxW,
            np.int32(max_steps),
            np.int32(min_going),
            vocabulary=self.vocabulary,
            num_drafts=drafts,
        )
        return chunk

    # ---- before the first request

    def compile_reading(self, adapter: str | None) -> None:
        """Compiles every program except the chunks, on page 0; all slots must be free."""
        pages_1xN = np.zeros((1, self._rows.pages_BxN.shape[1]), np.int32)
        for size in PIECES:
            self._read_piece(pages_1xN, np.zeros((1, size), np.int32), 0, adapter)
            if size >= self._context:
                break
        self._cache = copy_page(self._cache, np.int32(0), np.int32(0))
        tokens_M = np.zeros(self._context, np.int32)
        self._history_BxM = set_history(self._history_BxM, np.int32(0), tokens_M)

    def trial_chunk(self, drafts: int, adapter: str | None = None) -> int:
        """Decodes a few steps on page 0; returns the number of steps, at least 1."""
        rows = _empty_rows(len(self.samples), self._rows.pages_BxN.shape[1])
        rows.active_B[:] = True
        rows.limit_B[:] = self._context
        return int(self._decode(rows, self._no_mask_BxW, 4, 1, drafts, adapter).num_steps)


def chunk_logprobs(chunk: Chunk, slot: int, count: int, num_top: int | None) -> list[TokenLogprobs]:
    """Returns the entries of a slot's first `count` tokens; none if they were not requested."""
    if num_top is None:
        return []
    arrays = chunk.logprob_BxC, chunk.top_BxCxA, chunk.top_logprob_BxCxA
    return logprobs_of_arrays(*(array[slot, :count] for array in arrays), num_top)


def _end_tokens(model) -> tuple[int, ...]:
    """Returns the ids that end a row of `model`: its files', or else its tokenizer's EOS."""
    end_tokens = getattr(model, "end_tokens", None)
    if end_tokens is not None:
        return tuple(end_tokens)
    eos = model.tokenizer.eos_token_id
    return () if eos is None else (eos,)


def _empty_rows(B: int, N: int) -> Rows:
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
