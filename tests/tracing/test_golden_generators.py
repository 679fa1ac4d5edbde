"""Compares traces of generators, comprehensions and closures with goldens, as test_golden."""

import pytest

from tests.support.golden_events import Goldens

GOLDEN = Goldens()

GOLDEN.add(
    "an except clause that does not match",
    "f('a')",
    """
    def f(s):
        try:
            return s.encode('asci')
        except UnicodeError:
            raise
    """,
    ("call", 1, {"s": "'a'"}),
    ("line", 2),
    ("line", 3),
    ("exception", 3, "LookupError: unknown encoding: asci"),
    ("line", 4, False),
    ("unwind", 4),
)

GOLDEN.add(
    "a generator's except clause that does not match",
    "f('a')",
    """
    def g(s):
        yield 1
        try:
            yield s.encode('asci')
        except UnicodeError:
            raise
    def f(s):
        try:
            return list(g(s))
        except LookupError:
            return 5
    """,
    ("call", 7, {"s": "'a'"}),
    ("line", 8),
    ("line", 9),
    ("call", 1, {"s": "'a'"}),
    ("line", 2),
    ("yield", 2, "-> 1"),
    ("resume", 2),
    ("line", 3),
    ("line", 4),
    ("exception", 4, "LookupError: unknown encoding: asci"),
    ("line", 5, False),
    ("unwind", 5),
    ("exception", 9, "LookupError: unknown encoding: asci"),
    ("line", 10, True),
    ("line", 11),
    ("return", 11, "-> 5"),
)

GOLDEN.add(
    "nested function and closure",
    "f(2)",
    """
    def f(n):
        count = 0
        def bump(by):
            nonlocal count
            count += by
            return count
        bump(n)
        return bump(1)
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2, {"count": "0"}),
    ("line", 3, {"bump": "<function f.<locals>.bump>"}),
    ("line", 7, {"count": "2"}),
    ("call", 3, {"by": "2", "count": "0"}),
    ("line", 5, {"count": "2"}),
    ("line", 6),
    ("return", 6, "-> 2"),
    ("line", 8, {"count": "3"}),
    ("call", 3, {"by": "1", "count": "2"}),
    ("line", 5, {"count": "3"}),
    ("line", 6),
    ("return", 6, "-> 3"),
    ("return", 8, "-> 3"),
)

GOLDEN.add(
    "list comprehension with a condition",
    "f([1, 2, 3])",
    """
    def f(xs):
        x = 'kept'
        ys = [x * x for x in xs if x != 2]
        return ys, x
    """,
    ("call", 1, {"xs": "[1, 2, 3]"}),
    ("line", 2, {"x": "'kept'"}),
    ("line", 3, {"ys": "[1, 9]"}),
    ("step", 3, {"x": "1"}, "#1"),
    ("step", 3, {"x": "2"}, "#2"),
    ("step", 3, {"x": "3"}, "#3"),
    ("line", 4),
    ("return", 4, "-> ([1, 9], 'kept')"),
)

GOLDEN.add(
    "nested comprehensions over several lines",
    "f(2)",
    """
    def f(n):
        grid = [
            [a + b for b in range(a)]
            for a in range(n + 1)
        ]
        pairs = {(i, j) for i in range(n) for j in range(i)}
        return {k: v for k, v in enumerate(grid)}, pairs
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2, {"grid": "[[], [1], [2, 3]]"}),
    ("step", 2, {"a": "0"}, "#1"),
    ("step", 2, {"a": "1"}, "#2"),
    ("step", 2, {"b": "0"}, "#1"),
    ("step", 2, {"a": "2"}, "#3"),
    ("step", 2, {"b": "0"}, "#1"),
    ("step", 2, {"b": "1"}, "#2"),
    ("line", 6, {"pairs": "{(1, 0)}"}),
    ("step", 6, {"i": "0"}, "#1"),
    ("step", 6, {"i": "1"}, "#2"),
    ("step", 6, {"j": "0"}, "#1"),
    ("line", 7),
    ("step", 7, {"k": "0", "v": "[]"}, "#1"),
    ("step", 7, {"k": "1", "v": "[1]"}, "#2"),
    ("step", 7, {"k": "2", "v": "[2, 3]"}, "#3"),
    ("return", 7, "-> ({0: [], 1: [1], 2: [2, 3]}, {(1, 0)})"),
)

GOLDEN.add(
    "generator with send and return",
    "f()",
    """
    def g(n):
        got = yield n
        n += got
        yield n
        return 'done'
    def f():
        it = g(1)
        a = next(it)
        b = it.send(10)
        try:
            next(it)
        except StopIteration as stop:
            return a, b, stop.value
    """,
    ("call", 6),
    ("line", 7, {"it": "<generator g>"}),
    ("line", 8, {"a": "1"}),
    ("call", 1, {"n": "1"}),
    ("line", 2),
    ("yield", 2, "-> 1"),
    ("line", 9, {"b": "11"}),
    ("resume", 2, {"got": "10"}),
    ("line", 3, {"n": "11"}),
    ("line", 4),
    ("yield", 4, "-> 11"),
    ("line", 10),
    ("line", 11),
    ("resume", 4),
    ("line", 5),
    ("return", 5, "-> 'done'"),
    ("exception", 11, "StopIteration: done"),
    ("line", 12, {"stop": "StopIteration('done')"}, True),
    ("line", 13, "del stop"),
    ("return", 13, "-> (1, 11, 'done')"),
)

GOLDEN.add(
    "generator expression taken by sum",
    "f(2)",
    """
    def f(n):
        return sum(i + 1 for i in range(n))
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2),
    ("call", 2),
    ("step", 2, {"i": "0"}, "#1"),
    ("yield", 2, "-> 1"),
    ("resume", 2),
    ("step", 2, {"i": "1"}, "#2"),
    ("yield", 2, "-> 2"),
    ("resume", 2),
    ("return", 2, "-> None"),
    ("return", 2, "-> 3"),
)

GOLDEN.add(
    "delegation with yield from",
    "f()",
    """
    def inner():
        yield 1
        return 2
    def outer():
        x = yield from inner()
        yield x
    def f():
        return list(outer())
    """,
    ("call", 7),
    ("line", 8),
    ("call", 4),
    ("line", 5),
    ("call", 1),
    ("line", 2),
    ("yield", 2, "-> 1"),
    ("yield", 5, "-> 1"),
    ("resume", 5, {"x": "2"}),
    ("resume", 2),
    ("line", 3),
    ("return", 3, "-> 2"),
    ("line", 6),
    ("yield", 6, "-> 2"),
    ("resume", 6),
    ("return", 6, "-> None"),
    ("return", 8, "-> [1, 2]"),
)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    GOLDEN.check(name)
