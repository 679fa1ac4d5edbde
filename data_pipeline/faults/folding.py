"""Folds statements that span several lines into one step each, on their first line.

Python reports each line of such a statement as it reaches it, some of them twice, and the value of
a return on the last one. For a reader (and for comparing two runs) that is one step.
"""

import ast
from collections.abc import Iterator
from dataclasses import replace

from data_pipeline.tracing import Event, Trace


def fold_statements(trace: Trace) -> Trace:
    """Returns the trace with the lines of each statement, or header of one, merged."""
    first = dict(_spread(ast.parse(trace.program)))
    if not first:
        return trace
    events: list[Event] = []
    latest: dict[int, int] = {}  # frame -> position of its latest event, comprehensions aside
    for event in trace.events:
        line = first.get(event.line, event.line)
        raised = event.raised
        if raised is not None and raised.line in first:
            raised = replace(raised, line=first[raised.line])
        event = replace(event, line=line, raised=raised)
        before = latest.get(event.frame)
        if before is not None and event.kind == "line" and line in first:
            earlier = events[before]
            if earlier.kind == "line" and earlier.line == line:
                events[before] = replace(
                    earlier,
                    changed={**earlier.changed, **event.changed},
                    gone=(*earlier.gone, *event.gone),
                    branch=event.branch if earlier.branch is None else earlier.branch,
                    iteration=earlier.iteration or event.iteration,
                )
                continue
        if event.kind != "step":
            latest[event.frame] = len(events)
        events.append(event)
    return replace(trace, events=tuple(events))


def _spread(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yields (line, first line of its statement) for statements that span several lines."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        last = node.end_lineno or node.lineno
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            # Decorators precede the line of a def; lines in the body are not part of the header.
            last = min(last, body[0].lineno - 1)
            if isinstance(node, ast.If | ast.While):
                last = min(last, node.test.end_lineno or last)
            elif isinstance(node, ast.For):
                last = min(last, node.iter.end_lineno or last)
        elif isinstance(node, ast.Match):
            last = node.lineno
        if last > node.lineno:
            for line in range(node.lineno, last + 1):
                yield line, node.lineno
