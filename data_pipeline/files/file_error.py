"""Defines the error of a file or object that cannot be read or written."""

import os

from data_pipeline.errors import UserError


class FileError(OSError, UserError):
    """A file that cannot be read or written: FileError(errno, reason, path).

    The message is one line, "PATH: reason"; `filename` and `strerror` are those two parts.
    """

    def __str__(self) -> str:
        return f"{os.fspath(self.filename)}: {self.strerror}"
