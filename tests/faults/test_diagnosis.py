"""Tests diagnoses: cases read by hand, repairs made by hand, and false claims that are refused."""

import ast
import dataclasses
import random
import re
from pathlib import Path

import pytest

from data_pipeline import faults
from data_pipeline.claims import PROVEN, Claim, Place
from data_pipeline.execution.service import TraceLimits, call_job
from data_pipeline.faults.alignment import find_divergence, likeness, match_lines
from data_pipeline.faults.diagnosis import DiagnosisError, diagnose
from data_pipeline.faults.forms import FAULT_FORMS
from data_pipeline.faults.proof import TwoRuns
from data_pipeline.monologue.forms import FORMS
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, line_verdicts, verify_trace
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


def told(old: str, new: str, call: str = CALL, program: str = RIGHT, expected: str = "6"):
    buggy = program.replace(old, new, 1)
    assert buggy != program
    return diagnose(trace_call(program, call), trace_call(buggy, call), expected, "0").text


# Each read off the program by hand.
PARTINGS = {
    "state": (
        ("total += double(x)", "total -= double(x)"),
        "line 9 (`total -= double(x)`) leaves `total` = -2, where `total` = 2 is needed.",
    ),
    "inside a call, before the line that makes it": (
        ("return 2 * x", "return 3 * x"),
        "line 2 (`return 3 * x`) returns 3, where 2 is needed.",
    ),
    "branch": (
        ("x <= n", "x < n"),
        "with `x` = 2 and `n` = 2, the condition of line 8 (`if x < n:`) is false, where it must "
        "be true. ",
    ),
    "loop that ends early": (
        ("in xs:", "in xs[:2]:"),
        "line 7 (`for x in xs[:2]:`) ends the loop after iteration 2, where iteration 3 must begin "
        "with `x` = 2.",
    ),
    "loop variable": (
        ("in xs:", "in xs[1:]:"),
        "line 7 (`for x in xs[1:]:`) leaves `x` = 5, where `x` = 1 is needed.",
    ),
    "exception": (
        ("return 2 * x", "return 2 * y"),
        "line 2 (`return 2 * y`) raises NameError: name 'y' is not defined, where no exception "
        "may arise.",
    ),
    "argument": (
        ("double(x)\n    if", "double(n)\n    if"),
        "line 1 (`def double(x):`) binds `x` = 2, where `x` = 1 is needed.",
    ),
    "missing line": (
        ("    total = 0\n", ""),
        "Then the run goes on at line 6 (`for x in xs:`), where `total = 0` must run and leave "
        "`total` = 0; `total = 0` is missing.",
    ),
    "missing return": (
        ("    return total\n", "    total\n"),
        "line 12 (`total`) returns None, where 6 is needed.",
    ),
    "early return": (
        ("    return total\n", "        return total\n"),
        # Four spaces more put it into the block of `if total > 100`, after its own return.
        "Then `f` returns None, where `return total` must run.",
    ),
}


@pytest.mark.parametrize("case", sorted(PARTINGS))
def test_where_the_runs_part(case):
    (old, new), sentence = PARTINGS[case]
    assert sentence in told(old, new)


def test_the_whole_diagnosis():
    program = "def f(n):\n    k = 1\n    while k <= n:\n        k = k * 2\n    return k\n"
    text = told("k <= n", "k < n", "f(2)", program, "4")
    assert text.startswith(
        "### Execution Simulation\nThe failed test calls f(2) and asserts 4.\n1. Line 1 (`def f"
    )
    steps = re.findall(r"^(\d+)\. Line (\d+) ", text, re.M)
    assert steps == [("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "3"), ("6", "5")]
    cause = text.split("### Root Cause Analysis\n")[1]
    assert "with `k` = 2 and `n` = 2, the condition of line 3 (`while k < n:`) is false" in cause
    assert "`k <= n` would be True here. So f(2) returns 2, where 4 is asserted.\n" in cause
    assert cause.endswith(
        "### Repair\nLine 3 (`while k < n:`) must read `while k <= n:`. With that, f(2) returns 4."
    )


GENERATOR = """def pairs(xs):
    for x in xs:
        yield x, x + 1
    yield 'end'


def f(xs):
    return list(pairs(xs))
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x + 1", "x + 2", "line 3 (`yield x, x + 2`) yields (1, 3), where (1, 2) is needed."),
        (
            "    yield 'end'",
            "    return",
            "Then the run goes on at line 4 (`return`), where 'end' must be yielded.",
        ),
        (
            "    yield 'end'\n",
            "",
            "Then `pairs` returns None, where 'end' must be yielded; `yield 'end'` is missing.",
        ),
    ],
)
def test_generators(old, new, said):
    assert said in told(old, new, "f([1, 2])", GENERATOR, "[(1, 2), (2, 3), 'end']")


def test_generators_that_go_on():
    program = (
        "def pairs(xs):\n    for x in xs:\n        yield x\n    return\n\n\n"
        "def f(xs):\n    return list(pairs(xs))\n"
    )
    assert (
        "Then the run goes on at line 4 (`return`), where `for x in xs:` must run and leave "
        "`x` = 2."
    ) in told("    return\n\n", "        return\n\n", "f([1, 2])", program, "[1, 2]")


def test_long_runs_are_shortened_around_the_parting():
    program = "def f(n):\n    k = 0\n    for i in range(n):\n        k += i\n    return k\n"
    diagnosis = told("k += i", "k += i if i != 40 else 0", "f(60)", program, str(sum(range(60))))
    steps = re.findall(r"^(\d+)\.", diagnosis, re.M)
    assert len(steps) < 25
    assert "84" in steps  # call, k = 0, 40 turns of two steps, header, this one
    assert re.search(r"[Ss]tep 84\b", diagnosis.split("### Root")[1])
    # By hand: turn 38 is the next, after 37 turns that added 0 to 36.
    left_out = (
        "(Steps 7 to 76 are left out; before the next one `n` is 60, `k` is 666 and `i` is 36.)"
    )
    assert left_out in diagnosis


def test_statements_over_several_lines_are_one_step():
    program = "def f(a, b):\n    c = sum([\n        a,\n        b,\n    ])\n    return c\n"
    diagnosis = told("        b,\n", "        a,\n", "f(1, 2)", program, "3")
    assert diagnosis.count("Line 2 (") == 1
    assert "line 2 (`c = sum([`) leaves `c` = 2, where `c` = 3 is needed." in diagnosis
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
        diagnose(*traces, str([0] * 80), "0")


# ---- claims, proven and refused

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
    made = list(mutants(program))[::2]
    jobs = [call_job(mutant.text, call, trace=TraceLimits(max_lines=400)) for mutant in made]
    with open_sandbox(workers=1, limits=LIMITS) as sandbox:
        for mutant, result in zip(made, sandbox.map(jobs), strict=True):
            if result.trace is not None:
                yield mutant, result.trace


@pytest.fixture(scope="module")
def diagnoses():
    """(diagnosis, right run, buggy run) of the variants of some programs."""
    found = []
    for call, program in PROGRAMS.items():
        right = trace_call(program, call, max_lines=400)
        for mutant, buggy in traced_mutants(program, call):
            if (buggy.result, buggy.raised) != (right.result, right.raised):
                try:
                    made = diagnose(right, buggy, str(right.result), mutant.text)
                except DiagnosisError:
                    continue
                found.append((made, right, buggy))
    assert len(found) > 30
    return found


def test_a_diagnosis_is_its_sentences_and_each_has_claims(diagnoses):
    for made, _, _ in diagnoses[::3]:
        rest = re.sub(r"^\(Steps \d+ (?:to|and) \d+ are left out.*\)$", "", made.text, flags=re.M)
        assert all(sentence.claims for sentence in made.sentences)
        for sentence in sorted(made.sentences, key=lambda one: -len(one.text)):
            rest = rest.replace(sentence.text, "")
        left = re.sub(r"^\d+\. Line \d+ \(`.*`\):|^### .*", "", rest, flags=re.M)
        assert not left.strip(), left


def proof_of(made, right, buggy):
    """Returns the prover of a diagnosis, which has heard the numbers of its steps."""
    runs = TwoRuns(right, buggy, str(right.result))
    runs.steps += made.steps
    return runs


def falsified(claim, rng):
    """Returns a claim with another value, number or branch; None if it has none."""
    kind = claim.kind.removeprefix("needed ")
    if kind in ("wrong", "right", "comes", "over"):
        return dataclasses.replace(claim, subject=str(int(claim.subject) + 1))
    if kind in ("branch", "is"):
        return dataclasses.replace(claim, value="False" if claim.value == "True" else "True")
    if kind in ("stands", "rewrite", "error", "fails", "asserted", "test", "outcome", "returns"):
        return dataclasses.replace(claim, value=f"{claim.value} + 1")
    if kind in ("after", "before", "turn", "turns", "indent", "indented"):
        other = str(rng.randrange(1000, 2000))
        return dataclasses.replace(claim, value=other)
    if kind in ("code", "missing", "only here", "enters"):
        return dataclasses.replace(claim, subject="other")
    return None


def test_every_claim_is_proven_and_false_ones_are_refused(diagnoses):
    rng, planted = random.Random(0), 0
    for made, right, buggy in diagnoses[::2]:
        runs = proof_of(made, right, buggy)
        if len(runs.steps) < 2:
            continue
        for claim in made.claims:
            assert runs.verdict(claim) == PROVEN, claim
            false = falsified(claim, rng)
            if false is not None:
                planted += 1
                assert runs.verdict(false) != PROVEN, false
    assert planted > 500


def repaired(text: str, buggy: str) -> str | None:
    """Applies a repair as a reader would; None if it says more than to rewrite a line."""
    lines = buggy.split("\n")
    words = text.split("### Repair\n")[1].split(" With that, ")[0]
    for number, old, new in re.findall(r"Line (\d+) \(`(.*?)`\) must read `(.*?)`\.", words):
        assert lines[int(number) - 1].strip() == old
        lines[int(number) - 1] = lines[int(number) - 1].replace(old, new)
    only = re.sub(r"Line \d+ \(`.*?`\) must read `.*?`\.", "", words).strip()
    return None if only else "\n".join(lines)


def test_the_repair_makes_the_right_program(diagnoses):
    applied = 0
    for made, right, buggy in diagnoses:
        result = repaired(made.text, buggy.program)
        if result is not None:
            applied += 1
            assert ast.dump(ast.parse(result)) == ast.dump(ast.parse(right.program))
    assert applied > 20


def test_the_steps_hold_in_the_verifier(diagnoses):
    """The verifier reads free text against the failing run and shares nothing with the claims."""
    counts = {}
    for made, _, buggy in diagnoses[::6]:
        lines = made.text.split("\n")
        for number, verdict in line_verdicts(verify_trace(buggy, made.text)).items():
            if re.match(r"\d+\. ", lines[number - 1]):
                counts[verdict] = counts.get(verdict, 0) + 1
                assert verdict != CONTRADICTED, lines[number - 1]
    assert counts["confirmed"] + counts.get("runs", 0) > 0.9 * sum(counts.values())


def test_two_runs_that_part_earlier_are_not_said_to_part_later():
    right = trace_call(RIGHT, CALL)
    buggy = trace_call(RIGHT.replace("2 * x", "3 * x"), CALL)
    made = diagnose(right, buggy, "6", "0")
    runs = proof_of(made, right, buggy)
    [wrong] = [claim for claim in made.claims if claim.kind == "wrong"]
    later = len(runs.steps)
    assert runs.verdict(wrong) == PROVEN
    place = runs.steps[later - 1]
    for index in range(len(right.events)):
        assert runs.verdict(Claim("wrong", place, str(later), str(index))) != PROVEN
    assert runs.verdict(Claim("right", place, str(later), str(len(buggy.events)))) != PROVEN
    assert runs.verdict(Claim("repaired", Place(0))) != PROVEN  # no edit has been claimed


def test_the_room_holds_no_prose_of_its_own():
    """What a diagnosis says stands in forms, and a form states claims."""
    assert all(kinds and words for kinds, words in FAULT_FORMS.values())
    assert all(FAULT_FORMS[name] is form for name, form in FORMS.items())
    known = set(FAULT_FORMS) | {kind for kinds, _ in FAULT_FORMS.values() for kind in kinds}
    for name in ("telling", "diagnosis", "repair"):
        tree = ast.parse((Path(faults.__file__).parent / f"{name}.py").read_text())
        silent = {
            n for node in ast.walk(tree) if isinstance(node, ast.Raise) for n in ast.walk(node)
        }
        silent |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        prose = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and node not in silent
            and isinstance(node.value, str)
            and re.search(r"[a-z]{2,} [a-z]{2,}", node.value)
        ]
        assert set(prose) <= known | {"too many lines differ"}, name
        made = [node.func.id for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
        assert not {"Clause", "Sentence"} & set(made)


def test_branches_on_one_line():
    program = "def f(xs):\n    if len(xs) > 1: return len(xs)\n    else: return xs[0]\n"
    assert "line 3 (`else: return -xs[0]`) returns -3, where 3 is needed." in told(
        "xs[0]", "-xs[0]", "f([3])", program, "3"
    )
