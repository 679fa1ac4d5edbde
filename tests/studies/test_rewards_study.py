"""Runs the whole study of rewards with tiny counts: data, trainings, answers and report."""

import json
from pathlib import Path

import pytest

from data_pipeline.files import read_rows
from semcoder_jax.studies import rewards
from semcoder_jax.studies.run import run_study
from tests.support.tiny_study import tiny_study

ARMS = ("answers", "answers_and_steps")
TINY = {
    "seeds": 1, "functions": 60, "base_steps": 3, "new_functions": 20, "updates": 2, "answers": 8,
    "group_size": 4, "max_new_tokens": 8, "problems": 3, "curve_problems": 2, "points": 2,
}  # fmt: skip


def tiny_config():
    return tiny_study("rewards_cpu.py", TINY, num_steps=6)


def run(workdir: Path, **options) -> Path:
    return run_study(tiny_config(), workdir, command="semcoder study", **options)


def stage(workdir: Path, name: str) -> dict:
    return json.loads((workdir / "stages" / f"{name}.json").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "one_device")
def test_the_study_goes_on_after_a_stop_and_all_arms_answer_the_same(tmp_path, monkeypatch):
    answer, stopped = rewards._answer, []

    def answer_or_stop(*unused, name, **rest):
        if name == "supervised" and not stopped:
            stopped.append(name)
            raise KeyboardInterrupt
        return answer(*unused, name=name, **rest)

    monkeypatch.setattr(rewards, "_answer", answer_or_stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, say=lambda line: None)
    done = {path.name: path.read_bytes() for path in (tmp_path / "stages").iterdir()}
    page = run(tmp_path, say=lambda line: None)
    again = {path.name: path.read_bytes() for path in (tmp_path / "stages").iterdir()}
    assert stage(tmp_path, "answer.supervised-0")["done"]
    finished = [name for name in done if json.loads(done[name])["done"]]
    assert len(finished) >= 9 and "answer.supervised-0.json" not in finished
    assert all(again[name] == done[name] for name in finished)

    assert json.loads((tmp_path / "data.json").read_text())["shared"] == 0
    problems = [json.loads(line) for line in (tmp_path / "data/problems.jsonl").open()]
    for name in ("base", *ARMS, "supervised"):
        last = max((tmp_path / "answers").glob(f"{name}-0-*.jsonl"), key=_step)
        rows = [row for _, row in read_rows(last)]
        assert [row["id"] for row in rows] == [problem["id"] for problem in problems]
        assert all(row["tokens"] <= 8 for row in rows)
    assert {_step(path) for path in (tmp_path / "answers").glob("answers-0-*.jsonl")} == {1, 2}

    # As many steps as the arms' CPU time pays for, at the price of one of the base's.
    spent = [stage(tmp_path, f"{name}-0")["cpu_seconds"] for name in (*ARMS, "base")]
    config = json.loads((tmp_path / "runs" / "supervised-0" / "config.json").read_text())
    assert config["train"]["num_steps"] == max(1, round((spent[0] + spent[1]) / 2 / spent[2] * 3))

    text = page.read_text(encoding="utf-8")
    run(tmp_path, report_only=True)
    assert page.read_text(encoding="utf-8") == text


def _step(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
