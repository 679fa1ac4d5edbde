"""Tests launch/setup.sh and .ci/run: the Python they find, and the programs that .ci/run hides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BROKEN = "#!/bin/sh\necho 'pyenv: command not found' | tee /dev/stderr\nexit 127\n"


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def bash(script: str, path: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {"PATH": path, **variables}
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60
    )


def function(name: str) -> str:
    """The source of one of .ci/run's functions."""
    start = (REPOSITORY / ".ci" / "run").read_text().partition(f"\n{name}() {{\n")[2]
    return f"{name}() {{\n{start.partition(f'{chr(10)}}}{chr(10)}')[0]}\n}}\n"


@pytest.fixture
def shims(tmp_path):
    """A PATH on which python3.13 does not run, though it is there, and python3.12 does."""
    write_program(tmp_path / "python3.13", BROKEN)
    write_program(tmp_path / "python3.12", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    return f"{tmp_path}:/usr/bin:/bin"


def test_a_python_that_does_not_run_is_passed_over_in_silence(shims):
    done = bash("source launch/setup.sh; find_python", shims)
    assert (done.stdout, done.stderr) == ("python3.12\n", "")


def test_an_older_python_alone_is_one_line(tmp_path):
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        write_program(tmp_path / name, BROKEN)
    done = bash("source launch/setup.sh; setup_environment dev", f"{tmp_path}:/usr/bin:/bin",
                VENV=str(tmp_path / "venv"))  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: no Python found") and done.stderr.count("\n") == 1


def test_a_version_is_found_where_pyenv_keeps_it(tmp_path, shims):
    version = "{}.{}".format(*sys.version_info)
    write_program(tmp_path / f"python{version}", BROKEN)
    kept = tmp_path / "pyenv" / "versions" / f"{version}.0" / "bin" / "python"
    write_program(kept, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    script = function("find_version") + f"find_version {version}; find_version 3.99"
    done = bash(script, shims, PYENV_ROOT=str(tmp_path / "pyenv"))
    assert (done.stdout, done.stderr) == (f"{kept}\n", "")


def test_programs_are_hidden_and_all_others_stay(tmp_path):
    places = [tmp_path / "one", tmp_path / "two two", tmp_path / "absent"]
    for place in places[:2]:
        write_program(place / f"tool {place.name}", "#!/bin/sh\necho tool\n")
    write_program(places[1] / "bwrap", "#!/bin/sh\n")
    path = ":".join([*map(str, places), os.defpath])
    script = function("path_without") + (
        f'work="{tmp_path}"; PATH="$(path_without bwrap)"; hash -r; echo "$PATH"\n'
        '"tool one"; "tool two two"; ! command -v bwrap'
    )
    done = bash(script, path)
    assert done.returncode == 0 and done.stderr == ""
    first, *said = done.stdout.splitlines()
    assert said == ["tool", "tool"]
    assert first.split(":")[0] == str(places[0]) and first.split(":")[1] != str(places[1])
