"""Runs code of this repository as an unprivileged user, where the tests run as root."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"


def run_as_another_user(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code that can import the repository; skips the test where that is impossible."""
    if os.geteuid() != 0:
        pytest.skip("is not root: every other test shows it")
    if not os.access(PYTHON, os.X_OK):
        pytest.skip("no interpreter that another uid can run")
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    readable = all(parent.stat().st_mode & 1 for parent in [REPOSITORY, *REPOSITORY.parents])
    if version.strip() != "True" or not readable:
        pytest.skip("the interpreter or the repository is closed to another uid")
    path = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
    return subprocess.run(
        [PYTHON, "-c", path + code, *arguments],
        user=12345, group=12345, extra_groups=[], cwd="/", env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
