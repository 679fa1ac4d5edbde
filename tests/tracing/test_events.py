"""Compares traces with goldens written by hand from the language's rules, not recorded."""

import pytest

from data_pipeline.source.calls import CallError
from data_pipeline.tracing import trace_call
from tests.support.golden_events import describe_events, trace_source


def test_straight_line_branch_and_loop():
    trace = trace_source(
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
    assert describe_events(trace) == [
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
