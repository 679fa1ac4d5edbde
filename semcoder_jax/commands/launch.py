"""Runs launch/pod.sh, which starts the same training on every worker of a Cloud TPU slice."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.terminal.command_line import (
    COMPLETION_VARIABLE,
    CommandLineError,
    CommandParser,
    respell,
    run_command,
)

SCRIPT = Path(__file__).parents[2] / "launch" / "pod.sh"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of the script: 0 done, 2 user error."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    if not SCRIPT.is_file():
        raise CommandLineError(
            "semcoder launch copies a git checkout to the workers, and this package is installed "
            "without one: clone the repository and pip install -e '.[train]' there"
        )
    if arguments[:1] == ["local"]:
        os.environ["PYTHONPATH"] = f"{SCRIPT.parents[1]}:{os.getenv('PYTHONPATH', '')}".rstrip(":")
        os.execv(sys.executable, [sys.executable, "-m", "launch.local", *arguments[1:]])
    if COMPLETION_VARIABLE in os.environ:
        _make_parser().parse_args()  # prints completions and exits
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if {"-h", "--help"} & set(own):
        shown = subprocess.run(["bash", SCRIPT, "--help"], capture_output=True, text=True)
        print(respell(shown.stdout), end="")
        return shown.returncode
    return subprocess.run(["bash", SCRIPT, *arguments]).returncode


def _make_parser() -> CommandParser:
    """Returns a parser of the flags that the script reads."""
    parser = CommandParser(prog="semcoder launch")
    for flag in re.findall(r"^ +(--[\w-]+)(?:=\*)?\) ", SCRIPT.read_text(encoding="utf-8"), re.M):
        parser.add_argument(flag)
    return parser


if __name__ == "__main__":
    sys.exit(main())
