"""Runs a test and its program in two processes, so that the program cannot reach its verdict.

The test's process has stand-ins for the program's functions. Calling one sends the tagged arguments
to the program's process and returns the tagged result or raises the exception. Two things do not
come back: changes to an argument, and objects that are not plain values. A test that passes on or
inspects such an object is bad input (4 of MBPP's 974, none of HumanEval's).
Standard library only: runs inside the sandbox.
"""

import ast
import builtins
import sys
import types
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any

from data_pipeline.execution.guest import determinism, program, values
from data_pipeline.execution.guest.messages import receive, send
from data_pipeline.source.calls import Call, CallError, make_call, resolve


class ProgramEnded(BaseException):
    """The program's process ended or sent a forged message."""


# ---- the program's process


def serve(job: Mapping[str, Any], asks: int, answers: int) -> None:
    """Runs the program's module level, then answers calls until the test's process ends."""
    determinism.reset()
    namespace: dict[str, Any] = {}
    try:
        code = program.compile_source(job["program"])
        namespace = vars(program.make_module("program"))
        exec(code, namespace)
        outcome = ["value", None]
    except CallError as error:
        outcome = ["bad_input", error.reason, str(error), error.line]
    except BaseException as error:
        outcome = program.exception_outcome(error)
    send(answers, {"outcome": outcome, "names": [n for n in namespace if type(n) is str]})
    while (ask := receive(asks)) is not None:
        try:
            if "get" in ask:
                send(answers, {"outcome": _describe_name(namespace[ask["get"]])})
                continue
            call = Call(
                (ask["name"],),
                tuple(values.decode(tree) for tree in ask["args"]),
                {name: values.decode(tree) for name, tree in ask["kwargs"].items()},
            )
            outcome = program.value_outcome(make_call(call, resolve(call, namespace)))
        except CallError as error:
            outcome = ["exception", "TypeError", str(error), None]
        except BaseException as error:
            outcome = program.exception_outcome(error)
        send(answers, {"outcome": outcome})


def _describe_name(value: Any) -> list[Any]:
    """Describes the object behind a name of the program: a module, a function, or a value."""
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__]
    return ["function"] if callable(value) else program.value_outcome(value)


# ---- the test's process


def _stand_in(name: str, answers: int, asks: int) -> Any:
    send(asks, {"get": name})
    match receive(answers):
        case {"outcome": ["module", str(module)]} if module in sys.stdlib_module_names:
            return __import__(module)
        case {"outcome": ["value", tree]}:
            return values.decode(tree)
        case _:
            return _Function(name, answers, asks)


class _Function:
    """Calls a function of the program in the other process."""

    def __init__(self, name: str, answers: int, asks: int):
        self.__name__ = name
        self._pipes = answers, asks

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answers, asks = self._pipes
        try:
            arguments = [values.encode(value) for value in args]
            named = {name: values.encode(value) for name, value in kwargs.items()}
        except values.TooLarge as error:
            raise CallError("literal", f"an argument of {self.__name__} is {error}") from None
        if any(map(values.has_opaque, [*arguments, *named.values()])):
            raise CallError(
                "literal", f"the test calls {self.__name__} with a value that is not a literal"
            )
        try:
            send(asks, {"name": self.__name__, "args": arguments, "kwargs": named})
            answer = receive(answers)
        except OSError:
            answer = None
        except ValueError:
            raise ProgramEnded("forged answer") from None
        if answer is None:
            raise ProgramEnded("the program's process ended")
        return _result(answer)


def _result(answer: Any) -> Any:
    match answer:
        case {"outcome": ["value", tree]}:
            return values.decode(tree)
        case {"outcome": ["exception", str(name), str(message), _]}:
            raise _exception_type(name)(message)
        case {"outcome": ["limit", "memory", str(_)]}:
            raise MemoryError
        case _:
            raise ProgramEnded("the program's process returned a malformed message")


def _exception_type(name: str) -> type[BaseException]:
    """Returns the builtin exception of that name, which a test may expect, or a new class."""
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception):
        return known
    return type(name if name.isidentifier() else "Error", (Exception,), {})


def run_test(test: Mapping[str, Any], answers: int, asks: int) -> dict[str, Any]:
    """Runs test["body"] with stand-ins; `candidate` is another name for test["entry"].

    If the body defines `check`, calls it with the entry point, as HumanEval's tests expect.
    The outcome is the value None if nothing is raised.
    """
    determinism.reset()
    try:
        hello = receive(answers)
    except ValueError:
        hello = None
    if hello is None:
        return {"outcome": ["died", "the program's process ended while it was loaded"]}
    if hello["outcome"][0] != "value":
        return {"outcome": hello["outcome"]}
    try:
        tree = ast.parse(test["body"], "<test>")
        code = compile(tree, "<test>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return {"outcome": ["bad_input", "syntax", f"the test has a syntax error: {error}", None]}
    module = program.make_module("__main__")
    namespace = vars(module)
    entry = test["entry"]
    if entry is not None and entry not in hello["names"]:
        return {"outcome": ["bad_input", "entry", f"the program defines no {entry!r}", None]}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | {entry}
    try:
        for name in sorted(used & set(hello["names"])):
            namespace[name] = _stand_in(name, answers, asks)
    except (OSError, ValueError):
        return {"outcome": ["died", "the program's process ended"]}
    if entry is not None:
        namespace["candidate"] = namespace[entry]
    try:
        exec(code, namespace)
        if entry is not None and callable(namespace.get("check")):
            namespace["check"](namespace[entry])
    except ProgramEnded as error:
        return {"outcome": ["died", str(error)]}
    except CallError as error:
        return {"outcome": ["bad_input", error.reason, str(error), None]}
    except AttributeError as error:
        if isinstance(error.obj, values.Opaque) or isinstance(error, FrozenInstanceError):
            message = "the test inspects an object that exists only in the program's process"
            return {"outcome": ["bad_input", "literal", message, None]}
        return {"outcome": _test_failure(error)}
    except values.Malformed as error:
        return {"outcome": ["died", f"forged value: {error}"]}
    except BaseException as error:
        return {"outcome": _test_failure(error)}
    return {"outcome": ["value", None]}


def _test_failure(error: BaseException) -> list[Any]:
    outcome = program.exception_outcome(error)
    if outcome[0] == "exception":
        outcome[3] = _line_of(error, "<test>")
    return outcome


def _line_of(error: BaseException, filename: str) -> int | None:
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == filename:
            line = step.tb_lineno
        step = step.tb_next
    return line
