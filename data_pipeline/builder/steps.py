"""Defines the steps of a build; `local_build` and `cluster.build` implement them."""

import contextlib
import hashlib
import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.options import BuildError, BuildOptions
from data_pipeline.builder.page import write_page
from data_pipeline.builder.report import Report
from data_pipeline.builder.tally import Tally
from data_pipeline.builder.workers import Worker, join_tiers
from data_pipeline.decontamination.benchmark_tasks import read_tasks
from data_pipeline.decontamination.overlap import Item
from data_pipeline.files import AnyPath, is_remote, write_text
from data_pipeline.source.fingerprints import FINGERPRINT
from data_pipeline.terminal.tables import rank_counts

WORK = ".work"
SHOWN = 50  # rows of removed.jsonl and of dead_letters.jsonl in the report


class Steps(ABC):
    """Does the steps of a build in order; each sets the attributes that the next one reads."""

    def __init__(self, options: BuildOptions, output: AnyPath, progress: bool):
        self.options = options
        self.output = output
        self.work = output / WORK
        self.progress = progress
        self.groups = self.work / "rows"
        self.tally = Tally()
        self.seconds: dict[str, float] = {}
        self.reused = 0
        self.workers: list[Worker] = []
        self.removed: list[dict[str, Any]] = []
        self.dead: list[dict[str, Any]] = []

    # ---- implemented by subclasses

    @abstractmethod
    def check(self) -> None:
        """Raises a UserError for any mistake that can be found before anything is written."""

    @abstractmethod
    def examine(self) -> tuple[str, list[Worker]]:
        """Returns the digest of the sources and the machines that will run programs."""

    @abstractmethod
    def find_seeds(self) -> None:
        """Writes the chosen functions, unless they are complete already, and counts them."""

    @abstractmethod
    def make_rows(self) -> None:
        """Writes a file per group of seeds, reuses existing ones, and counts their rows."""

    @abstractmethod
    def write_dead_letters(self) -> None:
        """Writes dead_letters.jsonl alone, where no record was made."""

    @abstractmethod
    def write_dataset(self, splits: tuple[str, ...]) -> None:
        """Writes the dataset and all JSON lines."""

    @abstractmethod
    def forget_older(self) -> None:
        """Removes intermediate results that a build with these options would not reuse."""

    # ---- what they share

    def set_recipes(self) -> None:
        digest, self.workers = self.examine()
        tiers = join_tiers(self.workers)
        self.seeds_recipe = self.options.seeds_recipe(digest, tiers)
        self.rows_recipe = self.options.rows_recipe(tiers)
        recipes = self.seeds_recipe + self.rows_recipe
        self.fingerprint = hashlib.sha256(recipes.encode()).hexdigest()

    def finish_dataset(self) -> None:
        """Writes the dataset and the JSON lines. Raises BuildError if training has no record."""
        numbers = Counter()
        for name, number in self.tally.get("records").items():
            numbers[name.rpartition("/")[2]] += number
        splits = tuple(split for split in (TRAIN, EVAL) if numbers[split])
        if TRAIN not in splits:
            self.write_dead_letters()
            functions = self.tally.get("functions")["found"]
            raise BuildError(
                f"--source={','.join(self.options.sources)}: expected a training record; "
                f"got none from {functions} function(s), {numbers[EVAL]} held-out records; "
                f"see {self.output / 'dead_letters.jsonl'}"
            )
        with self.measure_time("dataset"):
            self.write_dataset(splits)
        for split in {TRAIN, EVAL} - set(splits):  # of an earlier build
            (self.output / f"{split}.jsonl").unlink(missing_ok=True)

    def check_found(self) -> None:
        """Raises BuildError if the sources have no function that can be used."""
        if self.tally.get("functions")["found"]:
            return
        reasons = rank_counts(self.tally.get("functions refused"), 3)
        counted = ", ".join(f"{reason} ({number})" for reason, number in reasons)
        raise BuildError(
            f"--source={','.join(self.options.sources)}: no function could be used; "
            f"refused: {counted or 'none found'}"
        )

    def count_split(self, held_out: int, shared: int) -> None:
        """Counts the held-out functions and classes. Raises BuildError if training has some."""
        self.tally.count("held out", "functions and classes", held_out)
        self.tally.count("held out", "shared with training", shared)
        if shared:
            raise BuildError(
                f"--heldout_share: {shared} held-out function(s) or class(es) also in training: "
                "a fault of the split; please report it"
            )

    def write_report(self) -> Report:
        report = Report(
            output=str(self.output),
            fingerprint=self.fingerprint,
            options=asdict(self.options),
            tally=self.tally,
            seconds=self.seconds,
            reused=self.reused,
            removed=self.removed,
            dead=self.dead,
            function_fingerprint=FINGERPRINT,
            workers=[asdict(worker) for worker in self.workers],
        )
        write_page(report, self.output / "report.html")
        # Last: it marks the build as complete.
        write_text(self.output / "report.json", report.to_json(), durable=True)
        self.forget_older()
        return report

    @contextlib.contextmanager
    def measure_time(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[stage] = time.monotonic() - started


def read_benchmarks(options: BuildOptions) -> list[Item] | None:
    """Reads the tasks of benchmarks; None if none are named. Raises BenchmarkFileError."""
    if not options.benchmarks:
        return None
    return [Item(task.id, task.code, task.text) for task in read_tasks(options.benchmarks)]


def remove_tree(folder: AnyPath) -> None:
    """Removes a folder with all that is in it; does nothing if it is missing."""
    if is_remote(folder):
        folder.rmtree(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def remove_others(folder: AnyPath, kept: Iterable[str]) -> None:
    """Removes the files and folders of a folder whose names are not among `kept`."""
    names = set(kept)
    for path in folder.iterdir():
        if path.name not in names:
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)
