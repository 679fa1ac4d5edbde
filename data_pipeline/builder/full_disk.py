"""Reports a full disk in one line, whatever library wrote the file, and says how to go on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.builder.options import BuildError
from data_pipeline.terminal.full_disk import describe_full_disk

_GOES_ON = "free some space and run the same command again to continue"


@contextlib.contextmanager
def full_disk_errors(output: Path) -> Iterator[None]:
    """Raises BuildError for any error of the block that a full disk caused.

    The message names the file if the error does, else `output`.
    """
    try:
        yield
    except Exception as error:
        described = describe_full_disk(error, default=str(output))
        if described is None:
            raise
        raise BuildError(f"{described}; {_GOES_ON}") from error
