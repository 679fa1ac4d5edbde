"""Says in one line what a failure of an external program means."""

import re
from collections.abc import Iterable

from launch.errors import CommandFailed, LaunchError
from launch.shell import last_lines


def explain(error: CommandFailed, meanings: Iterable[tuple[str, str]], action: str) -> LaunchError:
    """Returns the failure with its meaning and the program's own words.

    Args:
      meanings: (pattern of the program's output, what it means); the first that matches counts.
      action: what was tried, with the name of the thing.
    """
    text = f"{error.output}\n{error.stderr}"
    for pattern, meaning in meanings:
        if found := re.search(rf"^.*(?:{pattern}).*$", text, re.M):
            return LaunchError(f"{action}: {meaning} ({shorten(found[0])})")
    reason = last_lines(error.stderr) or last_lines(error.output) or f"exit status {error.status}"
    return LaunchError(f"{action} failed: {shorten(reason)}")


def shorten(text: str, most: int = 300) -> str:
    """Returns a text in one line, cut after `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]} …"
