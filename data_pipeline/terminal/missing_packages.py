"""Reports a package that is not installed in one line that names the extra with it."""

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence

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


def run_module(module: str, extra: str, argv: Sequence[str] | None = None) -> int:
    """Imports a module whose work needs `extra`, calls its main and returns the exit status.

    The module itself imports none of the extra's packages before its flags are read, so that
    --help and mistakes in flags need no second and no extra.
    """

    def run(arguments: list[str]) -> int:
        with requires_extra(extra):
            return importlib.import_module(module).main(arguments)

    return run_command(run, argv)
