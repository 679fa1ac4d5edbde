"""Runs the whole study of repairs with tiny counts: data, trainings, arms, controls and report."""

import pytest

from data_pipeline.files import read_rows
from semcoder_jax.config import ConfigError, parse_study
from semcoder_jax.studies.rubber_duck import stages
from semcoder_jax.studies.run import run_study
from tests.support.tiny_study import tiny_study

TINY = {
    "seeds": 1, "functions": 40, "problems": 6, "early_steps": 3, "own_functions": 4,
    "own_samples": 1, "asked_models": 1, "rounds": 1, "resamples": 2, "max_new_tokens": 24,
    "batch_size": 8, "workers": 1,
}  # fmt: skip


def tiny_config():
    return tiny_study("rubber_duck_cpu.py", TINY, num_steps=3)


def test_a_config_without_steps_is_refused(tmp_path):
    config = tiny_config()
    config.train.num_steps, config.data.num_epochs = None, 1
    with pytest.raises(ConfigError, match=r"train\.num_steps"):
        stages(*parse_study(config), tmp_path)


@pytest.mark.parametrize(("field", "value"), [("rounds", 6), ("temperature", 0.0), ("problems", 0)])
def test_a_study_out_of_range_is_refused(field, value):
    config = tiny_config()
    config.study[field] = value
    with pytest.raises(ConfigError, match=f"study.{field}"):
        parse_study(config)


@pytest.mark.slow
def test_the_study_runs_and_its_report_is_written_again_from_its_files(tmp_path):
    page = run_study(tiny_config(), tmp_path, command="semcoder study", say=lambda line: None)
    text = page.read_text(encoding="utf-8")
    rows = [row for _, row in read_rows(tmp_path / "answers" / "0-3.jsonl")]
    first = [[r for r in rows if r["arm"] == arm and r["round"] == 0] for arm in ARMS]
    assert [len(each) for each in first] == [6, 6, 6]
    assert [r["text"] for r in first[0]] == [r["text"] for r in first[1]]  # shared first programs
    assert {r["round"] for r in rows if r["arm"] == "resample"} == {0, 1, 2}
    assert all(r["tokens"] <= 24 and (r["tokens"] > 0) == r["asked"] for r in rows)
    # Nothing is right after three steps, so the reference's repairs are all that helps.
    assert "| `reference` | 0.0 % | 6 | 100.0 % | 100.0 % |" in text
    assert "| `repeat` | 0.0 % | 6 | 0.0 % | 0.0 % |" in text
    figure = tmp_path / "figures" / "rubber_duck_3.svg"
    drawn = figure.read_bytes()
    figure.unlink()
    run_study(tiny_config(), tmp_path, command="", report_only=True)
    assert page.read_text(encoding="utf-8") == text and figure.read_bytes() == drawn


ARMS = ("repair", "resample", "repair, greedy")
