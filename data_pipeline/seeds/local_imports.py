"""Takes the imports inside functions out of a definition, to be followed as those of its module.

`def f(x): from .b import g; return g(x)` needs `g` of a module of the same source. The program has
no modules, so the import goes and `g` stands beside `f`.
"""

import ast
from collections.abc import Callable, Mapping

from data_pipeline.seeds.modules import Import
from data_pipeline.source.scopes import find_uses


def take_local_imports(
    text: str, is_inside: Callable[[Import], bool]
) -> tuple[str, Mapping[str, Import]]:
    """Returns a definition without its imports of modules of the source, and what they bind.

    is_inside: tells whether an import is of a module of the source

    Leaves the text as it is if a name that they bind stands for something else, too.
    """
    if "import" not in text:
        return text, {}
    tree = ast.parse(text)
    found: dict[str, Import] = {}
    lines: list[str | None] = [*text.split("\n")]
    for block in _blocks(tree):
        taken = [s for s in block if isinstance(s, ast.ImportFrom) and _all_inside(s, is_inside)]
        for statement in taken:
            if not _has_its_lines(statement, lines):
                return text, {}
            for name, one in _imports(statement):
                if found.setdefault(name, one) != one:
                    return text, {}
            first, last = statement.lineno - 1, statement.end_lineno or 0
            lines[first:last] = [None] * (last - first)
            if len(taken) == len(block) and statement is taken[-1]:
                lines[first] = " " * statement.col_offset + "pass"
    kept = "\n".join(line for line in lines if line is not None)
    if not found or _bound_names(kept) & found.keys():
        return text, {}
    return kept, found


def _blocks(tree: ast.Module) -> list[list[ast.stmt]]:
    """Returns the blocks inside the functions of a definition, each once."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = {
        id(block): block
        for function in functions
        for node in ast.walk(function)
        for field in ("body", "orelse", "finalbody")
        if isinstance(block := getattr(node, field, None), list)
    }
    return [*found.values()]


def _imports(statement: ast.ImportFrom) -> list[tuple[str, Import]]:
    module, level = statement.module or "", statement.level
    return [(one.asname or one.name, Import(module, level, one.name)) for one in statement.names]


def _all_inside(statement: ast.ImportFrom, is_inside: Callable[[Import], bool]) -> bool:
    return all(is_inside(one) for _, one in _imports(statement))


def _has_its_lines(statement: ast.stmt, lines: list[str | None]) -> bool:
    """Returns whether no other statement stands on the lines of one."""
    first, last = lines[statement.lineno - 1] or "", lines[(statement.end_lineno or 0) - 1] or ""
    rest = last.encode()[statement.end_col_offset or 0 :].decode().strip()
    return not first.encode()[: statement.col_offset].strip() and (not rest or rest[0] == "#")


def _bound_names(text: str) -> set[str]:
    return {use.name for use in find_uses(ast.parse(text)) if use.binds}
