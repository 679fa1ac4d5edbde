"""Continuous batching: requests of any length in, generations out as they end.

    engine = Engine(model, num_slots=16)
    engine.warm_up()                          # compiles every program there will be
    for result in engine.stream(requests): …  # in order of completion
    results = engine.generate(requests)       # in order of the requests

A request's n samples wait in a queue; a free slot takes the first. Its prompt is prefilled once
for all n, in pieces of a few fixed sizes. Then all slots decode together, a chunk of steps at a
time (decoding.py). A chunk ends early when a slot has ended and others wait. While the device
computes a chunk, the host decodes the tokens of the previous one into text.

Requests may use adapters over the one model: the slots of one adapter decode together, in turn. A
row under a grammar is decoded one token a chunk, without drafts: its mask comes from the host.

A sample's tokens depend only on its prompt, its parameters and its index among the samples of its
seed: every program has fixed shapes, a row's random numbers come from its own stream and position,
and attention sees only the row's own pages, in order (kv_cache.py). The page pool is sized for
typical use, so a sample may lose its pages to an older one; it restarts with the same result.

For servers: `submit` and `cancel` may be called from any thread; one thread calls `step`.
"""

import collections
import dataclasses
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
from tqdm import tqdm

from semcoder_jax.inference.batch import Slots, chunk_logprobs
from semcoder_jax.inference.capacity import check_capacity, choose_drafts, default_slots
from semcoder_jax.inference.decoding import CHUNK_TOKENS, Chunk
from semcoder_jax.inference.detokenize import encode_prompt, hidden_tokens, stop_tokens
from semcoder_jax.inference.engine_stats import EngineStats
from semcoder_jax.inference.grammar import check_grammar
from semcoder_jax.inference.page_pool import PagePool
from semcoder_jax.inference.params import Generation, SamplingError
from semcoder_jax.inference.request import OpenRequest, OpenSample, Request, Update
from semcoder_jax.inference.row_count import Program, RowCountPolicy, row_counts
from semcoder_jax.inference.speculation import Lookup, SpeculationPolicy
from semcoder_jax.model.kv_cache import PAGE_SIZE

# Steps of a chunk while a client streams: text then comes in small portions, and a row's first
# token at once.
STREAMING_STEPS = 8
FIRST_STEPS = 1
# Steps of a chunk before the next decision on drafts, while no row's gain is known or when drafts
# have just begun.
PROBING_STEPS = 8
TRIALS = 5  # short chunks that warm-up times, each plain and with drafts


class Engine:
    """Runs requests by continuous batching; see the module.

    Args:
      model: has `config`, `graphdef`, `params` and `tokenizer` (loading.load_model).
      num_slots: rows decoded together (None: 16 on CPU, 64 elsewhere).
      cache_tokens: positions that the cache holds in all (None: `num_slots` rows of a full
        context, or what memory allows).
      cache_dtype: dtype of keys and values (None: the model's compute dtype); "int8" halves
        their size, rounded with one scale per head and token.
      page_size: positions per page of the cache: 16, 32 or 64.
      speculation: "auto" checks drafts if that pays, "always", or "off".
      num_drafts: tokens per draft (None: as many as are nearly free, at most 7,
        on CPU 3).
      adapters: the model's parameters with each adapter attached, by name (loading.load_adapted);
        they share the base's arrays.
      prefix_cache: whether a prompt's first blocks of 64 tokens are taken from the cache where an
        earlier prompt left them. On CPU the tokens of a sample stay the same to the bit.

    Raises SamplingError if the model has no tokenizer or an argument is out of range.
    """

    def __init__(
        self,
        model,
        *,
        num_slots: int | None = None,
        cache_tokens: int | None = None,
        cache_dtype=None,
        page_size: int = PAGE_SIZE,
        speculation: str = "auto",
        num_drafts: int | None = None,
        adapters: Mapping[str, Any] | None = None,
        prefix_cache: bool = True,
    ):
        if getattr(model, "tokenizer", None) is None:
            raise SamplingError("the model has no tokenizer: text cannot be read or written")
        num_slots = default_slots() if num_slots is None else num_slots
        check_capacity(num_slots, cache_tokens, page_size)
        self.model = model
        self.num_slots = num_slots
        self.num_drafts = choose_drafts(speculation, num_drafts, num_slots)
        self.speculation = speculation if self.num_drafts else "off"
        self.context = model.config.max_positions
        self.stats = EngineStats(num_slots)
        self.adapters = tuple(adapters or ())
        self._slots = Slots(
            model, num_slots, cache_tokens, cache_dtype, page_size, adapters or {}, prefix_cache
        )
        self._hidden_tokens = hidden_tokens(model.tokenizer)
        self._waiting: collections.deque[OpenSample] = collections.deque()
        self._requests: dict[int, OpenRequest] = {}
        # (sample with tokens not yet decoded to text, whether they are its last)
        self._undecoded: list[tuple[OpenSample, bool]] = []
        self._policy = SpeculationPolicy()
        self._drafted = False  # whether the last chunk checked drafts
        self._turn: str | None = None  # adapter of the last chunk
        # Several processes must choose alike, and each measures its own time.
        alone = jax.process_count() == 1
        counts = row_counts(num_slots, jax.default_backend()) if alone else (num_slots,)
        self._row_counts = RowCountPolicy(counts)
        self._lock = threading.Lock()  # guards the next two, which other threads fill
        self._incoming: list[OpenRequest] = []
        self._cancelled: set[int] = set()
        self._tickets = itertools.count()

    # ==== Requests in lists

    def stream(
        self, requests: Iterable[Request], *, progress: str | None = None
    ) -> Iterator[Update]:
        """Yields the last update of every sample, as they end. `progress` labels a bar.

        Checks all requests before any work (SamplingError). Closing the iterator cancels the
        samples that have not ended.
        """
        requests = [
            dataclasses.replace(request, id=i) if request.id is None else request
            for i, request in enumerate(requests)
        ]
        opened = [self.open(request, f"prompt {i}") for i, request in enumerate(requests)]
        # Longest first, so that the last rows end at nearly the same time.
        opened.sort(key=lambda each: -each.request.params.max_new_tokens)
        left = {request.ticket: request.request.n for request in opened}
        with self._lock:
            self._incoming += opened
        bar = tqdm(total=sum(left.values()), desc=progress, unit="sample", disable=progress is None)
        started, tokens_before = time.monotonic(), self.stats.generated_tokens
        try:
            with bar:
                while left:
                    for update in self.step():
                        if update.generation is None or update.ticket not in left:
                            continue
                        left[update.ticket] -= 1
                        if not left[update.ticket]:
                            del left[update.ticket]
                        bar.update()
                        yield update
                    num_tokens = self.stats.generated_tokens - tokens_before
                    bar.set_postfix_str(
                        f"{num_tokens / (time.monotonic() - started):,.0f} tokens/s, "
                        f"{self.stats.occupancy:.0%} of {self.num_slots} slots",
                        refresh=False,
                    )
        finally:
            if left:
                with self._lock:
                    self._cancelled |= left.keys()
                self._accept_incoming()

    def generate(
        self, requests: Iterable[Request], *, progress: str | None = None
    ) -> list[list[Generation]]:
        """Returns the n generations of every request, in order."""
        requests = [dataclasses.replace(request, id=i) for i, request in enumerate(requests)]
        done = {
            (update.id, update.sample): update.generation
            for update in self.stream(requests, progress=progress)
        }
        return [[done[i, j] for j in range(request.n)] for i, request in enumerate(requests)]

    # ==== Requests one by one

    @property
    def num_active(self) -> int:
        """Samples in slots."""
        return self._slots.num_active

    @property
    def num_waiting(self) -> int:
        """Samples without a slot."""
        with self._lock:
            incoming = sum(request.request.n for request in self._incoming)
        return len(self._waiting) + incoming

    @property
    def busy(self) -> bool:
        """Whether `step` has anything to do."""
        return bool(self.num_active or self.num_waiting or self._undecoded)

    @property
    def pages(self) -> PagePool:
        """The page pool, for reading only."""
        return self._slots.pool

    @property
    def cache_tokens(self) -> int:
        """Positions that the cache holds in all."""
        return self.pages.capacity * self._slots.page_size

    def submit(self, request: Request | OpenRequest) -> int:
        """Queues the request and returns the ticket of its updates. Any thread may call this.

        Raises SamplingError if the request can never be served; never for one that `open` returned,
        which takes no time.
        """
        opened = request if isinstance(request, OpenRequest) else self.open(request)
        with self._lock:
            self._incoming.append(opened)
        return opened.ticket

    def open(self, request: Request, name: str = "prompt") -> OpenRequest:
        """Checks a request and prepares it for `submit`. Any thread may call this.

        Raises SamplingError, which calls the prompt `name`, if the request can never be served.
        """
        tokenizer, prompt = self.model.tokenizer, request.prompt
        tokens = encode_prompt(tokenizer, prompt) if isinstance(prompt, str) else prompt
        tokens = [int(token) for token in tokens]
        if not tokens or prompt == "":
            raise SamplingError(f"{name} is empty, expected at least one token")
        self._check_tokens(tokens, name)
        self._check_tokens(request.params.stop_token_ids, "stop_token_ids")
        if len(tokens) >= self.context:
            raise SamplingError(
                f"{name} has {len(tokens)} tokens, the model's context holds {self.context}"
            )
        longest = min(len(tokens) + request.params.max_new_tokens, self.context)
        if self._slots.pages_for(longest) > self.pages.capacity:
            raise SamplingError(
                f"{name} has {len(tokens)} tokens and may get {longest - len(tokens)} more, "
                f"the cache holds {self.cache_tokens}"
            )
        if request.adapter is not None and request.adapter not in self.adapters:
            raise SamplingError(f"adapter={request.adapter!r}, expected one of {self.adapters}")
        grammar, eos_ids = request.params.grammar, self._slots.vocabulary.eos_ids
        return OpenRequest(
            request,
            tokens,
            next(self._tickets),
            tokenizer,
            stop_tokens=stop_tokens(request.params, self._hidden_tokens),
            eos_ids=() if request.params.ignore_eos else eos_ids,
            grammar=grammar and check_grammar(tokenizer, grammar, eos_ids),
        )

    def _check_tokens(self, tokens: Iterable[int], name: str) -> None:
        vocab_size = self.model.config.vocab_size
        for token in tokens:
            if not 0 <= token < vocab_size:
                raise SamplingError(f"{name}: token {token}, expected 0 to {vocab_size - 1}")

    def cancel(self, ticket: int) -> None:
        """Ends a request at the next step, with finish_reason "cancelled".

        Any thread may call this; it has no effect on an ended request.
        """
        with self._lock:
            self._cancelled.add(ticket)

    def step(self) -> list[Update]:
        """Runs one chunk of decoding; returns the updates since the last call."""
        started, num_read = time.monotonic(), self._slots.num_read
        updates = self._accept_incoming()
        self._admit()
        active = self._take_turn(self._slots_with_pages())
        constrained = bool(self._slots.constrained(active))
        drafts = 0 if constrained else self._choose_num_drafts(active)
        program = Program(self._choose_num_rows(active, drafts), drafts, self._turn is not None)
        is_compiled = program in self._row_counts.compiled
        max_steps = 1 if constrained else CHUNK_TOKENS
        chunk = self._decode(active, program, max_steps) if active else None
        self._drafted = drafts > 0
        # Decode the previous chunk's tokens while the device computes this one.
        updates += self._decode_updates()
        if chunk is not None:
            self._collect(active, chunk, drafts)
            # A step that compiled, prefilled or computed masks does not measure decoding.
            if is_compiled and num_read == self._slots.num_read and not constrained:
                seconds = (time.monotonic() - started) / int(chunk.num_steps)
                self._policy.record_time(drafts > 0, seconds, program.num_rows)
                self._row_counts.record_steps(program, seconds)
        if not self.num_active:
            updates += self._decode_updates()
        self.stats.prompt_tokens = self._slots.num_read
        self.stats.cached_tokens = self._slots.num_cached
        self.stats.seconds += time.monotonic() - started
        return updates

    def replace_parameters(self, params) -> None:
        """Uses other parameters of the same shapes and shardings from the next request on.

        Shares their arrays and empties the cache. Raises SamplingError unless the engine is idle.
        """
        if self.busy:
            raise SamplingError("replace_parameters: the engine is at work")
        self.model = dataclasses.replace(self.model, params=params)
        self._slots.replace_parameters(params)

    def warm_up(self) -> None:
        """Compiles every program that requests can need, and times both ways of decoding.

        Those that score prompts are compiled at the first request that asks for it.

        The engine must be idle. Uses JAX's compilation cache if it is on.
        """
        if self.busy:
            raise SamplingError("warm_up: the engine is at work")
        ways = sorted({0, self.num_drafts})
        seconds = {drafts: [] for drafts in ways}
        for adapter in (None, *self.adapters[:1]):  # all adapters have one program
            self._slots.compile_reading(adapter)
            for num_rows, drafts in itertools.product(self._row_counts.counts, ways):
                self._slots.trial_chunk(num_rows, drafts, adapter)
                self._row_counts.compiled.add(Program(num_rows, drafts, adapter is not None))
        if self.speculation == "auto":
            for drafts in ways * TRIALS:
                started = time.monotonic()
                steps = self._slots.trial_chunk(self.num_slots, drafts)
                seconds[drafts].append((time.monotonic() - started) / steps)
            self._policy.record_trial(seconds[0], seconds[self.num_drafts])

    # ==== The parts of a step

    def _accept_incoming(self) -> list[Update]:
        """Accepts the requests and cancellations of other threads since the last step."""
        with self._lock:
            incoming, self._incoming = self._incoming, []
            cancelled, self._cancelled = self._cancelled, set()
        for request in incoming:
            self._requests[request.ticket] = request
            self._waiting.extend(request.samples)
        updates = []
        for ticket in sorted(cancelled & self._requests.keys()):
            for sample in tuple(self._requests[ticket].samples):
                text, tokens = sample.row_text.text(sample.tokens), tuple(sample.tokens)
                updates.append(self._finish(sample, Generation(text, tokens, "cancelled")))
                self._discard_undecoded(sample)
                self.stats.cancelled += 1
        return updates

    def _discard_undecoded(self, sample: OpenSample) -> None:
        self._undecoded = [item for item in self._undecoded if item[0] is not sample]

    def _admit(self) -> None:
        """Moves waiting samples into free slots while pages last."""
        for slot, holder in enumerate(self._slots.samples):
            if holder is not None:
                continue
            if not self._waiting:
                return
            if not self._slots.seat(self._waiting[0], slot):
                if self.num_active:
                    return
                # A sample alone, sharing nothing, always fits: `open` checked that.
                for request in self._requests.values():
                    self._slots.release_prompt(request)
                self._slots.seat(self._waiting[0], slot, alone=True)
            self._waiting.popleft()

    def _slots_with_pages(self) -> list[int]:
        """Returns the slots whose pages cover a chunk, older samples first; the others pause."""
        by_age = self._slots.by_age()
        active = [slot for slot in by_age if self._slots.cover_chunk(slot)]
        while by_age and not active:
            self._make_room(by_age[-1])
            by_age = self._slots.by_age()
            active = [slot for slot in by_age if self._slots.cover_chunk(slot)]
        return active

    def _make_room(self, youngest: int) -> None:
        """Frees the pages of prompts with waiting samples, or else of the slot `youngest`."""
        if any([self._slots.release_prompt(request) for request in self._requests.values()]):
            return
        sample = self._slots.samples[youngest]
        self._slots.vacate(youngest)
        self._discard_undecoded(sample)
        sample.reset(self.model.tokenizer)
        self._waiting.appendleft(sample)
        self.stats.restarts += 1

    def _take_turn(self, active: list[int]) -> list[int]:
        """Returns the slots of the adapter whose turn it is: a chunk has one set of weights."""
        adapter_of = {slot: self._slots.samples[slot].request.request.adapter for slot in active}
        names = sorted(set(adapter_of.values()), key=lambda name: name or "")
        later = [name for name in names if (name or "") > (self._turn or "")]
        self._turn = next(iter([*later, *names]), None)
        return [slot for slot in active if adapter_of[slot] == self._turn]

    def _choose_num_drafts(self, active: list[int]) -> int:
        if self.speculation != "auto":
            return self.num_drafts
        gains = [self._slots.samples[slot].tokens_per_pass for slot in active]
        known = [gain for gain in gains if gain is not None]
        return self.num_drafts if self._policy.pays(known) else 0

    def _choose_num_rows(self, active: list[int], drafts: int) -> int:
        """Returns the number of rows of a chunk for these slots."""
        samples = (self._slots.samples[slot] for slot in active)
        left = (sample.params.max_new_tokens - len(sample.tokens) for sample in samples)
        steps_left = 0 if self._waiting else max(left, default=0)
        return self._row_counts.choose(len(active), drafts, self._turn is not None, steps_left)

    def _decode(self, active: list[int], program: Program, max_steps: int) -> Chunk:
        for slot in active:
            sample = self._slots.samples[slot]
            if sample.request.request.streaming:
                max_steps = min(max_steps, STREAMING_STEPS if sample.tokens else FIRST_STEPS)
            if self.speculation == "auto" and sample.lookup is None:
                sample.lookup = Lookup(sample.request.tokens, self.num_drafts)
        if self.speculation == "auto":
            samples = [self._slots.samples[slot] for slot in active]
            unknown = all(sample.tokens_per_pass is None for sample in samples)
            if unknown or (program.drafts and not self._drafted):
                max_steps = min(max_steps, PROBING_STEPS)
        # While samples wait, a chunk ends as soon as a few rows have ended.
        few = max(self.num_slots // 16, 1)
        min_going = max(len(active) - few + 1, 1) if self._waiting else 1
        started = time.monotonic()
        chunk = self._slots.decode(
            active, program.num_rows, max_steps, min_going, program.drafts, self._turn
        )
        if program not in self._row_counts.compiled:  # the call returns once it has compiled
            self._row_counts.record_compiling(program, time.monotonic() - started)
        return chunk

    def _collect(self, active: list[int], chunk: Chunk, drafts: int) -> None:
        """Waits for the chunk and records its tokens; they are decoded to text later."""
        # Row i is that of the slot active[i]; some have ended at a stop string in the meantime.
        rows = [(row, slot, self._slots.samples[slot]) for row, slot in enumerate(active)]
        rows = [(row, slot, sample) for row, slot, sample in rows if sample is not None]
        if all(sample.params.logprobs is None for _, _, sample in rows):
            # These arrays are large: do not copy them from the device if nobody asked.
            chunk = chunk._replace(logprob_BxC=None, top_BxCxA=None, top_logprob_BxCxA=None)
        chunk = jax.device_get(chunk)
        num_steps, num_tokens = int(chunk.num_steps), int(chunk.count_B.sum())
        self.stats.count_chunk(num_steps, int(chunk.row_steps), num_tokens, drafts)
        self._policy.record_gain(drafts > 0, num_steps, num_tokens / max(int(chunk.row_steps), 1))
        for row, slot, sample in rows:
            count = int(chunk.count_B[row])
            new = chunk.tokens_BxC[row, :count].tolist()
            sample.note(new, chunk_logprobs(chunk, row, count, sample.params.logprobs))
            self._undecoded.append((sample, bool(chunk.ended_B[row])))
            if chunk.ended_B[row]:
                self._slots.vacate(slot)
            elif sample.lookup is not None:
                self._note_gain(sample, new, num_steps if drafts else None)

    def _note_gain(self, sample: OpenSample, new: list[int], passes: int | None) -> None:
        """Records the gain of drafts for this row in `passes` (None: the predicted gain)."""
        if not new:
            return
        if passes is None:
            passes = sample.lookup.passes_for(new)
        else:
            sample.lookup.extend(new)
        gain = len(new) / passes
        before = sample.tokens_per_pass
        sample.tokens_per_pass = gain if before is None else before + 0.5 * (gain - before)

    def _decode_updates(self) -> list[Update]:
        """Decodes the tokens of the last chunk to text and ends the rows that it completes."""
        updates, undecoded, self._undecoded = [], self._undecoded, []
        for sample, done in undecoded:
            generation = sample.row_text.finish(
                sample.tokens, done=done, eos_ids=sample.request.eos_ids
            )
            if generation is not None:
                updates.append(self._finish(sample, generation))
            elif sample.request.request.streaming:
                text = sample.row_text.stable_text(sample.tokens)
                updates.append(sample.update(text, sample.tokens, None))
        return updates

    def _finish(self, sample: OpenSample, generation: Generation) -> Update:
        request = sample.request
        if sample in self._slots.samples:
            self._slots.vacate(self._slots.samples.index(sample))
        elif generation.finish_reason == "cancelled" and sample in self._waiting:
            self._waiting.remove(sample)
            request.num_to_begin -= not sample.begun
            if not request.num_to_begin:
                self._slots.release_prompt(request)
        request.samples.remove(sample)
        if not request.samples:
            del self._requests[request.ticket]
        self.stats.finished += 1
        generation = sample.with_logprobs(generation)
        return sample.update(generation.text, generation.tokens, generation)
