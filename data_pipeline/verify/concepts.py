"""Tells which of the field's words an expression of the program explains.

`len(xs) - 1` explains "length", "number", "difference", "minus" and "one"; `s[::-1]` "reversed".
"""

import ast
import functools
from collections.abc import Iterator

from data_pipeline.verify.wordlists import word_set

_CALLS = {
    "len": "length size number count many", "sum": "sum total", "sorted": "sorted sort ascending"
        " order",
    "max": "maximum max largest highest greatest most", "reversed": "reversed reverse backward",
    "min": "minimum min smallest lowest least",
    "set": "set unique distinct duplicates", "range": "range indices times index",
    "enumerate": "index indices enumerate position", "zip": "pairs pair corresponding paired zip",
    "abs": "absolute positive", "ord": "ascii code unicode", "chr": "character", "round": "rounded",
    "str": "string representation", "int": "integer number", "float": "float floating-point",
    "any": "any least", "all": "all every", "list": "list characters", "tuple": "tuple",
    "dict": "dictionary", "isinstance": "type instance", "filter": "filtered", "map": "each mapped",
    "bool": "boolean",
}  # fmt: skip
_METHODS = {
    "keys": "keys key", "values": "values value", "items": "items pairs item pair key-value key"
        " value keys values",
    "copy": "copy shallow", "upper": "uppercase upper upper-case capital", "lower": "lowercase"
        " lower lower-case",
    "strip": "stripped leading trailing whitespace beginning end surrounding both sides ends",
    "lstrip": "stripped leading beginning start left whitespace", "index": "index position first",
    "rstrip": "stripped trailing end right whitespace", "title": "title titlecase capitalized",
    "split": "split words parts substrings", "splitlines": "lines split",
    "join": "joined concatenated",
    "replace": "replaced", "find": "index position first", "rfind": "index position last",
    "rindex": "index position last", "count": "count occurrences number times many",
    "capitalize": "capitalized uppercase first", "swapcase": "swapped case",
    "isalpha": "alphabetic letters letter", "isalnum": "alphanumeric", "isdigit": "digits digit"
        " numeric",
    "isnumeric": "numeric digits digit", "isdecimal": "decimal digits digit numeric",
    "isspace": "whitespace space spaces", "islower": "lowercase lower",
    "isupper": "uppercase upper",
    "istitle": "title titlecase", "isidentifier": "identifier valid", "isascii": "ascii",
    "startswith": "prefix starts beginning start", "endswith": "suffix ends end",
    "removeprefix": "prefix beginning start", "removesuffix": "suffix end",
    "partition": "parts first split three", "rpartition": "parts last split three",
    "rsplit": "split parts right last", "zfill": "zeros leading padded left",
    "ljust": "padded left-justified right width",
    "rjust": "padded right-justified left width", "center": "centered padded both sides width",
    "popitem": "last item pair key-value", "get": "value default", "setdefault": "default",
    "fromkeys": "keys", "casefold": "lowercase case-folded", "union": "union",
    "encode": "encoded bytes",
    "intersection": "intersection common", "difference": "difference", "sort": "sorted ascending"
        " order",
    "reverse": "reversed reverse order", "append": "end last", "extend": "end",
    "expandtabs": "tabs tab spaces",
    "translate": "translation", "maketrans": "translation table mapping", "clear": "all",
}  # fmt: skip
_OPERATORS: dict[type, str] = {
    ast.Add: "sum plus concatenation combined combination added followed",
    ast.Sub: "difference minus subtracted", ast.Mult: "product times repeated multiplied",
    ast.Div: "quotient division divided", ast.FloorDiv: "quotient division divided integer",
    ast.Mod: "remainder modulo modulus divided", ast.Pow: "power raised",
}  # fmt: skip
_CONSTANTS = {
    "": "empty string", " ": "space spaces whitespace single", "\n": "newline newlines lines line",
    "\t": "tab tabs", ",": "comma commas", "-": "hyphen dash hyphens minus", "_": "underscore"
        " underscores",
    ".": "dot period dots periods", ":": "colon", ";": "semicolon", "!": "exclamation mark",
    "?": "question mark", "*": "asterisk asterisks star", "+": "plus", "/": "slash", "|": "pipe",
    "#": "hash", "$": "dollar", ", ": "comma", "@": "at",
}  # fmt: skip
_NUMBERS = {
    0: "zero", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven",
    8: "eight", 9: "nine", 10: "ten",
}  # fmt: skip
_ORDINALS = {0: "first initial", 1: "second", 2: "third", 3: "fourth", -1: "last final end"}

STRICT = frozenset(
    " ".join([*_CALLS.values(), *_METHODS.values(), *_OPERATORS.values(), *_CONSTANTS.values(),
              *_NUMBERS.values(), *_ORDINALS.values(), "half middle square squared twice double"
                  " vowels"
              " negative descending decreasing increasing every odd even whole consonants rest"
              " remaining vowel"
              " greater less smaller larger equal negated cube twice triple prefix suffix before"
              " after"
              " front beginning start end sides"]).split()
) - word_set(
    """
    key-value number string list integer tuple dictionary set characters character item value
    key pair order each all index any position case type valid single combined at
    """
)  # fmt: skip


def tags_of(node: ast.AST) -> frozenset[str]:
    """Returns the words that the expression or statement explains by itself."""
    found = getattr(node, "_tags", None)
    if found is None:
        found = frozenset(word for part in ast.walk(node) for word in _tags_at(part))
        node._tags = found  # type: ignore[attr-defined]
    return found


def own_tags(node: ast.AST) -> frozenset[str]:
    """Returns the words that the node explains without its parts."""
    return frozenset(_tags_at(node))


def _tags_at(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args):
            yield from _CALLS.get(name, "").split()
            if name in ("list", "dict", "set", "str", "tuple") and not args:
                yield "empty"
            if name in ("list", "dict", "set") and args and isinstance(args[0], ast.Name):
                yield "copy"
            if any(_is_true(k.value) for k in node.keywords if k.arg == "reverse"):
                yield from ("descending", "decreasing", "reverse")
        case ast.Call(func=ast.Attribute(attr=method), args=args):
            yield from _METHODS.get(method, "").split()
            yield method
            if method == "pop" and (not args or ast.unparse(args[0]) == "-1"):
                yield "last"
            elif method in ("pop", "insert") and args and ast.unparse(args[0]) == "0":
                yield from ("first", "beginning", "start", "front")
            if any(_is_true(k.value) for k in node.keywords if k.arg == "reverse"):
                yield from ("descending", "decreasing", "reverse")
            if method in ("split", "rsplit", "strip", "rstrip", "lstrip") and not args:
                yield from ("whitespace", "spaces", "space")
            if method in ("ljust", "rjust", "center") and len(args) == 1:
                yield from ("spaces", "space")
        case ast.Subscript(slice=ast.Slice() as part):
            yield from _slice_tags(part)
        case ast.Subscript(slice=index):
            yield from _index_tags(index)
        case ast.BinOp(op=op, right=right):
            yield from _OPERATORS.get(type(op), "").split()
            yield from _operation_tags(op, right)
        case ast.Dict(keys=keys) if None in keys:
            yield from ("merged", "merging", "unpacking", "combined", "**")
        case ast.AugAssign(op=op, value=right):
            yield from _OPERATORS.get(type(op), "").split()
            yield from _operation_tags(op, right)
            if ast.unparse(right) == "-1":
                yield from ("positive", "negative", "opposite", "sign", "equivalent")
        case ast.UnaryOp(op=ast.USub()):
            yield from ("negative", "negated")
        case ast.Constant(value=value):
            yield from _constant_tags(value)
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            yield "empty"
        case ast.comprehension(ifs=tests):
            yield from ("each", "comprehension", "all")
            if tests:
                yield from ("only", "filtered")
        case ast.ListComp() | ast.DictComp() | ast.SetComp():
            yield from ("list", "new")
        case ast.Lt() | ast.LtE():
            yield from ("less", "smaller")
        case ast.Gt() | ast.GtE():
            yield from ("greater", "larger")
        case ast.Eq():
            yield "equal"


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _slice_tags(part: ast.Slice) -> Iterator[str]:
    lower, upper, step = (
        None if edge is None else ast.unparse(edge) for edge in (part.lower, part.upper, part.step)
    )
    yield from ("slice", "part", "portion", "substring", "sublist", "slicing", "segment")
    if step == "-1":
        yield from ("reversed", "reverse", "backward")
        return
    if step == "2" and upper is None:
        yield from ("every", "other")
    if lower is None and upper is None and step is None:
        yield "copy"
    elif lower in (None, "0"):
        yield from ("first", "beginning", "start", "up", "before", "prefix")
        if upper == "-1":
            yield from ("except", "last")
    elif upper is None:
        yield from ("end", "rest", "remaining", "after", "remainder", "from")
        if lower and lower.startswith("-"):
            yield "last"
        if lower == "1":
            yield from ("second", "first", "except")


def _index_tags(index: ast.expr) -> Iterator[str]:
    match index:
        case ast.Constant(value=int(value)):
            yield from _ORDINALS.get(value, "").split()
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
            yield from ("last", "final")
        case ast.BinOp(op=ast.Sub(), right=ast.Constant(value=1)):
            yield "previous"
        case ast.BinOp(op=ast.Add(), right=ast.Constant(value=1)):
            yield "next"
    yield from ("index", "position", "element")


def _operation_tags(op: ast.operator, right: ast.expr) -> Iterator[str]:
    if not isinstance(right, ast.Constant) or not isinstance(right.value, int):
        return
    if right.value == 2:
        if isinstance(op, ast.Mult):
            yield from ("twice", "double", "doubled")
        if isinstance(op, ast.Div | ast.FloorDiv):
            yield from ("half", "middle")
        if isinstance(op, ast.Pow):
            yield from ("square", "squared")
        if isinstance(op, ast.Mod):
            yield from ("even", "odd")
    if right.value == 3 and isinstance(op, ast.Mult):
        yield "triple"
    if right.value == 3 and isinstance(op, ast.Pow):
        yield "cube"


@functools.lru_cache(maxsize=2048)
def _constant_words(text: str) -> tuple[str, ...]:
    words = _CONSTANTS.get(text, "").split()
    if text and not text.strip(" "):
        words += ["space", "spaces", "whitespace", _NUMBERS.get(len(text), "")]
    if set("aeiou") <= set(text.lower()) and len(text) in (5, 10):
        words += ["vowel", "vowels"]
    if text and set("0123456789") == set(text):
        words += ["digits", "digit"]
    return tuple(word for word in words if word)


def _constant_tags(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from _constant_words(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value in _NUMBERS:
        yield _NUMBERS[value]
