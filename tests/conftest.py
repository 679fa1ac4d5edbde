"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of golden data (prompts, tokenizers, benchmarks); skips where it is not set."""
    path = os.environ.get("SEMCODER_SHARED_DATA")
    if not path:
        pytest.skip("needs golden data: set SEMCODER_SHARED_DATA to the folder that holds it")
    return Path(path)
