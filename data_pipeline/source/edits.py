"""Edits source text by the spans of its syntax nodes; everything outside a span stays unchanged.

Uses ast because tracing, scopes and fault operators use its nodes and lines. LibCST preserves
layout as well, but would add a second kind of tree.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]


@dataclass(frozen=True)
class Token:
    """An operator or a name, and its span in characters."""

    text: str
    start: int
    end: int


@dataclass
class EditableProgram:
    """A program's text, syntax tree and tokens. Raises SyntaxError if the text is not a program.

    starts: offset of each line's first character
    """

    text: str
    tree: ast.Module = field(init=False)
    lines: list[str] = field(init=False)
    starts: list[int] = field(init=False)
    tokens: list[Token] = field(init=False)

    def __post_init__(self) -> None:
        if "\r" in self.text:  # Python ends a line there, `split("\n")` below does not
            raise SyntaxError("carriage returns in the program")
        self.tree = ast.parse(self.text)
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        try:
            self.tokens = [
                Token(
                    token.string,
                    self.starts[token.start[0] - 1] + token.start[1],
                    self.starts[token.end[0] - 1] + token.end[1],
                )
                for token in tokenize.generate_tokens(io.StringIO(self.text).readline)
                if token.type in (tokenize.OP, tokenize.NAME)
            ]
        except tokenize.TokenError as error:
            raise SyntaxError(str(error)) from None

    def offset(self, line: int, column: int) -> int:
        """Returns the character offset of a node's position; `column` counts UTF-8 bytes."""
        text = self.lines[line - 1]
        if not text.isascii():
            column = len(text.encode()[:column].decode())
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> Span:
        """Returns the node's span in characters."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def text_of(self, node: ast.expr | ast.stmt) -> str:
        """Returns the node's text."""
        start, end = self.span(node)
        return self.text[start:end]

    def atom(self, node: ast.expr) -> str:
        """Returns the node's text, in parentheses if an operator beside it could split it."""
        text = self.text_of(node)
        simple = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List,
                  ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp)  # fmt: skip
        return text if isinstance(node, simple) else f"({text})"

    def outer_span(self, node: ast.expr, within: ast.expr) -> Span:
        """Returns the span of `node`, a part of `within`, including the parentheses around it."""
        first, last = self.span(within)
        start, end = self.span(node)
        while True:
            before = self.text[first:start].rstrip()
            after = self.text[end:last].lstrip()
            if not (before.endswith("(") and after.startswith(")")):
                return start, end
            start = first + len(before) - 1
            end = last - len(after) + 1

    def tokens_between(self, left: ast.AST, right: ast.AST) -> list[Token]:
        """Returns the tokens between `left` and `right`, without parentheses."""
        start, end = self.span(left)[1], self.span(right)[0]  # type: ignore[arg-type]
        return [t for t in self.tokens if start <= t.start and t.end <= end and t.text not in "()"]

    def replace(self, *edits: tuple[Span, str]) -> str:
        """Returns the text with the given spans replaced; spans must not overlap."""
        text = self.text
        for (start, end), new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    # ---- whole lines

    def owns_lines(self, node: ast.stmt) -> bool:
        """Returns whether the statement's lines contain only it and a comment."""
        start, end = self.span(node)
        before = self.text[self.starts[node.lineno - 1] : start]
        after = self.text[end : self.starts[node.end_lineno or 0] - 1]
        return not before.strip() and (not after.strip() or after.lstrip().startswith("#"))

    def lines_of(self, node: ast.stmt) -> Span:
        """Returns the span of the statement's lines, including the last line end."""
        end = min(self.starts[node.end_lineno or 0], len(self.text))
        return self.starts[node.lineno - 1], end

    def indent_of(self, node: ast.stmt) -> str:
        line = self.lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yields the outermost functions and methods of a program."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef | ast.If | ast.Try):
            waiting.extend(ast.iter_child_nodes(node))


def parts(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function's body, outside in: no decorators, annotations or docstrings, and
    nothing inside f-strings, whose positions Python 3.11 gets wrong."""
    waiting: list[ast.AST] = [*function.args.defaults, *statements_of(function.body)]
    while waiting:
        node = waiting.pop(0)
        yield node
        for name, child in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for part in child if isinstance(child, list) else [child]:
                if isinstance(part, ast.AST) and not isinstance(part, ast.JoinedStr):
                    if isinstance(part, ast.stmt) and _is_text(part):
                        continue
                    waiting.append(part)


def statements_of(body: list[ast.stmt]) -> list[ast.stmt]:
    """Returns the statements of a body without docstrings and other string statements."""
    return [statement for statement in body if not _is_text(statement)]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def bodies(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    """Yields (owner, statements without docstrings) of each block, the function's own first."""
    for node in [function, *parts(function)]:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list) or not block or not isinstance(block[0], ast.stmt):
                continue
            if statements := statements_of(block):
                yield node, statements
