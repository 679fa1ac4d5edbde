"""Locates the cache folder: files that this package can make or download again."""

import os
from pathlib import Path

CACHE_VARIABLE = "SEMCODER_CACHE"


def cache_folder(cache: str | Path | None = None) -> Path:
    """Returns `cache`, else $SEMCODER_CACHE, else ~/.cache/semcoder-jax; it need not exist."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or "~/.cache/semcoder-jax").expanduser()
