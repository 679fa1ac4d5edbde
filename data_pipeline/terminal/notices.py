"""Writes warnings, one a line, to the current standard error.

Python's own handlers keep the stream that they were made with and print a traceback once it is
closed; any library that logs may have made one. The project's warnings bypass them.
"""

import contextlib
import logging
import sys


class StderrHandler(logging.Handler):
    """Writes each record to the `sys.stderr` of that moment, or nowhere if it is closed.

    Writes "warning: …" unless a formatter is set.
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
    logger = logging.getLogger(__name__)
    logger.propagate = False
    logger.addHandler(StderrHandler())
    return logger


logger = _make_logger()
