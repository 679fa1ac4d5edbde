"""Collects the statements that a function or class depends on, across the modules of one source."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from data_pipeline.seeds.local_imports import take_local_imports
from data_pipeline.seeds.modules import Definition, Import, Library, Module, bound_names
from data_pipeline.seeds.program_text import clean_text, dotted_path, rename
from data_pipeline.seeds.pruning import mentioned_names, prune_class
from data_pipeline.seeds.screening import (
    ScreeningError,
    check_alias,
    check_builtin,
    check_import,
    check_statement,
    returns_iterator,
)
from data_pipeline.seeds.type_definitions import defines_type
from data_pipeline.source.scopes import Use, find_needed_names, find_uses

MAX_LINES = 100  # per program, so that people and models can follow it
_MAX_STATEMENTS = 60  # at module level, in total


@dataclass(frozen=True)
class Key:
    """Identifies what a name of a module stands for.

    kind:   "own" (bound by a statement of `place`, a module's path), "import" (`place` is the text
            of the import, without "as") or "builtin"
    """

    kind: str
    place: str
    name: str


@dataclass(eq=False)
class Taken:
    """Holds one statement of the program.

    text:       cleaned source
    names:      the names in it
    refs:       name in the text -> what it stands for
    paths:      path such as ("module", "name") -> what it stands for
    imports:    what its functions import themselves from modules of the source
    """

    module: Module
    statement: ast.stmt
    text: str
    names: "StatementNames"
    imports: Mapping[str, Import]
    refs: dict[str, Key] = field(default_factory=dict)
    paths: dict[tuple[str, ...], Key] = field(default_factory=dict)

    @property
    def tree(self) -> ast.stmt:
        return self.names.tree


@dataclass(frozen=True, eq=False)
class StatementNames:
    """Holds the names in the text of one statement at module level.

    run, told: names that running it needs from elsewhere, and that its annotations use
    bound:     names that it binds at module level, such as `a` and `b` for `a, b = 1, 2`
    local:     names bound in its functions and classes
    mentions:  see `pruning.mentioned_names`
    """

    tree: ast.stmt
    run: frozenset[str]
    told: frozenset[str]
    bound: tuple[str, ...]
    local: frozenset[str]
    mentions: frozenset[str]


@lru_cache(maxsize=4096)
def names_of(text: str) -> StatementNames:
    """Finds the names in a statement; a program's neighbours share most statements."""
    tree = ast.parse(text)
    uses = find_uses(tree)
    run = {use.name for use in uses if use.scope is None and not use.annotation}
    own = {use.name for use in uses if _is_of_module(use) and use.binds}
    told = {
        use.name
        for use in uses
        if use.annotation and (use.scope is None or (use.name in own and not use.binds))
    }
    local = {use.name for use in uses if use.binds and use.scope and not _is_of_module(use)}
    return StatementNames(
        tree.body[0],
        frozenset(run),
        frozenset(told - run),
        tuple(sorted(own)),
        frozenset(local),
        mentioned_names([tree]),
    )


def _is_of_module(use: Use) -> bool:
    return use.scope is not None and use.scope.kind == "module"


@lru_cache(maxsize=4096)
def _fault_of(text: str) -> tuple[str, str] | None:
    """Returns why a statement cannot be in a program; None if it can."""
    try:
        check_statement(names_of(text).tree)
    except ScreeningError as refused:
        return refused.reason, refused.detail
    return None


class Closure:
    """Collects statements, then names what they bind so that nothing clashes.

    mentions: attributes and names that the program may use; methods of classes that are not among
              them are left out. None keeps all.
    """

    def __init__(self, library: Library, mentions: frozenset[str] | None = None):
        self.library = library
        self.mentions = mentions
        self.modules: list[Module] = []  # dependencies first
        self.taken: dict[int, Taken] = {}
        self.keys: dict[tuple[str, str], Key | None] = {}  # (module, name) -> what it stands for
        self.size = 0  # lines of code
        self.postponed = False  # whether annotations use undefined names

    def add(self, module: Module, name: str) -> Key:
        """Adds the definition of a name and its dependencies. Raises ScreeningError if refused."""
        place = module.path, name
        if place in self.keys:
            key = self.keys[place]
            if key is None:
                raise ScreeningError("undefined name", f"{name}: its imports go in a circle")
            return key
        self.keys[place] = None
        key = self.keys[place] = self._find(module, name)
        if key.kind == "own" and key.place == module.path:
            self._take(module, module.bindings[name])
        return key

    def _find(self, module: Module, name: str) -> Key:
        if name in module.bindings:
            return Key("own", module.path, name)
        if name in module.imports:
            return self._follow(module, name, module.imports[name])
        if name in module.lost:
            raise ScreeningError("not readable by this Python", f"it needs `{name}`")
        star = self._from_star(module, name)
        if star is not None:
            return star
        check_builtin(name)
        return Key("builtin", "", name)

    def _take(self, module: Module, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            if id(statement) in self.taken:
                continue
            if len(self.taken) >= _MAX_STATEMENTS:
                raise ScreeningError("program too long", f"more than {_MAX_STATEMENTS} statements")
            taken = self.taken[id(statement)] = self._prepare(module, statement)
            fault = _fault_of(taken.text)
            if fault is not None:
                raise ScreeningError(*fault)
            self._add_needs(taken)
            for name in taken.names.bound:
                taken.refs[name] = self.add(module, name)
        if module not in self.modules:
            self.modules.append(module)

    def _prepare(self, module: Module, statement: ast.stmt) -> Taken:
        text = module.cleaned.get(id(statement))
        if text is None:
            text = module.cleaned[id(statement)] = clean_text(module.text(statement), statement)
        if self.mentions is not None and isinstance(statement, ast.ClassDef):
            text = prune_class(text, self.mentions)
        text, imports = take_local_imports(text, lambda found: self._is_inside(module, found))
        if any(self._clashes(module, name, found) for name, found in imports.items()):
            raise ScreeningError("names clash", ", ".join(imports))
        self.size += sum(map(_is_code, text.split("\n")))
        if self.size > MAX_LINES:
            raise ScreeningError("program too long", f"more than {MAX_LINES} lines")
        return Taken(module, statement, text, names_of(text), imports)

    def _is_inside(self, module: Module, found: Import) -> bool:
        """Returns whether an import is of a module of this source, or of a thing in one."""
        return bool(found.level or not is_allowed(found)) and (
            self.library.resolve_import(module, found) is not None
            or self._module_of(module, found) is not None
        )

    def _clashes(self, module: Module, name: str, found: Import) -> bool:
        """Returns whether a name that a function imports is another thing at module level."""
        return name in module.bindings or module.imports.get(name, found) != found

    def _add_needs(self, taken: Taken) -> None:
        module = taken.module
        for name in sorted(taken.names.run):
            if name == "hash" and _hashes_itself(taken.tree):
                continue
            local = taken.imports.get(name)
            target = self._module_of(module, local) if local else self._whole_module(module, name)
            if target is None:
                key = self._follow(module, name, local) if local else self.add(module, name)
                taken.refs[name] = key
            else:
                self._add_attributes(taken, name, target)
        for name in sorted(taken.names.told):
            self._annotate(taken, name)

    # ---- annotations

    def _annotate(self, taken: Taken, name: str) -> None:
        """Adds a name used only in annotations if that is allowed; else leaves it as text."""
        module = taken.module
        found = module.imports.get(name)
        try:
            if name in module.bindings or (found and self.library.resolve_import(module, found)):
                key = self._define_type(module, name)
                if key is None or _comes_later(module.bindings.get(name, ()), taken.statement):
                    self.postponed = True
                if key is not None:
                    taken.refs[name] = key
            elif found is not None:
                taken.refs[name] = self.add(module, name)
            else:
                check_builtin(name)
        except ScreeningError:
            self.postponed = True
            self.keys.pop((module.path, name), None)

    def _define_type(self, module: Module, name: str) -> Key | None:
        """Adds the definition of a type; None if it is another thing or cannot be in a program."""
        found = module.imports.get(name)
        if name in module.bindings:
            statements = module.bindings[name]
        else:
            target = found and self.library.resolve_import(module, found)
            statements = target.bindings.get(found.attribute or "", []) if target and found else []
        if len(statements) != 1 or not defines_type(statements[0]):
            return None
        before = list(self.modules), dict(self.taken), dict(self.keys), self.size, self.postponed
        try:
            return self.add(module, name)
        except ScreeningError:
            self.modules, self.taken, self.keys, self.size, self.postponed = before
            return None

    # ---- imports

    def _follow(self, module: Module, name: str, found: Import) -> Key:
        if not found.level and is_allowed(found):
            if found.attribute is None:
                check_alias(found.module, name)
                return Key("import", f"import {found.whole or found.module}", name)
            return Key("import", f"from {found.module} import {found.attribute}", name)
        target = self.library.resolve_import(module, found)
        if target is None or target is module or found.attribute is None:
            check_import(("." * found.level) + found.module, found.attribute)
            raise ScreeningError("foreign import", found.module)
        if not _may_define(target, found.attribute):
            whole = f"{found.module}.{found.attribute}"
            raise ScreeningError("undefined name", f"{whole} is not in {target.path}")
        return self.add(target, found.attribute)

    def _from_star(self, module: Module, name: str) -> Key | None:
        for star in module.stars:
            target = self.library.resolve_import(module, star)
            if target is not None and not name.startswith("_") and _may_define(target, name):
                return self.add(target, name)
        return None

    def _whole_module(self, module: Module, name: str) -> Module | None:
        """Returns the module of this source that a name stands for, None for any other name."""
        found = module.imports.get(name)
        if found is None or name in module.bindings or (not found.level and is_allowed(found)):
            return None
        return self._module_of(module, found)

    def _module_of(self, module: Module, found: Import) -> Module | None:
        """Returns the module of this source that an import gives; None for a thing in one."""
        target = self.library.resolve_import(module, found)
        if found.attribute is None:
            return target
        if target is not None and _may_define(target, found.attribute):
            return None
        if target is not None:
            return self.library.submodule(target, found.attribute)
        below = f"{found.module}.{found.attribute}".lstrip(".")
        return self.library.resolve_import(module, Import(below, found.level, None))

    def _add_attributes(self, taken: Taken, name: str, target: Module) -> None:
        """Adds what a statement uses of a module, such as `f` of `module.f(x)`."""
        paths = {
            path for node in ast.walk(taken.tree) if (path := dotted_path(node))[:1] == (name,)
        }
        names = [n for n in ast.walk(taken.tree) if isinstance(n, ast.Name) and n.id == name]
        for path in paths:
            owner = target
            for depth, attribute in enumerate(path[1:], 1):
                below = None if _may_define(owner, attribute) else self._below(owner, attribute)
                if below is not None:
                    owner = below
                    continue
                taken.paths[path[: depth + 1]] = self.add(owner, attribute)
                break
        reached = [path for path in taken.paths if path[0] == name]
        found = sum(dotted_path(node) in reached for node in ast.walk(taken.tree))
        if found != len(names):
            raise ScreeningError("needs a whole module", name)
        for node in ast.walk(taken.tree):
            if dotted_path(node) in reached and not isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
                raise ScreeningError("module state", ast.unparse(node))

    def _below(self, owner: Module, name: str) -> Module | None:
        found = owner.imports.get(name)
        if found is not None:
            return self._whole_module(owner, name)
        return self.library.submodule(owner, name)

    # ---- results

    def all_mentions(self) -> frozenset[str]:
        return frozenset().union(*(taken.names.mentions for taken in self.taken.values()))

    def functions(self) -> list[ast.FunctionDef]:
        trees = (taken.tree for taken in self.taken.values())
        return [tree for tree in trees if isinstance(tree, ast.FunctionDef)]

    def iterator_functions(self) -> frozenset[str]:
        """Returns the functions that return an iterator, iterating to a fixed point."""
        functions = self.functions()
        known: frozenset[str] = frozenset()
        while True:
            more = frozenset(f.name for f in functions if returns_iterator(f, known))
            if more == known:
                return known
            known = more

    def emitted(self, entry: Key) -> Mapping[Key, str]:
        """Returns the name of each thing in the program; `entry` keeps its own if it can."""
        uses: dict[Key, list[tuple[str, Taken]]] = {entry: []}
        for taken in self.taken.values():
            for name, key in taken.refs.items():
                uses.setdefault(key, []).append((name, taken))
            for path, key in taken.paths.items():
                uses.setdefault(key, []).append((".".join(path), taken))
        names = {key: key.name for key in uses if key.kind == "builtin"}
        used = set(names.values())
        for key, places in uses.items():
            if key.kind == "builtin":
                continue
            names[key] = next(
                name for name in _candidates(key) if name not in used and _fits(name, places)
            )
            used.add(names[key])
        return names

    def import_lines(self, names: Mapping[Key, str]) -> list[str]:
        whole: set[str] = set()
        parts: dict[str, list[str]] = {}
        for key, name in names.items():
            if key.kind != "import":
                continue
            start, _, last = key.place.rpartition("import ")
            is_plain = name == last or (not start and last.split(".")[0] == name)
            text = last if is_plain else f"{last} as {name}"
            if start:
                parts.setdefault(start, []).append(text)
            else:
                whole.add(f"import {text}")
        lines = [f"{start}import {', '.join(sorted(parts[start]))}" for start in sorted(parts)]
        return [*sorted(whole), *lines]


def final_text(taken: Taken, names: Mapping[Key, str]) -> str:
    """Returns the text of a statement with the names of the program."""
    try:
        return rename(
            taken.text,
            {name: names[key] for name, key in taken.refs.items() if key.kind != "builtin"},
            {path: names[key] for path, key in taken.paths.items()},
        )
    except SyntaxError as error:
        raise ScreeningError("names clash", str(error)) from None


def _candidates(key: Key) -> Iterable[str]:
    yield key.name
    folder, _, file = key.place.replace(".py", "").rpartition("/")
    stem = file if file != "__init__" else folder.rpartition("/")[2]
    stem = "".join(c if c.isalnum() else "_" for c in stem).strip("_") if key.kind == "own" else ""
    base = f"{stem}_{key.name.strip('_')}" if stem and not stem[0].isdigit() else f"{key.name}_"
    yield base
    for number in range(2, 1000):
        yield f"{base}{number}"


def _fits(name: str, places: Iterable[tuple[str, Taken]]) -> bool:
    """Returns whether no variable of the statements would hide the name."""
    return all(name == written or name not in taken.names.local for written, taken in places)


def is_allowed(found: Import) -> bool:
    try:
        check_import(found.module, found.attribute)
    except ScreeningError:
        return False
    return True


def _comes_later(definitions: Sequence[ast.stmt], user: ast.stmt) -> bool:
    """Returns whether a definition stands below the statement whose annotations use it."""
    return any(definition.lineno > user.lineno for definition in definitions)


def _may_define(module: Module, name: str) -> bool:
    return name in module.bindings or name in module.imports or bool(module.stars)


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _hashes_itself(statement: ast.stmt) -> bool:
    """Returns whether `hash` is called only by methods `__hash__`, whose value no result shows."""
    inside = {
        id(inner)
        for node in ast.walk(statement)
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__"
        for inner in ast.walk(node)
    }
    return all(
        id(node) in inside
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id == "hash"
    )


class Part:
    """Holds a statement in its final text, to be ordered.

    needs:     names it uses
    needs_now: names it uses when the program starts, not only in function bodies
    fills:     names that it binds or changes
    """

    def __init__(self, text: str):
        self.text = text
        self.tree = statement = ast.parse(text).body[0]
        self.needs = find_needed_names([statement])[0]
        self.needs_now = find_needed_names([_without_bodies(statement)])[0]
        self.fills = bound_names(statement)


def _without_bodies(statement: ast.stmt) -> ast.stmt:
    """Returns the part of a statement that runs at once: of a function, defaults and decorators."""
    if not isinstance(statement, Definition) or isinstance(statement, ast.AsyncFunctionDef):
        return statement
    copy = type(statement)(**{name: value for name, value in ast.iter_fields(statement)})
    is_class = isinstance(statement, ast.ClassDef)
    copy.body = [_without_bodies(inner) for inner in statement.body] if is_class else [ast.Pass()]
    return copy
