"""Warnings beside the work: each one a line on the standard error of its moment.

Python's own handlers keep the stream that they were made with, and print a traceback once it is
closed; any library that logs may have made one. Warnings of ours do not pass through them.
"""

import contextlib
import logging
import sys


class StderrHandler(logging.Handler):
    """Writes to the `sys.stderr` that stands when a record comes; says nothing where it is closed.

    Records look like "warning: …" unless a formatter is set.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if self.formatter is None:
            line = f"{record.levelname.lower()}: {record.getMessage()}"
        else:
            line = self.format(record)
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, broken or closed
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _make_logger() -> logging.Logger:
    made = logging.getLogger(__name__)
    made.propagate = False
    made.addHandler(StderrHandler())
    return made


logger = _make_logger()
