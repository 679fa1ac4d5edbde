"""The frame of every command: parse its arguments, report mistakes in one line, set the exit code.

    def main(argv: Sequence[str] | None = None) -> int:
        return run_command(_run, argv)

`argv` never holds the program's name; None stands for the arguments of this process.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from data_pipeline.errors import UserError

USER_MISTAKE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
READER_GONE = 141  # 128 + SIGPIPE
GOES_ON = "stopped; the same command goes on from here"


class CommandLineError(UserError):
    """Arguments that are unknown, missing, malformed or do not go together."""


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that raises CommandLineError for mistakes and takes no abbreviations."""

    def __init__(self, **options):
        defaults = {
            "allow_abbrev": False,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
        }
        super().__init__(**{**defaults, **options})

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(message)


def run_command(
    command: Callable[[list[str]], int | None],
    argv: Sequence[str] | None,
    *,
    help_text: str | None = None,
    stopped: str = "stopped",
) -> int:
    """The exit code of `command`, called with the arguments.

    What it returns (None: 0); 2 after a UserError or an OSError about a file, reported on stderr
    as one line "error: …"; 130 after Ctrl-C, with the line `stopped`; 141, silently, where
    nobody reads its output any more (`| head`). `help_text` is what --help prints for
    commands without a CommandParser.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if help_text is not None and {"-h", "--help"} & set(arguments):
        print(help_text)
        return 0
    try:
        code = command(arguments)
        sys.stdout.flush()
    except UserError as error:
        return _report_mistake(str(error))
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except OSError as error:
        if error.filename is None or not error.strerror:
            raise  # of a library: its traceback says more
        return _report_mistake(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return INTERRUPTED
    return code or 0


def read_text(path: Path, flag: str | None = None) -> str:
    """The UTF-8 text of a file that `flag` names.

    Raises CommandLineError if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        place = path if flag is None else f"{flag}={path}"
        raise CommandLineError(f"{place}: {reason}") from None


def _report_mistake(message: str) -> int:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    print(f"error: {' '.join(lines)}", file=sys.stderr)
    return USER_MISTAKE


def _discard_output() -> None:
    """Points stdout at nothing, so that flushing it at exit raises no second error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
