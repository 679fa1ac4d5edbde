"""Results and CPU times of the reference solutions, computed once in the sandbox and cached.

A cache file is named by a hash of the program and its inputs.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_pipeline.execution.guest.values import has_opaque
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.service import Job, Limits, series_job
from data_pipeline.files import FileError, write_json
from semcoder_jax.cache import cache_folder
from semcoder_jax.evaluation.benchmarks.data import DataError

_VERSION = 4  # of the cache files, and of the digests of `execution.series`
_SECONDS = 60.0  # CPU time of one call of a reference
LIMITS = Limits(
    cpu_seconds=600.0, wall_seconds=1200.0, memory_bytes=2 << 30, answer_bytes=256 << 20
)


@dataclasses.dataclass(frozen=True)
class Suite:
    """A function and the inputs to call it on.

    inputs: JSON of the argument lists as tagged trees (plain: as they are), which takes a tenth of
    the trees' memory; number: how many they are; collect: see `execution.series`.
    """

    program: str
    entry: str
    inputs: str = dataclasses.field(repr=False)
    number: int
    collect: str | None = None
    plain: bool = False

    @functools.cached_property
    def key(self) -> str:
        """Names the cache file; of all that decides the results."""
        content = json.dumps([_VERSION, self.program, self.entry, self.collect, self.plain])
        return hashlib.sha256(f"{content}{self.inputs}".encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Expected:
    """Holds the tagged tree (of a large value: {"digest": …}) and CPU seconds of each result."""

    trees: tuple[Any, ...]
    seconds: tuple[float, ...]

    @functools.cached_property
    def exact_answer(self) -> list[Any] | None:
        """Returns the answer of a series with just these results; None if one is opaque."""
        if any(map(has_opaque, self.trees)):
            return None
        return ["l", *map(_row_of, self.trees)]


def compute_expected(
    suites: Mapping[str, Suite],
    run: Callable[[Job], Result],
    *,
    cache: str | Path | None = None,
) -> dict[str, Expected]:
    """Returns results by suite name; `run` runs a job in the sandbox.

    Raises DataError if a reference fails on its own inputs.
    """
    folder = cache_folder(cache) / "expected"
    return {name: _compute(name, suite, run, folder) for name, suite in suites.items()}


def read_expected(
    suites: Mapping[str, Suite], *, cache: str | Path | None = None
) -> tuple[Expected, ...] | None:
    """Returns the results that an earlier run computed, or None if it did not compute all."""
    folder = cache_folder(cache) / "expected"
    found = tuple(_read(folder, suite) for suite in suites.values())
    return None if None in found else found


def _compute(name: str, suite: Suite, run: Callable[[Job], Result], folder: Path) -> Expected:
    if (found := _read(folder, suite)) is not None:
        return found
    seconds = [_SECONDS] * suite.number
    job = series_job(
        suite.program,
        suite.entry,
        suite.inputs,
        seconds,
        collect=suite.collect,
        timed=True,
        plain=suite.plain,
        limits=LIMITS,
    )
    result = run(job)
    rows = series_rows(result)
    if rows is None or len(rows) < suite.number or (rows and rows[-1][0] != "value"):
        came = rows[-1] if rows else result.outcome
        raise DataError(f"{name}: the reference solution fails on its own inputs ({came})"[:500])
    found = Expected(tuple(row[1] for row in rows), tuple(row[2] for row in rows))
    _write(folder, suite, found)
    return found


def series_rows(result: Result) -> list[tuple[Any, ...]] | None:
    """Returns the rows of a series, or None if the run gave none.

    A row is ("value", tree), in a timed series ("value", tree, seconds), ("exception", type,
    message), or ("limit", names). The tree of a large value is {"digest": …}. Trees come from
    untrusted programs.
    """
    if not isinstance(result.outcome, Value):
        return None
    tree = result.outcome.tree
    if not isinstance(tree, list) or not tree or tree[0] != "l":
        return None
    rows: list[tuple[Any, ...]] = []
    for row in tree[1:]:
        match row:
            case ["t", "value" | "digest" as kind, value, *spent]:
                value = {"digest": value} if kind == "digest" else value
                try:
                    rows.append(("value", value, *(float(text) for _, text in spent)))
                except (ValueError, TypeError):
                    return None
            case ["t", "exception" | "limit" as kind, *texts]:
                rows.append((kind, *(text for text in texts if isinstance(text, str))))
                break
            case _:
                return None
    return rows


def _row_of(tree: Any) -> list[Any]:
    """Returns the row of an untimed series with this result."""
    return ["t", "digest", tree["digest"]] if isinstance(tree, dict) else ["t", "value", tree]


def _read(folder: Path, suite: Suite) -> Expected | None:
    try:
        content = json.loads((folder / f"{suite.key}.json").read_bytes())
        trees, seconds = content["trees"], content["seconds"]
        if not len(trees) == len(seconds) == suite.number:
            return None
        return Expected(tuple(trees), tuple(map(float, seconds)))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the caller computes it again


def _write(folder: Path, suite: Suite, expected: Expected) -> None:
    with contextlib.suppress(FileError):  # an unwritable cache is not an error
        write_json(folder / f"{suite.key}.json", dataclasses.asdict(expected))
