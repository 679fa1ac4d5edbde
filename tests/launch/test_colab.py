"""Runs the notebooks from top to bottom at a small setting, as Colab's first visitor would."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from tests.support.compiling import QUICK
from tests.support.tiny_checkpoint import write_checkpoint
from tests.support.tiny_sources import write_sources

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "colab"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CHECKED_OUT = "YOUR_ACCOUNT"  # whose repository Colab opens, until it is public


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run(name: str, **settings) -> list[nbformat.NotebookNode]:
    """Runs a notebook with other settings; returns the outputs of all its cells."""
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install matplotlib")
    client = pytest.importorskip("nbclient", reason="needs nbclient: pip install nbclient")
    notebook = read(name)
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    for setting, value in settings.items():
        cell.source, count = re.subn(
            rf"^{setting} = .*",
            lambda _, s=setting, v=value: f"{s} = {v!r}",
            cell.source,
            flags=re.M,
        )
        assert count == 1, setting
    resources = {"metadata": {"path": FOLDER}}
    client.NotebookClient(notebook, timeout=550, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def text_of(outputs) -> str:
    return "".join(output.get("text", "") for output in outputs)


def pictures(outputs) -> int:
    return sum("image/png" in output.get("data", ()) for output in outputs)


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    """The notebooks' processes compile as the default set of tests does."""
    monkeypatch.setenv("XLA_FLAGS", QUICK)


@pytest.mark.slow
def test_quickstart(tmp_path):
    outputs = run("quickstart", WORKDIR=str(tmp_path), FUNCTIONS=200, STEPS=20)
    printed = text_of(outputs)
    assert "trained" in printed and "accuracy" in printed
    assert "the run itself gives 9" in printed  # by hand: two items, and 7 is more than 5
    assert list((tmp_path / "export").glob("*.safetensors"))


@pytest.mark.slow
def test_meet_the_model(tmp_path):
    """With a random model in the place of the quickstart's."""
    write_checkpoint(tmp_path / "export", max_positions=512)
    outputs = run("meet_the_model", WORKDIR=str(tmp_path), TOKENS=48)
    printed = text_of(outputs)
    assert "the run itself gives 9" in printed and "[MONOLOGUE]" in printed
    assert "its answer:" in printed and pictures(outputs) == 1


@pytest.mark.slow
def test_qlora_on_pyx(tmp_path):
    source = str(write_sources(tmp_path / "source"))
    settings = {"FUNCTIONS": 8, "BASE_STEPS": 3, "STEPS": 3, "LENGTH": 1024, "TOKENS": 16}
    outputs = run("qlora_on_pyx", SOURCE=source, WORKDIR=str(tmp_path), **settings)
    printed = text_of(outputs)
    assert re.search(r"before: \d+ lines right", printed)
    assert re.search(r"after: \d+ lines right", printed) and pictures(outputs) == 1
    adapter = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert adapter["r"] == 16 and list((tmp_path / "merged").glob("*.safetensors"))


@pytest.mark.slow
def test_pyx_from_your_functions(tmp_path):
    outputs = run("pyx_from_your_functions", WORKDIR=str(tmp_path / "pyx"))
    printed = text_of(outputs)
    assert all(f"──── {kind}" in printed for kind in ("fwd_mnl", "bwd_mnl", "fault"))
    # By hand: 40 + 70 is 110; 100 or more, so 10 less: 100 and not 90.
    assert "✓ 1. The sum" in printed and "✗ 2. It returns 90." in printed
    assert pictures(outputs) == 1


@pytest.mark.slow
def test_what_fits_on_which_tpu():
    outputs = run("what_fits_on_which_tpu", COMPILE=False)
    printed = text_of(outputs)
    # Two rows of docs/launching.md, copied by hand.
    assert re.search(r"QLoRA 6\.7B.* on v5e:1x1 +8\.94 of +15\.75 GiB +fits", printed)
    assert re.search(r"6\.7B in full.* on v5p:2x2x2 +32\.42 of +95\.74 GiB +fits", printed)
    assert pictures(outputs) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs_and_installed_alike(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert badge(path) in notebook.cells[0].source
    installing = [cell for cell in notebook.cells if '"pip"' in cell.source]
    assert [cell.source for cell in installing] == [install_cell().source]


def install_cell() -> nbformat.NotebookNode:
    [cell] = [cell for cell in read("quickstart").cells if '"pip"' in cell.source]
    return cell


def badge(path: Path) -> str:
    place = f"github/{CHECKED_OUT}/semcoder-jax/blob/main/colab/{path.name}"
    return f"(https://colab.research.google.com/{place})"


def test_readme_or_docs_link_every_notebook():
    page = (REPOSITORY / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 5 and all(badge(path) in page for path in NOTEBOOKS)


def test_the_install_cell_keeps_the_jax_of_the_machine(monkeypatch, capsys):
    """On a machine that lacks the package, pip is bound to the versions that are there."""
    import importlib.metadata
    import subprocess
    from types import SimpleNamespace

    there = {"jax": "0.9.1", "jaxlib": "0.9.1", "libtpu": "0.0.30", "numpy": "2.1"}
    found = [SimpleNamespace(name=name) for name in there]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
    monkeypatch.setattr(importlib.metadata, "version", there.__getitem__)
    called = []
    monkeypatch.setattr(
        subprocess, "run", lambda command: called.append(command) or SimpleNamespace(returncode=0)
    )
    monkeypatch.chdir(FOLDER)
    monkeypatch.syspath_prepend("")
    exec(install_cell().source, {})
    [command] = called
    assert {"-e", ".[notebook]", "jax==0.9.1", "jaxlib==0.9.1", "libtpu==0.0.30"} <= set(command)
    assert "numpy==2.1" not in command and Path.cwd() == REPOSITORY
