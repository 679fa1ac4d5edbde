"""Tests the metadata of the package, and wheel and sdist in empty environments."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.test_layers import foreign_imports

REPOSITORY = Path(__file__).parents[2]
# Distribution of an import, where the names differ.
DISTRIBUTIONS = {
    "absl": "absl-py",
    "apache_beam": "apache-beam",
    "array_record": "array-record",
    "inspect_ai": "inspect-ai",
    "lm_eval": "lm-eval",
    "ml_collections": "ml-collections",
    "ml_dtypes": "ml-dtypes",
    "orbax": "orbax-checkpoint",
    "prometheus_client": "prometheus-client",
    "tensorflow_datasets": "tensorflow-datasets",
    "markupsafe": "jinja2",  # which is built on it
    "torch": "torch",
}
pytest.importorskip("setuptools", reason="needs setuptools: pip install setuptools")
OPTIONAL = {"torch", "libtpu"}  # only if they are there, with a message of their own


@pytest.fixture(scope="module")
def metadata(tmp_path_factory) -> list[Requirement]:
    """What setup.py declares, as setuptools writes it."""
    folder = tmp_path_factory.mktemp("metadata")
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", f"--egg-base={folder}"],
        cwd=REPOSITORY, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    lines = (folder / "semcoder_jax.egg-info" / "requires.txt").read_text().splitlines()
    found, extra = [], ""
    for line in filter(None, lines):
        if line.startswith("["):
            extra = line.strip("[]")
        else:
            found.append(Requirement(f'{line}; extra == "{extra}"' if extra else line))
    return found


def names_of(metadata: list[Requirement], *extras: str) -> set[str]:
    """Distributions of the core and of extras."""
    wanted = {f'extra == "{extra}"' for extra in extras}
    return {each.name for each in metadata if each.marker is None or str(each.marker) in wanted}


def test_every_import_is_declared(metadata):
    declared = names_of(
        metadata,
        "data",
        "train",
        "serve",
        "grammar",
        "beam",
        "wandb",
        "inspect",
        "lm-eval",
        "gcs",
        "s3",
        "study",
    )
    files = [
        *(REPOSITORY / "semcoder_jax").rglob("*.py"),
        *(REPOSITORY / "data_pipeline").rglob("*.py"),
    ]
    imported = set().union(*map(foreign_imports, files)) - set(sys.stdlib_module_names)
    foreign = imported - {"data_pipeline", "semcoder_jax"} - OPTIONAL
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} - declared == set()


def test_the_core_has_no_jax_and_the_trainer_does(metadata):
    assert not names_of(metadata) & {"jax", "flax", "transformers", "tensorflow-datasets", "scipy"}
    assert {"jax", "flax", "huggingface_hub"} <= names_of(metadata, "train")


def test_every_requirement_has_a_lowest_version(metadata):
    """So that a resolver does not walk back through years of releases."""
    named = [each for each in metadata if not each.extras and "dev" not in str(each.marker)]
    free = {each.name for each in named if not re.search(r">=", str(each.specifier))}
    assert free <= {"protobuf", "pyarrow"}  # bounded above alone, beside others that bound them


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_package_and_install_into_an_empty_environment(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = {"check": True, "capture_output": True, "text": True, "timeout": 400, "env": environment}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(source)], **run)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)], cwd=source, **run
    )
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/setup.py") for name in archive.getnames())
    # The wheel is built from the sdist, which must therefore be whole.
    subprocess.run(
        [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(sdist)],
        **run,
    )
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"semcoder_jax/configs/quickstart.py", "semcoder_jax/launch/plan.py"} <= names
    assert {"data_pipeline/py.typed", "semcoder_jax/evaluation/page.html.j2"} <= names
    assert {"data_pipeline/pages/marks.js", "semcoder_jax/demo/page.js"} <= names
    assert not any(name.startswith(("tests/", "docs/", "launch/", "configs/")) for name in names)

    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], **run)
    subprocess.run([python, "-m", "pip", "check"], **run)
    jax = subprocess.run([python, "-c", "import jax"], **{**run, "check": False})
    assert "No module named 'jax'" in jax.stderr
    (tmp_path / "program.py").write_text("def f(x):\n    return x + 1\n")
    semcoder = tmp_path / "empty" / "bin" / "semcoder"
    traced = subprocess.run([semcoder, "trace", "program.py", "f(3)"], cwd=tmp_path, **run)
    assert "return 4" in traced.stdout
    missing = subprocess.run([semcoder, "train"], cwd=tmp_path, **{**run, "check": False})
    assert missing.returncode == 2
    assert missing.stderr.endswith("is missing: pip install 'semcoder-jax[train]'\n")
