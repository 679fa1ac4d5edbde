"""Runs the stages of a build on this machine, without Beam, whose start takes longer than a file.

Makes the files that the pipelines of `stages` make, with rows in one order.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from data_pipeline.builder.deadline import BoundedWorker
from data_pipeline.builder.groups import count_groups, group_of, seed_from_json, seed_to_row
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
    read_lines,
    read_safely,
    removal_row,
    smallest,
)
from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.overlap import BenchmarkIndex, Item, item_of
from data_pipeline.decontamination.repeats import Likeness, block_keys, find_alike, settle
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import AnyPath, write_rows
from data_pipeline.seeds import Refusal, Seed, Unit
from data_pipeline.testcases import EXPLORATION_LIMITS

_FEW = 40  # files or seeds for which a second process would not pay
_PART = 32  # seeds compared with benchmarks together
_CPU_SECONDS = 86400.0  # for one item: a source may be a long file
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Helper = TypeVar("_Helper")


# ==== From sources to seeds


def find_seeds(
    units: Sequence[Unit],
    benchmarks: BenchmarkIndex | None,
    options: BuildOptions,
    folder: AnyPath,
) -> None:
    """Writes JSON lines to the files seeds*, refused*, removed*, ... in `folder`."""
    found = _read_all(units, options.workers, Heartbeat(folder / "progress"))
    by_id: dict[str, list[Seed]] = defaultdict(list)
    for one in found:
        if isinstance(one, Seed):
            by_id[one.id].append(one)
    seeds: list[Seed] = []
    removed: list[dict[str, Any]] = []
    for name in sorted(by_id):
        best, rows = one_of_each_id(by_id[name])
        seeds.append(best)
        removed += rows
    examined = _examine_all(seeds, benchmarks, options.workers)
    removed += [one.row for one in examined if one.row is not None]
    left = [pair for pair in zip(seeds, examined, strict=True) if pair[1].row is None]
    repeats, alike = _judge(_find_pairs(left), options)
    by_item = {item_of(seed).id: seed for seed, _ in left}
    for removal in settle(repeats):
        removed.append(removal_row(by_item.pop(removal.id), removal, "corpus"))
    chosen = list(smallest(by_item.values(), options.limit))
    files: Mapping[str, Iterable[dict[str, Any]]] = {
        SEEDS: map(seed_to_row, chosen),
        FUNCTIONS: map(functions_row, chosen),
        ALIKE: map(alike_row, alike),
        REFUSED: (asdict(one) for one in found if isinstance(one, Refusal)),
        REMOVED: removed,
        DEAD: (asdict(one) for one in found if isinstance(one, DeadLetter)),
    }
    for name, rows in files.items():
        write_rows(folder / f"{name}-00000-of-00001.jsonl", rows)


def _read_all(
    units: Sequence[Unit], workers: int, heartbeat: Heartbeat
) -> list[Seed | Refusal | DeadLetter]:
    found: list[Seed | Refusal | DeadLetter] = []
    for part in _map(read_safely, units, workers):
        found += part
        heartbeat.add(1)
    heartbeat.flush()
    return found


@dataclass(frozen=True)
class _Examined:
    """Holds a seed's removal row (None if it stays) and its block keys."""

    row: dict[str, Any] | None
    keys: Sequence[str]


def _examine_all(
    seeds: Sequence[Seed], benchmarks: BenchmarkIndex | None, workers: int
) -> list[_Examined]:
    parts = [seeds[start : start + _PART] for start in range(0, len(seeds), _PART)]
    return [one for part in _map(partial(_examine, benchmarks), parts, workers) for one in part]


def _examine(benchmarks: BenchmarkIndex | None, seeds: Sequence[Seed]) -> list[_Examined]:
    rows = [None if benchmarks is None else benchmark_row(seed, benchmarks) for seed in seeds]
    return [
        _Examined(row, block_keys(item_of(seed)) if row is None else ())
        for seed, row in zip(seeds, rows, strict=True)
    ]


def _map(
    work: Callable[[_Item], _Result], items: Sequence[_Item], workers: int
) -> Iterator[_Result]:
    """Yields results in order; computes those of many items in other processes."""
    if workers == 1 or len(items) <= _FEW:
        yield from map(work, items)
        return
    processes = [BoundedWorker(partial(_return, work), _CPU_SECONDS) for _ in range(workers)]
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.callback(process.close)
        yield from _share_out(items, processes, lambda process, item: process(item))


def _return(work: _Item) -> _Item:
    return work


def _share_out(
    items: Iterable[_Item], helpers: Sequence[_Helper], work: Callable[[_Helper, _Item], _Result]
) -> Iterator[_Result]:
    """Yields `work(helper, item)` in the order of the items; each helper works in a thread."""
    idle: SimpleQueue[_Helper] = SimpleQueue()
    for helper in helpers:
        idle.put(helper)

    def run(item: _Item) -> _Result:
        helper = idle.get()
        try:
            return work(helper, item)
        finally:
            idle.put(helper)

    pool = ThreadPoolExecutor(len(helpers))
    try:
        yield from pool.map(run, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _find_pairs(
    seeds: Iterable[tuple[Seed, _Examined]],
) -> dict[Likeness, tuple[Item, Item]]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for seed, examined in seeds:
        for key in examined.keys:
            groups[key].append(item_of(seed))
    return {
        likeness: (one, other)
        for group in groups.values()
        if len(group) > 1
        for likeness, one, other in find_alike(group)
    }


def _judge(
    pairs: Mapping[Likeness, tuple[Item, Item]], options: BuildOptions
) -> tuple[list[Likeness], list[Likeness]]:
    """Returns the pairs that repeat each other, and those that do different things."""
    ordered = sorted(pairs, key=lambda one: (one.one, one.other))
    unsure = [likeness for likeness in ordered if not likeness.certain]
    if not unsure:
        return ordered, []
    tier = options.tier
    with (
        Sandbox(
            tier=tier, allow_weak=tier == "C", workers=options.workers, limits=EXPLORATION_LIMITS
        ) as sandbox,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        differing = pool.map(lambda likeness: differ(*pairs[likeness], sandbox), unsure)
        apart = {one for one, differs in zip(unsure, differing, strict=True) if differs}
    return [one for one in ordered if one not in apart], [one for one in ordered if one in apart]


# ==== From seeds to rows


def make_rows(folder: AnyPath, work: RowWork, held_out: frozenset[str]) -> list[dict[str, Any]]:
    """Writes a file per group of the seeds in `folder`; returns a row about each, by file name."""
    seeds = [seed_from_json(line) for line in read_lines(folder, SEEDS)]
    number = count_groups(len(seeds), work.options.inputs)
    groups: dict[str, list[Seed]] = defaultdict(list)
    for seed in seeds:
        groups[group_of(seed, number)].append(seed)
    heartbeat = Heartbeat(work.progress)
    makers = [GroupMaker(work, heartbeat) for _ in range(min(work.options.workers, len(groups)))]
    with contextlib.ExitStack() as stack:
        for maker in makers:
            stack.callback(maker.close)
        longest_first = sorted(groups, key=lambda name: (-_length(groups[name]), name))
        rows = list(
            _share_out(
                longest_first,  # so that no helper is left alone with a long one at the end
                makers,
                lambda maker, name: maker.write(name, groups[name], held_out),
            )
        )
    return sorted(rows, key=lambda row: row["file"])


def _length(seeds: Iterable[Seed]) -> int:
    """Returns the characters of the seeds' programs, by which the work on them grows."""
    return sum(len(seed.code) for seed in seeds)
