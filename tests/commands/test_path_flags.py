"""Tests every flag and config field that names a path, as the parsers themselves list them.

A new flag with a text is either checked as a path (the type of its argument says so) or listed here
as none. None of the paths below is one that a command may begin work with.
"""

import argparse
import dataclasses
import importlib
import importlib.util
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_pipeline.errors import UserError
from data_pipeline.files import check_path, local_path_flag, named_path, path_flag, path_text
from data_pipeline.files import paths as file_paths
from data_pipeline.files.path_flags import path_texts
from data_pipeline.terminal.command_line import CommandParser
from semcoder_jax import config
from semcoder_jax.commands import completion, evaluate, plan, reinforce, study, train
from semcoder_jax.config.paths import BENCHMARK_PATHS, RUN_PATHS

REPOSITORY = Path(__file__).parents[2]
PATH_TYPES = {path_flag, path_text, path_texts, named_path}
LOCAL_TYPE = local_path_flag("").__qualname__
# Flags with a text that is no path, by module and name.
NO_PATHS = {
    "ask": {"url", "model", "call", "key_variable"},
    "build": {"teacher", "teacher_model", "runner"},
    "execute": {"call", "tier"},
    "faults": {"call", "problem"},
    "questions": {"call", "kinds"},
    "trace": {"call", "tier"},
    "verify": {"call", "tier"},
    "demo": {"host"},
    "hf": {"revision", "name", "base_model", "data", "repo_id"},
    "page": {"title"},
    "sample": {"stop"},
    "serve": {"model_name", "host"},
}
# Fields of a training config with a text that is no path.
NO_PATH_FIELDS = {
    "accuracy.benchmarks", "accuracy.variant", "compute.attention", "compute.dtype",
    "compute.remat", "data.overlong", "data.source", "lora.base", "lora.targets", "mixture",
    "optimizer.name", "train.best_by", "train.wandb_project",
}  # fmt: skip
# Commands whose flags stand beside a config, and launch, which passes flags on to the others.
WITH_A_CONFIG = {"evaluate", "launch", "plan", "reinforce", "study", "train"}
NOWHERE = ("hdfs://a/b", "gcs://a/b", "s4://a/b", "file:/a", "gs:/a", "gs://")


class Listed(Exception):
    """Carries the parser that a command has made."""


def command_modules() -> list[str]:
    folders = ("data_pipeline/commands", "semcoder_jax/commands")
    names = [
        f"{folder.replace('/', '.')}.{path.stem}"
        for folder in folders
        for path in sorted((REPOSITORY / folder).glob("*.py"))
        if "def main(" in path.read_text(encoding="utf-8")
    ]
    return [*names, "semcoder_jax.evaluation.page"]


def parser_of(module: str, arguments: list[str]) -> CommandParser | None:
    """The parser with which a command reads its arguments; None if it reads them by absl."""
    parse = CommandParser.parse_args

    def stop(self, *_, **__):
        raise Listed(self)

    CommandParser.parse_args = stop
    try:
        importlib.import_module(module).main(arguments)
    except Listed as found:
        return found.args[0]
    finally:
        CommandParser.parse_args = parse
    return None


def actions(parser: argparse.ArgumentParser) -> Iterator[tuple[list[str], argparse.Action]]:
    """Yields (subcommand, argument) of a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, choice in action.choices.items():
                yield from (([name, *words], each) for words, each in actions(choice))
        elif action.nargs != 0 and not action.choices:
            yield [], action


def listed() -> list[tuple[str, list[str], argparse.Action]]:
    """(module, subcommand, argument) of every command that has a parser of its own."""
    found = []
    calls = [(module, []) for module in command_modules()]
    calls.append(("semcoder_jax.commands.evaluate", ["check"]))
    for module, words in calls:
        if module.rpartition(".")[2] in WITH_A_CONFIG and not words:
            continue  # below
        parser = parser_of(module, words)
        assert parser is not None, f"{module}: no parser was found"
        found += [(module, [*words, *more], action) for more, action in actions(parser)]
    return found


LISTED = listed()


def is_path(action: argparse.Action) -> bool:
    return action.type in PATH_TYPES or getattr(action.type, "__qualname__", "") == LOCAL_TYPE


PATHS = [entry for entry in LISTED if is_path(entry[2])]


def test_every_flag_is_a_path_or_known_not_to_be_one():
    texts = {
        (module.rpartition(".")[2], action.dest)
        for module, _, action in LISTED
        if action.type in (None, str)
    }
    known = {(module, name) for module, names in NO_PATHS.items() for name in names}
    assert texts - known == set(), "give these the type path_flag, or list them in NO_PATHS"
    assert known <= texts


@pytest.mark.parametrize(
    ("module", "words", "action"),
    PATHS,
    ids=[" ".join([m.rpartition(".")[2], *words, a.dest]) for m, words, a in PATHS],
)
def test_a_path_that_nothing_holds_ends_a_command(module, words, action, object_stores, capsys):
    main = importlib.import_module(module).main
    is_local = action.type not in PATH_TYPES
    for text in (*NOWHERE, "gs://absent/a", "s3://absent/a"):
        value = f"name={text}" if action.type is named_path else text
        flags = [f"{action.option_strings[0]}={value}"] if action.option_strings else [value]
        assert main([*words, *flags]) == 2
        shown = capsys.readouterr()
        name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
        assert shown.err.startswith(f"error: argument {name}") and shown.err.count("\n") == 1
        assert text in shown.err or "the bucket does not exist" in shown.err
        assert is_local <= ("expected a local path" in shown.err or text in NOWHERE)
        assert shown.out == ""


def test_a_command_may_get_what_is_no_address():
    for text in ("a/b", "../a", "~a", "/dev/stdout", "C:/a", "deepseek-ai/x", "a:b", "./-", "."):
        assert path_text(text) == text
        assert str(path_flag(text)) == str(Path(text))
    home = str(Path.home() / "a")
    assert path_text("~/a") == str(path_flag("~/a")) == home and path_texts("b,~/a") == f"b,{home}"


@pytest.mark.parametrize(
    ("module", "words", "action"),
    PATHS,
    ids=[" ".join([m.rpartition(".")[2], *words, a.dest]) for m, words, a in PATHS],
)
def test_a_dash_and_nothing_are_no_paths(module, words, action, capsys):
    main = importlib.import_module(module).main
    for text, told in (("-", "standard input is /dev/stdin"), ("", "empty"), (" ", "empty")):
        value = f"name={text}" if action.type is named_path else text
        flags = [f"{action.option_strings[0]}={value}"] if action.option_strings else [value]
        assert main([*words, *flags]) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("error: argument ") and shown.err.count("\n") == 1
        assert told in shown.err and shown.out == ""


def test_a_dash_and_nothing_are_no_paths_beside_a_config(capsys):
    quickstart = f"--config={REPOSITORY}/configs/quickstart.py"
    heldout = f"--config={REPOSITORY}/configs/eval/heldout.py"
    calls = [(train.main, [quickstart], "workdir"), (reinforce.main, [quickstart], "workdir")]
    calls += [(evaluate.main, [heldout], name) for name in evaluate.PATHS]
    for main, line, name in calls:
        for text, told in (("-", "-: expected a path"), ("", "empty")):
            assert main([*line, f"--{name}={text}"]) == 2
            shown = capsys.readouterr().err
            assert shown.startswith(f"error: --{name}: {told}") and shown.count("\n") == 1, shown


def test_a_folder_with_a_colon_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:").mkdir()
    assert path_flag("odd:/a") == Path("odd:/a")


# ---- commands with a config


def text_fields() -> set[str]:
    """Names of the fields of a training config that hold text, * for names in a mapping."""
    found = {"model.init_from"}
    for section, kind in (
        *completion._SECTIONS.items(),
        ("accuracy", config.AccuracyConfig),
    ):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            kinds = str(hints[field.name])
            if "str" in kinds:
                found.add(f"{section}.{field.name}")
            elif "Mapping" in kinds and f"{section}.{field.name}" not in (
                "data.mixture",  # numbers
                "data.synthetic",  # arguments of the toy corpus: numbers
            ):
                found.add(f"{section}.{field.name}.*")
    return found


def test_every_field_is_a_path_or_known_not_to_be_one():
    assert text_fields() - NO_PATH_FIELDS == set(RUN_PATHS)


def test_every_flag_beside_a_config_is_a_path_or_known_not_to_be_one():
    assert set(evaluate.FLAGS) - {"endpoint", "model", "chat", "mode"} == set(evaluate.PATHS)
    assert set(train.FLAGS) == set(reinforce.FLAGS) == {"workdir"}
    assert set(study.FLAGS) | set(study.OPTIONAL) == {"workdir", "pages"}  # both are paths
    no_paths = {"topology", "slices", "steps", "tokens", "within", "price"}
    assert set(plan._FLAGS) - no_paths == {"write"}


@pytest.mark.parametrize("text", [*NOWHERE, "gs://absent/a", "s3://absent/a"])
def test_a_path_of_a_config_that_nothing_holds_ends_a_command(text, object_stores, capsys):
    quickstart = f"--config={REPOSITORY}/configs/quickstart.py"
    heldout = f"--config={REPOSITORY}/configs/eval/heldout.py"
    calls = []
    for command in (train, reinforce):
        calls.append((command.main, [quickstart, f"--workdir={text}"], "--workdir: "))
        for name in RUN_PATHS:
            if "*" not in name and not name.startswith("lora."):  # a section of its own
                line = [quickstart, "--workdir=new", f"--config.{name}={text}"]
                calls.append((command.main, line, f"config: {name}: "))
    for name in evaluate.PATHS:
        calls.append((evaluate.main, [heldout, f"--{name}={text}"], f"--{name}: "))
    for name in BENCHMARK_PATHS:
        calls.append((evaluate.main, [heldout, f"--config.{name}={text}"], f"config: {name}: "))
    for main, line, told in calls:
        assert main(line) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(f"error: {told}") and shown.count("\n") == 1, shown


def test_a_mapping_of_paths_is_checked(object_stores):
    from semcoder_jax.config.paths import check_paths

    record = {"data": {"datasets": {"mine": "gs://absent/a"}}, "lora": {"init_from": "hdfs://a"}}
    for name, part in (("data.datasets.mine", "data"), ("lora.init_from", "lora")):
        with pytest.raises(config.ConfigError, match=f"config: {name}: "):
            check_paths({part: record[part]}, RUN_PATHS)


def test_a_plan_reads_an_architecture_where_it_lies(object_stores):
    from semcoder_jax.planner.compiled_step import architecture
    from tests.support.tiny_run import tiny_config

    for text in ("hdfs://a/b", "gs:/a", "gs://absent/a", "s3://bucket/none"):
        record = tiny_config(Path("data")) | {"model": {"init_from": text}}
        with pytest.raises(UserError, match=text):
            architecture(config.parse_run(record))


def test_a_config_is_a_program_of_this_machine(capsys):
    line = [f"--config={REPOSITORY}/configs/quickstart.py", "--topology=v5e:1x1", "--search"]
    for text in ("gs://bucket/a.py", "hdfs://a/b.py"):
        assert plan.main([*line, f"--write={text}"]) == 2
        shown = capsys.readouterr().err
        assert text in shown and "expected a local path" in shown and shown.count("\n") == 1
    assert train.main(["--config=gs://bucket/a.py", "--workdir=new"]) == 2
    assert "a config is a program that this machine runs" in capsys.readouterr().err


# ---- stores that do not answer


def test_what_a_store_refuses_is_one_line(object_stores, monkeypatch):
    from data_pipeline.files import buckets

    for scheme, store in object_stores.items():
        buckets._ask.cache_clear()
        with store.failing(403), pytest.raises(OSError, match="access denied by the store"):
            check_path(f"{scheme}://bucket/a")
        check_path(f"{scheme}://bucket/a")


def test_a_missing_extra_is_one_line(monkeypatch):
    find = importlib.util.find_spec
    absent = {"gcsfs", "s3fs"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name in absent else find(name)
    )
    for scheme, package, extra in (("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")):
        file_paths._check_installed.cache_clear()
        with pytest.raises(ValueError, match=rf"{scheme}:// needs {package}: .*\[{extra}\]"):
            check_path(f"{scheme}://bucket/a")
    file_paths._check_installed.cache_clear()
