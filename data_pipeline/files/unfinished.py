"""Marks folders in an object store that a kill may leave unfinished.

A local folder is renamed when it is complete. In a store the files are written in place, and an
object among them says so until the last one is there: the next attempt may replace such a folder.
"""

from data_pipeline.files.paths import AnyPath, is_remote

UNFINISHED = ".semcoder-unfinished"


def mark_unfinished(folder: AnyPath) -> None:
    (folder / UNFINISHED).write_text("being written\n", encoding="utf-8")


def is_unfinished(folder: AnyPath) -> bool:
    """Returns whether a writer of this program has begun the folder and not ended it."""
    return is_remote(folder) and (folder / UNFINISHED).exists()


def mark_finished(folder: AnyPath) -> None:
    (folder / UNFINISHED).unlink(missing_ok=True)
