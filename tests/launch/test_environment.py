"""Tests launch/environment.sh and launch/Dockerfile: the Python and the packages of a pod."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.test_setup import BROKEN, write_program

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "launch" / "environment.sh"
GOOD = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
# As on the TPU images: too old, with pip, which installs a uv that brings a Python of its own.
OLD = """#!/bin/sh
echo "python3 $*" >> "$LOG"
case "$*" in
  "-m pip install --quiet --user uv>=0.5")
    mkdir -p "$HOME/.local/bin"
    cp "$UV" "$HOME/.local/bin/uv" ;;
  *) exit 1 ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> "$LOG"
case "$*" in
  "python install --quiet 3.13") exit "${UV_STATUS:-0}" ;;
  "python find 3.13") echo /uv/python3.13 ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A function that runs the script on a machine with these programs and nothing of ours."""
    write_program(tmp_path / "uv to install", UV)
    (tmp_path / "home").mkdir()

    def run(*words: str, copied: bool = False, **programs: str) -> subprocess.CompletedProcess:
        for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
            write_program(tmp_path / "bin" / name, BROKEN)
        for name, text in programs.items():
            write_program(tmp_path / "bin" / name.replace("_", "."), text)
        script = ["bash", "-c", SCRIPT.read_text(), "environment.sh"]
        return subprocess.run(
            [*(["bash", str(SCRIPT)] if copied else script), *words],
            env={
                "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
                "HOME": str(tmp_path / "home"),
                "LOG": str(tmp_path / "log"),
                "UV": str(tmp_path / "uv to install"),
                **{name: value for name, value in os.environ.items() if name == "UV_STATUS"},
            },
            capture_output=True, text=True, timeout=60, cwd=tmp_path,
        )  # fmt: skip

    run.log = lambda: (tmp_path / "log").read_text().splitlines()
    return run


@pytest.mark.parametrize("copied", [False, True])
def test_a_python_that_is_there_is_found_before_anything_is_copied(machine, copied):
    done = machine("find", copied=copied, python3_12=GOOD)
    assert (done.stdout, done.stderr, done.returncode) == ("python3.12\n", "", 0)


def test_a_python_without_venv_is_passed_over(machine):
    stripped = f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
    done = machine("find", python3_13=stripped, python3_11=GOOD)
    assert done.stdout == "python3.11\n"


def test_an_image_with_an_old_python_gets_one_by_uv(machine):
    done = machine("find", python3=OLD)
    assert (done.stdout, done.stderr, done.returncode) == ("/uv/python3.13\n", "", 0)
    assert machine.log()[-3:] == [
        "python3 -m pip install --quiet --user uv>=0.5",
        "uv python install --quiet 3.13",
        "uv python find 3.13",
    ]


def test_uv_that_is_there_is_used(machine):
    assert machine("find", uv=UV).stdout == "/uv/python3.13\n"
    assert machine.log() == ["uv python install --quiet 3.13", "uv python find 3.13"]


@pytest.mark.parametrize("uv_status", ["0", "1"])
def test_a_machine_without_any_way_is_one_line(machine, monkeypatch, uv_status):
    monkeypatch.setenv("UV_STATUS", uv_status)
    done = machine("find", **({} if uv_status == "0" else {"uv": UV}))
    assert done.returncode == 1 and done.stdout == ""
    assert "no Python 3.11 or newer" in done.stderr and done.stderr.count("\n") == 1
    assert "https://docs.astral.sh/uv" in done.stderr


def test_an_unknown_word_is_one_line(machine):
    done = machine("fnid")
    assert done.returncode == 2 and done.stderr.count("\n") == 1


@pytest.fixture
def checkout(tmp_path):
    """A folder with what the installation reads, and a Python whose pip only writes down."""
    (tmp_path / "launch").mkdir()
    for name in ("pins.txt", "environment.sh"):
        (tmp_path / "launch" / name).write_bytes((REPOSITORY / "launch" / name).read_bytes())
    (tmp_path / "setup.py").write_text("")
    pip = f'#!/bin/sh\necho "$*" >> "{tmp_path}/pip.log"\nexit "${{PIP_STATUS:-0}}"\n'
    write_program(tmp_path / "pip", pip)
    python = (
        f'#!/bin/sh\ncase "$*" in\n"-m venv .venv") mkdir -p .venv/bin; '
        f'cp "{tmp_path}/pip" .venv/bin/python; cp "{tmp_path}/pip" .venv/bin/pip;;\n'
        f'*) exec "{sys.executable}" "$@";;\nesac\n'
    )
    write_program(tmp_path / "bin" / "python3.13", python)
    return tmp_path


def install(checkout: Path, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "launch/environment.sh", "install"],
        cwd=checkout, capture_output=True, text=True, timeout=60,
        env={"PATH": f"{checkout / 'bin'}:/usr/bin:/bin", "HOME": str(checkout), **variables},
    )  # fmt: skip


def test_the_pins_are_installed_once_and_again_after_a_change(checkout):
    log = checkout / "pip.log"
    expected = [
        "install --requirement launch/pins.txt",
        "install --no-deps --no-build-isolation --editable .",
        "check",
    ]
    quiet = "-m pip --disable-pip-version-check --quiet "
    assert install(checkout).returncode == 0
    assert log.read_text().splitlines() == [quiet + words for words in expected]
    assert install(checkout).returncode == 0
    assert len(log.read_text().splitlines()) == 3
    with (checkout / "launch" / "pins.txt").open("a") as pins:
        pins.write("# changed\n")
    assert install(checkout).returncode == 0
    assert len(log.read_text().splitlines()) == 6


def test_an_installation_that_failed_is_done_again(checkout):
    assert install(checkout, PIP_STATUS="1").returncode == 1
    assert install(checkout).returncode == 0
    assert len((checkout / "pip.log").read_text().splitlines()) == 1 + 3


# ---- The image


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, lines joined."""
    text = (REPOSITORY / "launch" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines()
    return [tuple(re.split(r"\s+", line.strip(), maxsplit=1)) for line in lines if line.strip()]


def stages(instructions) -> dict[str, list[tuple[str, str]]]:
    found, name = {}, None
    for word, rest in instructions:
        if word == "FROM":
            name = rest.split()[-1]
        found.setdefault(name, []).append((word, rest))
    return found


def test_the_image_installs_the_pins_and_copies_nothing_else(instructions):
    copied = [rest for word, rest in instructions if word == "COPY"]
    assert copied == [
        "launch/pins.txt /tmp/pins.txt",
        "--from=packages /opt/semcoder /opt/semcoder",
    ]
    ignored = (REPOSITORY / "launch" / "Dockerfile.dockerignore").read_text().splitlines()
    assert [line for line in ignored if not line.startswith("#")] == ["*", "!launch/pins.txt"]
    [install] = [rest for word, rest in instructions if word == "RUN" and "pip" in rest]
    commands = [shlex.split(part) for part in install.split("&&")]
    assert commands == [
        ["python", "-m", "venv", "/opt/semcoder"],
        ["/opt/semcoder/bin/pip", "install", "--no-cache-dir", "--no-deps", "--requirement",
         "/tmp/pins.txt"],
        ["/opt/semcoder/bin/pip", "check"],
    ]  # fmt: skip


def test_the_image_keeps_the_rules_of_a_linter(instructions):
    """hadolint's: tagged base, absolute folders, words for CMD, no ADD, no sudo, no cache."""
    known = {"ARG", "FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "CMD"}
    assert {word for word, _ in instructions} <= known
    for word, rest in instructions:
        if word == "FROM":
            image, alias = re.fullmatch(r"(\S+) AS (\w+)", rest).groups()
            assert ":" in image or image in stages(instructions), alias
        if word == "CMD":
            assert re.fullmatch(r'\[("[^"]+", )*"[^"]+"\]', rest)
        if word == "WORKDIR":
            assert rest.startswith("/")
        if word == "RUN":
            assert "sudo" not in rest and "apt-get" not in rest and "|" not in rest
            assert "pip install" not in rest or "--no-cache-dir" in rest
        if word in ("ARG", "ENV"):
            assert not re.search(r"(?i)token|secret|password|_key|credential", rest)


def test_only_the_stage_that_opens_a_tpu_runs_as_root(instructions):
    built = stages(instructions)
    assert [name for name in built][1:] == ["packages", "environment", "unprivileged", "tpu"]
    assert [rest for word, rest in built["unprivileged"] if word == "USER"] == ["semcoder"]
    assert not any(rest == "root" for word, rest in instructions if word == "USER")


def test_the_image_has_a_supported_python(instructions):
    from launch.pins import PYTHONS

    [version] = [rest.removeprefix("PYTHON=") for word, rest in instructions if word == "ARG"]
    assert version in PYTHONS
    assert f"python install --quiet {version}" in SCRIPT.read_text()
