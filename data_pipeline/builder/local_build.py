"""Builds on this machine, with the processes of `local`."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from data_pipeline.builder import local, selection
from data_pipeline.builder.deadline import prepare_workers
from data_pipeline.builder.groups import read_group
from data_pipeline.builder.held_out import EVAL, TRAIN, held_out_seeds
from data_pipeline.builder.options import BuildError
from data_pipeline.builder.progress import progress_bar
from data_pipeline.builder.row_maker import RowWork
from data_pipeline.builder.source_digest import digest_units
from data_pipeline.builder.source_patterns import expand_source
from data_pipeline.builder.steps import (
    SHOWN,
    Steps,
    read_benchmarks,
    remove_others,
    remove_tree,
)
from data_pipeline.builder.workers import Worker
from data_pipeline.decontamination.overlap import BenchmarkIndex
from data_pipeline.endpoint.client import EndpointError
from data_pipeline.files import AnyPath, make_folder, write_rows
from data_pipeline.pyx.records import write_jsonl
from data_pipeline.seeds import units


class LocalBuild(Steps):
    """Does the steps of a build on this machine."""

    def check(self) -> None:
        self._worker = Worker.here(self.options.tier)
        sources = [one for source in self.options.sources for one in expand_source(source)]
        self._units = [unit for source in sources for unit in units(source)]
        tasks = read_benchmarks(self.options)
        self._benchmarks = None if tasks is None else BenchmarkIndex(tasks)
        self._tokenizer = self.options.tokenizer_file

    def examine(self) -> tuple[str, list[Worker]]:
        return digest_units(self._units), [self._worker]

    # ---- seeds

    def find_seeds(self) -> None:
        prepare_workers()
        self._seeds = self.work / "seeds" / self.seeds_recipe[:24]
        whole = self._seeds / "whole"
        with self.measure_time("seeds"):
            if not whole.exists():
                remove_tree(self._seeds)
                bar = progress_bar(
                    self._seeds / "progress",
                    "read sources",
                    len(self._units),
                    "file",
                    self.progress,
                )
                with bar:
                    local.find_seeds(self._units, self._benchmarks, self.options, self._seeds)
                whole.write_bytes(b"")
        self._refused = self._rows_of(selection.REFUSED)
        self._removed = self._rows_of(selection.REMOVED)
        self._dead = self._rows_of(selection.DEAD)
        functions = {row["id"]: row["functions"] for row in self._rows_of(selection.FUNCTIONS)}
        alike = [tuple(row["seeds"]) for row in self._rows_of(selection.ALIKE)]
        self._held_out = held_out_seeds(functions, alike, self.options.heldout_share)
        self.tally.count("sources", "files", len(self._units))
        self.tally.count("functions", "found", len(functions))
        self.tally.count_all("functions refused", Counter(row["reason"] for row in self._refused))
        for row in self._removed:
            self.tally.count(*selection.removal_count(row))
        self.tally.count("dead letters", "read", len(self._dead))
        self.removed = sorted(self._removed, key=json.dumps)[:SHOWN]

    def _rows_of(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in selection.read_lines(self._seeds, name)]

    # ---- rows

    def make_rows(self) -> None:
        make_folder(self.groups)
        progress = self.work / "progress"
        replies = self.work / "replies.jsonl"
        work = RowWork(
            self.options, self.rows_recipe, self.groups, progress, replies, self._tokenizer
        )
        functions = self.tally.get("functions")["found"]
        bar = progress_bar(progress, "tell runs", functions, "function", self.progress)
        with self.measure_time("rows"), bar:
            try:
                listed = local.make_rows(self._seeds, work, self._held_out)
            except EndpointError as error:
                raise BuildError(
                    f"--teacher: {error}; run the same command again to continue"
                ) from error
        self._files = [self.groups / row["file"] for row in listed]
        self.reused = sum(row["functions"] for row in listed if row["kept"])
        self._problems: list[dict[str, str]] = []
        seen: dict[str, set[str]] = {TRAIN: set(), EVAL: set()}
        variants: dict[str, dict[str, Any]] = {}
        for path in self._files:
            group = read_group(path)
            self.tally.add(group.tally)
            self._dead += group.dead
            self._problems += group.problems
            variants |= group.variants
            for split, digests in group.functions.items():
                seen[split].update(digests)
        self.dead = sorted(self._dead, key=json.dumps)[:SHOWN]
        self.count_split(len(seen[EVAL]), len(seen[EVAL] & seen[TRAIN]))
        self._dropped = {
            name for name, row in variants.items() if not seen[EVAL].isdisjoint(row["functions"])
        }
        for name in self._dropped:
            self.tally.drop_variant(name, variants[name]["length"])

    # ---- dataset

    def write_dead_letters(self) -> None:
        _write_sorted(self.output / "dead_letters.jsonl", self._dead)

    def write_dataset(self, splits: tuple[str, ...]) -> None:
        from data_pipeline.builder import dataset  # slow to import

        self.write_dead_letters()
        dataset.write_dataset(
            self._files, splits, self.fingerprint, self.output, without=self._dropped
        )
        for split in splits:
            write_jsonl(self.output / f"{split}.jsonl", _records(self.output, split))
        _write_sorted(self.output / "removed.jsonl", self._removed)
        _write_sorted(self.output / "refused.jsonl", self._refused)
        _write_sorted(self.output / "problems.jsonl", self._problems)

    def forget_older(self) -> None:
        remove_others(self.groups, (path.name for path in self._files))
        remove_others(self._seeds.parent, [self._seeds.name])


def _records(output: AnyPath, split: str) -> Iterator[Any]:
    from data_pipeline.pyx.dataset import load  # slow to import

    source = load(output, split)
    for first in range(0, len(source), 1000):
        yield from source[first : first + 1000]


def _write_sorted(path: AnyPath, rows: Sequence[dict[str, Any]]) -> None:
    """Writes sorted rows, so that the same build gives the same file."""
    write_rows(path, sorted(rows, key=json.dumps), durable=True)
