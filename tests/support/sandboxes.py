"""Opens sandboxes for tests; skips the test if this machine can start none."""

import contextlib
from collections.abc import Iterator, Set

import psutil
import pytest

from data_pipeline.execution.service import Limits, Sandbox, SandboxUnavailable

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=2.0, memory_bytes=256 << 20, output_bytes=1 << 16)


@contextlib.contextmanager
def open_sandbox(**options) -> Iterator[Sandbox]:
    try:
        sandbox = Sandbox(**options)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox of tier {options.get('tier', 'any')} here: {error}")
    with sandbox:
        yield sandbox


def children_since(earlier: Set[psutil.Process], *, recursive=False) -> list[psutil.Process]:
    """Returns this process's children but `earlier`: workers of the sandboxes opened since.

    Another test may leave a child that lives as long as this process: multiprocessing's tracker.
    """
    return [p for p in psutil.Process().children(recursive) if p not in earlier]
