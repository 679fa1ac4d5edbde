"""Normalizes programs, so that renamed or reformatted copies get the same fingerprint.

Standard library only.
"""

import ast
import copy
import hashlib

from data_pipeline.source.scopes import Scope, all_arguments, find_uses
from data_pipeline.source.tree_text import tree_text

FINGERPRINT = "tree-3.11/1"
"""Name and version of `function_fingerprint`; raise the version when any value changes.

Datasets record which one split their functions. Values are the same on every Python version.
"""
_Binding = tuple[Scope, str]
_NAME_FIELDS = ("name", "asname", "arg", "id", "rest")


def explain_mismatch(stated: object, where: object) -> str | None:
    """Explains in one line why data at `where`, split by fingerprint `stated`, cannot be used.

    Returns None if it can. Data without a fingerprint passes: it is older, or was not split by
    functions.
    """
    if stated in (None, FINGERPRINT):
        return None
    return (
        f"{where}: its functions were split by fingerprint {stated!r}, and this version uses "
        f"{FINGERPRINT!r}: held-out functions may be trained on; build the data again"
    )


def function_fingerprint(code: str) -> str:
    """Hashes a program, ignoring layout, comments, docstrings, annotations and its own names.

    Two programs of one function with equal fingerprints do the same thing on the same positional
    arguments. The held-out split and the ids of seeds depend on it.
    Raises SyntaxError, or ValueError for text that Python cannot read.
    """
    return tree_digest(normalize_program(code))


def tree_digest(tree: ast.AST) -> str:
    """Returns the SHA-256 of a tree, which is the same on every Python version."""
    return hashlib.sha256(tree_text(tree).encode()).hexdigest()


def normalize_loosely(code: str) -> ast.Module:
    """Normalizes a program as `normalize_program`, and sorts the items of literal displays."""
    tree = normalize_program(code)
    for node in ast.walk(tree):
        _sort_literals(node)
    return tree


def normalize_program(code: str) -> ast.Module:
    """Parses a program, drops docstrings and annotations, and renames what the program binds.

    Variables become v0, v1, ... in breadth-first order, functions f, f1, f2, ..., classes C, C1,
    ... Names bound elsewhere, attributes and keywords stay as they are.
    """
    return _normalize(ast.parse(code))


def definition_fingerprints(code: str) -> dict[str, str]:
    """Returns digest -> name of every function and class in a program, nested ones included.

    Each is normalized alone, as `normalize_program` does.
    Raises SyntaxError, or ValueError for text that Python cannot read.
    """
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    definitions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]
    return {
        tree_digest(_normalize(ast.Module([copy.deepcopy(node)], []))): node.name
        for node in definitions
    }


def _normalize(tree: ast.Module) -> ast.Module:
    drop_documentation(tree)
    places: dict[ast.AST, dict[str, _Binding]] = {}
    for use in find_uses(tree):
        if use.scope is not None:
            places.setdefault(use.node, {})[use.attribute] = (use.scope, use.name)
    kinds: dict[_Binding, str] = {}
    for node, names in places.items():
        kind = _kind_of_names(node)
        if kind != "v":
            kinds |= dict.fromkeys(names.values(), kind)
    texts: dict[_Binding, str] = {}
    counts = {"f": 0, "C": 0, "v": 0}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = []  # renaming gives shared names one text, which makes these redundant
        bindings = places.get(node)
        for attribute in _NAME_FIELDS if bindings else ():
            binding = bindings.get(attribute)
            if binding is None:
                continue
            kind = kinds.get(binding, "v")
            if kind == "import":
                continue
            text = texts.get(binding)
            if text is None:
                number = counts[kind]
                counts[kind] += 1
                text = texts[binding] = kind if kind != "v" and not number else f"{kind}{number}"
            setattr(node, attribute, text)
    return tree


def _kind_of_names(node: ast.AST) -> str:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "f"
    if isinstance(node, ast.ClassDef):
        return "C"
    return "import" if isinstance(node, ast.alias) else "v"


def drop_documentation(tree: ast.AST) -> None:
    """Removes docstrings and annotations from a tree, in place."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if body is None:
            continue
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            # Removes every string statement: a copy may have moved the docstring down.
            body[:] = [statement for statement in body if not is_docstring(statement)]
            if not body and not isinstance(node, ast.Module):
                body.append(ast.Pass())
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
            for argument in all_arguments(node.args):
                argument.annotation = None
        if isinstance(body, list) and not isinstance(node, ast.ClassDef):
            # In a class an annotation may define a field.
            for name in ("body", "orelse", "finalbody"):
                statements = getattr(node, name, None)
                if isinstance(statements, list):
                    statements[:] = [_without_annotation(one) for one in statements]


def is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _without_annotation(statement: ast.stmt) -> ast.stmt:
    if not isinstance(statement, ast.AnnAssign):
        return statement
    if statement.value is None:
        return ast.copy_location(ast.Pass(), statement)
    return ast.copy_location(ast.Assign([statement.target], statement.value), statement)


def _sort_literals(node: ast.AST) -> None:
    """Sorts the items of a display by their texts, if all of them are literals."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        if isinstance(getattr(node, "ctx", None), ast.Store):
            return
        if all(_is_literal(item) for item in node.elts):
            node.elts.sort(key=tree_text)
    elif isinstance(node, ast.Dict) and None not in node.keys:
        pairs = list(zip(node.keys, node.values, strict=True))
        if all(_is_literal(key) for key, _ in pairs):
            pairs.sort(key=lambda pair: tree_text(pair[0]))
            node.keys = [key for key, _ in pairs]
            node.values = [value for _, value in pairs]


def _is_literal(node: ast.AST | None) -> bool:
    try:
        ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
