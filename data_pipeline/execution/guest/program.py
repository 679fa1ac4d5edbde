"""Compiles a program, makes its module and encodes the outcome of its run.

Standard library only: runs inside the sandbox.
"""

import contextlib
import sys
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from data_pipeline.execution.guest import values
from data_pipeline.source.calls import CallError, cause_of
from data_pipeline.tracing.markers import FILENAME
from data_pipeline.tracing.recorder import describe_exception

# Taken before a program can replace them, or define its own in a class of exceptions.
_settrace, _setprofile = sys.settrace, sys.setprofile
_traceback_of = BaseException.__dict__["__traceback__"].__get__
MAX_MESSAGE = 2000
"""Maximum characters of an exception's message; the rest is cut."""


@lru_cache(maxsize=1)  # for the calls of a batch
def compile_source(source: str) -> types.CodeType:
    """Compiles a program. Raises CallError("syntax") with the line at fault."""
    try:
        return compile(source, FILENAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CallError(
            "syntax",
            f"the program has a syntax error at line {error.lineno}: {error.msg}",
            error.lineno,
        ) from None
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise CallError("syntax", f"the program cannot be compiled: {cause_of(error)}") from None


def make_module(name: str) -> types.ModuleType:
    """Makes an empty module and registers it in `sys.modules`."""
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules[name] = module
    return module


def value_outcome(
    value: Any, max_nodes: int = values.MAX_NODES, *, objects: bool = False
) -> list[Any]:
    """Encodes a returned value as ["value", tree], or ["limit", "output", why] if too large.

    objects: whether to encode objects by their text (see `values.encode`)
    """
    _settrace(None)  # a trace function of the program must not run during encoding
    _setprofile(None)
    try:
        return ["value", values.encode(value, max_nodes, objects)]
    except values.TooLarge as error:
        return ["limit", "output", f"the result is too large: {error}"]
    except RecursionError:
        return ["limit", "output", "the result is too large: nested too deeply"]


def exception_outcome(error: BaseException, real: Mapping[int, int] | None = None) -> list[Any]:
    """Encodes an exception as ["exception", type, message, line].

    real: moved line -> line of the program, for a program with markers.
    """
    if type(error) is MemoryError:
        return ["limit", "memory", ""]
    line = None
    with contextlib.suppress(Exception):
        step = _traceback_of(error)
        while step is not None:
            if step.tb_frame.f_code.co_filename == FILENAME:
                line = (real or {}).get(step.tb_lineno, step.tb_lineno)
            step = step.tb_next
    name, message = describe_exception(error, MAX_MESSAGE)
    return ["exception", name, message, line]
