"""Reads traces that were written as comments, and holds every state against the run.

A claim is one state, the input, or the output. A comment that states what the run does elsewhere,
or never, is contradicted. States that are left out, and text in no known form, make no claim; a
program line that is not copied as it is makes a contradicted one.
"""

import json
import re
from collections.abc import Iterator, Sequence

from data_pipeline.forms.answer_claims import read_answer
from data_pipeline.forms.comments import SCRATCHPAD, TRACE, numbered_events
from data_pipeline.source.literals import literal_end
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.views import json_object
from data_pipeline.verify import CONFIRMED, CONTRADICTED, Claim
from data_pipeline.verify.answer import result_claim
from data_pipeline.verify.values import compare

_JSON_STATE = re.compile(r"\[(INPUT|OUTPUT|STATE-(\d+))\] (.*?) \[/(INPUT|OUTPUT|STATE-\d+)\]")
_NUMBERED = re.compile(r"\((\d+)\) ")
_NAME = re.compile(r"([A-Za-z_]\w*)=")
_RETURN = re.compile(r"return (.*?);(?= |$)")


def read_scratchpad(trace: Trace, text: str) -> list[Claim]:
    """Returns the claims of a scratchpad about a run, and of the answer after it."""
    entry = [event for event in trace.events if event.frame == 0 and event.kind == "call"]
    states = [
        event
        for event in trace.events
        if event.frame == 0 and event.kind in ("line", "resume") and event.changed
    ]
    claims = []
    for number, line, comment in _comments(trace, text, SCRATCHPAD, " # ", claims):
        for match in _JSON_STATE.finditer(comment):
            if match[1] != match[4]:
                claims.append(Claim(number, "value", match[0], CONTRADICTED, f"[/{match[1]}]"))
            elif match[1] == "OUTPUT":
                claims.append(_output_claim(trace, number, line, match[3]))
            else:
                index = 0 if match[2] is None else int(match[2])
                truth = entry if match[2] is None else states
                claims.append(_json_claim(number, line, match, truth[index : index + 1]))
    return [*claims, *read_answer(trace, text)]


def read_next_trace(trace: Trace, text: str) -> list[Claim]:
    """Returns the claims of a trace with numbered states, and of the answer after it."""
    events = numbered_events(trace)
    claims: list[Claim] = []
    for number, line, comment in _comments(trace, text, TRACE, "  # ", claims):
        starts = list(_NUMBERED.finditer(comment))
        ends = [*(start.start() for start in starts[1:]), len(comment)]
        for start, end in zip(starts, ends, strict=False):
            index = int(start[1])
            stated = comment[start.end() : end].strip().removesuffix("...").strip()
            claims.append(_numbered_claim(number, line, stated, events[index : index + 1]))
    return [*claims, *read_answer(trace, text)]


def _comments(
    trace: Trace, text: str, tag: str, opening: str, wrong: list[Claim]
) -> Iterator[tuple[int, int, str]]:
    """Yields (line of the text, line of the program, comment); appends claims of bad copies."""
    program = trace.program.split("\n")
    body = text.partition(f"\n[/{tag}]")[0]
    for number, copied in enumerate(body.split("\n"), 1):
        code = program[number - 1] if number <= len(program) else None
        if code is None or not (copied == code or copied.startswith(code + opening)):
            truth = "the program has ended" if code is None else code
            wrong.append(Claim(number, "code", copied, CONTRADICTED, truth))
        yield number, number, copied[len(code or "") :]


def _json_claim(number: int, line: int, match: re.Match, event: Sequence[Event]) -> Claim:
    truth = f"line {event[0].line}: {json_object(event[0].changed)}" if event else None
    right = bool(event) and event[0].line == line
    right = right and _same_json(match[3], json_object(event[0].changed))
    return Claim(number, "value", match[0], CONFIRMED if right else CONTRADICTED, truth)


def _same_json(one: str, other: str) -> bool:
    try:
        first, second = (json.dumps(json.loads(text), sort_keys=True) for text in (one, other))
    except (ValueError, RecursionError):
        return False
    return first == second


def _output_claim(trace: Trace, number: int, line: int, text: str) -> Claim:
    stated = _as_literal(text)
    claim = result_claim(trace, number, "return", stated)
    last = [event.line for event in trace.events if event.frame == 0 and event.kind == "return"]
    if claim.verdict == CONFIRMED and last[-1:] != [line]:
        return Claim(number, "return", stated, CONTRADICTED, f"line {last[-1]} returns")
    return claim


def _as_literal(text: str) -> str:
    """Returns the Python literal of an output, which upstream writes as JSON where it can."""
    try:
        return repr(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _numbered_claim(number: int, line: int, stated: str, events: Sequence[Event]) -> Claim:
    if not events:
        return Claim(number, "value", stated, CONTRADICTED, None)
    event = events[0]
    if event.kind == "return":
        told = _RETURN.fullmatch(stated)
        right = told is not None and compare(told[1], event.value or "") != CONTRADICTED
        truth = f"return {event.value}"
    else:
        right = _same_states(stated, event)
        truth = "; ".join(f"{name}={text}" for name, text in event.changed.items())
    verdict = CONFIRMED if right and event.line == line else CONTRADICTED
    return Claim(number, "value", stated, verdict, f"line {event.line}: {truth}")


def _same_states(stated: str, event: Event) -> bool:
    told, at = {}, 0
    while name := _NAME.match(stated, at):
        end = literal_end(stated, name.end())
        end = stated.find(";", name.end()) if end is None else end
        if end < 0 or stated[end : end + 1] != ";":
            return False
        told[name[1]] = stated[name.end() : end]
        at = end + 1 + (stated[end + 1 : end + 2] == " ")
    rest = stated[at:].split("; ") if at < len(stated) else []
    gone = [f"del {name}" for name in event.gone]
    return (
        told.keys() == event.changed.keys()
        and all(compare(told[name], text) != CONTRADICTED for name, text in event.changed.items())
        and [part.removesuffix(";") for part in rest] == gone
    )
