"""Finds the parameters that construct an object of a class."""

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_pipeline.seeds.screening import ScreeningError, function_parameters
from data_pipeline.seeds.wrappers import positional_names
from data_pipeline.source.scopes import find_needed_names

_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"})
_ABSTRACT = frozenset({"abstractmethod", "abstractproperty"})
_PLAIN_BASES = frozenset({"object", "Generic", "ABC", "Hashable", "Sized", "Container", "Iterable"})
_BUILTIN_BASES = {
    "dict": "mapping", "list": "items", "tuple": "items", "set": "items", "frozenset": "items",
    "str": "text", "int": "number", "float": "number", "bytes": "data", "bytearray": "data",
    "OrderedDict": "mapping", "Counter": "items", "deque": "items", "UserDict": "mapping",
    "UserList": "items", "UserString": "text",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """Holds a parameter of a constructor or method that a wrapper can pass.

    default: source text, None if required
    form:    how it is passed: "position", "keyword", or "star" (a sequence, passed as `*name`)
    only_named: whether it cannot be passed by position
    """

    name: str
    default: str | None
    form: str
    only_named: bool = False


@dataclass(frozen=True)
class Constructor:
    """Describes how to construct an object.

    parameters: as far as a wrapper passes them
    positional: all that take positional arguments, in order; "*rest" for the others
    members:    names of an Enum's members
    """

    parameters: tuple[Parameter, ...] = ()
    positional: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


_FACTORY = "default_factory"  # the default of a field that has to be left out
_EMPTY = frozenset({"()", "[]", "{}", "''", "set()", "tuple()", "list()", "dict()"})


Classes = Mapping[str, ast.ClassDef]


def find_constructor(owner: ast.ClassDef, classes: Classes) -> Constructor:
    """Returns how to construct `owner`; `classes` are those of the program.

    Raises ScreeningError if literals cannot.
    """
    _check_concrete(owner, classes)
    for one in lineage(owner, classes):
        if any(base_name(base) in _ENUMS for base in one.bases):
            return Constructor((Parameter("name", None, "position"),), (), _members(owner))
        named = methods_of(one)
        making = named.get("__init__") or named.get("__new__")
        if making is not None:
            called = {a for method in named.values() for a in _called_attributes(method)}
            parameters = parameters_of(making, _bound(one), owned=True, called=called)
            positional = positional_names(making.args)[1:]
            return Constructor(_filled(parameters, positional), positional)
        if _is_dataclass(one) or any(base_name(base) == "NamedTuple" for base in one.bases):
            fields = _fields(one, classes)
            positional = tuple(one.name for one in fields if not one.only_named)
            used = _used_fields(fields, lineage(owner, classes), positional)
            return Constructor(used, positional)
        for base in one.bases:
            found = _base_parameters(base, classes)
            if found is not None:
                return _with_names(found)
    return Constructor()


def _filled(parameters: Sequence[Parameter], positional: Sequence[str]) -> tuple[Parameter, ...]:
    """Makes the parameters required that are empty by default: an empty object shows little.

    positional: all that take positional arguments, in order
    """
    found: list[Parameter] = []
    for one in parameters:
        is_empty = one.default in _EMPTY
        before = [*(other.name for other in found if other.form == "position"), one.name]
        can_pass = before == list(positional[: len(before)])
        form = "position" if is_empty and can_pass else one.form
        found.append(Parameter(one.name, None if is_empty else one.default, form))
    return tuple(found)


def _used_fields(
    fields: Sequence[Parameter], owners: Sequence[ast.ClassDef], positional: Sequence[str]
) -> tuple[Parameter, ...]:
    """Leaves out the optional fields that no method in the program reads."""
    used = {n.attr for one in owners for n in ast.walk(one) if isinstance(n, ast.Attribute)}
    kept = [one for one in fields if one.default is None or one.name in used]
    kept = [one for one in kept if one.default != _FACTORY]
    return _filled(kept, positional)


def _with_names(parameters: Sequence[Parameter]) -> Constructor:
    return Constructor(tuple(parameters), tuple(one.name for one in parameters))


def lineage(owner: ast.ClassDef, classes: Classes) -> list[ast.ClassDef]:
    """Returns the class and its bases within the program, in order of lookup."""
    found = [owner]
    for base in owner.bases:
        below = classes.get(base_name(base))
        if below is not None and below is not owner:
            found += [one for one in lineage(below, classes) if one not in found]
    return found


def base_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return base_name(value)
    return ""


def methods_of(owner: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """Returns the methods of a class by name; of a property, its getter."""
    found: dict[str, ast.FunctionDef] = {}
    for statement in owner.body:
        if isinstance(statement, ast.FunctionDef) and not is_setter(statement):
            found[statement.name] = statement
    return found


def is_setter(method: ast.FunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "deleter", "getter")
        for decorator in method.decorator_list
    )


def decorators_of(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Returns the last names of the decorators: "cached_property" for functools' own."""
    return {
        base_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        for decorator in node.decorator_list
    }


def _check_concrete(owner: ast.ClassDef, classes: Classes) -> None:
    for keyword in owner.keywords:
        if keyword.arg == "metaclass" and base_name(keyword.value) not in ("ABCMeta", "EnumMeta"):
            raise ScreeningError("class with a metaclass", ast.unparse(keyword.value))
    if any(base_name(base) == "Protocol" for base in owner.bases):
        raise ScreeningError("abstract class", f"{owner.name} is a Protocol")
    known: dict[str, ast.FunctionDef] = {}
    for one in reversed(lineage(owner, classes)):
        known |= methods_of(one)
    for name, method in known.items():
        if decorators_of(method) & _ABSTRACT:
            raise ScreeningError("abstract class", f"{owner.name}.{name} is abstract")


def _members(owner: ast.ClassDef) -> tuple[str, ...]:
    return tuple(
        target.id
        for statement in owner.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_")
    )


def _is_dataclass(owner: ast.ClassDef) -> bool:
    return bool(decorators_of(owner) & {"dataclass"})


def _fields(owner: ast.ClassDef, classes: Classes) -> list[Parameter]:
    """Returns the fields of a dataclass or NamedTuple as parameters, those of bases first."""
    found: dict[str, Parameter] = {}
    for one in reversed(lineage(owner, classes)):
        only_named = any(
            keyword.arg == "kw_only" and getattr(keyword.value, "value", False)
            for decorator in one.decorator_list
            if isinstance(decorator, ast.Call)
            for keyword in decorator.keywords
        )
        for statement in one.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                if "ClassVar" in ast.unparse(statement.annotation):
                    continue
                found |= _field(statement.target.id, statement.value, only_named)
    return list(found.values())


def _field(name: str, value: ast.expr | None, only_named: bool) -> dict[str, Parameter]:
    required = Parameter(name, None, "keyword" if only_named else "position", only_named)
    if value is None:
        return {name: required}
    if not (isinstance(value, ast.Call) and base_name(value.func) == "field"):
        return {name: Parameter(name, ast.unparse(value), "keyword", only_named)}
    options = {keyword.arg: keyword.value for keyword in value.keywords}
    if getattr(options.get("init"), "value", True) is False:
        return {}
    if "default" in options:
        return {name: Parameter(name, ast.unparse(options["default"]), "keyword", only_named)}
    match options.get("default_factory"):
        case ast.Name(id="list" | "dict" | "tuple" | "set" | "str" | "int" | "float" as made):
            default = repr(getattr(builtins, made)())
            return {name: Parameter(name, default, "keyword", only_named)}
        case None:
            return {name: required}
    return {name: Parameter(name, _FACTORY, "keyword", only_named)}


def _base_parameters(base: ast.expr, classes: Classes) -> tuple[Parameter, ...] | None:
    """Returns the parameters of a base outside the program; None if it adds none."""
    name = base_name(base)
    if name in classes or name in _PLAIN_BASES:
        return None
    if isinstance(base, ast.Call) and base_name(base.func) == "namedtuple" and len(base.args) == 2:
        return tuple(Parameter(one, None, "position") for one in _named_fields(base.args[1]))
    if name in _BUILTIN_BASES:
        return (Parameter(_BUILTIN_BASES[name], None, "position"),)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return (Parameter("message", None, "position"),)
    return None


def _named_fields(node: ast.expr) -> list[str]:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise ScreeningError("class with computed fields", ast.unparse(node)[:60]) from None
    return value.replace(",", " ").split() if isinstance(value, str) else list(value)


# ---- signatures


def parameters_of(
    function: ast.FunctionDef,
    hidden: set[str],
    *,
    owned: bool,
    called: frozenset[str] | set[str] = frozenset(),
) -> list[Parameter]:
    """Returns the parameters of a method that a wrapper can pass.

    hidden: names of the class's scope, which a default in a wrapper cannot see
    owned:  whether the first parameter is the object or the class
    called: attributes that the class calls: what `__init__` puts there is a function
    Raises ScreeningError if one that is required takes a function.
    """
    functions = function_parameters(function) | _stored_as(function, called)
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    pairs = [*zip(positional, defaults, strict=True)][1 if owned else 0 :]
    found: list[Parameter] = []
    in_order = True  # no positional one was left out
    for argument, default in pairs:
        if _is_left_out(argument, default, functions, hidden):
            in_order = False
            continue
        is_only = argument in arguments.posonlyargs
        if is_only and not in_order:
            continue
        text = None if default is None else ast.unparse(default)
        form = "position" if is_only or default is None else "keyword"
        found.append(Parameter(argument.arg, text, form))
    if arguments.vararg and in_order and arguments.vararg.arg not in functions:
        positional_only = [
            Parameter(one.name, one.default, "position") if one.form == "keyword" else one
            for one in found
        ]
        found = [*positional_only, Parameter(arguments.vararg.arg, None, "star")]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if not _is_left_out(argument, default, functions, hidden):
            text = None if default is None else ast.unparse(default)
            found.append(Parameter(argument.arg, text, "keyword"))
    return found


def _is_left_out(
    argument: ast.arg, default: ast.expr | None, functions: set[str], hidden: set[str]
) -> bool:
    if default is None:
        if argument.arg in functions:
            raise ScreeningError("takes a function", argument.arg)
        return False
    needs = find_needed_names([ast.Expr(default)])[0]
    return argument.arg in functions or bool(needs & hidden)


def _bound(owner: ast.ClassDef) -> set[str]:
    return {
        node.id
        for statement in owner.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {s.name for s in owner.body if isinstance(s, (ast.FunctionDef, ast.ClassDef))}


def _called_attributes(method: ast.FunctionDef) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }


def _stored_as(function: ast.FunctionDef, called: frozenset[str] | set[str]) -> set[str]:
    """Returns the parameters that are stored in attributes that the class calls."""
    found = set()
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Name(id=value)):
                if name in called:
                    found.add(value)
    return found
