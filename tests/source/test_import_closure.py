"""Tests the files that a module depends on, and that their digest follows their content."""

import pytest

from data_pipeline.builder import options
from data_pipeline.source.import_closure import ROOT, import_closure, source_digest

FILES = {
    "house/__init__.py": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from house import alone\n"
    ),
    "house/top.py": "import os\nfrom house import left\n\ndef f():\n    import house.right.deep\n",
    "house/left.py": "from house.right import name\nfrom other import thing\n",
    "house/right/__init__.py": "name = 1\n",
    "house/right/deep.py": "from house.top import f\n",  # a circle
    "house/alone.py": "from house import top\n",
    "other.py": "thing = 1\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def closure(root, **options):
    found = import_closure(["house.top"], root=root, **options)
    return {path.relative_to(root).as_posix() for path in found}


def test_everything_imported_is_found_once_and_nothing_else(root):
    assert closure(root) == {
        "house/__init__.py", "house/top.py", "house/left.py", "house/right/__init__.py",
        "house/right/deep.py",
    }  # fmt: skip


def test_what_is_left_out_takes_its_imports_with_it(root):
    assert closure(root, without=["house.left", "house.right"]) == {
        "house/__init__.py",
        "house/top.py",
    }


@pytest.mark.parametrize("name", FILES)
def test_the_digest_changes_with_the_files_it_covers(root, name):
    before = source_digest(["house.top"], root=root)
    covered = name in closure(root)
    with (root / name).open("a") as file:
        file.write("# changed\n")
    assert (source_digest(["house.top"], root=root) != before) == covered


def test_a_build_hangs_on_what_makes_rows_alone(monkeypatch):
    asked = {}
    monkeypatch.setattr(options, "source_digest", lambda names, without: asked.update(
        {"modules": names, "without": without}) or "")  # fmt: skip
    options.code_digest.__wrapped__()
    files = {
        path.relative_to(ROOT / "data_pipeline").with_suffix("").as_posix()
        for path in import_closure(asked["modules"], without=asked["without"])
    }
    makes_rows = {
        "seeds/sources", "testcases/generation", "tracing/recorder", "execution/guest/jobs",
        "execution/guest/worker", "execution/tiers", "monologue/forward", "monologue/backward",
        "verify/judging", "faults/search", "faults/proof", "teacher/teacher", "pyx/prompts",
        "pyx/dataset", "builder/rows", "builder/cluster/rows", "decontamination/overlap",
    }  # fmt: skip
    assert makes_rows <= files
    rooms = {name.split("/")[0] for name in files}
    assert not rooms & {"tokens", "terminal", "commands", "toy", "build"}
    assert not {"builder/page", "builder/charts", "builder/report", "builder/progress"} & files
