"""Which of our files a module runs on: itself and all that it imports, directly or not.

Their digest tells when something kept on disk must be made again because the code that made it is
another one. Files are read and parsed, never imported.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The folder that the packages lie in."""


def source_digest(
    modules: Collection[str], *, without: Collection[str] = (), root: Path = ROOT
) -> str:
    """A SHA-256 of names and contents of `import_closure`'s files."""
    digest = hashlib.sha256()
    for path in sorted(import_closure(modules, without=without, root=root)):
        digest.update(f"{path.relative_to(root)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def import_closure(
    modules: Collection[str], *, without: Collection[str] = (), root: Path = ROOT
) -> set[Path]:
    """Files of `modules` and of every module of their top-level packages that they import, also
    inside functions, through any number of modules.

    without: modules, or packages with all in them, that are left out with what only they import.
    """
    packages = {module.split(".")[0] for module in modules}
    files: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module.split(".")[0] not in packages or _is_in(module, without):
            continue
        path = _file_of(module, root)
        if path is not None and path not in files:
            files.add(path)
            waiting += imported_modules(ast.parse(path.read_text(encoding="utf-8")))
    return files


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Names that absolute imports give; `from a import b` gives a and a.b, which may be a module
    or a name in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_in(module: str, packages: Collection[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def _file_of(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)
