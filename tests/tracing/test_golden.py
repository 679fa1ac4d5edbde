"""Golden traces: each written by hand from what the language says happens, for Python 3.11 to 3.13.

The form is that of `tests.support.golden_events.told`: (kind, line, changes, "del ...", "-> value",
exception, branch, "#turn"). Lines are counted from the first line of the program.
"""

import re
import subprocess
import sys
from textwrap import dedent

import pytest

from tests.support.golden_events import told, traced

GOLDEN = {}


def golden(name: str, call: str, source: str, *events: tuple) -> None:
    GOLDEN[name] = (call, source, list(events))


golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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

golden(
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
    ("line", 2, {"n": "1"}),
    ("line", 2, True, "#2"),
    ("line", 2, {"n": "0"}),
    ("line", 2, False),
    ("line", 3, {"c": "'a'"}, True, "#1"),
    ("line", 3, {"n": "1"}),
    ("line", 3, {"c": "'b'"}, True, "#2"),
    ("line", 3, {"n": "2"}),
    ("line", 3, False),
    ("line", 4, False),
    ("line", 5, True),
    ("line", 5, {"n": "'some'"}),
    ("line", 7),
    ("return", 7, "-> 'some'"),
)

golden(
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

golden(
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
    call, source, events = GOLDEN[name]
    found = told(traced(source, call))
    for step, (one, other) in enumerate(zip(found, events, strict=False)):
        assert one == other, f"step {step}"
    assert len(found) == len(events)


def test_loops_are_counted_per_execution():
    trace = traced(
        """
        def f(rows):
            n = 0
            for row in rows:
                for cell in row:
                    if cell is None:
                        break
                    n += 1
            for _ in []:
                n = 'never'
            return n
        """,
        "f([[1, 2], [], [3, None, 4]])",
    )
    assert [(loop.line, loop.kind, loop.iterations) for loop in trace.loops] == [
        (3, "for", 3),
        (4, "for", 2),
        (4, "for", 0),
        (4, "for", 2),
        (8, "for", 0),
    ]


def test_frames_and_depths_of_interleaved_generators():
    trace = traced(
        """
        def count(n):
            for i in range(n):
                yield i
        def f():
            a, b = count(2), count(1)
            return [next(a), next(b), next(a)]
        """,
        "f()",
    )
    yields = [(e.frame, e.depth, e.value) for e in trace.events if e.kind == "yield"]
    assert yields == [(1, 1, "0"), (2, 1, "0"), (1, 1, "1")]


def test_truncation_is_told_and_the_result_is_still_the_runs_own():
    source = """
        def f(n):
            total = 0
            while n:
                n -= 1
                total += n
            return total
        """
    trace = traced(source, "f(1000)", max_lines=50)
    assert trace.truncated is not None and "50" in trace.truncated
    assert len(trace.events) <= 52
    assert trace.result == str(sum(range(1000)))
    whole = traced(source, "f(1000)")
    assert whole.truncated is None
    assert whole.events[: len(trace.events) - 3] == trace.events[:-3]


def test_byte_limit_and_clipped_values():
    source = """
        def f(n):
            big = list(range(n))
            big.append('end')
            return len(big)
        """
    trace = traced(source, "f(100000)", max_bytes=100_000)
    assert trace.truncated is not None and trace.result == "100001"
    trace = traced(source, "f(1000)", max_characters=20)
    (text,) = [e.changed["big"] for e in trace.events if e.line == 2 and e.kind == "line"]
    full = repr(list(range(1000)))
    mark = re.fullmatch(r"(.{20})…⟨\+(\d+) characters( at least)?⟩", text)
    assert mark and mark[1] == full[:20]
    missing = len(full) - 20
    assert int(mark[2]) <= missing and (mark[3] or int(mark[2]) == missing)
    assert trace.clipped >= 1
    words = traced("def f(n):\n    words = ['word'] * n\n    return 0", "f(50)", max_characters=30)
    (text,) = [e.changed["words"] for e in words.events if "words" in e.changed]
    assert text == f"{repr(['word'] * 50)[:30]}…⟨+{50 * 8 - 30} characters⟩"


def test_a_program_that_takes_the_trace_function_is_told():
    trace = traced(
        """
        import sys
        def f():
            sys.settrace(None)
            return 1
        """,
        "f()",
    )
    assert trace.result == "1" and trace.truncated is not None


def test_no_code_of_the_program_is_run_to_show_its_values():
    trace = traced(
        """
        shown = []
        class Loud:
            def __init__(self): self.n = 1
            def __repr__(self): shown.append('repr'); return 'Loud'
            def __eq__(self, other): shown.append('eq'); return True
            def __getattribute__(self, name):
                shown.append(name)
                return object.__getattribute__(self, name)
            __hash__ = None
        def f():
            loud = Loud()
            more = [loud, {'k': loud}]
            return list(shown)
        """,
        "f()",
    )
    assert trace.result == "[]"
    (line,) = [e for e in trace.events if "more" in e.changed]
    assert line.changed["more"] == "[Loud(n=1), {'k': Loud(n=1)}]"


@pytest.mark.parametrize(
    ("build", "shown"),
    [
        ("    d = [1]\n    for _ in range(60):\n        d = [d, d]\n", None),
        ("    d = []\n    d.append(d)\n    d.append(d)\n", "[..., ...]"),
        (
            "    d = {'n': 1, 'next': None}\n    e = {'n': 2, 'back': d}\n    d['next'] = e\n"
            "    g = {'n': 3, 'back': e}\n    e['next'] = g\n    d = d\n",
            "{'n': 1, 'next': {'n': 2, 'back': ..., 'next': {'n': 3, 'back': ...}}}",
        ),
    ],
    ids=["doubled", "cycle", "linked both ways"],
)
def test_values_that_share_or_contain_themselves(build, shown):
    trace = traced(f"def f():\n{build}    return 'done'\n", "f()")
    assert trace.result == "'done'" and trace.truncated is None
    last = [event.changed["d"] for event in trace.events if "d" in event.changed][-1]
    if shown is None:
        assert last.startswith("[[[[") and "…⟨+" in last
    else:
        assert last == shown


def test_module_level_cycles_as_arguments_are_recorded():
    source = "a, b = {}, {}\na.update(x=a, y=b)\nb.update(x=a, y=b)\n" + dedent(
        """
        def g(node):
            node['z'] = 1
            return len(node)
        def f():
            return g(a)
        """
    )
    trace = traced(source, "f()")
    assert trace.result == "3" and trace.truncated is None


def test_finally_runs_while_unwinding_and_return_in_finally_wins():
    trace = traced(
        """
        def f():
            try:
                raise ValueError('lost')
            finally:
                return 'kept'
        """,
        "f()",
    )
    assert told(trace) == [
        ("call", 1),
        ("line", 2),
        ("line", 3),
        ("exception", 3, "ValueError: lost"),
        ("line", 5),
        ("return", 5, "-> 'kept'"),
    ]


def test_a_line_is_told_what_its_comprehension_changed_around_it():
    trace = traced(
        """
        def f(nums):
            out = []
            left = [out.append(n) for n in nums]
            seen = {last := n for n in nums}
            return [nums.pop() for _ in range(2)], out
        """,
        "f([4, 5])",
    )
    changed = {e.line: dict(e.changed) for e in trace.events if e.kind == "line"}
    assert changed[3] == {"out": "[4, 5]", "left": "[None, None]"}
    assert changed[4] == {"last": "5", "seen": "{4, 5}"}
    assert changed[5] == {"nums": "[]"}


def test_a_return_that_calls_twice_is_one_line():
    source = """
        def g(x):
            return x
        def f(x):
            return g(0) or g(x)
        """
    lines = [e.line for e in traced(source, "f(1)").events if e.kind == "line"]
    assert lines == [4, 2, 2]


def test_types_written_in_c_without_attributes_are_opaque():
    trace = traced(
        """
        import itertools, operator
        def f():
            c = itertools.count()
            g = operator.itemgetter(1)
            class Own: pass
            own = Own()
            return 0
        """,
        "f()",
    )
    texts = {name: text for e in trace.events for name, text in e.changed.items()}
    assert (texts["c"], texts["g"], texts["own"]) == ("<count>", "<itemgetter>", "Own()")


@pytest.mark.parametrize(
    "body",
    [
        # Python before 3.13.3 crashes where the second is traced.
        "a = [(lambda: i)() for i in xs]; b = [i for i in xs]; return a, b",
        "i = 5; g = lambda: i; b = [i for i in xs]; return g(), b",
        # Python 3.12 computes something else where this is traced.
        "class C: q = [len(xs) + i for i in xs]\n    return C.q",
        "return [sum(i for _ in xs) for i in xs]",
    ],
)
def test_comprehensions_whose_names_are_shared_leave_the_result_alone(body):
    source = f"def f(xs):\n    {body}\n"
    program = f"{source}\nprint(f([1, 2]))"
    plain = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    code = (
        "from data_pipeline.tracing import trace_call; t = trace_call(*__import__('sys').argv[1:])"
    )
    code += "; print(t.result); assert t.events or 'cannot trace' in t.truncated"
    command = [sys.executable, "-c", code, source, "f([1, 2])"]
    under_trace = subprocess.run(command, capture_output=True, text=True)
    assert under_trace.returncode == 0, under_trace.stderr
    assert under_trace.stdout == plain.stdout


def test_results_agree_with_the_official_outputs(shared_data):
    """CRUXEval states 800 results; a traced run must come to the same."""
    import ast
    import json

    from data_pipeline.source.calls import CallError
    from data_pipeline.tracing import trace_call

    checked = 0
    with open(shared_data / "cruxeval" / "data" / "cruxeval.jsonl", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            try:
                trace = trace_call(row["code"], f"f({row['input']})", max_characters=10**6)
            except CallError as error:
                assert error.reason == "literal", row["id"]
                continue
            assert trace.truncated is None and trace.result is not None, row["id"]
            try:
                result = ast.literal_eval(trace.result)
            except ValueError:
                continue  # a result that is no literal
            assert result == ast.literal_eval(row["output"]), row["id"]
            checked += 1
    assert checked > 780
