"""Reports a full disk in one line, whatever library wrote the file."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.files import FileError

_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GOES_ON = "free some space and run the same command again to continue"


@contextlib.contextmanager
def full_disk_errors(output: Path) -> Iterator[None]:
    """Converts errors of the block that come from a full disk to a FileError about the file."""
    try:
        yield
    except Exception as error:
        found = _full_disk(error)
        if found is None:
            raise
        code, name = found
        reason = f"{os.strerror(code)}; {_GOES_ON}"
        raise FileError(code, reason, name or str(output)) from error


def _full_disk(error: BaseException) -> tuple[int, str | None] | None:
    """Returns code and file of the error of a full disk that caused `error`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            if cause.errno in _CODES:
                return cause.errno, cause.filename
        else:
            # ArrayRecord's writer and Beam's workers pass on the system's text alone.
            code = next((code for code in _CODES if os.strerror(code) in str(cause)), None)
            if code is not None:
                return code, None
        cause = cause.__cause__ or cause.__context__
    return None
