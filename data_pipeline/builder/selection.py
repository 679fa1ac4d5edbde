"""Selects the functions of a build: distinct ones that repeat no benchmark.

Pure functions of one seed, pair or group, which `local` calls on this machine and `stages` in
a Beam pipeline. Rows are JSON objects of removed.jsonl and of a build's own files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from data_pipeline.builder.held_out import function_digests
from data_pipeline.builder.rows import DeadLetter
from data_pipeline.decontamination.overlap import BenchmarkIndex, Removal, item_of
from data_pipeline.decontamination.repeats import Likeness
from data_pipeline.files import AnyPath
from data_pipeline.seeds import Refusal, Seed, Unit, read_unit

SEEDS, REFUSED, REMOVED, DEAD = "seeds", "refused", "removed", "dead"
FUNCTIONS, ALIKE = "functions", "alike"


def read_safely(unit: Unit) -> Sequence[Seed | Refusal | DeadLetter]:
    """Reads a unit; returns a dead letter if it cannot be read, so that others are."""
    try:
        return list(read_unit(unit))
    except Exception as error:  # one bad file must not stop the others
        return [DeadLetter.of("read", unit.path, unit.path, error)]


def one_of_each_id(seeds: Iterable[Seed]) -> tuple[Seed, list[dict[str, Any]]]:
    """Returns the best described of seeds with one id, and the removal rows of the others."""
    best, *others = sorted(
        seeds, key=lambda s: (not s.nl, -len(s.calls), -len(s.tests), s.origin, s.code)
    )
    rows = []
    for other in others:
        reason = "exact" if other.code == best.code else "normalized"
        removal = Removal(item_of(other).id, reason, item_of(best).id, 1.0)
        rows.append(removal_row(other, removal, "corpus"))
    return best, rows


def benchmark_row(seed: Seed, index: BenchmarkIndex) -> dict[str, Any] | None:
    """Returns the removal row of a seed that repeats a benchmark's task; None if it does not."""
    removal = index.overlap(item_of(seed))
    return None if removal is None else removal_row(seed, removal, "benchmark")


def removal_row(seed: Seed, removal: Removal, where: str) -> dict[str, Any]:
    return {"origin": seed.origin, "name": seed.name, "in": where, **asdict(removal)}


def removal_count(row: dict[str, Any]) -> tuple[str, str]:
    """Returns the group and name under which a tally counts a removal row."""
    where = row["matched"].partition("/")[0] if row["in"] == "benchmark" else row["in"]
    return "functions removed", f"{where}: {row['reason']}"


def functions_row(seed: Seed) -> dict[str, Any]:
    """Returns the digests of a seed's functions and classes, for the held-out split."""
    return {"id": seed.id, "functions": sorted(function_digests(seed.code))}


def alike_row(likeness: Likeness) -> dict[str, Any]:
    """Returns the ids of two seeds that look alike but do different things."""
    return {"seeds": [item_id.partition(" ")[0] for item_id in (likeness.one, likeness.other)]}


def smallest(seeds: Iterable[Seed], limit: int | None) -> Iterator[Seed]:
    """Yields at most `limit` seeds, those with the smallest ids."""
    yield from sorted(seeds, key=lambda seed: seed.id)[:limit]


def read_lines(folder: AnyPath, name: str) -> Iterator[str]:
    """Yields the lines of the files that a stage wrote under `name`; their order is arbitrary."""
    for path in sorted(folder.glob(f"{name}-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")
