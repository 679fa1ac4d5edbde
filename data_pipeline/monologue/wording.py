"""Formats values and code for narrators, and chooses among equivalent wordings."""

import ast
import functools
import random
from collections.abc import Sequence

from data_pipeline.source.calls import parse_value
from data_pipeline.source.literals import LiteralError, parse_literal

MOST_CODE = 90


class Words:
    """Chooses among equivalent wordings, the same way for the same seed.

    values: maximum characters of a value in a step.
    """

    def __init__(self, seed: str, values: int):
        self._random = random.Random(seed)
        self.values = values

    def with_room(self, values: int) -> "Words":
        """Returns the same choices with another maximum length of values."""
        longer = Words("", values)
        longer._random = self._random
        return longer

    def choose(self, options: Sequence[str]) -> str:
        return options[self._random.randrange(len(options))]

    def value(self, text: str | None) -> str | None:
        return shorten_value(text, self.values) if text is not None else None


@functools.lru_cache(maxsize=4096)
def shorten_value(text: str, most: int) -> str | None:
    """Shortens a value's text to `most` characters; returns None if it cannot be shown.

    Shows literals, and instances as `Point(x=1, y=2)`; neither addresses nor cut texts.
    """
    if text.startswith("<") or any(mark in text for mark in "\n`⟦⟧…") or "..." in text:
        return None
    try:
        value = parse_literal(text)
    except LiteralError:
        return text if len(text) <= most and _is_instance(text) else None
    if len(text) <= most:
        return text
    if isinstance(value, list | tuple) and len(value) > 2:
        return _short_sequence(value, most)
    if isinstance(value, str) and text[0] == text[-1]:
        return text[: most - 2].rstrip("\\") + "…" + text[0]
    return None


def _is_instance(text: str) -> bool:
    """Returns whether a text shows objects: calls and members of classes, also in containers."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if isinstance(node, ast.Call):
        return "<" not in text
    try:
        parse_value(text)
    except LiteralError:
        return False
    return True


def _short_sequence(value: list | tuple, most: int) -> str | None:
    opening, closing = "[]" if isinstance(value, list) else "()"
    last = repr(value[-1])
    room, kept = most - len(last) - 8, []
    for item in value[:-1]:
        text = repr(item)
        room -= len(text) + 2
        if room < 0:
            break
        kept.append(text)
    if not kept:
        return None
    return f"{opening}{', '.join(kept)}, ..., {last}{closing}"


class Source:
    """Gives the code of syntax nodes as the program's text reads."""

    def __init__(self, program: str):
        self.lines = program.encode().split(b"\n")
        self._known: dict[ast.AST, str | None] = {}

    def code(self, node: ast.AST, most: int = MOST_CODE) -> str | None:
        """Returns the code of a node on one line; None if it is too long or cannot be quoted."""
        if node not in self._known:
            self._known[node] = self._read(node)
        text = self._known[node]
        return text if text is not None and len(text) <= most else None

    def _read(self, node: ast.AST) -> str | None:
        start, end = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
        first, last = node.col_offset, node.end_col_offset  # type: ignore[attr-defined]
        lines = self.lines[start : end + 1]
        lines[-1] = lines[-1][:last]
        lines[0] = lines[0][first:]
        text = b"\n".join(lines).decode(errors="replace")
        if "\n" in text:
            text = self._join_lines(text, node)
        return text if text and not any(mark in text for mark in "\n`⟦⟧") else None

    def _join_lines(self, text: str, node: ast.AST) -> str:
        joined = " ".join(text.split())
        for bracket in "([{":
            joined = joined.replace(f"{bracket} ", bracket)
        for bracket in ")]}":
            joined = joined.replace(f" {bracket}", bracket).replace(f",{bracket}", bracket)
        mode = "eval" if isinstance(node, ast.expr) else "exec"
        try:
            read = ast.parse(joined, mode=mode)
        except (SyntaxError, ValueError):
            return ""
        body = read.body if isinstance(read, ast.Expression) else read.body[0]
        same = ast.dump(body).replace("ctx=Store()", "ctx=Load()")
        return joined if same == ast.dump(node).replace("ctx=Store()", "ctx=Load()") else ""

    def with_values(self, node: ast.expr, values: dict[ast.expr, str], most: int) -> str | None:
        """Returns the node's code with texts put in place of some of its parts."""
        if node.lineno != node.end_lineno:
            return None
        line = self.lines[node.lineno - 1]
        at, pieces = node.col_offset, []
        for part in sorted(values, key=lambda part: part.col_offset):
            start, end = _without_brackets(line, part.col_offset, part.end_col_offset or 0)
            pieces += [line[at:start].decode(), values[part]]
            at = end
        pieces.append(line[at : node.end_col_offset].decode())
        text = "".join(pieces)
        return text if len(text) <= most and "`" not in text else None


def _without_brackets(line: bytes, start: int, end: int) -> tuple[int, int]:
    """Returns a part's span with the brackets around it, which its value does not need."""
    while line[start - 1 : start] == b"(" and line[end : end + 1] == b")":
        before = line[start - 2 : start - 1]
        if before.isalnum() or before in (b"_", b")", b"]"):
            break  # the brackets of a call
        start, end = start - 1, end + 1
    return start, end


def join_words(parts: Sequence[str]) -> str:
    """Joins words as "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
