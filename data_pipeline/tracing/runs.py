"""Runs a call under the recorder, in this process.

Standard library only: this file also runs inside the sandbox.
"""

import contextlib
import io
import sys
import types
from typing import Any

from data_pipeline.source.calls import CallError, make_call, parse_call, resolve, with_objects
from data_pipeline.tracing.events import Raised, Trace
from data_pipeline.tracing.markers import FILENAME, MarkedProgram, compile_with_markers
from data_pipeline.tracing.reading import Reader
from data_pipeline.tracing.recorder import Ended, Recording, RunStopped, describe_exception, record
from data_pipeline.tracing.rendering import render

MODULE = "program"  # `__name__` of a traced program


def trace_call(
    program: str,
    call: str,
    *,
    max_lines: int = 100_000,
    max_bytes: int = 64 << 20,
    max_characters: int = 1000,
    ends_run: bool = False,
) -> Trace:
    """Runs `program`, then traces `call` (such as "f(3, key=[1])") in it.

    Does not trace the module level, and drops the program's output. The trace holds an exception
    of the program; if the module level raises, the trace has no events. Limits neither time nor
    memory (`deadline.limit_run` limits the time): one line that builds several cycles of lists at
    once can occupy the recorder for ever.

    Args:
        program: Python source text.
        call: a call with literal arguments.
        max_lines: steps after which recording stops (see `Trace.truncated`); the run continues.
        max_bytes: bytes of recorded locals after which recording stops.
        max_characters: length limit of one value's text.
        ends_run: end the run where recording stops; the trace then has no outcome.

    Raises:
        CallError: a syntax error in program or call, arguments that are not literals, a missing
            entry point, or a wrong number of arguments.
    """
    prepared = compile_with_markers(program)
    parsed = parse_call(call)
    recording = Recording()
    module = types.ModuleType(MODULE)
    shadowed = sys.modules.get(MODULE)
    sys.modules[MODULE] = module
    result: str | None = None
    raised: Raised | None = None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                exec(prepared.code, vars(module))
            except (RunStopped, KeyboardInterrupt):
                raise
            except BaseException as error:
                raised = describe_raised(error, prepared, max_characters)
            else:
                target = resolve(parsed, vars(module))
                ready = with_objects(parsed, vars(module))
                try:
                    value = record(
                        prepared,
                        lambda: make_call(ready, target),
                        recording,
                        max_lines=max_lines,
                        max_bytes=max_bytes,
                        limit=max_characters,
                        ends_run=ends_run,
                    )
                    result = render(value, max_characters)
                except (CallError, RunStopped, KeyboardInterrupt):
                    raise
                except Ended:
                    pass
                except BaseException as error:  # also what `sys.exit` raises
                    raised = describe_raised(error, prepared, max_characters)
    finally:
        if shadowed is None:
            sys.modules.pop(MODULE, None)
        else:
            sys.modules[MODULE] = shadowed
    return read_trace(prepared, call, recording, result, raised, max_characters)


def read_trace(
    program: MarkedProgram,
    call: str,
    recording: Recording,
    result: str | None,
    raised: Raised | None,
    limit: int,
) -> Trace:
    """Turns a recording into a trace; `limit` bounds the characters of a value's text."""
    reader = Reader(program, recording, limit)
    events, loops = reader.read()
    return Trace(
        program.source, call, events, loops, result, raised, recording.truncated, reader.clipped
    )


def describe_raised(error: BaseException, program: MarkedProgram, limit: int) -> Raised:
    """Describes the exception that ended a run, with the innermost line of the program."""
    line = None
    step: Any = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILENAME:
            line = program.real.get(step.tb_lineno, step.tb_lineno)
        step = step.tb_next
    return Raised(*describe_exception(error, limit), line)
