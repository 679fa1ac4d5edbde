"""Writes traces as comments in the program: upstream's scratchpad, and NExT's numbered states."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from data_pipeline.monologue.inline import NarrationError
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.views import inline_trace

SCRATCHPAD, TRACE = "SCRATCHPAD", "TRACE"
_MOST_STATES = 3  # on a line; of more, the first two and the last stay


def scratchpad(trace: Trace) -> str:
    """Writes upstream's inlined trace (see `tracing.views.inline_trace`), then the answer."""
    check_told(trace)
    return _close(inline_trace(trace), SCRATCHPAD, trace)


def next_trace(trace: Trace) -> str:
    """Writes a trace in the style of NExT (arXiv 2404.14662), then the answer.

    Each line is followed by the states that its executions left, as `(k) name=value;`. k counts
    the steps of the run that changed a variable; the call is (0), the return takes the last number.
    """
    check_told(trace)
    comments = _numbered_states(trace)
    lines = [
        f"{line}  # {_join_states(comments[number])}" if comments[number] else line
        for number, line in enumerate(trace.program.split("\n"), 1)
    ]
    return _close("\n".join(lines), TRACE, trace)


def check_told(trace: Trace) -> None:
    """Raises NarrationError unless the run returned a value and its trace is whole."""
    if trace.raised is not None or trace.result is None:
        raise NarrationError(f"{trace.call} raised {trace.raised}; expected it to return")
    if trace.truncated is not None or trace.clipped:
        raise NarrationError(f"the trace of {trace.call} is cut: {trace.truncated or 'values'}")


def answer(trace: Trace) -> str:
    """Returns the completed assertion and the closing tag."""
    check_told(trace)
    return f"assert {trace.call} == {trace.result}\n[/ANSWER]"


def _close(text: str, tag: str, trace: Trace) -> str:
    return f"{text}\n[/{tag}]\n\n[ANSWER]\n{answer(trace)}"


def _numbered_states(trace: Trace) -> Mapping[int, Sequence[str]]:
    comments: dict[int, list[str]] = defaultdict(list)
    for number, event in enumerate(numbered_events(trace)):
        comments[event.line].append(f"({number}) {_state(event)}")
    return comments


def numbered_events(trace: Trace) -> list[Event]:
    """Returns the events that a numbered trace shows: call, changes, and return of frame 0."""
    return [event for event in trace.events if event.frame == 0 and _state(event)]


def _state(event: Event) -> str:
    """Returns what an event changed or returned; "" if nothing."""
    if event.kind == "return" and event.value is not None:
        return f"return {event.value};"
    if event.kind not in ("call", "line", "resume"):
        return ""
    changed = [f"{name}={text};" for name, text in event.changed.items()]
    return " ".join([*changed, *(f"del {name};" for name in event.gone)])


def _join_states(states: Sequence[str]) -> str:
    if len(states) <= _MOST_STATES:
        return " ".join(states)
    return " ".join([*states[:2], "...", states[-1]])
