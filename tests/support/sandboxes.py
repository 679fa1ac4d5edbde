"""Opens sandboxes for tests; skips the test if this machine can start none."""

import contextlib
from collections.abc import Iterator

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
