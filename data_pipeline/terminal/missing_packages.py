"""Reports a package that is not installed in one line that names the extra with it."""

import ast
import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.terminal.command_line import run_command
from data_pipeline.terminal.installation import install_command

OWN_PACKAGES = ("data_pipeline", "semcoder_jax", "launch")


class MissingPackage(UserError):
    """A package is not installed; the message names the extra that installs it."""


@contextlib.contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Turns the failed import of a package that is not ours into a MissingPackage."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", *OWN_PACKAGES):
            raise
        raise MissingPackage(f"{package} is missing: {install_command(extra)}") from error


def check_packages(extra: str, *packages: str) -> None:
    """Raises MissingPackage unless all packages of `extra` are there; imports none of them."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(f"{package} is missing: {install_command(extra)}")


def run_module(
    module: str, extra: str, argv: Sequence[str] | None = None, *, docstring_is_help: bool = False
) -> int:
    """Imports a module that needs `extra`, calls its main and returns the exit status.

    docstring_is_help: --help prints the module's docstring, without importing the module: it then
      needs no second and works without the extra
    """

    def run(arguments: list[str]) -> int:
        with requires_extra(extra):
            return importlib.import_module(module).main(arguments)

    return run_command(run, argv, help_text=_docstring(module) if docstring_is_help else None)


def _docstring(module: str) -> str | None:
    """Returns the docstring of a module that is not imported."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    source = Path(spec.origin).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source), clean=False)
