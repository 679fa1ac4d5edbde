"""Traces in the words that golden events are written in, and tables of such goldens."""

from textwrap import dedent

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


class Goldens(dict):
    """Name → (call, source, events that the run must tell)."""

    def add(self, name: str, call: str, source: str, *events: tuple) -> None:
        self[name] = (call, source, list(events))

    def check(self, name: str) -> None:
        call, source, events = self[name]
        found = told(traced(source, call))
        for step, (one, other) in enumerate(zip(found, events, strict=False)):
            assert one == other, f"step {step}"
        assert len(found) == len(events)
