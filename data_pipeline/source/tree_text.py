"""Writes a syntax tree as text that is the same on every Python version.

`ast.dump` differs between versions: 3.12 added `type_params`, 3.13 omits empty lists, and `repr`
escapes characters that the version's Unicode database does not know. This module writes the text of
Python 3.11's `ast.dump`: the nodes and fields of 3.11 in its order, newer fields only if they are
not empty, and f-strings without the empty pieces that 3.12 adds.

Standard library only.
"""

import ast
import functools
import re

# Fields of Python 3.11's nodes; `ast.dump` omits a field marked "?" if it is None.
_FIELDS = {
    line.split()[0]: line.split()[1:]
    for line in """
Module body type_ignores
Interactive body
Expression body
FunctionType argtypes returns
FunctionDef name args body decorator_list returns? type_comment?
AsyncFunctionDef name args body decorator_list returns? type_comment?
ClassDef name bases keywords body decorator_list
Return value?
Delete targets
Assign targets value type_comment?
AugAssign target op value
AnnAssign target annotation value? simple
For target iter body orelse type_comment?
AsyncFor target iter body orelse type_comment?
While test body orelse
If test body orelse
With items body type_comment?
AsyncWith items body type_comment?
Match subject cases
Raise exc? cause?
Try body handlers orelse finalbody
TryStar body handlers orelse finalbody
Assert test msg?
Import names
ImportFrom module? names level?
Global names
Nonlocal names
Expr value
BoolOp op values
NamedExpr target value
BinOp left op right
UnaryOp op operand
Lambda args body
IfExp test body orelse
Dict keys values
Set elts
ListComp elt generators
SetComp elt generators
DictComp key value generators
GeneratorExp elt generators
Await value
Yield value?
YieldFrom value
Compare left ops comparators
Call func args keywords
FormattedValue value conversion format_spec?
JoinedStr values
Constant value kind?
Attribute value attr ctx
Subscript value slice ctx
Starred value ctx
Name id ctx
List elts ctx
Tuple elts ctx
Slice lower? upper? step?
comprehension target iter ifs is_async
ExceptHandler type? name? body
arguments posonlyargs args vararg? kwonlyargs kw_defaults kwarg? defaults
arg arg annotation? type_comment?
keyword arg? value
alias name asname?
withitem context_expr optional_vars?
match_case pattern guard? body
MatchValue value
MatchSingleton value
MatchSequence patterns
MatchMapping keys patterns rest?
MatchClass cls patterns kwd_attrs kwd_patterns
MatchStar name?
MatchAs pattern? name?
MatchOr patterns
TypeIgnore lineno tag
""".strip().splitlines()
}

# The characters that Unicode 14 (Python 3.11) assigns and `repr` escapes: controls, formats,
# spaces, surrogates, private use; those that no Unicode will ever assign; and the gap before the
# surrogates, where many regular expressions end. A fixed set: `str.isprintable` changes.
_ESCAPED = re.compile(
    "[\\\\\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e"
    "\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u3000\ud7fc-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U00013438\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f\U000f0000-\U000ffffd\U00100000-\U0010ffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_SHORT = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}

_DIGITS = 500  # below every limit that sys.set_int_max_str_digits accepts
_Piece = str | list | ast.AST  # a str is finished text


def tree_text(tree: ast.AST) -> str:
    """Returns Python 3.11's `ast.dump` of a tree that any Python version parsed.

    Walks deep trees without recursion. Raises TypeError for a constant that source code cannot
    contain.
    """
    written: list[str] = []
    waiting: list[_Piece] = [tree]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            written.append(piece)
        else:
            waiting.extend(reversed(_list(piece) if isinstance(piece, list) else _node(piece)))
    return "".join(written)


def _node(node: ast.AST) -> list[_Piece]:
    pieces: list[_Piece] = [f"{type(node).__name__}("]
    for name, value in _fields(node):
        pieces += [f"{', ' if len(pieces) > 1 else ''}{name}=", _piece(value)]
    return [*pieces, ")"]


def _list(items: list) -> list[_Piece]:
    pieces: list[_Piece] = ["["]
    for number, item in enumerate(items):
        pieces += [", " if number else "", _piece(item)]
    return [*pieces, "]"]


def _piece(value: object) -> _Piece:
    return value if isinstance(value, (ast.AST, list)) else _constant(value)


def _fields(node: ast.AST) -> list[tuple[str, object]]:
    known, newer = _field_names(type(node))
    fields: list[tuple[str, object]] = []
    for name, is_optional in known:
        value = getattr(node, name, None)
        if value is not None or not is_optional:
            fields.append((name, value))
    for name in newer:
        value = getattr(node, name, None)
        if value not in (None, [], 0):
            fields.append((name, value))
    if isinstance(node, ast.JoinedStr):
        return [("values", _join_texts(node.values))]
    return fields


@functools.cache
def _field_names(kind: type[ast.AST]) -> tuple[list[tuple[str, bool]], list[str]]:
    """Returns the fields of 3.11, each with whether None is omitted, and those of newer Pythons."""
    fields = _FIELDS.get(kind.__name__, [])
    known = [(field.rstrip("?"), field.endswith("?")) for field in fields]
    return known, sorted({*kind._fields} - {name for name, _ in known})


def _join_texts(values: list[ast.expr]) -> list[ast.expr]:
    """Joins an f-string's adjacent texts, which versions split differently; drops empty ones."""
    joined: list[ast.expr] = []
    for value in values:
        if not _is_text(value):
            joined.append(value)
        elif not value.value:  # type: ignore[attr-defined]
            continue
        elif joined and _is_text(joined[-1]):
            text = joined[-1].value + value.value  # type: ignore[attr-defined]
            joined[-1] = ast.Constant(text, kind=joined[-1].kind)  # type: ignore[attr-defined]
        else:
            joined.append(value)
    return joined


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


# ---- constants ----------------------------------------------------------------------------------


def _constant(value: object) -> str:
    """Returns a constant as Python 3.11's `repr` writes it."""
    if isinstance(value, str):
        return _string(value)
    if type(value) is int:
        return _integer(value)
    if value is None or value is ... or isinstance(value, (bool, float, complex, bytes)):
        return repr(value)  # the same on all versions: shortest floats, ASCII bytes
    raise TypeError(f"expected a constant of source code, got a {type(value).__name__}")


def _string(text: str) -> str:
    quote = '"' if "'" in text and '"' not in text else "'"
    escaped = _ESCAPED.sub(_escape, text)
    return quote + (escaped.replace("'", r"\'") if quote == "'" else escaped) + quote


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _integer(value: int) -> str:
    """Returns the decimal digits of any integer, including those too long for `str`."""
    block, blocks, rest = 10**_DIGITS, [], abs(value)
    while rest >= block:
        rest, last = divmod(rest, block)
        blocks.append(f"{last:0{_DIGITS}d}")
    return ("-" if value < 0 else "") + "".join([str(rest), *reversed(blocks)])
