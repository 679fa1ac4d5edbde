"""Reads what the page asks: JSON objects with the fields of these records."""

import ast
import dataclasses
import json
from typing import Any, TypeVar

from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.refine import split_assertion

MAX_TEXT = 20_000  # characters of a field
MAX_TESTS = 20
DIRECTIONS = ("forward", "backward")


class DemoError(UserError):
    """A mistake of the user, or a run that cannot be shown; one line for the page."""


@dataclasses.dataclass(frozen=True)
class TellRequest:
    """Asks for the monologue of a call.

    Attributes:
      program: Python source.
      call: the call, such as "f(3)".
      direction: "forward" (what the call returns) or "backward" (an input that returns the same).
      words: the user's own monologue, to be checked; empty to have one written.
    """

    program: str
    call: str
    direction: str = "forward"
    words: str = ""

    def __post_init__(self):
        _require(self, "program", "call")
        if self.direction not in DIRECTIONS:
            raise DemoError(f"direction: expected {' or '.join(DIRECTIONS)}")


@dataclasses.dataclass(frozen=True)
class CodeRequest:
    """Asks for a function by a description and tests (one assertion a line)."""

    task: str
    tests: str

    def __post_init__(self):
        _require(self, "task", "tests")
        read_tests(self.tests)


@dataclasses.dataclass(frozen=True)
class RepairRequest:
    """Asks for the repair of a program that fails one of its tests; `task` may be empty."""

    program: str
    tests: str
    task: str = ""

    def __post_init__(self):
        _require(self, "program", "tests")
        read_tests(self.tests)


@dataclasses.dataclass(frozen=True)
class TestRequest:
    """Asks for the outcome of a program's tests."""

    __test__ = False  # pytest would collect it

    program: str
    tests: str

    def __post_init__(self):
        _require(self, "program", "tests")
        read_tests(self.tests)


R = TypeVar("R")


def read_request(record: type[R], content: bytes) -> R:
    """Parses the JSON body of a request. Raises DemoError."""
    names = [field.name for field in dataclasses.fields(record)]  # type: ignore[arg-type]
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise DemoError("the request is not JSON") from None
    if not isinstance(body, dict) or not set(body) <= set(names):
        raise DemoError(f"the request: expected an object with {', '.join(names)}")
    for name, value in body.items():
        if not isinstance(value, str):
            raise DemoError(f"{name}: expected text")
        if len(value) > MAX_TEXT:
            raise DemoError(f"{name}: {len(value):,} characters, expected at most {MAX_TEXT:,}")
    try:
        return record(**{name: _plain(value) for name, value in body.items()})
    except TypeError:
        raise DemoError(f"the request: expected an object with {', '.join(names)}") from None


def read_tests(text: str) -> tuple[str, ...]:
    """Returns the assertions, one a line; blank lines and comments are skipped.

    Raises DemoError for a line that is no assertion, and if there is none or too many.
    """
    lines = [line.strip() for line in text.splitlines()]
    tests = tuple(line for line in lines if line and not line.startswith("#"))
    if not 1 <= len(tests) <= MAX_TESTS:
        raise DemoError(f"tests: {len(tests)} assertions, expected 1 to {MAX_TESTS}")
    for test in tests:
        try:
            split_assertion(test)
        except ValueError:
            raise DemoError(f"tests: expected assert f(3) == 4; got {test[:80]}") from None
    return tests


def tested_function(tests: tuple[str, ...]) -> str:
    """Returns the name of the function that the tests call. Raises DemoError if they call none."""
    for test in tests:
        for node in ast.walk(ast.parse(test)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                return node.func.id
    raise DemoError("tests: expected a call of the function, such as assert f(3) == 4")


def _require(record: Any, *names: str) -> None:
    for name in names:
        if not getattr(record, name).strip():
            raise DemoError(f"{name}: empty")


def _plain(text: str) -> str:
    """Returns the text with newlines as Python writes them, without half surrogate pairs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "backslashreplace").decode()
