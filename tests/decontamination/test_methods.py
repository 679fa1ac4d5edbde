"""Tests that methods of classes are compared with functions and with methods, by text and deed."""

import ast
from functools import partial

import pytest

from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.methods import as_function
from data_pipeline.decontamination.overlap import BenchmarkIndex, Item
from data_pipeline.decontamination.repeats import find_repeats
from data_pipeline.testcases import EXPLORATION_LIMITS
from tests.support.sandboxes import open_sandbox

FUNCTION = """def close(numbers, threshold):
    for i, one in enumerate(numbers):
        for j, other in enumerate(numbers):
            if i != j and abs(one - other) < threshold:
                return True
    return False
"""
HIDDEN = {
    "method": """class Numbers:
    def __init__(self, unit='m'):
        self.unit = unit

    def label(self):
        return f'in {self.unit}'

    def is_near(self, xs, limit):
        for a, x in enumerate(xs):
            for b, y in enumerate(xs):
                if a != b and abs(x - y) < limit:
                    return True
        return False
""",
    "static method": """class Numbers:
    kinds = ['m', 'km']

    @staticmethod
    def is_near(xs, limit):
        for a, x in enumerate(xs):
            for b, y in enumerate(xs):
                if a != b and abs(x - y) < limit:
                    return True
        return False

    def kind(self):
        return self.kinds[0]
""",
    "class method": """class Numbers:
    @classmethod
    def is_near(cls, xs, limit):
        for a, x in enumerate(xs):
            for b, y in enumerate(xs):
                if a != b and abs(x - y) < limit:
                    return True
        return False

    def kind(self):
        return 'km'
""",
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_task_solved_in_a_method_is_found(kind):
    index = BenchmarkIndex([Item("HumanEval/0", FUNCTION)])
    found = index.overlap(Item("x", HIDDEN[kind]))
    assert found is not None and found.matched == "HumanEval/0"


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_function_that_solves_the_task_of_a_class_is_found(kind):
    index = BenchmarkIndex([Item("lcb/1", HIDDEN[kind])])
    assert index.overlap(Item("x", FUNCTION)).matched == "lcb/1"
    other = "def f(xs, k):\n    total = 0\n    for x in xs:\n        total += x * k - 1\n"
    assert index.overlap(Item("x", f"{other}    return total\n")) is None


def test_a_method_reads_its_fields_as_names():
    source = "class C:\n    def m(self, x):\n        self.n += x\n        return self.go(self.n)\n"
    method = ast.parse(source).body[0].body[0]
    assert ast.unparse(as_function(method)) == "def m(x):\n    n += x\n    return go(n)"
    assert "self.n" in ast.unparse(method)  # the tree itself stays as it was


BOX = """class Box:
    def __init__(self):
        self.items = []

    def spread(self, xs):
        low, high = xs[0], xs[0]
        for x in xs:
            if x < low:
                low = x
            if x > high:
                high = x
        return {end}
"""
STATIC = """class Box:
    @staticmethod
    def spread(xs):
        low, high = xs[0], xs[0]
        for x in xs:
            if x < low:
                low = x
            if x > high:
                high = x
        return {end}
"""


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(workers=1, limits=EXPLORATION_LIMITS) as opened:
        yield opened


@pytest.mark.parametrize(("source", "entry"), [(BOX, ""), (BOX, "Box.spread"),
                                               (STATIC, "Box.spread")])  # fmt: skip
def test_methods_are_told_apart_by_what_they_do(source, entry, sandbox):
    compare = partial(differ, sandbox=sandbox)
    items = [
        Item("a", source.format(end="high - low"), entry=entry),
        Item("b", source.format(end="high + low"), entry=entry),
        Item("c", source.format(end="(high - low)").replace("low", "least"), entry=entry),
    ]
    assert [(one.id, one.matched) for one in find_repeats(items, compare)] == [("c", "a")]
