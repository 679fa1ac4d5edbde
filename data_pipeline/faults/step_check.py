"""Checks one described step of a run, or a list of values, against its event."""

import re
from collections.abc import Mapping

from data_pipeline.faults.sentences import is_shown, pairs
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Moment

_HEAD = re.compile(
    r"(?:the call|a call of \S+) (?:binds|begins)|iteration \d+ begins(?: with)?|the loop ends"
    r"|the condition is (?:true|false)(?:, iteration \d+ begins|, the loop ends)?"
    r"|its block is (?:entered|passed by)|the loop is left|on to the next turn"
    r"|no variable changes|it goes on"
)


def step_fault(state: Moment, told: str, trace: Trace) -> str | None:
    """Returns the reason why the text of a step is false; None if it is true."""
    event = state.event
    if event.kind == "exception":
        error = " ".join(str(event.raised).split())
        kind = event.raised.type if event.raised else ""
        return None if told in (f"it raises {error}", f"it raises {kind}") else f"raises {error}"
    if event.kind in ("return", "yield"):
        verb = " returns " if event.kind == "return" else "it hands out "
        text = told.partition(verb)[2]
        return None if is_shown(text, event.value or "") else f"{verb.strip()} {event.value}"
    head = _HEAD.match(told)
    words = head[0] if head else ""
    rest = told[len(words) :].removeprefix(", ").removeprefix(" ")
    if not (words or rest):
        return "cannot be read"
    turn = re.search(r"iteration (\d+)", words)
    if turn is not None and (event.iteration != int(turn[1]) or event.branch is not True):
        return f"iteration {event.iteration}, entered: {event.branch}"
    for part, truth in (("condition is true", True), ("condition is false", False),
                        ("the loop ends", False), ("is entered", True),
                        ("is passed by", False)):  # fmt: skip
        if part in words and event.branch is not truth:
            return f"the branch is {event.branch}"
    if event.branch is not None and not re.search("condition|iteration|ends|block", words):
        return f"the branch, {event.branch}, is not told"
    code = trace.program.split("\n")[event.line - 1].strip()
    for part, start in (("the loop is left", "break"), ("on to the next turn", "continue")):
        if words == part and not code.startswith(start):
            return f"there is no {start}"
    if {name for name, _ in pairs(rest)} != event.changed.keys():
        return f"changed: {', '.join(event.changed) or 'nothing'}"
    deleted = ", ".join(f"{name} is deleted" for name in event.gone)
    if not rest.endswith(deleted):
        return f"{deleted} is not told"
    return texts_fault(rest.removesuffix(deleted).removesuffix(", "), event.changed)


def texts_fault(told: str, texts: Mapping[str, str]) -> str | None:
    """Returns the reason why "x = 1, y = 2" is false; None if it is true or empty."""
    read = list(pairs(told))
    for name, literal in read:
        if name not in texts or not is_shown(literal, texts[name]):
            return f"{name} = {texts.get(name)}"
    again = ", ".join(f"{name} = {literal}" for name, literal in read)
    return None if told.removeprefix(" with ") == again else "cannot be read"
