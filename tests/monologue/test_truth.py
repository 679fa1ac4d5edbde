"""Tests that what a narrator claims is what plain Python does, claim by claim."""

import ast
import copy
import random

import pytest

from data_pipeline.monologue.backward import narrate_backward
from data_pipeline.monologue.forward import narrate_forward
from data_pipeline.tracing import trace_call
from tests.support.line_recorder import record_plainly
from tests.support.random_runs import random_runs
from tests.support.told_programs import RUNS


def same(value, text):
    """Whether a value is the one that a text spells, types included."""
    try:
        stated = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text.startswith("<")
    return repr_of(value) == repr_of(stated)


def repr_of(value):
    return f"set{sorted(map(repr, value))}" if isinstance(value, set) else repr(value)


class Oracle:
    """Answers claims from a recording of plain Python."""

    def __init__(self, trace):
        self.trace = trace
        self.recorded = record_plainly(trace.program, trace.call)

    def line_run(self, place):
        """Returns the recorded execution of the line at a claim's place."""
        events = self.trace.events
        earlier = [
            e
            for e in events[: place.at + 1]
            if (e.kind, e.frame, e.line) == ("line", place.frame, events[place.at].line)
        ]
        return self.recorded.lines[place.frame, events[place.at].line][len(earlier) - 1]

    def evaluate(self, code, run, extra=()):
        names = {**run.scope, **copy.deepcopy(run.before), **dict(extra)}
        return eval(code, names)

    def check(self, claim):
        """Returns whether plain Python agrees; None if the claim is of no kind that it checks."""
        check = getattr(self, f"check_{claim.kind}", None)
        return None if check is None else check(claim)

    def check_before(self, claim):
        run = self.line_run(claim.place)
        return same(run.before.get(claim.subject, run.scope.get(claim.subject)), claim.value)

    def check_after(self, claim):
        if self.trace.events[claim.place.at].kind == "call":
            return same(self.recorded.arguments[claim.place.frame][claim.subject], claim.value)
        return same(self.line_run(claim.place).after[claim.subject], claim.value)

    def check_evaluates(self, claim):
        run = self.line_run(claim.place)
        line = self.trace.program.split("\n")[claim.place.line - 1].strip()
        extra = run.after if line.startswith("case ") else ()
        return same(self.evaluate(claim.subject, run, extra), claim.value)

    def check_becomes(self, claim):
        run = self.line_run(claim.place)
        return self.evaluate(claim.subject, run) == eval(claim.value, {})

    def check_branch(self, claim):
        run = self.line_run(claim.place)
        return bool(self.evaluate(claim.subject, run)) is (claim.value == "True")

    def check_is(self, claim):
        return self.evaluate(claim.subject, self.line_run(claim.place)) is (claim.value == "True")

    def check_appends(self, claim):
        run = self.line_run(claim.place)
        return same(run.after[claim.subject][-1], claim.value)

    def check_next(self, claim):
        return self.line_run(claim.place).following == int(claim.value)

    def check_returns(self, claim):
        run = self.line_run(claim.place)
        return run.did_return and same(run.returned, claim.value)

    def check_result(self, claim):
        last = self.recorded.orders[claim.place.frame][-1]
        return last.did_return and same(last.returned, claim.value)

    def check_outcome(self, claim):
        return same(self.recorded.result, claim.value)

    def check_turns(self, claim):
        header, body = self.header(claim.place)
        return self.turn_number(claim.place, header, body, whole=True) == int(claim.value)

    def check_turn(self, claim):
        header, body = self.header(claim.place)
        return self.turn_number(claim.place, header, body, whole=False) == int(claim.value)

    def header(self, place):
        for node in ast.walk(ast.parse(self.trace.program)):
            if isinstance(node, ast.For | ast.While) and node.lineno == place.line:
                return node.lineno, (node.body[0].lineno, node.body[-1].end_lineno)
        raise AssertionError(place)

    def turn_number(self, place, header, body, whole):
        """Counts how often the body began, in the execution of the loop that the place is in."""
        target, count, found = self.line_run(place), 0, False
        order = self.recorded.orders[place.frame]
        for run, later in zip(order, [*order[1:], None], strict=True):
            if run.line != header and not body[0] <= run.line <= body[1]:
                if found:
                    return count
                count = 0
            found = found or run is target
            if run.line == header and later is not None and later.line == body[0]:
                count += 1
            elif run.line == header and found:
                return count
            elif run.line == header:
                count = 0
            if found and not whole:
                return count
        return count


def check_narration(trace, narrations):
    oracle = Oracle(trace)
    assert repr_of(oracle.recorded.result) == repr_of(ast.literal_eval(trace.result))
    checked = 0
    for told in narrations:
        for claim in told.claims:
            agrees = oracle.check(claim)
            assert agrees is not False, (trace.program, trace.call, claim, told.text)
            checked += agrees is True
    return checked


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_plain_python_agrees_with_every_claim(number):
    trace = trace_call(*RUNS[number])
    told = [narrate_forward(trace, seed=number), narrate_backward(trace, trace.call, seed=number)]
    assert check_narration(trace, told) > 5


def test_plain_python_agrees_about_random_programs():
    checked = 0
    for trace in random_runs(40, seed=5):
        checked += check_narration(trace, [narrate_forward(trace, seed=1)])
    assert checked > 400


def test_the_oracle_sees_errors():
    """Changed values are denied, so that the tests above can fail."""
    trace = trace_call(*RUNS[0])
    oracle, told = Oracle(trace), narrate_forward(trace)
    rng, denied = random.Random(0), 0
    claims = [c for c in told.claims if c.kind in ("after", "before", "evaluates", "turn", "next")]
    for claim in rng.sample(claims, 20):
        value = f"{claim.value}1" if claim.value.isdigit() else "'other'"
        changed = type(claim)(claim.kind, claim.place, claim.subject, value)
        denied += oracle.check(changed) is False
    assert denied == 20


NECESSITIES = [
    (
        "def f(x):\n    y = x + 1\n    if x < 0:\n        return None\n    z = y * 2\n"
        "    return z - 4\n",
        [f"f({x})" for x in range(-5, 12)],
    ),
    (
        "K = 3\ndef f(xs, n):\n    if n == 0:\n        return 'none'\n"
        "    ys = [x + K for x in xs]\n    return ys, n == 2\n",
        [f"f({xs}, {n})" for xs in ([], [1], [1, 5], [2, 2]) for n in range(4)],
    ),
    (
        "def f(s):\n    s = s + '!'\n    t = 'a' + s\n    return t[::-1]\n",
        [f"f({s!r})" for s in ("", "a", "b", "ab", "ba", "!")],
    ),
    (
        "def f(xs, c):\n    out = []\n    for x in xs:\n        out.append(x % 2)\n"
        "    out.append(c)\n    return out\n",
        [f"f({xs}, {c})" for xs in ([], [1], [3], [1, 2], [5, 4]) for c in (0, 1)],
    ),
    (
        "def f(a, b):\n    if a > b:\n        return a - 10\n    if a == 3:\n"
        "        return 'three'\n    return -b\n",
        [f"f({a}, {b})" for a in range(6) for b in range(6)],
    ),
]


_OF_ALL_RUNS = ("runs_needed", "adds_needed", "true_needed", "turns_needed")
_NECESSARY = ("must", "holds", "length_needed", "items_needed", *_OF_ALL_RUNS)


def is_so_in_all_runs(claim, recorded, breaks):
    """Whether the line ran as often as told, or added as much, in a run of plain Python."""
    runs = recorded.lines.get((0, claim.place.line), [])
    if claim.kind == "runs_needed":
        return len(runs) == int(claim.value)
    if claim.kind == "turns_needed":  # the header runs once more, at the end
        return int(claim.value) in ([len(runs) - 1, len(runs)] if breaks else [len(runs) - 1])
    values = [eval(claim.subject, {**run.scope, **copy.deepcopy(run.before)}) for run in runs]
    if claim.kind == "true_needed":
        return sum(map(bool, values)) == int(claim.value)
    told = ast.literal_eval(claim.value)
    if isinstance(told, list):
        return values == told
    return ("".join(values) if isinstance(told, str) else sum(values)) == told


LOOPS = {  # how a variable is built up -> arguments
    "total = 4\n    for x in xs:\n        total += x\n    return total": ["xs"],
    "total = 0\n    for x in xs:\n        if x > n:\n            total += x * 2\n    return -total":
        ["xs", "n"],
    "count = 1\n    for x in xs:\n        if x == n:\n            count += 1\n    return count, n":
        ["xs", "n"],
    "count = 0\n    for x in xs:\n        for y in xs:\n            if x < y:\n"
    "                count += 2\n                if y > n:\n                    break\n"
    "    return count": ["xs", "n"],
    "out = []\n    for x in xs:\n        if x % 2:\n            out.append(x + n)\n    return out":
        ["xs", "n"],
    "out = []\n    for x in xs:\n        y = x * n\n        out.append(y)\n"
    "        if y > 3:\n            break\n    return out": ["xs", "n"],
    "s = 'a'\n    for x in xs:\n        if x == n:\n            continue\n        s += str(x)\n"
    "    return s": ["xs", "n"],
    "s = ''\n    i = 0\n    for x in xs:\n        while i < x:\n            s += '*'\n"
    "            i += 1\n    return s": ["xs"],
    "count = 0\n    for x in xs:\n        if x > n:\n            count += 1\n    count += n\n"
    "    return count": ["xs", "n"],
    "count = 0\n    for x in xs:\n        try:\n            if n // x:\n"
    "                1 // (x - 1)\n                count += 1\n        except ZeroDivisionError:\n"
    "            pass\n    return count": ["xs", "n"],
    "out = []\n    for x in xs:\n        out.append(x)\n        if x > n:\n"
    "            out.clear()\n    return out": ["xs", "n"],
    "out = []\n    also = out\n    for x in xs:\n        out.append(x)\n        also.append(n)\n"
    "    return out": ["xs", "n"],
    "out = []\n    for x in xs:\n        for y in [x, n]:\n            out.append([y])\n"
    "    if out:\n        out[0][0] = 7\n    return out": ["xs", "n"],
    "total = 0\n    for x in xs:\n        total += x\n        if x == n:\n            total = 0\n"
    "    return total": ["xs", "n"],
}  # fmt: skip
LISTS = ([], [1], [2], [1, 2], [2, 1], [3, 0], [1, 1, 1], [0, 3, 2], [1, 2, 3])


@pytest.mark.parametrize("body", LOOPS)
def test_what_a_loop_must_do_is_so_for_every_input_with_the_output(body):
    names = LOOPS[body]
    program = f"def f({', '.join(names)}):\n    {body}\n"
    calls = [f"f({xs}, {n})" for xs in LISTS for n in range(3)]
    if len(names) == 1:
        calls = [f"f({xs})" for xs in LISTS]
    check_necessities(program, calls, least=0, step=4)


def test_what_loops_must_do_is_told():
    """The loops above that one statement builds up are told, and the others are not."""
    told = {}
    for body, names in LOOPS.items():
        program, call = f"def f({', '.join(names)}):\n    {body}\n", "f([1, 2, 3], 1)"
        call = call if len(names) == 2 else "f([1, 2, 3])"
        claims = narrate_backward(trace_call(program, call), call).claims
        told[body] = {claim.kind for claim in claims} & set(_OF_ALL_RUNS)
    expected = [
        {"adds_needed"}, {"adds_needed"}, {"runs_needed", "true_needed"},
        {"runs_needed", "true_needed"}, {"adds_needed", "true_needed"},
        {"adds_needed", "turns_needed"}, {"adds_needed"}, {"runs_needed"},
    ]  # fmt: skip
    assert list(told.values())[: len(expected)] == expected
    assert [kinds for kinds in list(told.values())[-4:] if kinds] == []


@pytest.mark.parametrize(("program", "calls"), NECESSITIES)
def test_what_must_be_is_so_for_every_input_with_the_output(program, calls):
    check_necessities(program, calls, least=11)


def check_necessities(program, calls, least, step=1):
    """Runs plain Python on all inputs: those with the same output satisfy each necessity."""
    recordings = {call: record_plainly(program, call) for call in calls}
    necessary, breaks = 0, "break" in program
    for call in calls[::step]:
        trace = trace_call(program, call)
        told = narrate_backward(trace, call)
        for claim in told.claims:
            if claim.kind not in _NECESSARY:
                continue
            for recorded in recordings.values():
                if repr(recorded.result) == repr(ast.literal_eval(trace.result)):
                    if claim.kind in _OF_ALL_RUNS:
                        necessary += 1
                        assert is_so_in_all_runs(claim, recorded, breaks), (claim, told.text)
                        continue
                    run = recorded.lines[0, claim.place.line][-1]
                    value = eval(claim.subject, {**run.scope, **copy.deepcopy(run.before)})
                    necessary += 1
                    if claim.kind == "length_needed":
                        assert len(value) == int(claim.value), (claim, told.text)
                    elif claim.kind == "items_needed":
                        assert list(value) == ast.literal_eval(claim.value), claim
                    else:
                        assert value == ast.literal_eval(claim.value), (claim, told.text)
    assert necessary >= least


def test_a_single_input_of_many_is_a_choice():
    """Two inputs give the output, so neither is called necessary."""
    program = "def f(x, y):\n    return abs(x) + len(y)\n"
    for call in ("f(-2, 'ab')", "f(2, 'cd')", "f(4, '')"):
        told = narrate_backward(trace_call(program, call), call)
        must = [c for c in told.claims if c.kind == "must"]
        assert {c.subject for c in must} == {"abs(x) + len(y)"}, told.text
