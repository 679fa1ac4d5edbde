"""Runs a command on a worker so that it outlives the connection that started it.

    python -m launch.detached start RUN -- COMMAND…     # or finds it running
    python -m launch.detached follow RUN [--skip=BYTES]  # prints its log from there until it ends
    python -m launch.detached stop RUN [--seconds=N]     # SIGTERM, and waits for the end

The launcher calls it through ssh: a lost connection costs nothing, since the next `follow` goes on
at the byte where the last one ended. Files are in ~/.semcoder-jax/runs/RUN: `log`, `process` (its
id) and `status` (how it ended). Whether the command runs is a lock that the kernel releases when
its keeper exits for any reason. `follow` adds lines that begin with MARK: the byte at which the log
goes on, and at the end the exit status. Standard library only.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

MARK = b"\x1elaunch.detached "
_KILLED = 137  # of a keeper that ended without writing a status
_PAUSE = 0.2  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0; for `follow`, the exit status of the command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    own, command = arguments[:split], arguments[split + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("action", choices=("start", "follow", "stop"))
    parser.add_argument("run")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120.0)
    given = parser.parse_args(own)
    run = Run(given.run)
    if given.action == "start":
        return run.start(command)
    if given.action == "stop":
        return run.stop(given.seconds)
    return run.follow(given.skip, sys.stdout.buffer)


class Run:
    """A command by name, running or ended."""

    def __init__(self, name: str):
        self._folder = Path.home() / ".semcoder-jax" / "runs" / name

    def start(self, command: Sequence[str]) -> int:
        """Starts the command with an empty log, unless it runs already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._claim() as lock:
            if lock is None:
                print("it runs already")
                return 0
            self._file("status").unlink(missing_ok=True)
            self._file("log").write_bytes(b"")
            if os.fork() == 0:
                self._keep(command)  # exits
        print("started")
        return 0

    def follow(self, skip: int, output: IO[bytes]) -> int:
        """Copies the log to `output` until the command ends; returns its exit status."""
        size = self._size()
        position = skip if skip <= size else 0  # a new run's log begins anew
        output.write(MARK + f"log from {position}\n".encode())
        while True:
            ended = not self.is_running()  # before the last read, so that nothing is missed
            position += self._copy(position, output)
            if ended:
                break
            time.sleep(_PAUSE)
        status = self._status()
        output.write(b"\n" * (position > 0 and not self._ends_with_line()))
        output.write(MARK + f"status {status}\n".encode())
        output.flush()
        return status

    def stop(self, seconds: float) -> int:
        """Sends SIGTERM and waits; kills the command after `seconds`."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
            if not self.is_running():
                return 0
            with contextlib.suppress(OSError, ValueError):
                os.killpg(int(self._file("process").read_text()), number)
            until = time.monotonic() + patience
            while self.is_running() and time.monotonic() < until:
                time.sleep(_PAUSE)
        return int(self.is_running())

    def is_running(self) -> bool:
        with self._claim() as lock:
            return lock is None

    def _keep(self, command: Sequence[str]) -> None:
        """Runs the command in a session of its own, writes its exit status and exits."""
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGTERM):  # a machine that shuts down sends it to all
            signal.signal(number, signal.SIG_IGN)
        with open(os.devnull, "rb") as nothing, self._file("log").open("ab") as log:
            for stream, target in ((0, nothing), (1, log), (2, log)):
                os.dup2(target.fileno(), stream)
        status = 127
        try:
            process = subprocess.Popen(
                command,
                start_new_session=True,
                restore_signals=True,
                preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
            )
            self._write("process", str(process.pid))
            code = process.wait()
            status = 128 - code if code < 0 else code
        except OSError as error:
            print(f"error: {command[0]} cannot be run: {error.strerror}", flush=True)
        finally:
            self._write("status", str(status))
            os._exit(0)

    @contextlib.contextmanager
    def _claim(self) -> Iterator[IO | None]:
        """Yields the locked file, or None if the command runs; a forked keeper keeps the lock."""
        try:
            with self._file("lock").open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield None
                    return
                yield lock
        except FileNotFoundError:  # nothing of that name was ever started
            with open(os.devnull, "rb") as nothing:
                yield nothing

    def _copy(self, position: int, output: IO[bytes]) -> int:
        copied = 0
        with contextlib.suppress(FileNotFoundError), self._file("log").open("rb") as log:
            log.seek(position)
            while part := log.read(1 << 16):
                output.write(part)
                copied += len(part)
        output.flush()
        return copied

    def _size(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self._file("log").stat().st_size
        return 0

    def _ends_with_line(self) -> bool:
        with contextlib.suppress(OSError), self._file("log").open("rb") as log:
            log.seek(-1, os.SEEK_END)
            return log.read(1) == b"\n"
        return True

    def _status(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(self._file("status").read_text())
        return _KILLED

    def _write(self, name: str, text: str) -> None:
        new = self._folder / f"{name}.new"
        new.write_text(text)
        new.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._folder / name


if __name__ == "__main__":
    sys.exit(main())
