"""Extracts a program from a model's text: as EvalPlus does, or losing fewer programs.

EvalPlus 0.3.1 (evalplus/sanitize.py, Apache-2.0) keeps the longest run of lines that parses, and
of it the imports and the definitions that the entry function uses. It drops decorated and
repeated definitions, functions without `return`, `a, b = 1, 2`, `x += 1`, and other statements.
"""

import ast
import bisect
import codeop
import contextlib
import enum
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence

MAX_CHARACTERS = 200_000  # searched in a generation
MAX_PARSED = 4_000_000  # characters that `longest_program` parses, in one to three seconds
_FENCE = re.compile(r"^[ \t]*```[^\n]*$", re.M)
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_program(code: str) -> ast.Module | None:
    """Returns the syntax tree, or None if `code` is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a model's program
            return ast.parse(code)
    except _NO_PYTHON:
        return None


# ==== As EvalPlus does


def sanitize(code: str, entry: str) -> str:
    """Sanitizes a solution as EvalPlus does before running it (see the module)."""
    code = longest_program(code)
    tree = parse_program(code)
    if tree is None:
        return code
    imports: list[ast.stmt] = []
    definitions: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import) or (
            isinstance(statement, ast.ImportFrom) and statement.module != "__future__"
        ):
            imports.append(statement)
        elif (name := _defined_name(statement)) is not None:
            definitions.setdefault(name, statement)
    wanted = _reachable(entry, definitions)
    kept = [*imports, *(node for name, node in definitions.items() if name in wanted)]
    return "\n".join(ast.get_source_segment(code, node) or "" for node in kept).strip() or code


def longest_program(text: str) -> str:
    """Returns the first run of two or more lines that parses and has the most non-blank lines.

    Returns the first line if no such run exists. EvalPlus tries every run; here, ends past a line
    that no later line can mend are left out, and the search stops after MAX_PARSED characters,
    with the best run so far.
    """
    if parse_program(text) is not None and "\n" in text:
        return _strip_blank_end(text) if text.strip() else text.split("\n")[0]
    search = _RunSearch(text[:MAX_CHARACTERS].split("\n"))
    with contextlib.suppress(_SearchEnded):
        search.run()
    return "\n".join(search.best)


class _SearchEnded(Exception):
    """The search has parsed MAX_PARSED characters."""


class _RunSearch:
    """Searches the run of lines that `longest_program` returns; `best` holds its lines."""

    def __init__(self, lines: Sequence[str]):
        self.lines, self.best, self._most = lines, lines[:1], 0
        self._filled = [0, *itertools.accumulate(bool(line.strip()) for line in lines)]
        self._left = MAX_PARSED

    def run(self) -> None:
        for start in range(len(self.lines) - 1):
            if self._filled[-1] - self._filled[start] <= self._most:
                return  # no later start has as many lines
            self._search_from(start)

    def _search_from(self, start: int) -> None:
        """Looks for a longer run from `start`: the longest end first, and of equal ones the first.

        Blank lines after the last filled one do not count, so all ends up to it are equal.
        """
        end = self._find_last_end(start)
        while end > start and self._filled[end + 1] - self._filled[start] > self._most:
            first = bisect.bisect_left(self._filled, self._filled[end + 1], lo=start + 2) - 1
            for candidate in range(first, end + 1):
                if self._state(start, candidate) is _State.WHOLE:
                    self._most = self._filled[candidate + 1] - self._filled[start]
                    self.best = self.lines[start : candidate + 1]
                    return
            end = self._last_outside_bracket(start, first) if first > start + 1 else start

    def _find_last_end(self, start: int) -> int:
        """Returns the last line that a run from `start` can end with.

        A run that is beyond mending stays so with more lines, so the search is a bisection.
        """
        good, step = start, 1
        while self._state(start, end := min(start + step, len(self.lines) - 1)) is not _State.WRONG:
            if end == len(self.lines) - 1:
                return end
            good, step = end, 2 * step
        while end - good > 1:
            middle = (good + end) // 2
            if self._state(start, middle) is _State.WRONG:
                end = middle
            else:
                good = middle
        return good

    def _last_outside_bracket(self, start: int, end: int) -> int:
        """Returns the last line before `end` at whose end no bracket is open.

        Takes the bracket that the parser reports, the innermost that never closes, again and again.
        """
        end -= 1
        while end > start:
            opened = self._line_of_open_bracket(start, end)
            if opened is None:
                return end
            end = start + opened - 1
        return end

    def _line_of_open_bracket(self, start: int, end: int) -> int | None:
        try:
            self._parse(start, end, 0)
        except SyntaxError as error:
            if "was never closed" in str(error) or "unterminated triple" in str(error):
                return error.lineno - 1
        except _NO_PYTHON:
            pass
        return None

    def _state(self, start: int, end: int) -> "_State":
        try:
            self._parse(start, end, codeop.PyCF_ALLOW_INCOMPLETE_INPUT)
        except SyntaxError as error:
            return _State.CUT_OFF if "incomplete input" in str(error) else _State.WRONG
        except _NO_PYTHON:
            return _State.WRONG
        return _State.WHOLE

    def _parse(self, start: int, end: int, flags: int) -> None:
        run = "\n".join(self.lines[start : end + 1])
        self._left -= len(run) + 20  # a parse has a cost of its own
        if self._left < 0:
            raise _SearchEnded
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(run, "<run>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)


class _State(enum.Enum):
    """What more lines can do for a run: it parses, it may parse with more, it never will."""

    WHOLE = 1
    CUT_OFF = 2
    WRONG = 3


def _strip_blank_end(text: str) -> str:
    """Removes trailing blank lines, except those that the rest needs to parse."""
    lines = text.split("\n")
    last = max(number for number, line in enumerate(lines) if line.strip())
    for end in range(max(last, 1), len(lines)):
        if parse_program(run := "\n".join(lines[: end + 1])) is not None:
            return run
    return text


def _defined_name(statement: ast.stmt) -> str | None:
    match statement:
        case ast.ClassDef(decorator_list=[]):
            return statement.name
        case ast.FunctionDef(decorator_list=[]) | ast.AsyncFunctionDef(decorator_list=[]):
            returns = any(isinstance(node, ast.Return) for node in ast.walk(statement))
            return statement.name if returns else None
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name), *_]):
            return name
        # The first plain name of the statement counts, on whichever side it stands.
        case ast.Assign(targets=[_], value=ast.Name(id=name)):
            return name
    return None


def _reachable(entry: str, definitions: dict[str, ast.stmt]) -> set[str]:
    found, waiting = {entry}, [entry]
    while waiting:
        node = definitions.get(waiting.pop())
        for name in _identifiers(node) if node is not None else ():
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _identifiers(node: ast.AST) -> Iterator[str]:
    """Yields every identifier in `node`: variables, attributes, parameters, …"""
    for part in ast.walk(node):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            if isinstance(name := getattr(part, field, None), str):
                yield from name.split(".")
        if isinstance(part, (ast.Global, ast.Nonlocal)):
            yield from part.names


# ==== With fewer lost programs


def extract_program(text: str, entry: str, *, opened: str = "", stub: str = "") -> str | None:
    """Extracts the program in `text` that defines `entry`; returns None for an empty text.

    Cuts text after the program, and statements that only print or test. If no part of the text
    defines `entry`, returns the first part unchanged, which will fail.

    Args:
      opened: beginning of the program in the prompt, which the text continues.
      stub: imports and functions of the question, placed before a program that starts anew.
    """
    text = text[:MAX_CHARACTERS]
    first, blocks = _blocks(text)
    candidates = [opened + first] if first.strip() else []
    candidates += [f"{stub.rstrip()}\n\n\n{block}" if stub.strip() else block for block in blocks]
    for candidate in candidates:
        program = _longest_start(candidate)
        if program is not None and _defines(program, entry, len(stub.strip()) > 0):
            return _without_tests(program, entry)
    return next((candidate for candidate in candidates if candidate.strip()), None)


def _blocks(text: str) -> tuple[str, Sequence[str]]:
    """Returns (text before the first fence, fenced blocks after it).

    A first fence without a language, after some text, closes the block that the prompt opened.
    """
    parts, fences, begun = [], [], 0
    for fence in _FENCE.finditer(text):
        parts.append(text[begun : fence.start()])
        fences.append(fence[0].strip().strip("`").strip())
        begun = fence.end() + 1
    parts.append(text[begun:])
    blocks, inside = [], False
    for language, part in zip(fences, parts[1:], strict=True):
        inside = bool(language) or not inside
        if not blocks and not language and parts[0].strip() and inside and len(fences) % 2:
            inside = False  # the closing fence of the prompt's own block
        if inside and part.strip():
            blocks.append(part)
    return parts[0], blocks


def _longest_start(code: str) -> str | None:
    """Returns the longest prefix of lines that parses, or None."""
    lines = code.split("\n")
    for end in range(len(lines), max(0, len(lines) - 500), -1):
        start = "\n".join(lines[:end])
        if parse_program(start) is not None:
            return start
    return None


def _defines(program: str, entry: str, has_stub: bool) -> bool:
    """Whether the program defines `entry` with a body; a docstring alone is no body.

    The definition in a stub does not count.
    """
    found = [
        node
        for node in parse_program(program).body
        if entry
        in (
            getattr(node, "name", None),
            *(getattr(target, "id", None) for target in getattr(node, "targets", ())),
        )
    ]
    if not found or (has_stub and len(found) < 2):
        return False
    body = getattr(found[-1], "body", None)
    return body is None or not (
        len(body) == 1
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )


def _without_tests(program: str, entry: str) -> str:
    """Removes assertions, statements that print or call the entry, and the `__main__` block."""
    lines = program.split("\n")
    for node in parse_program(program).body:
        if _only_tests(node, entry):
            for number in range(node.lineno - 1, node.end_lineno):
                lines[number] = ""
    kept = "\n".join(lines).rstrip() + "\n"
    return kept if parse_program(kept) is not None else program


def _only_tests(node: ast.stmt, entry: str) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.If):
        return "__name__" in ast.unparse(node.test)
    if isinstance(node, ast.Expr):
        names = set(_identifiers(node))
        return bool(names & {entry, "print", "input", "doctest", "unittest", "check"})
    return False
