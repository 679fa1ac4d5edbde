"""Tests HumanEval(+) and MBPP(+): references pass, and other solutions fail for the right reason.

The slow set compares with EvalPlus 0.3.1 itself.
"""

import json

import pytest

from data_pipeline.execution.guest.values import encode
from data_pipeline.execution.outcomes import Value
from data_pipeline.execution.service import Sandbox, series_job
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, EvalPlusTask, read_tasks
from semcoder_jax.evaluation.benchmarks.evalplus_oracles import EvalPlusOracle, mbpp_arguments
from semcoder_jax.evaluation.benchmarks.solutions import extract_program, longest_program, sanitize
from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.results import RIGHT

FILES = {
    "humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus.jsonl.gz",
}
# Floats, text, a polynomial's root, tolerance; sets, tuples, complex numbers, no further inputs, …
SOME = {
    "humaneval": (0, 2, 10, 32, 38, 50),
    "mbpp": (2, 7, 124, 252, 278, 558, 581, 615, 722, 793),
}
DOUBLE = EvalPlusTask(
    "T/0",
    'def double(x):\n    """ Twice x.\n    >>> double(2)\n    4\n    """\n',
    "double",
    "    return 2 * x\n",
    ([1], [2]),
    ([10], [-3], [2.5]),
    0.0,
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def some_tasks(shared_data, family):
    name = {"humaneval": "HumanEval", "mbpp": "Mbpp"}[family]
    wanted = {f"{name}/{number}" for number in SOME[family]}
    tasks = [t for t in read_tasks(family, shared_data / FILES[family]) if t.id in wanted]
    assert len(tasks) == len(wanted)
    return tasks


def judged(benchmark, programs, sandbox, mode="compat"):
    """{task: (outcome by base, by all)}"""
    said = [Response(task, 0, "code", mode, text, is_answer=True) for task, text in programs]
    answers = list(benchmark.judge(said, sandbox))
    assert len(answers) == 2 * len(said)
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [(one.outcome, other.outcome) for one, other in pairs]


@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_references_of_some_tasks_are_right(shared_data, sandbox, cache, family):
    tasks = some_tasks(shared_data, family)
    benchmark = EvalPlus(tasks, family, cache=cache)
    found = judged(benchmark, [(task.id, task.reference) for task in tasks], sandbox)
    assert found == [(RIGHT, RIGHT)] * len(tasks)


@pytest.mark.slow
@pytest.mark.parametrize("family, count", [("humaneval", 164), ("mbpp", 378)])
def test_every_reference_is_right(shared_data, sandbox, cache, family, count):
    tasks = read_tasks(family, shared_data / FILES[family])
    benchmark = EvalPlus(tasks, family, cache=cache)
    found = judged(benchmark, [(task.id, task.reference) for task in tasks], sandbox)
    assert found == [(RIGHT, RIGHT)] * count


def test_prompts_are_those_of_the_release(shared_data):
    wire = json.loads((shared_data / "wire_format.json").read_text())
    for family, file in FILES.items():
        benchmark = EvalPlus(read_tasks(family, shared_data / file), family)
        assert wire[family]
        for row in wire[family]:
            for mode in ("compat", "fixed"):
                assert benchmark.prompt(row["task_id"], "code", mode) == row["prompt"]
        assert len(benchmark.refine_tasks) == len(benchmark.task_ids)


ALWAYS_EQUAL = "class E:\n    def __eq__(s, o): return True\ndef double(x): return E()"
FRAME_WALK = """import sys
def double(x):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            if isinstance(value, (list, tuple)) and len(value) == 2 and 2 * x in value:
                return 2 * x
        frame = frame.f_back
    return 0
"""


@pytest.mark.parametrize(
    "program, outcomes",
    [
        ("def double(x): return x + x", (RIGHT, RIGHT)),
        ("def double(x): return x * 2.0", (RIGHT, RIGHT)),  # 2 == 2.0
        ("def double(x): return x + 1 if x == 1 else 4", (RIGHT, "wrong")),
        ("def double(x): return int(2 * x)", (RIGHT, RIGHT)),
        ("def double(x): return None", ("wrong", "wrong")),
        ("def double(x): return [2 * x]", ("wrong", "wrong")),
        ("def double(x): return 1 // 0", ("exception", "exception")),
        ("def double(x: return", ("syntax error", "syntax error")),
        ("def other(x): return 2 * x", ("no function", "no function")),
        ("def double(x):\n    while True: pass", ("time limit", "time limit")),
        ("import os\ndef double(x): os._exit(0)", ("died", "died")),
        ("raise SystemExit(0)", ("exception", "exception")),
        # What EvalPlus passes though it is wrong:
        (ALWAYS_EQUAL, ("wrong", "wrong")),
        (FRAME_WALK, ("wrong", "wrong")),
    ],
)
def test_outcomes(sandbox, cache, program, outcomes):
    benchmark = EvalPlus([DOUBLE], "humaneval", cache=cache)
    assert judged(benchmark, [("T/0", program)], sandbox) == [outcomes]


def test_a_large_result_is_compared_by_value(sandbox, cache):
    task = EvalPlusTask(
        "T/1", "def many(n):\n", "many", "    return list(range(n))\n", ([100_000],), (), 0.0
    )
    benchmark = EvalPlus([task], "humaneval", cache=cache)
    programs = [
        "def many(n): return [float(i) for i in range(n)]",
        "def many(n): return tuple(range(n))",
        "def many(n): return list(range(n - 1)) + [0]",
        "def many(n): return [[i] for i in range(n)]",
    ]
    found = judged(benchmark, [("T/1", program) for program in programs], sandbox)
    assert [base for base, _ in found] == [RIGHT, "wrong", "wrong", "wrong"]


def test_nothing_said_is_wrong_and_counts(sandbox, cache):
    benchmark = EvalPlus([DOUBLE], "humaneval", cache=cache)
    said = [
        Response("T/0", n, "code", "fixed", text) for n, text in enumerate([None, " \n", "zzz ("])
    ]
    outcomes = [answer.outcome for answer in benchmark.judge(said, sandbox)]
    assert outcomes == ["missing"] * 2 + ["no answer"] * 2 + ["syntax error"] * 2


@pytest.mark.parametrize("mode", ["compat", "fixed"])
@pytest.mark.parametrize(
    "text", ["\n    return 2 * x\n", "\n    y = x\n    return x + y\n```\nThis doubles x.\n"]
)
def test_a_completion_goes_on_with_the_prompt(sandbox, cache, mode, text):
    benchmark = EvalPlus([DOUBLE], "humaneval", cache=cache)
    answers = list(benchmark.judge([Response("T/0", 0, "code", mode, text, "stop")], sandbox))
    assert [answer.benchmark for answer in answers] == ["HumanEval", "HumanEval+"]
    assert all(answer.right for answer in answers)


def test_fixed_reads_what_the_sanitizer_loses():
    decorated = "import functools\n@functools.cache\ndef double(x):\n    return 2 * x\n"
    assert "def double" not in sanitize(decorated, "double")
    assert extract_program(decorated, "double") == decorated
    said = "Sure.\n```python\ndef double(x):\n    return 2 * x\nprint(double(3))\n```\nDone."
    assert extract_program(said, "double").strip() == "def double(x):\n    return 2 * x"


def test_sanitizer_keeps_what_the_entry_needs():
    needed = "def g(x):\n    return A + x\ndef f(x):\n    return g(x)"
    code = f"import os\nA = 1\nB = 2\n{needed}\nf(1)\n"
    assert sanitize(code, "f") == f"import os\nA = 1\n{needed}"
    assert longest_program("Here:\n\nx = 1\ny = 2\n= no") == "\nx = 1\ny = 2"


def test_tolerance_once_needed_stays():
    judge = EvalPlusOracle("humaneval", "f", 0.0)
    assert not judge.passes([], 1_000_000_001, 1_000_000_000)
    assert judge.passes([], ["f", "0.30000000000000004"], ["f", "0.3"])
    assert judge.passes([], 1_000_000_001, 1_000_000_000)  # EvalPlus: now within 1e-7 of it
    assert not judge.passes([], 1, ["f", "1.0000001"])  # an int where a float was expected


@pytest.mark.parametrize(
    ("entry", "value", "expected", "compat", "fixed"),
    [  # np.allclose broadcasts both to one shape
        ("f", ["l", ["l"]], ["l", ["f", "3.0"]], True, False),
        ("f", ["l", ["l", ["f", "3.0"]]], ["l", ["f", "3.0"]], True, False),
        ("f", ["l", *[["l", *[["f", "1.0"]] * 2]] * 2], ["l", *[["f", "1.0"]] * 2], True, False),
        ("f", ["l", ["f", "3.0000001"]], ["l", ["f", "3.0"]], True, True),
        ("f", ["l", ["t", ["f", "3.0000001"]]], ["l", ["l", ["f", "3.0"]]], False, False),
        ("sum_div", 0, 7, True, False),
        ("sum_div", 7, 7, True, True),
        ("are_equivalent", False, True, True, False),
        ("are_equivalent", True, True, True, True),
    ],
)
def test_lax_rules_hold_in_compat_alone(entry, value, expected, compat, fixed):
    for mode, passes in (("compat", compat), ("fixed", fixed)):
        assert EvalPlusOracle("mbpp", entry, 0.0, mode).passes([], value, expected) is passes


def test_both_modes_of_one_program_have_their_own_verdicts(sandbox, cache):
    task = EvalPlusTask("T/2", "def f(x):\n", "f", "    return [x / 3]\n", ([1],), ([2], [6]), 0.0)
    benchmark = EvalPlus([task], "humaneval", cache=cache)
    for program, compat, fixed in [
        ("def f(x): return [[]]", (RIGHT, RIGHT), ("wrong", "wrong")),
        ("def f(x): return [[x / 3]] if x == 6 else [x / 3]", (RIGHT, RIGHT), (RIGHT, "wrong")),
        ("def f(x): return [x / 3 + 1e-9]", (RIGHT, RIGHT), (RIGHT, RIGHT)),
    ]:
        assert judged(benchmark, [("T/2", program)], sandbox, "compat") == [compat]
        assert judged(benchmark, [("T/2", program)], sandbox, "fixed") == [fixed]


def test_arguments_that_json_cannot_spell():
    assert mbpp_arguments("Mbpp/2", [[[1], [2]]]) == [[(1,), (2,)]]
    assert mbpp_arguments("Mbpp/115", [[[[1], []]]]) == [[[{1}, {}]]]
    assert mbpp_arguments("Mbpp/124", [["1", "2j"]]) == [[1.0, 2j]]
    assert mbpp_arguments("Mbpp/615", [[[[1, 2], [3]]]]) == [[((1, 2), (3,))]]
    assert mbpp_arguments("Mbpp/1", [[[1]]]) == [[[1]]]


def test_the_arguments_of_plain_tasks_are_those_of_json(shared_data):
    for family, count in (("humaneval", 164), ("mbpp", 326)):
        tasks = [t for t in read_tasks(family, shared_data / FILES[family]) if t.plain]
        assert len(tasks) == count
        for task in tasks:
            for rows in (task.base, task.plus):
                assert repr(json.loads(json.dumps(rows))) == repr(list(rows))


def test_plain_arguments_arrive_as_tagged_ones_do(sandbox):
    program = "def f(*values):\n    return repr(values)\n"
    row = [
        None,
        True,
        -0.0,
        1e-320,
        float("inf"),
        2**70,
        "\ud800\x00",
        [["l", 1], ["f", "1"]],
        {"a": {}},
    ]
    for series, plain in (([row], True), ([encode(row)], False)):
        result = sandbox.run(series_job(program, "f", series, [1.0], plain=plain))
        assert result.outcome == Value(["l", ["t", "value", repr(tuple(row))]])


def test_samples_in_evalplus_form(tmp_path, sandbox, cache):
    benchmark = EvalPlus(
        [DOUBLE, EvalPlusTask("T/1", DOUBLE.prompt, "double", DOUBLE.solution, ([1],), (), 0.0)],
        "humaneval",
        cache=cache,
    )
    rows = [
        {"task_id": "T/0", "completion": "    return 2 * x\n"},
        {"task_id": "T/0", "solution": "def double(x): return 0"},
        {"task_id": "T/0", "solution": 3},
        {"task_id": "T/9", "solution": ""},
        {"solution": ""},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{not json\n")
    said, notes = benchmark.read_generations(path, variants=("code",), modes=("compat",))
    answers = [a for a in benchmark.judge(said, sandbox) if a.benchmark == "HumanEval"]
    assert [(a.task, a.outcome) for a in answers] == [
        ("T/0", RIGHT), ("T/0", "wrong"), ("T/0", "missing"),
        ("T/1", "missing"), ("T/1", "missing"), ("T/1", "missing"),
    ]  # fmt: skip
    assert [note.split()[0] for note in notes] == ["3", "1", "1"]
    path.write_text('{"sample_0": ["x"]}\n')
    with pytest.raises(DataError, match="no solution of any"):
        benchmark.read_generations(path, variants=("code",), modes=("compat",))


def test_data_of_another_benchmark(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"task_id": "a", "prompt": "", "test": ""}\n')
    with pytest.raises(DataError, match="'atol'"):
        read_tasks("humaneval", path)
