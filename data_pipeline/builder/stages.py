"""Defines the two Beam pipelines: from sources to distinct seeds, and from seeds to rows.

    units ─ read ─┬─ one of each id ─ no benchmark's task ─ no near-duplicate ─ limit ─▶ seeds
                  │        └────────────────┴─────────────────────┴──────────▶ removed
                  ├──────────────────────────────────────────────────────────▶ refused
                  └──────────────────────────────────────────────────────────▶ dead letters
    seeds ─ groups ─ rows (a sandbox in each process) ─▶ one file a group

Results do not depend on the assignment of work to processes or its order. Needs apache-beam.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, TaggedOutput

from data_pipeline.builder.deadline import BoundedWorker, TookTooLong
from data_pipeline.builder.groups import (
    group_name,
    group_of,
    read_group,
    seed_from_json,
    seed_to_json,
    write_group,
)
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.progress import Heartbeat
from data_pipeline.builder.rows import DeadLetter, SeedRows, seed_rows, timeout_rows
from data_pipeline.decontamination.overlap import (
    BenchmarkIndex,
    Item,
    Removal,
    block_keys,
    find_repeats_in_group,
    item_of,
    strongest_removal,
)
from data_pipeline.endpoint.client import Client
from data_pipeline.endpoint.reply_cache import CachedClient, ReplyCache
from data_pipeline.execution.service import Sandbox
from data_pipeline.seeds import Refusal, Seed, Unit, read_unit
from data_pipeline.testcases import EXPLORATION_LIMITS
from data_pipeline.tokens.control_tokens import OrdinaryEncoder

SEEDS, REFUSED, REMOVED, DEAD = "seeds", "refused", "removed", "dead"


# ==== From sources to seeds


def find_seeds(
    root: Any,
    units: Sequence[Unit],
    benchmarks: BenchmarkIndex | None,
    limit: int | None,
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
    alike = (
        read[SEEDS]
        | "KeyById" >> beam.Map(lambda seed: (seed.id, seed))
        | "GroupById" >> beam.GroupByKey()
        | "OneOfEachId" >> beam.ParDo(_OneOfEachId()).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = alike[SEEDS], [alike[REMOVED]]
    if benchmarks is not None:
        index = root | "Index" >> beam.Create([benchmarks])
        apart = seeds | "Benchmarks" >> beam.ParDo(
            _NoBenchmarkTask(), AsSingleton(index)
        ).with_outputs(REMOVED, main=SEEDS)
        seeds, removed = apart[SEEDS], [*removed, apart[REMOVED]]
    repeats = (
        seeds
        | "Blocks" >> beam.FlatMap(_blocks)
        | "GroupBlocks" >> beam.GroupByKey()
        | "Repeats" >> beam.FlatMap(_repeats)
    )
    compared = (
        {"seeds": seeds | beam.Map(lambda seed: (item_of(seed).id, seed)), "repeats": repeats}
        | "Judge" >> beam.CoGroupByKey()
        | "NoRepeat" >> beam.ParDo(_NoRepeat()).with_outputs(REMOVED, main=SEEDS)
    )
    seeds, removed = compared[SEEDS], [*removed, compared[REMOVED]]
    if limit is not None:
        seeds = (
            seeds
            | "Limit" >> beam.combiners.Top.Smallest(limit, key=lambda seed: seed.id)
            | "EachOfLimit" >> beam.FlatMap(lambda seeds: seeds)
        )
    lines = {
        SEEDS: seeds | "SeedLines" >> beam.Map(seed_to_json),
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
        try:
            found = read_unit(unit)
        except Exception as error:  # one bad file must not stop the others
            yield TaggedOutput(DEAD, DeadLetter.of("read", unit.path, unit.path, error))
            found = ()
        for one in found:
            yield TaggedOutput(REFUSED, one) if isinstance(one, Refusal) else one
        self._heartbeat.add(1)

    def teardown(self) -> None:
        self._heartbeat.flush()


class _OneOfEachId(beam.DoFn):
    """Keeps the best described of the programs that differ only in names and comments."""

    def process(self, keyed: tuple[str, Iterable[Seed]]) -> Iterator[Any]:
        best, *others = sorted(
            keyed[1], key=lambda s: (not s.nl, -len(s.calls), -len(s.tests), s.origin, s.code)
        )
        yield best
        for other in others:
            reason = "exact" if other.code == best.code else "normalized"
            removal = Removal(item_of(other).id, reason, item_of(best).id, 1.0)
            yield TaggedOutput(REMOVED, _removal_row(other, removal, "corpus"))


class _NoBenchmarkTask(beam.DoFn):
    def process(self, seed: Seed, index: BenchmarkIndex) -> Iterator[Any]:
        removal = index.overlap(item_of(seed))
        if removal is None:
            yield seed
        else:
            yield TaggedOutput(REMOVED, _removal_row(seed, removal, "benchmark"))


class _NoRepeat(beam.DoFn):
    def process(self, keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        (seed,) = keyed[1]["seeds"]
        removal = strongest_removal(keyed[1]["repeats"])
        if removal is None:
            yield seed
        else:
            yield TaggedOutput(REMOVED, _removal_row(seed, removal, "corpus"))


def _blocks(seed: Seed) -> Iterator[tuple[str, Item]]:
    item = item_of(seed)
    for key in block_keys(item):
        yield key, item


def _repeats(keyed: tuple[str, Iterable[Item]]) -> Iterator[tuple[str, Removal]]:
    for removal in find_repeats_in_group(keyed[1]):
        yield removal.id, removal


def _removal_row(seed: Seed, removal: Removal, where: str) -> dict[str, Any]:
    return {"origin": seed.origin, "name": seed.name, "in": where, **asdict(removal)}


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


@dataclass(frozen=True)
class RowWork:
    """Holds what a worker needs to make rows.

    Args:
      options: of the build.
      recipe: digest of the options that decide the rows.
      folder: folder of group files.
      progress: folder of heartbeats.
      replies: file of the teacher's cached replies.
    """

    options: BuildOptions
    recipe: str
    folder: Path
    progress: Path
    replies: Path


class _WriteGroup(beam.DoFn):
    """Writes the file of a group unless it exists."""

    def __init__(self, work: RowWork):
        self._work = work

    def setup(self) -> None:
        self._worker = _Worker.enter(self._work)

    def process(self, keyed: tuple[str, Iterable[Seed]]) -> Iterator[str]:
        work, worker = self._work, self._worker
        seeds = sorted(keyed[1], key=lambda seed: seed.id)
        name = group_name(keyed[0], seeds, work.recipe)
        made = read_group(work.folder / name)
        if made is not None:
            number = sum(map(len, made.rows.values()))
            worker.heartbeat.add(len(seeds), number)
        else:
            write_group(work.folder / name, map(worker.rows, seeds))
        yield json.dumps({"file": name, "functions": len(seeds), "kept": made is not None})

    def teardown(self) -> None:
        _Worker.leave()


class RowMaker:
    """Makes the rows of seeds, one at a time; owns a sandbox, a tokenizer and a client."""

    def __init__(self, work: RowWork):
        options = self._options = work.options
        self._sandbox = Sandbox(
            tier=options.tier, allow_weak=options.tier == "C", workers=1, limits=EXPLORATION_LIMITS
        )
        self._length_of: Callable[[str], int] = token_counter(options.tokenizer_file)
        self._client = self._replies = None
        if options.teacher is not None:
            self._client = Client(options.teacher.endpoint)
            self._replies = ReplyCache(work.replies)

    def __call__(self, seed: Seed) -> SeedRows:
        new_client = None if self._client is None else self._new_client
        return seed_rows(seed, self._sandbox, self._options, self._length_of, new_client)

    def _new_client(self) -> CachedClient:
        """Makes a client for one seed, so that its cost is counted separately."""
        return CachedClient(self._client, self._replies)

    def close(self) -> None:
        self._sandbox.close()
        if self._client is not None:
            self._client.close()
            self._replies.close()


class _Worker:
    """Holds what the threads of one worker share: the row-making process and the heartbeat."""

    _lock = threading.Lock()
    _current: "_Worker | None" = None
    _users = 0

    def __init__(self, work: RowWork):
        self.heartbeat = Heartbeat(work.progress)
        self._options = work.options
        self._make_rows = BoundedWorker(partial(RowMaker, work))

    @classmethod
    def enter(cls, work: RowWork) -> "_Worker":
        with cls._lock:
            if cls._current is None:
                cls._current = cls(work)
            cls._users += 1
            return cls._current

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._users -= 1
            if cls._users == 0 and cls._current is not None:
                cls._current._close()
                cls._current = None

    def rows(self, seed: Seed) -> SeedRows:
        try:
            made = self._make_rows(seed)
        except TookTooLong as error:
            made = timeout_rows(seed, self._options, error)
        self.heartbeat.add(1, len(made.records))
        return made

    def _close(self) -> None:
        self._make_rows.close()
        self.heartbeat.flush()


def token_counter(tokenizer_file: Path | None) -> Callable[[str], int]:
    """Returns a function that counts tokens without special ones, or characters for None."""
    if tokenizer_file is None:
        return len
    from tokenizers import Tokenizer

    encoder = OrdinaryEncoder(Tokenizer.from_file(str(tokenizer_file)))
    return lambda text: len(encoder([text])[0])


def _write_lines(lines: Any, name: str, folder: Path) -> None:
    path = str(folder / name)
    lines | f"Write_{name}" >> beam.io.WriteToText(path, file_name_suffix=".jsonl")


def read_lines(folder: Path, name: str) -> Iterator[str]:
    """Yields the lines that a pipeline wrote under `name`; their order is arbitrary."""
    for path in sorted(folder.glob(f"{name}-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")
