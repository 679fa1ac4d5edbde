"""Takes the log of a managed job apart: a file for each host, the first host's on the screen.

SkyPilot sends one stream, in which "(head, rank=0, pid=17894) TEXT" is a line of the first host and
"(worker1, rank=1, pid=15406, ip=10.0.0.57) TEXT" one of the second; "(setup pid=2383) TEXT" comes
from the installation, "(NAME, pid=1) TEXT" from a slice of one host.
"""

import re
from pathlib import Path

from launch.shell import Shell
from launch.worker_log import find_error, last_lines

_COLORS = re.compile(rb"\x1b\[[0-9;]*m")
_PREFIX = re.compile(rb"\((?P<who>[^()]*\bpid=\d+[^()]*)\) ?")
SKYPILOT = "skypilot.log"  # lines that SkyPilot adds


class JobLog:
    """Local copies of the hosts' logs."""

    def __init__(self, folder: Path, shell: Shell):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._shell = folder, shell
        self._taken = 0  # lines of this attempt
        self._position = 0  # in this connection

    def begin_attempt(self) -> None:
        """Says that the job runs anew: a later connection brings its log alone."""
        self._taken = 0

    def start_over(self) -> None:
        """Says that the next connection brings the log of the attempt from its first line."""
        self._position = 0

    def take_line(self, line: bytes) -> None:
        """Writes a line to its host's file; leaves out what an earlier connection brought."""
        self._position += 1
        if self._position <= self._taken:
            return
        self._taken += 1
        plain = _COLORS.sub(b"", line)
        found = _PREFIX.match(plain)
        name = _file_name(found["who"].decode()) if found else SKYPILOT
        text = plain[found.end() :] if found else plain
        with (self._folder / name).open("ab") as file:
            file.write(text)
        if name in ("rank0.log", "setup0.log", SKYPILOT):
            self._shell.say(text.decode("utf-8", "replace").rstrip("\n"))

    def last_error(self) -> str | None:
        """Returns the last line of any host that reports an error, without "error: "."""
        paths = sorted(self._folder.glob("*.log"), reverse=True)
        errors = (find_error(last_lines(path)) for path in paths)
        return next((error for error in errors if error), None)


def _file_name(who: str) -> str:
    """Returns rank1.log for "worker1, rank=1, pid=…", setup0.log for "setup pid=…"."""
    if who.startswith("setup"):
        address = re.search(r"ip=([\w.:-]+)", who)
        return f"setup-{address[1]}.log" if address else "setup0.log"
    rank = re.search(r"\brank=(\d+)", who)
    return f"rank{rank[1] if rank else 0}.log"
