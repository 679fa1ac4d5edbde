"""Builds on a cluster: runs the four jobs and reads their summaries."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_pipeline.builder.cluster import dataset, rows, seeds, sources
from data_pipeline.builder.groups import count_groups
from data_pipeline.builder.progress import progress_bar
from data_pipeline.builder.row_maker import RowWork
from data_pipeline.builder.runners import run
from data_pipeline.builder.selection import read_lines
from data_pipeline.builder.steps import Steps, read_benchmarks, remove_others, remove_tree
from data_pipeline.builder.workers import Worker, check_same_runtime
from data_pipeline.files import (
    AnyPath,
    is_remote,
    make_folder,
    replace_folder,
    write_bytes,
    write_rows,
)
from data_pipeline.pyx import folders as pyx

_MARKER = "metadata.json"  # of a complete dataset


class ClusterBuild(Steps):
    """Does the steps of a build as jobs of a Beam runner."""

    def check(self) -> None:
        self._tasks = read_benchmarks(self.options)
        self._tokenizer = self.options.tokenizer_file

    def examine(self) -> tuple[str, list[Worker]]:
        summary = self.work / "examined.json"
        summary.unlink(missing_ok=True)
        make_folder(self.work)
        run(lambda root: sources.examine(root, self.options, summary), self.options)
        examined = sources.Examined.read(summary)
        check_same_runtime(examined.runtimes)
        self._units = examined.units
        return examined.digest, examined.workers

    # ---- seeds

    def find_seeds(self) -> None:
        self._seeds = self.work / "cluster_seeds" / self.seeds_recipe[:24]
        whole = self._seeds / "whole"
        work = seeds.SeedWork(
            options=self._options_of_workers(),
            folder=self._seeds,
            progress=self._seeds / "progress",
            benchmarks=self._copy_benchmarks(),
            summary=self._seeds / "summary.json",
        )
        with self.measure_time("seeds"):
            if not whole.exists():
                remove_tree(self._seeds)
                with self._bar(work.progress, "read sources", self._units, "file"):
                    run(lambda root: seeds.find_seeds(root, work), self.options)
                whole.write_bytes(b"")
        summary = json.loads(work.summary.read_text())
        for group, name, number in summary["counts"]:
            self.tally.count(group, name, number)
        self.tally.count("sources", "files", self._units)
        self.removed = summary["removed"]

    def _copy_benchmarks(self) -> "AnyPath | None":
        if self._tasks is None:
            return None
        path = self.work / "benchmarks.jsonl"
        write_rows(path, map(asdict, self._tasks))
        return path

    def _options_of_workers(self) -> Any:
        """Returns the options without what only the driver needs."""
        return replace(self.options, benchmarks=(), tokenizer=None, pipeline=())

    def _bar(self, folder: AnyPath, what: str, total: int, unit: str) -> Any:
        return progress_bar(folder, what, total, unit, self.progress)

    # ---- rows

    def make_rows(self) -> None:
        make_folder(self.groups)
        self._listing = self.work / "cluster_rows"
        remove_tree(self._listing)
        functions = self.tally.get("functions")["found"]
        work = rows.GroupWork(
            rows=self._row_work(),
            seeds=self._seeds,
            groups=count_groups(functions, self.options.inputs),
            folder=self._listing,
            summary=self._listing / "summary.json",
        )
        bar = self._bar(work.rows.progress, "tell runs", functions, "function")
        with self.measure_time("rows"), bar:
            run(lambda root: rows.make_rows(root, work), self.options)
        summary = rows.RowSummary.read(work.summary)
        self.tally.add(summary.tally)
        self.reused = summary.reused
        self.dead = summary.dead
        self.workers = summary.workers
        self.count_split(summary.held_out, summary.shared)

    def _row_work(self) -> RowWork:
        tokenizer = None
        if self._tokenizer is not None:
            tokenizer = self.work / "tokenizer.json"
            write_bytes(tokenizer, self._tokenizer.read_bytes())
        return RowWork(
            options=self._options_of_workers(),
            recipe=self.rows_recipe,
            folder=self.groups,
            progress=self.work / "progress",
            replies=self.work / ("replies" if is_remote(self.work) else "replies.jsonl"),
            tokenizer=tokenizer,
        )

    # ---- dataset

    def write_dead_letters(self) -> None:
        work = self._dataset_work((), self.work)
        run(lambda root: dataset.write_dead_letters(root, work), self.options)

    def write_dataset(self, splits: tuple[str, ...]) -> None:
        with self._replace_dataset() as folder:
            work = self._dataset_work(splits, folder)
            remove_tree(work.parts)
            run(lambda root: dataset.write_dataset(root, work), self.options)
            found = json.loads(work.summary.read_text())
            _describe(folder, self.fingerprint, {split: found[split] for split in splits})
        remove_tree(work.parts)

    def _dataset_work(self, splits: tuple[str, ...], shards: AnyPath) -> dataset.DatasetWork:
        return dataset.DatasetWork(
            groups=self.groups,
            listing=self._listing,
            seeds=self._seeds,
            splits=splits,
            shards=shards,
            parts=self.work / "parts",
            output=self.output,
            summary=self._listing / "splits.json",
        )

    @contextlib.contextmanager
    def _replace_dataset(self) -> Iterator[AnyPath]:
        """Yields the folder for a new dataset.

        Locally that is a folder which then takes the place of the old one. In an object store,
        which has no rename, it is the old one, without the file that marks it as complete.
        """
        folder = pyx.folder_of(self.output)
        if is_remote(self.output):
            folder = self.output / pyx.NAME / pyx.VERSION
            (folder / _MARKER).unlink(missing_ok=True)
            remove_tree(folder)
            yield folder
            return
        new = self.work / "dataset"
        remove_tree(new)
        make_folder(new)
        yield new
        replace_folder(new, folder)

    def forget_older(self) -> None:
        listed = (json.loads(line) for line in read_lines(self._listing, rows.GROUP_FILES))
        remove_others(self.groups, (row["file"] for row in listed))
        remove_others(self._seeds.parent, [self._seeds.name])


def _describe(folder: AnyPath, fingerprint: str, splits: dict[str, Any]) -> None:
    """Writes the description of a dataset beside its shards, the mark of completeness last."""
    from data_pipeline.builder import shards  # slow to import

    with tempfile.TemporaryDirectory(prefix="semcoder-dataset-") as local:
        shards.write_description(Path(local), fingerprint, splits)
        found = [path for path in Path(local).iterdir() if path.is_file()]
        for path in sorted(found, key=lambda path: path.name == _MARKER):
            write_bytes(folder / path.name, path.read_bytes(), durable=True)
