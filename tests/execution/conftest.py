"""Opens sandboxes with short limits, once for the tests of a file."""

import pytest

from tests.support.sandboxes import LIMITS, open_sandbox


@pytest.fixture(scope="module", params=["A", "B"])
def sandbox(request):
    with open_sandbox(tier=request.param, workers=2, limits=LIMITS) as made:
        yield made


@pytest.fixture(scope="module")
def best():
    with open_sandbox(workers=2, limits=LIMITS) as made:
        yield made
