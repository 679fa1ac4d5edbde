"""Files of rows in a workdir that a resumed run goes on with, written by the first process."""

from collections.abc import Callable, Mapping

from data_pipeline.files import (
    AnyPath,
    AppendedFile,
    append_row,
    open_appended,
    read_rows,
    write_rows,
)


class RowFile:
    """Appends rows to a file, after dropping those that a resumed run will write again.

    Does nothing if `write` is False (every process but one).
    """

    def __init__(
        self, path: AnyPath, *, write: bool, is_kept: Callable[[dict], bool] = lambda row: True
    ):
        self._file: AppendedFile | None = None
        if write:
            keep_rows(path, is_kept)
            self._file = open_appended(path)

    def append(self, row: Mapping) -> None:
        if self._file is not None:
            append_row(self._file.fileno(), row, self._file.path)

    def save(self) -> None:
        """Returns once the rows so far survive a kill, also in an object store."""
        if self._file is not None:
            self._file.save()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read_whole_rows(path: AnyPath) -> list[dict]:
    """Returns the rows of a file, [] without one; leaves out a last row that a kill truncated."""
    return [row for _, row in read_rows(path, allow_cut_end=True)] if path.is_file() else []


def keep_rows(path: AnyPath, is_kept: Callable[[dict], bool]) -> None:
    """Drops all other rows, and a row that a kill truncated; creates the file if missing."""
    write_rows(path, [row for row in read_whole_rows(path) if is_kept(row)])
