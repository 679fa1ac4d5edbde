"""Tests that the public API is lazy, documented and typed, and uses the commands' names."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import semcoder_jax
from docs import rooms
from semcoder_jax import data
from semcoder_jax.config_files import ConfigFileError, find_config, read_config
from semcoder_jax.errors import UserError

REPOSITORY = Path(__file__).parents[2]
# Outcomes of our own work, caught where they arise: no user's mistake is reported by them.
SIGNALS = {
    "data_pipeline.builder.marked_errors.WorkerError",
    "data_pipeline.faults.alignment.AlignmentError",
    "data_pipeline.faults.diagnosis.DiagnosisError",
    "data_pipeline.files.objects.ChangedError",
    "data_pipeline.pyx.control_tokens.ControlTextError",
    "data_pipeline.pyx.record_text.RefutedRecordError",
    "data_pipeline.seeds.screening.ScreeningError",
    "data_pipeline.source.constructed.ConstructionError",
    "data_pipeline.source.literals.LiteralError",
    "semcoder_jax.server.engine_thread.EngineStoppedError",
    "semcoder_jax.server.engine_thread.QueueFullError",
}


def fresh(program: str) -> str:
    """What `program` prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_missing_package_is_told_with_its_extra():
    told = fresh(
        "import sys; sys.modules['jax'] = None\n"
        "import semcoder_jax as sc\n"
        "try: sc.load\n"
        "except sc.UserError as error: print(error)"
    )
    assert "jax is missing" in told and "[train]" in told


def test_importing_loads_nothing_heavy():
    program = (
        "import sys, json, semcoder_jax, semcoder_jax.data; dir(semcoder_jax); "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = set(json.loads(fresh(program)))
    assert not loaded & {"jax", "numpy", "transformers", "data_pipeline"}


def test_every_public_name_is_there_and_listed():
    for module in (semcoder_jax, data):
        for name in module.__all__:
            assert getattr(module, name) is not None
    assert set(semcoder_jax.__all__) <= set(dir(semcoder_jax))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = semcoder_jax.nothing


def test_type_checkers_see_what_is_loaded_lazily():
    tree = ast.parse((REPOSITORY / "semcoder_jax" / "__init__.py").read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(semcoder_jax.__all__) <= typed


@pytest.mark.parametrize("module", [semcoder_jax, data], ids=["semcoder_jax", "data"])
def test_public_functions_name_their_arguments_and_errors(module):
    for name in module.__all__:
        function = getattr(module, name)
        if not inspect.isfunction(function):
            continue
        text = function.__doc__ or ""
        assert "Raises" in text or "errors are those of" in text, name
        if "arguments" in text and "are those of" in text:
            continue
        for parameter in inspect.signature(function).parameters:
            assert parameter in text, f"{name}: {parameter}"


@pytest.mark.parametrize("name", ["evaluate", "serve", "train"])
def test_starters_are_not_imported(name):
    with pytest.raises(ImportError, match=rf"semcoder_jax\.commands\.{name}"):
        importlib.import_module(f"semcoder_jax.{name}")
    assert inspect.isfunction(getattr(semcoder_jax, name))


def test_starters_still_run():
    done = subprocess.run(
        [sys.executable, "-m", "semcoder_jax.serve", "--port=70000", "--checkpoint=x"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr == "error: --port=70000: expected at most 65535\n"


def error_classes() -> dict[str, type]:
    """Every class of ours whose name says that it is an error, by its full name.

    Entries of other harnesses are imported by these alone, in environments of their own.
    """
    found = {}
    for package in ("data_pipeline", "semcoder_jax"):
        for path in rooms.python_files(package):
            module = rooms.module_name(path)
            if ".integrations." in module:
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    name = node.name
                    if name.endswith("Error") or name == "SandboxUnavailable":
                        found[f"{module}.{name}"] = getattr(importlib.import_module(module), name)
    return found


def test_every_error_has_one_root():
    classes = error_classes()
    assert len(classes) > 40
    outside = {name for name, found in classes.items() if not issubclass(found, UserError)}
    assert outside == SIGNALS


def test_one_version():
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split()[-1] == semcoder_jax.__version__


def test_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/quickstart.py").is_file()
    assert read_config("configs/quickstart.py").data.source == "synthetic"
    assert str(find_config("configs/lora_6p7b.py:1.3b")).endswith("configs/lora_6p7b.py:1.3b")
    assert read_config("configs/lora_6p7b.py:1.3b").model.architecture == "1.3b"
    own = tmp_path / "configs" / "quickstart.py"
    own.parent.mkdir()
    own.write_text("def get_config():\n    return 1 / 0\n")
    assert find_config("configs/quickstart.py").resolve() == own
    with pytest.raises(ConfigFileError, match=r"configs/quickstart\.py: ZeroDivisionError"):
        read_config("configs/quickstart.py")
    with pytest.raises(ConfigFileError, match="no such config file"):
        read_config("configs/absent.py")


def test_the_data_side_in_three_lines(tmp_path):
    program = "def f(x):\n    y = x + 1\n    return y\n"
    with data.Sandbox(workers=1) as sandbox:
        trace = data.trace(program, "f(3)", sandbox=sandbox)
        assert trace.result == "4"
        monologue = data.narrate(program, "f(3)", sandbox=sandbox)
        claims = data.verify(program, "f(3)", monologue, sandbox=sandbox)
        told = [claim for claim in claims if claim.kind != "unread"]
        assert {claim.verdict for claim in told} == {"confirmed"}
        wrong = data.verify(program, "f(3)", monologue.replace("4", "5"), sandbox=sandbox)
        assert "contradicted" in {claim.verdict for claim in wrong}
        with pytest.raises(UserError, match="g"):
            data.trace(program, "g(3)", sandbox=sandbox)
        loop = "def f(x):\n    while True:\n        pass\n"
        started = time.monotonic()
        with pytest.raises(UserError, match="limit"):
            data.trace(loop, "f(3)", sandbox=sandbox)
        assert time.monotonic() - started < 60
