"""Runs a study's stages in order, each once, and measures their time across restarts.

Each stage has a file, STAGES/NAME.json, with its wall and CPU seconds and whether it is done. The
file is written again every few seconds, so what a killed process spent is counted, too. A stage
whose output was deleted is not done any more.
"""

import dataclasses
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.files import write_json

FOLDER = "stages"
_TICK_SECONDS = 5.0


class StageFileError(UserError):
    """Raised for a stage's file that is damaged."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A named part of a study; `work` goes on where a killed one stopped, or starts again clean.

    outputs: returns the paths that the rest of the study needs of it.
    """

    name: str
    work: Callable[[], None]
    outputs: Callable[[], Iterable[Path]] = tuple

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9_.-]+", self.name):
            raise ValueError(f"stage {self.name!r}: expected a name that can be a file's")


@dataclasses.dataclass(frozen=True)
class Spent:
    """Seconds of a stage: by the clock, and of all cores (user and system, with children)."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    done: bool = False

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.done and other.done,
        )


def run_stages(stages: Sequence[Stage], workdir: Path, say: Callable[[str], None]) -> None:
    """Runs the stages that are not done yet; `say` is called with a line before and after each."""
    for number, stage in enumerate(stages, start=1):
        path = _mark(workdir, stage.name)
        if _is_done(stage, workdir):
            continue
        if read_spent(path).done:  # it begins anew, and so does its time
            path.unlink()
        say(f"stage {number} of {len(stages)}: {stage.name}")
        with _measured(path):
            stage.work()
        spent = read_spent(path)
        say(f"{stage.name}: {spent.wall_seconds:.1f} s, {spent.cpu_seconds:.1f} CPU s")


def unfinished_stages(stages: Sequence[Stage], workdir: Path) -> list[str]:
    """Returns the names of the stages that are not done."""
    return [each.name for each in stages if not _is_done(each, workdir)]


def _is_done(stage: Stage, workdir: Path) -> bool:
    is_marked = read_spent(_mark(workdir, stage.name)).done
    return is_marked and all(path.exists() for path in stage.outputs())


def spent_by_stage(stages: Sequence[Stage], workdir: Path) -> dict[str, Spent]:
    """Returns what each stage has spent, over all restarts."""
    return {each.name: read_spent(_mark(workdir, each.name)) for each in stages}


def read_spent(path: Path) -> Spent:
    """Returns what a stage's file says; nothing spent if it has none. Raises StageFileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Spent()
    except ValueError:
        text = ""
    try:
        return _parse_spent(json.loads(text))
    except (ValueError, TypeError, KeyError):
        raise StageFileError(
            f"{path}: expected the seconds of a stage; delete the file, and the command without "
            "--report_only does that stage again"
        ) from None


def _parse_spent(record: dict) -> Spent:
    found = Spent(float(record["wall_seconds"]), float(record["cpu_seconds"]), record["done"])
    if not isinstance(found.done, bool):
        raise TypeError("done: expected true or false")
    return found


def _mark(workdir: Path, name: str) -> Path:
    return workdir / FOLDER / f"{name}.json"


@contextmanager
def _measured(path: Path) -> Iterator[None]:
    """Adds what the block spends to the file, and marks the stage as done if it succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before, start, ended = read_spent(path), _now(), threading.Event()

    def write(done: bool) -> None:
        wall, cpu = (end - begun for end, begun in zip(_now(), start, strict=True))
        write_json(path, dataclasses.asdict(before + Spent(wall, cpu)) | {"done": done})

    def tick() -> None:
        while not ended.wait(_TICK_SECONDS):
            write(done=False)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    done = False
    try:
        yield
        done = True
    finally:
        ended.set()
        ticker.join()
        write(done)


def _now() -> tuple[float, float]:
    return time.monotonic(), sum(os.times()[:4])
