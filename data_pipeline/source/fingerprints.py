"""Programs brought to a normal form: the same text for copies that were renamed or reformatted.

Standard library only.
"""

import ast
import hashlib

from data_pipeline.source.scopes import Scope, all_arguments, uses
from data_pipeline.source.tree_text import tree_text

FINGERPRINT = "tree-3.11/1"
"""Name and version of `function_fingerprint`: raise it when any value changes. Datasets say which
one split their functions; no Python version changes the values."""


def explain_mismatch(stated: object, where: object) -> str | None:
    """One line why data at `where`, split by the fingerprint `stated`, cannot be used; None if it
    can. Data that states no fingerprint passes: it is older, or was not split by functions."""
    if stated in (None, FINGERPRINT):
        return None
    return (
        f"{where}: its functions were split by fingerprint {stated!r}, and this version uses "
        f"{FINGERPRINT!r}: held-out functions may be trained on; build the data again"
    )


def function_fingerprint(code: str) -> str:
    """Hash of a program that ignores layout, comments, docstrings, annotations and the names of
    its functions and variables.

    Two programs of one function with equal fingerprints do the same thing on the same positional
    arguments: the split into training and held-out programs, and the ids of seeds, are made on it.
    Raises SyntaxError, or ValueError for text that Python cannot read.
    """
    return tree_digest(normalized(code))


def tree_digest(tree: ast.AST) -> str:
    """SHA-256 of a tree, the same on every Python version."""
    return hashlib.sha256(tree_text(tree).encode()).hexdigest()


def loosely_normalized(code: str) -> ast.Module:
    """`normalized`, and the items in displays of literals in an order of their own."""
    tree = normalized(code)
    for node in ast.walk(tree):
        _sort_literals(node)
    return tree


def normalized(code: str) -> ast.Module:
    """The tree of a program without docstrings and annotations, names replaced by v0, v1, ... in
    the order they are met level by level, functions by f, f1, f2, ..., classes by C, C1, ...

    Names that the program does not bind itself, attributes and keywords stay as they are.
    """
    tree = ast.parse(code)
    drop_documentation(tree)
    places = {}
    for use in uses(tree):
        if use.scope is not None:
            places[use.node, use.attribute] = (use.scope, use.name)
    kinds: dict[tuple[Scope, str], str] = {}
    for (node, _), binding in places.items():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            kinds[binding] = "f"
        elif isinstance(node, ast.ClassDef):
            kinds[binding] = "C"
        elif isinstance(node, ast.alias):
            kinds[binding] = "import"
    texts: dict[tuple[Scope, str], str] = {}
    counts = {"f": 0, "C": 0, "v": 0}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = []  # the names that are shared across scopes are equal from now on
        for attribute in ("name", "asname", "arg", "id", "rest"):
            binding = places.get((node, attribute))
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


def drop_documentation(tree: ast.AST) -> None:
    """Takes docstrings and annotations out of a tree, in place."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            # Not the first alone: a docstring that a copy moved down is still none of the program.
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
    """Puts the items of a display in the order of their texts, if all of them are literals."""
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
