"""Extracts calls with literal arguments, and their results, from docstrings and test files."""

import ast
import doctest
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from data_pipeline.seeds.call_text import literal_call, literal_text
from data_pipeline.seeds.screening import ScreeningError, check_builtin
from data_pipeline.seeds.wrappers import Wrapper, positional_names
from data_pipeline.source.calls import CallError, parse_call, parse_value
from data_pipeline.source.constructed import constructed_names
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.source.scopes import find_needed_names, find_uses

_MAX_EXPECTED = 400
_LISTINGS = ("list", "sorted", "tuple", "set", "len", "sum", "next", "dict")


@dataclass(frozen=True)
class CallExample:
    """Holds a call with literal arguments and the text of its literal result (None: unknown)."""

    call: str
    expected: str | None = None


_STANDARD_CLASSES = {
    "Decimal": "from decimal import Decimal",
    "Fraction": "from fractions import Fraction",
    **dict.fromkeys(("date", "timedelta", "time", "timezone"), "from datetime import {}"),
    "datetime": "import datetime",
    "decimal": "import decimal",
    "fractions": "import fractions",
}


def with_imports(code: str, examples: Sequence[CallExample]) -> tuple[str, Sequence[CallExample]]:
    """Returns the program with the standard classes that its examples construct values of.

    Leaves out examples with a class that the program does not have.
    """
    bound = {use.name for use in find_uses(ast.parse(code)) if use.binds and use.scope}
    kept = []
    lines: dict[str, None] = {}
    for example in examples:
        needs = {name.split(".")[0] for name in _class_names(example)} - bound
        if needs <= _STANDARD_CLASSES.keys():
            kept.append(example)
            lines |= {_STANDARD_CLASSES[name].format(name): None for name in sorted(needs)}
    return _with_lines(code, list(lines)), kept


def _class_names(example: CallExample) -> set[str]:
    call = parse_call(example.call)
    values: list[object] = [*call.args, *call.kwargs.values()]
    if example.expected:
        values.append(parse_value(example.expected))
    return set(constructed_names(values))


def _with_lines(code: str, lines: Sequence[str]) -> str:
    """Returns the program with imports added at its beginning."""
    if not lines:
        return code
    first, _, rest = code.partition("\n")
    if first.startswith("from __future__"):
        return "\n".join([first, *lines, rest])
    gap = [] if first.startswith(("import ", "from ")) else [""]
    return "\n".join([*lines, *gap, code])


# ---- docstrings ---------------------------------------------------------------------------------

_HEADING = re.compile(
    r"^\s*(?:Examples?|Parameters|Arguments|Args|Returns?|Raises|Notes?|References|See Also|Usage)"
    r"\s*(?::|=+|-+|\n)*\s*$",
    re.IGNORECASE,
)
_ROLE = re.compile(r":\w+(?::\w+)?:`~?\.?([^`<]+?)(?:\s*<[^>]*>)?`")
_POINT = re.compile(r"(?:[*+-]|\d{1,2}[.)])\s+\S")
_SHOWN_CALL = re.compile(r"[\w.]+\(.*\)\s*(?:->|=>|==)")  # f(3) -> 4
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
        told = _flow(lines)
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


def _flow(lines: Sequence[str]) -> str:
    """Joins the lines of a paragraph; the points of a list stay on lines of their own."""
    told = ""
    for line in map(str.strip, lines):
        told += ("\n" if _POINT.match(line) else " ") + line
    return told.strip()


def _ends_words(line: str) -> bool:
    stripped = line.strip()
    return (
        bool(_SHOWN_CALL.match(stripped))
        or stripped.startswith(
            (">>>", "# ", "#>", "```", ":param", ":return", ":rtype", ":raise", ".. ", "@param")
        )
        or bool(_HEADING.match(line))
        or (len(stripped) > 2 and set(stripped) <= {"=", "-", "~"})
    )


@dataclass(frozen=True)
class Target:
    """Names what examples call, and the function of the program that stands for it.

    name:    function or method
    entry:   the program's entry
    wrapper: if the entry is one
    owner:   class of the method, None for a function
    """

    name: str
    entry: str
    wrapper: Wrapper | None = None
    owner: str | None = None

    @property
    def shows(self) -> str:
        return self.wrapper.shows if self.wrapper else "value"


def docstring_examples(docstring: str | None, target: Target) -> Sequence[CallExample]:
    """Returns the calls of the target in a docstring's examples, rewritten as calls of its entry.

    A value counts as expected only if the example states all of it: not under SKIP, with "..." in
    it, or with spaces in a text that NORMALIZE_WHITESPACE may have changed.
    """
    found: list[CallExample] = []
    known: dict[str, ast.expr] = {}
    used: set[str] = set()  # names whose object an earlier line may have changed
    for statement, want in _doctest_statements(docstring):
        match statement:
            case ast.ImportFrom(names=names):
                known |= {one.asname: ast.Name(one.name) for one in names if one.asname}
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known[name] = _substitute_names(value, known)
                found += _examples_in(value, target, known, None)
                used |= _names_in(value)
                used.discard(name)
            case ast.Expr(value=value):
                is_stale = target.owner is not None and bool(_names_in(value) & used & known.keys())
                found += _examples_in(value, target, known, None if is_stale else want)
                used |= _names_in(value)
    return tuple(dict.fromkeys(found))


def _doctest_statements(docstring: str | None) -> Iterator[tuple[ast.stmt, str | None]]:
    """Yields the statements of a docstring's examples, with the whole value stated for each."""
    if not docstring or ">>>" not in docstring:
        return
    try:
        parts = doctest.DocTestParser().get_examples(docstring)
    except ValueError:  # not a valid doctest
        return
    for part in parts:
        try:
            tree = ast.parse(part.source)
        except (SyntaxError, ValueError):
            continue
        is_skipped = part.options.get(doctest.SKIP, False)
        want = _stated_value(part) if len(tree.body) == 1 and not is_skipped else None
        for statement in tree.body:
            if not (is_skipped and isinstance(statement, ast.Assign)):
                yield statement, want


def _stated_value(part: doctest.Example) -> str | None:
    """Returns the text that an example's value must have, None if the text may be another."""
    want = part.want.strip()
    if "..." in want:  # stands for any text; the option may also be set for the whole file
        return None
    if part.options.get(doctest.NORMALIZE_WHITESPACE) and re.search(
        r"""(['"])(?:(?!\1).)*\s(?:(?!\1).)*\1""", want, re.DOTALL
    ):
        return None
    return want


def _names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _examples_in(
    expression: ast.expr, target: Target, known: Mapping[str, ast.expr], want: str | None
) -> Iterator[CallExample]:
    """Yields the calls in one expression; `want` is the value of the whole expression."""
    expression = _substitute_names(expression, known)
    whole = expression
    if target.shows == "list":
        match expression:
            case ast.Call(func=ast.Name(id="list"), args=[inner], keywords=[]):
                whole = inner
            case _:
                want = None
    for node in ast.walk(expression):
        source = call_source(node, target)
        text = source and literal_call(target.entry, source)
        if not text:
            continue
        is_whole = node is whole and target.shows != "state"
        expected = _expected_literal(want) if is_whole and _same_arguments(source, text) else None
        yield CallExample(text, expected)


def call_source(node: ast.AST, target: Target) -> str | None:
    """Returns the call of the entry that stands for a call of the target, None for other nodes."""
    wrapper = target.wrapper
    if target.owner is None:
        if not isinstance(node, ast.Call) or _callee_name(node) != target.name:
            return None
        if wrapper is None or not wrapper.fixed:
            return ast.unparse(
                ast.Call(ast.Name(target.name, ast.Load()), node.args, node.keywords)
            )
        given = _bind(wrapper, "call", node)
        for name, text in wrapper.fixed.items():
            if given is None or ast.unparse(given.pop(("call", name), ast.Constant(None))) != text:
                return None
        return given and _wrapper_call(wrapper, given)
    assert wrapper is not None
    if isinstance(node, ast.Call) is wrapper.of_property:
        return None
    attribute = node.func if isinstance(node, ast.Call) else node
    if not (isinstance(attribute, ast.Attribute) and attribute.attr == target.name):
        return None
    call = node if isinstance(node, ast.Call) else ast.Call(attribute, [], [])
    called = _bind(wrapper, "call", call)
    made: Mapping[tuple[str, str], ast.expr] | None = {}
    if isinstance(attribute.value, ast.Call) and _callee_name(attribute.value) == target.owner:
        made = _bind(wrapper, "init", attribute.value)
    elif not _is_owner(attribute.value, target.owner) or wrapper.signatures["init"]:
        return None
    return None if made is None or called is None else _wrapper_call(wrapper, {**made, **called})


def _is_owner(node: ast.expr, owner: str) -> bool:
    return (
        isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) == owner
    )


def _bind(wrapper: Wrapper, part: str, call: ast.Call) -> dict[tuple[str, str], ast.expr] | None:
    """Returns the arguments of a call by parameter; None if the wrapper cannot pass one."""
    names = list(wrapper.signatures[part])
    rest = names.pop()[1:] if names and names[-1].startswith("*") else None
    if any(isinstance(value, ast.Starred) for value in call.args):
        return None
    given = {(part, name): value for name, value in zip(names, call.args, strict=False)}
    if len(call.args) > len(names):
        if rest is None:
            return None
        given[part, rest] = ast.Tuple([*call.args[len(names) :]], ast.Load())
    for keyword in call.keywords:
        if keyword.arg is None:
            return None
        given[part, keyword.arg] = keyword.value
    passed = {*wrapper.parameters, *((part, name) for name in wrapper.fixed)}
    return given if given.keys() <= passed else None


def _wrapper_call(wrapper: Wrapper, given: Mapping[tuple[str, str], ast.expr]) -> str:
    """Writes a call of the wrapper: by position as far as no parameter is left out."""
    args: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    in_order = True
    for place, name in wrapper.parameters.items():
        in_order = in_order and place in given
        if in_order:
            args.append(given[place])
        elif place in given:
            keywords.append(ast.keyword(name, given[place]))
    return ast.unparse(ast.Call(ast.Name(wrapper.name, ast.Load()), args, keywords))


def passed_functions(
    docstring: str | None, function: ast.FunctionDef, taken: Set[str]
) -> Mapping[str, str] | None:
    """Returns the functions that an example passes for the parameters `taken`, as expressions."""
    names = positional_names(function.args)
    known: dict[str, ast.expr] = {}
    for statement, _ in _doctest_statements(docstring):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known[name] = _substitute_names(value, known)
            case ast.Expr(value=value):
                for node in ast.walk(_substitute_names(value, known)):
                    if isinstance(node, ast.Call) and _callee_name(node) == function.name:
                        given = dict(zip(names, node.args, strict=False))
                        given |= {one.arg: one.value for one in node.keywords if one.arg}
                        if all(_is_plain_function(given.get(name)) for name in taken):
                            return {name: ast.unparse(given[name]) for name in sorted(taken)}
    return None


def _is_plain_function(node: ast.expr | None) -> bool:
    """Returns whether an expression is a lambda of builtins, a builtin or a method of one."""
    match node:
        case ast.Lambda():
            needs, _ = find_needed_names([ast.Expr(node)])
            return all(map(_is_harmless, needs))
        case ast.Name(id=name):
            return _is_harmless(name)
        case ast.Attribute(value=ast.Name(id="str" | "int" | "list" | "dict" | "set" | "tuple")):
            return True
    return False


def _is_harmless(name: str) -> bool:
    try:
        check_builtin(name)
    except ScreeningError:
        return False
    return True


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
        return literal_text(parse_value(want))
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
    noted: Sequence[tuple[str, str | None]], target: Target
) -> Sequence[CallExample]:
    """Converts the calls of a function found by `test_examples` into examples of its entry."""
    found = []
    for source, want in noted:
        source = call_source(ast.parse(source, mode="eval").body, target)
        text = source and literal_call(target.entry, source)
        if not text:
            continue
        expected = None
        if want is not None and target.shows != "state" and _same_arguments(source, text):
            listed = want.startswith("list:")
            if listed == (target.shows == "list"):
                expected = _expected_literal(want.removeprefix("list:"))
        found.append(CallExample(text, expected))
    return tuple(dict.fromkeys(found))
