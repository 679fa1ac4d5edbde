"""The folder in which this package keeps what it can make or fetch again."""

import os
from pathlib import Path

CACHE_VARIABLE = "SEMCODER_CACHE"


def cache_folder(cache: str | Path | None = None) -> Path:
    """`cache`, else $SEMCODER_CACHE, else the folder ~/.cache/semcoder-jax; need not exist."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or "~/.cache/semcoder-jax").expanduser()
