"""Carries one-line errors of a worker to the process that started the job.

A runner returns an error as the text of a traceback, in which our line is then marked.
"""

import contextlib
import re
import socket
from collections.abc import Iterator

from data_pipeline.errors import UserError

_MARKED = re.compile(r"<<semcoder: (.*?) :semcoder>>", re.DOTALL)


class WorkerError(RuntimeError):
    """Reports an error of a worker with a marked line."""


@contextlib.contextmanager
def marked_errors() -> Iterator[None]:
    """Raises a UserError of the block as WorkerError, which names this worker."""
    try:
        yield
    except UserError as error:
        line = " ".join(str(error).split())
        host = socket.gethostname()
        raise WorkerError(f"<<semcoder: worker {host}: {line} :semcoder>>") from error


def marked_line(text: str) -> str | None:
    """Returns the first marked line in the text of an error, or None."""
    found = _MARKED.search(text)
    return None if found is None else " ".join(found[1].split())
