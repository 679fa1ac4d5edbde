"""Tests diagnoses: cases read by hand, and planted false statements that must be found."""

import random
import re

import pytest

from data_pipeline.execution.service import TraceLimits, call_job
from data_pipeline.faults.alignment import find_divergence, likeness, match_lines
from data_pipeline.faults.check import complaints
from data_pipeline.faults.diagnosis import DiagnosisError, diagnose
from data_pipeline.faults.folding import fold_statements
from data_pipeline.tracing import trace_call
from tests.support.mutants import mutants
from tests.support.sandboxes import LIMITS, open_sandbox

RIGHT = """def double(x):
    return 2 * x


def f(xs, n):
    total = 0
    for x in xs:
        if x <= n:
            total += double(x)
    if total > 100:
        return None
    return total
"""
CALL = "f([1, 5, 2, 9], 2)"  # by hand: 2 + 4 = 6


class First:
    """A random source that takes the first wording."""

    def choice(self, options):
        return options[0]


def told(old: str, new: str, call: str = CALL, program: str = RIGHT, expected: str = "6"):
    buggy = program.replace(old, new, 1)
    assert buggy != program
    right_run, buggy_run = (
        fold_statements(trace_call(program, call)),
        fold_statements(trace_call(buggy, call)),
    )
    diagnosis = diagnose(right_run, buggy_run, expected, "", First())
    assert complaints(diagnosis, right_run, buggy_run, expected) == []
    return diagnosis


# Each read off the program by hand.
PARTINGS = {
    "state": (
        ("total += double(x)", "total -= double(x)"),
        "line 9 (`total -= double(x)`) leaves total = -2, where total = 2 is needed.",
    ),
    "inside a call, before the line that makes it": (
        ("return 2 * x", "return 3 * x"),
        "line 2 (`return 3 * x`) returns 3, where 2 is needed.",
    ),
    "branch": (
        ("x <= n", "x < n"),
        "line 8 (`if x < n:`) has a condition that is false with x = 2, n = 2, where it must be "
        "true.",
    ),
    "loop that ends early": (
        ("in xs:", "in xs[:2]:"),
        "line 7 (`for x in xs[:2]:`) ends the loop, where iteration 3 must begin with x = 2.",
    ),
    "loop variable": (
        ("in xs:", "in xs[1:]:"),
        "line 7 (`for x in xs[1:]:`) leaves x = 5, where x = 1 is needed.",
    ),
    "exception": (
        ("return 2 * x", "return 2 * y"),
        "line 2 (`return 2 * y`) raises NameError: name 'y' is not defined, where no exception "
        "may arise.",
    ),
    "argument": (
        ("double(x)\n    if", "double(n)\n    if"),
        "line 1 (`def double(x):`) binds x = 2, where x = 1 is needed.",
    ),
    "missing line": (
        ("    total = 0\n", ""),
        "Then `total = 0` is missing: `total = 0` must run and leave total = 0, but the run goes "
        "on at line 6 (`for x in xs:`).",
    ),
    "missing return": (
        ("    return total\n", "    total\n"),
        "line 12 (`total`) returns None, where 6 is needed.",
    ),
    "early return": (
        ("    return total\n", "        return total\n"),
        # Four spaces more put it into the block of `if total > 100`, after its own return.
        "Then f returns None, where `return total` must run.",
    ),
}


@pytest.mark.parametrize("case", sorted(PARTINGS))
def test_where_the_runs_part(case):
    (old, new), sentence = PARTINGS[case]
    assert sentence in told(old, new)


def test_the_whole_diagnosis():
    program = "def f(n):\n    k = 1\n    while k <= n:\n        k = k * 2\n    return k\n"
    assert told("k <= n", "k < n", "f(2)", program, "4") == (
        "### Execution Simulation\n"
        "The failed test calls f(2) and asserts 4.\n"
        "1. Line 1 (`def f(n):`): the call binds n = 2.\n"
        "2. Line 2 (`k = 1`): k = 1.\n"
        "3. Line 3 (`while k < n:`): the condition is true, iteration 1 begins.\n"
        "4. Line 4 (`k = k * 2`): k = 2.\n"
        "5. Line 3 (`while k < n:`): the condition is false, the loop ends.\n"
        "6. Line 5 (`return k`): f returns 2.\n"
        "\n"
        "### Root Cause Analysis\n"
        "Step 5 is the first to go wrong: line 3 (`while k < n:`) has a condition that is false "
        "with k = 2, n = 2, where it must be true. So f(2) returns 2, where 4 is asserted.\n"
        "\n"
        "### Repair\n"
        "Line 3 must read `while k <= n:`."
    )


def test_generators():
    program = (
        "def pairs(xs):\n    for x in xs:\n        yield x, x + 1\n    yield 'end'\n\n\n"
        "def f(xs):\n    return list(pairs(xs))\n"
    )
    call, expected = "f([1, 2])", "[(1, 2), (2, 3), 'end']"
    assert "line 3 (`yield x, x + 2`) hands out (1, 3), where (1, 2) is needed." in told(
        "x + 1", "x + 2", call, program, expected
    )
    assert "Then pairs returns None, where pairs must hand out 'end'." in told(
        "    yield 'end'", "    return", call, program, expected
    )
    assert "`yield 'end'` is missing: pairs must hand out 'end', but pairs returns None." in told(
        "    yield 'end'\n", "", call, program, expected
    )


def test_generators_that_go_on():
    program = (
        "def pairs(xs):\n    for x in xs:\n        yield x\n    return\n\n\n"
        "def f(xs):\n    return list(pairs(xs))\n"
    )
    assert (
        "Then the run goes on at line 4 (`return`), where `for x in xs:` must run and leave x = 2."
    ) in told("    return\n\n", "        return\n\n", "f([1, 2])", program, "[1, 2]")


def test_long_runs_are_shortened_around_the_parting():
    program = "def f(n):\n    k = 0\n    for i in range(n):\n        k += i\n    return k\n"
    diagnosis = told("k += i", "k += i if i != 40 else 0", "f(60)", program, str(sum(range(60))))
    steps = re.findall(r"^(\d+)\.", diagnosis, re.M)
    assert len(steps) < 25
    assert "84" in steps  # call, k = 0, 40 turns of two steps, header, this one
    assert "Step 84 is the first to go wrong" in diagnosis
    assert "(Steps 7 to 76 are left out.)" in diagnosis


def test_statements_over_several_lines_are_one_step():
    program = "def f(a, b):\n    c = sum([\n        a,\n        b,\n    ])\n    return c\n"
    diagnosis = told("        b,\n", "        a,\n", "f(1, 2)", program, "3")
    assert diagnosis.count("Line 2 (") == 1
    assert "line 2 (`c = sum([`) leaves c = 2, where c = 3 is needed." in diagnosis
    assert "The line at fault is line 4 (`a,`)." in diagnosis


def test_moved_lines_keep_their_headers_matched():
    right = "a\nn = 0\nfor x in xs:\n    n += x\nb"
    buggy = "a\nfor x in xs:\n    n = 0\n    n += x\nb"
    assert match_lines(right, buggy) == {1: 1, 3: 2, 4: 4, 5: 5}
    assert match_lines("a\nb\nc", "a\nB\nc") == {1: 1, 2: 2, 3: 3}
    assert match_lines("a\nb\nc", "a\nc") == {1: 1, 3: 2}
    changed = match_lines("a\nif x:\n  y\ncount = x + 1\nb", "a\ncount = x - 1\nb")
    assert changed == {1: 1, 4: 2, 5: 3}


def test_likeness():
    assert likeness("a\nb\nc\nd", "a\nb\nx\nd") == 0.75
    assert likeness("a\nb", "c\nd") == 0.0


def test_the_same_run_has_no_parting():
    trace = trace_call(RIGHT, CALL)
    with pytest.raises(ValueError, match="no difference"):
        find_divergence(trace, trace_call(RIGHT.replace("> 100", "> 101"), CALL))
    assert trace.result == "6"


def test_long_values_are_refused():
    program = "def f(n):\n    return [0] * n\n"
    traces = [trace_call(text, "f(80)") for text in (program, program.replace("[0]", "[1]"))]
    with pytest.raises(DiagnosisError, match="too long"):
        diagnose(*traces, str([0] * 80), "", random.Random(0))


# ---- planted untruths --------------------------------------------------------------------------

PROGRAMS = {
    "f([1, 5, 2, 9], 2)": RIGHT,
    "f('aXbY', 3)": """def f(text, k):
    out = []
    i = 0
    while i < len(text):
        ch = text[i]
        if ch.isupper() and k > 0:
            out.append(ch.lower())
            k -= 1
        elif ch == 'b':
            out.append(ch * 2)
        i += 1
    return ''.join(out) + str(k)
""",
    "f({'a': [3, 1], 'b': [7]})": """def f(groups):
    best = None
    for name, values in groups.items():
        for value in sorted(values):
            if best is None or value > best[1]:
                best = (name, value)
    try:
        return best[0] * best[1]
    except TypeError:
        return 'none'
""",
}


def traced_mutants(program: str, call: str):
    """Yields (mutant, its trace), traced in the sandbox, because a mutant may never end."""
    made = list(mutants(program))
    jobs = [call_job(mutant.text, call, trace=TraceLimits(max_lines=400)) for mutant in made]
    with open_sandbox(workers=1, limits=LIMITS) as sandbox:
        for mutant, result in zip(made, sandbox.map(jobs), strict=True):
            if result.trace is not None:
                yield mutant, result.trace


def true_diagnoses():
    for call, program in PROGRAMS.items():
        right = fold_statements(trace_call(program, call, max_lines=400))
        for mutant, trace in traced_mutants(program, call):
            buggy = fold_statements(trace)
            if (buggy.result, buggy.raised) != (right.result, right.raised):
                try:
                    diagnosis = diagnose(right, buggy, str(right.result), mutant.why, First())
                except DiagnosisError:
                    continue
                yield diagnosis, right, buggy, mutant.why


def planted(diagnosis: str, rng: random.Random):
    """The diagnosis with one untruth: a number, a branch, a string, or a line of code changed."""
    body = diagnosis
    spots = [
        (m.start(), m.end(), str(int(m[0]) + rng.choice([1, 2, 10])))
        for m in re.finditer(r"(?<![\w.'`])\d+(?![\w.'])", body)
    ]
    swaps = {"is true": "is false", "is false": "is true", "the loop ends": "iteration 2 begins",
             "must be true": "must be false", "must be false": "must be true",
             "is left": "no variable changes"}  # fmt: skip
    for old, new in swaps.items():
        spots += [(m.start(), m.end(), new) for m in re.finditer(re.escape(old), body)]
    start, end, new = rng.choice(spots)
    return body[:start] + new + diagnosis[end:]


def test_true_diagnoses_pass_and_planted_untruths_are_found():
    rng = random.Random(0)
    found = true = 0
    missed = []
    for diagnosis, *told in true_diagnoses():
        right, buggy, why = told
        expected = str(right.result)
        assert complaints(diagnosis, right, buggy, expected, why) == []
        true += 1
        for _ in range(6):
            untrue = planted(diagnosis, rng)
            if complaints(untrue, right, buggy, expected, why):
                found += 1
            else:
                missed.append((diagnosis, untrue))
    assert true > 60
    assert len(missed) <= 0.01 * (found + len(missed)), missed[0][1]


def test_branches_on_one_line():
    program = "def f(xs):\n    if len(xs) > 1: return len(xs)\n    else: return xs[0]\n"
    assert "line 3 (`else: return -xs[0]`) returns -3, where 3 is needed." in told(
        "xs[0]", "-xs[0]", "f([3])", program, "3"
    )
