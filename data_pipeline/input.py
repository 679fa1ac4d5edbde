"""Training and evaluation batches: deterministic, sharded by process, resumable at any step.

Packs are planned by index. Epoch e shuffles the records, packs them first-fit and shuffles the
packs, all from (seed, e) alone. The packs of all epochs follow one another without a gap; step k is
packs k * B to (k + 1) * B of that stream, for any number of processes, and a process takes its
slice of those rows. Nothing is dropped: a batch may hold packs of two epochs, and only after a last
epoch is it filled up with empty rows (segment ids 0, no loss). The position is the step.

The only file here that imports grain, which imports jax. Axes: R record, B row, T time.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import grain
import numpy as np
from absl import logging
from tqdm import tqdm

from data_pipeline.packing import Packs, Tokenizer, TokenTable, encode_table, lay_out, plan_packs
from data_pipeline.prompts import training_prompt
from data_pipeline.records import Record, kind_number

Batch = dict[str, np.ndarray]
Overlong = Literal["truncate", "drop", "refuse"]

_PLANS_KEPT = 2  # a batch may need the packs of two epochs
_BATCHES_AHEAD = 4
_RECORDS_AT_ONCE = 256  # read from disk together


class InputError(ValueError):
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
                    yield training_prompt(record), record.response, kind_number(record)
                bar.update(len(records))

    return encode_table(rows(), tokenizer)


def make_train_iterator(
    source: Sequence[Record] | TokenTable, tokenizer: Tokenizer | None = None, **options: Any
) -> "BatchIterator":
    """`TrainInput(source, tokenizer, **options).iterator()`."""
    return TrainInput(source, tokenizer, **options).iterator()


def make_eval_iterator(
    source: Sequence[Record] | TokenTable, tokenizer: Tokenizer | None = None, **options: Any
) -> "BatchIterator":
    """One pass over the records in their own order; the last batch ends in rows without loss.

    Takes the options of `TrainInput` but `seed`, `num_epochs` and `shuffle`.
    """
    whole_pass = TrainInput(source, tokenizer, seed=0, num_epochs=1, shuffle=False, **options)
    return whole_pass.iterator()


class TrainInput:
    """Batches by step number.

    Args:
      source: records, random access (a list, or what `pyx.load` gives); or their tokens, uncut.
      tokenizer: needed for records.
      sequence_length: T, input tokens of a row.
      global_batch_size: rows of a step over all processes.
      seed: from 0; with the epoch it decides the order of records and packs.
      num_epochs: passes over the records; None: without end.
      process_index, process_count: which rows this process gets: the p-th of equal slices.
      shuffle: False keeps the records in their order in every epoch.
      max_length: tokens of a record, BOS and EOS included (upstream's max_training_seq_length);
        at most and by default sequence_length + 1, the last being a target alone.
      overlong: a longer record is cut on the right ("truncate", as upstream), left out ("drop") or
        an error ("refuse").
      pad_id: the token on padding; its loss and attention are masked.

    `counts` says what became of the records. Records of whose response nothing is left are dropped
    and counted: upstream keeps them, without effect on the loss. Raises InputError.
    """

    def __init__(
        self,
        source: Sequence[Record] | TokenTable,
        tokenizer: Tokenizer | None = None,
        *,
        sequence_length: int,
        global_batch_size: int,
        seed: int,
        num_epochs: int | None = None,
        process_index: int = 0,
        process_count: int = 1,
        shuffle: bool = True,
        max_length: int | None = None,
        overlong: Overlong = "truncate",
        pad_id: int = 0,
    ):
        max_length = sequence_length + 1 if max_length is None else max_length
        _check("sequence_length", sequence_length, "at least 1", sequence_length >= 1)
        _check("global_batch_size", global_batch_size, "at least 1", global_batch_size >= 1)
        _check("seed", seed, "at least 0", seed >= 0)
        _check(
            "num_epochs", num_epochs, "at least 1, or None", num_epochs is None or num_epochs > 0
        )
        _check("process_count", process_count, "at least 1", process_count >= 1)
        _check(
            "process_index",
            process_index,
            f"0 to {process_count - 1}",
            0 <= process_index < process_count,
        )
        _check(
            "global_batch_size",
            global_batch_size,
            f"a multiple of the {process_count} processes",
            global_batch_size % process_count == 0,
        )
        _check(
            "max_length",
            max_length,
            f"2 to {sequence_length + 1} (sequence_length + 1)",
            2 <= max_length <= sequence_length + 1,
        )
        _check(
            "overlong",
            overlong,
            "truncate, drop or refuse",
            overlong in ("truncate", "drop", "refuse"),
        )
        if isinstance(source, TokenTable):
            table = source
        elif tokenizer is None:
            raise InputError("tokenizer: expected one, since the source holds records")
        else:
            table = tokenize_records(source, tokenizer)

        self.sequence_length = sequence_length
        self.global_batch_size = global_batch_size
        self.seed = seed
        self.num_epochs = num_epochs
        self.process_index = process_index
        self.process_count = process_count
        self.shuffle = shuffle
        self.pad_id = pad_id
        self.table, self._records, self.counts = _select(table, max_length, overlong)
        self._lengths = self.table.lengths_R[self._records] - 1
        self._epoch_ends = [0]  # in packs: epoch e is packs _epoch_ends[e] to _epoch_ends[e + 1]
        self._plans: dict[int, Packs] = {}
        self._lock = threading.Lock()  # batches are made ahead on another thread
        unusual = self.counts.packed < self.counts.records or self.counts.cut
        logging.log(logging.WARNING if unusual else logging.INFO, "input: %s", self.counts)

    def num_steps(self) -> int | None:
        """Steps of all epochs, the last possibly filled up with empty rows; None if without end."""
        if self.num_epochs is None:
            return None
        return -(-self._first_pack(self.num_epochs) // self.global_batch_size)

    def batch(self, step: int) -> Batch:
        """This process's rows of step `step`, laid out by `packing.lay_out`, [B / processes, T]."""
        rows = self.global_batch_size // self.process_count
        first = step * self.global_batch_size + self.process_index * rows
        packs = [self._pack(number) for number in range(first, first + rows)]
        return lay_out(self.table, packs, self.sequence_length, self.pad_id)

    def records(self, step: int) -> np.ndarray:
        """The numbers, in the source, of the records of step `step`, of all processes' rows."""
        first = step * self.global_batch_size
        packs = [self._pack(number) for number in range(first, first + self.global_batch_size)]
        return np.concatenate(packs)

    def iterator(self, start_step: int = 0) -> "BatchIterator":
        """Batches from `start_step` on, made ahead of time; its state is the step."""
        return BatchIterator(self, start_step)

    def identity(self) -> dict[str, Any]:
        """What decides the batch of a step, whatever the number of processes."""
        digest = hashlib.sha256()
        table = self.table
        for array in (
            table.tokens_N,
            table.offsets,
            table.prompt_lengths_R,
            table.kinds_R,
            self._records,
        ):
            digest.update(np.ascontiguousarray(array))
        return {
            "records": digest.hexdigest()[:16],
            "sequence_length": self.sequence_length,
            "global_batch_size": self.global_batch_size,
            "seed": self.seed,
            "shuffle": self.shuffle,
        }

    def _pack(self, number: int) -> np.ndarray:
        """The records of a pack of the stream of all epochs; none after the last epoch."""
        with self._lock:
            while self._epoch_ends[-1] <= number:
                if len(self._epoch_ends) - 1 == self.num_epochs:
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
            self._plans[epoch] = self._planned(epoch)
        plan = self._plans[epoch]
        if epoch == len(self._epoch_ends) - 1:
            self._epoch_ends.append(self._epoch_ends[-1] + len(plan))
        return plan

    def _planned(self, epoch: int) -> Packs:
        if not self.shuffle:
            packs = plan_packs(self._lengths, self.sequence_length)
            return Packs(self._records[packs.records], packs.starts)
        # The bit generator's raw stream is fixed for good; numpy may change Generator.permutation.
        random = np.random.PCG64(np.random.SeedSequence([self.seed, epoch]))
        order_R = np.argsort(random.random_raw(len(self._lengths)), kind="stable")
        packs = plan_packs(self._lengths[order_R], self.sequence_length)
        packs = Packs(self._records[order_R[packs.records]], packs.starts)
        return packs.reordered(np.argsort(random.random_raw(len(packs)), kind="stable"))


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
    table: TokenTable, max_length: int, overlong: Overlong
) -> tuple[TokenTable, np.ndarray, InputCounts]:
    """The cut table, the numbers of the records to pack, and the counts. Raises InputError."""
    long_R = (table.lengths_R > max_length) | table.cut_R
    if overlong == "refuse" and long_R.any():
        worst = int(table.lengths_R.argmax())
        raise InputError(
            f"{long_R.sum():,} of {len(table):,} records: expected at most {max_length} tokens; "
            f"record {worst} has {table.lengths_R[worst]}"
        )
    table = table.cut_to(max_length)
    dropped_R = long_R & (overlong == "drop")
    empty_R = ~dropped_R & (table.loss_tokens_R == 0)
    kept_R = ~dropped_R & ~empty_R
    if not kept_R.any():
        raise InputError(f"expected records with a response to learn; got none of {len(table):,}")
    counts = InputCounts(
        records=len(table),
        packed=int(kept_R.sum()),
        cut=int((long_R & kept_R).sum()),
        dropped_overlong=int(dropped_R.sum()),
        dropped_without_target=int(empty_R.sum()),
        tokens=int((table.lengths_R - 1)[kept_R].sum()),
        loss_tokens=int(table.loss_tokens_R[kept_R].sum()),
    )
    return table, np.flatnonzero(kept_R), counts


def _check(option: str, value: Any, expected: str, holds: bool) -> None:
    if not holds:
        raise InputError(f"{option}: expected {expected}; got {value!r}")
