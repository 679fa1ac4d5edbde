"""Makes a method callable with literals: a wrapper constructs the object and calls the method."""

import ast
import re
from collections.abc import Mapping, Sequence, Set

from data_pipeline.seeds.changes import changed_attributes
from data_pipeline.seeds.constructors import (
    Classes,
    Constructor,
    Parameter,
    base_name,
    decorators_of,
    find_constructor,
    is_setter,
    lineage,
    methods_of,
    parameters_of,
)
from data_pipeline.seeds.screening import (
    ScreeningError,
    check_entry,
    returns_iterator,
    returns_value,
)
from data_pipeline.seeds.wrappers import Wrapper, free_name, positional_names

_PROPERTIES = frozenset({"property", "cached_property"})
_REFUSED = frozenset(
    {"overload", "abstractmethod", "contextmanager", "fixture", "singledispatchmethod"}
)
# How Python writes the call of a special method of `o` with the parameters `a` and `b`.
_OPERATIONS = {
    "__len__": "len({o})", "__bool__": "bool({o})", "__str__": "str({o})", "__repr__": "repr({o})",
    "__iter__": "list({o})", "__reversed__": "list(reversed({o}))", "__int__": "int({o})",
    "__float__": "float({o})", "__abs__": "abs({o})", "__index__": "int({o})",
    "__getitem__": "{o}[{a}]", "__contains__": "{a} in {o}", "__format__": "format({o}, {a})",
    "__missing__": "{o}[{a}]", "__neg__": "-{o}", "__pos__": "+{o}", "__invert__": "~{o}",
    "__complex__": "complex({o})", "__round__": "round({o}, {a})",
    "__eq__": "{o} == {a}", "__ne__": "{o} != {a}", "__lt__": "{o} < {a}", "__le__": "{o} <= {a}",
    "__gt__": "{o} > {a}", "__ge__": "{o} >= {a}", "__add__": "{o} + {a}", "__sub__": "{o} - {a}",
    "__mul__": "{o} * {a}", "__truediv__": "{o} / {a}", "__floordiv__": "{o} // {a}",
    "__mod__": "{o} % {a}", "__pow__": "{o} ** {a}", "__matmul__": "{o} @ {a}",
    "__and__": "{o} & {a}", "__or__": "{o} | {a}", "__xor__": "{o} ^ {a}",
    "__lshift__": "{o} << {a}", "__rshift__": "{o} >> {a}", "__divmod__": "divmod({o}, {a})",
    "__radd__": "{a} + {o}", "__rsub__": "{a} - {o}", "__rmul__": "{a} * {o}",
}  # fmt: skip
# Operators between two objects of one class, though some classes take a plain value too.
_BETWEEN_TWO = frozenset(
    """
    __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __add__ __sub__ __and__ __or__ __xor__ __truediv__
    __floordiv__ __matmul__ __divmod__
    """.split()  # noqa: SIM905
)
_CHANGES = {"__setitem__": "{o}[{a}] = {b}", "__delitem__": "del {o}[{a}]"}
_NOT_CALLED = frozenset({"__new__", "__post_init__", "__init_subclass__", "__set_name__"})


def check_method(method: ast.FunctionDef) -> None:
    """Raises ScreeningError for a method that no wrapper calls."""
    name = method.name
    if is_setter(method):
        raise ScreeningError("property setter", name)
    refused = decorators_of(method) & _REFUSED
    if refused:
        raise ScreeningError("decorator", ", ".join(sorted(refused)))
    if name in _NOT_CALLED:
        raise ScreeningError("constructor", "it runs in the programs of the other methods")
    is_special = name.startswith("__") and name.endswith("__")
    if is_special and name not in (*_OPERATIONS, *_CHANGES, "__call__", "__init__"):
        raise ScreeningError("special method", name)
    if not is_special:
        check_entry(method)


def method_wrapper(
    owner: ast.ClassDef,
    method: ast.FunctionDef,
    classes: Classes,
    iterator_functions: frozenset[str],
    taken: Set[str],
) -> Wrapper:
    """Wraps a method of `owner`, in the final text of the program.

    classes: those of the program. Raises ScreeningError if literals cannot construct the object.
    """
    return _MethodWrapper(owner, method, classes, iterator_functions, taken).write()


class _MethodWrapper:
    def __init__(
        self,
        owner: ast.ClassDef,
        method: ast.FunctionDef,
        classes: Classes,
        iterator_functions: frozenset[str],
        taken: Set[str],
    ):
        self.owner = owner
        self.method = method
        self.classes = classes
        decorators = decorators_of(method)
        self.is_static = "staticmethod" in decorators
        self.of_class = self.is_static or "classmethod" in decorators
        self.is_property = bool(decorators & _PROPERTIES)
        self.is_iterator = returns_iterator(method, iterator_functions) or method.name == "__iter__"
        self.constructor = Constructor() if self.of_class else find_constructor(owner, classes)
        self.parameters = self._parameters()
        self.second = self._second()
        self.object = _snake(owner.name)
        stem = method.name.strip("_")
        self.name = free_name(f"{self.object}_{stem}", taken)
        if self.second:
            self.parameters = [one for one in self.parameters if one.name != self.second]
        own = {parameter.name for parameter in self.parameters}
        self.names = {
            ("init", one.name): f"{self.object}_{one.name}" if one.name in own else one.name
            for one in self.constructor.parameters
        } | {("call", one.name): one.name for one in self.parameters}
        if self.second:
            required = [one for one in self.constructor.parameters if one.default is None]
            self.names |= {("second", one.name): f"{self.second}_{one.name}" for one in required}
        self.object = free_name(self.object, {*self.names.values(), *taken, self.second})

    def _parameters(self) -> list[Parameter]:
        if self.is_property or self.method.name == "__init__":
            return []
        hidden = {node.id for node in ast.walk(self.owner) if _is_stored(node)}
        return parameters_of(self.method, hidden, owned=not self.is_static)

    def _second(self) -> str:
        """Returns the parameter that is another object of the class; "" if there is none."""
        if self.of_class or self.constructor.members:
            return ""
        annotations = {
            a.arg: ast.unparse(a.annotation).strip("'\"")
            for a in self.method.args.args[1:]
            if a.annotation
        }
        for one in self.parameters:
            is_between = self.method.name in _BETWEEN_TWO or one.name == "other"
            if is_between or annotations.get(one.name) in (self.owner.name, "Self"):
                return one.name
        return ""

    def write(self) -> Wrapper:
        lines, shows = self._body()
        ordered = self._ordered()
        signature = ", ".join(
            self.names[place] + ("" if default is None else f"={default}")
            for place, default in ordered
        )
        code = "\n    ".join([f"def {self.name}({signature}):", *lines])
        return Wrapper(
            self.name, code, self._note(shows), shows,
            {place: self.names[place] for place, _ in ordered}, self._signatures(),
            calls=self._calls(ordered), of_property=self.is_property,
        )  # fmt: skip

    def _signatures(self) -> Mapping[str, tuple[str, ...]]:
        called = positional_names(self.method.args)[0 if self.is_static else 1 :]
        return {"init": self.constructor.positional, "call": called}

    def _ordered(self) -> list[tuple[tuple[str, str], str | None]]:
        """Returns the parameters in their order: those without a default first."""
        both = [("init", one) for one in self.constructor.parameters]
        if self.second:
            parameters = self.constructor.parameters
            both += [("second", one) for one in parameters if one.default is None]
        both += [("call", one) for one in self.parameters]
        places = [((part, one.name), one.default) for part, one in both]
        return sorted(places, key=lambda place: place[1] is not None)

    def _body(self) -> tuple[list[str], str]:
        """Returns the lines of the wrapper and what they return: see `Wrapper.shows`."""
        lines = [] if self.of_class else [f"{self.object} = {self._construction('init')}"]
        if self.second:
            lines.append(f"{self.second} = {self._construction('second')}")
        change = _CHANGES.get(self.method.name)
        if change is None and _returns_value(self.method, self._self()):
            value = self._call()
            if self.is_iterator and not value.startswith("list("):
                return [*lines, f"return list({value})"], "list"
            if self._makes_object():
                self._check_attributes()
                return [*lines, f"return vars({value})"], "state"
            return [*lines, f"return {value}"], "value"
        changed = changed_attributes(self.method, self._methods())
        if self.of_class or not changed:
            raise ScreeningError("returns nothing", self.method.name)
        if self.method.name != "__init__":
            lines.append(self._operation(change) if change else self._call())
        state = ", ".join(f"{self.object}.{name}" for name in changed[:4])
        return [*lines, f"return {state}"], "state"

    def _self(self) -> str:
        return self.method.args.args[0].arg if self.method.args.args and not self.is_static else ""

    def _methods(self) -> Mapping[str, ast.FunctionDef]:
        found: dict[str, ast.FunctionDef] = {}
        for one in reversed(lineage(self.owner, self.classes)):
            found |= methods_of(one)
        return found

    def _construction(self, part: str) -> str:
        if self.constructor.members:
            return f"{self.owner.name}[{self.names[part, 'name']}]"
        passed = [one for one in self.constructor.parameters if (part, one.name) in self.names]
        return f"{self.owner.name}({self._passed(part, passed)})"

    def _passed(self, part: str, parameters: Sequence[Parameter]) -> str:
        forms = {"position": "{value}", "keyword": "{name}={value}", "star": "*{value}"}
        ordered = sorted(parameters, key=lambda one: one.form == "keyword")
        return ", ".join(
            forms[one.form].format(name=one.name, value=self.names[part, one.name])
            for one in ordered
        )

    def _call(self) -> str:
        name = self.method.name
        receiver = self.owner.name if self.of_class else self.object
        if self.is_property:
            return f"{receiver}.{name}"
        if name in _OPERATIONS:
            return self._operation(_OPERATIONS[name])
        passed = self._passed("call", self._in_signature())
        return f"{receiver}({passed})" if name == "__call__" else f"{receiver}.{name}({passed})"

    def _in_signature(self) -> list[Parameter]:
        """Returns the parameters of the method in order, with that of the second object."""
        if not self.second:
            return self.parameters
        place = [a.arg for a in self.method.args.args].index(self.second) - 1
        second = Parameter(self.second, None, "position")
        self.names["call", self.second] = self.second
        return [*self.parameters[:place], second, *self.parameters[place:]]

    def _operation(self, form: str) -> str:
        given = [one.name for one in self._in_signature()]
        names = dict(zip("ab", given, strict=False))
        if any("{" + key + "}" in form and key not in names for key in "ab"):
            raise ScreeningError("special method", f"{self.method.name} with unusual parameters")
        return form.format(o=self.object, **names)

    def _makes_object(self) -> bool:
        """Returns whether the method returns a new object of its own class."""
        returned = [n.value for n in ast.walk(self.method) if isinstance(n, ast.Return) and n.value]
        own = {self.owner.name, *(("cls",) if self.of_class else ())}
        return bool(returned) and all(
            isinstance(node, ast.Call)
            and (base_name(node.func) in {*own, "__class__"} or _is_own_type(node.func))
            for node in returned
        )

    def _check_attributes(self) -> None:
        """Raises ScreeningError unless `vars` shows the whole object."""
        for one in lineage(self.owner, self.classes):
            bases = {
                base_name(base.func if isinstance(base, ast.Call) else base) for base in one.bases
            }
            has_slots = any(_is_stored(n) and n.id == "__slots__" for n in ast.walk(one))
            outside = bases - self.classes.keys() - {"object", "ABC", "Generic"}
            if has_slots or outside or self.constructor.members:
                raise ScreeningError("returns an object", self.owner.name)

    def _note(self, shows: str) -> str:
        name = self.owner.name
        if self.of_class:
            told = f"`{self.name}` calls the method `{self.method.name}` of the class `{name}`"
        elif self.is_property:
            told = f"`{self.name}` makes a `{name}` and returns its `{self.method.name}`"
        else:
            told = f"`{self.name}` makes a `{name}` and calls its `{self.method.name}`"
        endings = {"list": "lists the items", "state": "returns the state after it"}
        if shows not in endings:
            return f"{told}."
        listed = told.replace(" and calls", ", calls")
        comma = "" if listed == told else ","
        return f"{listed}{comma} and {endings[shows]}."

    def _calls(self, ordered: Sequence[tuple[tuple[str, str], str | None]]) -> tuple[str, ...]:
        required = [place for place, default in ordered if default is None]
        if len(required) != 1 or not self.constructor.members:
            return ()
        return tuple(f"{self.name}({member!r})" for member in self.constructor.members)


def _returns_value(method: ast.FunctionDef, self: str) -> bool:
    """Returns whether the method returns something else than nothing and its own object."""
    returned = [n.value for n in ast.walk(method) if isinstance(n, ast.Return) and n.value]
    if returned and self and all(isinstance(n, ast.Name) and n.id == self for n in returned):
        return False
    return returns_value(method)


def _is_own_type(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _snake(name: str) -> str:
    parts = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name)
    return parts.strip("_").lower() or "made"
