"""Fixtures of the tests of launching."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Ctrl-C reaches this process and those it starts, also where the tests run in the background.

    A shell starts background jobs with SIGINT ignored, and their children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
