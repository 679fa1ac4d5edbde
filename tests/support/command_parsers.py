"""Reads a documented command with the command's own parser, and stops before its work begins."""

import argparse
import contextlib
import importlib
import importlib.util
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import launch.command
import launch.local
from data_pipeline.files import buckets
from data_pipeline.terminal.command_line import CommandLineError, CommandParser
from launch import working_tree
from launch.supervision import Supervisor
from semcoder_jax.commands import config_flags, evaluate
from semcoder_jax.config import parse_run, parse_study
from semcoder_jax.config_files import find_config

# What a page writes for a value of the reader's: FILE.py, N, a/b/…, v5e:…
PLACEHOLDER = re.compile(r"[A-Z][A-Z_\d]*(?:\.\w+)?|.*…")
_PLACEHOLDER_FIELD = re.compile(r"--config\.(?:(?:a\.b|NAME)=|.*…)")
_CONFIGS = {
    "train": "configs/quickstart.py",
    "plan": "configs/quickstart.py",
    "reinforce": "configs/grpo_quickstart.py",
    "study": "configs/reproduction/forms_cpu.py",
}
_SAME_FLAGS = {"launch.quickstart": "semcoder_jax.commands.train"}


class Read(Exception):
    """The parser has read the arguments."""


def mistake(module: str, words: Sequence[str], *, complete: bool) -> str | None:
    """Returns the error that a command gives for its arguments, or None.

    complete: whether an argument that is missing is a mistake; a text that mentions a flag leaves
    out the others.
    """
    command = command_module(module)
    if command == "semcoder_jax.commands.launch":
        return _mistake_of_launch(words, complete)
    main = importlib.import_module(command).main
    printed = io.StringIO()
    with (
        _stopped_after_reading(command.rpartition(".")[2], complete),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            code = main(list(words))
        except Read:
            return None
        except SystemExit as end:
            code = end.code
    return printed.getvalue() if code else None


def command_module(module: str) -> str:
    """Returns the module with the main that `python -m MODULE` calls."""
    if module in _SAME_FLAGS:
        return _SAME_FLAGS[module]
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin, f"no module {module}"
    path = Path(spec.origin)
    path = path.with_name("__main__.py") if path.name == "__init__.py" else path
    called = re.search(
        r"(?:semcoder_jax|data_pipeline)\.commands\.\w+(?=\"| import)",
        path.read_text(encoding="utf-8"),
    )
    if path.parent.name == "commands":
        return module
    return called[0] if called else f"{module}.__main__" if path.stem == "__main__" else module


def _mistake_of_launch(words: Sequence[str], complete: bool) -> str | None:
    split = list(words).index("--") if "--" in words else len(words)
    own, training = list(words[:split]), list(words[split + 1 :])
    if {"-h", "--help"} & set(own):
        return None
    if own[:1] == ["local"]:
        return _mistake_of_rehearsal(own[1:], training, complete)
    own = [_with_pod(word) for word in own if not word.startswith("--pod.FIELD=")]
    if not complete and any(word.startswith("--pod") for word in own):
        has_file = any(word.startswith("--pod=") for word in own)
        own = [*([] if has_file else [_with_pod("--pod=NAME.py")]), *own]
        own += ["--pod.name=n", "--pod.zone=z"]
    elif not complete:
        own = [*own, "--tpu=t", "--zone=z"]
    if not complete:
        training = training or ["--config=C", "--workdir=gs://B/W"]
    printed = io.StringIO()
    with (
        mock.patch.object(Supervisor, "run", lambda *_: 0),
        mock.patch.object(working_tree, "list_files", lambda *_: []),  # nothing is packed
        mock.patch.object(launch.command, "check_mesh", lambda *_: None),  # read by train below
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(printed),
    ):
        shared = [_with_shared_workdir(word) for word in training]
        if launch.command.main(["--dry_run", *own, "--", *shared]):
            return printed.getvalue()
    return mistake("semcoder_jax.commands.train", training, complete=complete)


def _mistake_of_rehearsal(own: list[str], training: list[str], complete: bool) -> str | None:
    if not complete:
        own = [*own, "--processes=1", "--devices=1"]
        training = training or ["--config=C", "--workdir=W"]
    try:
        launch.local.parse_arguments([*own, "--", *training])
    except CommandLineError as error:
        return str(error)
    return mistake("semcoder_jax.commands.train", training, complete=complete)


def _with_pod(word: str) -> str:
    """Returns --pod=…/NAME.py with a real file."""
    flag, _, path = word.partition("=")
    is_placeholder = flag == "--pod" and PLACEHOLDER.fullmatch(path.rpartition("/")[2])
    return f"{flag}=launch/pods/existing_slice.py" if is_placeholder else word


def _with_shared_workdir(word: str) -> str:
    """Returns --workdir=DIR, as pages write it, with a place that workers could share."""
    flag, _, value = word.partition("=")
    is_placeholder = flag == "--workdir" and PLACEHOLDER.fullmatch(value)
    return f"{flag}=gs://B/{value}" if is_placeholder else word


@contextlib.contextmanager
def _stopped_after_reading(command: str, complete: bool) -> Iterator[None]:
    read_config = config_flags.parse_arguments

    def parse_args(self, arguments=None, namespace=None):
        if not complete:
            _require_nothing(self)
        argparse.ArgumentParser.parse_args(self, arguments, namespace)
        raise Read

    def get_value(self, action, text):
        if PLACEHOLDER.fullmatch(text):
            return text
        return argparse.ArgumentParser._get_value(self, action, text)

    def check_value(self, action, value):
        if not (isinstance(value, str) and PLACEHOLDER.fullmatch(value)):
            argparse.ArgumentParser._check_value(self, action, value)

    def parse_config(argv, required, optional=None, **options):
        argv = [word for word in argv if not _PLACEHOLDER_FIELD.match(word)]
        argv = _with_config(argv, _CONFIGS.get(command, "configs/eval/heldout.py"), complete)
        if not complete:
            argv = [*(f"--{name}={name}" for name in required), *argv]
        config, values = read_config(argv, required, optional, **options)
        if options.get("new_fields"):  # names of fields
            (parse_study if command == "study" else parse_run)(config.to_dict())
        if required or optional:  # not the list of a suite's configs
            raise Read
        return config, values

    with (
        mock.patch.object(CommandParser, "parse_args", parse_args),
        mock.patch.object(CommandParser, "_get_value", get_value, create=True),
        mock.patch.object(CommandParser, "_check_value", check_value, create=True),
        mock.patch.object(config_flags, "parse_arguments", parse_config),
        mock.patch.object(evaluate, "parse_arguments", parse_config),
        mock.patch.object(buckets, "check_bucket", lambda path: None),  # of the reader
    ):
        yield


def _with_config(argv: Sequence[str], default: str, complete: bool) -> list[str]:
    """Puts a real config in the place of a placeholder, or of one that a text left out."""
    words = []
    for word in argv:
        path = word.removeprefix("--config=")
        is_placeholder = path != word and PLACEHOLDER.fullmatch(path.rpartition("/")[2])
        words.append(f"--config={find_config(default)}" if is_placeholder else word)
    if not complete and not any(word.startswith("--config=") for word in words):
        words.insert(0, f"--config={find_config(default)}")
    return words


def _require_nothing(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        action.required = False
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                _require_nothing(choice)
