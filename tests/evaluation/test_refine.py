"""Tests self-refinement: feedback to the model, what must stay hidden, and scores by round."""

import gzip
import json

import pytest

from data_pipeline.execution.service import Limits, Sandbox
from semcoder_jax.evaluation.refine import (
    RefineTask,
    docstring_tests,
    extract_refined_code,
    first_failures,
    humaneval_task,
    mbpp_task,
    prompt_assertions,
    refine,
    split_assertion,
)
from tests.support.marked_problems import HIDDEN, REFERENCE, humaneval_row, mbpp_row


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, limits=Limits(cpu_seconds=1.0)) as sandbox:
        yield sandbox


def code(body: str) -> str:
    return f"def double(x):\n    y = {body}\n    return y\n"


def refined(text: str) -> str:
    return f"The bug is the sum.\n[Refined]\n```python\n{text}```\n"


class Scripted:
    """Answers in turn; keeps what it was asked."""

    def __init__(self, *rounds):
        self.rounds, self.prompts = list(rounds), []

    def __call__(self, asked):
        self.prompts.append([prompt for _, prompt in asked])
        answers = self.rounds.pop(0)
        assert len(answers) == len(asked)
        return [answer if isinstance(answer, tuple) else (answer, "stop") for answer in answers]


def whole(task_id: str, text: str, reason: str) -> str | None:
    return text or None


@pytest.mark.parametrize("task", [humaneval_task(humaneval_row()), mbpp_task(mbpp_row())])
def test_feedback_is_the_failing_visible_test_with_its_run(task, sandbox):
    ask = Scripted([code("x + x + 1")], [refined(code("x + 1"))], [refined(code("x * 2"))], [], [])
    turns = [turn for (turn,) in refine([task], ask, whole, sandbox, rounds=4)]
    assert [turn.code for turn in turns] == [
        code("x + x + 1"), code("x + 1"), *[code("x * 2")] * 3,
    ]  # fmt: skip
    assert [turn.round for turn in turns] == [0, 1, 2, 3, 4]
    first, second = ask.prompts[1][0], ask.prompts[2][0]
    assert first.startswith("Debug and Refine the Code")
    assert f"### Buggy Solution\n```python\n{code('x + x + 1')}" in first
    assert "assert double(2) == 4\n# double(2) returns 5\n" in first
    for comment in ('# [INPUT] {"x": 2} [/INPUT]', '[STATE-0] {"y": 5} [/STATE-0]'):
        assert comment in first
    assert "[OUTPUT] 5 [/OUTPUT]" in first
    assert "# double(2) returns 3\n" in second and "x + x + 1" not in second
    assert ask.prompts[3] == ask.prompts[4] == []  # what passes is left alone
    assert turns[3].text == "" and turns[3].failure is None


def test_no_prompt_ever_holds_a_hidden_test_or_the_reference(sandbox):
    tasks = [humaneval_task(humaneval_row()), mbpp_task(mbpp_row())]
    assert not any(mark in repr(task) for task in tasks for mark in (HIDDEN, REFERENCE))
    never = [refined(code("x - 1"))] * 2
    ask = Scripted([code("x + 1"), "def double(:"], *[never] * 5)
    for _ in refine(tasks, ask, whole, sandbox):
        pass
    prompts = [prompt for asked in ask.prompts for prompt in asked]
    assert len(prompts) == 2 * 6
    assert not any(mark in prompt for prompt in prompts for mark in (HIDDEN, REFERENCE))


def test_an_answer_without_a_program_leaves_the_former_one_standing(sandbox):
    task = humaneval_task(humaneval_row())
    cut = ("[Refined]\n```python\ndef double(x):\n    return x", "length")
    ask = Scripted(["", code("x")], ["no idea"], [cut], [refined(code("2 * x"))])
    rounds = list(refine([task], ask, whole, sandbox, rounds=3, samples=2))
    assert [[turn.code for turn in turns] for turns in rounds] == [
        [None, code("x")], [None, code("x")], [None, code("x")], [None, code("2 * x")],
    ]  # fmt: skip
    assert all(len(turns) == 2 for turns in rounds)  # what has no answer stays in the count


def test_a_problem_that_shows_no_test_is_asked_once(sandbox):
    task = RefineTask("t", "prompt", "problem", "f", ())
    ask = Scripted(["def f(): 1 / 0"], [], [])
    rounds = list(refine([task], ask, whole, sandbox, rounds=2))
    assert [turns[0].code for turns in rounds] == ["def f(): 1 / 0"] * 3


def test_rounds_are_at_most_five(sandbox):
    with pytest.raises(ValueError, match="rounds=6"):
        next(refine([], Scripted([]), whole, sandbox, rounds=6))


@pytest.mark.parametrize(
    ("program", "came", "traced"),
    [
        ("def f(x):\n    return x\n", "f(3) returns 3", True),
        (
            "def f(x):\n    return x / 0\n",
            "f(3) raises ZeroDivisionError: division by zero in",
            True,
        ),
        ("def f(x):\n    while True: pass\n", "f(3) does not end in time", False),
        ("def f(x):\nreturn x\n", "the program has a syntax error at line 2", False),
        ("def g(x):\n    return x\n", "the program defines no 'f'", False),
        ("def f(x, y):\n    return x\n", "the call does not fit f(x, y)", False),
        ("import os\ndef f(x):\n    os._exit(0)\n", "f(3) ends the process", False),
        ("x = 1 / 0\ndef f(x):\n    return 4\n", "f(3) raises ZeroDivisionError", False),
    ],
)
def test_every_end_of_a_run_is_told_in_a_line(program, came, traced, sandbox):
    task = RefineTask("t", "", "", "f", ("assert f(3) == 4",))
    (failure,) = first_failures([(task, program)], sandbox)
    assert failure.outcome.startswith(came) and "\n" not in failure.outcome
    assert (failure.trace is not None) == traced
    assert failure.describe(program).startswith(f"assert f(3) == 4\n# {failure.outcome}")
    if traced:
        assert "[INPUT]" in failure.describe(program)


def test_the_first_failing_test_is_told_and_others_are_equal_by_value(sandbox):
    visible = ("assert f(1) == 1", "assert f(2) == 2.0", "assert f(3) == 0", "assert f(4) == 0")
    task = RefineTask("t", "", "", "f", visible)
    passing = RefineTask(
        "u", "", "", "f", (*visible[:2], "assert set([f(3)]) == {3}", "assert f(9)")
    )
    close = RefineTask("v", "", "", "f", ("assert math.isclose(f(3), 3.0001, rel_tol=0.01)",))
    program = "def f(x):\n    return x\n"
    first, none, near = first_failures([(t, program) for t in (task, passing, close)], sandbox)
    assert first.test == "assert f(3) == 0" and none is None and near is None
    wrong = RefineTask("w", "", "", "f", ("assert set([f(3)]) == {4}",))
    (failure,) = first_failures([(wrong, program)], sandbox)
    assert failure.outcome == "set([f(3)]) == {4} is false" and "[INPUT]" in failure.describe(
        program
    )


def test_a_long_run_does_not_crowd_out_the_question(sandbox):
    lines = "".join(f"    x{i} = x + {i}\n" for i in range(400))
    task = RefineTask("t", "", "", "f", ("assert f(3) == 4",))
    program = f"def f(x):\n{lines}    return x\n"
    (failure,) = first_failures([(task, program)], sandbox)
    assert failure.describe(program) == "assert f(3) == 4\n# f(3) returns 3"


@pytest.mark.parametrize(
    ("text", "finished", "expected"),
    [
        ("[Refined]\n```python\nx = 1\n```\n[/Refined] more", False, "x = 1\n"),
        ("[Refined]\n```python\nx = 1\n```\n", True, "x = 1\n"),
        ("[Refined]\n```python\nx = 1\n```\n", False, None),
        ("[Refined]\n    x = 1\n[/Refined]", True, "    x = 1\n"),
        ("[Refined] a [/Refined] [Refined]\n```\ny = 2\n```[/Refined]", True, "y = 2\n"),
        ("```python\nx = 1\n```", True, None),
        ("[Refined]\n```python\n```\n[/Refined]", True, None),
        ("[Refined]\n```python\nx = '```'\ny = 1\n", True, "x = '```'\ny = 1\n"),
        ("", True, None),
    ],
)
def test_the_repaired_program_stands_in_the_last_block(text, finished, expected):
    assert extract_refined_code(text, finished=finished) == expected


@pytest.mark.parametrize(
    ("line", "tests"),
    [
        (">>> f(1)\n    2", ["assert f(1) == 2"]),
        ("f([1, 2], 'a)') == [1]", ["assert f([1, 2], 'a)') == [1]"]),
        ("f(1) ➞ True", ["assert f(1) == True"]),
        ("f(1) => true", ["assert f(1) == True"]),
        ("f(1) should return [2].", ["assert f(1) == [2]"]),
        ("f(1)   # returns 'x'", ["assert f(1) == 'x'"]),
        ("f(1) ->19 - 5 = 14", []),
        ("f(a) => False", []),
        ("f(1) is what we want", []),
        ("g(1) == 2", []),
        (">>> round(f(1), 2)\n    0.5", ["assert round(f(1), 2) == 0.5"]),
    ],
)
def test_examples_of_a_docstring(line, tests):
    prompt = f'def g(x):\n    pass\n\ndef f(x):\n    """ Does it.\n    {line}\n    """\n'
    assert list(docstring_tests(prompt, "f")) == tests


def test_assertions_are_split_where_all_is_literal():
    assert split_assertion("assert f(1, k=[2]) == (3,)") == ("f(1, k=[2])", "(3,)")
    assert split_assertion("assert set(f(1)) == {2}") == ("set(f(1)) == {2}", None)
    assert split_assertion("assert f(x) == 1") == ("f(x) == 1", None)
    with pytest.raises(ValueError, match="no assertion"):
        split_assertion("f(1) == 2")


def _rows(path):
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_reference_solutions_pass_what_the_problems_show(shared_data, sandbox):
    """But for HumanEval's wrong docstrings: median of 47, order of 116, tri(1), bf's tuple."""
    rows = _rows(shared_data / "humanevalplus" / "HumanEvalPlus.jsonl.gz")
    tasks = [humaneval_task(row) for row in rows]
    assert sum(bool(task.visible) for task in tasks) == 137
    solutions = [row["prompt"] + row["canonical_solution"] for row in rows]
    failures = first_failures(list(zip(tasks, solutions, strict=True)), sandbox)
    wrong = [task.id for task, failure in zip(tasks, failures, strict=True) if failure]
    assert wrong == [f"HumanEval/{n}" for n in (47, 116, 130, 148)]

    rows = _rows(shared_data / "mbppplus" / "MbppPlus.jsonl.gz")
    tasks = [mbpp_task(row) for row in rows]
    assert all(task.visible for task in tasks) and len(tasks) == 378
    solutions = [row["canonical_solution"] for row in rows]
    assert first_failures(list(zip(tasks, solutions, strict=True)), sandbox) == [None] * 378


def test_assertions_of_mbpp_prompts():
    assert prompt_assertions(mbpp_row()["prompt"]) == ("assert double(2) == 4",)
    assert prompt_assertions('"""\nassert nothing here\n"""') == ()
