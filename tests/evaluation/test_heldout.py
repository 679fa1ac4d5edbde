"""Tests held-out functions: answers are parsed and judged, counts are right, bad problems named."""

import json

import pytest

from data_pipeline.monologue.inline import direct_answer, inline_monologue
from data_pipeline.source.fingerprints import FINGERPRINT
from semcoder_jax.commands import evaluate
from semcoder_jax.evaluation.benchmarks.heldout import (
    Heldout,
    HeldoutError,
    extract_answer,
    format_worked_example,
    read_problems,
)
from semcoder_jax.evaluation.harness import Response, score_generations
from tests.support.random_runs import write_problems
from tests.support.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def problems_file(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


@pytest.fixture(scope="module")
def problems(problems_file):
    return read_problems(problems_file)


# ---- answers


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("[ANSWER]\nassert f(x=1) == 7\n[/ANSWER]", "7"),
        ("[ANSWER]\nassert f(x=1) == 7", "7"),
        ("[ANSWER]\nf(1) == [1, 2]\n[/ANSWER] and more == 3", "[1, 2]"),
        ("[ANSWER] 3 [/ANSWER]\n[ANSWER]\nassert f() == 'a == b'\n[/ANSWER]", "'a == b'"),
        ("[ANSWER]\nassert f('a == b', [1 == 2]) == 4\n[/ANSWER]", "4"),
        ("[ANSWER]\nassert f(1) == 8 or True\n[/ANSWER]", "8 or True"),
        ("assert f(1) == 7", None),
        ("[ANSWER]\n7\n[/ANSWER]", None),
        ("[ANSWER]\nassert f(1) ==\n[/ANSWER]", None),
        ("[ANSWER]\nassert f('== 7\n[/ANSWER]", "7"),  # the copied call is broken
        ("[ANSWER]\nassert f('it's', [1) == 'a == b'\n[/ANSWER]", "'a == b'"),
        ("[ANSWER]\nassert f('a' * 33 + '\\n') == 7\n[/ANSWER]", "7"),
        ("[ANSWER]\nassert f('== no literal\n[/ANSWER]", None),
        ("", None),
    ],
)
def test_the_answer_is_right_of_the_assertions_own_equals(response, answer):
    assert extract_answer(response, finished=True) == answer


def test_an_answer_that_was_cut_is_no_answer():
    assert extract_answer("[ANSWER]\nassert f(1) == 12", finished=False) is None
    assert extract_answer("[ANSWER]\nassert f(1) == 12\n[/ANSWER]", finished=False) == "12"


def single_problem(tmp_path, output):
    program = f"def f(x):\n    return {output}"
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"id": "a", "program": program, "call": "f(1)", "output": output}))
    return read_problems(path)[0]


@pytest.mark.parametrize(
    ("output", "answer", "right"),
    [
        ("3", "3", True),
        ("3", "3.0", False),
        ("1", "True", False),
        ("8", "8 or True", False),
        ("3", "1 + 2", False),
        ("'a'", '"a"', True),
        ("[1, 2]", "[1,2]", True),
        ("[1, 2]", "(1, 2)", False),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", True),
        ("3", "f(1)", False),
        ("3", "3 # sure", True),
    ],
)
def test_a_right_answer_has_the_value_and_its_type(output, answer, right, tmp_path):
    benchmark = Heldout([single_problem(tmp_path, output)])
    said = Response("a", 0, "direct", "fixed", f"assert f(1) == {answer}\n", "stop")
    (judgement,) = benchmark.judge([said])
    assert judgement.right is right


# ---- scores


def test_counts_of_known_generations(problems):
    """Two true monologues, one wrong step under a right answer, one wrong answer, one without
    answer, one without steps; direct: all right but one; and one that was never said."""
    texts = [
        inline_monologue(problem.trace).removeprefix("[MONOLOGUE]\n").split("[/ANSWER]")[0]
        for problem in problems
    ]
    answer = f" == {problems[3].output}\n"
    texts[2] = texts[2].replace("1. [L6]", "1. [L99]")
    texts[3] = texts[3].replace(answer, " == 'something else'\n")
    texts[4] = "no idea"
    texts[5] = "[ANSWER]\n" + direct_answer(problems[5].trace).split("[/ANSWER]")[0]
    direct = [direct_answer(problem.trace).split("[/ANSWER]")[0] for problem in problems]
    direct[0], direct[1] = "assert f(", None
    said = [
        Response(problem.id, 0, variant, "fixed", text, "stop")
        for variant, rows in (("monologue", texts), ("direct", direct))
        for problem, text in zip(problems, rows, strict=True)
    ]
    run = score_generations(Heldout(problems), said, model="m", identity={}, progress=None)
    with_monologue, without = run.scores
    assert with_monologue.outcomes == {"right": 4, "wrong": 1, "no answer": 1}
    assert without.outcomes == {"right": 4, "no answer": 1, "missing": 1}
    assert with_monologue.estimate.value == pytest.approx(4 / 6)
    assert with_monologue.reasoning.sound == 3 and without.reasoning is None
    assert [a.sound for a in run.answers[:6]] == [True, True, False, True, False, False]
    assert [a.right for a in run.answers[:6]] == [True, True, True, False, False, True]
    assert with_monologue.reasoning.right_by_wrong == 1
    assert with_monologue.reasoning.first_wrong == {"flow": 1}
    example = format_worked_example(run.answers[0])
    assert problems[0].program.strip() in example and "right" in example
    steps = inline_monologue(problems[0].trace).count(". [L")
    assert example.count("✓") >= steps and "✗" not in example
    assert run.answers[3].answer == "'something else'"


# ---- problems


def test_the_sandbox_and_this_process_see_the_same_runs(problems_file, problems):
    assert read_problems(problems_file, trusted=True) == problems


def test_what_a_foreign_program_does_happens_in_the_sandbox(tmp_path):
    """It cannot end this process, and it sees no file of it."""
    rows = [
        "import os\ndef f(x):\n    os._exit(0)\n",
        f"def f(x):\n    open({str(tmp_path / 'made')!r}, 'w')\n    return x\n",
    ]
    for program in rows:
        path = tmp_path / "problems.jsonl"
        row = {"id": "a", "program": program, "call": "f(1)", "output": "1"}
        path.write_text(json.dumps(row))
        with pytest.raises(HeldoutError, match=r"problems.jsonl:1: field "):
            read_problems(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", ":1: not JSON"),
        ('{"id": "a"}', ":1: expected an object with exactly id, program, call, output"),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x", "call": "f(1)"})[:-1]
            + ', "output": "2"}',
            ":1: field 'output': 2, but the run gives 1",
        ),
        (
            json.dumps({"id": "a", "program": "def f(:", "call": "f(1)", "output": "2"}),
            ":1: field 'program' or 'call':",
        ),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x/0", "call": "f(1)"})[:-1]
            + ', "output": "2"}',
            ":1: field 'output': 2, but the run gives raises ZeroDivisionError",
        ),
        (
            json.dumps({"id": "a", "program": "def f(x):\n    return x", "call": "f(1)"})[:-1]
            + ', "output": ""}',
            ":1: field 'output': expected a non-empty string",
        ),
    ],
)
def test_a_bad_problem_is_named_by_file_line_and_field(row, message, tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(HeldoutError) as raised:
        read_problems(path)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_problems_twice_or_none_are_errors(problems_file, tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text(problems_file.read_text() * 2)
    with pytest.raises(HeldoutError, match=r"problems.jsonl:7: field 'id': 'p0' is there twice"):
        read_problems(path)
    assert len(read_problems(path, limit=3)) == 3
    path.write_text("\n")
    with pytest.raises(HeldoutError, match="no problems"):
        read_problems(path)


@pytest.mark.parametrize("beside", ["corpus.json", "report.json"])
def test_problems_split_by_another_fingerprint_are_refused_in_one_line(
    beside, problems_file, tmp_path
):
    path = tmp_path / "problems.jsonl"
    path.write_text(problems_file.read_text())
    for stated in ({}, {"function_fingerprint": FINGERPRINT}):
        (tmp_path / beside).write_text(json.dumps(stated))
        assert len(read_problems(path, limit=1)) == 1
    (tmp_path / beside).write_text(json.dumps({"function_fingerprint": "tree-3.11/0"}))
    with pytest.raises(HeldoutError, match=f"{beside}: .*tree-3.11/0.*again$") as raised:
        read_problems(path, limit=1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("config", ["heldout", "heldout_backward", "heldout_code", "reval"])
def test_a_checkpoint_without_held_out_problems_says_what_to_pass(config, tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    arguments = [f"--config=configs/eval/{config}.py", f"--workdir={tmp_path / 'out'}"]
    assert evaluate.main([*arguments, f"--checkpoint={checkpoint}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {checkpoint}/corpus/problems.jsonl: no such file")
    assert "--config.data=FILE" in told and told.count("\n") == 1
    assert evaluate.main([*arguments, "--endpoint=http://127.0.0.1:9", "--model=m"]) == 2
    assert capsys.readouterr().err.startswith("error: --config.data=FILE: ")
    assert not (tmp_path / "out").exists()
