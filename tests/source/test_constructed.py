"""Tests values that a class constructs, in calls and results; the oracle is Python's `eval`."""

import datetime
import enum
from collections import namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest

from data_pipeline.execution.guest.values import Malformed, decode, encode
from data_pipeline.source.calls import (
    CallError,
    make_call,
    parse_call,
    parse_value,
    resolve,
    with_objects,
)
from data_pipeline.source.constructed import Constructed, construct
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.rendering import render


@dataclass(frozen=True)
class Point:
    x: int
    y: object = None


class Color(enum.Enum):
    RED = 1


Span = namedtuple("Span", "start stop")
SCOPE = globals()
VALUES = [
    Decimal("1.50"),
    Fraction(-1, 3),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
    datetime.timedelta(days=-1, seconds=5),
    datetime.time(1, 2),
    Color.RED,
    Span(1, [2]),
    Point(1, y=Point(-2.5, (Decimal("NaN"),))),
    {"a": [Color.RED, {Span(1, 2)}], Fraction(1, 2): None},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_trace_s_text_reads_back_as_the_value(value):
    text = render(value)
    read = parse_value(text)
    assert repr(construct(read, SCOPE)) == repr(value) == repr(eval(text, SCOPE))
    assert same_value(decode(encode(value, objects=True)), read)


@pytest.mark.parametrize("text", ["f(1)", "x", "Point", "Point(x)", "Point(*[1])", "[].append(1)"])
def test_other_text_is_no_value(text):
    with pytest.raises(LiteralError):
        parse_value(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Point(1)", "Point(True)"),
        ("Point(1)", "Point(1.0)"),
        ("Point(x=1)", "Point(1)"),
        ("Color.RED", "Color.GREEN"),
        ("Decimal('1.0')", "Decimal('1.00')"),
        ("Point([1])", "Span([1])"),
    ],
)
def test_types_and_texts_count(one, other):
    assert same_value(parse_value(one), parse_value(one))
    assert not same_value(parse_value(one), parse_value(other))


PROGRAM = """
class Stack:
    def __init__(self, items, cap=None):
        self.items, self.cap = list(items), cap
    def push(self, item):
        self.items.append(item)
        return self.items
def total(stack, *more):
    return sum(stack.items) + sum(map(len, more))
def Shout(x):
    return x
"""


@pytest.mark.parametrize(
    "call",
    [
        "Stack([1]).push(2)",
        "Stack(items=[1], cap=3).push(item=[2])",
        "total(Stack([1, 2]))",
        "total(Stack((3,), cap=None), [1], 'ab')",
    ],
)
def test_calls_with_objects_come_to_what_python_makes_of_them(call):
    scope: dict = {}
    exec(PROGRAM, scope)
    parsed = parse_call(call)
    assert make_call(with_objects(parsed, scope), resolve(parsed, scope)) == eval(call, scope)
    assert trace_call(PROGRAM, call).result == repr(eval(call, scope))


@pytest.mark.parametrize("call", ["total(Missing(1))", "total(Shout(1))", "total(Stack.none)"])
def test_a_name_that_is_no_class_is_bad_input(call):
    with pytest.raises(CallError) as found:
        trace_call(PROGRAM, call)
    assert found.value.reason == "entry"


def test_without_being_asked_objects_stay_opaque():
    assert encode(Point(1)) == ["o", f"{__name__}.Point"]
    assert encode(Constructed("Color.RED")) == ["k", "Color.RED"]
    assert decode(["k", "P", ["x", 1], 2]) == Constructed("P", (2,), (("x", 1),))


@pytest.mark.parametrize(
    "tree", [["k"], ["k", 1], ["k", "P", 3], ["k", "P", ["x"]], ["k", "P", [1, 2]]]
)
def test_forged_objects_are_refused(tree):
    with pytest.raises(Malformed):
        decode(tree)
