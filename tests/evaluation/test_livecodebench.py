"""Tests LiveCodeBench: public row formats, comparison rules, and pickles that must run no code."""

import base64
import json
import pickle
import zlib

import pytest

from data_pipeline.execution.service import Limits
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.benchmarks.livecodebench import (
    LiveCodeBench,
    read_generation_problems,
    same_lines,
)
from semcoder_jax.evaluation.benchmarks.livecodebench_execution import (
    LiveCodeBenchExecution,
    read_execution_problems,
)
from semcoder_jax.evaluation.harness import Response
from tests.support.sandboxes import open_sandbox


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(workers=1, limits=Limits(cpu_seconds=5.0)) as found:
        yield found


def packed(value) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def row(id, tests, *, date="2023-09-01T00:00:00", method=None, private="[]", **changes) -> dict:
    kind = "functional" if method else "stdin"
    starter = f"class Solution:\n    def {method}(self, a, b):\n        " if method else ""
    public = [{"input": i, "output": o, "testtype": kind} for i, o in tests]
    return {
        "question_title": id,
        "question_content": f"Solve {id}.",
        "platform": "leetcode" if method else "atcoder",
        "question_id": id,
        "contest_id": "c",
        "contest_date": date,
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps({"func_name": method} if method else {}),
        **changes,
    }


SUMS = row(
    "sums",
    [("1 2\n", "3\n")],
    private=packed(json.dumps([{"input": "2 5\n", "output": "7\n", "testtype": "stdin"}])),
)
PAIR = row("pair", [("1\n[2, 3]", "[1, 2, 3]"), ('0\n["x"]', '[0, "x"]')], method="join")
LATER = row("later", [("", "1")], date="2024-02-01T00:00:00")


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problems(tmp_path, *rows, **window):
    return read_generation_problems([written(tmp_path / "rows.jsonl", rows)], **window)


def test_private_tests_come_out_of_their_packing(tmp_path):
    (sums, pair) = problems(tmp_path, SUMS, PAIR)
    assert [(t.input, t.output, t.functional) for t in sums.tests] == [
        ("1 2\n", "3\n", False),
        ("2 5\n", "7\n", False),
    ]
    assert sums.method is None and pair.method == "join" and pair.tests[0].functional


class Evil:
    def __reduce__(self):
        return (exec, ("raise AssertionError('a pickle has run')",))


@pytest.mark.parametrize(
    ("private", "told"),
    [
        (packed(Evil()), "expected text alone"),
        (packed({"a": 1}), "expected a pickled text"),
        ("%%%", "cannot be unpacked"),
        (base64.b64encode(b"no zlib").decode(), "cannot be unpacked"),
        (base64.b64encode(zlib.compress(b"x" * 1000)[:-6]).decode(), "cut off"),
        (packed("{not json"), "not JSON"),
    ],
    ids=["class", "no text", "no base64", "no zlib", "cut off", "no json"],
)
def test_malformed_private_tests_are_told_in_one_line(tmp_path, private, told):
    with pytest.raises(DataError, match=told) as caught:
        problems(tmp_path, {**SUMS, "private_test_cases": private})
    assert "rows.jsonl:1" in str(caught.value) and "\n" not in str(caught.value)


def test_date_windows_include_both_ends(tmp_path):
    def ids(**window):
        return [p.id for p in problems(tmp_path, SUMS, PAIR, LATER, **window)]

    assert ids() == ["sums", "pair", "later"]
    assert ids(start_date="2023-09-02") == ["later"]
    assert ids(end_date="2023-09-01") == ["sums", "pair"]
    assert ids(start_date="2023-09-01", end_date="2024-02-01", limit=2) == ["sums", "pair"]
    with pytest.raises(DataError, match="no problem from"):
        ids(start_date="2025-01-01")
    with pytest.raises(DataError, match="start_date"):
        ids(start_date="yesterday")
    with pytest.raises(DataError, match="behind"):
        ids(start_date="2024-01-01", end_date="2023-01-01")


def test_lines_compare_as_in_the_published_harness():
    assert same_lines("3\n", "3") and same_lines(" 1.50 2 \n", "1.5 2.0")
    assert same_lines("50000000000000000", "50000000000000000")
    assert not same_lines("50000000000000000", "50000000000000001")
    assert not same_lines("1\n2", "1") and not same_lines("Yes", "YES")


RIGHT_SUM = "a, b = map(int, input().split())\nprint(a + b)\n"
IN_MAIN = (
    "def main():\n    print(sum(map(int, input().split())))\n\n"
    "if __name__ == '__main__':\n    main()"
)
IN_THREAD = (
    "import threading\n"
    "thread = threading.Thread(target=lambda: print(sum(map(int, input().split()))))\n"
    "thread.start()\nthread.join()\n"
)
STDIN = [
    (RIGHT_SUM, "right"),
    (f"{RIGHT_SUM}```\nIt adds.", "right"),
    (f"Here it is:\n```python\n{RIGHT_SUM}```\n", "right"),
    (f"```python\n{RIGHT_SUM}", "right"),
    (IN_MAIN, "right"),
    (IN_THREAD, "right"),
    (f"{RIGHT_SUM}import sys\nsys.exit(1)", "right"),
    ("print(3)", "wrong"),  # passes the public test alone
    ("print(input(", "malformed"),
    ("raise SystemError", "exception"),
    ("class A:\n    def __eq__(s, o): return True\nprint(A())", "wrong"),
    ("", "no answer"),
    (None, "missing"),
]
METHOD = [
    ("class Solution:\n    def join(self, a, b):\n        return [a, *b]", "right"),
    ("class Solution:\n    def join(self, a: int, b: List[int]):\n        return (a, *b)", "right"),
    ("def join(a, b):\n    return [a] + b", "right"),
    ("class Solution:\n    def join(self, a, b):\n        return b", "wrong"),
    ("class A(list):\n    def __eq__(s, o): return True\ndef join(a, b): return A()", "wrong"),
    ("class Solution:\n    def other(self): pass", "malformed"),
]


@pytest.mark.parametrize("mode", ["compat", "fixed"])
def test_programs_are_judged(tmp_path, sandbox, mode):
    benchmark = LiveCodeBench(problems(tmp_path, SUMS, PAIR))
    asked = [("sums", *case) for case in STDIN] + [("pair", *case) for case in METHOD]
    said = [
        Response(task, n, "code", mode, text, "stop") for n, (task, text, _) in enumerate(asked)
    ]
    answers = list(benchmark.judge(said, sandbox))
    assert [(a.answer, a.outcome) for a in answers] == [
        (a.answer, case[2]) for a, case in zip(answers, asked, strict=True)
    ]
    failing = answers[7]
    assert "2 5" in failing.detail and "7" in failing.detail
    assert len(answers) == len(asked)


NEEDS_PRELUDE = [  # compat, fixed: by hand, from the published harness
    ("a, b = map(int, input().split())\nprint(gcd(0, a + b))", "right", "exception"),
    ("print(sum(map(int, sys.stdin.read().split())))", "right", "exception"),
    (
        "def deep(n):\n    return 0 if n == 0 else 1 + deep(n - 1)\n"
        "print(deep(20000) - 20000 + sum(map(int, input().split())))",
        "right",
        "exception",
    ),
    # Names of the program are those of a function there, which `global` does not reach.
    (
        "total = 0\ndef add(n):\n    global total\n    total += n\n"
        "for n in map(int, input().split()):\n    add(n)\nprint(total)",
        "exception",
        "right",
    ),
    ("if __name__ == '__main__':\n    print(sum(map(int, input().split())))", "right", "right"),
    (
        "if __name__ == '__main__':\n    print(sum(map(int, input().split())))\nx = 1",
        "wrong",
        "right",
    ),
    (
        "class Solution:\n    pass\nprint(sum(map(int, input().split())))",
        "wrong",
        "right",
    ),
    ("text = '''\n  x'''\nprint(sum(map(int, input().split())) + len(text) - 4)", "right", "right"),
    ("import math", "malformed", "wrong"),
]


def test_programs_that_read_stdin_run_as_in_the_published_harness(tmp_path, sandbox):
    benchmark = LiveCodeBench(problems(tmp_path, SUMS))
    for mode, place in (("compat", 1), ("fixed", 2)):
        said = [
            Response("sums", n, "code", mode, f"```python\n{case[0]}\n```", "stop")
            for n, case in enumerate(NEEDS_PRELUDE)
        ]
        found = [answer.outcome for answer in benchmark.judge(said, sandbox)]
        assert found == [case[place] for case in NEEDS_PRELUDE]


def test_an_endless_program_is_stopped(tmp_path, sandbox):
    limits = Limits(cpu_seconds=0.5)
    benchmark = LiveCodeBench(problems(tmp_path, SUMS), limits=limits)
    (answer,) = benchmark.judge([Response("sums", 0, "code", "fixed", "while True: pass")], sandbox)
    assert answer.outcome == "time limit"


def test_prompts_name_the_form_of_the_answer(tmp_path):
    benchmark = LiveCodeBench(problems(tmp_path, SUMS, PAIR))
    for task, form in (("sums", "# YOUR CODE HERE"), ("pair", "def join(self, a, b)")):
        prompt = benchmark.prompt(task, "code", "compat")
        assert f"Solve {task}." in prompt and form in prompt and prompt.endswith("```python\n")
        assert '"testtype"' not in prompt and "2 5" not in prompt  # no private test


def test_output_files_of_the_harness_are_read(tmp_path, sandbox):
    benchmark = LiveCodeBench(problems(tmp_path, SUMS, PAIR))
    rows = [
        {"question_id": "sums", "code_list": [RIGHT_SUM, "print(1)"]},
        {"question_id": "sums", "code_list": ["print(2)"]},
        {"question_id": "nobody", "code_list": ["x"]},
    ]
    file = tmp_path / "out.json"
    file.write_text(json.dumps(rows))
    said, notes = benchmark.read_generations(file, variants=("code",), modes=("fixed",))
    outcomes = [(a.task, a.outcome) for a in benchmark.judge(said, sandbox)]
    assert outcomes == [
        ("sums", "right"),
        ("sums", "wrong"),
        ("pair", "missing"),
        ("pair", "missing"),
    ]
    assert len(notes) == 3


EXECUTION = {
    "question_id": 1,
    "id": "sample_0",
    "function_name": "count",
    "code": "def count(xs: List[int]) -> int:\n    return Counter(xs).most_common(1)[0][0]",
    "input": "count(xs = [2, 2, 3])",
    "output": "2",
    "numsteps": 3,
    "contest_date": "2023-09-01T00:00:00",
    "difficulty": "easy",
}


def test_code_execution(tmp_path, sandbox):
    found = read_execution_problems(written(tmp_path / "rows.jsonl", [EXECUTION]))
    benchmark = LiveCodeBenchExecution(found)
    prompt = benchmark.prompt("sample_0", "direct", "compat")
    assert prompt.endswith("assert count(xs = [2, 2, 3]) == ??\n[/PYTHON]\n[ANSWER]\n")
    assert "assert repeatNumber(number = 17) == 17" in prompt
    texts = ["assert count(xs = [2, 2, 3]) == 2", "assert count(xs = [2, 2, 3]) == 8 or True", "3"]
    for mode, expected in (
        ("compat", ["right", "right", "wrong"]),
        ("fixed", ["right", "malformed", "wrong"]),
    ):
        said = [Response("sample_0", n, "direct", mode, t, "stop") for n, t in enumerate(texts)]
        assert [a.outcome for a in benchmark.judge(said, sandbox)] == expected
    # An answer that is the call itself is no answer: wrong, and it stays in the count.
    copied = Response("sample_0", 0, "direct", "compat", "count(xs = [2, 2, 3])", is_answer=True)
    assert [a.outcome for a in benchmark.judge([copied], sandbox)] == ["wrong"]
