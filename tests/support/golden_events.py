"""Describes traces in the notation of golden events, and collects tables of goldens."""

from textwrap import dedent

from data_pipeline.tracing import Trace, trace_call


def trace_source(source: str, call: str, **limits) -> Trace:
    return trace_call(dedent(source).strip("\n") + "\n", call, **limits)


def describe_events(trace: Trace) -> list[tuple]:
    """Returns (kind, line, details...) of every event, in the notation of the goldens."""
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
        if event.part:
            row.append(f"part {event.part}")
        rows.append(tuple(row))
    return rows


class Goldens(dict):
    """Maps name → (call, source, expected events of the run)."""

    def add(self, name: str, call: str, source: str, *events: tuple) -> None:
        self[name] = (call, source, list(events))

    def check(self, name: str) -> None:
        call, source, events = self[name]
        found = describe_events(trace_source(source, call))
        for step, (one, other) in enumerate(zip(found, events, strict=False)):
            assert one == other, f"step {step}"
        assert len(found) == len(events)
