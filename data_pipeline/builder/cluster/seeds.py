"""Finds the functions of a build: from sources to distinct ones, each with its split.

units ─ read ─┬─ one of each id ─ no benchmark's task ─ no repeat ─ limit ─ split ─▶ seeds
              │        └────────────────┴─────────────────┴────────────────────────▶ removed
              ├────────────────────────────────────────────────────────────────────▶ refused
              └────────────────────────────────────────────────────────────────────▶ dead
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsList, TaggedOutput

from data_pipeline.builder.cluster.components import FindClusters
from data_pipeline.builder.cluster.sources import ListUnits, PlacedUnit, unit_here
from data_pipeline.builder.cluster.split import HoldOut, keep_pairs
from data_pipeline.builder.cluster.stage_files import WriteLines
from data_pipeline.builder.groups import seed_to_row
from data_pipeline.builder.marked_errors import marked_errors
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.progress import Heartbeat
from data_pipeline.builder.rows import DeadLetter
from data_pipeline.builder.selection import (
    DEAD,
    REFUSED,
    REMOVED,
    SEEDS,
    alike_row,
    benchmark_row,
    one_of_each_id,
    read_safely,
    removal_count,
    removal_row,
)
from data_pipeline.builder.steps import SHOWN
from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.overlap import BenchmarkIndex, Item, item_of
from data_pipeline.decontamination.repeats import Likeness, block_keys, find_alike, settle
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import AnyPath, as_path, read_rows, write_json
from data_pipeline.seeds import Refusal, Seed
from data_pipeline.testcases import EXPLORATION_LIMITS

_ALIKE = "alike"


@dataclass(frozen=True)
class SeedWork:
    """Names the places of the second job.

    Args:
      options: of the build.
      folder: folder of seeds-*, refused-*, removed-* and dead-*.
      progress: folder of heartbeats.
      benchmarks: file of the benchmarks' tasks, rows of `Item`; None for none.
      summary: file for counts: {"counts": [[group, name, number]], "removed", "dead": first rows}.
    """

    options: BuildOptions
    folder: AnyPath
    progress: AnyPath
    benchmarks: "AnyPath | None"
    summary: AnyPath


def find_seeds(root: Any, work: SeedWork) -> None:
    """Adds the second job to `root`, which writes JSON lines to `work.folder`, then the summary."""
    read = (
        root
        | ListUnits(work.options)
        | "Read"
        >> beam.ParDo(_ReadUnit(str(work.progress))).with_outputs(REFUSED, DEAD, main=SEEDS)
    )
    distinct = (
        read[SEEDS]
        | "KeyById" >> beam.Map(lambda seed: (seed.id, seed))
        | "GroupById" >> beam.GroupByKey()
        | "OneOfEachId" >> beam.FlatMap(_one_of_each_id).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = distinct[SEEDS], [distinct[REMOVED]]
    if work.benchmarks is not None:
        apart = seeds | "Benchmarks" >> beam.FlatMap(
            _no_benchmark_task, str(work.benchmarks)
        ).with_outputs(REMOVED, main=SEEDS)
        seeds, removed = apart[SEEDS], [*removed, apart[REMOVED]]
    pairs = _find_pairs(seeds, work.options)
    compared = (
        {
            "seeds": seeds | "KeyByItem" >> beam.Map(lambda seed: (item_of(seed).id, seed)),
            "repeats": _settle(pairs["repeats"]),
        }
        | "ById" >> beam.CoGroupByKey()
        | "NoRepeat" >> beam.FlatMap(_no_repeat).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = compared[SEEDS], [*removed, compared[REMOVED]]
    if work.options.limit is not None:
        seeds = _limit(seeds, work.options.limit)
    alike = pairs[_ALIKE] | "AlikeIds" >> beam.Map(lambda one: tuple(alike_row(one)["seeds"]))
    seeds = (seeds, alike) | HoldOut(work.options.heldout_share)
    removed = removed | "AllRemoved" >> beam.Flatten()
    lines = {
        SEEDS: seeds | "SeedLines" >> beam.Map(_seed_line),
        REFUSED: read[REFUSED] | "RefusedLines" >> beam.Map(lambda r: json.dumps(asdict(r))),
        REMOVED: removed | "RemovedLines" >> beam.Map(json.dumps),
        DEAD: read[DEAD] | "DeadLines" >> beam.Map(DeadLetter.to_json),
    }
    for name, texts in lines.items():
        texts | f"Write_{name}" >> WriteLines(work.folder, name)
    counted = (
        seeds | "CountFound" >> beam.Map(lambda _: ("functions", "found")),
        read[REFUSED] | "CountRefused" >> beam.Map(lambda r: ("functions refused", r.reason)),
        removed | "CountRemoved" >> beam.Map(removal_count),
        read[DEAD] | "CountDead" >> beam.Map(lambda _: ("dead letters", "read")),
    )
    write_summary(root, counted, {n: lines[n] for n in (REMOVED, DEAD)}, work.summary)


def write_summary(root: Any, counted: Any, rows: dict[str, Any], path: AnyPath) -> None:
    """Writes how often each (group, name) occurs, and the first of the rows by name."""
    counts = (
        counted | "AllCounted" >> beam.Flatten() | "EachCount" >> beam.combiners.Count.PerElement()
    )
    first = [
        lines
        | f"First_{name}" >> beam.combiners.Top.Smallest(SHOWN)
        | f"Name_{name}" >> beam.Map(lambda found, name=name: (name, found))
        for name, lines in rows.items()
    ]
    (
        root
        | "OneSummary" >> beam.Create([str(path)])
        | "WriteSummary"
        >> beam.Map(_write_summary, AsList(counts), AsList(first | "AllFirst" >> beam.Flatten()))
    )


def _write_summary(
    path: str,
    counts: Iterable[tuple[tuple[str, str], int]],
    first: Iterable[tuple[str, list[str]]],
) -> None:
    row: dict[str, Any] = {name: [json.loads(line) for line in lines] for name, lines in first}
    row["counts"] = sorted([group, name, number] for (group, name), number in counts)
    write_json(as_path(path), row, durable=True)


def _seed_line(given: tuple[Seed, bool]) -> str:
    seed, held_out = given
    return json.dumps(seed_to_row(seed) | {"held_out": held_out})


# ==== Reading


class _ReadUnit(beam.DoFn):
    """Reads a unit; outputs seeds, refusals, and a dead letter if it cannot be read."""

    def __init__(self, progress: str):
        self._progress = progress
        self._units = beam.metrics.Metrics.counter("semcoder", "units read")

    def setup(self) -> None:
        self._heartbeat = Heartbeat(self._progress)

    def process(self, placed: PlacedUnit) -> Iterator[Any]:
        tags = {Refusal: REFUSED, DeadLetter: DEAD}
        with marked_errors():
            unit = unit_here(placed)
        for one in read_safely(unit):
            yield TaggedOutput(tags[type(one)], one) if type(one) in tags else one
        self._heartbeat.add(1)
        self._units.inc()

    def teardown(self) -> None:
        self._heartbeat.flush()


def _one_of_each_id(keyed: tuple[str, Iterable[Seed]]) -> Iterator[Any]:
    best, rows = one_of_each_id(keyed[1])
    yield best
    yield from (TaggedOutput(REMOVED, row) for row in rows)


# ==== Repeats


def _no_benchmark_task(seed: Seed, tasks: str) -> Iterator[Any]:
    row = benchmark_row(seed, _index(tasks))
    yield seed if row is None else TaggedOutput(REMOVED, row)


@lru_cache(maxsize=1)  # of each worker process
def _index(tasks: str) -> BenchmarkIndex:
    with marked_errors():
        return BenchmarkIndex(Item(**row) for _, row in read_rows(as_path(tasks)))


def _find_pairs(seeds: Any, options: BuildOptions) -> Any:
    """Returns the pairs that look alike: "repeats", and those that do different things."""
    return (
        seeds
        | "Blocks" >> beam.FlatMap(_blocks)
        | "GroupBlocks" >> beam.GroupByKey()
        | "Alike" >> beam.FlatMap(lambda keyed: find_alike(keyed[1]))
        | "KeyByPair" >> beam.Map(lambda found: ((found[0].one, found[0].other), found))
        | "GroupPairs" >> beam.GroupByKey()
        | "Differ" >> beam.ParDo(_Judge(options)).with_outputs(_ALIKE, main="repeats")
    )


def _blocks(seed: Seed) -> Iterator[tuple[str, Item]]:
    item = item_of(seed)
    for key in block_keys(item):
        yield key, item


class _Judge(beam.DoFn):
    """Separates pairs that look alike into repeats and those that do different things."""

    def __init__(self, options: BuildOptions):
        self._tier = options.tier

    def setup(self) -> None:
        with marked_errors():
            self._sandbox = Sandbox(
                tier=self._tier,
                allow_weak=self._tier == "C",
                workers=1,
                limits=EXPLORATION_LIMITS,
            )

    def process(
        self, keyed: tuple[tuple[str, str], Iterable[tuple[Likeness, Item, Item]]]
    ) -> Iterator[Any]:
        likeness, *pair = next(iter(keyed[1]))
        if likeness.certain or not differ(*pair, self._sandbox):
            yield likeness
        else:
            yield TaggedOutput(_ALIKE, likeness)

    def teardown(self) -> None:
        self._sandbox.close()


def _settle(repeats: Any) -> Any:
    """Decides in each cluster of repeats which items go; returns (item, removal)."""
    leaders = (
        repeats
        | "Ends" >> beam.Map(lambda one: (one.one, one.other))
        | "Repeated" >> FindClusters()
    )
    by_one = repeats | "KeyByOne" >> beam.Map(lambda one: (one.one, one))
    return (
        {"leader": leaders, "repeats": by_one}
        | "WithLeader" >> beam.CoGroupByKey()
        | "KeyByLeader" >> beam.FlatMap(_by_leader)
        | "GroupClusters" >> beam.GroupByKey()
        | "Settle" >> beam.FlatMap(lambda keyed: settle(keyed[1]))
        | "KeyRemovals" >> beam.Map(lambda removal: (removal.id, removal))
    )


def _by_leader(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[tuple[str, Likeness]]:
    (leader,) = keyed[1]["leader"]
    for likeness in keyed[1]["repeats"]:
        yield leader, likeness


def _no_repeat(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
    (seed,) = keyed[1]["seeds"]
    removal = next(iter(keyed[1]["repeats"]), None)
    if removal is None:
        yield seed
    else:
        yield TaggedOutput(REMOVED, removal_row(seed, removal, "corpus"))


def _limit(seeds: Any, limit: int) -> Any:
    """Returns the seeds with the smallest ids."""
    chosen = (
        seeds
        | "Ids" >> beam.Map(lambda seed: seed.id)
        | "Limit" >> beam.combiners.Top.Smallest(limit)
        | "EachOfLimit" >> beam.FlatMap(lambda ids: ids)
    )
    pairs = seeds | "KeyForLimit" >> beam.Map(lambda seed: (seed.id, seed))
    return keep_pairs(pairs, chosen, "Limited") | "Limited" >> beam.Values()
