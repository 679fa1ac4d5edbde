"""Tests that the command in an error installs what is missing, for every kind of installation."""

import importlib.metadata
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from data_pipeline.terminal import installation
from data_pipeline.terminal.installation import install_command
from semcoder_jax.commands import serve

REPOSITORY = Path(__file__).parents[2]
EXTRAS = ("serve", "beam", "wandb")


def test_in_a_checkout_the_extra_of_the_checkout_is_installed(monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    assert install_command("serve") == "pip install -e '.[serve]'"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(install_command("serve")) == ["pip", "install", "-e", f"{REPOSITORY}[serve]"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_beside_a_wheel_the_requirements_are_named(monkeypatch, extra):
    """Compares with packaging's reading of the metadata that setuptools wrote."""
    monkeypatch.setattr(installation, "_checkout", lambda: None)
    metadata = map(Requirement, importlib.metadata.requires("semcoder-jax"))
    expected = [
        Requirement(str(requirement).partition(";")[0])
        for requirement in metadata
        if requirement.marker and requirement.marker.evaluate({"extra": extra})
    ]
    words = shlex.split(install_command(extra))
    assert words[:2] == ["pip", "install"]
    assert list(map(Requirement, words[2:])) == expected and expected


def test_serve_without_its_extra_names_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve.main(["--checkpoint=none"]) == 2
    error = f"error: uvicorn is missing: {install_command('serve')}\n"
    assert capsys.readouterr().err == error


def test_a_copy_of_the_package_is_no_checkout(tmp_path):
    """Simulates site-packages: no setup.py beside the package, but metadata."""
    package = tmp_path / "data_pipeline" / "terminal"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    shutil.copy(REPOSITORY / "data_pipeline/terminal/installation.py", package)
    metadata = tmp_path / "semcoder_jax-9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: semcoder-jax\nVersion: 9\n"
        'Requires-Dist: absl-py>=2.1\nRequires-Dist: one>=0.4,<3; extra == "serve"\n'
        "Requires-Dist: two[all]; extra == 'serve'\nRequires-Dist: three; extra == \"serves\"\n"
    )
    code = "from data_pipeline.terminal.installation import install_command as c; print(c('serve'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "pip install 'one>=0.4,<3' 'two[all]'\n"
