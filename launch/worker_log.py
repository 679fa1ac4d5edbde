"""Keeps a local copy of a worker's log, whatever happens to the connections that bring it.

The copy is the remote log byte by byte. `launch.detached follow` says at which byte it goes on, so
text that a second connection brings again is not written twice.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from launch.detached import MARK

_END_BYTES = 20_000


class WorkerLog:
    """The local copy of one worker's log.

    Attributes:
      status: exit status of the worker's command, once it has ended.
    """

    def __init__(self, path: Path, show: Callable[[bytes], None] | None = None):
        self.path, self.status = path, None
        self._show = show
        self._position = 0  # in the remote log
        self._size = 0  # of the copy
        path.write_bytes(b"")

    @property
    def size(self) -> int:
        """Returns the bytes that the copy has."""
        return self._size

    def start_over(self) -> None:
        """Says that the next connection brings the log from its first byte."""
        self._position = 0

    def take_line(self, line: bytes) -> None:
        """Takes one line of what `launch.detached follow` prints."""
        if line.startswith(MARK):
            self._take_mark(line[len(MARK) :].decode().split())
            return
        new = line[max(0, self._size - self._position) :]
        self._position += len(line)
        if not new:
            return
        with self.path.open("ab") as copy:
            copy.write(new)
        self._size += len(new)
        if self._show:
            self._show(new)

    def _take_mark(self, words: list[str]) -> None:
        match words:
            case ["log", "from", position]:
                self._position = int(position)
            case ["status", status]:
                self.status = int(status)

    def last_error(self) -> str | None:
        """Returns the last line that reports an error, or the last line of all."""
        lines = last_lines(self.path)
        return find_error(lines) or next((line.strip() for line in reversed(lines) if line), None)


def last_lines(log: Path) -> list[str]:
    """Returns the last lines of a log, some hundreds."""
    text = log.read_bytes()[-_END_BYTES:].decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines()]


def find_error(lines: Sequence[str]) -> str | None:
    """Returns the last line that reports an error, without "error: "."""
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else None
