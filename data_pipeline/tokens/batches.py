"""Makes training and evaluation batches: deterministic, sharded by process, resumable at any step.

Packs are planned by index from (seed, epoch) alone (`pack_plan`). The packs of all epochs form one
stream; step k takes packs k * B to (k + 1) * B of it, for any number of processes, and each process
takes its slice of those rows. No pack is dropped: a batch may hold packs of two epochs, and only
the last batch of the last epoch is padded with empty rows (segment ids 0, no loss). The iterator's
state is the step.

The only file here that imports grain, which imports jax. Axes: R record, B row, T time.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import grain
import numpy as np
from tqdm import tqdm

from data_pipeline.errors import UserError
from data_pipeline.files import AnyPath
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

_MAX_PLANS = 2  # a batch may need the packs of two epochs
_PLANNED_AHEAD = 16  # epochs
_BATCHES_AHEAD = 4
_RECORDS_AT_ONCE = 256  # read from disk together


class InputError(UserError):
    """Reports records or options that give no batches; the message is one line."""


@dataclass(frozen=True)
class InputCounts:
    """Counts records by result. Tokens are input tokens of the packed records."""

    records: int
    packed: int
    cut: int  # packed without their end
    dropped_overlong: int
    dropped_without_target: int  # no response token is left: no loss, no gradient
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
    """Tokenizes all records, uncut, in order. Raises packing.PackingError."""

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
    """Holds the options that decide the batches of a source of records.

    Args:
      sequence_length: T, input tokens per row.
      global_batch_size: rows per step over all processes.
      seed: at least 0; with the epoch it decides the order of records and packs.
      num_epochs: passes over the records; None for no end.
      process_index, process_count: this process gets slice process_index of process_count equal
        slices of the rows.
      shuffle: False keeps the records in order in every epoch.
      max_length: longest record in tokens, with BOS and EOS (upstream's max_training_seq_length);
        at most and by default (None) sequence_length + 1, whose last token is only a target.
      overlong: cuts longer records on the right ("truncate", as upstream), leaves them out
        ("drop") or raises ("refuse").
      mixture: weights by kind or dataset: passes over its records per epoch (see `mixture`).
      window: number of records sorted by length together (see `packing.plan_packs`).
      plan_directory: folder for the packs of each epoch, written by process 0; None for no files.
      pad_id: token for padding, which loss and attention mask out.

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
    plan_directory: AnyPath | None = None
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
        """Returns the most tokens per record: `max_length` or its default."""
        return self.sequence_length + 1 if self.max_length is None else self.max_length


class TrainInput:
    """Makes batches by step number.

    `source` is a random-access sequence of records (a list, or the result of `pyx.load`), which
    needs a `tokenizer`; or their uncut tokens: a TokenTable, or the result of `store.open_tokens`,
    which stays on disk.

    `counts` counts the records by result; `mixture_table()` shows the parts of an epoch. Records
    whose response is cut off entirely are dropped and counted; upstream keeps them, without effect
    on the loss. Raises InputError and mixture.MixtureError.
    """

    def __init__(
        self,
        source: Sequence[Record] | TokenSource,
        config: InputConfig,
        tokenizer: Tokenizer | None = None,
    ):
        if not hasattr(source, "prompt_lengths_R"):
            if tokenizer is None:
                raise InputError(
                    "tokenizer: expected a tokenizer for a source of records; got None"
                )
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
        self._lock = threading.Lock()  # another thread makes batches ahead
        unusual = self.counts.packed < self.counts.records or self.counts.cut
        logger.log(logging.WARNING if unusual else logging.INFO, "input: %s", self.counts)

    def num_steps(self) -> int | None:
        """Counts the steps of all epochs, a padded last one included; None for no end."""
        if self.config.num_epochs is None:
            return None
        return -(-self._first_pack(self.config.num_epochs) // self.config.global_batch_size)

    def batch(self, step: int) -> Batch:
        """Returns this process's rows of a step, as `packing.lay_out` does: [B / processes, T]."""
        config = self.config
        rows = config.global_batch_size // config.process_count
        first = step * config.global_batch_size + config.process_index * rows
        packs = [self._pack(number) for number in range(first, first + rows)]
        return lay_out(self.source, packs, config.sequence_length, config.pad_id, config.longest)

    def records(self, step: int) -> np.ndarray:
        """Returns the source's record numbers in a step, for the rows of all processes."""
        rows = self.config.global_batch_size
        packs = [self._pack(number) for number in range(step * rows, (step + 1) * rows)]
        return np.concatenate(packs)

    def mixture_table(self) -> str:
        """Returns a table of an epoch's records and tokens by dataset and kind."""
        return mixture_table(self._schedule.groups, self._schedule.input_lengths_R)

    def plan(self, num_steps: int | None = None) -> None:
        """Plans the epochs of the first `num_steps` steps (None for all) and writes them to disk.

        Plans at most _PLANNED_AHEAD epochs; later ones are planned when they are needed.
        """
        if num_steps is None:
            num_steps = self.num_steps()
        with self._lock:
            needed = num_steps * self.config.global_batch_size
            while self._epoch_ends[-1] < needed and len(self._epoch_ends) <= _PLANNED_AHEAD:
                if len(self._epoch_ends) - 1 == self.config.num_epochs:
                    break
                self._plan(len(self._epoch_ends) - 1)

    def iterator(self, start_step: int = 0) -> "BatchIterator":
        """Returns an iterator from `start_step` that makes batches ahead; its state is the step."""
        return BatchIterator(self, start_step)

    def identity(self) -> dict[str, Any]:
        """Returns everything that decides the batch of a step, for any number of processes."""
        return {
            "records": self.source.digest()[:16],
            "sequence_length": self.config.sequence_length,
            "global_batch_size": self.config.global_batch_size,
            "seed": self.config.seed,
            "shuffle": self.config.shuffle,
            "packs": self._schedule.identity[:16],  # also covers mixture, lengths and window
        }

    def _pack(self, number: int) -> np.ndarray:
        """Returns the records of pack `number` in the stream; empty after the last epoch."""
        with self._lock:
            while self._epoch_ends[-1] <= number:
                if len(self._epoch_ends) - 1 == self.config.num_epochs:
                    return np.empty(0, np.int64)
                self._plan(len(self._epoch_ends) - 1)
            epoch = int(np.searchsorted(self._epoch_ends, number, side="right")) - 1
            return self._plan(epoch)[number - self._epoch_ends[epoch]]

    def _first_pack(self, epoch: int) -> int:
        """Returns the number of an epoch's first pack; plans all earlier epochs."""
        with self._lock:
            while len(self._epoch_ends) <= epoch:
                self._plan(len(self._epoch_ends) - 1)
            return self._epoch_ends[epoch]

    def _plan(self, epoch: int) -> Packs:
        """Plans an epoch. First calls must come in order of epochs, to extend `_epoch_ends`."""
        if epoch not in self._plans:
            while len(self._plans) >= _MAX_PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = self._schedule.packs(epoch)
        plan = self._plans[epoch]
        if epoch == len(self._epoch_ends) - 1:
            self._epoch_ends.append(self._epoch_ends[-1] + len(plan))
        return plan


class BatchIterator(grain.DatasetIterator):
    """Iterates over batches in order of steps; a grain iterator whose state is the next step.

    Works with `grain.checkpoint.CheckpointSave` and `CheckpointRestore`. The state fits any number
    of processes; grain names its files by process count, so with another count pass the step to
    `TrainInput.iterator(start_step)`. Restoring with other records, seed, batch size or sequence
    length raises InputError.
    """

    def __init__(self, train_input: TrainInput, start_step: int = 0):
        super().__init__()
        self._input = train_input
        self._identity = train_input.identity()
        self._go_to(start_step)

    @property
    def step(self) -> int:
        """Returns the step of the next batch."""
        return self._step

    @property
    def counts(self) -> InputCounts:
        """Returns the counts of records by result."""
        return self._input.counts

    def __next__(self) -> Batch:
        self._assert_not_closed()
        if self._ahead is None:
            self._ahead = self._read_ahead()
        batch = next(self._ahead)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """Returns {"step": next step, ...identity}; under 1 KB of JSON."""
        return {"step": self._step, **self._identity}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to the step of a state saved with the same records and options."""
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
        """Starts making batches before the first is requested."""
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
    """Offers the batches from `start` as a random-access source for grain."""

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
    """Returns the numbers of the records to pack, and the counts. Raises InputError."""
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
