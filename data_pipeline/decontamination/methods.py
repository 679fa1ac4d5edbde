"""Reads methods of classes as the functions that they would be, so that both can be compared."""

import ast
import copy
from collections.abc import Iterator

_CLASS = "classmethod"
_STATIC = "staticmethod"


def methods(tree: ast.Module) -> Iterator[tuple[ast.ClassDef, ast.FunctionDef]]:
    """Yields the methods of the classes at module level, in order."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, ast.FunctionDef):
                    yield node, one


def as_function(method: ast.FunctionDef) -> ast.FunctionDef:
    """Returns a method without `self`, with `name` for `self.name`."""
    function = copy.deepcopy(method)
    decorators = {ast.unparse(one) for one in method.decorator_list}
    function.decorator_list = []
    arguments = function.args
    places = arguments.posonlyargs or arguments.args
    if _STATIC not in decorators and places:
        function = _WithoutOwner(places.pop(0).arg).visit(function)
    return ast.fix_missing_locations(function)


class _WithoutOwner(ast.NodeTransformer):
    def __init__(self, owner: str):
        self.owner = owner

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == self.owner:
            return ast.Name(node.attr, node.ctx)
        return node


def call_of(owner: ast.ClassDef, method: ast.FunctionDef) -> str | None:
    """Returns what to call for a method, "C.m" or "C().m"; None if `C()` needs arguments."""
    decorators = {ast.unparse(one) for one in method.decorator_list}
    if decorators & {_STATIC, _CLASS}:
        return f"{owner.name}.{method.name}"
    if decorators or not _is_made_of_nothing(owner):
        return None
    return f"{owner.name}().{method.name}"


def _is_made_of_nothing(owner: ast.ClassDef) -> bool:
    """Returns whether a class without bases or decorators is constructed without arguments."""
    if owner.decorator_list or any(ast.unparse(base) != "object" for base in owner.bases):
        return False
    functions = [one for one in owner.body if isinstance(one, ast.FunctionDef)]
    made = [one for one in functions if one.name in ("__init__", "__new__")]
    return all(
        len(one.args.posonlyargs + one.args.args) - len(one.args.defaults) <= 1
        and None not in one.args.kw_defaults
        for one in made
    ) and not any(isinstance(one, ast.AnnAssign) for one in owner.body)
