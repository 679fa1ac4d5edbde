"""Golden traces, written by hand from the language's rules (not recorded from the tracer)."""

from textwrap import dedent

import pytest

from data_pipeline.source.calls import CallError
from data_pipeline.tracing import Trace, trace_call


def traced(source: str, call: str, **limits) -> Trace:
    return trace_call(dedent(source).strip("\n") + "\n", call, **limits)


def told(trace: Trace) -> list[tuple]:
    """(kind, line, what it says) of every event, in the words the goldens are written in."""
    rows = []
    for event in trace.events:
        row: list = [event.kind, event.line]
        if event.changed:
            row.append(dict(event.changed))
        if event.gone:
            row.append("del " + " ".join(event.gone))
        if event.value is not None:
            row.append("-> " + event.value)
        if event.raised is not None:
            row.append(str(event.raised))
        if event.branch is not None:
            row.append(event.branch)
        if event.iteration is not None:
            row.append(f"#{event.iteration}")
        rows.append(tuple(row))
    return rows


def test_straight_line_branch_and_loop():
    trace = traced(
        """
        def f(n):
            total = 0
            for i in range(n):
                if i % 2:
                    total += i
            return total
        """,
        "f(3)",
    )
    assert told(trace) == [
        ("call", 1, {"n": "3"}),
        ("line", 2, {"total": "0"}),
        ("line", 3, {"i": "0"}, True, "#1"),
        ("line", 4, False),
        ("line", 3, {"i": "1"}, True, "#2"),
        ("line", 4, True),
        ("line", 5, {"total": "1"}),
        ("line", 3, {"i": "2"}, True, "#3"),
        ("line", 4, False),
        ("line", 3, False),
        ("line", 6),
        ("return", 6, "-> 1"),
    ]
    assert [(loop.line, loop.kind, loop.iterations) for loop in trace.loops] == [(3, "for", 3)]
    assert trace.result == "1"
    assert trace.raised is None
    assert trace.truncated is None


@pytest.mark.parametrize(
    ("source", "call", "reason"),
    [
        ("def f(:\n  pass", "f(1)", "syntax"),
        ("def f(a):\n  pass", "f(", "syntax"),
        ("def f(a):\n  pass", "f(x)", "literal"),
        ("def f(a):\n  pass", "g(1)", "entry"),
        ("def f(a):\n  pass", "f(1, 2)", "arity"),
    ],
)
def test_bad_input_is_told_apart(source, call, reason):
    with pytest.raises(CallError) as caught:
        trace_call(source, call)
    assert caught.value.reason == reason
