"""Compares traces of statements that share a line or take several with goldens, as test_golden."""

import pytest

from data_pipeline.tracing.replay import Replay
from tests.support.golden_events import Goldens, trace_source

GOLDEN = Goldens()

GOLDEN.add(
    "statements on one line",
    "f(1)",
    """
    def f(n):
        a = n + 1; b = a * 2; a = b
        return a
    """,
    ("call", 1, {"n": "1"}),
    ("line", 2, {"a": "2"}),
    ("line", 2, {"b": "4"}, "part 1"),
    ("line", 2, {"a": "4"}, "part 2"),
    ("line", 3),
    ("return", 3, "-> 4"),
)

GOLDEN.add(
    "compound statements on one line",
    "f([3, 4])",
    """
    def f(xs):
        t = 0
        for x in xs: t += x; last = x
        if t > 3: t = 3
        try: x = 1
        finally: y = 2
        class C: z = 5
        if t > 9: pass
        else: x = 6
        def g(q): return q + t
        h = lambda q: q * 2
        return g(1); x = 7
    """,
    ("call", 1, {"xs": "[3, 4]"}),
    ("line", 2, {"t": "0"}),
    ("line", 3, {"x": "3"}, True, "#1"),
    ("line", 3, {"t": "3"}, "part 1"),
    ("line", 3, {"last": "3"}, "part 2"),
    ("line", 3, {"x": "4"}, True, "#2"),
    ("line", 3, {"t": "7"}, "part 1"),
    ("line", 3, {"last": "4"}, "part 2"),
    ("line", 3, False),
    ("line", 4, True),
    ("line", 4, {"t": "3"}, "part 1"),
    ("line", 5),
    ("line", 5, {"x": "1"}, "part 1"),
    ("line", 6, {"y": "2"}),
    ("line", 7, {"C": "<class C>"}),
    ("call", 7),
    ("line", 7),
    ("line", 7, {"z": "5"}, "part 1"),
    ("return", 7, "-> None", "part 1"),
    ("line", 8, False),
    ("line", 9, {"x": "6"}),
    ("line", 10, {"g": "<function f.<locals>.g>"}),
    ("line", 11, {"h": "<function f.<locals>.<lambda>>"}),
    ("line", 12),
    ("call", 10, {"q": "1", "t": "3"}),
    ("line", 10, "part 1"),
    ("return", 10, "-> 4", "part 1"),
    ("return", 12, "-> 4"),
)

GOLDEN.add(
    "a lambda's body is a part of its line",
    "f(2)",
    """
    def f(n):
        double = lambda q: q * 2; n = double(n)
        return n
    """,
    ("call", 1, {"n": "2"}),
    ("line", 2, {"double": "<function f.<locals>.<lambda>>"}),
    ("line", 2, {"n": "4"}, "part 2"),
    ("call", 2, {"q": "2"}),
    ("line", 2, "part 1"),
    ("return", 2, "-> 4", "part 1"),
    ("line", 3),
    ("return", 3, "-> 4"),
)

GOLDEN.add(
    "a handler over several lines",
    "f([1])",
    """
    def f(xs):
        try:
            return xs[5]
        except (IndexError,
                KeyError) as error:
            return 1
    """,
    ("call", 1, {"xs": "[1]"}),
    ("line", 2),
    ("line", 3),
    ("exception", 3, "IndexError: list index out of range"),
    ("line", 4, {"error": "IndexError('list index out of range')"}, True),
    ("line", 6, "del error"),
    ("return", 6, "-> 1"),
)

GOLDEN.add(
    "cases over several lines",
    "f([1, 2])",
    """
    def f(xs):
        match xs:
            case [
                1,
                3,
            ]:
                return 0
            case (
                [a, *rest]
            ) if (a > 0
                  and rest):
                return a
    """,
    ("call", 1, {"xs": "[1, 2]"}),
    ("line", 2),
    ("line", 3, False),
    ("line", 8, {"a": "1", "rest": "[2]"}, True),
    ("line", 12),
    ("return", 12, "-> 1"),
)

GOLDEN.add(
    "headers over several lines",
    "f(1)",
    """
    def f(n):
        if (
            n > 0
            and n < 5
        ):
            n = 2
        while (n > 1 and
               n < 3): n += 1
        for (a,
             b) in [
                (n, 4),
        ]:
            n = a + b
        return n
    """,
    ("call", 1, {"n": "1"}),
    ("line", 2, True),
    ("line", 6, {"n": "2"}),
    ("line", 7, True, "#1"),
    ("line", 8, {"n": "3"}, "part 1"),
    ("line", 7, False),
    ("line", 9, {"a": "3", "b": "4"}, True, "#1"),
    ("line", 13, {"n": "7"}),
    ("line", 9, False),
    ("line", 14),
    ("return", 14, "-> 7"),
)

GOLDEN.add(
    "a call over several lines is one step, and raises where it raises",
    "f(0)",
    """
    def g(*a):
        return a
    def f(n):
        x = g(
            n,
            g(2),
        ); y = 1
        return g(
            x,
            y // n,
        )
    """,
    ("call", 3, {"n": "0"}),
    ("line", 4, {"x": "(0, (2,))"}),
    ("call", 1, {"a": "(2,)"}),
    ("line", 2),
    ("return", 2, "-> (2,)"),
    ("call", 1, {"a": "(0, (2,))"}),
    ("line", 2),
    ("return", 2, "-> (0, (2,))"),
    ("line", 7, {"y": "1"}, "part 1"),
    ("line", 8),
    ("exception", 10, "ZeroDivisionError: integer division or modulo by zero"),
    ("unwind", 10),
)

GOLDEN.add(
    "assignment expressions and changes inside nested comprehensions",
    "f([1, 2])",
    """
    def f(xs):
        y = 9
        out = [y for x in xs if (y := x * 2) > 2]
        pairs = [(w := x, [(z := b + w) for b in [x]]) for x in xs]
        return [[out.append(y) for y in range(x)] for x in [2, 0]]
    """,
    ("call", 1, {"xs": "[1, 2]"}),
    ("line", 2, {"y": "9"}),
    ("line", 3, {"y": "4", "out": "[4]"}),
    ("step", 3, {"x": "1"}, "#1"),
    ("step", 3, {"x": "2"}, "#2"),
    ("line", 4, {"w": "2", "z": "4", "pairs": "[(1, [2]), (2, [4])]"}),
    ("step", 4, {"x": "1"}, "#1"),
    ("step", 4, {"b": "1"}, "#1"),
    ("step", 4, {"x": "2"}, "#2"),
    ("step", 4, {"b": "2"}, "#1"),
    ("line", 5, {"out": "[4, 0, 1]"}),
    ("step", 5, {"x": "2"}, "#1"),
    ("step", 5, {"y": "0"}, "#1"),
    ("step", 5, {"y": "1"}, "#2"),
    ("step", 5, {"x": "0"}, "#2"),
    ("return", 5, "-> [[None, None], []]"),
)

GOLDEN.add(
    "a `finally` that ends with a branch not taken",
    "f(1)",
    """
    def f(n):
        try:
            raise KeyError(n)
        finally:
            if n > 3:
                n = 0
            elif n > 2: n = 5
    """,
    ("call", 1, {"n": "1"}),
    ("line", 2),
    ("line", 3),
    ("exception", 3, "KeyError: 1"),
    ("line", 5, False),
    ("line", 7, False),
    ("unwind", 7),
)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    GOLDEN.check(name)


def test_replay_tells_the_statements_of_a_line_apart():
    run = Replay(
        trace_source(
            """
            def f(xs):
                n = 0
                for x in xs: n += x; xs = n
                else: n = 9
                g = lambda q: q + 1
                return g(n)
            """,
            "f([3, 4])",
        )
    )
    told = []
    for line in (3, 4, 5):
        for here in run.by_line[line]:
            part = run.part_of(here.event)
            after = {**here.event.changed}
            told.append((type(part).__name__, after, dict(here.turns)))
    assert told == [
        ("For", {"x": "3"}, {3: 1}),
        ("AugAssign", {"n": "3"}, {3: 1}),
        ("Assign", {"xs": "3"}, {3: 1}),
        ("For", {"x": "4"}, {3: 2}),
        ("AugAssign", {"n": "7"}, {3: 2}),
        ("Assign", {"xs": "7"}, {3: 2}),
        ("For", {}, {3: 0}),
        ("Assign", {"n": "9"}, {}),
        ("Assign", {"g": "<function f.<locals>.<lambda>>"}, {}),
        ("Lambda", {}, {}),
    ]
    assert [m.turn for m in run.moments if m.event.branch is not None] == [1, 2, 3]
    assert [run.statement_of(e) is run.statements.get(e.line) for e in run.events[:3]] == [True] * 3
