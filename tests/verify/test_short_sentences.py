"""Tests short sentences that select a state, count or conclude, in true and false twins.

Whether a sentence is true is computed beside it from a record that `sys.settrace` makes here.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace
from tests.support.line_recorder import record_plainly

COUNT = """\
def f(n, s):
    while n < 4:
        if s % 2 == 0:
            s += 3
        else:
            s *= 2
        n += 1
    return s
"""
GRID = """\
def g(rows):
    total = 0
    for i in range(len(rows)):
        for cell in rows[i]:
            if cell < 0:
                continue
            total += cell
    if total > 100:
        total = 100
    return total
"""
PICK = """\
def h(xs):
    seen = []
    for x in xs:
        if x in seen:
            break
        seen.append(x)
    odd = sum(y for y in seen if y % 2)
    big = [z * 10 for z in seen if z > 3]
    return seen, odd, big
"""
DOWN = """\
def k(n):
    if n == 0:
        return []
    rest = k(n - 2)
    rest.append(n)
    return rest
"""
RUNS = {
    "count": (COUNT, "f(1, 2)"),
    "grid": (GRID, "g([[1, -2, 5], [4]])"),
    "pick": (PICK, "h([2, 4, 7, 4, 9])"),
    "down": (DOWN, "k(4)"),
}
HEAD = "### Execution Simulation\n"
# Sentence, and whether it is true: `at(line, code, **state)` evaluates code in the states before
# the line that have these values; `times(line)` counts the line's executions.
SENTENCES = {
    "count": [
        ("[L7] For s = 2 the condition holds.", "all(at(7, 's % 2 == 0', s=2))"),
        ("[L7] For s = 5 the condition holds.", "all(at(7, 's % 2 == 0', s=5))"),
        ("[L7] For s = 5 the condition is false.", "not any(at(7, 's % 2 == 0', s=5))"),
        ("[L7] For s = 10 the condition is false.", "not any(at(7, 's % 2 == 0', s=10))"),
        ("[L6] For n = 4 the condition fails.", "not any(at(6, 'n < 4', n=4))"),
        ("[L6] For n = 3 the condition fails.", "not any(at(6, 'n < 4', n=3))"),
        ("n < 4 is True for n = 3.", "3 < 4"),
        ("n < 4 is False for n = 3.", "not 3 < 4"),
        ("`n < 4` is False for `n = 4`.", "not 4 < 4"),
        ("`n < 4` is True for `n = 4`.", "4 < 4"),
        ("s % 2 == 0 is True for s = 10.", "10 % 2 == 0"),
        ("s % 2 == 0 is True for s = 5.", "5 % 2 == 0"),
        ("4 > 2 is True, so the condition is true.", "4 > 2"),
        ("4 > 2 is True, so the condition is false.", "not 4 > 2"),
        ("1 > 2 is False, so the branch is not taken.", "not 1 > 2"),
        ("1 > 2 is False, so the branch is taken.", "1 > 2"),
        ("3 < 4 is True, thus we enter the loop body.", "3 < 4"),
        ("3 < 3 is False, therefore the loop body is executed.", "3 < 3"),
        ("[L10] For n = 2, s becomes 10.", "at(11, 's', n=2) == [10]"),
        ("[L10] For n = 2, s becomes 5.", "at(11, 's', n=2) == [5]"),
        ("[L8] For n = 1, s becomes 5.", "at(11, 's', n=1) == [5]"),
        ("[L8] For n = 4, s becomes 5.", "at(11, 's', n=4) == [5]"),
        ("[L8] When n = 3, s becomes 13.", "at(11, 's', n=3) == [13]"),
        ("[L8] When n = 3, s becomes 5.", "at(11, 's', n=3) == [5]"),
        ("In the first iteration the if branch is taken.", "at(7, 's % 2 == 0')[0]"),
        ("In the second iteration the if branch is taken.", "at(7, 's % 2 == 0')[1]"),
        ("In the second iteration the branch is taken.", "at(7, 's % 2 == 0')[1]"),
        ("s is incremented by 3 in the first iteration.", "diff(7, 11, 's')[0] == 3"),
        ("s is incremented by 3 in the second iteration.", "diff(7, 11, 's')[1] == 3"),
        ("s is incremented by 5 in the second iteration.", "diff(7, 11, 's')[1] == 5"),
        ("In iteration 2 s is multiplied by 2.", "at(7, 's * 2')[1] == at(11, 's')[1]"),
        ("In iteration 3 s is multiplied by 2.", "at(7, 's * 2')[2] == at(11, 's')[2]"),
        ("In iteration 1 s is doubled.", "at(7, 's * 2')[0] == at(11, 's')[0]"),
        ("n is incremented by 1 in the second iteration.", "at(11, 'n')[1:] == [2, 3]"),
        ("n is incremented by 2 in the second iteration.", "at(11, 'n')[1:] == [2, 4]"),
        ("[L8] is executed 2 times.", "times(8) == 2"),
        ("[L8] is executed 3 times.", "times(8) == 3"),
        ("[L10] is executed once.", "times(10) == 1"),
        ("[L10] is executed 0 times.", "times(10) == 0"),
        ("[L10] is never executed.", "times(10) == 0"),
        ("Line [L11] runs three times.", "times(11) == 3"),
        ("Line [L11] runs four times.", "times(11) == 4"),
        ("The loop stops at n = 4.", "at(12, 'n') == [4]"),
        ("The loop stops at n = 5.", "at(12, 'n') == [5]"),
        ("The loop ends when n = 4.", "at(12, 'n') == [4]"),
        ("The loop ends when n = 2.", "at(12, 'n') == [2]"),
        ("assert f(1, 2) == 13", "returned == 13"),
        ("assert f(1, 2) == 9", "returned == 9"),
    ],
    "grid": [
        ("[L13] is executed 0 times.", "times(13) == 0"),
        ("[L13] is never executed.", "times(13) == 0"),
        ("[L13] is executed once.", "times(13) == 1"),
        ("[L10] is executed once.", "times(10) == 1"),
        ("[L10] is executed twice.", "times(10) == 2"),
        ("[L11] is executed 3 times.", "times(11) == 3"),
        ("[L11] is executed 4 times.", "times(11) == 4"),
        ("[L9] `cell` is 5.\nThe outer loop runs 2 times.", "len(set(at(8, 'i'))) == 2"),
        ("[L9] `cell` is 5.\nThe outer loop runs 3 times.", "len(set(at(8, 'i'))) == 3"),
        ("[L9] `cell` is 4.\nThe outer loop runs 1 time.", "len(set(at(8, 'i'))) == 1"),
        ("For i = 0 the inner loop runs 3 times.", "len(at(9, 'cell', i=0)) == 3"),
        ("For i = 0 the inner loop runs twice.", "len(at(9, 'cell', i=0)) == 2"),
        ("For i = 1 the inner loop runs once.", "len(at(9, 'cell', i=1)) == 1"),
        ("For i = 1 the inner loop runs 3 times.", "len(at(9, 'cell', i=1)) == 3"),
        ("In the first iteration, the inner loop runs 1 time.", "len(at(9, 'cell', i=0)) == 1"),
        ("The inner loop runs 4 times in all.", "len(at(9, 'cell')) == 4"),
        ("The inner loop runs 5 times in all.", "len(at(9, 'cell')) == 5"),
        ("[L9] For cell = -2 the condition is true.", "all(at(9, 'cell < 0', cell=-2))"),
        ("[L9] For cell = 5 the condition is true.", "all(at(9, 'cell < 0', cell=5))"),
        ("[L11] For cell = 5, total becomes 6.", "at(11, 'total + cell', cell=5) == [6]"),
        ("[L11] For cell = 5, total becomes 10.", "at(11, 'total + cell', cell=5) == [10]"),
        ("[L11] total is incremented by 4.", "4 in at(11, 'cell')"),
        ("[L11] total is incremented by 3.", "3 in at(11, 'cell')"),
        ("assert g([[9]]) == 9", "True"),
    ],
    "pick": [
        ("seen now holds two elements: [2, 4].", "[2, 4] in at(8, 'seen')"),
        ("[L10] seen now holds two elements: [2, 4].", "[2, 4] in at(8, 'seen')"),
        ("[L10] seen now holds three elements: [2, 4].", "False"),
        ("xs has five elements: [2, 4, 7, 4, 9].", "at(6, 'xs') == [[2, 4, 7, 4, 9]]"),
        ("xs has three elements: [2, 4, 7].", "at(6, 'xs') == [[2, 4, 7]]"),
        ("xs has five elements: [2, 4, 7, 4, 8].", "at(6, 'xs') == [[2, 4, 7, 4, 8]]"),
        ("[L8] For x = 7 the condition is false.", "not any(at(8, 'x in seen', x=7))"),
        ("[L8] For x = 7 the condition is true.", "all(at(8, 'x in seen', x=7))"),
        ("[L11] For the first element 2: `y % 2` is 0, so it contributes 0.", "2 % 2 == 0"),
        ("[L11] For the third element 7: `y % 2` is 0, so it contributes 0.", "7 % 2 == 0"),
        ("[L11] For the third element 7: `y % 2` is 1, so it contributes 7.", "7 % 2 == 1"),
        ("[L11] For the second element 4: it contributes 4.", "4 % 2 == 1"),
        ("[L12] For `z = 7`: `z > 3` is `True`, so it is included.", "7 > 3"),
        ("[L12] For `z = 2`: `z > 3` is `True`, so it is included.", "2 > 3"),
        ("[L12] For `z = 2`: `z > 3` is `False`, so it is not included.", "not 2 > 3"),
        ("[L12] For `z = 4`: `z > 3` is `False`, so it is excluded.", "not 4 > 3"),
        ("[L12] For 7: `z * 10` is 70.", "7 * 10 == 70"),
        ("[L12] For 4: `z * 10` is 70.", "4 * 10 == 70"),
    ],
    "down": [
        ("For n = 2 the function returns [2].", "k(2) == [2]"),
        ("For n = 2 the function returns [4].", "k(2) == [4]"),
        ("For n = 0 the function returns [].", "k(0) == []"),
        ("[L6] For n = 0 the condition is true.", "0 == 0"),
        ("[L6] For n = 2 the condition is true.", "2 == 0"),
        ("assert k(2) == [2, 4]", "k(2) == [2, 4]"),
    ],
}
# True sentences that no claim is read in, or that several places of the run could mean.
ROWS = [(name, text, code) for name, rows in SENTENCES.items() for text, code in rows]


class Record:
    """Holds (line, variables before it) of each step of a call."""

    def __init__(self, program: str, call: str):
        recording = record_plainly(program, call)
        runs = [run for frame in recording.orders.values() for run in frame]
        self.steps = [(run.line + 4, run.before) for run in runs]
        self.space = {**runs[0].scope, "returned": recording.result}

    def at(self, line: int, code: str, **state) -> list:
        return [
            eval(code, {}, dict(known))
            for own, known in self.steps
            if own == line and state.items() <= known.items()
        ]

    def times(self, line: int) -> int:
        return sum(own == line for own, _ in self.steps)

    def diff(self, first: int, last: int, name: str) -> list:
        pairs = zip(self.at(first, name), self.at(last, name), strict=True)
        return [after - before for before, after in pairs]

    def holds(self, code: str) -> bool:
        tools = {"at": self.at, "times": self.times, "diff": self.diff}
        return bool(eval(code, {**self.space, **tools}))


RECORDS = {name: Record(*run) for name, run in RUNS.items()}
TRACES = {name: trace_call(*run) for name, run in RUNS.items()}


def _verdict(name: str, text: str) -> str:
    claims = verify_trace(TRACES[name], HEAD + text)
    return line_verdicts(claims).get(2 + text.count("\n"), "unchecked")


@pytest.mark.parametrize(("name", "text", "code"), ROWS)
def test_short_sentence(name, text, code):
    wrong = CONTRADICTED if RECORDS[name].holds(code) else CONFIRMED
    assert _verdict(name, text) != wrong


def test_most_are_decided():
    judged = [(RECORDS[name].holds(code), _verdict(name, text)) for name, text, code in ROWS]
    found = [verdict == CONTRADICTED for true, verdict in judged if not true]
    confirmed = [verdict == CONFIRMED for true, verdict in judged if true]
    assert sum(found) >= 0.8 * len(found)
    assert sum(confirmed) >= 0.8 * len(confirmed)
