"""Trains the models of a study, so that stops lose no checkpoint that is asked later.

A training workdir records the paths of its data. Those that lie in the study's folder follow it
when it is moved, copied or named otherwise.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_json
from semcoder_jax.checkpoints import CHECKPOINTS
from semcoder_jax.config.paths import RUN_PATHS
from semcoder_jax.training.loop import train
from semcoder_jax.training.metrics import METRICS_FILE
from semcoder_jax.training.workdir import CONFIG_FILE


def curve_steps(num_steps: int, points: int) -> list[int]:
    """Returns the steps after which a model is asked: `points` at most, the last at the end."""
    every = -(-num_steps // points)
    return [*range(every, num_steps, every), num_steps]


def keep_steps(every: int) -> dict[str, Any]:
    """Returns fields of `train` that save and keep every such step, and the last one.

    However often a run is stopped, a save of another step takes the place of the last such one.
    """
    return {"checkpoint_every": every, "keep_every": every, "keep_checkpoints": 1}


@dataclasses.dataclass(frozen=True)
class Training:
    """A training in `run`, below the study's folder; the models of `steps` are needed later.

    learn: trains by a record in a workdir and returns a result with `step`.
    """

    run: Path
    study: Path
    steps: Sequence[int]
    learn: Callable[..., Any] = train

    def go_on(self, record: Mapping[str, Any]) -> None:
        """Trains from the last checkpoint, or anew if a needed one is gone.

        Raises KeyboardInterrupt if it was stopped before its last step.
        """
        if self._is_torn():
            shutil.rmtree(self.run)
        follow_move(self.run, record, self.study)
        if self.learn(record, self.run).step < self.steps[-1]:
            raise KeyboardInterrupt

    def checkpoints(self) -> list[Path]:
        return [self.run / CHECKPOINTS / str(step) for step in self.steps]

    def records(self) -> list[Path]:
        """Returns the files with the run's config and metrics, which reports read."""
        return [self.run / CONFIG_FILE, self.run / METRICS_FILE]

    def _is_torn(self) -> bool:
        """Tells whether going on would not make all that is needed."""
        saved = saved_steps(self.run)
        if not saved:
            return False
        passed = [step for step in self.steps if step <= max(saved)]
        return not set(passed) <= set(saved) or not all(map(Path.exists, self.records()))


def saved_steps(run: Path) -> list[int]:
    """Returns the steps whose checkpoints a run has, in order."""
    folder = run / CHECKPOINTS
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(name) for name in names if name.isdigit())


def follow_move(run: Path, record: Mapping[str, Any], study: Path) -> None:
    """Records the paths of `record` in the run's config where that names the same files.

    study: the folder that may have been moved or named otherwise since the run began.
    """
    path = run / CONFIG_FILE
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        changed = [_follow(recorded, record, name, study) for name in _path_fields()]
    except (OSError, ValueError, AttributeError, TypeError):
        return  # training says what is wrong with it
    if any(changed):
        write_json(path, recorded, indent=2)


def _path_fields() -> Iterable[tuple[str, str]]:
    names = (name.split(".") for name in RUN_PATHS)
    return [(name[0], name[1]) for name in names if len(name) == 2 and name[1] != "*"]


def _follow(recorded: dict, record: Mapping[str, Any], name: tuple[str, str], study: Path) -> bool:
    section, field = name
    ours, theirs = ((each.get(section) or {}).get(field) for each in (record, recorded))
    if ours == theirs or ours is None or theirs is None:
        return False
    if not _is_same_file(Path(ours), Path(theirs), study):
        return False
    recorded[section][field] = ours
    return True


def _is_same_file(ours: Path, theirs: Path, study: Path) -> bool:
    """Tells whether two paths name the same file, each in its study's folder or outside."""
    if ours.resolve() == theirs.resolve():
        return True
    if not ours.is_relative_to(study):
        return False
    inside = ours.relative_to(study).parts
    return theirs.parts[-len(inside) :] == inside
