"""Keeps compiled programs on disk, so that a restarted run does not compile again."""

import os

import jax

from data_pipeline.files import as_path
from semcoder_jax.cache import cache_folder

_HIT_EVENT = "/jax/compilation_cache/cache_hits"


def enable_compilation_cache(workdir: str | os.PathLike) -> None:
    """Turns JAX's compilation cache on, in the user's cache folder.

    Runs of several processes use WORKDIR instead: every process reads it, the first one writes.
    JAX_COMPILATION_CACHE_DIR overrides the folder; JAX_ENABLE_COMPILATION_CACHE=false turns the
    cache off.
    """
    if jax.config.jax_compilation_cache_dir is None:
        folder = cache_folder() if jax.process_count() == 1 else as_path(workdir).absolute()
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))


class CacheHits:
    """Counts the programs that were read from the cache instead of compiled."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_listener(self._count_hit)

    def _count_hit(self, event: str, **_) -> None:
        self.count += event == _HIT_EVENT

    def close(self) -> None:
        jax.monitoring.unregister_event_listener(self._count_hit)
