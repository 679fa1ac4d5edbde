"""Tests seeds: accepted and refused programs, with reasons, and that each seed runs alone."""

import json
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from data_pipeline.commands.seeds import main
from data_pipeline.seeds import Refusal, Seed, SeedError, read_unit, units


def read(source):
    found = [one for unit in units(str(source)) for one in read_unit(unit)]
    seeds = {one.name: one for one in found if isinstance(one, Seed)}
    return seeds, [one for one in found if isinstance(one, Refusal)]


def package(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def alone(code, expression):
    """What a fresh interpreter makes of the program, which it gets nothing else with."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}\nprint(repr({expression}))"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_function_needs_comes_with_it(tmp_path):
    seeds, _ = read(
        package(
            tmp_path,
            pkg__init="",
            pkg__a='''
                from __future__ import annotations
                import math, os
                from typing import Sequence
                from .b import double as twice, LIMIT
                TABLE = {}
                for _n in range(3):
                    TABLE[_n] = twice(_n)
                TABLE[9] = LIMIT
                unrelated = os.environ

                def scaled(xs: Sequence[int], by=LIMIT) -> list[Missing]:
                    """Scales.

                    >>> scaled([1, 2], by=3)
                    [3, 10]
                    """
                    # keeps the table
                    return [_one(x, by) + TABLE.get(x, 0) - 2 * (x == 1) for x in xs]  # noqa: E501

                def _one(x, by):
                    return math.floor(x * by)
            ''',
            pkg__b="""
                LIMIT = max(4, 5)
                def double(x):
                    return plus(x, x)
                def plus(a, b):
                    return a + b
            """,
        )
    )
    seed = seeds["scaled"]
    assert alone(seed.code, "(scaled([1, 2], by=3), scaled([9]))") == "([3, 10], [50])"
    assert seed.nl == "Scales."
    assert seed.calls == ("scaled([1, 2], by=3)",)
    assert seed.tests == ("assert scaled([1, 2], by=3) == [3, 10]",)
    assert seed.origin == f"{tmp_path.name}/pkg/a.py:12"
    assert "os" not in seed.code
    assert "unrelated" not in seed.code
    assert "Scales" not in seed.code and "noqa" not in seed.code
    assert "# keeps the table" in seed.code
    assert seed.code.index("LIMIT = ") < seed.code.index("by=LIMIT")


def test_ids_are_those_of_the_program_not_of_its_place(tmp_path):
    one, _ = read(package(tmp_path / "one", a="def f(x):\n    return x + 1\n"))
    other, _ = read(
        package(tmp_path / "other", b='\n\ndef g(y):\n    """Adds."""\n    return y + 1\n')
    )
    assert one["f"].id == other["g"].id
    assert len(one["f"].id) == 12 and int(one["f"].id, 16) >= 0


def test_generators_are_listed(tmp_path):
    seeds, _ = read(
        package(
            tmp_path,
            a='''
                import itertools
                def pairs(xs, *rest, gap=1, **more):
                    """Yields pairs.

                    >>> list(pairs([1, 2, 3]))
                    [(1, 2), (2, 3)]
                    >>> data = [4, 5]
                    >>> next(pairs(data))
                    (4, 5)
                    """
                    yield from zip(xs, xs[gap:])
                def squares(xs):
                    return map(lambda x: x * x, xs)
                def both(xs):
                    inner = squares(xs)
                    return itertools.chain(inner, inner)
                def indirect(xs):
                    found = both(xs)
                    return found
            ''',
        )
    )
    assert set(seeds) == {"pairs_list", "squares_list", "both_list", "indirect_list"}
    seed = seeds["pairs_list"]
    assert seed.calls == ("pairs_list([1, 2, 3])", "pairs_list([4, 5])")
    assert seed.tests == ("assert pairs_list([1, 2, 3]) == [(1, 2), (2, 3)]",)
    assert alone(seed.code, "pairs_list([1, 2, 3], 0, gap=2, other=1)") == "[(1, 3)]"
    assert alone(seeds["indirect_list"].code, "indirect_list([2, 3])") == "[4, 9]"


REFUSED = {
    "input or output": ["return open(x).read()", "print(x, file=stream)\n    return x"],
    "dynamic code": ["return eval(x)", "return x.__globals__", "return globals()[x]"],
    "differs between processes": ["return hash(x)", "return id(x) + 1"],
    "foreign import": [
        "import random\n    return random.random() * x",
        "import time\n    return time.time() - x",
        "import socket\n    return socket.socket(x)",
        "import os\n    return os.listdir(x)",
        "import numpy\n    return numpy.array(x)",
        "import sys\n    return sys.argv[x]",
    ],
    "not in this Python": ["from math import no_such_thing\n    return no_such_thing(x)"],
    "module state": ["global state\n    state = x\n    return x"],
    "undefined name": ["return nowhere(x)"],
    "takes a function": ["return x(3)", "return sorted([1], key=x)", "return list(map(x, [1]))"],
    "empty body": ["pass", "raise NotImplementedError"],
    "import inside the function": ["from . import b\n    return b.y(x)"],
}


@pytest.mark.parametrize(
    ("reason", "body"), [(reason, body) for reason, all_ in REFUSED.items() for body in all_]
)
def test_refused_by_reason(tmp_path, reason, body):
    # Directly, and through a helper that the entry calls.
    seeds, refusals = read(
        package(tmp_path, a=f"def f(x):\n    {body}\n\ndef g(n):\n    return f(n)\n")
    )
    reasons = {one.name: one.reason for one in refusals}
    assert reasons["f"] == reason
    if reason not in ("takes a function", "empty body"):
        assert reasons["g"] == reason
        assert not seeds


def test_refusals_name_their_origin(tmp_path):
    _, refusals = read(
        package(
            tmp_path,
            sub__a="""
                class C:
                    async def method(self, x):
                        return x
                def nothing():
                    return 3
                async def late(x):
                    return x
                def ok(x):
                    return x
            """,
            broken="def f(:\n",
        )
    )
    assert [(one.name, one.reason, one.origin) for one in refusals] == [
        ("f", "not readable by this Python", f"{tmp_path.name}/broken.py:1"),
        ("C.method", "asynchronous", f"{tmp_path.name}/sub/a.py:3"),
        ("nothing", "computes nothing", f"{tmp_path.name}/sub/a.py:5"),
        ("late", "asynchronous", f"{tmp_path.name}/sub/a.py:7"),
    ]


def test_installed_packages_are_read_not_imported(tmp_path):
    script = (
        "import sys\n"
        "from data_pipeline.seeds import units, read_unit, Seed\n"
        "found = [s for u in units('statistics') for s in read_unit(u) if isinstance(s, Seed)]\n"
        "assert {'median', 'mode'} <= {s.name for s in found}\n"
        "assert 'statistics' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_seeds_of_the_standard_library_run_alone_and_keep_their_examples():
    """The documentation's own examples are the oracle: each program, run alone, must do what the
    docstring of the library says."""
    checked = 0
    for name in ("statistics", "textwrap", "bisect", "heapq", "colorsys"):
        seeds, _ = read(name)
        assert seeds
        for seed in seeds.values():
            body = "\n".join(seed.tests)
            assert alone(f"{seed.code}\n{body}", "1") == "1"
            checked += len(seed.tests)
    assert checked >= 15


def test_json_rows(tmp_path):
    rows = [
        {
            "code": "def helper(x):\n    return x + 1\n\ndef f(x):\n    return helper(x) * 2\n"
            "print(f(3))\n",
            "nl": "Twice the successor.",
            "tests": ["assert f(3) == 8", "assert f(x=0) == 2", "assert f(abs(-1)) == 4"],
        },
        {"code": "def a(x):\n    return b(x)\ndef b(x):\n    return x\n"},
        {"code": "def f(x):\n    return x\n", "tests": "assert g(1) == 1"},
        {"nl": "nothing"},
        {"code": "x = 3"},
        {"code": "def f(x):\n    return x\n", "tests": ["assert ((("]},
        ["no object"],
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [one for unit in units(str(path)) for one in read_unit(unit)]
    assert found[0].name == "f" and found[0].nl == "Twice the successor."
    assert found[0].tests == ("assert f(3) == 8", "assert f(x=0) == 2")
    assert "print" not in found[0].code
    assert alone(found[0].code, "f(3)") == "8"
    assert found[1].name == "a"
    assert isinstance(found[2], Seed) and found[2].calls == ()
    assert [one.reason for one in found[3:]] == ["bad row", "no function", "bad row", "bad row"]
    place = f"{tmp_path.name}/rows.jsonl"
    assert [one.origin for one in found] == [f"{place}:{n}" for n in range(1, 8)]


def test_long_json_files_are_split(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = json.dumps({"code": "def f(x):\n    return x + {}\n"})
    path.write_text("".join(row.replace("{}", str(n)) + "\n" for n in range(450)))
    parts = units(str(path))
    assert len(parts) == 3
    found = [one.origin for unit in parts for one in read_unit(unit)]
    assert Counter(found) == Counter(f"{tmp_path.name}/rows.jsonl:{n}" for n in range(1, 451))


def test_tests_beside_a_module_give_examples(tmp_path):
    seeds, _ = read(
        package(
            tmp_path,
            pkg__a="def f(x, y=0):\n    return [x, y]\n",
            pkg__tests__test_a="""
                from pkg.a import f
                def test_f():
                    assert f(1) == [1, 0]
                    assert [2, 3] == f(2, y=3)
                    assert f(range(3)) == [range(3), 0]
                    assert f(unknown) == 3
                class T:
                    def test(self):
                        self.assertEqual(f('a'), ['a', 0])
            """,
        )
    )
    seed = seeds["f"]
    assert set(seed.tests) == {
        "assert f(1) == [1, 0]",
        "assert f(2, y=3) == [2, 3]",
        "assert f('a') == ['a', 0]",
    }
    assert "f([0, 1, 2])" in seed.calls
    assert set(seeds) == {"f"}  # tests are no seeds


@pytest.mark.parametrize("source", ["no_such_package_here", "not a name", "/nowhere/at/all"])
def test_no_source_is_one_line(source):
    with pytest.raises(SeedError, match=r"expected a folder, a file or an installed package"):
        units(source)


def test_empty_sources_are_told(tmp_path):
    with pytest.raises(SeedError, match="has none"):
        units(str(tmp_path))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(SeedError, match="at least one row"):
        units(str(tmp_path / "empty.jsonl"))
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(SeedError, match="expected a folder"):
        units(str(tmp_path / "x.txt"))


def test_command(tmp_path, capsys):
    source = package(
        tmp_path / "src", a="def f(x):\n    return x\n\ndef g(x):\n    return open(x)\n"
    )
    output, refusals = tmp_path / "out" / "seeds.jsonl", tmp_path / "out" / "refused.jsonl"
    (tmp_path / "out").mkdir()
    arguments = [f"--source={source}", f"--output={output}"]
    assert main([*arguments, f"--refusals={refusals}"]) == 0
    (row,) = [json.loads(line) for line in output.read_text().splitlines()]
    assert Seed(**row | {"calls": (), "tests": ()}) == read(source)[0]["f"]
    assert json.loads(refusals.read_text()) == {
        "name": "g",
        "origin": f"{tmp_path.name}/src/a.py:4",
        "reason": "input or output",
        "detail": "open",
    }
    assert "1   input or output" in capsys.readouterr().out
    # What it wrote is a source itself.
    assert [seed.code for seed in read(output)[0].values()] == ["def f(x):\n    return x\n"]
    for wrong, message in (
        ([f"--output={output}"], "--source"),
        ([f"--source={tmp_path / 'none'}", f"--output={output}"], "expected a folder"),
        ([f"--source={source}", f"--output={source / 'a.py' / 'x'}"], "a.py"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1
