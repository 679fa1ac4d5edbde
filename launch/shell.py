"""Runs the programs that launching needs (gcloud, xpk, sky, kubectl), given as lists of words.

Programs run in a session of their own and read nothing: Ctrl-C reaches the launcher alone, which
decides what is stopped and deleted, and no program waits for an answer from the terminal.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from launch.errors import CommandFailed, LaunchError

_OUT_OF_TIME = 124  # the exit status that timeout(1) gives
_SHOWN_ERRORS = 3  # last lines of stderr that an error message repeats


class Shell:
    """Runs external programs, or prints them where `dry_run` is set.

    Args:
      dry_run: print every command that changes something and run none.
      variables: added to the environment of the programs.
    """

    def __init__(self, *, dry_run: bool = False, variables: Mapping[str, str] | None = None):
        self.dry_run = dry_run
        self._environment = os.environ | dict(variables or {})

    def say(self, text: str) -> None:
        print(text, flush=True)

    def require(self, program: str, reason: str) -> None:
        """Raises LaunchError if `program` is not on PATH; a dry run needs no program."""
        if not self.dry_run and shutil.which(program, path=self._environment.get("PATH")) is None:
            raise LaunchError(f"{program} is not installed; {reason}")

    def run(self, *argv: str, limit: float | None = None) -> str:
        """Runs a command to its end and returns its stdout; "" in a dry run.

        Prints the command. Ends it after `limit` seconds. Raises CommandFailed with the last lines
        of its stderr.
        """
        self.say(f"+ {shlex.join(map(_in_one_line, argv))}")
        return "" if self.dry_run else self.ask(*argv, limit=limit)

    def ask(self, *argv: str, limit: float | None = None) -> str:
        """Runs a command that only reads, without printing it, and returns its stdout."""
        process = self._start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            end_process(process)
            message = f"{' '.join(argv[:5])} … has not ended in {limit:g} s"
            raise CommandFailed(message, argv, _OUT_OF_TIME, message) from None
        except BaseException:  # Ctrl-C: the program must not outlive the launcher
            end_process(process)
            raise
        output, errors = (part.decode("utf-8", "replace") for part in (stdout, stderr))
        if process.returncode:
            message = _failure(argv, errors or output)
            raise CommandFailed(message, argv, process.returncode, errors, output)
        return output

    def follow(self, argv: Sequence[str], take_line: Callable[[bytes], None]) -> "Following":
        """Starts a command whose lines of stdout are passed to `take_line` as they come."""
        process = self._start(tuple(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return Following(process, take_line)

    def _start(self, argv: Sequence[str], **streams) -> subprocess.Popen:
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
                **streams,
            )
        except OSError as error:
            raise LaunchError(f"{argv[0]} cannot be run: {error.strerror}") from None


class Following:
    """A program that runs beside the launcher; its stdout goes to a function, line by line."""

    def __init__(self, process: subprocess.Popen, take_line: Callable[[bytes], None]):
        self._process, self._take_line = process, take_line
        self._errors = b""
        readers = ((self._read_output, process.stdout), (self._read_errors, process.stderr))
        self._readers = [
            threading.Thread(target=read, args=(stream,), daemon=True) for read, stream in readers
        ]
        for reader in self._readers:
            reader.start()

    def status(self) -> int | None:
        """Returns the exit status after all output was read; None while the program runs."""
        if self._process.poll() is None or any(reader.is_alive() for reader in self._readers):
            return None
        return self._process.returncode

    def errors(self) -> str:
        """Returns the last lines of stderr in one line."""
        return last_lines(self._errors.decode("utf-8", "replace"))

    def end(self) -> None:
        """Ends the program and waits until its output was read."""
        end_process(self._process)
        for reader in self._readers:
            reader.join(timeout=5)

    def _read_output(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._take_line(line)

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._errors = (self._errors + line)[-4000:]


def end_process(process: subprocess.Popen) -> None:
    """Ends a program started here together with the programs that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=5)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def last_lines(text: str) -> str:
    """Returns the last lines of a program's complaints, joined to one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-_SHOWN_ERRORS:])


def _in_one_line(word: str) -> str:
    """Leaves out the middle of a script that is a word of a command."""
    lines = word.splitlines()
    return f"{lines[0]} … {lines[-1]}" if len(lines) > 1 else word


def print_bytes(text: bytes) -> None:
    """Writes bytes of a remote log to stdout as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _failure(argv: Sequence[str], stderr: str) -> str:
    shown = " ".join(argv[:5])
    return f"{shown} … failed: {last_lines(stderr) or 'it printed no reason'}"
