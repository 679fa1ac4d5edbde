"""Reads an annotation, with the types that its program defines, into the kind of its values.

Works on text alone: the program never runs here, so nothing is imported or evaluated.
"""

import ast
from collections.abc import Mapping, Sequence

from data_pipeline.testcases.value_kind import (
    AGAIN,
    ANY,
    BOOL,
    BYTES,
    FLOAT,
    INSTANCE,
    INT,
    NEVER,
    NONE,
    STR,
    ValueKind,
)

_PLAIN: Mapping[str, ValueKind] = {
    "int": INT,
    "float": FLOAT,
    "bool": BOOL,
    "str": STR,
    "bytes": BYTES,
    "None": NONE,
    "NoneType": NONE,
    "complex": FLOAT,
    "Text": STR,
    "AnyStr": STR,
    "LiteralString": STR,
    "ByteString": BYTES,
    "Buffer": BYTES,
    "SupportsIndex": INT,
    "SupportsInt": INT,
    "SupportsFloat": FLOAT,
    "SupportsAbs": INT,
    "Integral": INT,
    "Rational": INT,
    "Real": FLOAT,
    "Number": FLOAT,
    "Complex": FLOAT,
    "Hashable": ValueKind("hashable"),
    "Never": NEVER,
    "NoReturn": NEVER,
}
_HOLDERS = {
    **dict.fromkeys(("list", "MutableSequence"), "list"),
    **dict.fromkeys(("Sequence", "Reversible"), "sequence"),
    **dict.fromkeys(("Iterable", "Collection", "Container", "Sized"), "collection"),
    **dict.fromkeys(("set", "MutableSet"), "set"),
    "frozenset": "frozenset",
    **dict.fromkeys(("AbstractSet", "Set"), "abstract set"),
}
_MAPPINGS = frozenset({"dict", "Mapping", "MutableMapping"})
_OLD_NAMES = {
    "Deque": "deque",
    "List": "list",
    "Dict": "dict",
    "Tuple": "tuple",
    "FrozenSet": "frozenset",
}
# No literal is one of these.
_NO_LITERALS = frozenset(
    """
    Iterator Generator AsyncIterator AsyncIterable Awaitable Coroutine Callable Type type
    defaultdict ChainMap DefaultDict Pattern Match IO TextIO
    BinaryIO Path PurePath PathLike ModuleType KeysView ValuesView ItemsView MappingView
    memoryview bytearray array UUID range slice
    """.split()  # noqa: SIM905
)
_WRAPPERS = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly", "ClassVar"})
STANDARD_OBJECTS = frozenset(
    {
        "Decimal", "Fraction", "date", "datetime", "timedelta",
        "Counter", "OrderedDict", "deque",
    }
)  # fmt: skip


class TypeReader:
    """Reads annotations of a program.

    definitions: statements at module level that define types, by name
    """

    def __init__(self, tree: ast.Module):
        self.definitions: dict[str, ast.stmt] = {}
        self.aliases: dict[str, str] = {}
        self.modules: set[str] = set()
        for statement in tree.body:
            self._define(statement)
        self.entered: list[str] = []

    def _define(self, statement: ast.stmt) -> None:
        match statement:
            case ast.ClassDef(name=name):
                self.definitions[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]):
                self.definitions[name] = statement
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                self.definitions[name] = statement
            case ast.ImportFrom(names=names):
                self.aliases |= {one.asname: one.name for one in names if one.asname}
                self.aliases |= {one.name: one.name for one in names if not one.asname}
                if statement.module == "collections.abc":
                    self.aliases |= {
                        (one.asname or one.name): "AbstractSet"
                        for one in names
                        if one.name == "Set"
                    }
                if statement.module == "typing":
                    self.aliases |= {
                        (one.asname or one.name): "set" for one in names if one.name == "Set"
                    }
            case ast.Import(names=names):
                self.modules |= {one.asname or one.name for one in names}
            case _ if type(statement).__name__ == "TypeAlias":  # PEP 695, from Python 3.12 on
                self.definitions[statement.name.id] = statement  # type: ignore[attr-defined]

    def read(self, node: ast.expr | None) -> ValueKind:
        """Returns the kind of an annotation; "any" where it says nothing that is understood."""
        match node:
            case None:
                return ANY
            case ast.Constant(value=None):
                return NONE
            case ast.Constant(value=str(text)):
                return self._text(text)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return _union([self.read(left), self.read(right)])
            case ast.Name() | ast.Attribute():
                return self._named(node)
            case ast.Subscript(value=ast.Name() | ast.Attribute() as base, slice=inner):
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return self._generic(base, parts)
        return ANY

    def _text(self, text: str) -> ValueKind:
        try:
            return self.read(ast.parse(text.strip(), mode="eval").body)
        except SyntaxError:
            return ANY

    def _name_of(self, node: ast.expr) -> str:
        """Returns the name that an expression has where it was defined."""
        if isinstance(node, ast.Name):
            name = self.aliases.get(node.id, node.id)
        else:
            assert isinstance(node, ast.Attribute)
            name = node.attr
            if name == "Set":
                name = "set" if ast.unparse(node.value) in ("typing", "t") else "AbstractSet"
        return _OLD_NAMES.get(name, name)

    def _named(self, node: ast.expr) -> ValueKind:
        if isinstance(node, ast.Name) and node.id in self.definitions:
            return self._defined(node.id)
        name = self._name_of(node)
        if name in _PLAIN:
            return _PLAIN[name]
        if name in _HOLDERS:
            return ValueKind(_HOLDERS[name], (ANY,))
        if name in _MAPPINGS:
            return ValueKind("dict", (ANY, ANY))
        if name == "tuple":
            return ValueKind("tuples", (ANY,))
        if name in STANDARD_OBJECTS:
            return self._standard(node)
        return NEVER if name in _NO_LITERALS else ANY

    def _standard(self, node: ast.expr) -> ValueKind:
        """Returns objects of a class that the program imports."""
        text = ast.unparse(node)
        is_there = text in self.aliases or text.split(".")[0] in self.modules
        return ValueKind("object", (), (text,)) if is_there else NEVER

    def _generic(self, base: ast.expr, parts: Sequence[ast.expr]) -> ValueKind:
        name = self._name_of(base)
        if name == "Literal":
            return ValueKind("literal", (), tuple(ast.unparse(part) for part in self._flat(parts)))
        if name in _WRAPPERS:
            return self.read(parts[0])
        kinds = [self.read(part) for part in parts if not _is_ellipsis(part)]
        if name == "Optional":
            return _union([*kinds, NONE])
        if name == "Union":
            return _union(kinds)
        if name in _HOLDERS:
            return ValueKind(_HOLDERS[name], (kinds[0] if kinds else ANY,))
        if name in _MAPPINGS:
            return ValueKind("dict", (kinds[0], kinds[-1]))
        if name == "tuple":
            if any(map(_is_ellipsis, parts)):
                return ValueKind("tuples", (kinds[0],))
            return ValueKind("tuple", tuple(kind for kind, _ in zip(kinds, parts, strict=True)))
        if name in STANDARD_OBJECTS:
            kind = self._standard(base)
            return kind if kind is NEVER else ValueKind("object", (), (*kind.names, *_plain(kinds)))
        return self._named(base)

    def _flat(self, parts: Sequence[ast.expr]) -> list[ast.expr]:
        """Returns the values of a Literal; of one inside it too."""
        found: list[ast.expr] = []
        for part in parts:
            if isinstance(part, ast.Subscript):
                inner = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
                found += self._flat(inner)
            else:
                found.append(part)
        return found

    # ---- types that the program defines

    def _defined(self, name: str) -> ValueKind:
        if name in self.entered:
            return AGAIN
        self.entered.append(name)
        try:
            statement = self.definitions[name]
            if isinstance(statement, ast.ClassDef):
                return self._class(statement)
            return self._alias(statement.value)  # type: ignore[attr-defined]
        finally:
            self.entered.pop()

    def _alias(self, value: ast.expr) -> ValueKind:
        if not isinstance(value, ast.Call):
            return self.read(value)
        called = ast.unparse(value.func).split(".")[-1]
        if called == "NewType" and len(value.args) == 2:
            return self.read(value.args[1])
        if called == "TypedDict" and len(value.args) == 2 and isinstance(value.args[1], ast.Dict):
            keys = [key.value for key in value.args[1].keys if isinstance(key, ast.Constant)]
            kinds = tuple(map(self.read, value.args[1].values))
            total = not any(one.arg == "total" for one in value.keywords)
            return ValueKind("record", kinds, tuple(f"{key}{'' if total else '?'}" for key in keys))
        if called == "TypeVar":
            bound = [one.value for one in value.keywords if one.arg == "bound"]
            return self.read(bound[0]) if bound else _union(list(map(self.read, value.args[1:])))
        return ANY

    def _class(self, node: ast.ClassDef) -> ValueKind:
        bases = [ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases]
        if {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"} & {*bases}:
            return ValueKind("enum", (), _members(node))
        if "Protocol" in bases:
            return self._protocol(node)
        if "TypedDict" in bases or self._is_record(bases):
            return self._record(node)
        decorators = [ast.unparse(one).split("(")[0].split(".")[-1] for one in node.decorator_list]
        if "NamedTuple" in bases or "dataclass" in decorators:
            return self._object(node)
        return INSTANCE

    def _protocol(self, node: ast.ClassDef) -> ValueKind:
        """Returns the kind of the ABC that a protocol asks for, by its one method."""
        methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        if methods and methods <= {"__iter__", "__len__", "__contains__"}:
            return ValueKind("collection", (ANY,))
        if methods <= {"__len__", "__getitem__", "__iter__", "__reversed__"}:
            return ValueKind("sequence", (ANY,))
        if methods <= {"__lt__", "__gt__", "__le__", "__ge__", "__eq__"}:
            return INT
        return INSTANCE

    def _is_record(self, bases: Sequence[str]) -> bool:
        parents = [self.definitions.get(base) for base in bases]
        return any(
            isinstance(parent, ast.ClassDef)
            and parent.name not in self.entered
            and self._defined(parent.name).name == "record"
            for parent in parents
        )

    def _record(self, node: ast.ClassDef) -> ValueKind:
        fields: dict[str, ValueKind] = {}
        for base in node.bases:
            parent = ast.unparse(base)
            if parent in self.definitions and parent not in self.entered:
                kind = self._defined(parent)
                fields |= dict(zip(kind.names, kind.parts, strict=True))
        total = all(ast.unparse(one.value) != "False" for one in node.keywords if one.arg)
        for field in node.body:
            if isinstance(field, ast.AnnAssign):
                marked = ast.unparse(field.annotation)
                needed = "Required[" in marked and "NotRequired[" not in marked
                needed = needed or (total and "NotRequired[" not in marked)
                fields[ast.unparse(field.target) + ("" if needed else "?")] = self.read(
                    field.annotation
                )
        return ValueKind("record", tuple(fields.values()), tuple(fields))

    def _object(self, node: ast.ClassDef) -> ValueKind:
        names, kinds = [node.name], []
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation):
                if field.value is not None and "init=False" in ast.unparse(field.value):
                    continue
                names.append(ast.unparse(field.target) + ("?" if field.value is not None else ""))
                kinds.append(self.read(field.annotation))
        inherits = any(ast.unparse(base) != "NamedTuple" for base in node.bases)
        if inherits or not kinds:  # more fields may stand elsewhere
            return INSTANCE
        return ValueKind("object", tuple(kinds), tuple(names))


def _plain(kinds: Sequence[ValueKind]) -> tuple[str, ...]:
    """Returns the names of the kinds of an object's items, if they are plain."""
    names = tuple(kind.name for kind in kinds)
    return names if all(kind in (INT, STR) for kind in kinds) else ()


def _members(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(
        f"{node.name}.{statement.targets[0].id}"
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        if not statement.targets[0].id.startswith("_")
    )


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _union(kinds: Sequence[ValueKind]) -> ValueKind:
    flat: dict[ValueKind, None] = {}
    for kind in kinds:
        for part in kind.parts if kind.name == "union" else (kind,):
            flat[part] = None
    if not flat or ANY in flat:
        return ANY
    return next(iter(flat)) if len(flat) == 1 else ValueKind("union", tuple(flat))
