"""Tests that each stage runs once, that a failed one runs again, and that its time is counted."""

import time

import pytest

from semcoder_jax.studies.stages import Stage, run_stages, spent_by_stage, unfinished_stages


def burn(seconds: float) -> None:
    """Uses one core for `seconds` of CPU time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_killed_study_goes_on_with_the_stage_that_was_running(tmp_path):
    ran, heard, fail = [], [], True

    def second() -> None:
        ran.append("second")
        burn(0.2)
        if fail:
            raise KeyboardInterrupt

    stages = [
        Stage("first", lambda: ran.append("first")),
        Stage("second", second),
        Stage("third", lambda: ran.append("third")),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages, tmp_path, heard.append)
    assert unfinished_stages(stages, tmp_path) == ["second", "third"]
    fail = False
    run_stages(stages, tmp_path, heard.append)
    assert ran == ["first", "second", "second", "third"]
    assert not unfinished_stages(stages, tmp_path)
    # Both tries of the second stage count; the clock shows at least one core's work.
    spent = spent_by_stage(stages, tmp_path)["second"]
    assert 0.35 < spent.cpu_seconds < 5 and spent.wall_seconds > 0.35
    run_stages(stages, tmp_path, heard.append)
    assert len(ran) == 4


def test_a_stage_is_named_like_a_file():
    with pytest.raises(ValueError, match="train/direct"):
        Stage("train/direct", print)


def test_time_is_on_disk_while_a_stage_runs(tmp_path, monkeypatch):
    """What a process that is killed outright has spent by then counts."""
    monkeypatch.setattr("semcoder_jax.studies.stages._TICK_SECONDS", 0.05)
    seen = []

    def work() -> None:
        burn(0.3)
        seen.append(spent_by_stage([stage], tmp_path)["only"])

    stage = Stage("only", work)
    run_stages([stage], tmp_path, lambda line: None)
    assert seen[0].cpu_seconds > 0.1 and not seen[0].done
    assert spent_by_stage([stage], tmp_path)["only"].done
