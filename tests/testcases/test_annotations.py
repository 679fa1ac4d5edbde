"""Tests that inputs keep to annotations, by a run-time type checker and by hand."""

import ast
import importlib
import itertools
import random
from pathlib import Path

import pytest

from data_pipeline.seeds import Seed, read_unit, units
from data_pipeline.source.calls import parse_call
from data_pipeline.source.constructed import construct
from data_pipeline.testcases import EXPLORATION_LIMITS, cases
from data_pipeline.testcases.annotations import TypeReader
from data_pipeline.testcases.generation import Maker
from data_pipeline.testcases.kinds import infer_signature
from data_pipeline.testcases.value_kind import accepts, can_be_made
from tests.support.sandboxes import open_sandbox
from tests.testcases.test_testcases import seed_of

TYPED = Path(__file__).parent / "typed"


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(workers=1, limits=EXPLORATION_LIMITS) as opened:
        yield opened


@pytest.fixture(scope="module")
def explored(sandbox):
    """The results on both typed modules: (module, function) -> exploration."""
    found = {}
    for name in ("shop", "plans"):
        for unit in units(str(TYPED / f"{name}.py")):
            for seed in read_unit(unit):
                assert isinstance(seed, Seed), seed
                found[name, seed.name] = cases(seed, sandbox, limit=8, random_seed=0)
    return found


def refused_calls(explored):
    """The kept calls that beartype refuses, on the modules themselves."""
    beartype = pytest.importorskip("beartype")
    conf = beartype.BeartypeConf(is_pep484_tower=True)
    refused = []
    for (name, function), exploration in explored.items():
        module = importlib.import_module(f"tests.testcases.typed.{name}")
        checked = beartype.beartype(conf=conf)(getattr(module, function))
        for case in exploration.cases:
            call = parse_call(case.call)
            for _ in range(30):  # it looks at one item of a list each time
                args = [construct(value, vars(module)) for value in call.args]
                kwargs = {k: construct(v, vars(module)) for k, v in call.kwargs.items()}
                try:
                    checked(*args, **kwargs)
                except beartype.roar.BeartypeCallHintParamViolation:
                    refused.append(case.call)
                    break
    return refused


def test_a_type_checker_refuses_no_kept_run(explored):
    assert len(explored) == 14
    assert refused_calls(explored) == []
    assert all(one.annotated == one.lawful == len(one.cases) for one in explored.values())


def test_the_type_checker_can_refuse(explored, sandbox):
    wrong = cases(
        seed_of("def clamp(value, low, high):\n    return [low, high]\n", ["clamp('a', 1, 2)"]),
        sandbox,
        limit=1,
    )
    assert refused_calls({("plans", "clamp"): wrong}) == ["clamp('a', 1, 2)"]


def test_annotated_functions_have_enough_runs_and_lines(explored):
    for name, one in explored.items():
        assert len(one.cases) >= 6, name
        assert one.coverage.lines_kept == one.coverage.lines, name
    tried = sum(one.refused.total() for one in explored.values())
    kept = sum(len(one.cases) for one in explored.values())
    assert tried <= kept / 4, {name: one.refused for name, one in explored.items()}


def test_kept_runs_take_several_paths_and_begin_without_near_copies(explored):
    for name, least in {"justify": 4, "runs": 5}.items():
        assert explored["plans", name].paths >= least
    for one in explored.values():
        calls = [case.call for case in one.cases]
        assert len(set(calls)) == len(calls)
    assert any("([]" in case.call for case in explored["shop", "format_receipt"].cases)


def test_values_look_as_a_caller_would_write_them(explored):
    for case in explored["shop", "format_receipt"].cases:
        (lines, *_) = parse_call(case.call).args
        for name, price, _ in lines:
            assert name == name.strip() and "\n" not in name
            assert round(price, 2) == price
    names = [
        name for case in explored["plans", "rota"].cases for name in parse_call(case.call).args[0]
    ]
    assert sum(name.isalpha() and name.istitle() for name in names) > len(names) * 0.7


MODULE = """
import datetime
from collections.abc import *
import typing as t
from typing import *
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

Age = NewType("Age", int)
Pair = tuple[str, int]
Json = Union[None, int, list["Json"]]

class Movie(TypedDict, total=False):
    title: Required[str]
    year: int

class Series(Movie):
    seasons: NotRequired[int]

@dataclass
class Node:
    value: int
    after: "Optional[Node]" = None

class Color(Enum):
    RED = 1

class Sizes(Protocol):
    def __iter__(self): ...
"""

# By PEP 484 and the rules of each type: annotation, values of it, values that break it.
LAWS = [
    ("int", [3, -1], [1.0, "3", None]),
    ("float", [0.5, 2], ["0.5", None]),
    ("bool", [True], [1, "True"]),
    ("Optional[int]", [None, 3], [1.5, "a"]),
    ("'str | None'", [None, "a"], [3]),
    ("Union[int, str]", [1, "a"], [1.5, None]),
    ("Literal['left', 'right', 3]", ["left", 3], ["a", True, 3.0]),
    ("list[tuple[str, float, int]]", [[], [("a", 1.5, 2)]], [[(1, 2, 3)], [("a", 1.5)], ("a",)]),
    ("List[int]", [[1]], [(1,), [1.5]]),
    ("tuple[int, ...]", [(), (1, 2)], [[1], (1, "a")]),
    ("Sequence[int]", [[1], (1, 2)], [{1}, "ab"]),
    ("Sequence[str]", [["a"], "ab"], [[1]]),
    ("Iterable[int]", [[1], {1}, {1: "a"}], [["a"], 3]),
    ("Mapping[str, list[int]]", [{"a": [1]}], [{"a": 1}, {1: [1]}, [("a", [1])]]),
    ("set[str]", [{"a"}], [["a"], {1}, frozenset("a")]),
    ("t.AbstractSet[str]", [{"a"}, frozenset("a")], [["a"]]),
    ("frozenset[int]", [frozenset({1})], [{1}]),
    ("Age", [3], [3.0]),
    ("Annotated[Pair, 'x']", [("a", 1)], [(1, "a")]),
    ("Json", [None, 1, [1, [2]]], ["a"]),
    ("Movie", [{"title": "a"}, {"title": "a", "year": 1}], [{"year": 1}, {"title": "a", "x": 1}]),
    ("Movie", [{"title": "a"}], [{"title": 2}]),
    ("Series", [{"title": "a", "seasons": 2}], [{"seasons": 2}]),
    ("Sizes", [[1], "a"], [3]),
    ("type[int]", [], [3, "a"]),
    ("Iterator[int]", [], [[1]]),
]  # fmt: skip


@pytest.mark.parametrize("annotation, right, wrong", LAWS)
def test_annotations_accept_their_values_alone(annotation, right, wrong):
    reader = TypeReader(ast.parse(MODULE))
    kind = reader.read(ast.parse(annotation, mode="eval").body)
    assert [value for value in right if not accepts(kind, value)] == []
    assert [value for value in wrong if accepts(kind, value)] == []
    assert can_be_made(kind) == bool(right)


# Beartype cannot read a type inside itself, nor a protocol that is not checked at run time.
DRAWN = [law[0] for law in LAWS if law[1] and law[0] not in ("Json", "Sizes")]


@pytest.mark.parametrize("annotation", [*DRAWN, "Node", "Color", "Decimal", "list[datetime.date]"])
def test_a_type_checker_accepts_what_is_generated_and_mutated(annotation):
    door = pytest.importorskip("beartype.door")
    conf = pytest.importorskip("beartype").BeartypeConf(is_pep484_tower=True)
    space = {"__name__": __name__}
    exec(MODULE, space)
    hint = eval(annotation, space)
    hint = eval(hint, space) if isinstance(hint, str) else hint
    code = f"{MODULE}\ndef f(x: {annotation}):\n    return x\n"
    maker = Maker(infer_signature(code, "f", ()), random.Random(0))
    drawn = [maker.generate() for _ in range(60)]
    drawn += [maker.mutate(one, other) for one, other in itertools.pairwise(drawn)]
    assert len({repr(one) for one in drawn}) > 1 or annotation == "Color"
    for one in [*drawn, *maker.edges()]:
        assert door.is_bearable(construct(one.args[0], space), hint, conf=conf), one


def test_an_example_that_breaks_the_annotation_is_counted_and_not_used(sandbox):
    seed = seed_of("def f(n: int):\n    return n\n", ["f('a')", "f(70)"])
    found = cases(seed, sandbox, limit=4)
    assert found.refused["example breaks an annotation"] == 1
    calls = [case.call for case in found.cases]
    assert "f(70)" in calls and "f('a')" not in calls


def test_a_default_speaks_before_use_and_name(sandbox):
    seed = seed_of("def f(words, width=20):\n    return [width, len(words)]\n")
    for case in cases(seed, sandbox, limit=8).cases:
        call = parse_call(case.call)
        assert type(call.kwargs.get("width", [20, *call.args[1:]][-1])) is int
