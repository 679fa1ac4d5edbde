"""Extracts calls with literal arguments, and their results, from docstrings and test files."""

import ast
import doctest
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_pipeline.source.calls import Call, CallError, parse_call
from data_pipeline.source.literals import LiteralError, parse_literal, same_value

MAX_CALL = 200  # characters
_MAX_EXPECTED = 400
_LISTINGS = ("list", "sorted", "tuple", "set", "len", "sum", "next", "dict")


@dataclass(frozen=True)
class CallExample:
    """Holds a call with literal arguments and the text of its literal result (None: unknown)."""

    call: str
    expected: str | None = None


def literal_call(name: str, text: str) -> str | None:
    """Rewrites a call so that every argument is a literal; returns None if that is impossible.

    Ranges become lists; other constructors of plain values become the values that they construct.
    """
    try:
        call = parse_call(text)
    except CallError:
        return None
    return call_text(name, call)


def call_text(name: str, call: Call) -> str | None:
    """Writes `call` as `name(...)`; returns None if an argument has no literal form."""
    parts = [literal_text(value) for value in call.args]
    texts = {key: literal_text(value) for key, value in call.kwargs.items()}
    if None in parts or None in texts.values() or not all(map(str.isidentifier, texts)):
        return None
    text = f"{name}({', '.join([*parts, *(f'{key}={value}' for key, value in texts.items())])})"
    return text if len(text) <= MAX_CALL else None


def literal_text(value: object) -> str | None:
    """Writes a value as a literal: a range as a list, a set sorted by the texts of its items."""
    kind = type(value)
    if kind is range:
        if len(value) > 60:  # type: ignore[arg-type]
            return None
        return repr(list(value))  # type: ignore[call-overload]
    if kind in (list, tuple):
        parts = [literal_text(item) for item in value]  # type: ignore[attr-defined]
        if None in parts:
            return None
        inner = ", ".join(parts)  # type: ignore[arg-type]
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    if kind is dict:
        pairs = [(literal_text(k), literal_text(v)) for k, v in value.items()]  # type: ignore[attr-defined]
        if any(None in pair for pair in pairs):
            return None
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    if kind is set:
        parts = [literal_text(item) for item in value]  # type: ignore[attr-defined]
        if None in parts:
            return None
        return "{" + ", ".join(sorted(parts)) + "}" if parts else "set()"  # type: ignore[type-var]
    try:
        text = repr(value)
        return text if same_value(parse_literal(text), value) else None
    except (LiteralError, ValueError):  # an integer too long to be written
        return None


# ---- docstrings ---------------------------------------------------------------------------------

_HEADING = re.compile(
    r"^\s*(?:Examples?|Parameters|Arguments|Args|Returns?|Raises|Notes?|References|See Also|Usage)"
    r"\s*(?::|=+|-+|\n)*\s*$",
    re.IGNORECASE,
)
_ROLE = re.compile(r":\w+(?::\w+)?:`~?\.?([^`<]+?)(?:\s*<[^>]*>)?`")
_MAX_WORDS = 150


def extract_description(docstring: str | None) -> str:
    """Returns a docstring's prose up to its first example or section."""
    if not docstring:
        return ""
    paragraphs: list[str] = []
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        lines = paragraph.strip().split("\n")
        cut = next((n for n, line in enumerate(lines) if _ends_words(line)), None)
        if cut is not None:
            lines = lines[:cut]
        told = " ".join(line.strip() for line in lines).strip()
        if told:
            paragraphs.append(told)
        if cut is not None:
            break
    if len(paragraphs) > 1 and paragraphs[-1].endswith(":"):
        del paragraphs[-1]  # it introduces the example
    text = "\n\n".join(paragraphs)
    text = _ROLE.sub(r"`\1`", text).replace("``", "`")
    words = text.split(" ")
    if len(words) > _MAX_WORDS:
        text = paragraphs[0] if len(paragraphs[0].split()) <= _MAX_WORDS else ""
    text = text.removesuffix("::").rstrip()
    return text if re.search(r"\w{2}", text) else ""


def _ends_words(line: str) -> bool:
    stripped = line.strip()
    return (
        stripped.startswith((">>>", ":param", ":return", ":rtype", ":raise", ".. ", "@param"))
        or bool(_HEADING.match(line))
        or (len(stripped) > 2 and set(stripped) <= {"=", "-", "~"})
    )


def docstring_examples(docstring: str | None, name: str, entry: str) -> Sequence[CallExample]:
    """Returns the calls of `name` in a docstring's examples, rewritten as calls of `entry`.

    `entry` differs from `name` if it is the function that lists the items that `name` yields.
    """
    if not docstring or ">>>" not in docstring:
        return ()
    try:
        parts = doctest.DocTestParser().get_examples(docstring)
    except ValueError:  # not a valid doctest
        return ()
    found: list[CallExample] = []
    known: dict[str, ast.expr] = {}
    for part in parts:
        try:
            tree = ast.parse(part.source)
        except (SyntaxError, ValueError):
            continue
        for statement in tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=target)], value=value):
                    known[target] = _substitute_names(value, known)
                    found += _examples_in(value, name, entry, known, None)
                case ast.Expr(value=value):
                    want = part.want.strip() if len(tree.body) == 1 else None
                    found += _examples_in(value, name, entry, known, want)
    return tuple(dict.fromkeys(found))


def _examples_in(
    expression: ast.expr, name: str, entry: str, known: Mapping[str, ast.expr], want: str | None
) -> Iterator[CallExample]:
    """Yields the calls in one expression; `want` is the value of the whole expression."""
    expression = _substitute_names(expression, known)
    whole = expression
    if entry != name:  # `entry` returns the list
        match expression:
            case ast.Call(func=ast.Name(id="list"), args=[inner], keywords=[]):
                whole = inner
            case _:
                want = None
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and _callee_name(node) == name:
            source = ast.unparse(ast.Call(ast.Name(name, ast.Load()), node.args, node.keywords))
            text = literal_call(entry, source)
            if text is None:
                continue
            expected = (
                _expected_literal(want) if node is whole and _same_arguments(source, text) else None
            )
            yield CallExample(text, expected)


def _callee_name(node: ast.Call) -> str | None:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
            return name
    return None


def _same_arguments(source: str, text: str) -> bool:
    """Returns whether the arguments were literals in the source."""
    try:
        one, other = parse_call(source), parse_call(text)
    except CallError:
        return False
    return same_value(
        (list(one.args), dict(one.kwargs)), (list(other.args), dict(other.kwargs))
    ) and not any(type(value) is range for value in (*one.args, *one.kwargs.values()))


def _expected_literal(want: str | None) -> str | None:
    if not want or len(want) > _MAX_EXPECTED:
        return None
    try:
        return literal_text(parse_literal(want))
    except LiteralError:
        return None


class _Fill(ast.NodeTransformer):
    def __init__(self, known: Mapping[str, ast.expr]):
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.known.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _substitute_names(expression: ast.expr, known: Mapping[str, ast.expr]) -> ast.expr:
    """Replaces names in an expression by the expressions assigned to them before."""
    copy = ast.parse(ast.unparse(expression), mode="eval").body
    return _Fill(known).visit(copy) if known else copy


# ---- test files -------------------------------------------------------------------------------


def test_examples(tree: ast.Module) -> Mapping[str, Sequence[tuple[str, str | None]]]:
    """Returns the literal calls in a test file, by function name.

    Each is a pair: the call as written, and the text that it must equal or None. Reads
    `assert f(1) == 2` and `self.assertEqual(f(1), 2)`.
    """
    found: dict[str, list[tuple[str, str | None]]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])):
                _record_calls(found, left, right)
            case ast.Assert(test=ast.Call() as call):
                _record_calls(found, call, None)  # truthy; the value is unknown
            case ast.Assert(
                test=ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant() as right])
            ):
                _record_calls(found, left, right)
            case ast.Call(
                func=ast.Attribute(attr="assertEqual" | "assertListEqual" | "eq"), args=[a, b, *_]
            ):
                _record_calls(found, a, b)
    return found


test_examples.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test


def _record_calls(
    found: dict[str, list[tuple[str, str | None]]], one: ast.expr, other: ast.expr | None
) -> None:
    for call, value in ((one, other), (other, one)):
        for node in ast.walk(call) if call is not None else ():
            if not isinstance(node, ast.Call):
                continue
            name = _callee_name(node)
            if name is None or name in _LISTINGS:
                continue
            source = ast.unparse(ast.Call(ast.Name(name, ast.Load()), node.args, node.keywords))
            listed = (
                isinstance(call, ast.Call) and _callee_name(call) == "list" and node is not call
            )
            whole = node is call or (listed and call.args and node is call.args[0])  # type: ignore[attr-defined]
            want = ast.unparse(value) if whole and value is not None else None
            found.setdefault(name, []).append((source, want and ("list:" if listed else "") + want))


def examples_of_tests(
    noted: Sequence[tuple[str, str | None]], name: str, entry: str
) -> Sequence[CallExample]:
    """Converts the calls of `name` found by `test_examples` into examples of `entry`."""
    found = []
    for source, want in noted:
        text = literal_call(entry, source)
        if text is None:
            continue
        expected = None
        if want is not None and _same_arguments(source, text):
            listed = want.startswith("list:")
            if listed == (entry != name):
                expected = _expected_literal(want.removeprefix("list:"))
        found.append(CallExample(text, expected))
    return tuple(dict.fromkeys(found))
