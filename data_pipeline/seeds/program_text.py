"""Cleans the source text of statements and renames what they refer to."""

import ast
import io
import re
import tokenize
from collections.abc import Mapping

from data_pipeline.seeds.modules import Definition
from data_pipeline.source.edits import EditableProgram, Span
from data_pipeline.source.fingerprints import is_docstring
from data_pipeline.source.scopes import find_uses

_TOOL_COMMENT = re.compile(r"#\s*(?:type:|noqa|pragma|pylint|mypy|pyright|fmt:|isort|doctest)")


def clean_text(text: str, statement: ast.stmt) -> str:
    """Returns the text of a statement without docstrings and tool comments.

    text: the statement's source, dedented
    """
    expected = _dump_without_docstrings(statement)
    cleaned = _without_tool_comments(_without_docstrings(text))
    for candidate in (cleaned.expandtabs(8), cleaned, _without_docstrings(text)):
        try:
            tree = ast.parse(candidate)
        except (SyntaxError, ValueError):
            continue
        if len(tree.body) == 1 and _dump_without_docstrings(tree.body[0]) == expected:
            return candidate.strip("\n")
    copy = ast.parse(ast.unparse(statement))
    _drop_docstrings(copy)
    return ast.unparse(copy)


def rename(text: str, names: Mapping[str, str], attributes: Mapping[tuple[str, ...], str]) -> str:
    """Returns a statement's text with the names of module level replaced.

    names:      name -> its new text
    attributes: path, such as ("module", "name") for `module.name`, -> the name to stand there
    """
    changed = {name: new for name, new in names.items() if name != new}
    if not changed and not attributes:
        return text
    program = EditableProgram(text)
    edits: dict[Span, str] = {}
    for use in find_uses(program.tree):
        of_module = use.scope is None or use.scope.kind == "module"
        if of_module and use.name in changed:
            span = _name_span(program, use.node, use.name)
            edits[span] = changed[use.name]
    for node in ast.walk(program.tree):
        path = dotted_path(node)
        if path in attributes:
            edits[program.span(node)] = attributes[path]  # type: ignore[arg-type]
    return program.replace(*edits.items())


def _name_span(program: EditableProgram, node: ast.AST, name: str) -> Span:
    """Returns the span of a name: of the whole node, or after the keyword of a definition."""
    if isinstance(node, ast.Name):
        return program.span(node)
    if not isinstance(node, Definition):
        raise SyntaxError(f"{name} is bound by a {type(node).__name__}")
    start = program.span(node)[0]
    token = next(t for t in program.tokens if t.start >= start and t.text == name)
    return token.start, token.end


def dotted_path(node: ast.AST) -> tuple[str, ...]:
    """Returns ("a", "b") for `a.b`; () for anything but a name with attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) and parts else ()


def without_comment_lines(code: str) -> str:
    """Returns a program without the comments that have a line of their own."""
    lines = code.split("\n")
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(code).readline))):
        if token.type == tokenize.COMMENT and token.line.strip() == token.string:
            del lines[token.start[0] - 1]
    return "\n".join(lines)


def _dump_without_docstrings(statement: ast.stmt) -> str:
    copy = ast.parse(ast.unparse(statement))
    _drop_docstrings(copy)
    return ast.dump(copy)


def _docstrings(tree: ast.AST) -> list[tuple[Definition, ast.stmt]]:
    """Returns the docstrings with their owners; in a class, all texts: they describe its fields."""
    return [
        (node, statement)
        for node in ast.walk(tree)
        if isinstance(node, Definition)
        for statement in (node.body if isinstance(node, ast.ClassDef) else node.body[:1])
        if is_docstring(statement)
    ]


def _drop_docstrings(tree: ast.AST) -> None:
    for node, docstring in _docstrings(tree):
        node.body.remove(docstring)
        if not node.body:
            node.body.append(ast.Pass())


def _without_docstrings(text: str) -> str:
    """Removes docstrings by line; keeps those that share a line, which the caller checks."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    lines: list[str | None] = list(text.split("\n"))
    for node, docstring in _docstrings(tree):
        assert docstring.end_lineno is not None
        for number in range(docstring.lineno - 1, docstring.end_lineno):
            lines[number] = None
        if all(map(is_docstring, node.body)):
            lines[docstring.lineno - 1] = (
                " " * docstring.col_offset + "pass" if docstring is node.body[0] else None
            )
            continue
        after = docstring.end_lineno
        while after < len(lines) and lines[after] is not None and not lines[after].strip():  # type: ignore[union-attr]
            lines[after] = None
            after += 1
    return "\n".join(line.rstrip() for line in lines if line is not None)


def _without_tool_comments(text: str) -> str:
    lines = text.split("\n")
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return text
    for token in reversed(tokens):
        if token.type == tokenize.COMMENT and _TOOL_COMMENT.match(token.string):
            row, column = token.start
            kept = lines[row - 1][:column].rstrip()
            if kept:
                lines[row - 1] = kept
            else:
                del lines[row - 1]
    return "\n".join(lines)
