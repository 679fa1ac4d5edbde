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
from typing import Any, NoReturn

from data_pipeline.errors import UserError
from data_pipeline.terminal.full_disk import describe_full_disk

USER_MISTAKE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
READER_GONE = 141  # 128 + SIGPIPE
TERMINATED = 143  # 128 + SIGTERM
GOES_ON = "stopped; the same command goes on from here"
_SOON = 0.02  # seconds
_LOADING = {
    importlib.machinery.ExtensionFileLoader.create_module.__code__,
    importlib.machinery.ExtensionFileLoader.exec_module.__code__,
}
# The package's own handler, while a command is imported. Rooms import nothing from the package.
_ended_imports = sys.modules["data_pipeline"].end_at_signal
COMPLETION_VARIABLE = "_ARGCOMPLETE"  # set by the shell while it completes a line

# Spelling in our own help -> the spelling by which the user called, longest first.
help_spellings: ContextVar[Mapping[str, str]] = ContextVar("help_spellings")


class CommandLineError(UserError):
    """Arguments are unknown, missing, malformed or contradict each other."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled as Ctrl-C."""


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
    stopped: printed on stderr after Ctrl-C and SIGTERM.

    Returns:
        The command's result (0 for None); 2 after a UserError, an OSError about a file or any error
        that a full disk caused, reported on stderr as one line "error: …"; 130 after Ctrl-C, 143
        after SIGTERM; 141, silently, if the reader of its output is gone (`| head`).
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
    except KeyboardInterrupt as error:
        print(f"\n{stopped}", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except Exception as error:
        message = describe_full_disk(error) or _describe_file_error(error)
        if message is None:
            raise  # a library's error, or a fault of ours: its traceback says more
        return _report_mistake(message)
    return code or 0


def end_process(status: int) -> NoReturn:
    """Ends this process; after Ctrl-C and SIGTERM without clearing up the interpreter.

    JAX, when it is stopped while it compiles, crashes then (SIGSEGV, jax 0.10).
    """
    if status in (INTERRUPTED, TERMINATED):
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


@contextlib.contextmanager
def _kept_interrupts() -> Iterator[None]:
    """Raises KeyboardInterrupt in the block at Ctrl-C and SIGTERM, and loses none.

    Python prints one that came while a callback ran, such as JAX's at each garbage collection. C
    code prints one and raises another error instead, such as numpy's when it is imported. Both are
    sent again, or end the block. While an extension is initialized, which may crash then, one is
    put off. A process that this one forks gets none: it ends as it would without this.
    """
    report, show = sys.unraisablehook, sys.excepthook
    sent: list[tuple[type[BaseException], threading.Timer]] = []
    process = os.getpid()

    def send_again(kind: type[BaseException]) -> None:
        number = signal.SIGTERM if issubclass(kind, Terminated) else signal.SIGINT
        again = threading.Timer(_SOON, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        sent.append((kind, again))

    def on_unraisable(unraisable) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            send_again(unraisable.exc_type)
        else:
            report(unraisable)

    def on_printed(kind, error, trace) -> None:
        if issubclass(kind, KeyboardInterrupt):
            send_again(kind)
        else:
            show(kind, error, trace)

    def on_signal(number, frame) -> None:
        kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if os.getpid() != process and number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif _initializes_extension(frame):
            send_again(kind)
        else:
            raise kind

    usual: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    for number, handler in list(usual.items()):
        if signal.getsignal(number) not in (handler, _ended_imports):
            del usual[number]
    sys.unraisablehook, sys.excepthook = on_unraisable, on_printed
    for number in usual:
        signal.signal(number, on_signal)
    try:
        yield
    except Exception:
        waiting = [kind for kind, again in sent if again.is_alive()]
        if not waiting:
            raise
        for _, again in sent:
            again.cancel()
        raise waiting[0] from None
    finally:
        sys.unraisablehook, sys.excepthook = report, show
        for number, handler in usual.items():
            if signal.getsignal(number) is on_signal:
                signal.signal(number, handler)


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
