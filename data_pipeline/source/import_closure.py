"""Finds the project's files that a module depends on: itself and its direct and indirect imports.

A changed digest of these files means that cached output must be made again. Reads and parses files
without importing them.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The folder that contains the packages."""


def source_digest(
    modules: Collection[str], *, without: Collection[str] = (), root: Path = ROOT
) -> str:
    """Returns the SHA-256 of the names and contents of the files of `import_closure`."""
    digest = hashlib.sha256()
    for path in sorted(import_closure(modules, without=without, root=root)):
        digest.update(f"{path.relative_to(root)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def import_closure(
    modules: Collection[str], *, without: Collection[str] = (), root: Path = ROOT
) -> set[Path]:
    """Returns the files of `modules` and of the modules that they import, directly or indirectly.

    Follows imports inside functions too, but only into the top-level packages of `modules`.
    without: modules and packages to leave out, together with files that only these import.
    """
    packages = {module.split(".")[0] for module in modules}
    files: set[Path] = set()
    waiting = list(modules)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.split(".")[0] not in packages or _is_in(module, without):
            continue
        path = _file_of(module, root)
        if path is not None and path not in files:
            files.add(path)
            waiting += imported_modules(ast.parse(path.read_text(encoding="utf-8")))
    return files


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Yields the names in absolute imports, without those that only type checkers read.

    `from a import b` yields a and a.b, which may be a module or a name in a module.
    """
    for node in _executed_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _executed_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walks the statements of a tree, but not the bodies of `if TYPE_CHECKING`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_for_type_checkers(node.test):
            waiting += node.orelse
        else:
            waiting += (n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr))


def _is_for_type_checkers(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _is_in(module: str, packages: Collection[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def _file_of(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)
