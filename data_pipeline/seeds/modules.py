"""Parses Python files into separate definitions and resolves imports within one source.

Imports no modules: it only reads files.
"""

import ast
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.seeds.screening import MODULES, has_attribute
from data_pipeline.source.scopes import find_uses

_MAX_FILE = 2 << 20  # bytes; larger files are data


@dataclass(frozen=True)
class Import:
    """Holds the target of an imported name. attribute: None for the module itself."""

    module: str
    level: int
    attribute: str | None


class Module:
    """Holds a parsed file.

    bindings: name -> statements at module level that bind it or change its value
    imports:  name -> Import, from statements at module level
    stars:    modules imported from with "*"
    """

    def __init__(self, path: str, source: str):
        """Parses `source`; raises SyntaxError or ValueError if it is not valid Python."""
        self.path = path
        # Normalizes newlines as Python does; a form feed would shift columns.
        self.source = source.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")
        self.lines = self.source.split("\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ignore invalid escape sequences in the file
            self.tree = ast.parse(self.source)
        self.bindings: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, Import] = {}
        self.stars: list[Import] = []
        self.statements: list[ast.stmt] = []
        for statement in _flatten_statements(self.tree.body):
            self._add(statement)
        self.order = {id(statement): n for n, statement in enumerate(self.statements)}

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
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                self.imports[alias.asname or whole] = Import(whole, 0, None)
            return
        if isinstance(statement, ast.Delete):
            return  # the module no longer needs the name
        self.statements.append(statement)
        for name in sorted(bound_names(statement)):
            earlier = self.bindings.setdefault(name, [])
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and not _reads(
                statement, name
            ):
                earlier.clear()  # a redefinition replaces all earlier bindings
            earlier.append(statement)
            self.imports.pop(name, None)

    def functions(self) -> Iterator[ast.FunctionDef]:
        """Yields the functions at module level; if one is redefined, only the last definition."""
        for name, statements in self.bindings.items():
            last = statements[-1]
            if isinstance(last, ast.FunctionDef) and last.name == name:
                yield last

    def text(self, statement: ast.stmt) -> str:
        """Returns the source of a statement, dedented, with its decorators."""
        first = statement.lineno
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and statement.decorator_list:
            first = statement.decorator_list[0].lineno
        lines = self.lines[first - 1 : statement.end_lineno]
        return textwrap.dedent("\n".join(lines))


def _flatten_statements(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements at module level, with interpreter-dependent branches resolved.

    Resolves version checks and TYPE_CHECKING; of `try: import`, takes the branch with the fewest
    requirements.
    """
    for statement in statements:
        if isinstance(statement, ast.If):
            truth = _static_truth(statement.test)
            if truth is not None:
                yield from _flatten_statements(statement.body if truth else statement.orelse)
                continue
        if isinstance(statement, ast.Try) and _guards_import(statement):
            if _imports_only_available(statement.body):
                yield from _flatten_statements([*statement.body, *statement.orelse])
            else:
                yield from _flatten_statements(statement.handlers[0].body)
            yield from _flatten_statements(statement.finalbody)
            continue
        yield statement


def _static_truth(test: ast.expr) -> bool | None:
    """Evaluates a test of TYPE_CHECKING or sys.version_info; returns None for other tests."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.Compare(
            left=ast.Attribute(value=ast.Name(id="sys"), attr="version_info"),
            ops=[operator],
            comparators=[ast.Tuple() as bound],
        ):
            try:
                version = ast.literal_eval(bound)
            except ValueError:
                return None
            match operator:
                case ast.GtE():
                    return tuple(sys.version_info) >= version
                case ast.Lt():
                    return tuple(sys.version_info) < version
    return None


def _guards_import(statement: ast.Try) -> bool:
    caught = {
        node.id
        for handler in statement.handlers
        for node in ast.walk(handler.type or ast.Name("Exception", ast.Load()))
        if isinstance(node, ast.Name)
    }
    return bool(caught & {"ImportError", "ModuleNotFoundError", "Exception"}) and any(
        isinstance(node, (ast.Import, ast.ImportFrom)) for node in statement.body
    )


def _imports_only_available(statements: Sequence[ast.stmt]) -> bool:
    """Returns whether all imports are relative or from this Python's standard library."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            found = [(alias.name, None) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            found = [(statement.module or "", alias.name) for alias in statement.names]
        else:
            continue
        for name, attribute in found:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names or top.startswith("_"):
                return False
            if name in MODULES and not has_attribute(name, attribute):
                return False
    return True


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

    def module(self, path: str) -> Module | None:
        """Returns the module at a relative path; None if it is missing or not valid Python."""
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _read(self, path: str) -> Module | None:
        file = self.root / path
        try:
            if not file.is_file() or file.stat().st_size > _MAX_FILE:
                return None
            return Module(path, file.read_bytes().decode("utf-8-sig"))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
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

    def _at(self, parts: Sequence[str]) -> Module | None:
        path = "/".join(parts)
        return (self.module(f"{path}.py") if path else None) or self.module(
            f"{path}/__init__.py" if path else "__init__.py"
        )
