"""Compiled programs are kept on disk, so that a run that starts again does not compile again."""

import jax

from semcoder_jax.benchmarks.data import cache_folder

_HIT_EVENT = "/jax/compilation_cache/cache_hits"


def keep_compiled_programs() -> None:
    """Turn JAX's compilation cache on, in the user's own cache folder.

    A place that JAX was given (JAX_COMPILATION_CACHE_DIR) stays, and
    JAX_ENABLE_COMPILATION_CACHE=false turns it off.
    """
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))


class CacheHits:
    """Counts the programs that were read from the cache instead of compiled."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_listener(self._hear)

    def _hear(self, event: str, **_) -> None:
        self.count += event == _HIT_EVENT

    def close(self) -> None:
        jax.monitoring.unregister_event_listener(self._hear)
