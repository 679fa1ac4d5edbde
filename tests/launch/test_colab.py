"""Runs the notebook from top to bottom."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "colab" / "quickstart.ipynb"


@pytest.mark.slow
def test_notebook_runs_and_tells_what_a_function_does(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [settings] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    for name, value in (("WORKDIR", repr(str(tmp_path))), ("FUNCTIONS", "200"), ("STEPS", "20")):
        settings.source, count = re.subn(
            rf"^{name} = .*", f"{name} = {value}", settings.source, flags=re.M
        )
        assert count == 1
    client = NotebookClient(
        notebook, timeout=550, resources={"metadata": {"path": NOTEBOOK.parent}}
    )
    client.execute()
    printed = [
        "".join(output.get("text", "") for output in cell.get("outputs", ()))
        for cell in notebook.cells
    ]
    assert any("trained" in text and "accuracy" in text for text in printed)
    assert any("the run itself gives 9" in text for text in printed)
    assert (tmp_path / "export" / "model.safetensors").is_file() or any(
        name.endswith(".safetensors") for name in os.listdir(tmp_path / "export")
    )


def test_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
