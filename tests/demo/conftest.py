"""One sandbox for all tests of the demo."""

import pytest

from data_pipeline.execution.service import Sandbox
from semcoder_jax.demo.runs import LIMITS


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox(workers=2, limits=LIMITS) as sandbox:
        yield sandbox
