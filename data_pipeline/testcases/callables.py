"""Shows the classes of a program as functions, so that the kinds of arguments pass through them."""

import ast


def program_callables(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Returns the methods of the program by name, without `self`; constructors by class."""
    found: dict[str, ast.FunctionDef] = {}
    for owner in tree.body:
        if not isinstance(owner, ast.ClassDef):
            continue
        fields = [one for one in owner.body if isinstance(one, ast.AnnAssign)]
        if fields:
            signature = ", ".join(ast.unparse(one).split("=")[0] for one in fields)
            found[owner.name] = _definition(f"def {owner.name}({signature}): pass")
        for method in owner.body:
            if not isinstance(method, ast.FunctionDef):
                continue
            static = any(ast.unparse(one) == "staticmethod" for one in method.decorator_list)
            name = owner.name if method.name in ("__init__", "__new__") else method.name
            found[name] = method if static else _without_first(method)
    return found


def _definition(text: str) -> ast.FunctionDef:
    try:
        (statement,) = ast.parse(text).body
    except SyntaxError:  # a field that is no plain name
        (statement,) = ast.parse("def none(): pass").body
    assert isinstance(statement, ast.FunctionDef)
    return statement


def _without_first(method: ast.FunctionDef) -> ast.FunctionDef:
    """Returns the method as a function without its first parameter, the object."""
    copy = ast.FunctionDef(**{name: value for name, value in ast.iter_fields(method)})
    own = method.args
    positional = {"posonlyargs": own.posonlyargs[1:], "args": own.args}
    if not own.posonlyargs:
        positional = {"args": own.args[1:]}
    copy.args = ast.arguments(**{**dict(ast.iter_fields(own)), **positional})
    return copy
