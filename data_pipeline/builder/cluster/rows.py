"""Makes the rows of all functions: writes a file per group and counts what all groups hold.

seeds ─ groups ─ rows (a sandbox in each process) ─▶ one file a group
                   └─ read again ─ counts, digests on both sides of the split ─▶ summary
"""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsList, AsSingleton, TaggedOutput

from data_pipeline.builder.cluster.split import keep_pairs
from data_pipeline.builder.cluster.stage_files import ReadLines, WriteLines
from data_pipeline.builder.groups import group_of, read_group, seed_from_row
from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.marked_errors import marked_errors
from data_pipeline.builder.progress import Heartbeat
from data_pipeline.builder.row_maker import GroupMaker, RowWork
from data_pipeline.builder.selection import DEAD, SEEDS
from data_pipeline.builder.steps import SHOWN
from data_pipeline.builder.tally import Tally
from data_pipeline.builder.workers import Worker
from data_pipeline.files import AnyPath, as_path, write_json
from data_pipeline.seeds import Seed

GROUP_FILES, DROPPED = "groups", "dropped"
_DIGESTS, _VARIANTS = "digests", "variants"


@dataclass(frozen=True)
class GroupWork:
    """Names the places of the third job.

    Args:
      rows: what a worker needs to make rows.
      seeds: folder of the seeds-* and dead-* of the second job.
      groups: number of groups.
      folder: folder of groups-* (a row a group) and dropped-* (ids of records to leave out).
      summary: file of a `RowSummary`.
    """

    rows: RowWork
    seeds: AnyPath
    groups: int
    folder: AnyPath
    summary: AnyPath


@dataclass(frozen=True)
class RowSummary:
    """Holds counts of all groups.

    Args:
      tally: of all functions, without the dropped records.
      held_out: functions and classes in held-out functions.
      shared: how many of these are in training functions too.
      reused: functions whose group file existed before.
      dead: first dead letters of both jobs, by their JSON.
      workers: machines that made the groups.
    """

    tally: Tally
    held_out: int
    shared: int
    reused: int
    dead: list[dict[str, str]]
    workers: list[Worker]

    @classmethod
    def read(cls, path: AnyPath) -> "RowSummary":
        row = json.loads(path.read_text())
        workers = [Worker(*fields) for fields in row["workers"]]
        tally = Tally.from_json(row["tally"])
        return cls(**row | {"tally": tally, "workers": workers})


def make_rows(root: Any, work: GroupWork) -> None:
    """Adds the third job to `root`."""
    groups = (
        root
        | "Seeds" >> ReadLines(work.seeds, SEEDS)
        | "Parse" >> beam.Map(_parse)
        | "KeyByGroup" >> beam.Map(lambda one, n: (group_of(one[0], n), one), work.groups)
        | "GroupSeeds" >> beam.GroupByKey()
        | "Rows" >> beam.ParDo(_WriteGroup(work.rows))
    )
    (
        groups
        | "GroupLines" >> beam.Map(json.dumps)
        | "WriteGroups" >> WriteLines(work.folder, GROUP_FILES)
    )
    read = (
        groups
        | "ShareOut" >> beam.Reshuffle()
        | "ReadGroup"
        >> beam.ParDo(_ReadGroup(str(work.rows.folder))).with_outputs(
            _DIGESTS, _VARIANTS, DEAD, main="tallies"
        )
    )
    sides = read[_DIGESTS] | "GroupDigests" >> beam.GroupByKey() | "Sides" >> beam.Map(_join_sides)
    dropped = _find_dropped(sides, read[_VARIANTS])
    (
        dropped
        | "DroppedLines" >> beam.Map(lambda one: json.dumps(one[0]))
        | "WriteDropped" >> (WriteLines(work.folder, DROPPED))
    )
    tally = read["tallies"] | "AllTallies" >> beam.CombineGlobally(_JoinTallies())
    dead = (
        (read[DEAD], root | "EarlierDead" >> ReadLines(work.seeds, DEAD))
        | "AllDead" >> beam.Flatten()
        | "FirstDead" >> beam.combiners.Top.Smallest(SHOWN)
    )
    workers = (
        groups
        | "Reports" >> beam.Map(lambda row: tuple(row["worker"]))
        | "EachWorker" >> beam.Distinct()
    )
    (
        root
        | "OneSummary" >> beam.Create([str(work.summary)])
        | "WriteSummary"
        >> beam.Map(
            _write_summary,
            AsSingleton(tally),
            AsIter(dropped),
            AsSingleton(sides | "CountSides" >> beam.CombineGlobally(_CountSides())),
            AsSingleton(groups | "Reused" >> beam.Map(_reused) | beam.CombineGlobally(sum)),
            AsSingleton(dead),
            AsList(workers),
        )
    )


def _parse(line: str) -> tuple[Seed, bool]:
    row = json.loads(line)
    held_out = row.pop("held_out")
    return seed_from_row(row), held_out


def _reused(row: dict[str, Any]) -> int:
    return row["functions"] if row["kept"] else 0


class _WriteGroup(beam.DoFn):
    """Writes the file of a group unless it exists; outputs the row about it."""

    def __init__(self, work: RowWork):
        self._work = work
        self._functions = beam.metrics.Metrics.counter("semcoder", "functions told")

    def setup(self) -> None:
        with marked_errors():
            self._worker = Worker.here(self._work.options.tier)
        self._maker = _Shared.enter(self._work)

    def process(self, keyed: tuple[str, Iterable[tuple[Seed, bool]]]) -> Iterator[dict[str, Any]]:
        number, given = keyed
        split = {seed: held_out for seed, held_out in given}
        held_out = frozenset(seed.id for seed, is_held_out in split.items() if is_held_out)
        with marked_errors():
            row = self._maker.write(number, split, held_out)
        self._functions.inc(row["functions"])
        worker = self._worker
        yield row | {"worker": (worker.host, worker.tier, worker.weakness)}

    def teardown(self) -> None:
        _Shared.leave()


class _Shared:
    """Holds the row maker that the threads of one worker share."""

    _lock = threading.Lock()
    _maker: GroupMaker | None = None
    _users = 0

    @classmethod
    def enter(cls, work: RowWork) -> GroupMaker:
        with cls._lock:
            if cls._maker is None:
                cls._maker = GroupMaker(work, Heartbeat(work.progress))
            cls._users += 1
            return cls._maker

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._users -= 1
            if cls._users == 0 and cls._maker is not None:
                cls._maker.close()
                cls._maker = None


# ==== Counts


class _ReadGroup(beam.DoFn):
    """Outputs the tally of a group, digests by side, variants by digest, and dead letters."""

    def __init__(self, folder: str):
        self._folder = folder

    def process(self, row: dict[str, Any]) -> Iterator[Any]:
        group = read_group(as_path(self._folder) / row["file"])
        yield group.tally
        for split, digests in group.functions.items():
            for digest in digests:
                yield TaggedOutput(_DIGESTS, (digest, split))
        for name, variant in group.variants.items():
            for digest in variant["functions"]:
                yield TaggedOutput(_VARIANTS, (digest, (name, variant["length"])))
        for letter in group.dead:
            yield TaggedOutput(DEAD, json.dumps(letter))


def _join_sides(keyed: tuple[str, Iterable[str]]) -> tuple[str, tuple[bool, bool]]:
    splits = set(keyed[1])
    return keyed[0], (EVAL in splits, TRAIN in splits)


class _CountSides(beam.CombineFn):
    """Counts the digests of held-out functions, and those of both sides."""

    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, counts: tuple[int, int], side: Any) -> tuple[int, int]:
        held_out, in_training = side[1]
        return counts[0] + held_out, counts[1] + (held_out and in_training)

    def merge_accumulators(self, counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
        held_out, shared = zip(*counts, strict=True)
        return sum(held_out), sum(shared)

    def extract_output(self, counts: tuple[int, int]) -> tuple[int, int]:
        return counts


def _find_dropped(sides: Any, variants: Any) -> Any:
    """Returns (id, length) of the training records whose faulty program is a held-out function."""
    held_out = (
        sides | "OfHeldOut" >> beam.Filter(lambda side: side[1][0]) | "Digests" >> beam.Keys()
    )
    return (
        keep_pairs(variants, held_out, "Dropped")
        | "DroppedVariants" >> beam.Values()
        | "EachDropped" >> beam.Distinct()
    )


class _JoinTallies(beam.CombineFn):
    def create_accumulator(self) -> Tally:
        return Tally()

    def add_input(self, tally: Tally, other: Tally) -> Tally:
        tally.add(other)
        return tally

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        merged = Tally()
        for tally in tallies:
            merged.add(tally)
        return merged

    def extract_output(self, tally: Tally) -> Tally:
        return tally


def _write_summary(
    path: str,
    tally: Tally,
    dropped: Iterable[tuple[str, int]],
    sides: tuple[int, int],
    reused: int,
    dead: list[str],
    workers: list[tuple[str, str, str]],
) -> None:
    tally = Tally.from_json(tally.to_json())  # a runner may use the side input again
    for name, length in dropped:
        tally.drop_variant(name, length)
    row = {
        "tally": tally.to_json(),
        "held_out": sides[0],
        "shared": sides[1],
        "reused": reused,
        "dead": [json.loads(line) for line in dead],
        "workers": sorted(workers),
    }
    write_json(as_path(path), row, durable=True)
