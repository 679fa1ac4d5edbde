"""Runs launch/command.py, which starts training on TPU machines; it is in the checkout alone."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.terminal.command_line import CommandLineError, run_command

REPOSITORY = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of the command in the checkout."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    if not (REPOSITORY / "launch" / "command.py").is_file():
        raise CommandLineError(
            "semcoder launch copies a git checkout to the workers, and this package is installed "
            "without one: clone the repository and pip install -e '.[train]' there"
        )
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    sys.argv = ["semcoder launch", *arguments]
    try:
        runpy.run_module("launch.command", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
