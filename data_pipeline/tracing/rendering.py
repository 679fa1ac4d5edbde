"""Renders values as short, deterministic text without running code of the traced program.

Exact builtins become Python literals (sets sorted, so that the text does not depend on the hash
seed); instances become `Point(x=1, y=2)` from their attributes, without their `__repr__`.
Standard library only: this file also runs inside the sandbox.
"""

import collections
import datetime
import decimal
import enum
import fractions
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 24  # levels of nesting shown

# These bypass a metaclass's own `__getattribute__`.
type_name = type.__dict__["__name__"].__get__
type_dict = type.__dict__["__dict__"].__get__
_type_flags = type.__dict__["__flags__"].__get__
type_mro = type.__dict__["__mro__"].__get__

_SCALARS = frozenset({int, str, bool, float, complex, bytes, bytearray, type(None), range, slice})
_TRUSTED_REPR = frozenset(
    {
        decimal.Decimal,
        fractions.Fraction,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        type(...),
        type(NotImplemented),
    }
)

# The class written in C: the sandbox's clock is a subclass with the same name.
_DATETIME = datetime.datetime.__mro__[-3]

# Members of classes written in C whose value is an address, which differs between processes.
_OFFSETS = frozenset({"__vectorcalloffset__", "__dictoffset__", "__weaklistoffset__"})


def clip(text: str, limit: int, whole: bool = True) -> str:
    """Returns `text`, or its first `limit` characters and a mark with the number of missing ones.

    whole: false if `text` itself is incomplete; the mark then says "at least".
    """
    if len(text) <= limit:
        return text
    missing = f"{len(text) - limit} characters{'' if whole else ' at least'}"
    return f"{text[:limit]}…⟨+{missing}⟩"


def render(value: Any, limit: int = 1000) -> str:
    """Returns the text of `value`, clipped with a mark past `limit` characters."""
    kind = type(value)
    if kind is int:
        return clip(_integer(value), limit)
    if kind in _SCALARS:
        return clip(repr(value), limit)
    if kind is types.FunctionType:
        return clip(f"<function {value.__qualname__}>", limit)
    writer = _Writer(4 * limit)
    try:
        writer.write(value, 0)
    except RecursionError:
        return f"<{type_name(kind)}, nested too deeply>"
    return clip("".join(writer.parts), limit, whole=writer.room >= 0)


def render_instance(name: str, attributes: dict[str, Any], limit: int) -> str:
    """Renders an instance of the class `name` with these attributes, as `render` does."""
    writer = _Writer(4 * limit)
    writer.put(name + "(")
    writer.attributes(attributes, 1)
    return clip("".join(writer.parts), limit, whole=writer.room >= 0)


def _integer(value: int) -> str:
    try:
        return repr(value)
    except ValueError:  # past sys.get_int_max_str_digits()
        return f"<int of {value.bit_length()} bits>"


class _Writer:
    """Appends the text of nested values until `room` characters are used."""

    def __init__(self, room: int):
        self.parts: list[str] = []
        self.room = room
        self.open: set[int] = set()

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.room -= len(text)

    def write(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is int:
            self.put(_integer(value))
        elif kind in _SCALARS or kind in _TRUSTED_REPR:
            self.put(repr(value))
        elif kind is datetime.datetime or kind is _DATETIME:
            self.moment(value)
        elif self.room < 0 or depth > MAX_DEPTH or id(value) in self.open:
            self.put("...")
        else:
            self.open.add(id(value))
            _BUILTINS.get(kind, _Writer.instance)(self, value, depth + 1)
            self.open.discard(id(value))

    def moment(self, value: Any) -> None:
        self.put("datetime." + _DATETIME.__repr__(value).removeprefix("datetime."))

    def items(self, values: Iterable[Any], opening: str, closing: str, depth: int) -> int:
        self.put(opening)
        count = 0
        for value in values:
            if count:
                self.put(", ")
            count += 1
            if self.room < 0:
                self.put("...")
                break
            self.write(value, depth)
        self.put(closing)
        return count

    def list(self, value: Any, depth: int) -> None:
        self.items(list.__iter__(value), "[", "]", depth)

    def tuple(self, value: Any, depth: int) -> None:
        closing = ",)" if len(value) == 1 else ")"
        self.items(tuple.__iter__(value), "(", closing, depth)

    def pairs(self, value: Any, depth: int) -> None:
        self.put("{")
        for number, (key, item) in enumerate(dict.items(value)):
            if number:
                self.put(", ")
            if self.room < 0:
                self.put("...")
                break
            self.write(key, depth)
            self.put(": ")
            self.write(item, depth)
        self.put("}")

    def members(self, value: Any, opening: str, closing: str) -> None:
        texts = sorted(
            (type_name(type(item)), render(item, max(self.room, 80))) for item in iter(value)
        )
        try:  # numbers and strings in their own order, anything else by type and text
            plain = sorted(value) if {type(i) for i in value} <= {int} else None
        except TypeError:
            plain = None
        shown = [_integer(i) for i in plain] if plain is not None else [text for _, text in texts]
        self.put(opening + ", ".join(shown) + closing)

    def set(self, value: Any, depth: int) -> None:
        if value:
            self.members(value, "{", "}")
        else:
            self.put("set()")

    def frozenset(self, value: Any, depth: int) -> None:
        if value:
            self.members(value, "frozenset({", "})")
        else:
            self.put("frozenset()")

    def deque(self, value: Any, depth: int) -> None:
        closing = "])" if value.maxlen is None else f"], maxlen={value.maxlen})"
        self.items(collections.deque.__iter__(value), "deque([", closing, depth)

    def defaultdict(self, value: Any, depth: int) -> None:
        factory = value.default_factory
        name = type_name(factory) if isinstance(factory, type) else render(factory, 80)
        self.put(f"defaultdict({name}, ")
        self.pairs(value, depth)
        self.put(")")

    def counter(self, value: Any, depth: int) -> None:
        self.put("Counter(")
        self.pairs(value, depth)
        self.put(")")

    def ordered_dict(self, value: Any, depth: int) -> None:
        self.put("OrderedDict(")
        self.pairs(value, depth)
        self.put(")")

    def function(self, value: Any, depth: int) -> None:
        self.put(f"<function {value.__qualname__}>")

    def builtin(self, value: Any, depth: int) -> None:
        self.put(f"<built-in {value.__name__}>")

    def method(self, value: Any, depth: int) -> None:
        function = value.__func__
        name = getattr(function, "__qualname__", None)
        self.put(f"<method {name if type(name) is str else '?'}>")

    def module(self, value: Any, depth: int) -> None:
        name = types.ModuleType.__getattribute__(value, "__dict__").get("__name__")
        self.put(f"<module {name}>" if type(name) is str else "<module>")

    def generator(self, value: Any, depth: int) -> None:
        self.put(f"<generator {value.__qualname__}>")

    def instance(self, value: Any, depth: int) -> None:
        form = form_of(type(value))
        if form.is_class:
            self.put(f"<class {type_name(value)}>")
            return
        attributes = _attributes(value, form)
        if form.is_enum and type(attributes.get("_name_")) is str:
            members = attributes["_name_"].split("|")  # several of a Flag
            self.put("|".join(f"{form.name}.{member}" for member in members))
            return
        if form.is_enum and type(attributes.get("_value_")) is int:
            self.put(f"{form.name}({attributes['_value_']})")  # a Flag without a member
            return
        base = form.base
        if form.fields is not None:
            attributes = dict(zip(form.fields, tuple.__iter__(value), strict=False))
            base = None
        if base is None and not attributes and form.opaque:
            self.put(f"<{form.name}>")  # an iterator, a lock, a match: it has no visible parts
            return
        self.put(form.name + "(")
        if base is not None:
            _BASES[base](self, value, depth)
        self.attributes(attributes, depth, first=base is None)

    def attributes(self, attributes: dict[str, Any], depth: int, first: bool = True) -> None:
        for key, item in attributes.items():
            if not first:
                self.put(", ")
            first = False
            if self.room < 0:
                self.put("...")
                break
            self.put(f"{key}=")
            self.write(item, depth)
        self.put(")")

    def exception(self, value: Any, depth: int) -> None:
        args = BaseException.__dict__["args"].__get__(value)
        self.items(tuple.__iter__(args), "", "", depth)


def _plain(base: type) -> Callable[[_Writer, Any, int], None]:
    def write(writer: _Writer, value: Any, depth: int) -> None:
        writer.put(base.__repr__(value))

    return write


_BUILTINS: dict[type, Callable[[_Writer, Any, int], None]] = {
    list: _Writer.list,
    tuple: _Writer.tuple,
    dict: _Writer.pairs,
    set: _Writer.set,
    frozenset: _Writer.frozenset,
    collections.deque: _Writer.deque,
    collections.defaultdict: _Writer.defaultdict,
    collections.Counter: _Writer.counter,
    collections.OrderedDict: _Writer.ordered_dict,
    types.FunctionType: _Writer.function,
    types.BuiltinFunctionType: _Writer.builtin,
    types.MethodType: _Writer.method,
    types.ModuleType: _Writer.module,
    types.GeneratorType: _Writer.generator,
}

# Writers for the builtin part of an instance of a subclass.
_BASES: dict[type, Callable[[_Writer, Any, int], None]] = {
    list: _Writer.list,
    tuple: _Writer.tuple,
    dict: _Writer.pairs,
    BaseException: _Writer.exception,
    int: _plain(int),
    str: _plain(str),
    float: _plain(float),
    bytes: _plain(bytes),
}


@dataclass(frozen=True, slots=True)
class _Form:
    """How to render the instances of a class.

    base:            the builtin base whose part is rendered
    opaque:          the class is written in C: only attributes are visible
    attributes_only: the text of an instance depends on its `__dict__` alone
    """

    name: str
    is_class: bool
    is_enum: bool
    base: type | None
    fields: tuple[str, ...] | None
    slots: tuple[tuple[str, Any], ...]
    opaque: bool
    usual_dict: bool
    attributes_only: bool


_forms: dict[type, _Form] = {}


def form_of(kind: type) -> _Form:
    form = _forms.get(kind)
    if form is None:
        if len(_forms) > 256:  # drop the classes of earlier programs
            _forms.clear()
        form = _forms[kind] = _read_form(kind)
    return form


def _read_form(kind: type) -> _Form:
    mro = type_mro(kind)
    base = next((b for b in mro if b in _BASES), None)
    slots = [
        (name, member)
        for ancestor in reversed(mro)
        if _is_of_program(ancestor)
        for name, member in type_dict(ancestor).items()
        if type(member) is types.MemberDescriptorType and name not in _OFFSETS
    ]
    is_class, is_enum = type in mro, enum.EnumMeta in type_mro(type(kind))
    # C types are immutable (1 << 8), also those on the heap (itertools' from Python 3.12 on);
    # classes made by a class statement never are.
    opaque = not _is_of_program(kind) or bool(_type_flags(kind) & (1 << 8))
    # A class may replace `__dict__` by a property; reading that would run the program's code.
    usual = all(
        type(type_dict(ancestor).get("__dict__")) in (types.GetSetDescriptorType, type(None))
        for ancestor in mro
    )
    return _Form(
        name=type_name(kind),
        is_class=is_class,
        is_enum=is_enum,
        base=base,
        fields=_fields(mro) if base is tuple else None,
        slots=tuple(slots),
        opaque=opaque,
        usual_dict=usual,
        attributes_only=not opaque and usual and not (is_class or is_enum or base or slots),
    )


def _attributes(value: Any, form: _Form) -> dict[str, Any]:
    """Returns instance attributes and filled slots, read without `__getattr__` or properties."""
    found: dict[str, Any] = {}
    for name, member in form.slots:
        try:
            found[name] = member.__get__(value)
        except AttributeError:
            continue
    if not form.usual_dict:
        return found
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return found
    if type(own) is dict:
        found.update((key, item) for key, item in own.items() if type(key) is str)
    return found


def _fields(mro: tuple[type, ...]) -> tuple[str, ...] | None:
    for base in mro:
        fields = type_dict(base).get("_fields")
        if type(fields) is tuple and all(type(name) is str for name in fields):
            return fields
    return None


def _is_of_program(kind: type) -> bool:
    """Returns whether a class statement made the class (heap types have a `__module__` entry)."""
    return bool(_type_flags(kind) & (1 << 9)) and type(type_dict(kind).get("__module__")) is str
