"""Runs the processes of a group on this machine and keeps what each of them says."""

import collections
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

_DEVICES_FLAG = "--xla_force_host_platform_device_count"
_LINES_KEPT = 50


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One start of all processes: when it began and when the last one ended, in Unix seconds."""

    began: float
    ended: float


class LoggedProcess:
    """A process whose lines are printed as "[N] …" and appended to a file of its own."""

    def __init__(
        self, number: int, command: Sequence[str], environment: Mapping[str, str], log: Path
    ):
        self.number = number
        self.last_lines: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the group's supervisor
        )
        self._reader = threading.Thread(target=self._copy, args=(log,), daemon=True)
        self._reader.start()
        self.ended: float | None = None  # by time.monotonic

    @property
    def status(self) -> int | None:
        """Returns the exit status, -N after signal N, None while it runs."""
        status = self._process.poll()
        if status is not None and self.ended is None:
            self.ended = time.monotonic()
        return status

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """Kills the process if it runs, and waits until its last line is kept."""
        if self.status is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def _copy(self, log: Path) -> None:
        with open(log, "a", encoding="utf-8") as file:
            for line in self._process.stdout:
                self.last_lines.append(line.rstrip("\n"))
                file.write(line)
                file.flush()
                _print_line(f"[{self.number}] {line}", sys.stdout)


def _print_line(line: str, stream: TextIO) -> None:
    stream.write(line if line.endswith("\n") else line + "\n")
    stream.flush()


class ProcessGroup:
    """All processes of an attempt."""

    def __init__(self, processes: Sequence[LoggedProcess]):
        self.processes = processes

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.close()

    @property
    def statuses(self) -> list[int | None]:
        return [process.status for process in self.processes]

    def terminate(self) -> None:
        """Sends SIGTERM to all."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)


def simulated_environment(devices: int, repository: Path) -> dict[str, str]:
    """Returns this process's environment with so many simulated devices."""
    flags = re.sub(rf"{_DEVICES_FLAG}=\S+", "", os.environ.get("XLA_FLAGS", ""))
    path = os.environ.get("PYTHONPATH")
    return os.environ | {
        "XLA_FLAGS": f"{flags} {_DEVICES_FLAG}={devices}".strip(),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{repository}{os.pathsep}{path}" if path else str(repository),
        "PYTHONUNBUFFERED": "1",
    }


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def describe_status(status: int) -> str:
    """Returns "exit status 75" or "killed by SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
