"""Traces loops and delegations to their end, which CPython reports as an exception or not.

The StopIteration that a loop, `yield from` or `await` consumes is no step of the program: the
header's branch is False, and no exception is told. Versions of CPython and even the first and the
second run of a loop differ in what they report.
"""

from textwrap import dedent

import pytest

from tests.support.golden_events import trace_source
from tests.support.plain_recorder import record_plainly

# Each program, then the exceptions (line, type) that its code raises or sees, its result, and the
# branches of the header on the line that ends in `# loop`.
ENDS = {
    "a body that always leaves the loop": (
        """
        def numbers(n):
            if n > 2: yield n
        def f():
            for n in [0, 1, 2]:
                for x in numbers(n):  # loop
                    raise KeyError(x)
            return 'none'
        """,
        [], "'none'", [False, False, False],
    ),
    "a generator that returns a value": (
        """
        def numbers(n):
            if n > 2: yield n
            return n
        def first(n):
            for x in numbers(n):  # loop
                return x
        def f():
            return [first(n) for n in [0, 1, 2]]
        """,
        [], "[None, None, None]", [False, False, False],
    ),
    "an exception derived from StopIteration": (
        """
        class Done(StopIteration): pass
        class Once:
            def __iter__(self): return self
            def __next__(self):
                raise Done(3)
        def f():
            for x in Once():  # loop
                pass
            return 'over'
        """,
        [(5, "Done")], "'over'", [False],
    ),
    "a generator that returns after throw": (
        """
        def inner():
            try:
                yield 1
            except ValueError:
                return 5
        def outer():
            try:
                got = yield from inner()
            except StopIteration:
                got = 0
            yield got
        def f():
            steps = outer()
            next(steps)
            return steps.throw(ValueError('v'))
        """,
        [(3, "ValueError")], "5", [],
    ),
    "async for": (
        """
        import asyncio
        async def count(n):
            for i in range(n):
                yield i
        async def total():
            found = 0
            async for i in count(2):  # loop
                found += i + 1
            return [found, [i async for i in count(2)]]
        def f():
            return asyncio.run(total())
        """,
        [], "[3, [0, 1]]", [True, True, False],
    ),
    "async for, ended by throw": (
        """
        class Waits:
            def __await__(self):
                yield 1
        class Endless:
            def __aiter__(self): return self
            def __anext__(self): return Waits()
        async def loop():
            async for _ in Endless():  # loop
                pass
            return 'over'
        def f():
            steps = loop()
            steps.send(None)
            try:
                steps.throw(StopAsyncIteration())
            except StopIteration as end:
                return end.value
        """,
        [(3, "StopAsyncIteration"), (15, "StopIteration")], "'over'", [False],
    ),
}  # fmt: skip

# Here code of the program sees the exception.
RAISED = {
    "next at the end": (
        """
        def f():
            for x in [1]:  # loop
                next(iter([]))
        """,
        [(3, "StopIteration")], None, [True],
    ),
    "raised in the body of an async for": (
        """
        async def count():
            yield 0
        async def total():
            async for i in count():  # loop
                raise StopAsyncIteration
        def f():
            try:
                total().send(None)
            except StopAsyncIteration:
                return 'seen'
        """,
        [(5, "StopAsyncIteration"), (8, "StopAsyncIteration")], "'seen'", [True],
    ),
    "thrown at a plain yield": (
        """
        def steps():
            try:
                yield 1
            except StopIteration:
                yield 2
        def f():
            run = steps()
            next(run)
            return run.throw(StopIteration())
        """,
        [(3, "StopIteration")], "2", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [*ENDS, *RAISED])
def test_only_exceptions_that_the_program_sees_are_told(case):
    source, raised, result, branches = {**ENDS, **RAISED}[case]
    trace = trace_source(source, "f()")
    assert trace.truncated is None and trace.result == result
    told = [(event.line, event.raised.type) for event in trace.events if event.raised]
    closing = ("GeneratorExit", "CancelledError")  # of generators left open; versions differ
    assert [(line, name) for line, name in told if name not in closing] == raised
    lines = trace.program.split("\n")
    headers = [e for e in trace.events if e.kind == "line" and "# loop" in lines[e.line - 1]]
    assert [event.branch for event in headers] == branches


FINALLY = """\
def f(log):
    with Silence():
        try:
            raise KeyError
        finally:
            if log is not None:
                log.append(1)
            else:
                log = [2]
    return log
class Silence:
    def __enter__(self): pass
    def __exit__(self, *what): return True
"""


def test_a_finally_left_by_an_exception_does_not_run_its_last_line():
    """Python 3.11 reports that line, `log = [2]`, once more while the exception passes."""
    trace = trace_source(FINALLY, "f([])")
    assert trace.result == "[1]"
    assert [(event.kind, event.line) for event in trace.events if event.function == "f"] == [
        ("call", 1), ("line", 2), ("line", 3), ("line", 4), ("exception", 4), ("line", 6),
        ("line", 7), ("line", 2), ("line", 10), ("return", 10),
    ]  # fmt: skip


def test_the_plain_recorder_sees_only_what_runs_and_is_raised():
    source, *_ = ENDS["a body that always leaves the loop"]
    (frame, *_) = record_plainly(dedent(source), "f()")
    assert frame.raised == []
    source, *_ = RAISED["next at the end"]
    (frame, *_) = record_plainly(dedent(source), "f()")
    assert frame.raised == ["StopIteration"]


@pytest.mark.parametrize(
    ("call", "lines"),
    [("f([])", [2, 3, 4, 6, 7, 2, 10]), ("f(0)", [2, 3, 4, 6, 7, 2])],  # the last raises at line 7
)
def test_the_plain_recorder_sees_no_line_that_does_not_run(call, lines):
    (frame, *_) = record_plainly(FINALLY.replace("return True", "return what[0] is KeyError"), call)
    assert [line for line, _ in frame.steps] == lines
