"""Runs `semcoder launch` in this process against the fake cloud."""

import dataclasses
import sys
from pathlib import Path

import pytest

from launch import command, working_tree
from tests.support.fake_cloud import FakeCloud, Session

TRAINING = ("--", "--config=configs/quickstart.py", "--workdir=gs://bucket/run")
QUEUED = ("--pod=launch/pods/queued_resource.py", "--pod.zone=z", "--pod.poll_seconds=5.0")
POLLING = "--pod.poll_seconds=0.05"


@dataclasses.dataclass(frozen=True)
class Launched:
    """The result of a launch: exit status and output; every leftover is announced in it."""

    status: int
    output: str
    error: str

    @property
    def text(self) -> str:
        return self.output + self.error

    def log(self, session: int, worker: str) -> str:
        """Returns a worker's log of a session."""
        [path] = Path("launches").glob(f"*/session{session}/{worker}.log")
        return path.read_text()


class Launcher:
    """Launches with the fake cloud on PATH, in an empty folder."""

    def __init__(self, cloud: FakeCloud, capfd: pytest.CaptureFixture):
        self.cloud, self._capfd = cloud, capfd

    def __call__(self, *words: str) -> Launched:
        words = (*words, *TRAINING) if "--" not in words else words
        self._capfd.readouterr()
        status = command.main(words)
        sys.stdout.flush()
        launched = Launched(status, *self._capfd.readouterr())
        assert self.cloud.unannounced(launched.text) == [], launched.text
        return launched

    def actions(self) -> list[str]:
        """Returns what gcloud did, without questions: "create", "scp", …"""
        groups = [words[3:5] for words in self.cloud.calls()]
        return [verb for _, verb in groups if verb != "describe"]


def make_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> Launcher:
    """Returns a launcher whose archive holds the files that the workers need."""
    cloud = FakeCloud(tmp_path)
    for name, value in cloud.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(working_tree, "list_files", lambda *_: ["launch/detached.py"])
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    cloud.train(Session(lines=("step 1", "step 2")))
    return Launcher(cloud, capfd)
