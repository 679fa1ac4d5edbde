"""Calls one function with many inputs, one after another in one process, to run a test suite.

Receives inputs and returns outputs; does not know the expected ones. A series ends at the first
call that raises or passes its limit of CPU time, which an interval timer enforces. If a program
disarms the timer, the limit of the whole run stops it.
Standard library only: runs inside the sandbox.
"""

import array
import contextlib
import hashlib
import io
import itertools
import marshal
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from data_pipeline.execution.guest import program, values
from data_pipeline.execution.guest.messages import ANSWER, json_text, send
from data_pipeline.source.calls import CallError

# Taken before the sample's clock takes the real one's place.
_clock = time.clock_gettime
_CPU = time.CLOCK_PROCESS_CPUTIME_ID
_setitimer = signal.setitimer
MAX_NODES = 4_000_000  # of one answer; another limit covers the bytes of all answers
LARGE = 20_000  # characters or members of an answer, above which its digest replaces it
_LARGE_TREE = 1 << 20  # characters of an answer's JSON, above which its digest replaces it
_ROW_KINDS = ({id(list)}, {id(tuple)})
_ROWS = 10_000  # rows to marshal at once
# Sets of types by identity, because the hash of a type is that of its metaclass.
_REAL = frozenset(map(id, (int, bool, float)))
_PLAIN = frozenset(map(id, (str, int, type(None))))
_NUMBERS = _PLAIN | {id(bool), id(float)}
_HIGH = 7 if sys.byteorder == "little" else 0  # place of a double's sign and high exponent bits
_EXACT = bytes(byte for byte in range(256) if byte & 0x7F < 0x43)  # there, of doubles below 2**49
_MINUS_ZERO = b"\x80"  # there, of -0.0 and of negative numbers near it
_array = array.array


def run(job: Mapping[str, Any]) -> list[Any]:
    """Runs a job and returns its outcome.

    A job is {"program", "name", "series", "seconds", "collect", "timed", "plain"}.

    The outcome is a list with an entry for each call begun: ("value", value), ("exception", type,
    message) or ("limit",); for a large value ("digest", text), with equal digests for equal values.
    With "timed", values and digests are followed by the CPU seconds of their calls.

    series:  argument lists as tagged trees; with "plain", as JSON has them
    seconds: CPU time limit of each call
    collect: "set" for functions that return any iterable, of which only the members count
    """
    rows: list[Any] = []
    calling = True  # or loading the program

    def out_of_time(*unused: object) -> None:
        if not calling:  # the last call ended in time, and the next sets the timer anew
            return
        rows.append(["t", "limit"])
        with contextlib.suppress(BaseException):
            send(ANSWER, {"outcome": ["value", ["l", *rows]]})
        os._exit(0)

    timed = job["timed"]
    code = program.compile_source(job["program"])
    namespace = vars(program.make_module("program"))
    signal.signal(signal.SIGPROF, out_of_time)
    sink = _Sink()
    sys.stdout = sys.stderr = sink
    try:
        _setitimer(signal.ITIMER_PROF, sum(job["seconds"]))
        exec(code, namespace)
        function = namespace.get(job["name"])
        if not callable(function):
            raise CallError("entry", f"the program defines no function {job['name']!r}")
        for tree, seconds in zip(job["series"], job["seconds"], strict=True):
            calling = False
            arguments = tree if job["plain"] else values.decode(tree)
            _setitimer(signal.ITIMER_PROF, seconds)
            began = _clock(_CPU) if timed else 0.0
            calling = True
            try:
                answer = function(*arguments)
                if job["collect"] == "set":
                    answer = set(answer)
            except BaseException as error:
                _setitimer(signal.ITIMER_PROF, 0)
                kind, *payload = program.exception_outcome(error)
                rows.append(["t", kind, *payload[:2]])
                break
            calling = False
            spent = [["f", repr(_clock(_CPU) - began)]] if timed else []
            kind, payload = _encode_answer(answer)
            rows.append(["t", kind, payload, *spent])
            if kind not in ("value", "digest"):
                break
    finally:
        _setitimer(signal.ITIMER_PROF, 0)
    return ["value", ["l", *rows]]


def _encode_answer(answer: Any) -> tuple[str, Any]:
    if type(answer) is str and len(answer) > LARGE:
        digest = hashlib.sha256(b"str")
        digest.update(answer.encode("utf-8", "surrogatepass"))
        return "digest", digest.hexdigest()
    if type(answer) in (list, tuple) and len(answer) > LARGE:
        with contextlib.suppress(_Other, RecursionError, ValueError):
            digest = hashlib.sha256()
            _update_digest(digest, answer)
            return "digest", digest.hexdigest()
    kind, payload = program.value_outcome(answer, MAX_NODES)[:2]
    if kind == "value" and type(payload) is list and len(text := json_text(payload)) > _LARGE_TREE:
        return "digest", hashlib.sha256(text.encode()).hexdigest()
    return kind, payload


class _Other(Exception):
    """A value of a type that has no digest."""


def _update_digest(digest: Any, value: Any) -> None:
    """Adds numbers, text, and lists and tuples of them to a digest; equal values add equal bytes.

    2 equals 2.0, True equals 1. Adds part by part, because the whole text may not fit in memory.
    """
    kind = type(value)
    if id(kind) in _NUMBERS:
        digest.update(json_text(_number(value)).encode())
        return
    if kind is not list and kind is not tuple:
        raise _Other
    if (doubles := _as_doubles(value)) is not None:
        digest.update(kind.__name__.encode() + doubles)
    elif (kinds := _kinds(value)) <= _PLAIN:
        digest.update(f"{kind.__name__}{json_text(value)}".encode())
    elif kinds <= _NUMBERS:
        digest.update(f"{kind.__name__}{json_text(list(map(_number, value)))}".encode())
    elif kinds in _ROW_KINDS and _update_with_rows(digest, value, kind, type(value[0])):
        pass
    else:
        digest.update(f"{kind.__name__}(".encode())
        for member in value:
            _update_digest(digest, member)
            digest.update(b",")
        digest.update(b")")


def _as_doubles(numbers: Any) -> bytes | None:
    """Returns the numbers as doubles after their count, or None if some are not exactly doubles.

    Which of the two it is depends on the values alone, so equal numbers give equal bytes.
    """
    if numbers and id(type(numbers[0])) not in _REAL:
        return None
    try:
        marshal.dumps(numbers, 2)  # only built-in types; an array takes all that has __float__
        doubles = _array("d", numbers)
    except (OverflowError, TypeError, ValueError):
        return None
    data = doubles.tobytes()
    high = data[_HIGH::8]
    # Large ones may have been rounded, and NaN equals nothing.
    if high.translate(None, _EXACT) and doubles.tolist() != list(numbers):
        return None
    if _MINUS_ZERO in high:  # equal numbers: equal bytes
        data = _array("d", [number + 0.0 for number in doubles]).tobytes()
    return b"d%d:" % len(doubles) + data


def _update_with_rows(digest: Any, rows: Any, kind: type, row_kind: type) -> bool:
    """Adds rows of numbers and text to a digest, many at once.

    Returns False, and adds nothing, if the rows contain any other value.
    """
    kinds = _kinds(itertools.chain.from_iterable(rows))
    if not kinds <= _NUMBERS:
        return False
    digest.update(f"{kind.__name__} of {row_kind.__name__}".encode())
    for begin in range(0, len(rows), _ROWS):
        some = rows[begin : begin + _ROWS]
        if not kinds <= _PLAIN:
            some = [row_kind(map(_number, row)) for row in some]
        digest.update(marshal.dumps(list(some), 2))  # 2: the last form without references
    return True


def _kinds(values: Iterable[Any]) -> set[int]:
    return set(map(id, map(type, values)))


def _number(value: Any) -> Any:
    if type(value) is bool or (type(value) is float and value.is_integer()):
        return int(value)
    return value


class _Sink(io.TextIOBase):
    """Accepts any amount of text and drops it."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)
