"""Whether a run may hang on the order of a set, which depends on the interpreter's hash seed."""

import ast

SET_TWINS = 9
"""More hash seeds under which such a run is repeated: two strings of a set stand in the same order
under every second one."""

_ALGEBRA = ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub


def may_depend_on_set_order(code: str) -> bool:
    """Whether a program or a call may build a set: by a display, by name, or out of views of
    dictionaries (`a.keys() & b.keys()`, also where the view has a name of its own).

    A view that is only gone through has the dictionary's order, which no seed changes.
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
