"""A path that is missing, of the wrong kind, or input and output at once is one line everywhere.

No command may fetch anything or leave a file behind before it says so.
"""

import importlib
import json
import socket
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EVALUATE = f"--config={REPOSITORY}/configs/eval/humaneval.py"
TRAIN = f"--config={REPOSITORY}/configs/quickstart.py"
RUN = ("--program=program.py", "--call=f(1)")

# (command, arguments, what the line names)
MISTAKES = [
    ("train", [TRAIN, "--workdir=sources"], "sources: expected a new or empty folder"),
    ("train", [TRAIN, "--workdir=new", "--config.train.num_steps=9"], "warmup_steps 100 must be"),
    ("train", [TRAIN, "--workdir=program.py"], "program.py: expected a folder"),
    *(
        (command, [f"--config={path}", "--workdir=new", *more], told)
        for command, more in (("train", []), ("evaluate", ["--checkpoint=empty"]))
        for path, told in (
            ("missing.py", "missing.py: no such config file"),
            ("empty", "empty: expected a config file: Is a directory"),
            ("program.py", "program.py: expected a Python file with get_config(); it has none"),
            ("notes.txt", "notes.txt: expected a Python file with get_config() (line 1"),
            ("bytes.bin", "bytes.bin: expected a Python file with get_config()"),
        )
    ),
    ("evaluate", ["--suite=program.py", "--checkpoint=empty"], "program.py: expected a Python"),
    ("evaluate", ["--suite=missing.py", "--checkpoint=empty"], "missing.py: no such config file"),
    *(
        ("evaluate", [EVALUATE, f"--checkpoint={path}", f"--workdir={workdir}"], told)
        for workdir in ("new", "sources")
        for path, told in (
            ("missing", "missing: no such directory"),
            ("notes.txt", "notes.txt: expected a directory; it is a file"),
            ("empty", "empty: neither an HF directory"),
        )
    ),
    *(
        ("evaluate", [EVALUATE, f"--generations={path}"], told)
        for path, told in (
            ("missing", "missing: cannot read the file: No such file"),
            ("empty", "empty: cannot read the file: Is a directory"),
            ("notes.txt", "notes.txt: not a store of generations, nor other JSON; it begins"),
            ("bytes.bin", "bytes.bin: not a store of generations"),
            ("nothing.jsonl", "nothing.jsonl: not a store of generations"),
        )
    ),
    ("evaluate", ["compare", "notes.txt", "missing"], "notes.txt: not JSON"),
    ("evaluate", ["compare", "empty", "empty"], "empty: "),
    ("evaluate", ["check", "mbpp=empty"], "empty: cannot read the file"),
    *(
        ("serve", [f"--checkpoint={path}", "--port=0"], told)
        for path, told in (("missing", "missing: no such directory"), ("notes.txt", "a file"))
    ),
    (
        "improve",
        ["--checkpoint=missing", "--source=rows.jsonl", "--output=new"],
        "missing: no such directory",
    ),
    ("hf", ["import", "--source=notes.txt", "--output=new"], "notes.txt: no such directory"),
    ("hf", ["import", "--source=sources", "--output=sources"], "sources: already exists"),
    ("hf", ["export", "--checkpoint=missing", "--output=new"], "missing: neither a workdir"),
    ("sample", ["--checkpoint=empty", "--prompts=missing", "--output=new"], "missing: cannot read"),
    ("sample", ["--checkpoint=empty", "--prompts=rows.jsonl", "--output=rows.jsonl"], "two files"),
    ("build", ["--source=sources", "--output=sources"], "--output=sources: lies in --source"),
    ("build", ["--source=sources", "--output=sources/a/b"], "sources/a/b: lies in --source"),
    ("build", ["--source=sources", "--output=link/out"], "link/out: lies in --source=sources"),
    ("build", ["--source=sources", "--output=empty/x", "--benchmarks=empty"], "--benchmarks=empty"),
    ("build", ["--source=missing_package", "--output=new"], "missing_package: expected a folder"),
    ("build", ["--source=sources", "--output=notes.txt"], "notes.txt: expected a folder"),
    *(
        ("recheck", [path], f"{path}: expected the --output of a build")
        for path in ("missing", "notes.txt", "empty")
    ),
    *(
        ("decontaminate", ["--input=rows.jsonl", *flags, "--benchmarks", "sources"], told)
        for flags, told in (
            (["--output=sources/kept"], "--output=sources/kept: lies in --benchmarks=sources"),
            (["--output=new", "--report=sources/r"], "--report=sources/r: lies in --benchmarks"),
            (["--output=rows.jsonl"], "both name rows.jsonl"),
        )
    ),
    ("seeds", ["--source=sources", "--output=sources"], "--output=sources: expected a file"),
    ("faults", ["--program=missing.py", "--call=f(1)"], "--program=missing.py: No such file"),
    ("trace", ["empty", "f(1)"], "empty: Is a directory"),
    ("records", ["empty"], "empty: cannot read the file"),
    ("prepare", ["--data=rows.jsonl", "--tokenizer=missing", "--output=new"], "missing: no such"),
    *(
        ("execute", [*RUN, f"--python={path}"], f"error: --python={path}: expected")
        for path in ("/missing", "notes.txt", "empty", "/bin/true")
    ),
    ("execute", ["--program=empty", "--call=f(1)"], "--program=empty: Is a directory"),
    ("execute", ["--jsonl=empty"], "empty: cannot read the file"),
]
MODEL_COMMANDS = ("train", "evaluate", "sample", "serve", "improve", "hf")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    def refuse(*unused, **ignored):
        raise AssertionError("a command looked for another machine")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.chdir(tmp_path)
    for name in ("sources", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("sources")
    (tmp_path / "sources" / "code.py").write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "program.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "notes.txt").write_text("some notes\n")
    (tmp_path / "bytes.bin").write_bytes(b"\xff\xfe\x00\x01" * 9)
    (tmp_path / "nothing.jsonl").write_text("")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "prompt": "x", "code": "y = 1"}\n')
    return tmp_path


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    MISTAKES,
    ids=[f"{n}-{command}" for n, (command, _, _) in enumerate(MISTAKES)],
)
@pytest.mark.usefixtures("one_device")
def test_a_wrong_path_is_one_line(folder, capsys, command, arguments, told):
    package = "semcoder_jax" if command in MODEL_COMMANDS else "data_pipeline"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code = importlib.import_module(f"{package}.commands.{command}").main(arguments)
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
    assert told in captured.err
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_config_that_imports_its_function_is_one(folder):
    from semcoder_jax.config_files import ConfigFileError, check_config

    for text in (
        "from other import get_config\n",
        "from other import make as get_config\n",
        "from other import *\n",
        "get_config = lambda: None\n",
        "if True:\n    def get_config(): return 1\n",
    ):
        (folder / "config.py").write_text(text)
        check_config(folder / "config.py")
        check_config(f"{folder}/config.py:variant")
    (folder / "config.py").write_text("def get_configs(): return 1\n")
    with pytest.raises(ConfigFileError, match="it has none"):
        check_config(folder / "config.py")


def test_hidden_files_are_no_benchmarks(folder):
    from data_pipeline.decontamination.benchmark_tasks import read_tasks

    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "canonical_solution": "    pass\n"}
    task = json.dumps(row) + "\n"
    (folder / "empty" / "tasks.jsonl").write_text(task)
    (folder / "empty" / ".work").mkdir()
    (folder / "empty" / ".work" / "tasks.jsonl").write_text(task.replace("/0", "/1"))
    assert [task.id for task in read_tasks([folder / "empty"])] == ["HumanEval/0"]
