"""Reads seeds from a folder, a JSONL file or an installed package."""

import ast
import functools
import importlib.machinery
import itertools
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.files import RowError, local_copy, parse_row, read_numbered_lines
from data_pipeline.seeds.examples import (
    CallExample,
    Target,
    docstring_examples,
    examples_of_tests,
    extract_description,
    passed_functions,
    test_examples,
    with_imports,
)
from data_pipeline.seeds.modules import Library, Module
from data_pipeline.seeds.programs import assemble_function, assemble_method
from data_pipeline.seeds.reading import decode_source, describe_error, statements_within
from data_pipeline.seeds.screening import ScreeningError
from data_pipeline.seeds.seed import Refusal, Seed, SeedError
from data_pipeline.source.fingerprints import function_fingerprint
from data_pipeline.source.scopes import find_uses

_ROWS = 200  # JSONL rows per unit
_MAX_CALLS = 24  # examples per function
_SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "node_modules", "site-packages", "test", "tests", "build", "dist", "_vendor"}
)
_ORDINARY_FOLDERS = frozenset({"src", "source", "lib", "python", "code", "main"})


@dataclass(frozen=True)
class Unit:
    """Names one unit of reading: a Python file of a source, or some rows of a JSONL file.

    root:        folder that `path` and origins are relative to
    path:        relative, with "/"
    within:      relative path that imports may be followed into, "" for the whole root
    first, last: lines of a JSONL file, 1-based, `last` included; 0, 0 for a Python file
    name:        the source's name, which begins the origins; "" if `path` begins with it
    offset:      byte at which line `first` begins; 0 if it must be counted from the start
    """

    root: str
    path: str
    within: str = ""
    first: int = 0
    last: int = 0
    name: str = ""
    offset: int = 0


def units(source: str) -> Sequence[Unit]:
    """Returns all units of a source, in a fixed order. Raises SeedError if it cannot be read.

    source: a folder, a .py file, a .jsonl or .jsonl.gz file (rows {"code", "nl", "tests",
    "entry_point"}, all but the first optional), or a package or module that is installed here,
    such as "toolz" or "sympy.ntheory". Imports nothing. Source in a store is copied here.
    """
    path = local_copy(source)
    if path.is_dir():
        name = _source_name(path)
        found = [Unit(str(path), relative, name=name) for relative in _python_files(path)]
        if not found:
            raise SeedError(f"{source}: expected Python files (.py); the folder has none")
        return found
    if path.is_file():
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            return _row_units(path)
        if path.suffix == ".py":
            return [Unit(str(path.parent), path.name, name=_source_name(path.parent))]
        raise SeedError(f"{source}: expected a folder, a .py, .jsonl or .jsonl.gz file")
    return _package_units(source)


def _source_name(folder: Path) -> str:
    """Returns a folder's name, with its parent's if many sources have a folder of that name."""
    folder = folder.resolve()
    parts = [folder.name]
    if folder.name in _ORDINARY_FOLDERS and folder.parent.name:
        parts.insert(0, folder.parent.name)
    return "/".join(parts)


def _python_files(folder: Path) -> list[str]:
    found = []
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).parts
        if any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in parts[:-1]):
            continue
        if parts[-1].startswith("test_") or parts[-1] in ("conftest.py", "setup.py"):
            continue
        found.append("/".join(parts))
    return sorted(found)


def _package_units(name: str) -> Sequence[Unit]:
    if not all(part.isidentifier() for part in name.split(".")):
        raise SeedError(
            f"{name}: expected a folder, a file or an installed package; found none by this name"
        )
    folder, top = _locate_package(name)
    within = top if (folder / top).is_dir() else f"{top}.py"
    target = folder.joinpath(*name.split("."))
    if target.is_dir():
        base = target.relative_to(folder).as_posix()
        paths = [f"{base}/{path}" for path in _python_files(target)]
    else:
        paths = [target.with_suffix(".py").relative_to(folder).as_posix()]
    if not paths:
        raise SeedError(f"{name}: the package is installed, but has no Python files")
    return [Unit(str(folder), path, within) for path in paths]


def _locate_package(name: str) -> tuple[Path, str]:
    """Finds a package without importing it.

    Returns the folder on the import path that holds it and the first part of its name.
    """
    top = name.split(".")[0]
    folders = [sysconfig.get_paths()["stdlib"], *sys.path]
    spec = importlib.machinery.PathFinder.find_spec(top, [folder for folder in folders if folder])
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise SeedError(
            f"{name}: expected a folder, a file or an installed package; found none by this name"
        )
    if spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))).parent
    else:
        folder = Path(str(spec.origin)).parent
    target = folder.joinpath(*name.split("."))
    if not target.is_dir() and not target.with_suffix(".py").is_file():
        raise SeedError(
            f"{name}: expected Python source; {spec.origin or folder} holds no .py file for it"
        )
    return folder, top


def _row_units(path: Path) -> Sequence[Unit]:
    """Returns units of _ROWS lines; they begin at a known byte unless the file is compressed."""
    ends = [0]  # of the lines that a unit ends with
    lines = read_numbered_lines(path, raises=SeedError, on_read=_every(_ROWS, ends))
    count = max((number for number, _ in lines), default=0)
    if not count:
        raise SeedError(f"{path}: expected at least one row; the file is empty")
    is_plain = path.name.endswith(".jsonl")
    return [
        Unit(
            str(path.parent), path.name, "", first, min(first + _ROWS - 1, count),
            _source_name(path.parent), ends[number] if is_plain else 0,
        )
        for number, first in enumerate(range(1, count + 1, _ROWS))
    ]  # fmt: skip


def _every(step: int, places: list[int]) -> Callable[[int], None]:
    """Returns a function that appends each `step`-th number that it gets to `places`."""
    counter = itertools.count(1)

    def note(place: int) -> None:
        if next(counter) % step == 0:
            places.append(place)

    return note


# ---- one unit -------------------------------------------------------------------------------


def read_unit(unit: Unit) -> Sequence[Seed | Refusal]:
    """Returns the seeds and refusals of a unit, in source order.

    Raises SeedError if a JSONL file cannot be read; a bad row in it becomes a Refusal.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escape sequences in the source
        return _read_unit(unit)


def _read_unit(unit: Unit) -> Sequence[Seed | Refusal]:
    if unit.first:
        return list(_row_seeds(unit))
    library = _library(unit.root, unit.within)
    module = library.module(unit.path)
    place = f"{unit.name}/{unit.path}" if unit.name else unit.path
    if module is None:
        fault = library.faults.get(unit.path, "no such file")
        return [Refusal("", f"{place}:1", "file not readable", fault)]
    found = _module_seeds(library, module, place, _tests_of(unit.root, unit.path))
    return sorted(found, key=_source_position)


@functools.lru_cache(maxsize=8)
def _library(root: str, within: str) -> Library:
    return Library(root, within)


def _source_position(found: Seed | Refusal) -> tuple[int, str]:
    return int(found.origin.rsplit(":", 1)[1]), found.name


def _module_seeds(
    library: Library,
    module: Module,
    place: str,
    tests: Mapping[str, Sequence[tuple[str, str | None]]],
) -> Iterator[Seed | Refusal]:
    for function in module.functions():
        noted = tests.get(function.name, ())
        yield _extract_seed(library, module, function, noted, f"{place}:{function.lineno}")
    for owner in module.classes():
        yield from _class_seeds(library, module, owner, place)
    yield from _refuse_others(module, place)


def _class_seeds(
    library: Library, module: Module, owner: ast.ClassDef, place: str
) -> Iterator[Seed | Refusal]:
    for method in owner.body:
        if isinstance(method, ast.FunctionDef):
            yield _extract_method(library, module, owner, method, f"{place}:{method.lineno}")
        elif isinstance(method, ast.AsyncFunctionDef):
            yield Refusal(f"{owner.name}.{method.name}", f"{place}:{method.lineno}", "asynchronous")
        else:
            yield from _refuse_inner(owner.name, method, place)


def _refuse_inner(owner: str, statement: ast.stmt, place: str) -> Iterator[Refusal]:
    """Yields refusals for classes and conditional methods in a class."""
    for inner in statements_within(statement):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name, detail = f"{owner}.{inner.name}", "a method under a condition"
            yield Refusal(name, f"{place}:{inner.lineno}", "defined under a condition", detail)
        elif isinstance(inner, ast.ClassDef):
            for method in inner.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    name = f"{owner}.{inner.name}.{method.name}"
                    yield Refusal(name, f"{place}:{method.lineno}", "class inside a class")


def _refuse_others(module: Module, place: str) -> Iterator[Refusal]:
    """Yields refusals for the definitions that the module does not bind, each with the cause."""
    for statement in module.statements:
        if isinstance(statement, ast.AsyncFunctionDef):
            yield Refusal(statement.name, f"{place}:{statement.lineno}", "asynchronous")
    for fault in module.unreadable:
        reason = "not readable by this Python"
        yield Refusal(fault.name, f"{place}:{fault.line}", reason, fault.message)
    for dropped in module.dropped:
        yield Refusal(dropped.name, f"{place}:{dropped.line}", dropped.reason, dropped.detail)
    for inner in module.conditional():
        reason = "defined under a condition"
        detail = "whether it exists is known only when the file runs"
        yield Refusal(inner.name, f"{place}:{inner.lineno}", reason, detail)


def _extract_seed(
    library: Library,
    module: Module,
    function: ast.FunctionDef,
    noted: Sequence[tuple[str, str | None]],
    origin: str,
) -> Seed | Refusal:
    docstring = ast.get_docstring(function)
    fixed = functools.partial(passed_functions, docstring, function)
    try:
        program = assemble_function(library, module, function, fixed)
    except ScreeningError as refused:
        return Refusal(function.name, origin, refused.reason, refused.detail)
    except RecursionError:
        return Refusal(function.name, origin, "nested too deeply")
    target = Target(function.name, program.name, program.wrapper)
    examples = [*docstring_examples(docstring, target), *examples_of_tests(noted, target)]
    nl = extract_description(docstring)
    if nl and program.wrapper:
        nl = f"{nl}\n\n{program.wrapper.note}"
    return _build_seed(program.name, program.code, nl, examples, origin)


def _extract_method(
    library: Library, module: Module, owner: ast.ClassDef, method: ast.FunctionDef, origin: str
) -> Seed | Refusal:
    name = f"{owner.name}.{method.name}"
    try:
        program = assemble_method(library, module, owner, method)
    except ScreeningError as refused:
        return Refusal(name, origin, refused.reason, refused.detail)
    except RecursionError:
        return Refusal(name, origin, "nested too deeply")
    assert program.wrapper is not None
    target = Target(method.name, program.name, program.wrapper, owner.name)
    docstrings = [ast.get_docstring(method), ast.get_docstring(owner)]
    examples = [one for text in docstrings for one in docstring_examples(text, target)]
    examples += [CallExample(call) for call in program.wrapper.calls]
    nl = extract_description(docstrings[0])
    if nl:
        nl = f"{nl}\n\n{program.wrapper.note}"
    return _build_seed(program.name, program.code, nl, examples, origin)


def _build_seed(
    name: str, code: str, nl: str, examples: Sequence[CallExample], origin: str
) -> Seed | Refusal:
    try:
        code, examples = with_imports(code, examples)
        identity = function_fingerprint(code)[:12]
    except (SyntaxError, ValueError, RecursionError) as error:
        return Refusal(name, origin, "does not stand alone", str(error))
    examples = list(dict.fromkeys(examples))[:_MAX_CALLS]
    calls = tuple(dict.fromkeys(example.call for example in examples))
    # What a docstring shows of a function that prints may be the printed text.
    stated = [e for e in examples if e.expected and "print(" not in code]
    tests = tuple(dict.fromkeys(f"assert {e.call} == {e.expected}" for e in stated))
    return Seed(identity, name, code, nl, calls, tests, origin)


@functools.lru_cache(maxsize=256)
def _tests_of(root: str, path: str) -> dict[str, list[tuple[str, str | None]]]:
    """Returns the literal calls in a module's test files, found by the usual names and folders."""
    file = Path(root) / path
    names = [f"test_{file.stem.strip('_')}.py"]
    if file.name == "__init__.py":
        names = [f"test_{file.parent.name}.py"]
    folders = [file.parent, file.parent / "tests", file.parent.parent / "tests", Path(root)]
    folders += [Path(root) / "tests", Path(root) / "test"]
    noted: dict[str, list[tuple[str, str | None]]] = {}
    for candidate in dict.fromkeys(folder / name for folder in folders for name in names):
        if not candidate.is_file():
            continue
        try:
            tree = Module(candidate.name, decode_source(candidate.read_bytes())).tree
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        for name, calls in test_examples(tree).items():
            noted.setdefault(name, []).extend(calls)
    return noted


# ---- rows -----------------------------------------------------------------------------------


def _row_seeds(unit: Unit) -> Iterator[Seed | Refusal]:
    for number, line in _numbered_lines(unit, Path(unit.root) / unit.path):
        if number > unit.last:
            break
        if number >= unit.first:
            yield _row_seed(line, unit.path, f"{unit.name}/{unit.path}:{number}")


def _numbered_lines(unit: Unit, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields (number, line) of a unit's file, from the unit's first line if its byte is known."""
    if not unit.offset:
        yield from read_numbered_lines(path, raises=SeedError)
        return
    try:
        with path.open("rb") as file:
            file.seek(unit.offset)
            yield from ((n, line) for n, line in enumerate(file, unit.first) if line.strip())
    except OSError as error:
        raise SeedError(f"{path}: cannot read the file: {error.strerror}") from None


def _row_seed(line: bytes, path: str, origin: str) -> Seed | Refusal:
    try:
        row = parse_row(line, origin)
    except RowError as error:
        return Refusal("", origin, "bad row", str(error).removeprefix(f"{origin}: "))
    problem = _row_problem(row)
    if problem:
        return Refusal("", origin, "bad row", problem)
    tests = row.get("tests") or []
    tests = [tests] if isinstance(tests, str) else tests
    try:
        module = Module(path, row["code"])
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Refusal("", origin, "not readable by this Python", describe_error(error))
    if module.unreadable:
        return Refusal("", origin, "not readable by this Python", module.unreadable[0].message)
    functions = {function.name: function for function in module.functions()}
    noted: dict[str, Sequence[tuple[str, str | None]]] = {}
    for test in tests:
        try:
            found = test_examples(ast.parse(test))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Refusal("", origin, "bad row", "field 'tests': expected assertions in Python")
        for name, calls in found.items():
            noted[name] = [*noted.get(name, ()), *calls]
    name = row.get("entry_point") or _choose_entry(functions, noted, module)
    if name is None or name not in functions:
        return Refusal(str(name or ""), origin, "no function", "expected one at module level")
    made = _extract_seed(
        Library(Path("/nonexistent")), module, functions[name], noted.get(name, ()), origin
    )
    if isinstance(made, Refusal):
        return Refusal(made.name, origin, made.reason, made.detail)
    return Seed(
        made.id, made.name, made.code, (row.get("nl") or made.nl).strip(), made.calls,
        made.tests, origin,
    )  # fmt: skip


def _row_problem(row: Mapping[str, Any]) -> str | None:
    if not isinstance(row.get("code"), str) or not row["code"].strip():
        return "field 'code': expected a Python program"
    for field in ("nl", "entry_point"):
        if row.get(field) is not None and not isinstance(row[field], str):
            return f"field '{field}': expected a string"
    tests = row.get("tests")
    whole = tests is None or isinstance(tests, str)
    if not whole and not (isinstance(tests, list) and all(isinstance(t, str) for t in tests)):
        return "field 'tests': expected a list of strings"
    return None


def _choose_entry(functions: dict[str, Any], noted: dict[str, Any], module: Module) -> str | None:
    """Returns the function that the tests call, else the last uncalled one, else the last."""
    for name in noted:
        if name in functions:
            return name
    called = {
        use.name
        for function in functions.values()
        for use in find_uses(ast.Module([function], []))
        if not use.binds and use.name != function.name
    }
    free = [name for name in functions if name not in called]
    names = free or list(functions)
    return names[-1] if names else None
