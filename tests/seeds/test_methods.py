"""Tests seeds of methods: class, construction and call in one program.

The oracle is plain Python: the method called on an object of the original class.
"""

import importlib
import sys
import textwrap

import pytest

from data_pipeline.seeds import Refusal, Seed, read_unit, units

SOURCE = '''
    import enum
    from collections import namedtuple
    from collections.abc import MutableSequence
    from dataclasses import dataclass, field
    from functools import cached_property, total_ordering
    from typing import NamedTuple

    class Stack:
        """A stack.

        >>> s = Stack([1, 2])
        >>> s.push(3)
        >>> s.peek()
        3
        >>> Stack([5]).peek()
        5
        >>> Stack([1], cap=3).size
        1
        """
        limit = 3

        def __init__(self, items=(), *, cap=None):
            self.items = list(items)
            self.cap = cap
            self._count = 0

        def push(self, item):
            """Push an item."""
            self.items.append(item)
            self._note()

        def _note(self):
            self._count += 1

        def fill(self, *items):
            self.items += items
            return self

        def peek(self, default=None):
            return self.items[-1] if self.items else default

        @property
        def size(self):
            return len(self.items)

        @size.setter
        def size(self, n):
            del self.items[n:]

        @staticmethod
        def double(x):
            return x * 2

        @classmethod
        def of(cls, *items):
            return cls(items)

        def __len__(self):
            return len(self.items)

        def __eq__(self, other):
            return self.items == other.items

        def __getitem__(self, place):
            return self.items[place]

        def __setitem__(self, place, item):
            self.items[place] = item

        def each(self):
            for item in self.items:
                yield item * self.limit

        def unrelated(self):
            return open(self.items)

        def __repr__(self):
            return f"Stack({self.items!r})"

    class Counted(Stack):
        def __init__(self, items, start):
            super().__init__(items)
            self.start = start

        def total(self):
            return self.start + self.size

        def peek(self):
            return super().peek(default=self.start)

    @dataclass(order=True)
    class Point:
        x: int
        y: int = 2
        tags: list = field(default_factory=list)

        def norm(self):
            return self.x ** 2 + self.y ** 2

        def moved(self, dx, dy):
            return Point(self.x + dx, self.y + dy)

        def tagged(self, tag):
            self.tags.append(tag)

    class Pair(namedtuple("Pair", "left, right")):
        def swapped(self):
            return (self.right, self.left)

    class Span(NamedTuple):
        start: int
        stop: int = 9

        @property
        def length(self):
            return self.stop - self.start

    class Color(enum.Enum):
        RED = 1
        GREEN = 2

        def darker(self):
            return self.value * 10

    @total_ordering
    class Version:
        __slots__ = ("parts",)

        def __init__(self, text):
            self.parts = text.split(".")

        def __eq__(self, other):
            return self.parts == other.parts

        def __lt__(self, other):
            return self.parts < other.parts

        def newer(self, other: "Version"):
            return other < self

    class Line(MutableSequence):
        def __init__(self, data):
            self.data = list(data)

        def __getitem__(self, place):
            return self.data[place]

        def __setitem__(self, place, value):
            self.data[place] = value

        def __delitem__(self, place):
            del self.data[place]

        def __len__(self):
            return len(self.data)

        def insert(self, place, value):
            self.data.insert(place, value)

        def ends(self):
            self.append(0)
            return self.data[0], self.data[-1]

    class Lazy:
        def __init__(self, n):
            self.n = n

        @cached_property
        def squares(self):
            return [i * i for i in range(self.n)]
'''

CALLS = {
    "stack_push": ("stack_push([1, 2], 3)", "([1, 2, 3], 1)"),
    "stack_fill": ("stack_fill([1], (2, 3))", "Stack([1]).fill(2, 3).items"),
    "stack_peek": ("stack_peek([1, 2])", "Stack([1, 2]).peek()"),
    "stack_size": ("stack_size([1, 2])", "Stack([1, 2]).size"),
    "stack_double": ("stack_double(4)", "Stack.double(4)"),
    "stack_of": ("stack_of((1, 2))", "vars(Stack.of(1, 2))"),
    "stack_len": ("stack_len([1, 2])", "len(Stack([1, 2]))"),
    "stack_eq": ("stack_eq([1], [1])", "Stack([1]) == Stack([1])"),
    "stack_getitem": ("stack_getitem([1, 2], -1)", "Stack([1, 2])[-1]"),
    "stack_setitem": ("stack_setitem([1, 2], 0, 7)", "[7, 2]"),
    "stack_each": ("stack_each([1, 2])", "list(Stack([1, 2]).each())"),
    "stack_repr": ("stack_repr([1, 2])", "repr(Stack([1, 2]))"),
    "counted_total": ("counted_total([1, 2], 10)", "Counted([1, 2], 10).total()"),
    "counted_peek": ("counted_peek([], 10)", "Counted([], 10).peek()"),
    "point_norm": ("point_norm(3, y=4)", "Point(3, 4).norm()"),
    "point_moved": ("point_moved(3, 1, 1)", "vars(Point(3).moved(1, 1))"),
    "point_tagged": ("point_tagged(3, ['a'], 'b')", "['a', 'b']"),
    "pair_swapped": ("pair_swapped(1, 'b')", "Pair(1, 'b').swapped()"),
    "span_length": ("span_length(2)", "Span(2).length"),
    "color_darker": ("color_darker('GREEN')", "Color.GREEN.darker()"),
    "version_lt": ("version_lt('1.2', '1.10')", "Version('1.2') < Version('1.10')"),
    "version_newer": ("version_newer('1.3', '1.2')", "Version('1.3').newer(Version('1.2'))"),
    "line_ends": ("line_ends([4, 5])", "Line([4, 5]).ends()"),
    "lazy_squares": ("lazy_squares(3)", "Lazy(3).squares"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("methods")
    (path / "shapes_of_methods.py").write_text(textwrap.dedent(SOURCE))
    return path


@pytest.fixture(scope="module")
def found(folder):
    return [one for unit in units(str(folder)) for one in read_unit(unit)]


@pytest.fixture(scope="module")
def original(folder):
    sys.path.insert(0, str(folder))
    try:
        return vars(importlib.import_module("shapes_of_methods"))
    finally:
        sys.path.remove(str(folder))


def seed_of(found, name):
    return next(one for one in found if isinstance(one, Seed) and one.name == name)


@pytest.mark.parametrize("name", CALLS)
def test_a_wrapper_comes_to_what_the_method_comes_to(found, original, name):
    call, same = CALLS[name]
    scope = {"__name__": "program"}
    exec(seed_of(found, name).code, scope)
    expected = eval(same, original)
    value = eval(call, scope)
    assert value == expected and type(value) is type(expected)


def test_only_what_a_method_uses_is_in_its_program(found):
    code = seed_of(found, "stack_push").code
    assert "def _note" in code and "def __init__" in code
    for other in ("unrelated", "peek", "__repr__", "double", '"""'):
        assert other not in code
    assert "def size" in seed_of(found, "counted_total").code
    assert "def insert" in seed_of(found, "line_ends").code  # abstract in the base class


def test_examples_are_rewritten_as_calls_of_the_wrapper(found):
    peek = seed_of(found, "stack_peek")
    # The object of the first example has been changed before, so its value is not of [1, 2].
    assert set(peek.calls) == {"stack_peek([1, 2])", "stack_peek([5])"}
    assert peek.tests == ("assert stack_peek([5]) == 5",)
    assert seed_of(found, "stack_push").calls == ("stack_push([1, 2], 3)",)
    assert seed_of(found, "stack_size").tests == ("assert stack_size([1], 3) == 1",)
    assert set(seed_of(found, "color_darker").calls) == {
        "color_darker('RED')",
        "color_darker('GREEN')",
    }
    assert seed_of(found, "stack_push").nl == (
        "Push an item.\n\n`stack_push` makes a `Stack`, calls its `push`, and returns the state "
        "after it."
    )


def test_what_gives_no_seed_says_why(found):
    reasons = {one.name: one.reason for one in found if isinstance(one, Refusal)}
    assert reasons == {
        "Stack.size": "property setter",
        "Stack.unrelated": "input or output",
    }


REFUSED = {
    "abstract class": "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def g(self):\n"
    "        return 1 + 1\n    def f(self):\n        return self.g() + 1\n",
    "class with a metaclass": "class M(type):\n    pass\nclass A(metaclass=M):\n"
    "    def f(self, x):\n        return x + 1\n",
    "takes a function": "class A:\n    def __init__(self, act):\n        self.act = act\n"
    "    def f(self, x):\n        return self.act(x) + 1\n",
    "returns nothing": "class A:\n    def f(self, x):\n        assert x + 1\n",
    "foreign import": "import socket\nclass A(socket.socket):\n    def f(self, x):\n"
    "        return x + 1\n",
    "class inside a class": "class A:\n    class B:\n        def f(self, x):\n"
    "            return x + 1\n",
    "defined under a condition": "class A:\n    if unknown:\n        def f(self, x):\n"
    "            return x + 1\n",
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused_by_reason(tmp_path, reason):
    (tmp_path / "a.py").write_text(REFUSED[reason])
    refusals = [one for unit in units(str(tmp_path)) for one in read_unit(unit)]
    refused = next(one for one in refusals if one.name.endswith(".f"))
    assert isinstance(refused, Refusal) and refused.reason == reason
    assert refused.origin.startswith(f"{tmp_path.name}/a.py:")
