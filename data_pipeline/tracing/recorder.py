"""Records each step of a run with a cheap trace function.

`sys.settrace` with `marshal.dumps(f_locals)` costs 1-3 µs a line; only variables that marshal
refuses (functions, instances) cost more. `reading` decodes the recording.
PySnooper, which upstream uses, takes 23-27 µs a line and cuts values at 100 characters.

Standard library only: this file also runs inside the sandbox.
"""

import functools
import marshal
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from opcode import opmap
from typing import Any

from data_pipeline.tracing.markers import FILENAME, MarkedProgram
from data_pipeline.tracing.rendering import form_of, render, type_dict, type_mro, type_name

CALL, RETURN, YIELD, RESUME, EXCEPTION, UNWIND = range(6)

Snapshot = bytes | dict[str, "Note"]  # marshal of the locals, or name -> Note
# A scalar itself, Text, (marshal,), or (marshal of the attributes, name of the class).
Note = Any
_SCALARS = frozenset({int, str, float, bool, type(None)})


class Ended(BaseException):
    """The recording is full and `ends_run` is set; raised inside the program."""


class RunStopped(BaseException):
    """The run took too long; raised inside the program by `deadline.limit_run`.

    kind: "cpu" or "wall"
    """

    def __init__(self, kind: str):
        super().__init__(f"the run was stopped: {kind} limit")
        self.kind = kind


class Text(str):
    """The text of a value that was not recorded itself."""

    __slots__ = ()


@dataclass
class Recording:
    """The recorded steps of a run.

    records:   (frame, line, snapshot | None) for a line, None at a marker;
               (frame, line, snapshot, kind, extra) for other events; extra is the qualified name
               of a call, the value of a return or yield, the (type, message) of an exception
    truncated: why recording stopped early, or None
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    truncated: str | None = None


_SUSPENDS = 0x20 | 0x80 | 0x100 | 0x200  # generators and coroutines: co_flags
_RETURNS = {opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST") if name in opmap}
# A StopIteration at one of these ends the loop or `yield from` and never leaves the instruction.
# Python 3.13 raises it at END_FOR after the first run of a loop whose body always leaves it.
_CONSUMES_STOP = {
    opmap[name] for name in ("FOR_ITER", "END_FOR", "SEND", "END_SEND") if name in opmap
}
# Handlers that the compiler adds: of an exception thrown into `yield from`, and of `async for`.
_CLEANUP_THROW = opmap.get("CLEANUP_THROW")
_END_ASYNC_FOR = opmap["END_ASYNC_FOR"]
# An except clause that does not match is a line of its own, after which the unwinding continues.
_RERAISES = {opmap[name] for name in ("RERAISE",) if name in opmap}
_STOPS = (StopIteration, StopAsyncIteration)
_RESUME = opmap["RESUME"]
_COMPILER_NAMES = frozenset(
    {
        "__module__",
        "__qualname__",
        "__class__",
        "__classdict__",
        "__firstlineno__",
        "__static_attributes__",
        "__annotations__",
    }
)
_PROXY = sys.version_info >= (3, 13)  # f_locals is a proxy there, which marshal refuses
# From 3.12 on, a comprehension runs in the frame around it; this opcode saves that frame's values.
_SETS_ASIDE = opmap.get("LOAD_FAST_AND_CLEAR")

_MARSHALLED = frozenset({list, tuple, dict, set, frozenset, bytes, complex})

_NESTING = frozenset({list, tuple, dict})

# marshal writes any buffer as if it were bytes. A program gets other buffers only through one of
# these names, so programs that contain one are recorded variable by variable.
_BUFFERS = (
    "bytearray", "memoryview", "array", "mmap", "ctypes", "numpy", "BytesIO", "pickle", "eval",
    "exec", "__builtins__", "builtins", "import_module", "__import__", "readinto", "struct",
    "ast", "pandas", "multiprocessing", "socket", "inspect", "types", "gc",
)  # fmt: skip


def record(
    program: MarkedProgram,
    run: Callable[[], Any],
    recording: Recording,
    *,
    max_lines: int,
    max_bytes: int,
    limit: int,
    ends_run: bool = False,
) -> Any:
    """Calls `run` and records every step of code compiled from `program` in `recording`.

    Returns the result of `run` or raises its exception.

    Args:
        max_lines, max_bytes: bounds of the recording.
        limit: maximum characters of an opaque value's text.
        ends_run: raise Ended in the program past the bounds. If the program catches it in a bare
            `except`, this function raises it again.
    """
    dumps = marshal.dumps
    records = recording.records
    append = records.append
    markers = program.markers
    last = program.last
    exact = any(word in program.source for word in _BUFFERS)
    resumable: dict[int, Callable[..., Any]] = {}  # id of a suspended frame -> its trace function
    bytecode: dict[types.CodeType, bytes] = {}
    room = max_bytes
    frames = 0

    def stop(reason: str) -> None:
        recording.truncated = recording.truncated or reason
        sys.settrace(None)
        if ends_run:
            raise Ended(recording.truncated)

    def value_of(value: Any) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if not exact and kind in _MARSHALLED:
            try:
                return (dumps(value, 2),)
            except ValueError:
                pass
        elif not exact and (form := form_of(kind)).attributes_only:
            try:
                return (dumps(object.__getattribute__(value, "__dict__"), 2), form.name)
            except (ValueError, AttributeError):
                pass
        return Text(render(value, limit))

    def snapshot_of(frame: types.FrameType) -> Snapshot:
        """Records the locals one by one, which is slow."""
        nonlocal room
        snapshot = {}
        for name, value in dict(frame.f_locals).items():
            if type(value) in _SCALARS:
                snapshot[name] = value
                room -= 32
            elif name not in _COMPILER_NAMES and name[0] != ".":
                note = snapshot[name] = value_of(value)
                room -= len(note[0]) if type(note) is tuple else len(note)
        for name in _COMPILER_NAMES.intersection(snapshot):
            del snapshot[name]
        return snapshot

    def opcode_at(frame: types.FrameType) -> tuple[int, int]:
        code = frame.f_code
        raw = bytecode.get(code)
        if raw is None:
            raw = bytecode[code] = code.co_code
        at = frame.f_lasti
        return (raw[at], raw[at + 1]) if at >= 0 else (_RESUME, 0)

    def tracer_of(key: int, whole: bool, suspends: bool) -> Callable[..., Any]:
        unwinding = False
        size = 1 << 12

        def trace_line(frame: types.FrameType, event: str, arg: Any) -> Any:
            nonlocal room, unwinding, whole, exact, size
            line = frame.f_lineno
            if line > last and line in markers and event == "line":
                append((key, line, None))
                return trace_line
            snapshot: Any
            try:
                if whole and not exact:
                    values = dict(frame.f_locals) if _PROXY else frame.f_locals
                    snapshot = dumps(values, 2)
                    room -= len(snapshot)
                    if len(snapshot) > size:  # it grew: check whether it repeats the same objects
                        size = 4 * len(snapshot)
                        exact = len(snapshot) > 4 * len(dumps(values, 4))
                else:
                    snapshot = snapshot_of(frame)
            except ValueError as error:
                whole = False  # the value that marshal refuses is likely to stay
                exact = exact or "deep" in str(error)  # a cycle, which marshal would walk each time
                snapshot = snapshot_of(frame)
            except (MemoryError, RecursionError) as error:
                stop(f"recording a step raised {type(error).__name__}")
                return None
            if event == "line":
                append((key, line, snapshot))
                unwinding = False
                if room < 0:
                    stop(f"more than {max_bytes} bytes of values")
                elif len(records) > max_lines:
                    stop(f"more than {max_lines} steps")
            elif event == "return":
                operation = opcode_at(frame)[0]
                if operation in _RETURNS:
                    append((key, line, snapshot, RETURN, value_of(arg)))
                    resumable.pop(id(frame), None)
                elif unwinding or operation in _RERAISES or not suspends:
                    append((key, line, snapshot, UNWIND, None))
                    resumable.pop(id(frame), None)
                else:
                    append((key, line, snapshot, YIELD, value_of(arg)))
            elif event == "exception":
                kind, value, _ = arg
                if issubclass(kind, _STOPS) and ends_iteration(frame, opcode_at(frame)[0], kind):
                    return trace_line
                unwinding = True
                append((key, line, snapshot, EXCEPTION, describe_exception(value, limit)))
            return trace_line

        return trace_line

    def trace(frame: types.FrameType, event: str, arg: Any) -> Any:
        nonlocal frames, exact
        code = frame.f_code
        if code.co_filename != FILENAME:
            return None
        if _SETS_ASIDE is not None and cannot_be_traced(code):
            python = ".".join(map(str, sys.version_info[:3]))
            stop(f"Python {python} cannot trace the comprehensions of {code.co_qualname}")
            return None
        suspends = code.co_flags & _SUSPENDS
        if suspends and opcode_at(frame) != (_RESUME, 0):
            known = resumable.get(id(frame))
            if known is not None:
                append((known_key[known], frame.f_lineno, snapshot_of(frame), RESUME, None))
                return known
        key = frames
        frames += 1
        whole = not exact and bool(code.co_flags & 2)  # CO_NEWLOCALS: a function, no class body
        local = tracer_of(key, whole, bool(suspends))
        if suspends:
            resumable[id(frame)] = local
            known_key[local] = key
        if not exact and shares_much(frame.f_locals):
            exact = True
        append((key, frame.f_lineno, snapshot_of(frame), CALL, code.co_qualname))
        return local

    known_key: dict[Callable[..., Any], int] = {}
    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        value = run()
        if ends_run and recording.truncated is not None:
            raise Ended(recording.truncated)
        return value
    finally:
        if sys.gettrace() is not trace and recording.truncated is None:
            recording.truncated = "the program replaced the trace function or ran out of stack"
        sys.settrace(previous)


@functools.lru_cache(maxsize=512)
def cannot_be_traced(code: types.CodeType) -> bool:
    """Returns whether a bug in this Python makes tracing crash or change the code's behaviour.

    Before 3.13.3, reading the locals crashes while a comprehension's variable lies in the slot of
    one of the same name that inner functions share (python/cpython#128396). In 3.12 a trace
    function loses the variables of a comprehension in a class body (#130809).
    """
    if not (3, 12) <= sys.version_info < (3, 13, 3):
        return False
    if not _PROXY:
        is_class_body = not code.co_flags & 1  # CO_OPTIMIZED: a function
        return is_class_body and _SETS_ASIDE in code.co_code[::2]
    shared = {*code.co_cellvars, *code.co_freevars}
    slot = 0
    operations = code.co_code[::2]
    for at, operation in enumerate(operations):
        slot = slot << 8 | code.co_code[2 * at + 1]
        if operation == opmap["EXTENDED_ARG"]:
            continue
        if operation == _SETS_ASIDE and operations[at + 1] != opmap["MAKE_CELL"]:
            name = code._varname_from_oparg(slot)  # type: ignore[attr-defined]
            if name in shared:
                return True
        slot = 0
    return False


def ends_iteration(frame: types.FrameType, operation: int, kind: type[BaseException]) -> bool:
    """Returns whether a loop, `yield from` or `await` consumes this StopIteration.

    It then shows only that the iterator ended; no code of the program sees it.
    """
    stops = issubclass(kind, StopIteration)
    if stops and operation in _CONSUMES_STOP:
        return True
    # Python 3.13 names the RESUME behind the yield that a `throw` raises the exception at.
    at = find_handler(frame.f_code, frame.f_lasti - 2 * (operation == _RESUME))
    while at is not None:
        handler = frame.f_code.co_code[at]
        if handler == _END_ASYNC_FOR:
            return issubclass(kind, StopAsyncIteration)
        if handler != _CLEANUP_THROW or stops:
            return handler == _CLEANUP_THROW
        at = find_handler(frame.f_code, at)  # which raises the exception again
    return False


def find_handler(code: types.CodeType, at: int) -> int | None:
    """Returns the offset of the instruction that handles an exception at offset `at`, or None.

    The exception table is a list of (start, length, target, depth), in code units of 2 bytes. Each
    number has 6 bits a byte, highest first; bit 6 is set in all its bytes but the last.
    """
    numbers = []
    number = 0
    for byte in code.co_exceptiontable:
        number = number << 6 | byte & 0x3F
        if not byte & 0x40:
            numbers.append(number)
            number = 0
    for start, length, target in zip(numbers[::4], numbers[1::4], numbers[2::4], strict=True):
        if start <= at // 2 < start + length:
            return 2 * target
    return None


def shares_much(values: Mapping[str, Any]) -> bool:
    """Returns whether marshalling these values might never end, since it repeats shared parts.

    Version 2 of marshal has no references: values that contain or double themselves explode.
    """
    seen: dict[int, int] = {}
    waiting = [value for value in values.values() if type(value) in _NESTING]
    steps = 0
    while waiting and steps < 10_000:
        steps += 1
        value = waiting.pop()
        count = seen[id(value)] = seen.get(id(value), 0) + 1
        if count > 64:
            return True
        items = value.values() if type(value) is dict else value
        waiting.extend(item for item in items if type(item) in _NESTING)
    return bool(waiting) and len(seen) * 4 < steps


def describe_exception(value: BaseException, limit: int) -> tuple[str, str]:
    """Returns type name and message without calling a `__str__` that the program defines."""
    kind = type(value)
    name = type_name(kind)
    dictionaries = (type_dict(base) for base in type_mro(kind))
    method = next((own["__str__"] for own in dictionaries if "__str__" in own), None)
    if isinstance(method, types.FunctionType):
        return name, render(BaseException.__dict__["args"].__get__(value), limit)
    try:
        return name, str(value)[:limit]
    except Exception:  # `str` of a part of the message raises
        return name, ""
