"""Checks that code may become a seed: it only computes and is deterministic.

This selects useful data; it is no security boundary. The sandbox is.
"""

import ast
import builtins
import importlib
from collections.abc import Iterator, Mapping

from data_pipeline.source.pure_modules import MODULES, PARTS
from data_pipeline.source.scopes import find_uses

_DENIED_IMPORTS = frozenset(
    {
        ("types", "CodeType"),
        ("types", "FunctionType"),
        ("contextlib", "redirect_stdout"),
        ("contextlib", "redirect_stderr"),
    }
)

_BUILTINS = frozenset(
    """
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate filter float format frozenset getattr hasattr hex int isinstance issubclass iter len
    list map max min next object oct ord pow property range repr reversed round set setattr slice
    print sorted staticmethod str sum super tuple type zip delattr memoryview
    True False None NotImplemented Ellipsis __debug__
    """.split()  # noqa: SIM905
) | {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
}
_INPUT_OUTPUT = frozenset({"open", "input", "breakpoint", "help", "exit", "quit"})
_DYNAMIC = frozenset({"eval", "exec", "compile", "__import__", "globals", "locals", "vars", "dir"})
_UNSTABLE = frozenset({"id", "hash"})  # differ between processes; `hash` may define `__hash__`
# Attributes that give access to more than computation, on any object.
_DENIED_ATTRIBUTES = frozenset(
    {
        "__globals__", "__builtins__", "__subclasses__", "__code__", "__closure__", "__import__",
        "__loader__", "__spec__", "__hash__", "__del__", "f_back", "f_globals", "f_locals",
        "gi_frame", "gi_code", "tb_frame",
        "now", "today", "utcnow", "fromtimestamp", "urandom", "modules", "_getframe",
    }
)  # fmt: skip


class ScreeningError(Exception):
    """Reports code that cannot become a seed. reason: a phrase to count by."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def check_builtin(name: str) -> None:
    """Raises ScreeningError unless an unbound name is a harmless builtin."""
    if name in _BUILTINS:
        return
    if name in _INPUT_OUTPUT:
        raise ScreeningError("input or output", name)
    if name in _DYNAMIC:
        raise ScreeningError("dynamic code", name)
    if name in _UNSTABLE:
        raise ScreeningError("differs between processes", name)
    if name in ("__name__", "__file__", "__doc__", "__path__"):
        raise ScreeningError("attribute of its module", name)
    raise ScreeningError("undefined name", name)


def check_import(module: str, attribute: str | None) -> None:
    """Raises ScreeningError for an import outside the allow-list."""
    if module == "__future__":
        return
    if module in PARTS:  # attributes of a whole module are checked one by one
        if attribute is not None and attribute not in PARTS[module]:
            raise ScreeningError("foreign import", f"{module}.{attribute}")
        return
    if module not in MODULES or (module, attribute) in _DENIED_IMPORTS:
        whole = module if attribute is None else f"{module}.{attribute}"
        if module in MODULES or f"{module}.{attribute}" not in MODULES:
            raise ScreeningError("foreign import", whole)
    if module in MODULES and not has_attribute(module, attribute):
        raise ScreeningError("not in this Python", f"{module}.{attribute}")


def has_attribute(module: str, attribute: str | None) -> bool:
    """Returns whether a module of the allow-list has an attribute; imports that module."""
    return (
        attribute in (None, "*")
        or hasattr(importlib.import_module(module), str(attribute))
        or f"{module}.{attribute}" in MODULES
    )


def check_statement(statement: ast.stmt) -> None:
    """Raises ScreeningError for constructs a program must not contain. Does not check names."""
    for node in ast.walk(statement):
        match node:
            case ast.Global():
                raise ScreeningError("module state", ", ".join(node.names))
            case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
                raise ScreeningError("asynchronous")
            case ast.Attribute(attr=attribute) if attribute in _DENIED_ATTRIBUTES:
                raise ScreeningError("dynamic code", attribute)
            case ast.Attribute(value=ast.Name(id=module), attr=attribute) if (
                attribute not in PARTS.get(module, {attribute})
            ):
                raise ScreeningError("foreign import", f"{module}.{attribute}")
            case ast.Call(args=[], keywords=[]) if _name_called(node) == "Random":
                raise ScreeningError("differs between processes", "Random without a seed")
            case ast.Call(func=ast.Name(id="print")):
                _check_print(node)
            case ast.Import():
                for alias in node.names:
                    check_import(alias.name, None)
                    check_alias(alias.name, alias.asname)
            case ast.ImportFrom(level=0):
                for alias in node.names:
                    check_import(node.module or "", alias.name)
            case ast.ImportFrom():
                raise ScreeningError(
                    "import inside the function", "." * node.level + (node.module or "")
                )
            case ast.FunctionDef(name="__del__"):
                raise ScreeningError("differs between processes", node.name)


def check_alias(module: str, alias: str | None) -> None:
    """Raises ScreeningError for another name of a module whose attributes are checked by name."""
    if module in PARTS and alias not in (None, module):
        raise ScreeningError("foreign import", f"{module} as {alias}")


def _name_called(node: ast.Call) -> str | None:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _check_print(node: ast.Call) -> None:
    for keyword in node.keywords:
        if keyword.arg not in ("sep", "end", "flush"):
            raise ScreeningError("input or output", f"print to {ast.unparse(keyword.value)}")


def check_entry(function: ast.FunctionDef) -> None:
    """Raises ScreeningError for a function that is unsuitable as an entry, whatever it calls."""
    name = function.name
    if name.startswith("__") and name.endswith("__"):
        raise ScreeningError("special method")
    if name.startswith("test_") or name in ("main", "setUp"):
        raise ScreeningError("test or script")
    for decorator in function.decorator_list:
        text = ast.unparse(decorator)
        if text.split(".")[-1] in ("overload", "abstractmethod", "contextmanager", "fixture"):
            raise ScreeningError("decorator", text)
    body = [s for s in function.body if not _has_no_effect(s)]
    if not body or (len(body) == 1 and isinstance(body[0], ast.Raise)):
        raise ScreeningError("empty body")
    if not any(isinstance(node, (ast.arg, ast.Call, ast.BinOp)) for node in ast.walk(function)):
        raise ScreeningError("computes nothing")
    if _prints(function) and not returns_value(function):
        raise ScreeningError("input or output", "prints and returns nothing")


def _prints(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call) and _name_called(node) == "print" for node in ast.walk(function)
    )


def returns_value(function: ast.FunctionDef) -> bool:
    """Returns whether a return or yield of the function may give another value than None."""
    for node in _own_nodes(function):
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if isinstance(node, ast.Return) and node.value and not _is_none(node.value):
            return True
    return False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def check_parameters(function: ast.FunctionDef, others: Mapping[str, ast.FunctionDef]) -> None:
    """Raises ScreeningError if a parameter expects a function, which no literal can express.

    others: the functions of the program.
    """
    taken = sorted(function_parameters(function, others) - optional_parameters(function))
    if taken:
        raise ScreeningError("takes a function", ", ".join(taken))


def _has_no_effect(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass)


def optional_parameters(function: ast.FunctionDef) -> set[str]:
    """Returns the parameters with a default, `*args` and `**kwargs` included."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    names = {argument.arg for argument in positional[len(positional) - len(arguments.defaults) :]}
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    names |= {argument.arg for argument, default in pairs if default is not None}
    return names | {extra.arg for extra in (arguments.vararg, arguments.kwarg) if extra}


_TAKE_FUNCTION_FIRST = frozenset(
    "map filter reduce starmap takewhile dropwhile filterfalse partial".split()  # noqa: SIM905
)


def function_parameters(
    function: ast.FunctionDef, others: Mapping[str, ast.FunctionDef] | None = None
) -> set[str]:
    """Returns the parameters that are called or passed on where a function is expected.

    others: the functions of the program, to which parameters may be passed on.
    """
    return _function_parameters(function, others or {}, frozenset())


def _function_parameters(
    function: ast.FunctionDef, others: Mapping[str, ast.FunctionDef], above: frozenset[str]
) -> set[str]:
    arguments = function.args
    own = {
        argument.arg
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }
    rebound = {
        use.name
        for use in find_uses(ast.Module([*function.body], []))
        if use.binds and use.name in own
    }
    found: set[str] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        found |= _name_of(node.func)
        if isinstance(node.func, ast.Name) and node.func.id in others.keys() - above:
            target = others[node.func.id]
            taken = _function_parameters(target, others, above | {node.func.id})
            for name, value in bindings(node, target):
                if name in taken:
                    found |= _name_of(value)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in _TAKE_FUNCTION_FIRST and node.args:
            found |= _name_of(node.args[0])
        for keyword in node.keywords:
            if keyword.arg in ("key", "default_factory") and called in ("sorted", "min", "max"):
                found |= _name_of(keyword.value)
    return (found & own) - rebound


def bindings(call: ast.Call, target: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Yields (parameter, argument) for a call of a function of the program."""
    names = [argument.arg for argument in (*target.args.posonlyargs, *target.args.args)]
    for name, value in zip(names, call.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield name, value
    star = next((value for value in call.args if isinstance(value, ast.Starred)), None)
    if star is not None and target.args.vararg:
        yield target.args.vararg.arg, star.value
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg, keyword.value


def _name_of(node: ast.expr) -> set[str]:
    return {node.id} if isinstance(node, ast.Name) else set()


def returns_iterator(function: ast.FunctionDef, iterator_functions: frozenset[str]) -> bool:
    """Returns whether a static reading shows that the function returns an iterator.

    iterator_functions: names in its program that are known to return one.
    """
    own = list(_own_nodes(function))
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own):
        return True
    known = set(iterator_functions)
    for node in own:
        match node:
            case ast.FunctionDef() if returns_iterator(node, iterator_functions):
                known.add(node.name)
    held = set()  # names that hold an iterator
    for node in own:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if _gives_iterator(value, frozenset(known)):
                    held.add(name)
    returned = [node.value for node in own if isinstance(node, ast.Return) and node.value]
    return any(
        _gives_iterator(value, frozenset(known))
        or (isinstance(value, ast.Name) and value.id in held)
        for value in returned
    )


_ITERATORS = frozenset(
    """
    map filter zip enumerate reversed iter accumulate batched chain combinations
    combinations_with_replacement compress count cycle dropwhile filterfalse from_iterable groupby
    islice pairwise permutations product repeat starmap takewhile zip_longest
    """.split()  # noqa: SIM905
)


def _gives_iterator(node: ast.expr, known: frozenset[str]) -> bool:
    match node:
        case ast.GeneratorExp():
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _gives_iterator(body, known) or _gives_iterator(orelse, known)
        case ast.Call(func=ast.Name(id=name)):
            return name in _ITERATORS or name in known
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr=name)):
            return name in _ITERATORS - {"count", "product", "cycle", "filter"}
        case ast.Call(func=ast.Attribute(value=ast.Attribute(), attr="from_iterable")):
            return True
    return False


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yields the nodes of the body that run in the function's own frame."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
