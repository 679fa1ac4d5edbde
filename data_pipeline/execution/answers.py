"""Reads what a sample's process wrote, which is untrusted: bounded, counted, then parsed.

An answer is one message of `guest.messages` and nothing else. Before it is parsed, an upper bound
of the memory that its values take is computed from its bytes; an answer above MAX_PARSED, one of
another form, and one that nests deeper than any value does, count as the death of the sample.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from data_pipeline.execution.guest.messages import HEAD
from data_pipeline.execution.guest.values import MAX_DEPTH
from data_pipeline.execution.job import BatchJob
from data_pipeline.execution.outcomes import BadInput, Died, Limit, Outcome, Value
from data_pipeline.tracing.events import Event, Loop, Raised, Trace

MAX_PARSED = 256 << 20
"""Maximum bytes of memory of a parsed answer. Of all references, MBPP+'s come closest: 177 MB."""

# Bytes of memory that each of these bytes of JSON stands for at most: a list or a dict with its
# first entries, a further entry, a dict's entry, and half of a text.
_WEIGHTS = ((b"[", 112), (b"{", 272), (b",", 48), (b":", 40), (b'"', 32))
_LEVELS = MAX_DEPTH + 8  # of a value, and of a series around it


def read_answer(data: bytes | bytearray, program: str | None) -> tuple[Outcome, Trace | None]:
    """Returns the outcome and the trace of a sample's answer, Died for a malformed one.

    program: the program of a traced run, or None if no trace was requested
    """
    try:
        reply = parse_answer(data)
        outcome = _read_outcome(reply["outcome"])
        if program is not None and "trace" in reply:
            return outcome, trace_from_json(reply["trace"], program)
        return outcome, None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, AttributeError):
        return Died("the sandboxed process returned a malformed message"), None


def read_answers(data: bytes | bytearray, job: BatchJob) -> list[tuple[Outcome, Trace | None]]:
    """Returns outcomes and traces of the first calls of a batch: all before a bad answer."""
    if parsed_size(data) > MAX_PARSED:
        return []
    found: list[tuple[Outcome, Trace | None]] = []
    traced = None if job.trace is None else job.program
    begin = 0
    while begin + HEAD <= len(data) and len(found) < len(job.calls):
        end = begin + HEAD + int.from_bytes(data[begin : begin + HEAD], "big")
        answer = read_answer(data[begin:end], traced)
        if isinstance(answer[0], Died):  # malformed, or not whole
            break
        found.append(answer)
        begin = end
    return found


def parse_answer(data: bytes | bytearray) -> Any:
    """Returns the JSON of an answer. Raises ValueError unless it is one message within bounds."""
    if len(data) < HEAD or int.from_bytes(data[:HEAD], "big") != len(data) - HEAD:
        raise ValueError("not one whole message")
    if parsed_size(data) > MAX_PARSED:
        raise ValueError("too large to parse")
    return json.loads(data[HEAD:].decode("ascii"))


def parsed_size(data: bytes | bytearray) -> int:
    """Returns an upper bound of the bytes of memory that the values of some JSON take."""
    width = 4 if b"\\u" in data else 1  # a text takes as many bytes a character as its widest one
    return (1 + width) * len(data) + sum(weight * data.count(mark) for mark, weight in _WEIGHTS)


def _read_outcome(parts: Any) -> Outcome:
    match parts:
        case ["value", tree]:
            _check_depth(tree)
            return Value(tree)
        case ["exception", str(name), str(message), int() | None as line]:
            return Raised(name, message, line)
        case ["limit", ("cpu" | "wall" | "memory" | "output" | "steps") as kind, str(detail)]:
            return Limit(kind, detail)
        case ["died", str(reason)]:
            return Died(reason)
        case ["bad_input", str(reason), str(message), int() | None as line]:
            return BadInput(reason, message, line)
    raise ValueError("no outcome")


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(_LEVELS):
        level = [part for node in level if type(node) is list for part in node]
        if not level:
            return
    raise ValueError("nested too deeply")


def trace_from_json(data: Mapping[str, Any], program: str) -> Trace:
    """Reads a trace from `jobs.trace_to_json`. Raises ValueError, TypeError or KeyError."""
    lines = 1 + program.count("\n") + program.count("\r")
    events = tuple(
        Event(
            _text(kind), _int(line, lines), _text(function), _int(frame), _int(depth),
            {_text(name): _text(text) for name, text in changed.items()},
            tuple(map(_text, _list(gone))), _optional(value, str), _read_raised(error),
            _optional(branch, bool), None if iteration is None else _int(iteration), _int(part),
        )
        for kind, line, function, frame, depth, changed, gone, value, error, branch, iteration, part
        in _list(data["events"])
    )  # fmt: skip
    loops = tuple(
        Loop(_int(line, lines), _text(kind), _text(function), _int(frame), _int(iterations))
        for line, kind, function, frame, iterations in _list(data["loops"])
    )
    return Trace(
        program, _text(data["call"]), events, loops, _optional(data["result"], str),
        _read_raised(data["raised"]), _optional(data["truncated"], str), _int(data["clipped"]),
    )  # fmt: skip


def _read_raised(parts: Iterable[Any] | None) -> Raised | None:
    if parts is None:
        return None
    name, message, line = parts
    return Raised(_text(name), _text(message), _optional(line, int))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("expected text")
    return value


def _int(value: Any, most: int = 1 << 31) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise TypeError(f"expected an integer from 0 to {most}")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError("expected a list")
    return value


def _optional(value: Any, kind: type) -> Any:
    if value is not None and type(value) is not kind:
        raise TypeError(f"expected {kind.__name__} or null")
    return value
