"""Runs `semcoder COMMAND …`: one name for the commands that `python -m …` also starts.

A command is looked up in COMMANDS and its module is run as `python -m` runs it, so its arguments,
output and exit codes are the same under both spellings. Imports nothing but the standard library
before it knows the command.
"""

import contextlib
import difflib
import importlib.metadata
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from data_pipeline.terminal.command_line import (
    COMPLETION_VARIABLE,
    CommandLineError,
    end_process,
    help_spellings,
    run_command,
)
from data_pipeline.terminal.installation import DISTRIBUTION
from data_pipeline.terminal.missing_packages import requires_extra, run_module


@dataclass(frozen=True)
class Command:
    """A command of `semcoder`.

    group: heading of the help page
    module: module that `python -m` runs
    summary: what the command does, for the help page
    arguments: put before the user's arguments (the module's own subcommand)
    spelling: how the command's help spells it; by default "python -m MODULE ARGUMENTS"
    extra: extra that the module needs, if its main is called here: no module of that spelling is
        in a wheel, or one loads JAX before it reads its flags
    """

    group: str
    module: str
    summary: str
    arguments: tuple[str, ...] = ()
    spelling: str | None = None
    extra: str | None = None

    def documented(self) -> str:
        """Returns the spelling that the command's own help uses."""
        return self.spelling or " ".join(["python -m", self.module, *self.arguments])


def _exchange(subcommand: str, summary: str) -> Command:
    return Command(
        "exchange",
        "semcoder_jax.commands.hf",  # semcoder_jax.hf is a package that loads JAX
        summary,
        (subcommand,),
        spelling=f"python -m semcoder_jax.hf {subcommand}",
        extra="train",
    )


_EVALUATE = "semcoder_jax.evaluate"

COMMANDS: Mapping[str, Command] = {
    "run": Command("programs", "data_pipeline.execution", "run a program in the sandbox"),
    "trace": Command("programs", "data_pipeline.tracing", "show a call line by line, with values"),
    "verify": Command("programs", "data_pipeline.verify", "check a monologue against the real run"),
    "build": Command("data", "data_pipeline.build", "build verified records from Python source"),
    "train": Command(
        "models", "semcoder_jax.train", "train from a config; the same command resumes"
    ),
    "reinforce": Command(
        "models", "semcoder_jax.reinforce", "learn from rewards that real runs decide"
    ),
    "improve": Command(
        "models", "semcoder_jax.improve", "make records of answers that runs confirm"
    ),
    "study": Command(
        "models", "semcoder_jax.study", "run a study of several trainings; write its report"
    ),
    "sample": Command("models", "semcoder_jax.sample", "complete the prompts in a file"),
    "serve": Command("models", "semcoder_jax.serve", "serve a model with OpenAI's API"),
    "demo": Command("models", "semcoder_jax.demo", "a local page: runs beside words about them"),
    "evaluate": Command("scores", _EVALUATE, "score a model, an endpoint or generations"),
    "compare": Command(
        "scores",
        "semcoder_jax.commands.compare",
        "compare two results, paired",
        spelling=f"python -m {_EVALUATE} compare",
        extra="train",
    ),
    "plan": Command(
        "TPUs",
        "semcoder_jax.commands.plan",
        "memory and time of a training step, without a TPU",
        spelling="python -m launch.plan",
        extra="train",
    ),
    "launch": Command(
        "TPUs",
        "semcoder_jax.commands.launch",
        "get TPUs, train on them, delete them",
        spelling="bash launch/pod.sh",
    ),
    "import": _exchange("import", "read a Hugging Face model"),
    "export": _exchange("export", "write a Hugging Face model"),
    "verify-export": _exchange("verify", "compare both copies of a model"),
    "push": _exchange("push", "upload a model to the Hugging Face Hub"),
    "doctor": Command("machine", "semcoder_jax.doctor", "say what this machine can do"),
}

_HEAD = """\
usage: semcoder COMMAND [ARGUMENTS]      semcoder COMMAND --help shows its flags
"""
_TAIL = """\
Example, a call line by line in the sandbox: semcoder trace program.py 'f(3)'
Completion in bash and zsh: eval "$(register-python-argcomplete semcoder)"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; 2 for a name that is no command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if COMPLETION_VARIABLE in os.environ:
        arguments = _complete_names()
    if arguments[:1] == ["--version"]:
        return run_command(_print_version, [])
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return run_command(lambda _: print(help_page(), end=""), [])
    return run_command(_run, arguments)


def run() -> NoReturn:
    """Runs the command of this process and ends it: the script `semcoder`."""
    end_process(main())


def help_page() -> str:
    """Returns the text of `semcoder --help`."""
    lines, previous = [], None
    for name, command in COMMANDS.items():
        heading = "" if command.group == previous else command.group
        lines.append(f"  {heading:10}{name:15}{command.summary}\n")
        previous = command.group
    return "\n".join([_HEAD, "".join(lines)]) + _TAIL  # 24 lines: what a screen holds


def _print_version(arguments: Sequence[str]) -> None:
    try:
        print(DISTRIBUTION, importlib.metadata.version(DISTRIBUTION))
    except importlib.metadata.PackageNotFoundError:
        raise CommandLineError(f"{DISTRIBUTION} is not installed: pip install -e .") from None


def _run(arguments: Sequence[str]) -> int:
    """Runs a command's module as `python -m` does and returns its exit status."""
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise CommandLineError(f"semcoder: unknown command {name!r}; {hint}")
    command = COMMANDS[name]
    sys.argv = [f"semcoder {name}", *command.arguments, *rest]
    # Longest first: "semcoder compare" must win over "semcoder evaluate compare".
    spellings = {each.documented(): f"semcoder {own}" for own, each in COMMANDS.items()}
    token = help_spellings.set(dict(sorted(spellings.items(), key=lambda pair: -len(pair[0]))))
    try:
        if command.extra:
            return run_module(command.module, command.extra)
        with requires_extra("train"):  # a package is imported before its __main__ runs
            runpy.run_module(command.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return _status(end.code)
    finally:
        help_spellings.reset(token)
    return 0


def _status(code: object) -> int:
    """Returns the exit status of a SystemExit; prints its text on stderr as Python does."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


def _complete_names() -> list[str]:
    """Completes the command's name and exits, or returns the command whose flags to complete.

    argcomplete reads the line from COMP_LINE. For a command's flags its name is cut out of the
    line, because the command's parser does not know it.
    """
    from argcomplete import autocomplete
    from argcomplete.lexers import split_line

    from data_pipeline.terminal.command_line import CommandParser

    line = os.environ.get("COMP_LINE", "")
    place = int(os.environ.get("COMP_POINT", len(line)))
    complete_words = split_line(line, place)[3]
    if len(complete_words) < 2 or complete_words[1] not in COMMANDS:
        parser = CommandParser(prog="semcoder")
        parser.add_argument("command", choices=[*COMMANDS, "help"])
        autocomplete(parser)  # exits
    name = complete_words[1]
    head, _, rest = line.partition(name)
    own = " ".join(COMMANDS[name].arguments)
    os.environ["COMP_LINE"] = f"{head}{own}{rest}"
    os.environ["COMP_POINT"] = str(place - len(name) + len(own))
    with contextlib.suppress(OSError):  # no command may read an answer from the terminal here
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return [name]


if __name__ == "__main__":
    run()
