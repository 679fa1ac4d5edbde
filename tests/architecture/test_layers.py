"""Tests that imports of packages and rooms only go down, and that their picture is current."""

import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from docs import rooms
from docs.rooms import FLOORS, PACKAGES, Import, imports_of, upward

REPOSITORY = Path(__file__).parents[2]
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "qwix", "tokamax", "chex"}
TENSORFLOW = {"tensorflow"}
GUEST = REPOSITORY / "data_pipeline" / "execution" / "guest"


def foreign_imports(path: Path) -> set[str]:
    """Top-level names of all imports of a file, wherever in it they stand."""
    package = ".".join(path.relative_to(REPOSITORY).parent.parts)
    names = rooms.imported_names(path.read_text(encoding="utf-8"), package)
    return {name.split(".")[0] for name, _ in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_down(package):
    imports = imports_of(package)
    assert imports, f"{package} imports nothing: are its files read?"
    assert upward(imports) == []


def test_no_modules_import_each_other_in_a_circle():
    """Inside a room, too, and where an import is hidden in a function."""
    modules = {
        rooms.module_name(path) for package in PACKAGES for path in rooms.python_files(package)
    }
    imported: dict[str, set[str]] = {module: set() for module in modules}
    for found in (each for package in PACKAGES for each in imports_of(package)):
        name = found.imported
        target = name if name in modules else name.rpartition(".")[0]
        if target in modules and target != found.importer:
            imported[found.importer].add(target)
    assert list(graphlib.TopologicalSorter(imported).static_order())  # else it raises CycleError


@pytest.mark.parametrize("package", FLOORS)
def test_every_folder_and_module_is_a_room(package):
    listed = {room for floor in FLOORS[package] for room in floor}
    found = {
        path.stem
        for path in (REPOSITORY / package).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem != "__init__"
    }
    assert listed == found - rooms.SPELLINGS[package]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("data_pipeline.source.calls", "data_pipeline.tracing.events"),
        ("data_pipeline.tracing.runs", "data_pipeline.execution.service"),
        ("data_pipeline.seeds.sources", "semcoder_jax.config"),
        ("data_pipeline.pyx.records", "data_pipeline.endpoint.client"),
        ("semcoder_jax.model.decoder", "semcoder_jax.checkpoints"),
        ("semcoder_jax.training.loop", "semcoder_jax.inference.engine"),
        ("semcoder_jax.training.loop", "semcoder_jax.train"),
        ("semcoder_jax.config", "semcoder_jax.model.decoder"),
        ("semcoder_jax.server.app", "launch.plan"),
    ],
)
def test_an_upward_import_is_found(importer, imported):
    assert len(upward([Import(importer, imported, 1)])) == 1


def test_a_downward_import_is_none():
    assert upward([Import("semcoder_jax.commands.train", "semcoder_jax.training.loop", 1)]) == []
    assert upward([Import("semcoder_jax.model.rope", "data_pipeline.pyx.records", 1)]) == []


def test_imports_in_functions_and_by_name_are_seen():
    source = (
        "def f():\n    from ..pyx import records\n    import_module('semcoder_jax.config')\n"
        "import launch.plan as plan\n"
    )
    found = {name for name, _ in rooms.imported_names(source, "data_pipeline.tokens")}
    assert found == {"data_pipeline.pyx.records", "semcoder_jax.config", "launch.plan"}


def test_nothing_imports_configs_or_tensorflow():
    files = [path for package in PACKAGES for path in rooms.python_files(package)]
    assert {
        str(path) for path in files if foreign_imports(path) & (TENSORFLOW | {"configs"})
    } == set()


def test_the_data_side_imports_no_jax():
    files = rooms.python_files("data_pipeline")
    wrong = {str(path) for path in files if foreign_imports(path) & (JAX | {"torch"})}
    grain = {path.name for path in files if "grain" in foreign_imports(path)}
    assert (wrong, grain) == (set(), {"batches.py"})


def test_the_sandbox_gets_the_standard_library_alone():
    """Every module that enters the sandbox imports the standard library or one that enters too."""
    from data_pipeline.execution.tiers import _MODULES

    waiting = ["data_pipeline.execution.guest.worker"]
    reached: set[str] = set()
    foreign: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        path = REPOSITORY.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for name, _ in rooms.imported_names(path.read_text(encoding="utf-8"), package):
            if name.split(".")[0] != "data_pipeline":
                foreign.add(name.split(".")[0])
                continue
            parts = name.split(".")
            known = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
            waiting += [
                each
                for each in known
                if (REPOSITORY.joinpath(*each.split(".")).is_dir())
                or REPOSITORY.joinpath(*each.split(".")).with_suffix(".py").is_file()
            ]
    assert foreign <= set(sys.stdlib_module_names)
    assert reached == set(_MODULES)


def test_the_picture_shows_the_code():
    text = rooms.PAGE.read_text(encoding="utf-8")
    assert "flowchart" in text
    assert rooms.page(text) == text, "run python -m docs.rooms"


def loaded_after(modules: list[str]) -> set[str]:
    """Top-level packages in memory once a fresh interpreter has imported `modules`."""
    program = (
        f"import sys, json, {', '.join(modules)}; "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_data_side_loads_no_jax_or_tensorflow():
    names = ("pyx.records", "pyx.prompts", "tokens.packing", "pyx.dataset")
    loaded = loaded_after([f"data_pipeline.{name}" for name in names])
    assert "tensorflow_datasets" in loaded
    assert not loaded & (JAX | TENSORFLOW | {"grain", "torch", "transformers"})
    light = loaded_after(["data_pipeline.pyx.records", "data_pipeline.pyx.prompts"])
    assert not light & {"numpy", "tensorflow_datasets"}


def test_the_batches_load_no_tensorflow():
    loaded = loaded_after(["data_pipeline.tokens.batches"])
    assert "grain" in loaded and not loaded & (TENSORFLOW | {"torch", "semcoder_jax"})
