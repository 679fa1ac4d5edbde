"""Sandboxes for tests, which skip where none runs."""

import contextlib
from collections.abc import Iterator

import pytest

from data_pipeline.execution.service import Sandbox, SandboxUnavailable


@contextlib.contextmanager
def open_sandbox(**options) -> Iterator[Sandbox]:
    try:
        sandbox = Sandbox(**options)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox of tier {options.get('tier', 'any')} here: {error}")
    with sandbox:
        yield sandbox
