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

# Exceptions that Python takes for an end: `all(map(f, inputs))` would pass at a StopIteration.
_ENDING = frozenset(
    ("StopIteration", "StopAsyncIteration", "GeneratorExit", "SystemExit", "KeyboardInterrupt")
)


class ProgramEnded(BaseException):
    """The program's process cannot answer another call: the test has failed with `outcome`.

    A test that catches it fails all the same.
    """

    def __init__(self, *outcome: Any):
        super().__init__(*outcome)
        self.outcome = list(outcome)


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
    if type(value) is types.ModuleType:
        return ["module", vars(value).get("__name__")]
    return ["function"] if callable(value) else program.value_outcome(value)


# ---- the test's process


class _Connection:
    """The pipes to and from the program's process. ended: why the test failed, once it did."""

    def __init__(self, answers: int, asks: int):
        self.answers, self.asks = answers, asks
        self.ended: ProgramEnded | None = None

    def ask(self, message: Mapping[str, Any]) -> Any:
        if self.ended is not None:
            raise self.ended
        try:
            send(self.asks, message)
            answer = receive(self.answers)
        except OSError:
            answer = None
        except ValueError:
            raise self.end("died", "forged answer") from None
        if answer is None:
            raise self.end("died", "the program's process ended")
        return answer

    def end(self, *outcome: Any) -> ProgramEnded:
        self.ended = ProgramEnded(*outcome)
        return self.ended


def _stand_in(name: str, connection: _Connection) -> Any:
    match connection.ask({"get": name}):
        case {"outcome": ["module", str(module)]} if module in sys.stdlib_module_names:
            return __import__(module)
        case {"outcome": ["value", tree]}:
            return values.decode(tree)
        case _:
            return _Function(name, connection)


class _Function:
    """Calls a function of the program in the other process."""

    def __init__(self, name: str, connection: _Connection):
        self.__name__ = name
        self._connection = connection

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            arguments = [values.encode(value) for value in args]
            named = {name: values.encode(value) for name, value in kwargs.items()}
        except values.TooLarge as error:
            raise CallError("literal", f"an argument of {self.__name__} is {error}") from None
        if any(map(values.has_opaque, [*arguments, *named.values()])):
            raise CallError(
                "literal", f"the test calls {self.__name__} with a value that is not a literal"
            )
        ask = {"name": self.__name__, "args": arguments, "kwargs": named}
        return _result(self._connection.ask(ask), self._connection)


def _result(answer: Any, connection: _Connection) -> Any:
    match answer:
        case {"outcome": ["value", tree]}:
            try:
                return values.decode(tree)
            except values.Malformed as error:
                raise connection.end("died", f"forged value: {error}") from None
        case {"outcome": ["exception", str(name), str(message), _]} if name in _ENDING:
            raise connection.end("exception", name, message, _calling_line("<test>"))
        case {"outcome": ["exception", str(name), str(message), _]}:
            raise _exception_type(name)(message)
        case {"outcome": ["limit", "memory", str(_)]}:
            raise MemoryError
        case _:
            raise connection.end("died", "the program's process returned a malformed message")


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
    names = {name for name in hello["names"] if name == test["entry"] or _may_stand_in(name, test)}
    try:
        tree = ast.parse(test["body"], "<test>")
        code = compile(tree, "<test>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return {"outcome": ["bad_input", "syntax", f"the test has a syntax error: {error}", None]}
    module = program.make_module("__main__")
    namespace = vars(module)
    entry = test["entry"]
    if entry is not None and entry not in names:
        return {"outcome": ["bad_input", "entry", f"the program defines no {entry!r}", None]}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | {entry}
    connection = _Connection(answers, asks)
    try:
        for name in sorted(used & names):
            namespace[name] = _stand_in(name, connection)
    except (ProgramEnded, values.Malformed):
        return {"outcome": ["died", "the program's process ended"]}
    if entry is not None:
        namespace["candidate"] = namespace[entry]
    outcome = _run_body(code, namespace, entry)
    return {"outcome": outcome if connection.ended is None else connection.ended.outcome}


def _may_stand_in(name: str, test: Mapping[str, Any]) -> bool:
    """Whether the test calls the program's function `name`, rather than the builtin `name`.

    A program that is asked for another function cannot replace the test's `all` or `abs`.
    """
    return test["entry"] is None or not hasattr(builtins, name)


def _run_body(code: types.CodeType, namespace: dict[str, Any], entry: str | None) -> list[Any]:
    try:
        exec(code, namespace)
        if entry is not None and callable(namespace.get("check")):
            namespace["check"](namespace[entry])
    except CallError as error:
        return ["bad_input", error.reason, str(error), None]
    except AttributeError as error:
        if isinstance(error.obj, values.Opaque) or isinstance(error, FrozenInstanceError):
            message = "the test inspects an object that exists only in the program's process"
            return ["bad_input", "literal", message, None]
        return _test_failure(error)
    except BaseException as error:
        return _test_failure(error)
    return ["value", None]


def _test_failure(error: BaseException) -> list[Any]:
    outcome = program.exception_outcome(error)
    if outcome[0] == "exception":
        outcome[3] = _line_of(error, "<test>")
    return outcome


def _calling_line(filename: str) -> int | None:
    """Returns the line at which the code of `filename` now calls a function."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != filename:
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def _line_of(error: BaseException, filename: str) -> int | None:
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == filename:
            line = step.tb_lineno
        step = step.tb_next
    return line
