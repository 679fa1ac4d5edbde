"""Finds names in a description that the program does not bear out, however well the rest fits.

Also what the language denies: `popitem` takes the last item, `range(n, 0, -1)` ends before 0.

"The dictionary `xs`" of a list, "the substring of `head`" where nothing is cut out of `head`,
"the function `g`" where the function is `f`: a sentence with such a name is not confirmed.
"""

import ast
import re

from data_pipeline.verify.phrases import Code, atom_in
from data_pipeline.verify.screening import screened

_TYPES = {
    "list": "list", "lists": "list", "array": "list", "dictionary": "dict", "tuple": "tuple",
    "string": "str", "strings": "str", "substring": "str",
}  # fmt: skip
_NOUN = "|".join(_TYPES)
_TYPED = screened(
    rf"\b(?P<a>{_NOUN})(?: (?:argument|parameter|input))?(?: called| named)? `(?P<x>\w+)`|"
    rf"`(?P<y>\w+)` (?P<b>{_NOUN})\b(?! (?:comprehension|of|ind|element|item|value|character))"
)
_BARE = screened(r"\b(?:dictionary|list|lists)\b(?! comprehension)", re.I)
_SIGNS = {  # type -> code that may make one
    "dict": re.compile(r"\{|dict|Counter|keys|items|json|vars|groupby"),
    "list": re.compile(r"\[|list|split|sort|append|extend|findall|keys|values|items|args|partition"
                       r"|tuple|range|reversed|insert|pop|map|filter|zip"),
}  # fmt: skip
_FUNCTION = screened(r"\bfunction `(\w+)` (?:takes|accepts|receives|expects|processes|performs)")
_PART = screened(
    r"\b(?P<p>beginning|start|end|substring|part|portion|slice|rest|remainder|prefix|suffix)"
    r" of (?:the )?(?:\w+ )?`(?P<x>\w+)`(?P<r>[^.;,]*)",
    re.I,
)
_INPUT = screened(r"\binput (?P<t>list|array|dictionary|tuple|string)\b(?! of)")
_NEW = screened(r"(?<!not )\breturns? an? new \w+")
_JOINED = screened(r"\bjoin\w*\b[^.]*\binto an? (?:\w+ )?(?:list|dictionary|tuple|array)\b")
_DIFFERENCE = screened(
    r"\bdifference between (?:the )?(?:\w+ (?:of )?)?(?:the )?`(?P<a>[^`]+)` and (?:the )?"
    r"(?:\w+ (?:of )?)?(?:the )?`(?P<b>[^`]+)`"
)
_SIDES = (("after", "lower"), ("before", "upper"))


_RANDOM = screened(
    r"\b(?:removes?|removing|pops?|returns?|remove|takes?|deletes?)\b[^.]*\b(?:random|arbitrary)\b"
    r"[^.]*\b(?:item|pair|key|element|entry)\b", re.I
)  # fmt: skip
_DOWN = screened(r"\bfrom `(?P<a>[^`]+)` down to `(?P<b>[^`]+)`")
_BY_ZERO = screened(r"\bdivision by zero\b|\bdivid\w+ by zero\b|ZeroDivisionError")
_EXCLUDED = re.compile(r"exclu|not inclu|but not|until|stop", re.I)


def deny(code: Code, text: str, line: str) -> str | None:
    """Returns the truth that refutes a sentence about the code, None if nothing surely does.

    line: all that was told with it, where "(exclusive)" may stand
    """
    if not any(pattern.search(text) for pattern in (_RANDOM, _BY_ZERO, _DOWN)):
        return None
    nodes = list(ast.walk(code.tree))
    methods = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    if _RANDOM.search(text) and "popitem" in methods and not {"choice", "pop"} & set(methods):
        return "popitem takes the last item"
    if _BY_ZERO.search(text) and not re.search(r"\b(?:no|not|never|n't)\b", text):
        divided = ast.Div | ast.FloorDiv | ast.Mod
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        if "divmod" not in names and not any(isinstance(node, divided) for node in nodes):
            return "nothing is divided"
    found = _DOWN.search(text)
    if found and not _EXCLUDED.search(line):
        for node in nodes:
            match node:
                case ast.Call(func=ast.Name(id="range"), args=[first, end, step]) if ast.unparse(
                    step
                ) == "-1" and [ast.unparse(first), ast.unparse(end)] == [found["a"], found["b"]]:
                    return f"{ast.unparse(node)} ends before {found['b']}"
    return None


def is_misnamed(code: Code, text: str) -> bool:
    """Tells whether a sentence names a type, a part or a function that is not there."""
    return (
        _has_wrong_type(code, text)
        or _has_wrong_input(code, text)
        or _has_wrong_part(code, text)
        or _has_wrong_difference(code, text)
        or _JOINED.search(text) is not None
        or (_NEW.search(text) is not None and _returns_arguments(code))
        or _has_wrong_function(code, text)
    )


def _has_wrong_function(code: Code, text: str) -> bool:
    if code.function is None:
        return False
    strange = set(_FUNCTION.findall(text)) - {code.function.name}
    return bool(strange) and not strange <= _functions(code)


def _has_wrong_input(code: Code, text: str) -> bool:
    """Tells whether "the input dictionary" is told of a function that is given none."""
    given = [code.types.get(name, frozenset(("?",))) for name in code.parameters]
    return any(
        all("?" not in kinds and _TYPES[found["t"]] not in kinds for kinds in given)
        for found in _INPUT.finditer(text) if given and found["t"] != "array"
    )  # fmt: skip


def _returns_arguments(code: Code) -> bool:
    """Tells whether all that is returned are arguments that nothing sets anew."""
    nodes = list(ast.walk(code.tree))
    values = [node.value for node in nodes if isinstance(node, ast.Return)]
    stored = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }  # fmt: skip
    return bool(values) and all(
        isinstance(value, ast.Name) and value.id in code.parameters and value.id not in stored
        for value in values
    )


def _functions(code: Code) -> set[str]:
    return {n.name for n in ast.walk(code.tree) if isinstance(n, ast.FunctionDef)}


def _has_wrong_type(code: Code, text: str) -> bool:
    for found in _TYPED.finditer(text):
        name, noun = found["x"] or found["y"], found["a"] or found["b"]
        known = code.types.get(name, frozenset())
        if known and "?" not in known and _TYPES[noun.lower()] not in known:
            return noun != "array" or "tuple" not in known
    nouns = {_TYPES[noun.lower()] for noun in _BARE.findall(text)}
    if not nouns or re.search(r"\b(?:not|never|n't|without|or|any)\b", text):
        return False
    held = {kind for kinds in (*code.types.values(), *code.returned.values()) for kind in kinds}
    strange = nouns - held if "?" not in held else set()
    return any(not _SIGNS[kind].search(ast.unparse(code.tree)) for kind in strange)


def _has_wrong_part(code: Code, text: str) -> bool:
    """Tells whether a part is told of a name of which the code takes none, or from the other end.

    `xs[2:]` is after an index, `xs[:2]` before it; what methods and sums take is not told apart.
    """
    for found in _PART.finditer(text):
        name = found["x"]
        if name not in code.names:
            continue
        slices = list(_slices(code, name))
        if not slices and not _is_receiver(code, name):
            return True
        if not slices or _is_receiver(code, name, exactly=True):
            continue
        for word, side in _SIDES:
            told = re.search(rf"\b{word}\b", found["r"])
            if told and not any(getattr(one, side) is not None for one in slices):
                return True
    return False


def _has_wrong_difference(code: Code, text: str) -> bool:
    """Tells whether "the difference between `a` and `b`" is told of no `a - b`."""
    for found in _DIFFERENCE.finditer(text):
        pairs = [
            (node.left, node.right) for node in ast.walk(code.tree)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
        ]  # fmt: skip
        told = found["a"], found["b"]
        if pairs and not any(
            all(atom_in(atom, side) for atom, side in zip(told, pair, strict=True))
            for pair in pairs
        ):  # fmt: skip
            return True
    return False


def _slices(code: Code, name: str):
    for node in ast.walk(code.tree):
        match node:
            case ast.Subscript(value=value, slice=ast.Slice() as part) if _has(value, name):
                yield part
            case ast.Subscript(value=value) if _has(value, name):
                yield ast.Slice(ast.Constant(0), ast.Constant(0))


def _is_receiver(code: Code, name: str, *, exactly: bool = False) -> bool:
    """Tells whether a method, a sum or a loop may take parts of what a name holds."""
    kinds = (ast.Attribute,) if exactly else (ast.Attribute, ast.BinOp, ast.AugAssign, ast.For)
    for node in ast.walk(code.tree):
        if isinstance(node, kinds):
            parts = ("value",) if isinstance(node, ast.Attribute) else (
                "left", "right", "target", "iter", "value"
            )  # fmt: skip
            if any(_has(getattr(node, part, None), name) for part in parts):
                return not exactly or getattr(node, "attr", "") not in _WHOLE
    return False


_WHOLE = frozenset(("startswith", "endswith", "append", "count", "lower", "upper", "sort"))


def _has(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
