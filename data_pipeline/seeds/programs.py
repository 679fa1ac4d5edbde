"""Assembles a function and its dependencies into one program that runs alone."""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.seeds.modules import Import, Library, Module, bound_names
from data_pipeline.seeds.screening import (
    ScreeningError,
    check_builtin,
    check_entry,
    check_import,
    check_parameters,
    check_statement,
    returns_iterator,
)
from data_pipeline.source.fingerprints import is_docstring
from data_pipeline.source.scopes import find_needed_names, find_uses

MAX_LINES = 100  # per program, so that people and models can follow it
MAX_CHARACTERS = 4000
_MAX_STATEMENTS = 60  # at module level, in total
_TOOL_COMMENT = re.compile(r"#\s*(?:type:|noqa|pragma|pylint|mypy|pyright|fmt:|isort|doctest)")


@dataclass(frozen=True)
class SeedProgram:
    """Holds an assembled program.

    code:  the program
    name:  its entry function
    wraps: the generator function whose items the entry returns as a list; None without a wrapper
    """

    code: str
    name: str
    wraps: str | None


def assemble(library: Library, module: Module, function: ast.FunctionDef) -> SeedProgram:
    """Returns the program of a function at module level. Raises ScreeningError if refused."""
    check_entry(function)
    closure = _Closure(library)
    closure.add(module, function.name)
    check_parameters(function, {f.name: f for f in closure.functions()})
    name, wrapper = function.name, None
    if returns_iterator(function, closure.iterator_functions()):
        name, wrapper = _list_wrapper(function, closure.names())
    code = closure.code(function, wrapper)
    if _is_long(code):
        code = _without_comment_lines(code)
    if _is_long(code):
        raise ScreeningError("program too long")
    try:
        compile(code, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ScreeningError("does not stand alone", str(error)) from None
    return SeedProgram(code, name, function.name if wrapper else None)


class _Part:
    """Holds a statement of the program.

    needs:     names it uses
    needs_now: names it uses when the program starts, not only in function bodies
    fills:     names that it binds or changes
    """

    def __init__(self, module: Module, statement: ast.stmt):
        self.module = module
        self.statement = statement
        self.needs = find_needed_names([statement])[0]
        self.needs_now = find_needed_names([_without_bodies(statement)])[0]
        self.fills = bound_names(statement)


def _without_bodies(statement: ast.stmt) -> ast.stmt:
    """Returns the part of a statement that runs at once: of a function, defaults and decorators."""
    if isinstance(statement, ast.FunctionDef):
        copy = ast.FunctionDef(**{name: value for name, value in ast.iter_fields(statement)})
        copy.body = [ast.Pass()]
        return copy
    if isinstance(statement, ast.ClassDef):
        copy = ast.ClassDef(**{name: value for name, value in ast.iter_fields(statement)})
        copy.body = [_without_bodies(inner) for inner in statement.body]
        return copy
    return statement


class _Closure:
    """Collects the statements that a function depends on, transitively and across modules."""

    def __init__(self, library: Library):
        self.library = library
        self.modules: list[Module] = []  # dependencies first
        self.taken: dict[int, tuple[Module, ast.stmt]] = {}
        self.owners: dict[str, Module | str] = {}  # name -> module, or text of its import
        self.imports: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.seen: set[tuple[str, str]] = set()
        self.postponed = False  # whether annotations use undefined names

    def add(self, module: Module, name: str) -> None:
        """Adds the definition of a name and its dependencies. Raises ScreeningError if refused."""
        if (module.path, name) in self.seen:
            return
        self.seen.add((module.path, name))
        if name in module.bindings:
            self._own(name, module)
            self._take(module, module.bindings[name])
        elif name in module.imports:
            self._follow(module, name, module.imports[name])
        elif not self._from_star(module, name):
            check_builtin(name)

    def _own(self, name: str, owner: Module | str) -> None:
        known = self.owners.setdefault(name, owner)
        if known != owner:
            raise ScreeningError("names clash", name)

    def _take(self, module: Module, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if id(statement) in self.taken:
                continue
            if len(self.taken) >= _MAX_STATEMENTS:
                raise ScreeningError("program too long")
            self.taken[id(statement)] = (module, statement)
            check_statement(statement)
            run, told = find_needed_names([statement])
            for name in sorted(run):
                self.add(module, name)
            for name in sorted(told):
                self._annotate(module, name)
            for name in _bound_names(statement):
                self._own(name, module)
                self.add(module, name)
        if module not in self.modules:
            self.modules.append(module)

    def _annotate(self, module: Module, name: str) -> None:
        """Imports a name used only in annotations if that is allowed; else leaves it as text."""
        found = module.imports.get(name)
        if name in module.bindings or (found is None and name in self.owners):
            self.postponed = True
            return
        try:
            if found is None:
                check_builtin(name)
            elif self.library.resolve_import(module, found) is not None:
                self.postponed = True
            else:
                self._follow(module, name, found)
        except ScreeningError:
            self.postponed = True

    def _follow(self, module: Module, name: str, found: Import) -> None:
        if not found.level and _is_allowed(found):
            if found.attribute is None:
                text = f"import {found.module}"
                text += f" as {name}" if name != found.module else ""
            else:
                text = f"from {found.module} import {found.attribute}"
                text += f" as {name}" if name != found.attribute else ""
            self._own(name, text)
            self.imports.add(text)
            return
        target = self.library.resolve_import(module, found)
        if target is None or target is module:
            check_import(("." * found.level) + found.module, found.attribute)
            raise ScreeningError("foreign import", found.module)
        if found.attribute is None or not _may_define(target, found.attribute):
            raise ScreeningError("needs a whole module", f"{found.module}.{found.attribute or ''}")
        self.add(target, found.attribute)
        if found.attribute != name:
            self._own(name, f"{name} = {found.attribute}")
            self.aliases[name] = found.attribute

    def _from_star(self, module: Module, name: str) -> bool:
        for star in module.stars:
            target = self.library.resolve_import(module, star)
            if target is not None and not name.startswith("_") and _may_define(target, name):
                self.add(target, name)
                return True
        return False

    def names(self) -> set[str]:
        return set(self.owners)

    def functions(self) -> list[ast.FunctionDef]:
        return [s for _, s in self.taken.values() if isinstance(s, ast.FunctionDef)]

    def iterator_functions(self) -> frozenset[str]:
        """Returns the functions that return an iterator, iterating to a fixed point."""
        functions = self.functions()
        known: frozenset[str] = frozenset()
        while True:
            more = frozenset(f.name for f in functions if returns_iterator(f, known))
            if more == known:
                return known
            known = more

    def code(self, entry: ast.stmt, wrapper: str | None) -> str:
        """Returns the program's text: imports, then each module's statements in source order.

        Statements needed when the program starts are moved before those that need them.
        """
        future = ["from __future__ import annotations"] if self.postponed else []
        parts = ["\n".join([*future, *sorted(self.imports, key=_import_order)])]
        parts += [_clean_text(part.module, part.statement) for part in self._order_parts(entry)]
        if wrapper:
            parts.append(wrapper)
        return _join_statements([part for part in parts if part])

    def _order_parts(self, entry: ast.stmt) -> list[_Part]:
        parts: list[_Part] = []
        for module in self.modules:
            statements = [s for owner, s in self.taken.values() if owner is module]
            statements.sort(key=lambda statement: module.order.get(id(statement), 0))
            parts += [_Part(module, statement) for statement in statements]
            parts += [
                _Part(module, ast.parse(f"{name} = {attribute}").body[0])
                for name, attribute in self.aliases.items()
                if self.owners.get(attribute) in (module, self.owners.get(name))
            ]
        defining: dict[str, list[_Part]] = {}
        for part in parts:
            for name in part.fills:
                defining.setdefault(name, []).append(part)
        ordered: dict[int, _Part] = {}

        def place(part: _Part, started: set[int]) -> None:
            if id(part) in ordered or id(part) in started:
                return
            started.add(id(part))
            for name in sorted(part.needs_now):
                run(name, started, set())
            ordered[id(part)] = part

        def run(name: str, started: set[int], seen: set[str]) -> None:
            """Places the definitions of a name and everything that calling it may need."""
            if name in seen:
                return
            seen.add(name)
            for part in defining.get(name, ()):
                for further in sorted(part.needs):
                    run(further, started, seen)
                place(part, started)

        for part in parts:
            place(part, set())
        return _entry_last(list(ordered.values()), entry, set(defining))


def _entry_last(parts: list[_Part], entry: ast.stmt, defined: set[str]) -> list[_Part]:
    """Moves the entry to the end, unless a later statement uses a definition at start."""
    at = next(n for n, part in enumerate(parts) if part.statement is entry)
    if any(part.needs_now & defined for part in parts[at + 1 :]):
        return parts
    return [*parts[:at], *parts[at + 1 :], parts[at]]


def _is_allowed(found: Import) -> bool:
    try:
        check_import(found.module, found.attribute)
    except ScreeningError:
        return False
    return True


def _may_define(module: Module, name: str) -> bool:
    return name in module.bindings or name in module.imports or bool(module.stars)


def _bound_names(statement: ast.stmt) -> list[str]:
    """Returns all names that a statement binds, such as `a` and `b` for `a, b = 1, 2`."""
    return sorted(
        {
            use.name
            for use in find_uses(ast.Module([statement], []))
            if use.binds and use.scope is not None and use.scope.kind == "module"
        }
    )


def _import_order(text: str) -> tuple[bool, str]:
    return text.startswith("from"), text


def _join_statements(parts: Sequence[str]) -> str:
    """Joins statements with a blank line around functions and classes."""
    lines = [parts[0]]
    for before, part in itertools.pairwise(parts):
        short = "\n" not in part and "\n" not in before and not before.startswith(("im", "from"))
        lines.append(part if short else "\n" + part)
    return "\n".join(lines) + "\n"


def _list_wrapper(function: ast.FunctionDef, taken: set[str]) -> tuple[str, str]:
    """Returns (name, source) of a function that lists `function`'s items; same signature."""
    name = f"{function.name}_list".removeprefix("_")
    while name in taken:
        name += "_"
    arguments = function.args
    given = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    given += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    given += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    given += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    call = f"{function.name}({', '.join(given)})"
    signature = ast.unparse(arguments)
    return name, f"def {name}({signature}):\n    return list({call})"


# ---- text ---------------------------------------------------------------------------------------


def _clean_text(module: Module, statement: ast.stmt) -> str:
    """Returns the source text of a statement without docstrings and tool comments."""
    if id(statement) not in module.order:  # added by this module
        return ast.unparse(statement)
    text = module.text(statement)
    expected = _dump_without_docstrings(statement)
    cleaned = _without_tool_comments(_without_docstrings(text))
    for candidate in (cleaned.expandtabs(8), cleaned, _without_docstrings(text)):
        try:
            tree = ast.parse(candidate)
        except (SyntaxError, ValueError):
            continue
        if len(tree.body) == 1 and _dump_without_docstrings(tree.body[0]) == expected:
            return candidate.strip("\n")
    copy = ast.parse(ast.unparse(statement))
    _drop_docstrings(copy)
    return ast.unparse(copy)


def _dump_without_docstrings(statement: ast.stmt) -> str:
    copy = ast.parse(ast.unparse(statement))
    _drop_docstrings(copy)
    return ast.dump(copy)


def _nodes_with_docstrings(
    tree: ast.AST,
) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and is_docstring(node.body[0])
    ]


def _drop_docstrings(tree: ast.AST) -> None:
    for node in _nodes_with_docstrings(tree):
        del node.body[0]
        if not node.body:
            node.body.append(ast.Pass())


def _without_docstrings(text: str) -> str:
    """Removes docstrings by line; keeps those that share a line, which the caller checks."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    lines: list[str | None] = list(text.split("\n"))
    for node in _nodes_with_docstrings(tree):
        docstring = node.body[0]
        assert docstring.end_lineno is not None
        for number in range(docstring.lineno - 1, docstring.end_lineno):
            lines[number] = None
        if len(node.body) == 1:
            lines[docstring.lineno - 1] = " " * docstring.col_offset + "pass"
            continue
        after = docstring.end_lineno
        while after < len(lines) and lines[after] is not None and not lines[after].strip():  # type: ignore[union-attr]
            lines[after] = None
            after += 1
    return "\n".join(line.rstrip() for line in lines if line is not None)


def _is_long(code: str) -> bool:
    return code.count("\n") > MAX_LINES or len(code) > MAX_CHARACTERS


def _without_comment_lines(code: str) -> str:
    lines = code.split("\n")
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(code).readline))):
        if token.type == tokenize.COMMENT and token.line.strip() == token.string:
            del lines[token.start[0] - 1]
    return "\n".join(lines)


def _without_tool_comments(text: str) -> str:
    lines = text.split("\n")
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return text
    for token in reversed(tokens):
        if token.type == tokenize.COMMENT and _TOOL_COMMENT.match(token.string):
            row, column = token.start
            kept = lines[row - 1][:column].rstrip()
            if kept:
                lines[row - 1] = kept
            else:
                del lines[row - 1]
    return "\n".join(lines)
