"""Tests REval's questions against a plain sys.settrace recorder of this file."""

import ast
import itertools
import re
import sys

import pytest

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.questions import (
    TASKS,
    incremental_consistency,
    is_right,
    question_rows,
    run_questions,
)
from data_pipeline.tracing import trace_call

PROGRAMS = {
    "f([3, 1, 2])": """def f(xs):
    best = 0
    for x in xs:
        if x > best:
            best = x
        half = x / 2
    else:
        done = True
    never = None if done else 1
    if not xs:
        empty = "yes"
    return [best, half]
""",
    "g(4)": """def h(n):
    m = n * n
    return m


def g(n):
    total = 0
    while n:
        total += h(n)
        n -= 1
    try:
        gone = [total][1]
    except IndexError:
        gone = -1
    return total - gone
""",
    "k('ab', 2)": """def k(word, times):
    twice = dict.fromkeys(word, times)
    text = ''
    for c in word:
        text = text + c * twice[c]
    last = text[-1], len(text)
    return last
""",
}


class Recorder:
    """Line numbers in order, and locals when the statement of a line has ended."""

    def __init__(self, program, call):
        self.order, self.after = [], []
        names = {}
        exec(compile(program, "<run>", "exec"), names)
        sys.settrace(self._call)
        try:
            self.result = eval(call, names)
        finally:
            sys.settrace(None)

    def _call(self, frame, event, argument):
        if frame.f_code.co_filename != "<run>" or frame.f_code.co_name.startswith("<"):
            return None
        self.order.append(("call", frame.f_lineno))
        pending = [None]

        def local(frame, event, argument):
            if pending[0] is not None and event in ("line", "return"):
                self.after.append((pending[0], dict(frame.f_locals)))
                pending[0] = None
            if event == "line":
                self.order.append(("line", frame.f_lineno))
                pending[0] = frame.f_lineno
            elif event == "exception":
                pending[0] = None
            return local

        return local


@pytest.mark.parametrize("call", PROGRAMS)
def test_answers_are_those_of_a_plain_recorder(call):
    program = PROGRAMS[call]
    seen = Recorder(program, call)
    lines = program.split("\n")
    groups = run_questions(trace_call(program, call), most=50)
    assert groups
    for group in groups:
        assert [question.task for question in group] == list(TASKS)
        answers = {question.task: question.answers for question in group}
        line = group[0].line
        name = lines[line - 1].split("=")[0].strip("+- ")
        executed = [n for n, (kind, at) in enumerate(seen.order) if at == line and kind == "line"]
        assert answers["coverage"] == (("YES",) if executed else ("NO",))
        values = [state[name] for at, state in seen.after if at == line and name in state]
        real = list(dict.fromkeys(f"{value!r}; {type(value).__name__}" for value in values))
        if "gone = [total][1]" not in lines[line - 1]:  # it raises, and leaves no value
            assert list(answers["state"]) == (real or ["NIL"])
        following = [
            f"L{seen.order[n + 1][1] + FIRST_LABEL - 1}" if n + 1 < len(seen.order) else "END"
            for n in executed
        ]
        assert list(answers["path"]) == (list(dict.fromkeys(following)) or ["NIL"])
        assert ast.literal_eval(answers["output"][0]) == seen.result


def test_ceiling_and_floor():
    """Every stated answer is right; answers of other kinds, values and types are wrong."""
    wrong = ["", "?", "MAYBE", "0; str", "99; int", "L4", "[]", "None", "NIL; int", "eval('1')"]
    for call, program in PROGRAMS.items():
        for group in run_questions(trace_call(program, call), most=50):
            for question in group:
                assert all(is_right(question, answer) for answer in question.answers)
                for answer in wrong:
                    assert not is_right(question, answer), (question, answer)
    others = {("YES",): "NO", ("NO",): "YES"}
    group = run_questions(trace_call(PROGRAMS["g(4)"], "g(4)"))[0]
    assert not is_right(group[0], others[group[0].answers])


def test_spellings_of_an_answer():
    group = run_questions(trace_call("def f(x):\n    y = x + 1\n    return y\n", "f(1)"))[0]
    coverage, state, path, output = group
    right = {
        coverage: ["YES", "yes", "Yes."],
        state: ["2; int", "2 ; <class 'int'>", "2; integer"],
        path: ["L7", "[L7]", "7"],
        output: ["2", " 2\n"],
    }
    for question, answers in right.items():
        assert [answer for answer in answers if not is_right(question, answer)] == []
    assert not is_right(state, "2.0; float") and not is_right(state, "True; int")
    assert not is_right(output, "True") and not is_right(path, "L70")


def test_consistency_is_half_for_each_answer_that_fails_from_the_end():
    expected = {(1, 1, 1, 1): 1, (1, 1, 1, 0): 0.5, (1, 1, 0, 0): 0.25, (1, 0, 0, 0): 0.125}
    for results in itertools.product((True, False), repeat=4):
        assert incremental_consistency(results) == expected.get(tuple(map(int, results)), 0)
    with pytest.raises(ValueError):
        incremental_consistency([True])


@pytest.mark.parametrize(
    "program", ["def f():\n    x = 1 / 0\n", "def f():\n    return object()\n"]
)
def test_runs_without_a_value_are_not_asked_about(program):
    assert run_questions(trace_call(program, "f()")) == []


def test_rows_are_instruction_data(tmp_path):
    from data_pipeline.pyx.instructions import parse_instruction

    trace = trace_call(PROGRAMS["g(4)"], "g(4)")
    rows = list(question_rows(trace))
    assert len({row["id"] for row in rows}) == len(rows)
    kinds = [re.match("[a-z]+", row["id"])[0] for row in rows]
    assert kinds.count("output") == kinds.count("cwm") == 1 and kinds.count("state") == 4
    for row in rows:
        record = parse_instruction(row, "row")
        assert record.instruction == row["instruction"] and record.response == row["response"]
    assert list(question_rows(trace)) == rows
    assert {row["id"].split("_")[0] for row in question_rows(trace, ["path"])} == {"path"}
