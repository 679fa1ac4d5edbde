"""Shows the progress of long work on stderr."""

import sys

from tqdm import tqdm


def open_bar(total: int, description: str, unit: str, *, shown: bool) -> tqdm:
    """Returns a bar; written to a file instead of a terminal, it gives few lines."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=not shown,
        mininterval=0.1 if sys.stderr.isatty() else 10,
    )
