"""Training and evaluation batches: deterministic, sharded by process, resumable at any step.

Packs are planned by index, from (seed, epoch) alone (`schedule`). The packs of all epochs follow
one another without a gap; step k is packs k * B to (k + 1) * B of that stream, for any number of
processes, and a process takes its slice of those rows. Nothing is dropped: a batch may hold packs
of two epochs, and only after a last epoch is it filled up with empty rows (segment ids 0, no loss).
The position is the step.

The only file here that imports grain, which imports jax. Axes: R record, B row, T time.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import grain
import numpy as np
from tqdm import tqdm

from data_pipeline.errors import UserError
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import Record, kind_number
from data_pipeline.terminal.notices import logger
from data_pipeline.tokens.mixture import groups, mixture_table
from data_pipeline.tokens.pack_plan import WINDOW, Schedule
from data_pipeline.tokens.packing import (
    Packs,
    Tokenizer,
    TokenSource,
    TokenTable,
    encode_table,
    lay_out,
)

Batch = dict[str, np.ndarray]
Overlong = Literal["truncate", "drop", "refuse"]

_PLANS_KEPT = 2  # a batch may need the packs of two epochs
_PLANNED_AHEAD = 16  # epochs
_BATCHES_AHEAD = 4
_RECORDS_AT_ONCE = 256  # read from disk together


class InputError(UserError):
    """Records or options that give no batches; the message is one line."""


@dataclass(frozen=True)
class InputCounts:
    """What became of the records. Tokens are input tokens, of the packed records."""

    records: int
    packed: int
    cut: int  # packed without their end
    dropped_overlong: int
    dropped_without_target: int  # nothing of the response is left: no loss, no gradient
    tokens: int
    loss_tokens: int  # targets with a loss

    def __str__(self) -> str:
        return (
            f"{self.records:,} records: {self.packed:,} packed ({self.tokens:,} tokens, "
            f"{self.loss_tokens:,} with a loss), {self.cut:,} of them cut at the maximum length; "
            f"dropped: {self.dropped_overlong:,} too long, {self.dropped_without_target:,} "
            "without a token of their response"
        )


def tokenize_records(source: Sequence[Record], tokenizer: Tokenizer) -> TokenTable:
    """All records as tokens, uncut, in the order of `source`. Raises packing.PackingError."""

    def rows() -> Iterator[tuple[str, str, int]]:
        with tqdm(total=len(source), desc="tokenize", unit="record", disable=None) as bar:
            for start in range(0, len(source), _RECORDS_AT_ONCE):
                records = source[start : start + _RECORDS_AT_ONCE]
                for record in records:
                    yield training_prompt(record), record.response, kind_number(record.kind)
                bar.update(len(records))

    return encode_table(rows(), tokenizer)


@dataclass(frozen=True)
class InputConfig:
    """What decides the batches of a source of records.

    Args:
      sequence_length: T, input tokens of a row.
      global_batch_size: rows of a step over all processes.
      seed: from 0; with the epoch it decides the order of records and packs.
      num_epochs: passes over the records; None: without end.
      process_index, process_count: which rows this process gets: the p-th of equal slices.
      shuffle: False keeps the records in their order in every epoch.
      max_length: tokens of a record, BOS and EOS included (upstream's max_training_seq_length);
        at most and by default (None) sequence_length + 1, the last being a target alone.
      overlong: a longer record is cut on the right ("truncate", as upstream), left out ("drop") or
        an error ("refuse").
      mixture: weights by kind or dataset: how often its records come in an epoch (see `mixture`).
      window: records sorted by length together in packing (see `packing.plan_packs`).
      plan_directory: where the packs of each epoch are kept, written by process 0 (None: nowhere).
      pad_id: the token on padding; its loss and attention are masked.

    Raises InputError for an option out of range.
    """

    sequence_length: int
    global_batch_size: int
    seed: int
    num_epochs: int | None = None
    process_index: int = 0
    process_count: int = 1
    shuffle: bool = True
    max_length: int | None = None
    overlong: Overlong = "truncate"
    mixture: Mapping[str, float] = field(default_factory=dict)
    window: int = WINDOW
    plan_directory: Path | None = None
    pad_id: int = 0

    def __post_init__(self):
        for name in ("sequence_length", "global_batch_size", "process_count", "window"):
            _check(name, getattr(self, name), "at least 1", getattr(self, name) >= 1)
        _check("seed", self.seed, "at least 0", self.seed >= 0)
        epochs, processes = self.num_epochs, self.process_count
        _check("num_epochs", epochs, "at least 1, or None", epochs is None or epochs > 0)
        _check(
            "process_index",
            self.process_index,
            f"0 to {processes - 1}",
            0 <= self.process_index < processes,
        )
        _check(
            "global_batch_size",
            self.global_batch_size,
            f"a multiple of the {processes} processes",
            self.global_batch_size % processes == 0,
        )
        most = self.sequence_length + 1
        _check(
            "max_length",
            self.max_length,
            f"2 to {most} (sequence_length + 1)",
            2 <= self.longest <= most,
        )
        choices = get_args(Overlong)
        _check("overlong", self.overlong, "truncate, drop or refuse", self.overlong in choices)

    @property
    def longest(self) -> int:
        """Most tokens of a record: `max_length` or its default."""
        return self.sequence_length + 1 if self.max_length is None else self.max_length


class TrainInput:
    """Batches by step number.

    `source` holds records, random access (a list, or what `pyx.load` gives), which need a
    `tokenizer`; or their tokens, uncut: a TokenTable, or what `store.open_tokens` gives, which
    stays on disk.

    `counts` says what became of the records, `mixture_table()` what an epoch is made of. Records of
    whose response nothing is left are dropped and counted: upstream keeps them, without effect on
    the loss. Raises InputError and mixture.MixtureError.
    """

    def __init__(
        self,
        source: Sequence[Record] | TokenSource,
        config: InputConfig,
        tokenizer: Tokenizer | None = None,
    ):
        if not hasattr(source, "prompt_lengths_R"):
            if tokenizer is None:
                raise InputError("tokenizer: expected one, since the source holds records")
            source = tokenize_records(source, tokenizer)

        self.config = config
        self.source = source
        records, self.counts = _select(source, config.longest, config.overlong)
        self._schedule = Schedule(
            groups=groups(
                records, source.datasets_R, source.kinds_R, source.dataset_names, config.mixture
            ),
            input_lengths_R=np.minimum(source.lengths_R, config.longest) - 1,
            capacity=config.sequence_length,
            seed=config.seed,
            shuffle=config.shuffle,
            window=config.window,
            directory=config.plan_directory,
            writes=config.process_index == 0,
        )
        self._epoch_ends = [0]  # in packs: epoch e is packs _epoch_ends[e] to _epoch_ends[e + 1]
        self._plans: dict[int, Packs] = {}
        self._lock = threading.Lock()  # batches are made ahead on another thread
        unusual = self.counts.packed < self.counts.records or self.counts.cut
        logger.log(logging.WARNING if unusual else logging.INFO, "input: %s", self.counts)

    def num_steps(self) -> int | None:
        """Steps of all epochs, the last possibly filled up with empty rows; None if without end."""
        if self.config.num_epochs is None:
            return None
        return -(-self._first_pack(self.config.num_epochs) // self.config.global_batch_size)

    def batch(self, step: int) -> Batch:
        """This process's rows of step `step`, laid out by `packing.lay_out`, [B / processes, T]."""
        config = self.config
        rows = config.global_batch_size // config.process_count
        first = step * config.global_batch_size + config.process_index * rows
        packs = [self._pack(number) for number in range(first, first + rows)]
        return lay_out(self.source, packs, config.sequence_length, config.pad_id, config.longest)

    def records(self, step: int) -> np.ndarray:
        """The numbers, in the source, of the records of step `step`, of all processes' rows."""
        rows = self.config.global_batch_size
        packs = [self._pack(number) for number in range(step * rows, (step + 1) * rows)]
        return np.concatenate(packs)

    def mixture_table(self) -> str:
        """What an epoch is made of, by dataset and kind, for people."""
        return mixture_table(self._schedule.groups, self._schedule.input_lengths_R)

    def plan(self, num_steps: int | None = None) -> None:
        """Plans the epochs of the first `num_steps` steps (None: of all), so that they are kept on
        disk; of very many only the first, the others as they come."""
        if num_steps is None:
            num_steps = self.num_steps()
        with self._lock:
            needed = num_steps * self.config.global_batch_size
            while self._epoch_ends[-1] < needed and len(self._epoch_ends) <= _PLANNED_AHEAD:
                if len(self._epoch_ends) - 1 == self.config.num_epochs:
                    break
                self._plan(len(self._epoch_ends) - 1)

    def iterator(self, start_step: int = 0) -> "BatchIterator":
        """Batches from `start_step` on, made ahead of time; its state is the step."""
        return BatchIterator(self, start_step)

    def identity(self) -> dict[str, Any]:
        """What decides the batch of a step, whatever the number of processes."""
        return {
            "records": self.source.digest()[:16],
            "sequence_length": self.config.sequence_length,
            "global_batch_size": self.config.global_batch_size,
            "seed": self.config.seed,
            "shuffle": self.config.shuffle,
            "packs": self._schedule.identity[:16],  # of mixture, lengths and window too
        }

    def _pack(self, number: int) -> np.ndarray:
        """The records of a pack of the stream of all epochs; none after the last epoch."""
        with self._lock:
            while self._epoch_ends[-1] <= number:
                if len(self._epoch_ends) - 1 == self.config.num_epochs:
                    return np.empty(0, np.int64)
                self._plan(len(self._epoch_ends) - 1)
            epoch = int(np.searchsorted(self._epoch_ends, number, side="right")) - 1
            return self._plan(epoch)[number - self._epoch_ends[epoch]]

    def _first_pack(self, epoch: int) -> int:
        """The number of an epoch's first pack: all epochs before it must be planned once."""
        with self._lock:
            while len(self._epoch_ends) <= epoch:
                self._plan(len(self._epoch_ends) - 1)
            return self._epoch_ends[epoch]

    def _plan(self, epoch: int) -> Packs:
        """The packs of an epoch. Asked in order the first time, so that `_epoch_ends` grows."""
        if epoch not in self._plans:
            while len(self._plans) >= _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = self._schedule.packs(epoch)
        plan = self._plans[epoch]
        if epoch == len(self._epoch_ends) - 1:
            self._epoch_ends.append(self._epoch_ends[-1] + len(plan))
        return plan


class BatchIterator(grain.DatasetIterator):
    """Batches in order of their steps; a grain iterator whose state is the next step.

    `grain.checkpoint.CheckpointSave` and `CheckpointRestore` take it. The state fits any number of
    processes; grain's files are named by process count, so with another count pass the step to
    `TrainInput.iterator(start_step)`. Restoring under other records, seed, batch size or sequence
    length raises InputError.
    """

    def __init__(self, train_input: TrainInput, start_step: int = 0):
        super().__init__()
        self._input = train_input
        self._identity = train_input.identity()
        self._go_to(start_step)

    @property
    def step(self) -> int:
        """The step of the batch that comes next."""
        return self._step

    @property
    def counts(self) -> InputCounts:
        """What became of the records."""
        return self._input.counts

    def __next__(self) -> Batch:
        self._assert_not_closed()
        if self._ahead is None:
            self._ahead = self._read_ahead()
        batch = next(self._ahead)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """{"step": the next step, ...what decides its batch}; under 1 KB of JSON."""
        return {"step": self._step, **self._identity}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to the step of a state got under the same records and options."""
        step = state.get("step")
        if not isinstance(step, int):
            raise InputError(f"saved position: expected a step number; got {step!r}")
        for name, now in self._identity.items():
            if state.get(name) != now:
                raise InputError(
                    f"saved position: expected {name} {now}, as now; got {state.get(name)}: "
                    "resume with the records and options of the run that saved it"
                )
        self._go_to(step)

    def start_prefetch(self) -> None:
        """Starts to make batches before the first is asked for."""
        if self._ahead is None:
            self._ahead = self._read_ahead()
        self._ahead.start_prefetch()

    def close(self) -> None:
        """Stops the thread that makes batches ahead."""
        if not self._closed and self._ahead is not None:
            self._ahead.close()
        super().close()

    def _go_to(self, step: int) -> None:
        _check("step", step, "at least 0", step >= 0)
        if (previous := getattr(self, "_ahead", None)) is not None:
            previous.close()
        self._step = step
        self._ahead: grain.DatasetIterator | None = None

    def _read_ahead(self) -> grain.DatasetIterator:
        steps = grain.MapDataset.source(_Steps(self._input, self._step))
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_BATCHES_AHEAD)
        return iter(steps.to_iter_dataset(options))


@dataclass(frozen=True)
class _Steps:
    """The batches from `start` on, as grain's random-access source."""

    train_input: TrainInput
    start: int

    def __len__(self) -> int:
        steps = self.train_input.num_steps()
        return max(0, (2**62 if steps is None else steps) - self.start)

    def __getitem__(self, index: int) -> Batch:
        return self.train_input.batch(self.start + index)


def _select(
    source: TokenSource, max_length: int, overlong: Overlong
) -> tuple[np.ndarray, InputCounts]:
    """The numbers of the records to pack, and the counts. Raises InputError."""
    lengths_R = np.minimum(source.lengths_R, max_length)
    loss_tokens_R = np.maximum(lengths_R - source.prompt_lengths_R, 0)
    long_R = (source.lengths_R > max_length) | source.cut_R
    if overlong == "refuse" and long_R.any():
        worst = int(source.lengths_R.argmax())
        raise InputError(
            f"{long_R.sum():,} of {len(source):,} records: expected at most {max_length} tokens; "
            f"record {worst} has {source.lengths_R[worst]}"
        )
    dropped_R = long_R & (overlong == "drop")
    empty_R = ~dropped_R & (loss_tokens_R == 0)
    kept_R = ~dropped_R & ~empty_R
    if not kept_R.any():
        raise InputError(f"expected records with a response to learn; got none of {len(source):,}")
    counts = InputCounts(
        records=len(source),
        packed=int(kept_R.sum()),
        cut=int((long_R & kept_R).sum()),
        dropped_overlong=int(dropped_R.sum()),
        dropped_without_target=int(empty_R.sum()),
        tokens=int((lengths_R - 1)[kept_R].sum()),
        loss_tokens=int(loss_tokens_R[kept_R].sum()),
    )
    return np.flatnonzero(kept_R), counts


def _check(option: str, value: Any, expected: str, holds: bool) -> None:
    if not holds:
        raise InputError(f"{option}: expected {expected}; got {value!r}")
