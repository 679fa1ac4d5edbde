"""Tests faults of PyX-R end to end: real functions in the sandbox, compared with fresh runs."""

import ast
import json
import re
from collections import Counter
from random import Random

import pytest

from data_pipeline.commands.faults import main
from data_pipeline.execution.oracles import is_equal
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.faults import Fault, failed_test, faults, faults_of
from data_pipeline.faults.mutant import Mutant
from data_pipeline.faults.search import RUN_LIMITS, leaked_lines
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import parse_record, read_jsonl, record_to_row
from data_pipeline.seeds import Seed
from data_pipeline.source.literals import parse_literal
from data_pipeline.testcases import Case

RUNS = """def runs(text):
    found = []
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or text[i] != text[start]:
            found.append((text[start], i - start))
            start = i
    return found
"""
MERGE = """import heapq

def smallest(k, values, key=None):
    # The k smallest, in order.
    heap = []
    for value in values:
        heapq.heappush(heap, value if key is None else -value)
    result = []
    while heap and len(result) < k:
        result.append(heapq.heappop(heap))
    return result
"""
GCD = """def gcd(a, b):
    while b:
        a, b = b, a % b
    return abs(a)


def reduced(p, q):
    if q == 0:
        raise ZeroDivisionError(p)
    d = gcd(p, q)
    return (p // d, q // d)
"""
FUNCTIONS = {
    "runs": (RUNS, ["runs('aabccc')", "runs('')", "runs('x')"]),
    "smallest": (MERGE, ["smallest(2, [5, 1, 4])", "smallest(3, [2, 2])", "smallest(0, [1])"]),
    "reduced": (GCD, ["reduced(6, 4)", "reduced(-9, 3)", "reduced(5, 7)"]),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as made:
        yield made


def explored(sandbox, name, code=None, calls=None, nl="What to do, in words.") -> tuple:
    """(seed, cases) of a function, run in the sandbox."""
    known = FUNCTIONS.get(name, (None, None))
    code, calls = code or known[0], calls or known[1]
    seed = Seed(f"{name:x<12}", name, code, nl, tuple(calls), (), "tests:1")
    jobs = [call_job(code, call, trace=TraceLimits()) for call in calls]
    cases = [
        Case(call, repr(result.outcome.python()), result.trace)
        for call, result in zip(calls, sandbox.map(jobs), strict=True)
        if result.kind == "value"
    ]
    return seed, cases


@pytest.fixture(scope="module")
def kept(sandbox) -> list[Fault]:
    return [
        fault
        for name in FUNCTIONS
        for fault in faults(*explored(sandbox, name), sandbox, limit=8).kept
    ]


def test_kept_faults_fail_their_test_and_the_repair_passes_it(kept):
    assert len(kept) == 24
    assert len({fault.operator for fault in kept}) >= 10
    with Sandbox(workers=1) as fresh:
        for fault in kept:
            expected = parse_literal(fault.expected)
            buggy = fresh.run(call_job(fault.buggy, fault.call, trace=RUN_LIMITS))
            assert not is_equal(buggy, expected)
            assert is_equal(fresh.run(call_job(fault.refined, fault.call)), expected)
            assert failed_test(f"assert {fault.call} == {fault.expected}", buggy.trace) == (
                fault.error
            )


def test_a_record_has_the_release_s_form(kept):
    for fault in kept:
        record = fault.record()
        prompt = training_prompt(record)
        assert prompt.endswith(f"### Failed Test\n```python\n{fault.error}\n```\n\n")
        assert f"### Buggy Solution\n```python\n{fault.buggy}\n```\n" in prompt
        assert fault.error.startswith(f"assert {fault.call} == {fault.expected}\n")
        assert "# [INPUT]" in fault.error
        # As upstream's runner reads an answer: the first Python fence.
        opened = record.response.index("```python\n") + len("```python\n")
        repair = record.response[opened : record.response.index("```", opened)]
        assert repair.rstrip("\n") == fault.refined
        assert record.response.rstrip().endswith("[/Refined]")
        assert parse_record(json.loads(json.dumps(record_to_row(record))), "x:1") == record


def test_the_same_seed_gives_the_same_faults_with_any_number_of_workers(sandbox, kept):
    with Sandbox(workers=1) as alone:
        again = [
            fault
            for name in FUNCTIONS
            for fault in faults(*explored(alone, name), alone, limit=8).kept
        ]
    assert [fault.record() for fault in again] == [fault.record() for fault in kept]
    other = faults(*explored(sandbox, "runs"), sandbox, limit=8, random_seed=1).kept
    assert {f.buggy for f in other} != {f.buggy for f in kept if f.seed_id == "runsxxxxxxxx"}


def test_crashes_are_at_most_half(kept):
    by_seed = Counter(fault.seed_id for fault in kept)
    crashes = Counter(fault.seed_id for fault in kept if " raises " in fault.error.split("\n")[1])
    assert all(crashes[seed] <= count / 2 for seed, count in by_seed.items())


def test_nothing_of_the_reference_is_in_the_prompt(sandbox):
    """A marker on each line of the reference, in turn, that the variant has lost."""
    lines = RUNS.rstrip("\n").split("\n")
    seen = 0
    for number in range(1, len(lines)):
        marked = list(lines)
        marked[number] += f"  # marker-{number}"
        code = "\n".join(marked) + "\n"
        seed, cases = explored(sandbox, "runs", code, FUNCTIONS["runs"][1], nl="")
        statement = lines[number].strip()
        wrong = lines[number].replace(statement, "pass" if statement[-1] != ":" else "if i:")
        variant = Mutant("model", code.replace(marked[number], wrong))
        found = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1)
        for fault in found.kept:
            seen += 1
            assert f"marker-{number}" not in fault.fault
            assert f"marker-{number}" in fault.response
            assert not list(leaked_lines(fault))
    assert seen >= 4


def test_a_problem_that_gives_the_repair_away_is_refused(sandbox):
    seed, cases = explored(sandbox, "runs", nl="Do `start = i` after each run.")
    variant = Mutant("dropped_statement", RUNS.replace("            start = i\n", ""))
    found = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1)
    assert not found.kept
    assert found.refused == {"the prompt holds a line of the repair": 1}


def test_without_words_the_problem_is_its_tests(sandbox):
    seed, cases = explored(sandbox, "runs", nl="")
    [fault] = faults(seed, cases, sandbox, limit=1).kept
    assert fault.problem == (
        "Write a Python function `runs(text)` that satisfies:\n"
        "assert runs('') == []\nassert runs('x') == [('x', 1)]\n"
        "assert runs('aabccc') == [('a', 2), ('b', 1), ('c', 3)]"
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        # The same by `==` on every visible test, though not by type.
        ("return found or []", "passes every visible test"),
        ("return [tuple(list(pair)) for pair in found]", "passes every visible test"),
        ("import os; os._exit(0)", "its run cannot be traced: died"),
        ("return ' ' * 10 ** 10", "its run cannot be traced: memory"),
        ("return `found`", "its run cannot be traced: bad_input"),
        ("return [str(i) * 90 for i in range(9)]", "values too long to tell"),
    ],
)
def test_variants_are_refused_by_reason(sandbox, wrong, reason):
    seed, cases = explored(sandbox, "runs")
    variant = Mutant("model", RUNS.replace("return found", wrong))
    found = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1)
    assert (found.kept, dict(found.refused)) == ((), {reason: 1})


def test_two_and_two_point_nought_are_equal_to_a_test(sandbox):
    code = "def half(n):\n    return n // 2\n"
    seed, cases = explored(sandbox, "half", code, ["half(4)", "half(6)"])
    variant = Mutant("arithmetic_operator", code.replace("//", "/"))
    found = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1)
    assert found.refused == {"passes every visible test": 1}


def test_a_loop_that_never_ends_fails_by_its_steps(sandbox):
    code = "def f(n):\n    k = 0\n    while k < n:\n        k += 1\n    return k\n"
    seed, cases = explored(sandbox, "f", code, ["f(3)"])
    variant = Mutant("dropped_statement", code.replace("k += 1", "pass"))
    [fault] = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1).kept
    assert fault.error.split("\n")[1] == ("# f(3) does not end: stopped after more than 2000 steps")
    assert "[OUTPUT]" not in fault.error
    assert "[EXCEPTION]" not in fault.error
    assert (
        "line 4 (`pass`) leaves `k` = 0, where `k` = 1 is needed. "
        "So f(3) does not end: stopped after more than 2000 steps, where 3 is asserted."
    ) in fault.diagnosis


def test_cases_whose_run_is_cut_are_no_tests(sandbox):
    seed, cases = explored(sandbox, "runs")
    other = Case(cases[0].call, "float('nan')", cases[0].trace)
    found = faults(seed, [other], sandbox, limit=2)
    assert not found.kept
    assert found.refused["a test whose run is not told in full"] == 1
    assert found.refused["no test to fail"] == 16


def test_a_program_that_does_not_parse(sandbox):
    seed = Seed("0" * 12, "f", "def f(:", "", (), (), "x:1")
    assert faults(seed, [], sandbox).refused == {"the program does not parse": 1}


def test_real_functions(sandbox, shared_data):
    """MBPP's reference solutions: most give faults, and hardly any diagnosis is not confirmed."""
    rows = [json.loads(line) for line in (shared_data / "mbpp/mbpp.jsonl").open()]
    found, refused, seeds = 0, Counter(), 0
    for row in rows[::90]:
        code = row["code"].replace("\r\n", "\n").replace("\t", "    ").rstrip() + "\n"
        tests = [ast.parse(test).body[0].test for test in row["test_list"]]
        calls = [ast.unparse(test.left) for test in tests if isinstance(test, ast.Compare)]
        name = re.match(r"\w+", calls[0])[0] if calls else ""
        seed, cases = explored(sandbox, name, code, calls or ["f()"], row["text"])
        kept = faults(seed, cases, sandbox, limit=3)
        found += len(kept.kept)
        refused += kept.refused
        seeds += bool(cases)
    assert seeds >= 8
    assert found >= 2 * seeds
    assert refused["diagnosis not confirmed"] <= 0.01 * found


def test_a_run_that_hangs_on_the_hash_seed_is_refused(sandbox):
    code = "def first(words):\n    return sorted(words)[0]\n"
    seed, cases = explored(sandbox, "first", code, ["first(['b', 'c', 'a', 'd'])"])
    variant = Mutant("wrong_function", code.replace("sorted(words)", "list(set(words))"))
    found = faults_of(seed, cases, [variant], sandbox, random=Random(0), limit=1)
    assert not found.kept
    # Under the build's own hash seed it may even be right.
    assert set(found.refused) <= {"its runs differ", "passes every visible test"}


def test_the_command_shows_faults_and_writes_rows(tmp_path, capsys):
    program = tmp_path / "program.py"
    program.write_text(RUNS)
    rows = tmp_path / "rows.jsonl"
    arguments = [f"--program={program}", "--call=runs('aab')", "--call=runs('')", "--limit=2"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.count("### Root Cause Analysis") == 2
    assert main([*arguments, f"--jsonl={rows}"]) == 0
    records = list(read_jsonl(rows))
    assert len(records) == 2
    assert all(record.fault in shown and record.response in shown for record in records)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--call=runs('')"], "--program"),
        (["--program=none.py", "--call=runs('')"], "none.py: No such file"),
        (["--program=program.py", "--call=runs(x)"], "--call=runs(x): "),
        (["--program=program.py", "--call=walks('')"], "'walks'"),
        (["--program=program.py", "--call=runs(3)"], "a literal; got exception"),
        (["--program=program.py", "--call=runs('')", "--limit=0"], "--limit"),
        (["--program=broken.py", "--call=f()"], "syntax error at line 1"),
        (["--program=program.py", "--call=runs('')", "--jsonl=program.py"], "both name program.py"),
    ],
)
def test_the_command_tells_a_mistake_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(RUNS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert (tmp_path / "program.py").read_text() == RUNS
