"""Decodes and parses Python files; of a file that Python cannot parse, the parts that it can.

Imports no modules: it only reads text.
"""

import ast
import io
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)
# A line that may begin a statement: not indented, no closing bracket, no later part of a statement.
_BEGINS = re.compile(r"(?!\f*(?:else|elif|except|finally)\b)\f*[\w@('\"\[{]")
_DEFINES = re.compile(
    r"(?:async\s+def|def|class|type)\s+(?P<defined>\w+)|(?P<assigned>\w+)\s*(?::[^=]*)?=(?!=)"
)
_MOST_LINES = 400  # of a statement, in a file that cannot be parsed whole


@dataclass(frozen=True)
class Unreadable:
    """Holds a part of a file that Python cannot parse.

    name:    the function, class or variable that it defines, "" if unknown
    line:    its first line
    message: what is wrong, with the line at fault and the Python version
    """

    name: str
    line: int
    message: str


def decode_source(data: bytes) -> str:
    """Decodes a Python file by its byte order mark or coding comment (PEP 263), else as UTF-8.

    Raises SyntaxError for an unknown encoding and ValueError for bytes that do not fit it.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding)


def parse_source(source: str) -> tuple[Sequence[ast.stmt], Sequence[Unreadable]]:
    """Parses a file; if it has errors, each statement at module level on its own."""
    try:
        return _parse(source).body, ()
    except _ERRORS:
        return _parse_parts(source.split("\n"))


def describe_error(error: BaseException, line: int | None = None) -> str:
    """Describes in plain words why a text is no Python, with the line at fault."""
    line = getattr(error, "lineno", None) or line
    where = f"line {line}: " if line else ""
    if isinstance(error, (RecursionError, MemoryError)):
        return f"{where}nested too deeply or too long for {PYTHON}"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{where}{message} ({PYTHON})"


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ignore invalid escape sequences in the file
        return ast.parse(text)


def _parse_parts(lines: Sequence[str]) -> tuple[list[ast.stmt], list[Unreadable]]:
    starts = [number for number, line in enumerate(lines) if _BEGINS.match(line)]
    statements: list[ast.stmt] = []
    faults: list[Unreadable] = []
    at = 0
    while at < len(starts):
        begin = starts[at]
        found, error = None, None
        for after in range(at + 1, len(starts) + 1):
            end = starts[after] if after < len(starts) else len(lines)
            if end - begin > _MOST_LINES and after > at + 1:
                break
            found, failed = _try_part(lines, begin, end)
            error = error or failed
            if found is not None:
                statements += found
                at = after
                break
        if found is None:
            assert error is not None
            at = _after_definition(lines, starts, at)
            _add_fault(faults, _unreadable(lines, begin, error))
    return statements, faults


def _try_part(
    lines: Sequence[str], begin: int, end: int
) -> tuple[list[ast.stmt] | None, BaseException | None]:
    try:
        # The empty lines before give nodes and errors the line numbers of the file.
        return _parse("\n" * begin + "\n".join(lines[begin:end])).body, None
    except _ERRORS as error:
        return None, error


def _after_definition(lines: Sequence[str], starts: Sequence[int], at: int) -> int:
    """Returns the place after a part at fault, which includes what its decorators belong to."""
    while lines[starts[at]].startswith("@") and at + 1 < len(starts):
        at += 1
    return at + 1


def _unreadable(lines: Sequence[str], begin: int, error: BaseException) -> Unreadable:
    named = next(
        (found for line in lines[begin : begin + 20] if (found := _DEFINES.match(line))), None
    )
    if named is None or (named["assigned"] and not _DEFINES.match(lines[begin])):
        return Unreadable("", begin + 1, describe_error(error, begin + 1))
    name = named["defined"] or named["assigned"]
    return Unreadable(name, begin + 1, describe_error(error, begin + 1))


def _add_fault(faults: list[Unreadable], fault: Unreadable) -> None:
    """Adds a fault, but one of several parts without a name that follow each other."""
    if fault.name or not faults or faults[-1].name:
        faults.append(fault)


def statements_within(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yields a statement and those in its blocks, but not those in functions and classes."""
    yield statement
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt):
            yield from statements_within(node)
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            for inner in node.body:
                yield from statements_within(inner)
