"""Holds "an empty list" and "the original `x`" to the very value that a `return` gives back.

Also tells which returns of a branch a further way out may forestall, and holds "`a` followed by
`b`" to the order of the code.
"""

import ast
from collections.abc import Iterable

from data_pipeline.verify.branches import Region
from data_pipeline.verify.lexicon import Phrase
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.wordlists import word_set

_TYPES = {
    "list": "list", "array": "list", "dictionary": "dict", "tuple": "tuple", "string": "str",
}  # fmt: skip
_INNER = word_set("of in from with for by that which between to")
BARE_WORDS = word_set(
    "the a an original string list dictionary value number array text simply just variable as it is"
    " unchanged tuple"
)
ORDERED = word_set("followed concatenation concatenated")
_EMPTY_CALLS = word_set("list dict set str tuple")


def promises_another(code: Code, phrase: Phrase, value: ast.AST) -> bool:
    """Tells whether a phrase claims of a returned value what the code does not show of it."""
    words = _leading_words(phrase)
    if "empty" in words and not is_empty(value) and not isinstance(value, ast.Call):
        return not (isinstance(value, ast.Name) and value.id not in code.definitions)
    if not _may_hold(phrase, value):
        return True
    if "new" in words and isinstance(value, ast.Name) and value.id in code.parameters:
        return True
    if "original" in words and phrase.atoms and ast.unparse(value) not in phrase.atoms:
        return True
    real = code.type_of(value)
    told = {_TYPES[word] for word in words if word in _TYPES}
    return "new" in words and bool(told) and real not in (None, "?", *told)


def _may_hold(phrase: Phrase, value: ast.AST) -> bool:
    """Tells whether code or "the entire string" may be all that is returned.

    `a` alone is not what `b.join(a)` gives; "the modified `a`" may be.
    """
    if {"entire", "whole"} & set(phrase.words) and not phrase.atoms:
        return isinstance(value, ast.Name) or (
            isinstance(value, ast.Call) and all(isinstance(arg, ast.Name) for arg in value.args)
        )
    bare = not set(phrase.words) - BARE_WORDS
    if not bare or len(phrase.atoms) != 1 or not phrase.atoms[0].isidentifier():
        return True
    compound = isinstance(value, ast.Call | ast.BinOp | ast.ListComp | ast.Subscript)
    return not compound or ast.unparse(value) == phrase.atoms[0]


def is_empty(node: ast.AST) -> bool:
    """Tells whether an expression is an empty literal, or a call that makes one."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]) | ast.Constant(value=""):
            return True
        case ast.Call(func=ast.Name(id=name), args=[]):
            return name in _EMPTY_CALLS
    return False


def in_order(atoms: Iterable[str], node: ast.AST) -> bool:
    """Tells whether the pieces of code in an expression stand in the order of the atoms."""
    parts = [part for part in ast.walk(node) if isinstance(part, ast.expr)]
    places = []
    for atom in atoms:
        found = [part for part in parts if _is_atom(atom, part)]
        if found:
            places.append(min((part.lineno, part.col_offset) for part in found))
    return places == sorted(places)


def _is_atom(atom: str, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return atom == node.value or atom.replace('"', "'") == repr(node.value)
    return atom.replace(" ", "") == ast.unparse(node).replace(" ", "")


def without_forestalled(region: Region) -> Region:
    """Returns a region without the returns before which another test may leave the function."""
    forks = [
        node for node in region
        if isinstance(node, ast.If) and any(isinstance(n, ast.Return) for n in ast.walk(node))
    ]  # fmt: skip
    late = (
        node for node in region if isinstance(node, ast.Return)
        and any(fork.end_lineno < node.lineno for fork in forks if fork.end_lineno)
    )  # fmt: skip
    return region - {part for node in late for part in ast.walk(node)}


def _leading_words(phrase: Phrase) -> list[str]:
    """Returns the words before the first preposition."""
    words = [token.lower for token in phrase.tokens]
    end = next((at for at, word in enumerate(words) if word in _INNER), len(words))
    return words[:end]
