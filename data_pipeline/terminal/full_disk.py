"""Recognizes a full disk in any library's error and describes it in one line.

Libraries report it in their own ways: an OSError without a file, a RuntimeError or ValueError that
quotes the system's message, an error raised while another one was handled.
"""

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MESSAGES = tuple(map(os.strerror, _NUMBERS))
_PATH = re.compile(r"(?<![\w.])/[^\s\"';,]+")
_MOST_CAUSES = 50


def describe_full_disk(error: BaseException, default: str | None = None) -> str | None:
    """Returns "PATH: No space left on device (N bytes free)", or None for any other error.

    default: path to name if the error names none.
    """
    for cause in _causes(error):
        reason = _reason(cause)
        if reason is not None:
            path = _path(cause) or default
            return f"{path}: {reason}{_free(path)}" if path else reason
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    """Returns an error, those that led to it and those that it groups, without repeats."""
    waiting, found = [error], []
    while waiting and len(found) < _MOST_CAUSES:
        cause = waiting.pop(0)
        if cause is not None and cause not in found:
            found.append(cause)
            waiting += [cause.__cause__, cause.__context__, *getattr(cause, "exceptions", ())]
    return found


def _reason(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return error.strerror or os.strerror(error.errno)
    text = str(error)
    return next((message for message in _MESSAGES if message.lower() in text.lower()), None)


def _path(error: BaseException) -> str | None:
    """Returns the file named by the error, or the first path in its text."""
    if isinstance(error, OSError) and error.filename is not None:
        return os.fsdecode(error.filename)
    found = _PATH.search(str(error))
    return found[0].rstrip(".:)") if found else None


def _free(path: str) -> str:
    """Returns " (N bytes free)" of the file system of a file or folder; a device has none."""
    folder = Path(path)
    if folder.exists() and not (folder.is_file() or folder.is_dir()):
        return ""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with contextlib.suppress(OSError):
        return f" ({shutil.disk_usage(folder).free:,} bytes free)"
    return ""
