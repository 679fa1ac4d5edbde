"""Reads and writes the files between the jobs of a build, locally or in an object store.

A file is written whole, by one worker, under a name and with a content that the data decides. So
a runner may repeat any work: the second try writes the same file.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from data_pipeline.files import AnyPath, as_path, open_atomically

LINES = 20_000  # of a file, about
_CUTS = 1024  # most parts of a sorted file
_BLOCK = 1 << 20


class ReadLines(beam.PTransform):
    """Reads the lines of the files NAME-* in a folder; applied to a pipeline."""

    def __init__(self, folder: AnyPath, name: str):
        self._folder, self._name = str(folder), name

    def expand(self, root: Any) -> Any:
        return (
            root
            | "Folder" >> beam.Create([(self._folder, self._name)])
            | "Files" >> beam.FlatMap(_files)
            | "ShareOut" >> beam.Reshuffle()
            | "Lines" >> beam.FlatMap(_lines)
        )


def _files(place: tuple[str, str]) -> list[tuple[str, str]]:
    folder, name = place
    return [(folder, path.name) for path in as_path(folder).glob(f"{name}-*.jsonl")]


def _lines(place: tuple[str, str]) -> Iterator[str]:
    folder, name = place
    with (as_path(folder) / name).open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


class WriteLines(beam.PTransform):
    """Writes lines to the files NAME-00000-of-00003.jsonl, ..., of about LINES lines each."""

    def __init__(self, folder: AnyPath, name: str):
        self._folder, self._name = str(folder), name

    def expand(self, lines: Any) -> Any:
        count = AsSingleton(lines | "Count" >> beam.combiners.Count.Globally())
        return (
            lines
            | "Place" >> beam.Map(_place, count)
            | "Group" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write_part, count, self._folder, self._name)
        )


def _parts(count: int) -> int:
    return max(1, -(-count // LINES))


def _place(line: str, count: int) -> tuple[int, str]:
    return zlib.crc32(line.encode("utf-8", "surrogatepass")) % _parts(count), line


def _write_part(part: tuple[int, Iterable[str]], count: int, folder: str, name: str) -> None:
    number, lines = part
    path = as_path(folder) / f"{name}-{number:05d}-of-{_parts(count):05d}.jsonl"
    write_sorted_lines(path, lines)


def write_sorted_lines(path: AnyPath, lines: Iterable[str]) -> None:
    with open_atomically(path, durable=True) as file:
        file.writelines(line.encode() + b"\n" for line in sorted(lines))


class WriteSortedFile(beam.PTransform):
    """Writes all lines, sorted, to one file, in parts that workers sort and one puts together."""

    def __init__(self, path: AnyPath, parts: AnyPath):
        """Takes the file's path and a folder for the parts."""
        self._path, self._parts = str(path), str(parts)

    def expand(self, lines: Any) -> Any:
        count = AsSingleton(lines | "Count" >> beam.combiners.Count.Globally())
        cuts = AsSingleton(
            lines | "Cuts" >> beam.ApproximateQuantiles.Globally(num_quantiles=_CUTS + 1)
        )
        return (
            lines
            | "Place" >> beam.Map(_place_in_order, count, cuts)
            | "Group" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write_sorted_part, self._parts)
            | "Names" >> beam.combiners.ToList()
            | "PutTogether" >> beam.Map(put_together, self._parts, self._path)
        )


def _place_in_order(line: str, count: int, cuts: Sequence[str]) -> tuple[int, str]:
    step = max(1, len(cuts) // _parts(count))
    return bisect_right(cuts[step:-1:step], line), line


def _write_sorted_part(part: tuple[int, Iterable[str]], folder: str) -> str:
    number, lines = part
    name = f"{number:05d}.jsonl"
    write_sorted_lines(as_path(folder) / name, lines)
    return name


def put_together(names: Iterable[str], folder: str, path: str) -> None:
    """Writes the files `names` of a folder, in the order of their names, to one file."""
    with open_atomically(as_path(path), durable=True) as file:
        for name in sorted(names):
            with (as_path(folder) / name).open("rb") as part:
                while block := part.read(_BLOCK):
                    file.write(block)
