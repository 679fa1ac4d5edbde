"""Source text and its syntax tree side by side: nodes found as spans of characters, so that an edit
changes nothing but its span and the layout and comments of the program stay.

Written over ast because everything around it (tracing, scopes, operators) speaks of ast's nodes and
lines; LibCST would keep the layout too, but in a second tree with nodes of its own.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]


@dataclass(frozen=True)
class Token:
    """An operator or name, with its span."""

    text: str
    start: int
    end: int


@dataclass
class Source:
    """A program. Raises SyntaxError where it is none.

    starts: offset of each line's first character
    """

    text: str
    tree: ast.Module = field(init=False)
    lines: list[str] = field(init=False)
    starts: list[int] = field(init=False)
    tokens: list[Token] = field(init=False)

    def __post_init__(self) -> None:
        if "\r" in self.text:  # a line end to Python, and none to us
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
        """Of a node's position: the column counts UTF-8 bytes."""
        text = self.lines[line - 1]
        if not text.isascii():
            column = len(text.encode()[:column].decode())
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> Span:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The node's own text."""
        start, end = self.span(node)
        return self.text[start:end]

    def atom(self, node: ast.expr) -> str:
        """The node's text, in parentheses where it could not stand beside an operator."""
        text = self.of(node)
        simple = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List,
                  ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp)  # fmt: skip
        return text if isinstance(node, simple) else f"({text})"

    def outer(self, node: ast.expr, within: ast.expr) -> Span:
        """The span of a part of `within` with the parentheses around it."""
        first, last = self.span(within)
        start, end = self.span(node)
        while True:
            before = self.text[first:start].rstrip()
            after = self.text[end:last].lstrip()
            if not (before.endswith("(") and after.startswith(")")):
                return start, end
            start = first + len(before) - 1
            end = last - len(after) + 1

    def between(self, left: ast.AST, right: ast.AST) -> list[Token]:
        """The tokens after `left` and before `right`, parentheses left out."""
        start, end = self.span(left)[1], self.span(right)[0]  # type: ignore[arg-type]
        return [t for t in self.tokens if start <= t.start and t.end <= end and t.text not in "()"]

    def replace(self, *edits: tuple[Span, str]) -> str:
        """The text with spans replaced; they must not overlap."""
        text = self.text
        for (start, end), new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    # ---- whole lines

    def owns_lines(self, node: ast.stmt) -> bool:
        """Whether nothing else but a comment stands on the statement's lines."""
        start, end = self.span(node)
        before = self.text[self.starts[node.lineno - 1] : start]
        after = self.text[end : self.starts[node.end_lineno or 0] - 1]
        return not before.strip() and (not after.strip() or after.lstrip().startswith("#"))

    def lines_of(self, node: ast.stmt) -> Span:
        """The span of the statement's lines, line end included."""
        end = min(self.starts[node.end_lineno or 0], len(self.text))
        return self.starts[node.lineno - 1], end

    def indent_of(self, node: ast.stmt) -> str:
        line = self.lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """The functions and methods of a program, outermost ones only."""
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
    return [statement for statement in body if not _is_text(statement)]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def bodies(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    """(owner, statements but texts) of each block of a function, the function's own first."""
    for node in [function, *parts(function)]:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list) or not block or not isinstance(block[0], ast.stmt):
                continue
            if statements := statements_of(block):
                yield node, statements
