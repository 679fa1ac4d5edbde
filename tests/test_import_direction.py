"""Imports run down only: launch, colab -> semcoder_jax -> data_pipeline; nothing -> configs."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "qwix", "tokamax", "chex"}
TENSORFLOW = {"tensorflow"}
STARTERS = {"launch", "colab", "configs"}


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Every module that a file of `package` imports, wherever in the file, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            prefix = parts[: len(parts) - node.level + 1] if node.level else []
            module = [*prefix, *([node.module] if node.module else [])]
            # `from a import b` may name the module a.b.
            yield from (".".join([*module, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "__import__",
            "import_module",
            "importlib.import_module",
        ):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def forbidden(path: Path) -> set[str]:
    """Top-level packages that a file of the repository must not import."""
    room = path.parts[0]
    if room == "data_pipeline":
        grain = set() if path == Path("data_pipeline/input.py") else {"grain"}
        return JAX | TENSORFLOW | STARTERS | {"semcoder_jax", "torch"} | grain
    if room == "semcoder_jax":
        return TENSORFLOW | STARTERS
    return STARTERS


def wrong_imports(path: Path, source: str) -> list[str]:
    package = ".".join(path.parent.parts)
    return [
        module
        for module in imported_modules(source, package)
        if module.split(".")[0] in forbidden(path)
    ]


def python_files() -> list[Path]:
    rooms = ("data_pipeline", "semcoder_jax", "benchmarks")
    return sorted(path.relative_to(REPO) for room in rooms for path in (REPO / room).rglob("*.py"))


def test_every_file_imports_downward():
    files = python_files()
    assert Path("data_pipeline/input.py") in files and Path("semcoder_jax/model.py") in files
    wrong = {str(path): wrong_imports(path, (REPO / path).read_text()) for path in files}
    assert {path: modules for path, modules in wrong.items() if modules} == {}


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("data_pipeline/a.py", "import jax.numpy as jnp", ["jax.numpy"]),
        ("data_pipeline/a.py", "def f():\n    from jax import numpy", ["jax.numpy"]),
        ("data_pipeline/a.py", "import numpy\nimport jaxtyping\nfrom .input import x", []),
        ("data_pipeline/a.py", "from grain import checkpoint", ["grain.checkpoint"]),
        ("data_pipeline/input.py", "from grain import checkpoint", []),
        ("data_pipeline/b/a.py", "from ... import semcoder_jax", ["semcoder_jax"]),
        ("data_pipeline/a.py", "import_module('semcoder_jax.model')", ["semcoder_jax.model"]),
        ("semcoder_jax/a.py", "from configs.quickstart import get_config", None),
        ("semcoder_jax/a.py", "import launch, data_pipeline.records", ["launch"]),
    ],
)
def test_a_wrong_import_would_be_found(path, source, found):
    expected = ["configs.quickstart.get_config"] if found is None else found
    assert wrong_imports(Path(path), source) == expected


def loaded_after(modules: list[str]) -> set[str]:
    """Top-level packages in memory once a fresh interpreter has imported `modules`."""
    program = (
        f"import sys, json, {', '.join(modules)}; "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_data_side_runs_without_jax_or_tensorflow():
    names = ("records", "prompts", "packing", "pyx")
    loaded = loaded_after([f"data_pipeline.{name}" for name in names])
    assert "tensorflow_datasets" in loaded
    assert not loaded & (JAX | TENSORFLOW | {"grain", "torch", "transformers"})
    light = loaded_after(["data_pipeline.records", "data_pipeline.prompts"])
    assert not light & {"numpy", "tensorflow_datasets"}


def test_the_input_needs_no_tensorflow():
    loaded = loaded_after(["data_pipeline.input"])
    assert "grain" in loaded and not loaded & (TENSORFLOW | {"torch", "semcoder_jax"})
