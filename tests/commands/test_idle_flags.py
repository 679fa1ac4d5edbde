"""Tests that a flag which would do nothing is refused, in one line that names it."""

import pytest

from data_pipeline.commands import ask, build, execute, trace, verify
from data_pipeline.terminal.command_line import CommandLineError, refuse_flags
from semcoder_jax.commands import hf

ONE = ["--program=P.py", "--call=f(3)"]
MONOLOGUE = [*ONE, "--monologue=M.txt"]
BUILD = ["--source=S", "--output=O"]
EXPORT = ["export", "--checkpoint=D", "--output=E", "--adapter"]
OF_A_TEACHER = (
    ["--teacher_attempts=3"],
    ["--teacher_temperature=0.5"],
    ["--teacher_completions"],
    ["--teacher_faults=2"],
    ["--teacher_concurrency=4"],
    ["--teacher_prices", "1", "2"],
)


@pytest.mark.parametrize(
    ("main", "arguments", "flag"),
    [
        (execute.main, [*ONE, "--out=G"], "--out"),
        (execute.main, [*ONE, "--out", "G"], "--out"),
        (execute.main, [*ONE, "--workers=2"], "--workers"),
        (execute.main, ["--jsonl=R.jsonl", "--stdin=F"], "--jsonl"),
        (trace.main, ["P.py", "f(3)", "--view=cwm", "--steps=9"], "--steps"),
        (trace.main, ["P.py", "f(3)", "--view=table", "--colour=always"], "--colour"),
        (trace.main, ["P.py", "f(3)", "--trusted", "--tier=A"], "--tier"),
        (verify.main, [*MONOLOGUE, "--workers=3"], "--workers"),
        (verify.main, [*MONOLOGUE, "--output=O"], "--output"),
        (verify.main, [*MONOLOGUE, "--labels=L"], "--labels"),
        (verify.main, [*MONOLOGUE, "--trusted", "--tier=A"], "--tier"),
        (verify.main, ["--jsonl=R.jsonl", "--json"], "--json"),
        (verify.main, ["--jsonl=R.jsonl", "--numbering=file"], "--numbering"),
        (verify.main, ["--jsonl=R.jsonl", "--labels=L", "--output=O"], "--output"),
        (verify.main, ["--jsonl=R.jsonl", "--trusted", "--workers=2"], "--workers"),
        (ask.main, [*ONE, "--url=http://h/v1", "--model=M", "--no_examples"], "--no_examples"),
        (build.main, [*BUILD, "--pipeline.region=r"], "--region"),
        (build.main, [*BUILD, "--runner=FlinkRunner", "--workers=3"], "--workers"),
        (hf.main, [*EXPORT, "--dtype=float32"], "--dtype"),
        (hf.main, [*EXPORT, "--shard_gigabytes=1"], "--shard_gigabytes"),
        (hf.main, [*EXPORT, "--tensor=1"], "--tensor"),
        *((build.main, [*BUILD, *words], words[0].partition("=")[0]) for words in OF_A_TEACHER),
    ],
)
def test_it_is_refused(main, arguments, flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where none of the files is: the flags are read first
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {flag}") and captured.err.count("\n") == 1
    assert captured.out == ""


def test_words_behind_the_double_dash_are_no_flags():
    refuse_flags(["--view=cwm", "--", "--steps=3"], ("--steps",), "elsewhere")
    refuse_flags(["--steps_more=3", "steps"], ("--steps",), "elsewhere")
    with pytest.raises(CommandLineError, match="--steps: expected elsewhere"):
        refuse_flags(["--steps", "3"], ("--steps",), "elsewhere")


def test_a_folder_has_no_revision(tmp_path):
    from semcoder_jax.hf.hub import HFError, find_source

    assert find_source(str(tmp_path)) == tmp_path
    with pytest.raises(HFError, match="a directory has no revision 'v1'"):
        find_source(str(tmp_path), revision="v1")


def test_constants_of_the_exchange_commands_are_those_of_the_work():
    from semcoder_jax.hf.card import LICENSES
    from semcoder_jax.hf.config import DTYPES
    from semcoder_jax.hf.shards import DEFAULT_SHARD_BYTES

    assert hf.DTYPES == DTYPES and tuple(sorted(LICENSES)) == hf.LICENSES
    assert hf.SHARD_GIGABYTES * 1e9 == DEFAULT_SHARD_BYTES
