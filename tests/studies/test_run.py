"""Tests what binds a study's folder, with a study whose stages write one file each."""

import json
import types

import pytest

from data_pipeline.terminal import missing_packages
from semcoder_jax.commands.study import _join_values, _shown_command
from semcoder_jax.config import ConfigError
from semcoder_jax.config_files import read_config
from semcoder_jax.errors import UserError
from semcoder_jax.studies import run
from semcoder_jax.studies.page import Report
from semcoder_jax.studies.stages import Stage


class Study:
    """Stands for a module of a study; `ran` names the stages in the order in which they ran."""

    def __init__(self):
        self.ran, self.refused, self.stopped = [], None, None

    def stages(self, study, recipe, workdir):
        def make(name):
            if name == self.refused:
                raise ConfigError(f"config: {name} fails")
            if name == self.stopped:
                raise KeyboardInterrupt
            self.ran.append(name)
            (workdir / name).write_text(name)

        return [
            Stage(name, lambda name=name: make(name), lambda name=name: [workdir / name])
            for name in ("data", "answers")
        ]

    def check(self, study, recipe, workdir):
        if study.heldout == 7:
            raise ConfigError("config: study.heldout is 7")

    def report(self, study, recipe, workdir):
        return Report("Test", (workdir / "answers").read_text())


@pytest.fixture
def study(monkeypatch):
    made = Study()
    monkeypatch.setattr(run, "importlib", types.SimpleNamespace(import_module=lambda _: made))
    monkeypatch.setattr(run, "check_packages", lambda *_: None)
    return made


def go(workdir, *, pages=None, report_only=False, command="first", **fields):
    config = read_config("configs/reproduction/forms_cpu.py")
    with config.unlocked():
        for name, value in fields.items():
            section, _, field = name.partition("__")
            config[section][field] = value
    return run.run_study(
        config,
        str(workdir),
        command=command,
        pages=pages,
        report_only=report_only,
        say=lambda line: None,
    )


def test_nothing_is_written_before_all_checks(study, tmp_path):
    workdir = tmp_path / "study"
    with pytest.raises(ConfigError, match="heldout is 7"):
        go(workdir, study__heldout=7)
    assert not workdir.exists()
    go(workdir)
    assert study.ran == ["data", "answers"]


def test_a_study_whose_first_stage_failed_binds_nothing(study, tmp_path):
    study.refused = "data"
    with pytest.raises(ConfigError, match="data fails"):
        go(tmp_path, study__heldout=9)
    study.refused = None
    go(tmp_path, command="second")
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["command"] == "second" and record["config"]["study"]["heldout"] == 150


def test_a_study_that_was_stopped_in_its_first_stage_binds(study, tmp_path):
    study.refused = "data"
    with pytest.raises(ConfigError, match="data fails"):
        go(tmp_path)
    study.refused, study.stopped = None, "data"  # the second time it is stopped in the middle
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    study.stopped = None
    with pytest.raises(ConfigError, match=r"begun with another config: study\.heldout is 9"):
        go(tmp_path, study__heldout=9)
    assert study.ran == []
    go(tmp_path)
    assert study.ran == ["data", "answers"]


@pytest.mark.parametrize(
    "harmless",
    [
        {"study__workers": 1},
        {"study__curve_points": 4},
        {"train__log_every": 7},
        {"optimizer__b1": 0.9},
    ],
)
def test_fields_without_effect_bind_nothing(study, tmp_path, harmless):
    go(tmp_path)
    go(tmp_path, report_only=True, **harmless)
    assert study.ran == ["data", "answers"]


@pytest.mark.parametrize(
    "field, value",
    [("study__heldout", 9), ("compute__dtype", "bfloat16"), ("train__eval_batches", 3)],
)
def test_fields_with_an_effect_bind(study, tmp_path, field, value):
    go(tmp_path)
    with pytest.raises(ConfigError, match=field.replace("__", r"\.")):
        go(tmp_path, **{field: value})


def test_a_path_may_be_spelled_otherwise(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokens").mkdir()
    config = {"data__source": "jsonl", "data__train": "a.jsonl", "data__eval": "b.jsonl"}
    go("study", data__tokenizer="tokens", **config)
    go(tmp_path / "study", data__tokenizer=str(tmp_path / "tokens"), **config)
    with pytest.raises(ConfigError, match=r"data\.tokenizer"):
        go("study", data__tokenizer="others", **config)


def test_a_deleted_output_is_made_again(study, tmp_path):
    page = go(tmp_path)
    (tmp_path / "answers").unlink()
    with pytest.raises(ConfigError, match="stage answers is not done"):
        go(tmp_path, report_only=True)
    go(tmp_path)
    assert study.ran == ["data", "answers", "answers"] and "answers" in page.read_text()


@pytest.mark.parametrize("text", ["", "{}", '{"config": ', "[]", '{"config": 1, "command": 2}'])
def test_a_damaged_record_is_one_line(study, tmp_path, text):
    go(tmp_path)
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(UserError, match=r"study\.json: the record of a study is damaged"):
        go(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"wall_seconds": 1', "3", '{"done": true}'])
def test_a_damaged_stage_file_says_what_to_delete(study, tmp_path, text):
    go(tmp_path)
    mark = tmp_path / "stages" / "data.json"
    mark.write_text(text)
    with pytest.raises(UserError, match=r"data\.json: expected the seconds .* delete the file"):
        go(tmp_path)
    mark.unlink()
    go(tmp_path)
    assert study.ran == ["data", "answers", "data"]


def test_only_foreign_files_keep_a_study_from_a_folder(study, tmp_path):
    (tmp_path / "running.lock").touch()
    (tmp_path / ".DS_Store").touch()
    go(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").touch()
    with pytest.raises(ConfigError, match=r"this one holds notes\.txt"):
        go(other)


def test_places_for_files_are_checked_first(study, tmp_path):
    (tmp_path / "file").write_text("mine")
    for pages in ("file", "file/below"):
        with pytest.raises(UserError, match="expected a folder"):
            go(tmp_path / "study", pages=str(tmp_path / pages))
        with pytest.raises(UserError, match="expected a folder"):
            go(tmp_path / pages)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "forms.md").write_text("mine")
    with pytest.raises(UserError, match="expected the report of a study"):
        go(tmp_path / "study", pages=str(tmp_path / "pages"))
    assert not study.ran and not (tmp_path / "study").exists()


def test_a_missing_package_is_found_first(study, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "check_packages", missing_packages.check_packages)
    monkeypatch.setattr(
        missing_packages.importlib.util, "find_spec", lambda name: name != "matplotlib" or None
    )
    with pytest.raises(UserError, match=r"matplotlib is missing: .*\[study\]"):
        go(tmp_path / "study")
    assert not study.ran and not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "line, shown",
    [
        ("--config=configs/a.py --workdir=W", "--config=configs/a.py"),
        ("--config configs/a.py --workdir W --pages P", "--config=configs/a.py"),
        ("--config /home/me/code/configs/a.py --workdir=W", "--config=configs/a.py"),
        ("-config=/home/me/a.py -workdir config", "-config=a.py"),
        (
            "--workdir W --config=c.py --config.study.seeds=1 --config.data.train=/home/t.jsonl",
            "--config=c.py --config.study.seeds=1 --config.data.train=t.jsonl",
        ),
    ],
)
def test_the_command_of_a_report_names_no_place_of_this_machine(line, shown):
    expected = f"semcoder study {shown} --workdir=DIR"
    assert _shown_command(_join_values(line.split())) == expected
