"""Tests the step verifier: it accepts true monologues, finds planted errors, and ignores prose."""

import itertools
import json
import random
import re
import subprocess
import sys

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.monologue.inline import inline_monologue
from data_pipeline.toy.corpus import random_program
from data_pipeline.tracing import trace_call
from data_pipeline.verify import (
    CONFIRMED,
    CONTRADICTED,
    NOT_CHECKABLE,
    VerifyError,
    mark_claims,
    verify_forward,
    verify_trace,
)

PROGRAM = """def f(n, words):
    total = 0
    for word in words:
        if len(word) > n:
            total += len(word)
    return total
"""
CALL = "f(2, ['ab', 'cde'])"
# Written by hand from reading the program.
MONOLOGUE = """### Execution Simulation
1. [L6] 0 gives total=0.
2. [L7] iteration 1 of words=['ab', 'cde'] gives word='ab'.
3. [L8] len(word='ab') > n=2 is False.
4. [L7] iteration 2 of words=['ab', 'cde'] gives word='cde'.
5. [L8] len(word='cde') > n=2 is True.
6. [L9] total=0 + len(word='cde') gives total=3.
7. [L7] iteration 3 of words=['ab', 'cde'] does not start.
8. [L10] return total=3.

### Conclusion
The function returns 3.
[/MONOLOGUE]

[ANSWER]
assert f(2, ['ab', 'cde']) == 3
[/ANSWER]
"""


def contradicted(monologue, program=PROGRAM, call=CALL):
    claims = verify_forward(program, call, monologue)
    return [(c.line, c.kind, c.text, c.truth) for c in claims if c.verdict == CONTRADICTED]


def test_a_true_monologue_is_confirmed_claim_by_claim():
    claims = verify_forward(PROGRAM, CALL, MONOLOGUE)
    assert {claim.verdict for claim in claims} == {CONFIRMED}
    assert [c.text for c in claims if c.line == 7] == [
        "[L9] runs next",
        "total=0",
        "word='cde'",
        "total=3",
        "total + len(word)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("gives total=3", "gives total=5", (7, "value", "total=5", "total=3")),
        ("gives total=3", "gives total=3.0", (7, "value", "total=3.0", "total=3")),
        ("gives total=0", "gives sum=0", (2, "value", "sum=0", "sum has no value")),
        ("word='cde') > n=2", "word='cd') > n=2", (6, "value", "word='cd'", "word='cde'")),
        ("n=2 is False", "n=2 is True", (4, "branch", "True", "False")),
        ("iteration 2 of", "iteration 3 of", (5, "iteration", "iteration 3", "iteration 2")),
        (
            "['ab', 'cde'] does not start",
            "['ab', 'cde'] gives word='x'",
            (8, "value", "word='x'", "word='cde'"),
        ),
        ("8. [L10]", "8. [L8]", (9, "flow", "[L8] runs next", "[L10] runs next")),
        (
            "total=0 + len(word='cde')",
            "total=0 - len(word='cde')",
            (7, "code", "total - len(word)", "total + len(word)"),
        ),
        (
            "3. [L8] len(word='ab') > n=2 is False.\n",
            "",
            (4, "flow", "[L7] runs next", "[L8] runs next"),
        ),
        (
            "8. [L10] return total=3.\n",
            "",
            (8, "flow", "the run ends", "[L10] runs next"),
        ),
        ("returns 3.", "returns True.", (12, "return", "True", "3")),
        ("== 3", "== 4", (16, "answer", f"{CALL} == 4", f"{CALL} == 3")),
        ("f(2, ['ab'", "f(3, ['ab'", (16, "answer", f"{CALL} == 3".replace("2,", "3,"), None)),
    ],
)
def test_a_planted_error_is_found_where_it_stands(old, new, found):
    assert old in MONOLOGUE
    wrong = contradicted(MONOLOGUE.replace(old, new))
    *claim, truth = found
    assert any(list(row[:3]) == claim and truth in (row[3], None) for row in wrong), wrong


def generated_runs(count, seed):
    rng = random.Random(seed)
    while count:
        program = random_program(rng)
        trace = trace_call(program.code, program.call)
        if trace.raised is None:
            count -= 1
            yield trace, inline_monologue(trace)


def test_every_step_of_the_narrator_is_confirmed():
    kinds = set()
    for trace, monologue in generated_runs(400, seed=11):
        claims = verify_trace(trace, monologue)
        wrong = [claim for claim in claims if claim.verdict != CONFIRMED]
        assert not wrong, f"{trace.program}\n{mark_claims(monologue, claims)}"
        steps = len(re.findall(r"^\d+\. \[L", monologue, re.M))
        assert sum(claim.kind == "flow" for claim in claims) == steps
        kinds |= {claim.kind for claim in claims}
    assert kinds == {"flow", "code", "value", "branch", "iteration", "return", "answer"}


def test_every_planted_wrong_value_is_found():
    """A number, truth value or item anywhere in a step's values, changed, is contradicted there."""
    rng = random.Random(5)
    planted = 0
    for trace, monologue in generated_runs(150, seed=12):
        places = [
            match
            for match in re.finditer(
                r"(?<=[a-z]=)\d+|(?<=\bis )(?:True|False)|(?<=\[)\d+", monologue
            )
            if monologue[: match.start()].count("\n") in step_lines(monologue)
            and not re.search(r"\[L?\d*$|\][^ ]*$", monologue[: match.start()].rsplit(" ", 1)[-1])
            and monologue[match.end()] != ":"
        ]
        for match in rng.sample(places, min(3, len(places))):
            old = match[0]
            new = {"True": "False", "False": "True"}.get(old) or str(int(old) + rng.randint(1, 9))
            broken = monologue[: match.start()] + new + monologue[match.end() :]
            line = monologue[: match.start()].count("\n") + 1
            claims = verify_trace(trace, broken)
            at_line = [c for c in claims if c.line == line and c.verdict == CONTRADICTED]
            assert at_line, f"{trace.program}{broken.splitlines()[line - 1]}"
            planted += 1
    assert planted > 300


def step_lines(monologue):
    return {i for i, line in enumerate(monologue.split("\n")) if re.match(r"\d+\. \[L", line)}


def test_the_order_of_two_different_steps_matters():
    for trace, monologue in generated_runs(60, seed=13):
        lines = monologue.split("\n")
        steps = sorted(step_lines(monologue))
        for a, b in itertools.pairwise(steps):
            bodies = [re.sub(r"^\d+\. ", "", lines[i]) for i in (a, b)]
            if bodies[0].split()[0] == bodies[1].split()[0]:
                continue
            swapped = list(lines)
            swapped[a], swapped[b] = lines[b], lines[a]
            claims = verify_trace(trace, "\n".join(swapped))
            assert any(c.verdict == CONTRADICTED and c.line in (a + 1, b + 1) for c in claims)


def test_prose_and_unreadable_values_claim_nothing_false():
    prose = """### Understanding the Function
The function f (see [L6] and [L7]) sums lengths; total=99 is just prose without a label.
- [L6] total is initialised with total=[1, 2
- [L7] gives word='ab'"""
    claims = verify_forward(PROGRAM, CALL, prose)
    assert {c.verdict for c in claims if c.line == 2} == {NOT_CHECKABLE}
    assert contradicted(prose) == []


def test_predictions_are_never_run(tmp_path):
    victim = tmp_path / "victim"
    attack = f"__import__('pathlib').Path({str(victim)!r}).touch()"
    monologue = MONOLOGUE.replace("total=3", f"total={attack}").replace("== 3", f"== {attack}")
    assert contradicted(monologue)
    assert not victim.exists()


def test_a_run_that_raises_contradicts_every_answer():
    wrong = contradicted(MONOLOGUE, PROGRAM, "f(2, [3])")
    assert any(row[1] == "return" and "TypeError" in row[3] for row in wrong)
    assert any(row[1] == "answer" for row in wrong)


def test_bad_programs_are_named():
    with pytest.raises(VerifyError):
        verify_forward("def f(:", "f(1)", MONOLOGUE)
    with pytest.raises(VerifyError):
        verify_forward(PROGRAM, "g(1)", MONOLOGUE)


def test_command(tmp_path, capsys):
    program, monologue = tmp_path / "f.py", tmp_path / "m.txt"
    program.write_text(PROGRAM)
    monologue.write_text(MONOLOGUE.replace("gives total=3", "gives total=5"))
    args = [f"--program={program}", f"--call={CALL}", f"--monologue={monologue}"]
    assert main(args) == 1
    shown = capsys.readouterr().out
    assert "✗ 6. [L9] total=0 + len(word='cde') gives total=5.   ← total=5: total=3" in shown
    assert main([*args, "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(row["verdict"] == CONTRADICTED for row in rows) == 1
    monologue.write_text(MONOLOGUE)
    assert main(args) == 0
    capsys.readouterr()
    assert main([*args[:2], "--monologue=missing.txt"]) == 2
    assert capsys.readouterr().err == "error: missing.txt: No such file or directory\n"
    assert main([*args, "--wat"]) == 2
    assert capsys.readouterr().err.startswith("error: unrecognized arguments: --wat")


def test_the_verifier_needs_no_jax():
    code = "import sys, data_pipeline.verify; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
