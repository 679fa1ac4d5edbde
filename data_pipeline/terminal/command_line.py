"""Runs commands: parses their arguments, reports mistakes in one line, sets the exit code.

    def main(argv: Sequence[str] | None = None) -> int:
        return run_command(_run, argv)

`argv` excludes the program's name; None means the arguments of this process.
"""

import argparse
import atexit
import contextlib
import functools
import importlib.machinery
import itertools
import os
import re
import signal
import sys
import threading
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

from data_pipeline.errors import UserError
from data_pipeline.terminal.full_disk import describe_full_disk

USER_MISTAKE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
READER_GONE = 141  # 128 + SIGPIPE
GOES_ON = "stopped; the same command goes on from here"
_SOON = 0.02  # seconds
_LOADING = {
    importlib.machinery.ExtensionFileLoader.create_module.__code__,
    importlib.machinery.ExtensionFileLoader.exec_module.__code__,
}
COMPLETION_VARIABLE = "_ARGCOMPLETE"  # set by the shell while it completes a line

# Spelling in our own help -> the spelling by which the user called, longest first.
help_spellings: ContextVar[Mapping[str, str]] = ContextVar("help_spellings")


class CommandLineError(UserError):
    """Arguments are unknown, missing, malformed or contradict each other."""


class CommandParser(argparse.ArgumentParser):
    """Parses arguments with argparse; raises CommandLineError and accepts no abbreviations."""

    def __init__(self, **options):
        defaults = {
            "allow_abbrev": False,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
        }
        for name in {"prog", "description"} & set(options):
            options[name] = options[name] and respell(options[name])
        super().__init__(**{**defaults, **options})

    def parse_args(self, *arguments, **options):
        if COMPLETION_VARIABLE in os.environ:
            import argcomplete

            argcomplete.autocomplete(self)  # prints completions and exits
        return super().parse_args(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(message)


def run_command(
    command: Callable[[list[str]], int | None],
    argv: Sequence[str] | None,
    *,
    help_text: str | None = None,
    stopped: str = "stopped",
) -> int:
    """Calls `command` with the arguments and returns the exit code of the process.

    help_text: printed for --help, for commands without a CommandParser.
    stopped: printed on stderr after Ctrl-C.

    Returns:
        The command's result (0 for None); 2 after a UserError, an OSError about a file or any error
        that a full disk caused, reported on stderr as one line "error: …"; 130 after Ctrl-C; 141,
        silently, if the reader of its output is gone (`| head`).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if help_text is not None and {"-h", "--help"} & set(arguments):
        command = functools.partial(_print_help, help_text)
    try:
        with _kept_interrupts():
            code = command(arguments)
        sys.stdout.flush()
    except UserError as error:
        return _report_mistake(_message_of(error))
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        message = describe_full_disk(error) or _describe_file_error(error)
        if message is None:
            raise  # a library's error, or a fault of ours: its traceback says more
        return _report_mistake(message)
    return code or 0


def end_process(status: int) -> NoReturn:
    """Ends this process; after Ctrl-C without clearing up the interpreter.

    JAX, when it is stopped while it compiles, crashes then (SIGSEGV, jax 0.10).
    """
    if status == INTERRUPTED:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


@contextlib.contextmanager
def _kept_interrupts() -> Iterator[None]:
    """Keeps a Ctrl-C that Python or C code only prints: sends it again, or ends the block with it.

    Python prints one that came while a callback ran, such as JAX's at each garbage collection. C
    code prints one and raises another error instead, such as numpy's when it is imported. While an
    extension is initialized, which may crash then, one is put off.
    """
    report, show = sys.unraisablehook, sys.excepthook
    sent: list[threading.Timer] = []

    def send_again() -> None:
        again = threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
        sent.append(again)

    def on_unraisable(unraisable) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            send_again()
        else:
            report(unraisable)

    def on_printed(kind, error, trace) -> None:
        if issubclass(kind, KeyboardInterrupt):
            send_again()
        else:
            show(kind, error, trace)

    def on_interrupt(number, frame) -> None:
        if _initializes_extension(frame):
            send_again()
        else:
            signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    is_usual = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sys.unraisablehook, sys.excepthook = on_unraisable, on_printed
    if is_usual:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    except Exception:
        if not any(again.is_alive() for again in sent):
            raise
        for again in sent:
            again.cancel()
        raise KeyboardInterrupt from None
    finally:
        sys.unraisablehook, sys.excepthook = report, show
        if is_usual and signal.getsignal(signal.SIGINT) is on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _initializes_extension(frame: types.FrameType | None) -> bool:
    """Returns whether a compiled module's own initialization is below a frame."""
    while frame is not None:
        if frame.f_code in _LOADING:
            return True
        frame = frame.f_back
    return False


def split_passed_on(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns (words before "--", words after it, which another command takes)."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:split]), list(arguments[split + 1 :])


def parse_count(flag: str, text: str) -> int:
    """Returns a whole number of at least 1. Raises CommandLineError."""
    if not re.fullmatch(r"0*[1-9]\d{0,17}", text, re.ASCII):
        raise CommandLineError(f"{flag} is {text!r}, expected a whole number of at least 1")
    return int(text)


def refuse_flags(arguments: Sequence[str], flags: Collection[str], expected: str) -> None:
    """Raises CommandLineError for the first of `flags` that is given, because it would do nothing.

    expected: when it would do something, such as "with --jsonl only".
    """
    for argument in itertools.takewhile(lambda word: word != "--", arguments):
        flag = argument.partition("=")[0]
        if flag in flags:
            raise CommandLineError(f"{flag}: expected {expected}")


def read_text(path: Path, flag: str | None = None) -> str:
    """Reads the UTF-8 text of a file that `flag` names. Raises CommandLineError if it cannot."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        place = path if flag is None else f"{flag}={path}"
        raise CommandLineError(f"{place}: {reason}") from None


def respell(text: str) -> str:
    """Returns help text with the commands spelled as the user called them."""
    for documented, called in help_spellings.get({}).items():
        text = re.sub(rf"{re.escape(documented)}(?![\w.])", called, text)
    return text


def _print_help(text: str, arguments: list[str]) -> None:
    print(respell(text))


def _message_of(error: UserError) -> str:
    """Returns the error's text; adds the free space if a full disk is behind it."""
    text = str(error)
    return text if "bytes free" in text else describe_full_disk(error) or text


def _describe_file_error(error: Exception) -> str | None:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return None


def _report_mistake(message: str) -> int:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    print(f"error: {' '.join(lines)}", file=sys.stderr)
    return USER_MISTAKE


def _discard_output() -> None:
    """Redirects stdout to the null device, so that flushing it at exit raises no second error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
