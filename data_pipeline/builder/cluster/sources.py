"""Examines the sources of a build and the workers, before anything is decided by them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from functools import lru_cache
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from data_pipeline.builder.marked_errors import marked_errors
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.source_digest import digest_file, files_within, join_digests
from data_pipeline.builder.source_patterns import expand_source
from data_pipeline.builder.workers import Worker, runtime
from data_pipeline.files import AnyPath, as_path, is_remote, local_copy, write_json
from data_pipeline.seeds import Unit, units

_PROBES = 64  # a runner spreads them over the workers that it has


@dataclass(frozen=True)
class Examined:
    """Holds the digest of all source files, the number of units, and what the workers are.

    runtimes: (host, `workers.runtime`).
    """

    digest: str
    units: int
    workers: list[Worker]
    runtimes: list[tuple[str, str]]

    @classmethod
    def read(cls, path: AnyPath) -> "Examined":
        row = json.loads(path.read_text())
        workers = [Worker(**worker) for worker in row["workers"]]
        return cls(row["digest"], row["units"], workers, [(h, r) for h, r in row["runtimes"]])


PlacedUnit = tuple[str, Unit]
"""The source of a unit if it is in an object store, else ""; the unit, there without its root."""


class ListUnits(beam.PTransform):
    """Lists the units of the sources on the workers, as PlacedUnit; applied to a pipeline."""

    def __init__(self, options: BuildOptions):
        self._sources = list(options.sources)

    def expand(self, root: Any) -> Any:
        return (
            root
            | "Patterns" >> beam.Create(self._sources, reshuffle=True)
            | "Match" >> beam.FlatMap(_expand)
            | "Sources" >> beam.Reshuffle()
            | "List" >> beam.FlatMap(_units)
            | "ShareOut" >> beam.Reshuffle()
        )


def _expand(source: str) -> list[str]:
    with marked_errors():
        return expand_source(source)


def _units(source: str) -> Iterator[PlacedUnit]:
    with marked_errors():
        for unit in units(source):
            yield (source, replace(unit, root="")) if is_remote(source) else ("", unit)


def unit_here(placed: PlacedUnit) -> Unit:
    """Returns a unit with its root on this machine, to which it copies source in a store."""
    source, unit = placed
    return replace(unit, root=_root_here(source)) if source else unit


@lru_cache(maxsize=64)
def _root_here(source: str) -> str:
    copy = local_copy(source)
    return str(copy if copy.is_dir() else copy.parent)


def examine(root: Any, options: BuildOptions, path: AnyPath) -> None:
    """Adds the first job to `root`, which writes an `Examined` to `path`."""
    found = root | ListUnits(options)
    imported = (
        found
        | "Python" >> beam.Filter(lambda placed: not placed[1].first)
        | "Roots" >> beam.Map(lambda placed: (placed[0], placed[1].root, placed[1].within))
        | "EachRoot" >> beam.Distinct()
        | "Within" >> beam.FlatMap(_files_within)
    )
    named = found | "File" >> beam.Map(lambda placed: (placed[0], placed[1].root, placed[1].path))
    digest = (
        (named, imported)
        | beam.Flatten()
        | "EachFile" >> beam.Distinct()
        | "Digest" >> beam.Map(_digest)
        | "JoinDigests" >> beam.CombineGlobally(join_digests)
    )
    workers = (
        root
        | "Probes" >> beam.Create(range(_PROBES), reshuffle=True)
        | "Ask" >> beam.ParDo(_DescribeWorker(options.tier))
        | "EachWorker" >> beam.Distinct()
    )
    (
        root
        | "Once" >> beam.Create([str(path)])
        | "Write"
        >> beam.Map(
            _write,
            AsSingleton(digest),
            AsSingleton(found | beam.combiners.Count.Globally()),
            AsList(workers),
        )
    )


def _files_within(place: tuple[str, str, str]) -> Iterator[tuple[str, str, str]]:
    source, root, within = place
    for _, path in files_within(_root_here(source) if source else root, within):
        yield source, root, path


def _digest(file: tuple[str, str, str]) -> str:
    source, root, path = file
    return digest_file(_root_here(source) if source else root, path)


class _DescribeWorker(beam.DoFn):
    """Outputs (host, tier, weakness, runtime); fails without the demanded tier."""

    def __init__(self, tier: str | None):
        self._tier = tier

    def setup(self) -> None:
        with marked_errors():
            self._worker = Worker.here(self._tier)

    def process(self, _: int) -> Iterator[tuple[str, ...]]:
        yield *astuple(self._worker), runtime()


def _write(path: str, digest: str, count: int, workers: Iterable[tuple[str, ...]]) -> None:
    row = {
        "digest": digest,
        "units": count,
        "workers": [asdict(Worker(*worker)) for *worker, _ in sorted(workers)],
        "runtimes": sorted({(host, found) for host, *_, found in workers}),
    }
    write_json(as_path(path), row, durable=True)
