"""Prepares a CPU for training: an allocator that keeps its memory, and a device for each core.

XLA allocates the memory of a step anew in every step, and glibc returns it to the system each time.
The system then fills it with zeros page by page: a quarter of the CPU time of the quickstart's
training.

XLA splits a single product over the cores, and much between two products runs on one. With a device
for each core, every core computes its own rows from the first layer to the last.
"""

import contextlib
import ctypes
import importlib.util
import os

import jax

from semcoder_jax.config import RunConfig

_DEVICES_FLAG = "--xla_force_host_platform_device_count"
_PLUGINS = ("libtpu", "jax_plugins")  # packages of accelerators
# Of glibc's malloc.h. Only one arena: glibc unmaps an empty heap of any other, whatever is set.
_KEEP_FREED = {
    -8: 1,  # M_ARENA_MAX
    -4: 0,  # M_MMAP_MAX: no block has a mapping of its own, which goes when it is freed
    -1: 1 << 30,  # M_TRIM_THRESHOLD: bytes kept at the end of the heap
    -2: 1 << 26,  # M_TOP_PAD: bytes added when the heap grows
}


def prepare_cpu(run: RunConfig) -> None:
    """Prepares the CPU for `run`; call it before anything makes JAX look for devices."""
    if _has_only_cpu():
        keep_freed_memory()
    split_cpu(run)


def keep_freed_memory() -> None:
    """Makes glibc keep freed blocks, of any size, for the next allocation.

    Threads that have an arena of their own by now keep it.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _KEEP_FREED.items():
            mallopt(parameter, value)


def split_cpu(run: RunConfig) -> None:
    """Makes the cores devices if `mesh.data` is -1 and no other axis splits the run.

    Does nothing if the number of CPU devices is already chosen (JAX_NUM_CPU_DEVICES, XLA_FLAGS, or
    because JAX has its devices) or if several processes train together. Beside an accelerator the
    devices lie unused.
    """
    sizes = dict(run.mesh)
    if sizes.pop("data", 1) != -1 or any(size != 1 for size in sizes.values()):
        return
    is_chosen = jax.config.jax_num_cpu_devices >= 0 or _DEVICES_FLAG in os.getenv("XLA_FLAGS", "")
    if is_chosen or jax.distributed.is_initialized():
        return
    rows = run.data.global_batch_size // run.train.accumulation_steps
    with contextlib.suppress(RuntimeError):  # JAX has its devices
        jax.config.update("jax_num_cpu_devices", count_devices(rows, count_cores()))


def count_devices(rows: int, cores: int) -> int:
    """Returns the greatest number of devices up to `cores` that take equal shares of `rows`."""
    return max(number for number in range(1, min(rows, cores) + 1) if rows % number == 0)


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_only_cpu() -> bool:
    chosen = jax.config.jax_platforms or os.getenv("JAX_PLATFORMS", "")
    return chosen == "cpu" or all(importlib.util.find_spec(name) is None for name in _PLUGINS)
