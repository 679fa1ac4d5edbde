"""Runs the build from sources to a dataset and saves each stage, so that it can be continued.

Writes pyx/ (the TFDS dataset), train.jsonl and eval.jsonl (the same records in upstream's
schema), problems.jsonl (held-out functions for evaluation), dead_letters.jsonl, removed.jsonl,
refused.jsonl, report.html and report.json; .work/ holds intermediate results for later builds.
"""

import contextlib
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_pipeline.builder import local, selection
from data_pipeline.builder.full_disk import full_disk_errors
from data_pipeline.builder.groups import read_group
from data_pipeline.builder.held_out import EVAL, TRAIN, held_out_seeds
from data_pipeline.builder.options import (
    DIRECT_RUNNER,
    BuildError,
    BuildOptions,
    TeacherOptions,
)
from data_pipeline.builder.page import write_page
from data_pipeline.builder.progress import progress_bar
from data_pipeline.builder.report import Report
from data_pipeline.builder.row_maker import RowWork
from data_pipeline.builder.runners import check_runner, run
from data_pipeline.builder.tally import Tally
from data_pipeline.decontamination.overlap import BenchmarkIndex
from data_pipeline.endpoint.client import Client, CompletionRequest, EndpointError
from data_pipeline.execution import tiers
from data_pipeline.execution.service import Setup
from data_pipeline.files import (
    FileError,
    LockError,
    check_folder_ours,
    check_outside,
    hold_lock,
    write_rows,
    write_text,
)
from data_pipeline.pyx import folders as pyx
from data_pipeline.pyx.records import write_jsonl
from data_pipeline.seeds import Unit, units
from data_pipeline.source.fingerprints import FINGERPRINT

WORK = ".work"
_WRITTEN = (
    *(f"{name}.jsonl" for name in (TRAIN, EVAL, "dead_letters", "removed", "refused", "problems")),
    "report.html",
    "report.json",
    pyx.NAME,
)


def build(options: BuildOptions, output: str | Path, *, progress: bool = True) -> Report:
    """Builds the dataset `output`/pyx and the files beside it; returns the report.

    Continues a stopped build with the same options, and returns the report of a finished one.
    The same options give the same records with any runner and number of workers.

    Raises BuildError, SeedError, BenchmarkFileError or SandboxUnavailable before anything is
    written, and BuildError if the sources give no record.
    """
    output = Path(output)
    check_runner(options)
    check_teacher(options.teacher)
    tier = tiers.probe(Setup(), options.tier, options.tier == "C")
    for flag, paths in (("--source", options.sources), ("--benchmarks", options.benchmarks)):
        check_outside(flag, paths, "--output", output)
    sources = [unit for source in options.sources for unit in units(source)]
    benchmarks = None
    if options.benchmarks:
        benchmarks = BenchmarkIndex.from_files(options.benchmarks)
    recipes = options.seeds_recipe(_digest(sources)), options.rows_recipe()
    fingerprint = hashlib.sha256("".join(recipes).encode()).hexdigest()
    if output.exists() and not output.is_dir():
        raise BuildError(f"--output: {output}: expected a folder")

    check_folder_ours("--output", output, WORK, _WRITTEN)
    with full_disk_errors(output), _lock_output(output):
        if (finished := _read_finished_report(output, fingerprint)) is not None:
            return finished
        build_ = _Build(options, output, recipes[1], fingerprint, progress)
        build_.find_seeds(sources, benchmarks, output / WORK / "seeds" / recipes[0][:24])
        build_.make_rows()
        build_.write_dataset()
        report = build_.write_report()
    tiers.warn_if_weaker(tier)
    return report


def check_teacher(teacher: TeacherOptions | None) -> None:
    """Sends one short request; raises BuildError if the endpoint cannot be used."""
    if teacher is None:
        return
    try:
        with Client(teacher.endpoint) as client:
            # Models that reason refuse limits of a few tokens.
            text = CompletionRequest("1 + 1 =", max_new_tokens=16)
            chat = replace(text, prompt=({"role": "user", "content": "Say yes."},), fallback=text)
            client.ask(chat if teacher.chat else text)
    except EndpointError as error:
        raise BuildError(f"--teacher: {error}") from None


class _Build:
    """Runs the stages in order; each sets the attributes that the next one reads."""

    def __init__(self, options, output, rows_recipe, fingerprint, progress):
        self.options: BuildOptions = options
        self.output: Path = output
        self.rows_recipe: str = rows_recipe
        self.fingerprint: str = fingerprint
        self.progress: bool = progress
        self.tally = Tally()
        self.seconds: dict[str, float] = {}

    # ---- seeds

    def find_seeds(
        self, sources: Sequence[Unit], benchmarks: BenchmarkIndex | None, folder: Path
    ) -> None:
        """Writes seeds, refusals and removals to `folder`, unless they are complete already."""
        self.seeds = folder
        whole = folder / "whole"
        with self._measure_time("seeds"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                bar = progress_bar(
                    folder / "progress", "read sources", len(sources), "file", self.progress
                )
                with bar:
                    self._find_seeds(sources, benchmarks)
                whole.touch()
        self.refused = self._rows_of(selection.REFUSED)
        self.removed = self._rows_of(selection.REMOVED)
        self.dead = self._rows_of(selection.DEAD)
        functions = {row["id"]: row["functions"] for row in self._rows_of(selection.FUNCTIONS)}
        alike = [tuple(row["seeds"]) for row in self._rows_of(selection.ALIKE)]
        self.functions = len(functions)
        self.held_out = held_out_seeds(functions, alike, self.options.heldout_share)
        self.tally.count("sources", "files", len(sources))
        self.tally.count("functions", "found", self.functions)
        self.tally.count_all("functions refused", Counter(row["reason"] for row in self.refused))
        for row in self.removed:
            where = row["matched"].partition("/")[0] if row["in"] == "benchmark" else row["in"]
            self.tally.count("functions removed", f"{where}: {row['reason']}")
        self.tally.count("dead letters", "read", len(self.dead))
        if not self.functions:
            reasons = self.tally.get("functions refused").most_common(3)
            counted = ", ".join(f"{reason} ({number})" for reason, number in reasons)
            raise BuildError(
                f"--source={','.join(self.options.sources)}: no function could be used; "
                f"refused: {counted or 'none found'}"
            )

    def _find_seeds(self, sources: Sequence[Unit], benchmarks: BenchmarkIndex | None) -> None:
        if self.options.runner == DIRECT_RUNNER:
            local.find_seeds(sources, benchmarks, self.options, self.seeds)
            return
        from data_pipeline.builder import stages  # slow to import

        run(
            lambda root: stages.find_seeds(root, sources, benchmarks, self.options, self.seeds),
            self.options,
        )

    def _rows_of(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in selection.read_lines(self.seeds, name)]

    # ---- rows

    def make_rows(self) -> None:
        """Writes a file per group of seeds; reuses existing ones."""
        self.groups = self.output / WORK / "rows"
        self.groups.mkdir(parents=True, exist_ok=True)
        listing = self.output / WORK / "listing" / "groups"
        shutil.rmtree(listing.parent, ignore_errors=True)
        progress = self.output / WORK / "progress"
        replies = self.output / WORK / "replies.jsonl"
        work = RowWork(
            self.options, self.rows_recipe, self.groups, progress, replies, self.held_out
        )
        bar = progress_bar(progress, "tell runs", self.functions, "function", self.progress)
        with self._measure_time("rows"), bar:
            self._make_rows(work, listing)
        lines = selection.read_lines(listing.parent, listing.name)
        listed = sorted((json.loads(line) for line in lines), key=lambda row: row["file"])
        self.files = [self.groups / row["file"] for row in listed]
        self.reused = sum(row["functions"] for row in listed if row["kept"])
        self.problems: list[dict[str, str]] = []
        seen: dict[str, set[str]] = {TRAIN: set(), EVAL: set()}
        variants: dict[str, dict[str, Any]] = {}
        for path in self.files:
            group = read_group(path)
            self.tally.add(group.tally)
            self.dead += group.dead
            self.problems += group.problems
            variants |= group.variants
            for split, digests in group.functions.items():
                seen[split].update(digests)
        self._check_split(seen, variants)

    def _make_rows(self, work: RowWork, listing: Path) -> None:
        if self.options.runner == DIRECT_RUNNER:
            try:
                local.make_rows(self.seeds, work, listing)
            except EndpointError as error:
                raise BuildError(
                    f"--teacher: {error}; run the same command again to continue"
                ) from error
            return
        from data_pipeline.builder import stages  # slow to import

        run(lambda root: stages.make_rows(root, self.seeds, work, listing), self.options)

    def _check_split(self, seen: dict[str, set[str]], variants: dict[str, dict[str, Any]]) -> None:
        """Checks that no whole function is on both sides; drops faulty variants that are.

        A faulty variant of a training function may be what a held-out function is.
        """
        shared = len(seen[EVAL] & seen[TRAIN])
        self.tally.count("held out", "functions and classes", len(seen[EVAL]))
        self.tally.count("held out", "shared with training", shared)
        if shared:
            raise BuildError(
                f"--heldout_share: {shared} held-out function(s) or class(es) also in training: "
                "a fault of the split; please report it"
            )
        self.dropped = {
            name for name, row in variants.items() if not seen[EVAL].isdisjoint(row["functions"])
        }
        for name in self.dropped:
            self.tally.drop(name, "fault", TRAIN, variants[name]["length"])
            self.tally.count("records refused", "faulty variant is a held-out function")

    # ---- dataset

    def write_dataset(self) -> None:
        from data_pipeline.builder import dataset  # slow to import

        numbers = Counter()
        for name, number in self.tally.get("records").items():
            numbers[name.rpartition("/")[2]] += number
        splits = [split for split in (TRAIN, EVAL) if numbers[split]]
        _write_lines(self.output / "dead_letters.jsonl", self.dead)
        if TRAIN not in splits:
            raise BuildError(
                f"--source={','.join(self.options.sources)}: expected a training record; "
                f"got none from {self.functions} function(s), {numbers[EVAL]} held-out records; "
                f"see {self.output / 'dead_letters.jsonl'}"
            )
        with self._measure_time("dataset"):
            dataset.write_dataset(
                self.files, splits, self.fingerprint, self.output, without=self.dropped
            )
            for split in splits:
                write_jsonl(self.output / f"{split}.jsonl", _records(self.output, split))
        for split in {TRAIN, EVAL} - set(splits):  # of an earlier build
            (self.output / f"{split}.jsonl").unlink(missing_ok=True)
        _write_lines(self.output / "removed.jsonl", self.removed)
        _write_lines(self.output / "refused.jsonl", self.refused)
        _write_lines(self.output / "problems.jsonl", self.problems)

    # ---- report

    def write_report(self) -> Report:
        report = Report(
            output=str(self.output),
            fingerprint=self.fingerprint,
            options=asdict(self.options),
            tally=self.tally,
            seconds=self.seconds,
            reused=self.reused,
            removed=sorted(self.removed, key=json.dumps)[:50],
            dead=sorted(self.dead, key=json.dumps)[:50],
            function_fingerprint=FINGERPRINT,
        )
        write_page(report, self.output / "report.html")
        report_file = self.output / "report.json"
        write_text(
            report_file, report.to_json(), durable=True
        )  # last: it marks the build as complete
        self._forget_older()
        return report

    def _forget_older(self) -> None:
        """Removes intermediate results that a build with these options would not reuse."""
        current = {path.name for path in self.files}
        for path in self.groups.iterdir():
            if path.name not in current:
                path.unlink(missing_ok=True)
        for folder in self.seeds.parent.iterdir():
            if folder != self.seeds:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _measure_time(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - started


def _records(output: Path, split: str) -> Iterator[Any]:
    from data_pipeline.pyx.dataset import load  # slow to import

    source = load(output, split)
    for first in range(0, len(source), 1000):
        yield from source[first : first + 1000]


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes sorted rows, so that the same build gives the same file."""
    write_rows(path, sorted(rows, key=json.dumps), durable=True)


def _digest(sources: Sequence[Unit]) -> str:
    """Hashes all source files, and the files that their imports may lead to."""
    files = {(unit.root, unit.path) for unit in sources}
    for root, within in {(unit.root, unit.within) for unit in sources if not unit.first}:
        paths = (Path(root) / within).rglob("*.py")
        files |= {(root, path.relative_to(root).as_posix()) for path in paths}
    digest = hashlib.sha256()
    for root, path in sorted(files):
        file = Path(root) / path
        digest.update(f"{path}\n".encode())
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:  # the stage that reads it reports it
            digest.update(b"unreadable")
    return digest.hexdigest()


def _read_finished_report(output: Path, fingerprint: str) -> Report | None:
    try:
        report = Report.from_json((output / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = pyx.fingerprint_of(pyx.folder_of(output)) == fingerprint
    return report if whole and report.fingerprint == fingerprint else None


@contextlib.contextmanager
def _lock_output(output: Path) -> Iterator[None]:
    """Locks `output` against other builds. Raises BuildError if one is running."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(output / ".build.lock", wait=False))
        except FileError as error:
            raise BuildError(f"--output: {output}: {error.strerror}") from None
        except LockError as error:
            raise BuildError(
                f"--output: {output}: another build ({error.holder}) is writing this folder"
            ) from None
        yield
