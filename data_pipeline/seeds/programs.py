"""Assembles a function or method and its dependencies into one program that runs alone."""

import ast
import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from data_pipeline.seeds.changes import changed_parameters
from data_pipeline.seeds.closure import MAX_LINES, Closure, Key, Part, final_text
from data_pipeline.seeds.methods import check_method, method_wrapper
from data_pipeline.seeds.modules import Library, Module
from data_pipeline.seeds.program_text import without_comment_lines
from data_pipeline.seeds.screening import (
    ScreeningError,
    check_entry,
    function_parameters,
    optional_parameters,
    returns_iterator,
    returns_value,
)
from data_pipeline.seeds.wrappers import Wrapper, function_wrapper

MAX_CHARACTERS = 4000
_ROUNDS = 12  # to find which methods a program uses


@dataclass(frozen=True)
class SeedProgram:
    """Holds an assembled program.

    code:    the program
    name:    its entry function
    wrapper: the wrapper that is its entry; None if the function itself is
    """

    code: str
    name: str
    wrapper: Wrapper | None


Functions = Mapping[str, ast.FunctionDef]
Fixed = Callable[[Set[str]], Mapping[str, str] | None]
"""Returns, for parameters that take a function, an expression for each, or None if unknown."""


def assemble_function(
    library: Library, module: Module, function: ast.FunctionDef, fixed: Fixed = lambda names: None
) -> SeedProgram:
    """Returns the program of a function at module level. Raises ScreeningError if refused."""
    check_entry(function)

    def wrap(parts: "_Parts") -> Wrapper | None:
        entry = parts.functions[parts.entry]
        passed = _passed_functions(entry, parts.functions, fixed)
        is_iterator = returns_iterator(entry, parts.closure.iterator_functions())
        changed: Sequence[str] = ()
        if not is_iterator and not returns_value(entry):
            changed = changed_parameters(entry, parts.functions)
        if not (passed or is_iterator or changed):
            return None
        return function_wrapper(
            entry, parts.names, is_iterator=is_iterator, changed=changed, fixed=passed
        )

    try:
        return _assemble(library, module, function.name, None, wrap)
    except ScreeningError as refused:
        try:  # without the methods that the program does not use
            return _assemble(library, module, function.name, frozenset({function.name}), wrap)
        except ScreeningError:
            raise refused from None


def assemble_method(
    library: Library, module: Module, owner: ast.ClassDef, method: ast.FunctionDef
) -> SeedProgram:
    """Returns the program of a method of a class at module level: the class and a wrapper."""
    check_method(method)

    def wrap(parts: "_Parts") -> Wrapper:
        final = parts.classes[parts.entry]
        found = next(
            inner
            for inner in final.body
            if isinstance(inner, ast.FunctionDef) and inner.name == method.name
        )
        return method_wrapper(
            final, found, parts.classes, parts.closure.iterator_functions(), parts.names
        )

    return _assemble(library, module, owner.name, frozenset({method.name}), wrap)


def _passed_functions(entry: ast.FunctionDef, functions: Functions, fixed: Fixed) -> Mapping:
    """Returns an expression for each required parameter that takes a function."""
    taken = function_parameters(entry, functions) - optional_parameters(entry)
    if not taken:
        return {}
    passed = fixed(taken)
    if passed is None:
        raise ScreeningError("takes a function", ", ".join(sorted(taken)))
    return passed


class _Parts:
    """Holds the statements of a program in their final text.

    entry:     the name of the function or class that the program is about
    functions, classes: of the program, by name
    names:     all names at module level
    """

    def __init__(self, closure: Closure, key: Key):
        self.closure = closure
        emitted = closure.emitted(key)
        self.entry = emitted[key]
        self.imports = closure.import_lines(emitted)
        self.parts: list[Part] = []
        self.functions: dict[str, ast.FunctionDef] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        for module in closure.modules:
            taken = [one for one in closure.taken.values() if one.module is module]
            taken.sort(key=lambda one: module.order.get(id(one.statement), 0))
            for one in taken:
                part = Part(final_text(one, emitted))
                self.parts.append(part)
                if isinstance(part.tree, ast.FunctionDef):
                    self.functions[part.tree.name] = part.tree
                elif isinstance(part.tree, ast.ClassDef):
                    self.classes[part.tree.name] = part.tree
        self.names = set(emitted.values())


def _assemble(
    library: Library,
    module: Module,
    name: str,
    mentions: frozenset[str] | None,
    wrap: Callable[[_Parts], Wrapper | None],
) -> SeedProgram:
    closure, key = _close(library, module, name, mentions)
    parts = _Parts(closure, key)
    wrapper = wrap(parts)
    code = _program_text(parts, wrapper)
    if _is_long(code):
        code = without_comment_lines(code)
    if _is_long(code):
        lines = code.count("\n")
        raise ScreeningError("program too long", f"{lines} lines, {len(code)} characters")
    try:
        compile(code, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ScreeningError("does not stand alone", str(error)) from None
    return SeedProgram(code, wrapper.name if wrapper else parts.entry, wrapper)


def _close(
    library: Library, module: Module, name: str, mentions: frozenset[str] | None
) -> tuple[Closure, Key]:
    """Collects a program; if `mentions` is given, only with methods that it may use."""
    for _ in range(_ROUNDS):
        closure = Closure(library, mentions)
        key = closure.add(module, name)
        if mentions is None:
            break
        more = mentions | closure.all_mentions()
        if more == mentions:
            break
        mentions = more
    return closure, key


def _program_text(parts: _Parts, wrapper: Wrapper | None) -> str:
    """Returns the program: imports, then each module's statements in source order.

    Statements needed when the program starts are moved before those that need them.
    """
    future = ["from __future__ import annotations"] if parts.closure.postponed else []
    texts = ["\n".join([*future, *parts.imports])]
    texts += [part.text for part in _order_parts(parts.parts, parts.entry)]
    if wrapper:
        texts.append(wrapper.code)
    return _join_statements([text for text in texts if text])


def _order_parts(parts: Sequence[Part], entry: str) -> list[Part]:
    defining: dict[str, list[Part]] = {}
    for part in parts:
        for name in part.fills:
            defining.setdefault(name, []).append(part)
    ordered: dict[int, Part] = {}

    def place(part: Part, started: set[int]) -> None:
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


def _entry_last(parts: list[Part], entry: str, defined: set[str]) -> list[Part]:
    """Moves the entry to the end, unless a later statement uses a definition at start."""
    at = next(n for n, part in enumerate(parts) if getattr(part.tree, "name", "") == entry)
    if any(part.needs_now & defined for part in parts[at + 1 :]):
        return parts
    return [*parts[:at], *parts[at + 1 :], parts[at]]


def _join_statements(parts: Sequence[str]) -> str:
    """Joins statements with a blank line around functions and classes."""
    lines = [parts[0]]
    for before, part in itertools.pairwise(parts):
        short = "\n" not in part and "\n" not in before and not before.startswith(("im", "from"))
        lines.append(part if short else "\n" + part)
    return "\n".join(lines) + "\n"


def _is_long(code: str) -> bool:
    return code.count("\n") > MAX_LINES or len(code) > MAX_CHARACTERS
