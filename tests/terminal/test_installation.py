"""Tests that the command in an error installs what is missing, for every kind of installation."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from data_pipeline.terminal import installation
from data_pipeline.terminal.installation import install_command
from semcoder_jax.commands import serve

REPOSITORY = Path(__file__).parents[2]


def test_in_a_checkout_the_extra_of_the_checkout_is_installed(monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    assert install_command("serve") == "pip install -e '.[serve]'"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(install_command("serve")) == ["pip", "install", "-e", f"{REPOSITORY}[serve]"]


def test_beside_a_wheel_the_distribution_is_named(monkeypatch):
    """pip then reads the requirements from the installed metadata."""
    monkeypatch.setattr(installation, "_checkout", lambda: None)
    assert install_command("serve") == "pip install 'semcoder-jax[serve]'"


def test_serve_without_its_extra_names_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve.main(["--checkpoint=none"]) == 2
    error = f"error: uvicorn is missing: {install_command('serve')}\n"
    assert capsys.readouterr().err == error


def test_a_copy_of_the_package_is_no_checkout(tmp_path):
    """Simulates site-packages: no setup.py beside the package."""
    package = tmp_path / "data_pipeline" / "terminal"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    shutil.copy(REPOSITORY / "data_pipeline/terminal/installation.py", package)
    code = "from data_pipeline.terminal.installation import install_command as c; print(c('serve'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "pip install 'semcoder-jax[serve]'\n"
