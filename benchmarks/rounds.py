"""Times the work of benchmarks, in turns if there are several sides, and describes the machine."""

import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path


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


def describe_cpu() -> str:
    """Names the CPU, its vector width and the width that XLA_FLAGS allows XLA (Linux on x86)."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    model = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    widths = {"avx512f": "AVX-512", "avx2": "AVX2"}
    found = [name for flag, name in widths.items() if flags and flag in flags[1].split()]
    limit = re.search(r"--xla_cpu_max_isa=(\w+)", os.environ.get("XLA_FLAGS", ""))
    return (
        f"{model[1] if model else platform.processor() or platform.machine()}, "
        f"{found[0] if found else 'no AVX2'}, {os.cpu_count()} cores"
        + (f" (XLA limited to {limit[1]})" if limit else "")
    )


def describe_machine(workers: int, when_busy: str) -> str:
    """Describes the machine in one line; `when_busy` states how load changes the figures."""
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {describe_cpu()}, "
        f"{workers} workers, load average {load:.1f} at start"
        + (f" (busy: {when_busy})" if load > 0.5 else "")
    )
