"""Tests that the text of an object of `collections` or of a Flag stands for an equal object."""

import enum
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from data_pipeline.source.calls import parse_value
from data_pipeline.source.constructed import Constructed, construct, with_collections
from data_pipeline.source.literals import same_value
from data_pipeline.tracing.rendering import render


class Perm(enum.Flag):
    READ = 1
    WRITE = 2


NAMES = {"Counter": Counter, "OrderedDict": OrderedDict, "defaultdict": defaultdict,
         "deque": deque, "Perm": Perm}  # fmt: skip
VALUES = [
    Counter("abca"),
    Counter(),
    OrderedDict([("b", 1), ("a", [2])]),
    OrderedDict(),
    deque([1, (2, 3)]),
    deque([1, 2, 3], maxlen=2),
    deque(),
    defaultdict(list, {"a": [1]}),
    defaultdict(int),
    [Counter(a=1), {"k": deque("ab")}],
]
FLAGS = [Perm.READ, Perm.READ | Perm.WRITE, Perm(0)]


@pytest.mark.parametrize("value", VALUES + FLAGS, ids=repr)
def test_the_text_evaluates_to_an_equal_object(value):
    text = render(value)
    assert eval(text, dict(NAMES)) == value  # as the program itself reads it
    assert construct(parse_value(text), NAMES) == value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_text_is_read_as_the_value(value):
    read = parse_value(render(value))
    assert same_value(read, value)
    assert with_collections(read) == value
    others = [other for other in VALUES if type(other) is not type(value) or other != value]
    assert not any(same_value(read, other) for other in others)


def test_what_differs_is_told_apart():
    assert not same_value(parse_value("Counter({'a': 1})"), Counter(a=2))
    assert not same_value(parse_value("Counter({'a': 1})"), {"a": 1})
    assert not same_value(parse_value("Counter({'a': True})"), Counter(a=1))
    assert not same_value(parse_value("OrderedDict({'a': 1, 'b': 2})"),
                          OrderedDict([("b", 2), ("a", 1)]))  # fmt: skip
    assert not same_value(parse_value("deque([1, 2])"), deque([2, 1]))


def test_of_names_without_a_call_only_a_factory_is_read():
    assert parse_value("defaultdict(int, {})") == Constructed(
        "defaultdict", (Constructed("int"), {})
    )
    for text in ("defaultdict(open, {})", "Counter(list)", "deque(int)", "list", "a|b"):
        with pytest.raises(ValueError):
            parse_value(text)
