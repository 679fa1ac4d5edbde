"""Tests that the pins of a pod follow setup.py and are whole."""

import importlib.metadata
import subprocess

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from launch import pins


def versions(python: str) -> dict[str, str]:
    """The pinned version of each distribution on a pod with this Python."""
    found = {}
    for pin in pins.parse_pins(pins.PINS.read_text(encoding="utf-8")):
        if pin.marker is None or pin.marker.evaluate(pins.pod_environment(python)):
            [version] = pin.specifier
            assert version.operator == "=="
            assert canonicalize_name(pin.name) not in found, f"two versions of {pin.name}"
            found[canonicalize_name(pin.name)] = version.version
    return found


def test_the_pins_are_those_of_the_requirements_as_they_are():
    said = f"# Requirements of setup.py: {pins.digest(pins.read_requirements())}"
    assert said in pins.PINS.read_text(encoding="utf-8"), "run: python -m launch.pins"


@pytest.mark.parametrize("python", pins.PYTHONS)
def test_every_requirement_has_a_version_in_its_range(python):
    pinned = versions(python)
    for line in pins.read_requirements():
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), line


def test_what_the_installed_packages_require_is_pinned_too():
    """An installation with --no-deps is whole: the requirements of requirements have versions."""
    pinned = versions("3.12")
    extras = {Requirement(line).name: Requirement(line).extras for line in pins.read_requirements()}
    assert extras["jax"] == {"tpu"}
    missing = {}
    for name in pinned:
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # libtpu
        environments = [
            pins.pod_environment("3.12") | {"extra": extra} for extra in ("", *extras.get(name, ()))
        ]
        for each in map(Requirement, lines):
            needed = each.marker is None or any(map(each.marker.evaluate, environments))
            if needed and canonicalize_name(each.name) not in pinned:
                missing[each.name] = name
    assert missing == {}


def test_requirements_of_an_extra_include_those_of_the_extras_it_names(tmp_path):
    setup = tmp_path / "setup.py"
    setup.write_text(
        'from setuptools import setup\nVERSION = open("nowhere").read()\n'
        'CORE = ["b>=1"]\nTRAIN = [*CORE, "c>=2"]\n'
        'EXTRAS = {"train": TRAIN, "tpu": ["semcoder-jax[train]", "a[x]>=3"]}\nsetup()\n'
    )
    assert pins.read_requirements(setup, ["tpu"]) == ["a[x]>=3", "b>=1", "c>=2", *pins.BUILD]


def test_only_what_concerns_a_pod_is_written():
    resolved = (
        'a==1\nb==1 ; sys_platform == "win32"\nc==1 ; sys_platform != "win32"\n'
        'd==1 ; python_full_version < "3.12"\nd==2 ; python_full_version >= "3.12"\n'
        'e==1 ; platform_machine == "aarch64"\n'
    )
    lines = pins.format_pins(["a"], resolved).splitlines()
    assert lines[3:] == [
        "a==1", "c==1",
        'd==1; python_full_version < "3.12"', 'd==2; python_full_version >= "3.12"',
    ]  # fmt: skip


def test_without_uv_the_command_says_so(monkeypatch, capsys):
    monkeypatch.setattr(pins.shutil, "which", lambda *_, **__: None)
    assert pins.main([]) == 2
    assert "pip install uv" in capsys.readouterr().err


def test_a_resolver_that_fails_leaves_the_pins_and_gives_its_reason(monkeypatch, capsys):
    before = pins.PINS.read_bytes()
    failed = subprocess.CompletedProcess([], 1, "", "x No solution found:\n  jax<0.1\n")
    monkeypatch.setattr(pins.shutil, "which", lambda *_, **__: "uv")
    monkeypatch.setattr(pins.subprocess, "run", lambda *_, **__: failed)
    assert pins.main([]) == 2
    error = capsys.readouterr().err
    assert "No solution found: jax<0.1" in error and error.count("\n") == 1
    assert pins.PINS.read_bytes() == before
