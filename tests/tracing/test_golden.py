"""Compares traces with goldens written by hand from the language's rules, for Python 3.11 to 3.13.

Their form is that of `tests.support.golden_events.describe_events`: (kind, line, changes,
"del ...", "-> value", exception, branch, "#turn", "part n"). Line 1 is the program's first line.
"""

import pytest

from tests.support.golden_events import Goldens

GOLDEN = Goldens()

GOLDEN.add(
    "recursion",
    "fact(2)",
    """
    def fact(n):
        if n == 0:
            return 1
        rest = fact(n - 1)
        return n * rest
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2, False),
    ("line", 4, {"rest": "1"}),
    ("call", 1, {"n": "1"}),
    ("line", 2, False),
    ("line", 4, {"rest": "1"}),
    ("call", 1, {"n": "0"}),
    ("line", 2, True),
    ("line", 3),
    ("return", 3, "-> 1"),
    ("line", 5),
    ("return", 5, "-> 1"),
    ("line", 5),
    ("return", 5, "-> 2"),
)

GOLDEN.add(
    "in-place and aliased mutation",
    "f([3, 1])",
    """
    def add(ys, y):
        ys.append(y)
    def f(xs):
        alias = xs
        nested = {'xs': xs}
        alias.sort()
        add(nested['xs'], 9)
        xs += [7]
        del alias[0]
        alias = list(xs)
        alias.clear()
        return xs
    """,
    ("call", 3, {"xs": "[3, 1]"}),
    ("line", 4, {"alias": "[3, 1]"}),
    ("line", 5, {"nested": "{'xs': [3, 1]}"}),
    ("line", 6, {"xs": "[1, 3]", "alias": "[1, 3]", "nested": "{'xs': [1, 3]}"}),
    ("line", 7, {"xs": "[1, 3, 9]", "alias": "[1, 3, 9]", "nested": "{'xs': [1, 3, 9]}"}),
    ("call", 1, {"ys": "[1, 3]", "y": "9"}),
    ("line", 2, {"ys": "[1, 3, 9]"}),
    ("return", 2, "-> None"),
    ("line", 8, {"xs": "[1, 3, 9, 7]", "alias": "[1, 3, 9, 7]", "nested": "{'xs': [1, 3, 9, 7]}"}),
    ("line", 9, {"xs": "[3, 9, 7]", "alias": "[3, 9, 7]", "nested": "{'xs': [3, 9, 7]}"}),
    ("line", 10),
    ("line", 11, {"alias": "[]"}),
    ("return", 12, "-> [3, 9, 7]"),
)
# Line 10 rebinds `alias` to an equal list: its text does not change, which is what is told.
GOLDEN["in-place and aliased mutation"][2].insert(-1, ("line", 12))

GOLDEN.add(
    "try, except, else, finally",
    "f(0)",
    """
    def f(n):
        try:
            x = 1 // n
        except (KeyError, ValueError):
            x = 'wrong'
        except ZeroDivisionError as error:
            x = str(error)
        else:
            x = 'fine'
        finally:
            n = -1
        return x
    """,
    ("call", 1, {"n": "0"}),
    ("line", 2),
    ("line", 3),
    ("exception", 3, "ZeroDivisionError: integer division or modulo by zero"),
    ("line", 4, False),
    ("line", 6, {"error": "ZeroDivisionError('integer division or modulo by zero')"}, True),
    ("line", 7, {"x": "'integer division or modulo by zero'"}, "del error"),
    ("line", 11, {"n": "-1"}),
    ("line", 12),
    ("return", 12, "-> 'integer division or modulo by zero'"),
)

GOLDEN.add(
    "exception through two frames",
    "f(5)",
    """
    def check(n):
        if n > 3:
            raise ValueError(f'{n} is too big')
    def f(n):
        check(n)
        return n
    """,
    ("call", 4, {"n": "5"}),
    ("line", 5),
    ("call", 1, {"n": "5"}),
    ("line", 2, True),
    ("line", 3),
    ("exception", 3, "ValueError: 5 is too big"),
    ("unwind", 3),
    ("exception", 5, "ValueError: 5 is too big"),
    ("unwind", 5),
)

GOLDEN.add(
    "with, and a class that is its context",
    "f()",
    """
    class Box:
        def __init__(self, n):
            self.n = n
        def __enter__(self):
            self.n += 1
            return self
        def __exit__(self, *what):
            self.n = 0
            return what[0] is KeyError
    def f():
        with Box(4) as box:
            kept = box.n
            raise KeyError('gone')
        return kept
    """,
    ("call", 10),
    ("line", 11),
    ("call", 2, {"self": "Box()", "n": "4"}),
    ("line", 3, {"self": "Box(n=4)"}),
    ("return", 3, "-> None"),
    ("call", 4, {"self": "Box(n=4)"}),
    ("line", 5, {"self": "Box(n=5)"}),
    ("line", 6),
    ("return", 6, "-> Box(n=5)"),
    ("line", 12, {"kept": "5"}),
    ("line", 13),
    ("exception", 13, "KeyError: 'gone'"),
    ("line", 11, {"box": "Box(n=0)"}),
    (
        "call",
        7,
        {
            "self": "Box(n=5)",
            "what": "(<class KeyError>, KeyError('gone'), <traceback>)",
        },
    ),
    ("line", 8, {"self": "Box(n=0)"}),
    ("line", 9),
    ("return", 9, "-> True"),
    ("line", 14),
    ("return", 14, "-> 5"),
)
# `box` is bound when the block is entered: on the first visit of line 11.
GOLDEN["with, and a class that is its context"][2][1] = ("line", 11, {"box": "Box(n=5)"})

GOLDEN.add(
    "classes, inheritance, properties",
    "f(3)",
    """
    class Shape:
        sides = 0
        def __init__(self, size):
            self.size = size
        @property
        def area(self):
            return self.size * self.sides
    class Square(Shape):
        sides = 4
        def __init__(self, size):
            super().__init__(size + 1)
    def f(n):
        return Square(n).area
    """,
    ("call", 12, {"n": "3"}),
    ("line", 13),
    ("call", 10, {"self": "Square()", "size": "3"}),
    ("line", 11, {"self": "Square(size=4)"}),
    ("call", 3, {"self": "Square()", "size": "4"}),
    ("line", 4, {"self": "Square(size=4)"}),
    ("return", 4, "-> None"),
    ("return", 11, "-> None"),
    ("call", 5, {"self": "Square(size=4)"}),
    ("line", 7),
    ("return", 7, "-> 16"),
    ("return", 13, "-> 16"),
)

GOLDEN.add(
    "star arguments",
    "f(1, *[2, 3], k=4, **{'z': 5})",
    """
    def f(a, *rest, k=0, **named):
        first, *middle, last = (a, *rest, k)
        return g(*middle, **named)
    def g(*args, z):
        return [*args, z]
    """,
    ("call", 1, {"a": "1", "k": "4", "rest": "(2, 3)", "named": "{'z': 5}"}),
    ("line", 2, {"first": "1", "middle": "[2, 3]", "last": "4"}),
    ("line", 3),
    ("call", 4, {"z": "5", "args": "(2, 3)"}),
    ("line", 5),
    ("return", 5, "-> [2, 3, 5]"),
    ("return", 3, "-> [2, 3, 5]"),
)

GOLDEN.add(
    "while, break, continue, else",
    "f(3)",
    """
    def f(n):
        while True:
            n -= 1
            if n == 1:
                continue
            if n < 0:
                break
        while n < 0:
            n += 1
        else:
            n = 'end'
        return n
    """,
    ("call", 1, {"n": "3"}),
    ("line", 2, True, "#1"),
    ("line", 3, {"n": "2"}),
    ("line", 4, False),
    ("line", 6, False),
    ("line", 2, True, "#2"),
    ("line", 3, {"n": "1"}),
    ("line", 4, True),
    ("line", 5),
    ("line", 2, True, "#3"),
    ("line", 3, {"n": "0"}),
    ("line", 4, False),
    ("line", 6, False),
    ("line", 2, True, "#4"),
    ("line", 3, {"n": "-1"}),
    ("line", 4, False),
    ("line", 6, True),
    ("line", 7),
    ("line", 8, True, "#1"),
    ("line", 9, {"n": "0"}),
    ("line", 8, False),
    ("line", 11, {"n": "'end'"}),
    ("line", 12),
    ("return", 12, "-> 'end'"),
)

GOLDEN.add(
    "one-line bodies",
    "f(2)",
    """
    def f(n):
        while n: n -= 1
        for c in 'ab': n += 1
        if n > 5: return 'big'
        elif n > 1: n = 'some'
        else: n = 'none'
        return n
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2, True, "#1"),
    ("line", 2, {"n": "1"}, "part 1"),
    ("line", 2, True, "#2"),
    ("line", 2, {"n": "0"}, "part 1"),
    ("line", 2, False),
    ("line", 3, {"c": "'a'"}, True, "#1"),
    ("line", 3, {"n": "1"}, "part 1"),
    ("line", 3, {"c": "'b'"}, True, "#2"),
    ("line", 3, {"n": "2"}, "part 1"),
    ("line", 3, False),
    ("line", 4, False),
    ("line", 5, True),
    ("line", 5, {"n": "'some'"}, "part 1"),
    ("line", 7),
    ("return", 7, "-> 'some'"),
)

GOLDEN.add(
    "match",
    "f({'op': 'add', 'by': 2})",
    """
    def f(ask):
        match ask:
            case [x, y]:
                out = x
            case {'op': 'add', 'by': by} if by > 1:
                out = by + 1
            case _:
                out = None
        return out
    """,
    ("call", 1, {"ask": "{'op': 'add', 'by': 2}"}),
    ("line", 2),
    ("line", 3, False),
    ("line", 5, {"by": "2"}, True),
    ("line", 6, {"out": "3"}),
    ("line", 9),
    ("return", 9, "-> 3"),
)

GOLDEN.add(
    "exact values: 1 is not True, 0.0 is not -0.0",
    "f()",
    """
    def f():
        a = 1
        a = True
        b = 0.0
        b = -0.0
        b = -0.0
        c = float('nan')
        c = float('nan')
        s = {3, 1, 2}
        s.add(2)
        t = bytearray(b'x')
        t[0] = 65
        del s, c
        return a, b, bytes(t)
    """,
    ("call", 1),
    ("line", 2, {"a": "1"}),
    ("line", 3, {"a": "True"}),
    ("line", 4, {"b": "0.0"}),
    ("line", 5, {"b": "-0.0"}),
    ("line", 6),
    ("line", 7, {"c": "nan"}),
    ("line", 8),
    ("line", 9, {"s": "{1, 2, 3}"}),
    ("line", 10),
    ("line", 11, {"t": "bytearray(b'x')"}),
    ("line", 12, {"t": "bytearray(b'A')"}),
    ("line", 13, "del c s"),  # in the order they were bound
    ("line", 14),
    ("return", 14, "-> (True, -0.0, b'A')"),
)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    GOLDEN.check(name)
