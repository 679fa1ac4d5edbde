"""Tests `semcoder`: its help page, and that each name is the command that `python -m` starts."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semcoder_jax.cli import COMMANDS, help_page

REPOSITORY = Path(__file__).parents[2]
# What the extras install, as it is imported.
EXTRAS = {
    "absl",
    "apache_beam",
    "array_record",
    "etils",
    "flax",
    "grain",
    "huggingface_hub",
    "jax",
    "jaxlib",
    "ml_collections",
    "ml_dtypes",
    "optax",
    "orbax",
    "prometheus_client",
    "safetensors",
    "scipy",
    "starlette",
    "tensorboardX",
    "tensorflow",
    "tensorflow_datasets",
    "tokenizers",
    "torch",
    "transformers",
    "uvicorn",
    "wandb",
}
PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
# Every command of the first release.
NAMES = (
    "run trace verify build train reinforce improve study sample serve demo evaluate compare plan "
    "launch import export verify-export push doctor"
)


def semcoder(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return python_m("semcoder_jax.cli", *arguments, **environment)


def python_m(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def complete(line: str, tmp_path: Path) -> set[str]:
    """What a shell would offer at the end of a line."""
    pytest.importorskip("argcomplete", reason="needs argcomplete: pip install argcomplete")
    output = tmp_path / "completions"
    semcoder(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(output),
        COMP_TYPE="9",
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    return {word.strip() for word in output.read_text().split("\n")} if output.exists() else set()


def test_help_fits_a_screen_and_names_every_command():
    lines = help_page().splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert list(COMMANDS) == NAMES.split()
    assert all(any(f" {name} " in line for line in lines) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_module_is_one_that_python_m_runs(command):
    """The module, or its __main__, starts something when it is run, or has a main to call."""
    spec = importlib.util.find_spec(command.module)
    path = Path(spec.origin)
    if path.name == "__init__.py":
        path = path.with_name("__main__.py")
    nodes = list(ast.walk(ast.parse(path.read_text())))
    if command.extra:
        assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in nodes)
    else:
        ends = ("sys.exit(", "end_process(")
        assert any(ast.unparse(node).startswith(ends) for node in nodes)


def test_help_starts_fast_and_loads_no_library():
    program = (
        "import sys, json, contextlib, io; from semcoder_jax.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    heavy = {"jax", "numpy", "transformers", "tensorflow", "tensorflow_datasets", "rich", "absl"}
    assert not heavy & set(done.stdout.split()) and done.returncode == 0


def test_the_cpu_time_of_help_is_under_a_second():
    before = os.times()
    assert semcoder("--help").stdout == help_page()
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])
    assert spent < 1


@pytest.mark.parametrize("name", ["run", "trace", "launch", "train", "evaluate"])
def test_help_of_a_command_spells_it_as_it_was_called(name):
    own, other = semcoder(name, "--help"), python_m(COMMANDS[name].module, "--help")
    assert own.returncode == other.returncode == 0
    assert f"semcoder {name} " in own.stdout and f"-m {COMMANDS[name].module}" not in own.stdout
    # Both describe the same flags.
    flags = [{word for word in done.stdout.split() if word[:2] == "--"} for done in (own, other)]
    assert flags[0] == flags[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["trace", "{file}", "f('')"], 1),  # the call raises
        (["trace", "{file}"], 2),
        (["run", "--program={file}.absent", "--call=f(1)"], 2),
    ],
)
def test_output_and_exit_code_are_those_of_python_m(tmp_path, arguments, code):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    name, *rest = [argument.format(file=file) for argument in arguments]
    own, other = semcoder(name, *rest), python_m(COMMANDS[name].module, *rest)
    assert (own.returncode, own.stdout, own.stderr) == (code, other.stdout, other.stderr)
    assert other.returncode == code
    if code == 2:
        assert own.stderr.count("\n") == 1 and own.stderr.startswith("error: ")


def test_a_missing_package_is_one_line_that_names_its_extra(tmp_path):
    """An interpreter that refuses to import JAX stands for an environment without it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('absl', 'jax', 'ml_collections'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    path = f"{tmp_path}{os.pathsep}{REPOSITORY}"
    for arguments in (["train"], ["export", "--checkpoint=D", "--output=E"]):
        done = semcoder(*arguments, PYTHONPATH=path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert re.fullmatch(
            r"error: (absl|jax|ml_collections) is missing: pip install -e .*\[train\]'?\n",
            done.stderr,
        )


def test_help_of_every_command_needs_the_core_alone(tmp_path):
    """One process without what the extras install; their packages are listed by hand."""
    program = (
        "import sys\n"
        f"extras = {EXTRAS}\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in extras:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from semcoder_jax.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    print('####', name, flush=True)\n"
        "    assert main([name, '--help']) == 0\n"
        "assert 'jax' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    pages = done.stdout.split("#### ")[1:]
    assert len(pages) == len(COMMANDS) and all(
        f"semcoder {page.split()[0]}" in page for page in pages
    )


def test_an_unknown_command_is_one_line():
    done = semcoder("trian")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: semcoder: unknown command 'trian'; did you mean train?\n"


def test_names_and_flags_are_completed(tmp_path):
    assert complete("semcoder ver", tmp_path) == {"verify", "verify-export"}
    assert complete("semcoder trace --vi", tmp_path) == {"--view"}
    assert {"table", "cwm"} < complete("semcoder trace --view ", tmp_path)


@pytest.mark.parametrize("name", ["train", "evaluate", "plan", "compare", "launch", "export"])
def test_every_flag_of_the_help_page_is_completed(name, tmp_path):
    """The help page is written by hand for most of these commands, apart from their parsers."""
    page = semcoder(name, "--help").stdout
    told = set(re.findall(r"--[a-z_-]+(?![a-z_.-])", page.partition(" -- ")[0]))
    told -= {"--help", "--max_tasks"}  # the latter is of a subcommand
    offered = complete(f"semcoder {name} --", tmp_path)
    assert told and told <= {word.rstrip("=") for word in offered}


def test_fields_of_a_config_and_flags_of_a_subcommand_are_completed(tmp_path):
    fields = complete("semcoder train --config.train.", tmp_path)
    assert {"--config.train.num_steps", "--config.train.wandb_project"} < fields
    assert complete("semcoder plan --config.mesh.f", tmp_path) == {"--config.mesh.fsdp"}
    sampling = complete("semcoder evaluate --config.sampling.t", tmp_path)
    assert sampling == {"--config.sampling.temperature", "--config.sampling.top_p"}
    assert complete("semcoder evaluate ch", tmp_path) == {"check"}
    assert complete("semcoder evaluate check --m", tmp_path) == {"--max_tasks"}
