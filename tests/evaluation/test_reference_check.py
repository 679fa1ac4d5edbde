"""Tests ceilings and floors: every benchmark's references score, wrong answers do not.

What is wrong by construction is decided here by plain Python for a part of it; the references of
the benchmarks are their authors'.
"""

import json

import pytest

from data_pipeline.execution.service import Sandbox
from semcoder_jax.commands.evaluate import main
from semcoder_jax.evaluation.benchmarks import (
    cruxeval,
    evalplus,
    heldout,
    heldout_backward,
    heldout_code,
)
from semcoder_jax.evaluation.benchmarks.cruxeval import CruxEval, CruxEvalProblem
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus
from semcoder_jax.evaluation.benchmarks.known_answers import (
    ANOTHER,
    references,
    wrong_answers,
)
from semcoder_jax.evaluation.benchmarks.livecodebench import (
    LiveCodeBench,
    LiveCodeBenchProblem,
    Test,
)
from semcoder_jax.evaluation.benchmarks.livecodebench_execution import (
    ExecutionProblem,
    LiveCodeBenchExecution,
)
from semcoder_jax.evaluation.reference_check import check_benchmark, format_checks
from tests.support.random_runs import write_problems

FILES = {
    "humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus.jsonl.gz",
}
CRUXEVAL = "cruxeval/data/cruxeval.jsonl"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def assert_trusted(benchmark, sandbox, *, has_references=True):
    rows = list(check_benchmark(benchmark, sandbox, progress=False))
    assert {row.mode for row in rows} == set(benchmark.modes)
    for row in rows:
        told = format_checks([row]), row.references, row.wrong
        assert row.is_trusted, told
        assert (row.references is not None) == has_references, told
        assert sum(count.answers for count in row.wrong.values()) >= 8 * row.tasks, told
    return rows


@pytest.mark.parametrize("direction", ["output", "input"])
def test_cruxeval(shared_data, sandbox, direction):
    problems = cruxeval.read_problems(shared_data / CRUXEVAL)[::80]
    assert_trusted(CruxEval(problems, direction), sandbox)


@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_programs(shared_data, sandbox, cache, family):
    tasks = evalplus.read_tasks(family, shared_data / FILES[family])[34::70]
    rows = assert_trusted(EvalPlus(tasks, family, cache=cache), sandbox)
    assert [row.benchmark for row in rows[:2]] == list(evalplus.TITLES[family])


def test_heldout_functions(tmp_path, sandbox):
    path = write_problems(tmp_path / "problems.jsonl")
    assert_trusted(heldout.Heldout(heldout.read_problems(path)), sandbox)
    problems = heldout_backward.read_problems(path)
    assert_trusted(heldout_backward.HeldoutBackward(problems), sandbox)


def test_described_functions(tmp_path, sandbox):
    row = {
        "id": "one", "prompt": '"""Write f(a): add 2 to a; return a.\nassert f(a=3) == 5\n"""',
        "entry": "f", "program": "def f(a):\n    a = a + 2\n    return a",
        "visible": [[3]], "hidden": [[7], [0]],
    }  # fmt: skip
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(row) + "\n")
    tasks = heldout_code.read_problems(path)
    assert_trusted(heldout_code.HeldoutCode(tasks, cache=tmp_path / "cache"), sandbox)


def test_contest_problems(sandbox):
    tests = (Test("1 2\n", "3\n", False), Test("2 5\n", "7\n", False))
    methods = (Test("1\n[2]", "[1, 2]", True), Test("2\n[]", "[2]", True))
    problems = [
        LiveCodeBenchProblem("sums", "Add.", "", None, tests),
        LiveCodeBenchProblem("join", "Join.", "class Solution: …", "join", methods),
    ]
    assert_trusted(LiveCodeBench(problems), sandbox, has_references=False)
    executed = [
        ExecutionProblem("a", "def f(x):\n    return gcd(x, 6)", "f(x = 4)", "2", "f"),
        ExecutionProblem("b", "def g(x):\n    return [x]", "g(x = 'a')", "['a']", "g"),
    ]
    assert_trusted(LiveCodeBenchExecution(executed), sandbox)


def test_the_inputs_of_another_task_are_wrong_in_plain_python(shared_data, sandbox):
    problems = {p.id: p for p in cruxeval.read_problems(shared_data / CRUXEVAL, limit=12)}
    benchmark = CruxEval(list(problems.values()), "input")
    checked = 0
    for response in wrong_answers(benchmark, "fixed", sandbox)[ANOTHER]:
        call = response.text.removeprefix("assert ")
        if call == response.text:
            problem, namespace = problems[response.task], {}
            exec(problem.code, namespace)
            checked += 1
            try:
                value = eval(call, namespace)
            except Exception:
                continue
            assert value != eval(problem.output), (response, value)
    assert checked >= len(problems)


def test_a_lax_scorer_and_a_strict_one_are_found_out(sandbox):
    class Lax(CruxEval):
        def _verdict(self, problem, mode, answer, judging):
            return "right"

    class Strict(CruxEval):
        def _verdict(self, problem, mode, answer, judging):
            return "wrong"

    problems = [CruxEvalProblem("a", "def f(x):\n    return x", "3", "3", "f")]
    for made, trusted in ((CruxEval, True), (Lax, False), (Strict, False)):
        rows = list(check_benchmark(made(problems, "input"), sandbox, progress=False))
        assert [row.is_trusted for row in rows] == [trusted, trusted]
    assert references(CruxEval(problems, "input"), "fixed")[0].text == "f(3)"


def test_the_command_prints_one_aligned_table(tmp_path, capsys):
    path = write_problems(tmp_path / "problems.jsonl", count=3)
    assert main(["check", f"heldout={path}", "--max_tasks=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["benchmark", "mode", "tasks", "references"]
    assert len({len(line) for line in lines}) == 1 and len(lines) == 4
    assert lines[2].startswith("Held-out ") and "2/2" in lines[2] and "2/2" in lines[3]
    for mistake, message in [
        (["wat=x"], "expected NAME=FILE"),
        (["mbpp"], "expected NAME=FILE"),
        ([f"mbpp={tmp_path / 'none'}"], "none: cannot read"),
        (["--max_tasks=0"], "--max_tasks=0"),
    ]:
        assert main(["check", *mistake]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_check_of_nothing_is_a_mistake(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    assert main(["check"]) == 2
    told = capsys.readouterr()
    assert told.err == "error: command line: nothing could be checked; give NAME=FILE\n"
    names = ["cruxeval", "humaneval", "mbpp", "livecodebench", "livecodebench_execution"]
    for name, line in zip(names, told.out.splitlines(), strict=True):
        assert line.startswith(f"{name}: not checked: ") and "no route to host" in line
        assert line.endswith(f"; give the file with {name}=FILE")


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["output", "input"])
def test_every_problem_of_cruxeval(shared_data, sandbox, direction):
    problems = cruxeval.read_problems(shared_data / CRUXEVAL)
    assert_trusted(CruxEval(problems, direction), sandbox)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_one_program_task_in_six(shared_data, sandbox, cache, family):
    tasks = evalplus.read_tasks(family, shared_data / FILES[family])[::6]
    assert_trusted(EvalPlus(tasks, family, cache=cache), sandbox)
