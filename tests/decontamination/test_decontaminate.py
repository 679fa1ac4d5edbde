"""Tests decontamination: planted copies go, other programs stay, and order does not matter."""

import ast
import gzip
import json
import pickle
import random

import pytest

from data_pipeline.commands.decontaminate import main
from data_pipeline.decontamination.benchmark_tasks import BenchmarkFileError, read_tasks
from data_pipeline.decontamination.overlap import (
    NEAR,
    BenchmarkIndex,
    Item,
    Removal,
)
from data_pipeline.seeds import Seed, read_unit, units
from data_pipeline.source.fingerprints import FINGERPRINT
from tests.support.program_copies import edited, parses, reformatted, renamed

BENCHMARKS = ("humaneval", "mbpp", "cruxeval")


@pytest.fixture(scope="module")
def tasks(shared_data):
    return read_tasks([shared_data / name for name in BENCHMARKS])


@pytest.fixture(scope="module")
def index(tasks):
    return BenchmarkIndex(Item(task.id, task.code, task.text) for task in tasks)


def missed(index, tasks, copies):
    rng = random.Random(0)
    found = []
    for task in tasks:
        for copy in copies:
            code = copy(task.code, rng)
            if index.overlap(Item("planted", code)) is None:
                found.append((task.id, code))
    return found


def both(code, rng):
    return reformatted(renamed(code, rng), rng)


def test_planted_copies_are_all_found(index, tasks):
    sample = random.Random(1).sample([task for task in tasks if parses(task.code)], 150)
    assert missed(index, sample, [lambda code, rng: code, renamed, reformatted, both]) == []


@pytest.mark.slow
def test_every_planted_copy_of_every_task_is_found(index, tasks):
    assert missed(index, [task for task in tasks if parses(task.code)], [renamed, both]) == []


def inside_another(code, rng):
    """The copy as one function among the lines of a longer program."""
    return (
        "import math\n\ndef wholly_new(a, b):\n    total = math.sqrt(a * a + b * b)\n"
        "    while total > 10:\n        total -= 3.5\n    return [round(total, 2)] * 2\n\n"
        + both(code, rng)
        + "\n\nLIMIT = [wholly_new(3, 4), wholly_new(8, 15)]\n"
    )


def test_a_copied_function_is_found_among_others(index, tasks):
    functions = []
    for task in tasks:
        if parses(task.code) and len(task.code) > 300:
            tree = ast.parse(task.code)
            if [type(node) for node in tree.body] == [ast.FunctionDef]:
                functions.append(task)
    sample = random.Random(2).sample(functions, 60)
    assert missed(index, sample, [inside_another]) == []


def is_long_function(code):
    tree = ast.parse(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    lines = [line for line in ast.unparse(functions[0]).split("\n")] if functions else []
    return len(functions) == 1 and ast.get_docstring(functions[0]) is None and len(lines) > 12


def test_edited_copies_are_near(index, tasks):
    long = [task for task in tasks if parses(task.code) and is_long_function(task.code)]
    sample = random.Random(3).sample(long, 40)
    rng = random.Random(0)
    for task in sample:
        removal = index.overlap(Item("planted", edited(task.code, rng)))
        assert removal is not None and removal.reason == "near"
        assert NEAR <= removal.similarity < 1


def test_reasons_are_told(index, tasks):
    task = next(task for task in tasks if task.id == "HumanEval/4")
    assert index.overlap(Item("a", task.code)) == Removal("a", "exact", "HumanEval/4", 1.0)
    removal = index.overlap(Item("b", renamed(task.code, random.Random(0))))
    assert removal == Removal("b", "normalized", "HumanEval/4", 1.0)


def test_reordered_literals_are_found():
    index = BenchmarkIndex(
        [Item("T/1", "def f(c):\n    return {'a': 1, 'e': 2}.get(c, c in ['i', 'o', 'u'])\n")]
    )
    copy = "def g(x):\n    return {'e': 2, 'a': 1}.get(x, x in ['u', 'i', 'o'])\n"
    assert index.overlap(Item("p", copy)).reason == "normalized"


def test_other_programs_stay(index):
    """Functions of the standard library that no benchmark asks for."""
    seeds = [
        one
        for name in ("statistics", "difflib", "textwrap", "colorsys", "heapq")
        for unit in units(name)
        for one in read_unit(unit)
        if isinstance(one, Seed)
    ]
    assert len(seeds) > 30
    assert [index.overlap(Item(s.id, s.code, s.nl)) for s in seeds] == [None] * len(seeds)


def test_questions_are_found(index):
    overlap = index.overlap
    mbpp = "Write a function to find the shared elements from the given two lists."
    removal = overlap(Item("a", "", f"Please: {mbpp.upper()} Then sort them."))
    assert (removal.reason, removal.id) == ("text", "a")
    assert removal.matched.endswith("/2")
    assert removal.similarity == pytest.approx(13 / 17, abs=1e-4)
    humaneval = (
        "Check if in given list of numbers,\n  are any two numbers closer to each other than given"
        " threshold."
    )
    assert overlap(Item("b", "", humaneval)).matched == "HumanEval/0"
    assert overlap(Item("c", "", "Find the shared elements of two lists.")) is None
    assert overlap(Item("d", "", "")) is None


def test_index_can_be_sent_to_workers(index, tasks):
    copy = pickle.loads(pickle.dumps(index))
    for task in tasks[:50]:
        item = Item("x", task.code, task.text)
        assert copy.overlap(item) == index.overlap(item)


# ---- files --------------------------------------------------------------------------------------


LIVECODEBENCH = [
    {
        "question_title": "A. Short Sort",
        "question_content": "There are three cards with letters a, b, c placed in a row in some"
        " order. You can do the following operation at most once.",
        "platform": "codeforces",
        "question_id": "1873_A",
        "starter_code": "",
        "public_test_cases": "[]",
        "private_test_cases": "eJxr",
        "metadata": "{}",
    },
]
EXECUTION = [
    {
        "question_id": 2777,
        "id": "sample_0",
        "function_name": "minimumCost",
        "code": "def minimumCost(s: str) -> int:\n    ans = 0\n    for i in range(1, len(s)):\n"
        "        if s[i - 1] != s[i]:\n            ans += min(i, len(s) - i)\n    return ans",
        "input": "minimumCost(s = '0011')",
        "output": "2",
    }
]


def test_livecodebench_is_read(tmp_path):
    (tmp_path / "test6.jsonl").write_text("".join(json.dumps(r) + "\n" for r in LIVECODEBENCH))
    with gzip.open(tmp_path / "execution.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in EXECUTION)
    (tmp_path / "other.jsonl").write_text('{"unrelated": 1}\n')
    index = BenchmarkIndex.from_files([tmp_path])
    assert index.tasks == 2
    text = "Given: three cards with letters a, b, c placed in a row in some order; sort them."
    assert index.overlap(Item("x", "", text)).matched == "test6/1873_A"
    copy = EXECUTION[0]["code"].replace("ans", "cost").replace("s:", "t:").replace("(s", "(t")
    assert index.overlap(Item("y", copy.replace(" s[", " t[").replace("!= s", "!= t"))).matched == (
        "execution/2777#sample_0"
    )


def test_published_files_are_read(shared_data):
    names = {
        "humaneval/HumanEval.jsonl.gz": 164,
        "humanevalplus/HumanEvalPlus.jsonl.gz": 164,
        "mbpp/mbpp.jsonl": 974,
        "mbpp/sanitized-mbpp.json": 427,
        "mbppplus/MbppPlus.jsonl.gz": 378,
        "cruxeval/data/cruxeval.jsonl": 800,
    }
    for name, count in names.items():
        found = read_tasks([shared_data / name])
        assert len(found) == len({task.id for task in found}) == count
        assert all(task.code.strip() for task in found)
        if "cruxeval" not in name:
            assert sum(bool(task.text) for task in found) >= 0.99 * count


def test_bad_benchmarks_are_one_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"unrelated": 1}\n')
    with pytest.raises(BenchmarkFileError, match=r"a\.jsonl:1: expected a row of HumanEval"):
        read_tasks([tmp_path / "a.jsonl"])
    with pytest.raises(BenchmarkFileError, match=r"expected a benchmark's \.jsonl"):
        read_tasks([tmp_path])
    with pytest.raises(BenchmarkFileError, match="cannot read the file: No such file"):
        read_tasks([tmp_path / "none.jsonl"])
    (tmp_path / "b.jsonl").write_text("{")
    with pytest.raises(BenchmarkFileError, match=r"b\.jsonl:1: not JSON"):
        read_tasks([tmp_path / "b.jsonl"])


def test_command(tmp_path, capsys):
    copied = "def total(values):\n    result = 0\n    for v in values:\n        result += v * v\n"
    copied += "    return result"
    other = (
        "def f(s):\n    while s.endswith('x'):\n        s = s[1:-1]\n    return s.upper() or None"
    )
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"task_id": "B/7", "code": copied, "text": ""}) + "\n")
    asked = f"[PYTHON]\n{copied.replace('result', 'r')} # [L9]\nassert f([2]) == ??\n[/PYTHON]\n"
    rows = [
        {"id": "seed", "code": copied.replace("result", "acc"), "nl": ""},
        {"id": "fwd", "fwd_mnl": asked, "response": "text"},
        {"id": "keep", "code": other},
        {"id": "again", "code": other.replace("s", "t").replace("endtwith", "endswith")},
    ]
    rows[3]["code"] = other.replace("s.", "t.").replace("s[", "t[").replace("s = ", "t = ")
    rows[3]["code"] = rows[3]["code"].replace("f(s)", "f(t)")
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept, report = tmp_path / "out" / "kept.jsonl", tmp_path / "out" / "report.jsonl"
    (tmp_path / "out").mkdir()
    arguments = [f"--input={source}", f"--output={kept}", f"--report={report}"]
    assert main([*arguments, "--benchmarks", str(bench), "--repeats"]) == 0
    assert [json.loads(line)["id"] for line in kept.read_text().splitlines()] == ["again"]
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(row["id"], row["reason"], row["matched"]) for row in told] == [
        ("seed rows.jsonl:1", "normalized", "B/7"),
        ("fwd rows.jsonl:2", "normalized", "B/7"),
        ("keep rows.jsonl:3", "normalized", "again rows.jsonl:4"),
    ]
    printed = capsys.readouterr().out
    assert "1 of 4 rows stay" in printed
    assert f"compared by fingerprint {FINGERPRINT}" in printed
    for wrong, message in (
        (["--input=/none.jsonl", f"--output={kept}", "--repeats"], "No such file"),
        ([f"--input={source}", f"--output={kept}"], "expected --benchmarks, --repeats or both"),
        ([f"--input={source}", f"--output={kept}", "--benchmarks", "/none"], "cannot read"),
        ([f"--output={kept}"], "--input"),
        ([f"--input={source}", f"--output={source}", "--repeats"], "expected two files"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1
