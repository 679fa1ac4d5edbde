"""Processes of the fake cloud that outlive the command that started them: pods and hosts of jobs.

A process has a folder FOLDER/containers/NAME with `log`, `process` (its group) and `status`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.fake_cloud.state import State, is_alive

# Writes the exit status, also of a script that SIGTERM ends.
_KEEPER = """trap : TERM
bash -c "$1" >"$2/log" 2>&1
echo $? >"$2/status.new"
mv "$2/status.new" "$2/status\""""


def start(
    state: State, name: str, script: str, *, worker: str, variables: Mapping[str, str]
) -> None:
    """Starts a script of bash in a folder of its own, with the tests' Python as `python`."""
    folder = place(state, name)
    home = folder / "home"
    home.mkdir(parents=True)
    make_python(home / "bin" / "python")
    environment = {
        "HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.defpath}", "LANG": "C.UTF-8",
        "FAKE_WORKER": worker, "FAKE_CLOUD": str(state.folder), **variables,
    }  # fmt: skip
    with (folder / "log").open("wb"):
        process = subprocess.Popen(
            ["bash", "-c", _KEEPER, "keeper", script, str(folder)],
            cwd=home, env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    (folder / "process.new").write_text(str(process.pid))
    (folder / "process.new").rename(folder / "process")


def place(state: State, name: str) -> Path:
    return state.folder / "containers" / name


def status(state: State, name: str) -> int | None:
    """Returns the exit status; None while it runs; 137 if it was killed."""
    folder = place(state, name)
    if (folder / "status").is_file():
        return int((folder / "status").read_text())
    if is_alive(int((folder / "process").read_text())):
        return None
    return int((folder / "status").read_text()) if (folder / "status").is_file() else 137


def end(state: State, name: str, grace: float = 0.0) -> None:
    """SIGTERM, and SIGKILL after `grace` seconds."""
    file = place(state, name) / "process"
    if not file.is_file():
        return
    group = int(file.read_text())
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        until = time.monotonic() + patience
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        while is_alive(group) and time.monotonic() < until:
            time.sleep(0.02)


def remove(state: State, name: str) -> None:
    shutil.rmtree(place(state, name), ignore_errors=True)


def running(state: State) -> list[str]:
    """Returns the names of all that run."""
    started = (state.folder / "containers").glob("*/process")
    names = sorted(path.parent.name for path in started)
    return [name for name in names if status(state, name) is None]


def make_python(path: Path) -> None:
    """Makes a Python that runs the test's stand-in for launch.worker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '#!/bin/sh\nif [ "$2" = launch.worker ]; then shift 2; '
        f'exec {sys.executable} -S "$FAKE_CLOUD/worker.py" "$@"; fi\n'
        f'exec {sys.executable} -S -B "$@"\n'
    )
    path.chmod(0o755)
