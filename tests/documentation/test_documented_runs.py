"""Runs the commands and Python blocks of README and docs, word for word, where that is possible."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.files import write_rows
from tests.support.documented_commands import REPOSITORY, block_lines, blocks, words_of

PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
MONOLOGUE = "1. [L6] y becomes 4.\n2. [L7] It returns 4.\n"

# Pages whose commands run one after the other in a folder that holds the files they name.
RUN = {
    "execution.md": (
        "semcoder run --program=FILE.py --call='f(3)'",
        "semcoder trace FILE.py 'f(3)' --view=table",
        "semcoder verify --program=FILE.py --call='f(3)' --monologue=FILE.txt",
        "semcoder verify --jsonl=ROWS.jsonl --labels=LABELS.jsonl",
    ),
    "data.md": (
        "python -m data_pipeline.seeds --source=DIR_FILE_OR_PACKAGE --output=SEEDS.jsonl",
        "python -m data_pipeline.faults --program=FILE.py --call='f(3)'",
        "python -m data_pipeline.decontaminate --input=SEEDS.jsonl --output=KEPT.jsonl "
        "--benchmarks DIR",
        "python -m data_pipeline.records RECORDS.jsonl",
        "python -m data_pipeline.questions --jsonl=RUNS.jsonl --output=QUESTIONS.jsonl",
    ),
    "exporting.md": (
        "semcoder import --source=HF_DIR_OR_ID --output=DIR",
        "semcoder export --checkpoint=DIR --output=HF_DIR",
        "semcoder verify-export --source=HF_DIR --checkpoint=DIR",
        "semcoder push --directory=HF_DIR --repo_id=OWNER/NAME --dry_run",
    ),
    "sampling.md": (
        "semcoder sample --checkpoint=DIR --prompts=PROMPTS.jsonl --output=ANSWERS.jsonl",
    ),
}
# Beginnings of commands that no test runs as they stand, and why. Those of ours are read by their
# own parser (test_documented.py).
NOT_RUN = {
    ".venv/bin/python -m docs.rooms": "rewrites a page; tests/architecture holds it to the code",
    ".venv/bin/ruff": "the first step of .ci/run",
    "bash .ci/run": "runs this test",
    "bash launch/pod.sh": "needs a cloud; tests/launch/test_documented_launches.py, in a dry run",
    "python -m launch.pins": "asks a registry; tests/launch/test_pins.py",
    "bash launch/quickstart.sh": "minutes; tests/launch/test_quickstart.py runs it small",
    "bash launch/test.sh": "runs this test",
    "grep -rlI ": "changes the checkout; the test below runs it on a copy",
    "docker build": "needs Docker; tests/launch/test_environment.py reads the file",
    "echo ": "asks a run that trains; tests/training/test_profile.py",
    "eval ": "for a shell of the reader's; tests/commands/test_cli.py completes as it does",
    "inspect ": "needs the inspect extra and an endpoint; tests/integrations runs every task",
    "lm_eval ": "needs lm-evaluation-harness; tests/server runs it against a server",
    "kill -USR1": "asks a run that trains; tests/training/test_profile.py",
    "pip install": "the network; tests/packaging installs the wheel",
    "python -m data_pipeline.build.recheck": "needs the build's dataset; tests/builder",
    "python -m data_pipeline.monologue.ask": "needs an endpoint; tests/teacher has one",
    "python -m data_pipeline.prepare": "needs a model's tokenizer; tests/tokens",
    "python -m semcoder_jax.integrations": "needs lm-evaluation-harness; tests/integrations",
    "python -m semcoder_jax.train": "minutes; tests/training trains small models",
    "semcoder build": "minutes; tests/builder builds small sources",
    "semcoder compare": "needs two evaluations; tests/evaluation",
    "semcoder demo": "serves until it is stopped; tests/demo",
    "semcoder doctor": "says what this machine lacks; tests/doctor",
    "semcoder evaluate": "benchmarks from the network; tests/evaluation",
    "semcoder export": "on this page, of a run with LoRA; tests/hf",
    "semcoder improve": "needs a trained model; tests/reinforcement",
    "semcoder import --source=deepseek-ai": "13 GB from the network",
    "semcoder launch": "needs a cloud; tests/launch/test_documented_launches.py, in a dry run",
    "semcoder plan": "needs the TPU compiler; tests/planner",
    "semcoder reinforce": "minutes, from a trained model; tests/reinforcement learns small",
    "semcoder serve": "serves until it is stopped; tests/server",
    "semcoder study": "up to an hour; tests/studies runs them small",
    "semcoder train": "hours; tests/training trains small models",
}
# One process, so that JAX starts once: [folder, command or Python] each.
_RUNNER = """
import contextlib, json, os, runpy, shlex, sys
for folder, kind, text in json.load(sys.stdin):
    os.chdir(folder)
    print("$", text, flush=True)
    if kind == "python":
        exec(compile(text, "block", "exec"), {"__name__": "__main__"})
        continue
    words = shlex.split(text)
    module, sys.argv = ("semcoder_jax.cli", words) if words[0] == "semcoder" else (
        words[2], words[2:])
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, f"exit status {end.code}: {text}"
"""


def is_run(page: str, line: str) -> bool:
    return any(words_of(line) == words_of(known) for known in RUN.get(page, ()))


def test_every_command_of_a_block_is_run_or_named_with_a_reason():
    unknown = [
        f"{page}: {line}"
        for page, line in block_lines()
        if not is_run(page, line) and not line.startswith(tuple(NOT_RUN))
    ]
    assert unknown == []


def test_the_table_names_only_what_pages_show():
    lines = block_lines()
    shown = {(page, words_of(line)) for page, line in lines}
    assert {(page, words_of(line)) for page, own in RUN.items() for line in own} <= shown
    assert all(any(line.startswith(start) for _, line in lines) for start in NOT_RUN)


def test_one_command_names_the_account_in_every_badge_and_notebook(tmp_path):
    [line] = [line for _, line in block_lines() if line.startswith("grep -rlI ")]
    _, _, account, *places = line.partition(" | ")[0].split()
    for place in places:
        source, copy = REPOSITORY / place, tmp_path / place
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
    bytecode = tmp_path / "docs" / "compiled.pyc"
    bytecode.write_bytes(compiled := b"\0" + account.encode())
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, timeout=60)
    assert bytecode.read_bytes() == compiled  # other bytes of the same length would not run
    files = [path for path in tmp_path.rglob("*.*") if path.is_file() and path.suffix != ".pyc"]
    texts = [path.read_text(encoding="utf-8") for path in files]
    assert sum("github/NAME/semcoder-jax" in text for text in texts) > 5
    assert not any(account in text for text in texts)


@pytest.mark.slow
def test_commands_and_python_that_need_a_model_run_as_they_stand(tmp_path):
    from tests.support.tiny_checkpoint import write_checkpoint

    model = write_checkpoint(tmp_path / "model")
    steps = []
    for page, lines in RUN.items():
        folder = tmp_path / page
        write_files(folder, model)
        steps += [(str(folder), "command", line) for line in lines]
    for block in blocks("python"):
        if block.needs_model:
            folder = tmp_path / f"python {block}"
            write_files(folder, model)
            steps.append((str(folder), "python", block.text))
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER],
        input=json.dumps(steps),
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.count("$ ") == len(steps) > 14
    # By hand: the program adds one, so the call gives 4, and both lines of the monologue say so.
    assert '"text": "4"' in done.stdout and "✓ 1. [L6] y becomes 4." in done.stdout
    [answer] = (tmp_path / "sampling.md" / "ANSWERS.jsonl").read_text().splitlines()
    assert json.loads(answer)["id"] == "one"


def write_files(folder: Path, model: Path) -> None:
    """Writes the files and folders that the commands of RUN name."""
    folder.mkdir()
    (folder / "FILE.py").write_text(PROGRAM)
    (folder / "FILE.txt").write_text(MONOLOGUE)
    run = {"program": PROGRAM, "call": "f(3)"}
    write_rows(folder / "ROWS.jsonl", [{"id": "one", "monologue": MONOLOGUE, **run}])
    write_rows(folder / "LABELS.jsonl", [{"id": "one", "line": 0, "label": "true"}])
    write_rows(folder / "RUNS.jsonl", [run])
    write_rows(folder / "PROMPTS.jsonl", [{"id": "one", "prompt": "def f(a):\n"}])
    record = {"id": "nl_1", "nl": "Add one.", "fwd_mnl": "", "bwd_mnl": "", "response": PROGRAM}
    write_rows(folder / "RECORDS.jsonl", [record])
    (folder / "DIR_FILE_OR_PACKAGE").mkdir()
    (folder / "DIR_FILE_OR_PACKAGE" / "one.py").write_text(PROGRAM)
    if folder.name == "data.md":
        (folder / "DIR").mkdir()
        task = {
            "task_id": "HumanEval/0",
            "prompt": 'def g(a):\n    """Doubles a number."""\n',
            "canonical_solution": "    return a * 2\n",
            "entry_point": "g",
            "test": "def check(candidate):\n    assert candidate(2) == 4\n",
        }
        write_rows(folder / "DIR" / "HumanEval.jsonl", [task])
    links = {"exporting.md": ["HF_DIR_OR_ID"], "sampling.md": ["DIR"]}
    for name in links.get(folder.name, ["HF_DIR", "runs/quickstart/export"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(model, folder / name)
