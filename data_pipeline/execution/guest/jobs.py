"""Runs one job in the sample's own process and returns its answer.

A job is a JSON object: mode ("call", "series", "evaluate", "module", "stdin"), program, depending
on the mode call (text), expression, or name + arguments as tagged trees; trace (the limits of a
trace) or null.
The answer is a JSON object: outcome, and the trace if requested. A program that tampers with this
interpreter can only spoil its own answer: this process does not know the expected value.
Standard library only: runs inside the sandbox.
"""

import atexit
import contextlib
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

from data_pipeline.execution.guest import determinism, series, values
from data_pipeline.execution.guest.program import (
    MAX_MESSAGE,
    compile_source,
    exception_outcome,
    make_module,
    value_outcome,
)
from data_pipeline.source.calls import (
    Call,
    CallError,
    cause_of,
    make_call,
    needs_objects,
    parse_call,
    resolve,
    with_objects,
)
from data_pipeline.tracing.events import Trace
from data_pipeline.tracing.markers import compile_with_markers
from data_pipeline.tracing.recorder import Ended, Recording, record
from data_pipeline.tracing.rendering import clip, render
from data_pipeline.tracing.runs import describe_raised, read_trace

_RECURSION_LIMIT = 1000


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a job. Never raises for what the program does, short of killing its own process."""
    determinism.reset()
    padding = [_padding(number) for number in range(job.get("perturb", 0))]
    try:
        answer = _run_traced(job) if job.get("trace") else {"outcome": _run_untraced(job)}
    except CallError as error:
        answer = {"outcome": ["bad_input", error.reason, clip(str(error), MAX_MESSAGE), error.line]}
    except BaseException as error:
        answer = {"outcome": exception_outcome(error)}
    finally:
        with contextlib.suppress(BaseException):
            sys.setrecursionlimit(_RECURSION_LIMIT)
    del padding
    return answer


def _run_untraced(job: Mapping[str, Any]) -> list[Any]:
    mode = job["mode"]
    if mode == "series":
        return series.run(job)
    code = compile_source(job["program"])
    if mode in ("module", "stdin"):
        module = make_module("__main__")
        try:
            exec(code, vars(module))
        except SystemExit as error:
            code = error.code
            if code is not None and (type(code) not in (int, bool) or code):
                raise
        finally:
            _finish()
        return ["value", None]
    if mode == "evaluate":
        expression = _expression(job["expression"])
        module = make_module("program")
        exec(code, vars(module))
        return value_outcome(eval(expression, vars(module)))
    call = _call(job)
    makes_objects = needs_objects(call)  # asked before the program may replace builtins
    module = make_module("program")
    exec(code, vars(module))
    target = resolve(call, vars(module))
    if makes_objects:
        call = with_objects(call, vars(module))
    return value_outcome(make_call(call, target), objects=True)


def _run_traced(job: Mapping[str, Any]) -> dict[str, Any]:
    limits = job["trace"]
    characters = limits["max_characters"]
    program = compile_with_markers(job["program"])
    recording = Recording()
    if job["mode"] == "evaluate":
        expression = _expression(job["expression"])
        module = make_module("program")
        exec(program.code, vars(module))
        call_text = job["expression"]

        def run() -> Any:
            return eval(expression, vars(module))
    else:
        call = _call(job)
        makes_objects = needs_objects(call)
        module = make_module("program")
        exec(program.code, vars(module))
        target = resolve(call, vars(module))
        if makes_objects:
            call = with_objects(call, vars(module))
        call_text = job.get("call") or call.name

        def run() -> Any:
            return make_call(call, target)

    result = raised = None
    try:
        value = record(
            program,
            run,
            recording,
            max_lines=limits["max_lines"],
            max_bytes=limits["max_bytes"],
            limit=characters,
            ends_run=limits.get("ends_run", False),
        )
        result = render(value, characters)
        outcome = value_outcome(value, objects=True)
    except CallError:
        raise
    except Ended as error:
        outcome = ["limit", "steps", str(error)]
        if not limits.get("tells_ended", False):
            return {"outcome": outcome}
    except BaseException as error:  # also what `sys.exit` raises
        raised = describe_raised(error, program, characters)
        outcome = exception_outcome(error, program.real)
    trace = read_trace(program, call_text, recording, result, raised, characters)
    return {"outcome": outcome, "trace": trace_to_json(trace)}


# ---- parts


def _padding(number: int) -> list[Any]:
    """Returns objects of every size and free list, to change the addresses of the program's."""
    small = [object(), [], {}, set(), (number,), (number, number), number + 0.5, 10**9 + number]
    return [*small, *map(bytes, range(1, 1024, 16))]


def _expression(text: str) -> types.CodeType:
    try:
        return compile(text.strip(), "<expression>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise CallError("syntax", f"the expression cannot be compiled: {cause_of(error)}") from None


def _call(job: Mapping[str, Any]) -> Call:
    if job.get("call") is not None:
        return parse_call(job["call"])
    return Call(
        (job["name"],),
        tuple(values.decode(tree) for tree in job["args"]),
        {name: values.decode(tree) for name, tree in job["kwargs"].items()},
    )


def _finish() -> None:
    """Does as part of the run what the interpreter does at exit: joins threads, runs handlers."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()


def trace_to_json(trace: Trace) -> dict[str, Any]:
    """Converts a `Trace` to JSON, without its program, which the receiver has."""
    return {
        "events": [
            [
                e.kind, e.line, e.function, e.frame, e.depth, dict(e.changed), e.gone, e.value,
                [e.raised.type, e.raised.message, e.raised.line] if e.raised else None,
                e.branch, e.iteration, e.part,
            ]
            for e in trace.events
        ],
        "loops": [[x.line, x.kind, x.function, x.frame, x.iterations] for x in trace.loops],
        "call": trace.call,
        "result": trace.result,
        "raised": [trace.raised.type, trace.raised.message, trace.raised.line]
        if trace.raised
        else None,
        "truncated": trace.truncated,
        "clipped": trace.clipped,
    }  # fmt: skip
