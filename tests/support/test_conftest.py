"""Tests the repository's conftest: it counts skips by tool and sets markers by fixture."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TESTS = """
import pytest
from tests.support.browser import chromium

@pytest.mark.parametrize("n", range(3))
def test_golden(shared_data, n): pass

def test_compiled(tpu_compiler): pytest.skip("needs the TPU compiler")  # also where it is

def test_peer(evalplus_python): pass

def test_page(tmp_path): chromium(tmp_path / "page.html")

def test_boxed(): pytest.skip("tier A does not run here: bubblewrap is not installed (apt-get …)")

def test_module(): pytest.importorskip("no_such_module")

def test_other(): pytest.skip("it rains")

def test_passes(): pass
"""


@pytest.fixture
def run_tests(tmp_path, monkeypatch):
    """Runs TESTS with the repository's conftest in a process without any of the tools."""
    for name in ("SHARED_DATA", "LIBTPU", "EVALPLUS_PYTHON"):
        monkeypatch.delenv(f"SEMCODER_{name}", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY), prepend=":")
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((REPOSITORY / "tests" / "conftest.py").read_text())

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-c", str(REPOSITORY / "pyproject.toml")]
        place = [f"--rootdir={tmp_path}", str(tmp_path), *arguments]
        return subprocess.run([*command, *place], capture_output=True, text=True).stdout

    return run


@pytest.mark.parametrize("arguments", [[], ["-n1"]], ids=["in one process", "in a worker"])
def test_skips_are_counted_by_tool(run_tests, arguments):
    out = run_tests(*arguments)
    [line] = [line for line in out.splitlines() if line.startswith("skipped for want of: ")]
    told = dict(part.rsplit(" ", 1) for part in line.partition(": ")[2].split(", "))
    assert told == {
        "golden data": "3", "EvalPlus": "1", "Chromium": "1", "bubblewrap": "1",
        "TPU compiler": "1", "no_such_module": "1", "it rains": "1",
    }  # fmt: skip
    assert "1 passed, 9 skipped" in out


@pytest.mark.parametrize(("marker", "count"), [("golden", 3), ("tpu_compiler", 1), ("peer", 1)])
def test_markers_follow_fixtures(run_tests, marker, count):
    assert f"{count} skipped, {10 - count} deselected" in run_tests("-m", marker)
