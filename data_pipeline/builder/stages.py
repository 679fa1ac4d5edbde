"""Defines the two Beam pipelines: from sources to distinct seeds, and from seeds to rows.

    units ─ read ─┬─ one of each id ─ no benchmark's task ─ no repeat ─ limit ─▶ seeds, functions
                  │        └────────────────┴─────────────────┴────────────────▶ removed
                  ├────────────────────────────────────────────────────────────▶ refused
                  └────────────────────────────────────────────────────────────▶ dead letters
    seeds ─ groups ─ rows (a sandbox in each process) ─▶ one file a group

For runners other than DirectRunner; `local` does the same on this machine.
Results do not depend on the assignment of work to processes or its order. Needs apache-beam.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, TaggedOutput

from data_pipeline.builder.groups import group_of, seed_from_json, seed_to_json
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.progress import Heartbeat
from data_pipeline.builder.row_maker import GroupMaker, RowWork
from data_pipeline.builder.rows import DeadLetter
from data_pipeline.builder.selection import (
    ALIKE,
    DEAD,
    FUNCTIONS,
    REFUSED,
    REMOVED,
    SEEDS,
    alike_row,
    benchmark_row,
    functions_row,
    one_of_each_id,
    read_safely,
    removal_row,
)
from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.overlap import BenchmarkIndex, Item, item_of
from data_pipeline.decontamination.repeats import Likeness, block_keys, find_alike, settle
from data_pipeline.execution.service import Sandbox
from data_pipeline.seeds import Refusal, Seed, Unit
from data_pipeline.testcases import EXPLORATION_LIMITS

# ==== From sources to seeds


def find_seeds(
    root: Any,
    units: Sequence[Unit],
    benchmarks: BenchmarkIndex | None,
    options: BuildOptions,
    folder: Path,
) -> None:
    """Adds the first pipeline to `root`.

    It writes JSON lines to the files seeds*, refused*, removed* and dead* in `folder`.
    """
    read = (
        root
        | "Units" >> beam.Create(list(units), reshuffle=True)
        | "Read"
        >> beam.ParDo(_ReadUnit(folder / "progress")).with_outputs(REFUSED, DEAD, main=SEEDS)
    )
    distinct = (
        read[SEEDS]
        | "KeyById" >> beam.Map(lambda seed: (seed.id, seed))
        | "GroupById" >> beam.GroupByKey()
        | "OneOfEachId" >> beam.FlatMap(_one_of_each_id).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = distinct[SEEDS], [distinct[REMOVED]]
    if benchmarks is not None:
        index = root | "Index" >> beam.Create([benchmarks])
        apart = seeds | "Benchmarks" >> beam.FlatMap(
            _no_benchmark_task, AsSingleton(index)
        ).with_outputs(REMOVED, main=SEEDS)
        seeds, removed = apart[SEEDS], [*removed, apart[REMOVED]]
    pairs = (
        seeds
        | "Blocks" >> beam.FlatMap(_blocks)
        | "GroupBlocks" >> beam.GroupByKey()
        | "Alike" >> beam.FlatMap(lambda keyed: find_alike(keyed[1]))
        | "KeyByPair" >> beam.Map(lambda found: ((found[0].one, found[0].other), found))
        | "GroupPairs" >> beam.GroupByKey()
        | "Differ" >> beam.ParDo(_Judge(options)).with_outputs(ALIKE, main="repeats")
    )
    repeats = (
        pairs["repeats"]
        | "Together" >> beam.Map(lambda likeness: (None, likeness))
        | "GroupAll" >> beam.GroupByKey()
        | "Settle" >> beam.FlatMap(lambda keyed: settle(keyed[1]))
        | "KeyByItem" >> beam.Map(lambda removal: (removal.id, removal))
    )
    compared = (
        {"seeds": seeds | beam.Map(lambda seed: (item_of(seed).id, seed)), "repeats": repeats}
        | "ById" >> beam.CoGroupByKey()
        | "NoRepeat" >> beam.FlatMap(_no_repeat).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = compared[SEEDS], [*removed, compared[REMOVED]]
    if options.limit is not None:
        seeds = (
            seeds
            | "Limit" >> beam.combiners.Top.Smallest(options.limit, key=lambda seed: seed.id)
            | "EachOfLimit" >> beam.FlatMap(lambda seeds: seeds)
        )
    lines = {
        SEEDS: seeds | "SeedLines" >> beam.Map(seed_to_json),
        FUNCTIONS: seeds | "FunctionLines" >> beam.Map(lambda s: json.dumps(functions_row(s))),
        ALIKE: pairs[ALIKE] | "AlikeLines" >> beam.Map(lambda p: json.dumps(alike_row(p))),
        REFUSED: read[REFUSED] | "RefusedLines" >> beam.Map(lambda r: json.dumps(asdict(r))),
        REMOVED: removed | beam.Flatten() | "RemovedLines" >> beam.Map(json.dumps),
        DEAD: read[DEAD] | "DeadLines" >> beam.Map(DeadLetter.to_json),
    }
    for name, texts in lines.items():
        _write_lines(texts, name, folder)


class _ReadUnit(beam.DoFn):
    """Reads a unit; outputs seeds, refusals, and a dead letter if it cannot be read."""

    def __init__(self, progress: Path):
        self._progress = progress

    def setup(self) -> None:
        self._heartbeat = Heartbeat(self._progress)

    def process(self, unit: Unit) -> Iterator[Any]:
        tags = {Refusal: REFUSED, DeadLetter: DEAD}
        for one in read_safely(unit):
            yield TaggedOutput(tags[type(one)], one) if type(one) in tags else one
        self._heartbeat.add(1)

    def teardown(self) -> None:
        self._heartbeat.flush()


class _Judge(beam.DoFn):
    """Separates pairs that look alike into repeats and those that do different things."""

    def __init__(self, options: BuildOptions):
        self._options = options

    def setup(self) -> None:
        tier = self._options.tier
        self._sandbox = Sandbox(
            tier=tier, allow_weak=tier == "C", workers=1, limits=EXPLORATION_LIMITS
        )

    def process(
        self, keyed: tuple[tuple[str, str], Iterable[tuple[Likeness, Item, Item]]]
    ) -> Iterator[Any]:
        likeness, *pair = next(iter(keyed[1]))
        if likeness.certain or not differ(*pair, self._sandbox):
            yield likeness
        else:
            yield TaggedOutput(ALIKE, likeness)

    def teardown(self) -> None:
        self._sandbox.close()


def _one_of_each_id(keyed: tuple[str, Iterable[Seed]]) -> Iterator[Any]:
    best, rows = one_of_each_id(keyed[1])
    yield best
    yield from (TaggedOutput(REMOVED, row) for row in rows)


def _no_benchmark_task(seed: Seed, index: BenchmarkIndex) -> Iterator[Any]:
    row = benchmark_row(seed, index)
    yield seed if row is None else TaggedOutput(REMOVED, row)


def _no_repeat(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
    (seed,) = keyed[1]["seeds"]
    removal = next(iter(keyed[1]["repeats"]), None)
    if removal is None:
        yield seed
    else:
        yield TaggedOutput(REMOVED, removal_row(seed, removal, "corpus"))


def _blocks(seed: Seed) -> Iterator[tuple[str, Item]]:
    item = item_of(seed)
    for key in block_keys(item):
        yield key, item


# ==== From seeds to rows


def make_rows(root: Any, seeds: Path, work: "RowWork", listing: Path) -> None:
    """Adds the second pipeline to `root`.

    It writes a file per group of seeds, and JSON lines {"file", "functions", "kept"} to the files
    `listing`*; "kept" is true if the group's file existed before.
    """
    names = (
        root
        | "Seeds" >> beam.io.ReadFromText(str(seeds / f"{SEEDS}-*"))
        | "Parse" >> beam.Map(seed_from_json)
        | "KeyByGroup" >> beam.Map(lambda seed: (group_of(seed), seed))
        | "GroupSeeds" >> beam.GroupByKey()
        | "Rows" >> beam.ParDo(_WriteGroup(work))
    )
    _write_lines(names, listing.name, listing.parent)


class _WriteGroup(beam.DoFn):
    """Writes the file of a group unless it exists."""

    def __init__(self, work: RowWork):
        self._work = work

    def setup(self) -> None:
        self._maker = _Shared.enter(self._work)

    def process(self, keyed: tuple[str, Iterable[Seed]]) -> Iterator[str]:
        yield json.dumps(self._maker.write(*keyed))

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


def _write_lines(lines: Any, name: str, folder: Path) -> None:
    path = str(folder / name)
    lines | f"Write_{name}" >> beam.io.WriteToText(path, file_name_suffix=".jsonl")
