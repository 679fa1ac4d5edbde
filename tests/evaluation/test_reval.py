"""Tests REval as a benchmark: ceiling, floor, consistency, and the command over a file."""

import json

import pytest

from data_pipeline.commands import questions
from semcoder_jax.evaluation.benchmarks.reval import load
from semcoder_jax.evaluation.harness import Response, score_generations

ROWS = [
    {
        "id": "double",
        "program": "def f(x):\n    y = x * 2\n    if y > 9:\n        y = 9\n    return y\n",
        "call": "f(3)",
        "output": "6",
    },
    {
        "id": "sum",
        "program": "def g(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n",
        "call": "g([1, 2])",
        "output": "3",
    },
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("reval") / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def benchmark(rows):
    return load(rows)


def score(benchmark, answer_of):
    responses = [
        Response(task, 0, "direct", "fixed", f"{answer_of(task)}\n[/ANSWER]", "stop")
        for task in benchmark.task_ids
    ]
    return score_generations(benchmark, responses, model="m", identity={}, progress=None)


def test_ceiling(benchmark):
    run = score(benchmark, lambda task: benchmark.problems[task].question.answers[0])
    assert {score.benchmark: score.estimate.value for score in run.scores} == dict.fromkeys(
        ("REval coverage", "REval state", "REval path", "REval output"), 1.0
    )
    assert run.notes == ("incremental consistency 100.0 of 100 over 4 statements",)


@pytest.mark.parametrize("answer", ["", "0", "assert f(3) == 6", "MAYBE", "x; int", "{}"])
def test_floor(benchmark, answer):
    run = score(benchmark, lambda task: answer)
    assert all(score.right == 0 for score in run.scores)
    assert run.notes == ("incremental consistency 0.0 of 100 over 4 statements",)


def test_a_constant_yes_is_right_for_covered_lines_alone(benchmark):
    run = score(benchmark, lambda task: "YES")
    right = {score.benchmark: score.right for score in run.scores}
    assert right == {
        "REval coverage": 3, "REval state": 0, "REval path": 0, "REval output": 0
    }  # fmt: skip
    assert run.notes == ("incremental consistency 9.4 of 100 over 4 statements",)  # 3/4 of 1/8


def test_the_answers_by_hand(benchmark):
    answers = {task: problem.question.answers for task, problem in benchmark.problems.items()}
    assert answers["double/L6/state"] == ("6; int",) and answers["double/L6/path"] == ("L7",)
    assert answers["double/L8/coverage"] == ("NO",) and answers["double/L8/path"] == ("NIL",)
    assert answers["sum/L8/state"] == ("1; int", "3; int")
    assert answers["sum/L8/path"] == ("L7",) and answers["sum/L6/output"] == ("3",)


def test_the_command_writes_rows_for_training(rows, tmp_path, capsys):
    output = tmp_path / "questions.jsonl"
    assert questions.main([f"--jsonl={rows}", f"--output={output}"]) == 0
    counted = dict(line.split()[::-1] for line in capsys.readouterr().out.splitlines())
    assert counted == {"coverage": "4", "state": "4", "path": "4", "output": "2", "cwm": "2"}
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert all(set(row) == {"id", "instruction", "response"} for row in written)
    for arguments, words in (
        ([], "expected --jsonl, or --program and --call"),
        ([f"--jsonl={rows}", "--kinds=state,poem"], "--kinds: 'poem' is unknown"),
        ([f"--jsonl={rows}", "--statements=0"], "expected at least 1"),
        ([f"--jsonl={rows}", f"--output={rows}"], "expected two files"),
    ):
        assert questions.main(arguments) == 2
        assert words in capsys.readouterr().err
