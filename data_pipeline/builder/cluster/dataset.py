"""Writes the dataset and the JSON lines beside it, byte for byte as TFDS does on one machine.

TFDS orders the examples of a split by a hash of their ids and cuts the order into shards. Here
each example gets its place in that order from the counts of buckets of the hash, and a worker
writes each shard.
"""

import bisect
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from data_pipeline.builder import shards
from data_pipeline.builder.cluster.rows import DROPPED, GROUP_FILES
from data_pipeline.builder.cluster.stage_files import ReadLines, WriteSortedFile, put_together
from data_pipeline.builder.groups import read_group
from data_pipeline.builder.held_out import TRAIN
from data_pipeline.builder.selection import DEAD, REFUSED, REMOVED
from data_pipeline.files import AnyPath, as_path, encode_row, open_atomically, write_json
from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.records import Record, parse_record, record_to_row

_BUCKETS = 1 << 12  # of the hash: a worker sorts one of them at once
_BLOCK = 1 << 20
_Example = tuple[str, tuple[bytes, bytes]]  # hash, (example, line)


@dataclass(frozen=True)
class DatasetWork:
    """Names the places of the last job.

    Args:
      groups: folder of group files.
      listing: folder of groups-* and dropped-* of the third job.
      seeds: folder of refused-*, removed-* and dead-* of the second job.
      splits: splits that have records.
      shards: folder for the ArrayRecord files.
      parts: folder for parts of files, removed afterwards.
      output: folder for the JSON lines.
      summary: file for {split: {"shard_lengths", "num_bytes"}}.
    """

    groups: AnyPath
    listing: AnyPath
    seeds: AnyPath
    splits: tuple[str, ...]
    shards: AnyPath
    parts: AnyPath
    output: AnyPath
    summary: AnyPath


def write_dataset(root: Any, work: DatasetWork) -> None:
    """Adds the last job to `root`."""
    files = _group_files(root, work)
    dropped = (
        root
        | "Dropped" >> ReadLines(work.listing, DROPPED)
        | "DroppedIds" >> beam.Map(lambda line: (json.loads(line), None))
    )
    infos = [
        (files, dropped) | f"Split_{split}" >> _WriteSplit(split, work) for split in work.splits
    ]
    (
        infos
        | "AllInfos" >> beam.Flatten()
        | "EachInfo" >> beam.combiners.ToDict()
        | "WriteInfos"
        >> beam.Map(lambda row, path: write_json(as_path(path), row), str(work.summary))
    )
    groups = str(work.groups)
    for name in (REMOVED, REFUSED):
        lines = root | f"Read_{name}" >> ReadLines(work.seeds, name)
        lines | f"Write_{name}" >> _sorted_file(work, name)
    problems = files | "Problems" >> beam.FlatMap(_lines_of, groups, "problems")
    problems | "WriteProblems" >> _sorted_file(work, "problems")
    _write_dead_letters(root, files, work)


def write_dead_letters(root: Any, work: DatasetWork) -> None:
    """Adds to `root` what writes dead_letters.jsonl; a job of its own where no record was made."""
    _write_dead_letters(root, _group_files(root, work), work)


def _write_dead_letters(root: Any, files: Any, work: DatasetWork) -> None:
    later = files | "LaterDead" >> beam.FlatMap(_lines_of, str(work.groups), "dead")
    earlier = root | "EarlierDead" >> ReadLines(work.seeds, DEAD)
    dead = (earlier, later) | "AllDead" >> beam.Flatten()
    dead | "WriteDead" >> _sorted_file(work, "dead_letters")


def _group_files(root: Any, work: DatasetWork) -> Any:
    return (
        root
        | "Groups" >> ReadLines(work.listing, GROUP_FILES)
        | "File" >> beam.Map(lambda line: json.loads(line)["file"])
        | "ShareOut" >> beam.Reshuffle()
    )


def _sorted_file(work: DatasetWork, name: str) -> WriteSortedFile:
    return WriteSortedFile(work.output / f"{name}.jsonl", work.parts / name)


def _lines_of(file: str, folder: str, name: str) -> Iterator[str]:
    """Yields the rows of a group's attribute as JSON."""
    for row in getattr(read_group(as_path(folder) / file), name):
        yield json.dumps(row)


class _WriteSplit(beam.PTransform):
    """Writes the shards and the JSON lines of a split; outputs (split, its lengths and bytes)."""

    def __init__(self, split: str, work: DatasetWork):
        self._split = split
        self._groups, self._parts = str(work.groups), str(work.parts / split)
        self._shards, self._lines = str(work.shards), str(work.output / f"{split}.jsonl")

    def expand(self, given: Any) -> Any:
        files, dropped = given
        records = files | "Records" >> beam.FlatMap(_records_of, self._groups, self._split)
        if self._split == TRAIN:
            records = (
                {"records": records, "dropped": dropped}
                | "WithDropped" >> beam.CoGroupByKey()
                | "Kept" >> beam.FlatMap(_kept)
            )
        examples = (
            records
            | "Serialize" >> beam.Map(_serialize, self._split)
            | "GroupEqual" >> beam.GroupByKey()
            | "OneOfEqual" >> beam.Map(lambda keyed: (keyed[0], next(iter(keyed[1]))))
        )
        sizes = (
            examples
            | "Size" >> beam.Map(lambda one: (_bucket(one[0]), (1, len(one[1][0]))))
            | "Sizes" >> beam.CombinePerKey(_add_sizes)
            | "AllSizes" >> beam.combiners.ToDict()
        )
        plan = AsSingleton(sizes | "Plan" >> beam.Map(_Plan.of))
        written = (
            examples
            | "KeyByBucket" >> beam.Map(lambda one: (_bucket(one[0]), one))
            | "GroupBuckets" >> beam.GroupByKey()
            | "PlaceInShards" >> beam.FlatMap(_place_in_shards, plan)
            | "GroupShards" >> beam.GroupByKey()
            | "WriteShard" >> beam.Map(_write_shard, plan, self._split, self._shards, self._parts)
            | "Written" >> beam.combiners.ToList()
            | "PutTogether" >> beam.Map(put_together, self._parts, self._lines)
            | "Then" >> beam.combiners.Count.Globally()
        )
        return sizes | "Info" >> beam.Map(_info, plan, AsSingleton(written), self._split)


def _records_of(file: str, folder: str, split: str) -> Iterator[tuple[str, dict[str, str]]]:
    group = read_group(as_path(folder) / file)
    for record in group.records(split):
        yield record.id, record_to_row(record)


def _kept(keyed: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[tuple[str, dict[str, str]]]:
    name, found = keyed
    if not any(True for _ in found["dropped"]):
        for row in found["records"]:
            yield name, row


@lru_cache(maxsize=1)
def _serializer() -> Any:
    return shards.example_serializer()


def _serialize(named: tuple[str, dict[str, str]], split: str) -> _Example:
    name, row = named
    record: Record = parse_record(row, "a group of this build")
    example = _serializer()(pyx.example(record))
    return f"{shards.hash_id(name, split):032x}", (example, encode_row(row, ensure_ascii=False))


def _bucket(hashed: str) -> int:
    return int(hashed, 16) * _BUCKETS >> shards.HASH_BITS


def _add_sizes(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    examples, size = 0, 0
    for one in sizes:
        examples, size = examples + one[0], size + one[1]
    return examples, size


@dataclass(frozen=True)
class _Plan:
    """Says where each example goes: first place of each bucket, end of each shard."""

    starts: Mapping[int, int]
    ends: Sequence[int]
    num_bytes: int

    @classmethod
    def of(cls, sizes: Mapping[int, tuple[int, int]]) -> "_Plan":
        buckets = sorted(sizes)
        counts = [sizes[bucket][0] for bucket in buckets]
        size = sum(one[1] for one in sizes.values())
        starts = dict(zip(buckets, accumulate(counts, initial=0), strict=False))
        return cls(starts, shards.shard_ends(sum(counts), size), size)


def _place_in_shards(
    bucket: tuple[int, Iterable[_Example]], plan: _Plan
) -> Iterator[tuple[int, _Example]]:
    number, examples = bucket
    for place, example in enumerate(sorted(examples), plan.starts[number]):
        yield bisect.bisect_right(plan.ends, place), example


def _write_shard(
    shard: tuple[int, Iterable[_Example]], plan: _Plan, split: str, into: str, parts: str
) -> str:
    """Writes a shard and its part of the JSON lines; returns the name of the part."""
    number, examples = shard
    ordered = sorted(examples)
    name = shards.shard_name(split, number, len(plan.ends))
    with tempfile.TemporaryDirectory(prefix="semcoder-shard-") as folder:
        path = Path(folder) / name
        shards.write_shard(path, (example for _, (example, _) in ordered))
        with open_atomically(as_path(into) / name) as target, path.open("rb") as source:
            while block := source.read(_BLOCK):
                target.write(block)
    part = f"{number:05d}.jsonl"
    with open_atomically(as_path(parts) / part) as file:
        file.writelines(line for _, (_, line) in ordered)
    return part


def _info(_: Any, plan: _Plan, written: int, split: str) -> tuple[str, dict[str, Any]]:
    """Returns what TFDS notes about a split, once it is written."""
    lengths = [end - start for start, end in zip([0, *plan.ends[:-1]], plan.ends, strict=True)]
    return split, {"shard_lengths": lengths, "num_bytes": plan.num_bytes}
