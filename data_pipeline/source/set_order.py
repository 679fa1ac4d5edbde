"""Tells whether a run may depend on the order of a set, and so on the interpreter's hash seed."""

import ast

SET_TWINS = 9
"""Number of further hash seeds under which such a run is repeated.

Two strings of a set keep their order under every second hash seed.
"""

_ALGEBRA = ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub


def may_depend_on_set_order(code: str) -> bool:
    """Returns whether a program or a call may build a set.

    It may do so by a display, by name, or from views of dictionaries (`a.keys() & b.keys()`, also
    through a variable). Iterating over a view is safe: it has the dictionary's order.
    """
    views = algebra = False
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Set() | ast.SetComp() | ast.Name(id="set" | "frozenset"):
                return True
            case ast.Attribute(value=ast.Name(id="builtins"), attr="set" | "frozenset"):
                return True
            case ast.Attribute(attr="keys" | "items"):
                views = True
            case ast.BinOp(op=operation) | ast.AugAssign(op=operation):
                algebra = algebra or isinstance(operation, _ALGEBRA)
    return views and algebra
