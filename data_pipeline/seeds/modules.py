"""Separates Python files into definitions and resolves imports within one source.

Imports no modules: it only reads files.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.seeds.branches import Branches, Dropped
from data_pipeline.seeds.reading import (
    PYTHON,
    Unreadable,
    decode_source,
    describe_error,
    parse_source,
    statements_within,
)
from data_pipeline.source.scopes import find_uses

_MAX_FILE = 2 << 20  # bytes; larger files are data
_FORM_FEEDS = re.compile(r"^[ \t]*\f+", re.MULTILINE)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Import:
    """Holds the target of an imported name. attribute: None for the module itself.

    whole: the dotted name that `import a.b` loads, although it binds `a`
    """

    module: str
    level: int
    attribute: str | None
    whole: str = ""


class Module:
    """Holds a parsed file.

    bindings:   name -> statements at module level that bind it or change its value
    imports:    name -> Import, from statements at module level
    stars:      modules imported from with "*"
    unreadable: parts that Python cannot parse
    dropped:    definitions that this Python does not reach, or that a later one replaces
    """

    def __init__(self, path: str, source: str):
        """Parses `source`; parts that are not valid Python go to `unreadable`."""
        self.path = path
        # Normalizes newlines as Python does.
        self.source = source.replace("\r\n", "\n").replace("\r", "\n")
        self.lines = self.source.split("\n")
        body, unreadable = parse_source(self.source)
        self.tree = ast.Module([*body], [])
        self.unreadable: list[Unreadable] = [*unreadable]
        self.bindings: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, Import] = {}
        self.stars: list[Import] = []
        self.statements: list[ast.stmt] = []
        branches = Branches()
        self.dropped: list[Dropped] = branches.dropped
        for statement in branches.flatten(body):
            self._add(statement)
        self.order = {id(statement): n for n, statement in enumerate(self.statements)}
        self.cleaned: dict[int, str] = {}  # of statements, by id, for those who write programs
        self.lost = {fault.name for fault in self.unreadable if fault.name}
        for name in self.lost:
            self.bindings.pop(name, None)
        self._definitions = [*self._find_definitions()]

    def _add(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                found = Import(statement.module or "", statement.level, alias.name)
                if alias.name == "*":
                    self.stars.append(found)
                else:
                    self.imports[alias.asname or alias.name] = found
                    self.bindings.pop(alias.asname or alias.name, None)
            return
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                bound = alias.asname or alias.name.split(".")[0]
                module = alias.name if alias.asname else bound
                self.imports[bound] = Import(module, 0, None, alias.name)
            return
        if isinstance(statement, ast.Delete):
            return  # the module no longer needs the name
        try:
            names = sorted(bound_names(statement))
        except RecursionError as error:
            self._lose(statement, error)
            return
        self.statements.append(statement)
        for name in names:
            earlier = self.bindings.setdefault(name, [])
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and not _reads(
                statement, name
            ):
                self._replace(earlier, name)
            earlier.append(statement)
            self.imports.pop(name, None)

    def _lose(self, statement: ast.stmt, error: RecursionError) -> None:
        name = getattr(statement, "name", "")
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
        message = describe_error(error, statement.lineno)
        self.unreadable.append(Unreadable(name, statement.lineno, message))

    def _replace(self, earlier: list[ast.stmt], name: str) -> None:
        """Drops the earlier bindings of a name that a definition binds anew."""
        for statement in earlier:
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and statement.name == name:
                self._drop(statement, "defined again")
        earlier.clear()

    def functions(self) -> Iterator[ast.FunctionDef]:
        """Yields the functions at module level; if one is redefined, only the last definition."""
        for statement in self._definitions:
            if isinstance(statement, ast.FunctionDef):
                yield statement

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yields the classes at module level; if one is redefined, only the last definition."""
        for statement in self._definitions:
            if isinstance(statement, ast.ClassDef):
                yield statement

    def _find_definitions(self) -> Iterator[ast.FunctionDef | ast.ClassDef]:
        """Yields the definitions that last: an attribute may be set or a decorator be applied."""
        for statement in self.statements:
            if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                continue
            later = self.bindings.get(statement.name, [])
            if statement not in later:
                if statement.name in self.lost or statement.name in self.imports:
                    self._drop(statement, "bound again")
                continue
            later = later[later.index(statement) + 1 :]
            if all(_keeps(one, statement.name) for one in later):
                yield statement
            else:
                self._drop(statement, "bound again")

    def _drop(self, statement: ast.FunctionDef | ast.ClassDef, how: str) -> None:
        detail = f"`{statement.name}` is {how} further down"
        self.dropped.append(
            Dropped(statement.name, statement.lineno, "defined again later", detail)
        )

    def conditional(self) -> Iterator[Definition]:
        """Yields the definitions in blocks of which no static reading tells whether they run."""
        for statement in self.statements:
            if isinstance(statement, Definition):
                continue
            for inner in statements_within(statement):
                if isinstance(inner, Definition):
                    yield inner

    def text(self, statement: ast.stmt) -> str:
        """Returns the source of a statement, dedented, with its decorators, no form feeds."""
        first = statement.lineno
        if isinstance(statement, Definition) and statement.decorator_list:
            first = statement.decorator_list[0].lineno
        lines = self.lines[first - 1 : statement.end_lineno]
        return textwrap.dedent(_FORM_FEEDS.sub("", "\n".join(lines)))


def bound_names(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement at module level binds or whose value it changes."""
    names = {
        use.name
        for use in find_uses(ast.Module([statement], []))
        if use.binds and use.scope is not None and use.scope.kind == "module"
    }
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return names
    for node in ast.walk(statement):
        changed: Sequence[ast.expr] = ()
        match node:
            case ast.Assign(targets=targets):
                changed = targets
            case ast.AugAssign(target=target):
                changed = [target]
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner))):
                names |= _root(owner)
        for target in changed:
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                names |= _root(target)
    return names


def _keeps(statement: ast.stmt, name: str) -> bool:
    """Returns whether a statement leaves a definition as it is, or wraps it: `f = cached(f)`."""
    reads = any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in ast.walk(statement)
    )
    return reads and not isinstance(statement, (ast.FunctionDef, ast.ClassDef))


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _reads(statement: ast.stmt, name: str) -> bool:
    """Returns whether a definition uses the previous value of its name.

    It may do so in a decorator, a base class or a default.
    """
    if isinstance(statement, ast.ClassDef):
        parts: list[ast.AST] = [*statement.decorator_list, *statement.bases]
    else:
        assert isinstance(statement, ast.FunctionDef)
        parts = [*statement.decorator_list, *statement.args.defaults]
    found = (node for part in parts for node in ast.walk(part))
    return any(isinstance(node, ast.Name) and node.id == name for node in found)


class Library:
    """Reads the files of a source on demand.

    root:   folder
    within: relative folder or file that absolute imports may reach, "" for all
    """

    def __init__(self, root: str | Path, within: str = ""):
        self.root = Path(root)
        self.within = within
        self._known: dict[str, Module | None] = {}
        self.faults: dict[str, str] = {}  # path -> why the file cannot be read

    def module(self, path: str) -> Module | None:
        """Returns the module at a relative path; None if it is missing or cannot be read."""
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _read(self, path: str) -> Module | None:
        file = self.root / path
        try:
            if not file.is_file():
                return None
            if file.stat().st_size > _MAX_FILE:
                self.faults[path] = f"expected at most {_MAX_FILE:,} bytes; larger files are data"
                return None
            return Module(path, decode_source(file.read_bytes()))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.faults[path] = f"line {line}: bytes that are no {error.encoding} ({PYTHON})"
        except OSError as error:
            self.faults[path] = error.strerror or str(error)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.faults[path] = describe_error(error)
        return None

    def resolve_import(self, importer: Module, found: Import) -> Module | None:
        """Returns the module of this source that an import refers to; None if it is outside."""
        here = importer.path.split("/")[:-1]
        parts = found.module.split(".") if found.module else []
        if found.level:
            if found.level - 1 > len(here):
                return None
            return self._at([*here[: len(here) - found.level + 1], *parts])
        for depth in range(len(here), -1, -1):  # the import root is unknown: try each folder
            base = here[:depth]
            target = "/".join([*base, *parts])
            if self.within and not (target + "/").startswith(self.within + "/"):
                continue
            module = self._at([*base, *parts])
            if module is not None:
                return module
        return None

    def submodule(self, package: Module, name: str) -> Module | None:
        """Returns a module inside a package's folder."""
        *folder, file = package.path.split("/")
        return self._at([*folder, name]) if file == "__init__.py" else None

    def _at(self, parts: Sequence[str]) -> Module | None:
        path = "/".join(parts)
        return (self.module(f"{path}.py") if path else None) or self.module(
            f"{path}/__init__.py" if path else "__init__.py"
        )
