"""Times the work of benchmarks, in turns if there are several sides, and describes the machine."""

import os
import platform
import time
from collections.abc import Callable, Mapping


def measure_seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def best_of_turns(works: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Returns the least seconds of each work; they take turns so that other load affects all."""
    seconds = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            seconds[name].append(measure_seconds(work))
    return {name: min(each) for name, each in seconds.items()}


def describe_machine(workers: int, when_busy: str) -> str:
    """Describes the machine in one line; `when_busy` states how load changes the figures."""
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{workers} workers, load average {load:.1f} at start"
        + (f" (busy: {when_busy})" if load > 0.5 else "")
    )
