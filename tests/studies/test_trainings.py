"""Tests that stops, moves and lost files take no checkpoint from a study's trainings."""

import json
import shutil

import pytest

from data_pipeline.toy import corpus
from semcoder_jax.checkpoints import _KeptSteps
from semcoder_jax.studies.trainings import (
    Training,
    curve_steps,
    follow_move,
    keep_steps,
    saved_steps,
)


class Saved:
    def __init__(self, step):
        self.step = step


def kept(steps, **options) -> list[int]:
    """Saves step after step and returns those that are left."""
    policy, left = _KeptSteps(**options), []
    for step in steps:
        left.append(Saved(step))
        keeps = policy.should_preserve(left, context=None)
        left = [one for one, keep in zip(left, keeps, strict=True) if keep]
    return [one.step for one in left]


def test_multiples_are_kept_however_often_a_run_is_stopped():
    assert kept([1, 2, 3, 4, 5, 6, 7], newest=1, every=3) == [3, 6, 7]
    assert kept(range(1, 101), newest=2, every=25) == [25, 50, 75, 99, 100]
    assert kept([1, 2, 3, 4], newest=2) == [3, 4]


def test_a_curve_has_its_points_at_multiples_and_at_the_end():
    assert curve_steps(10, 1) == [10]
    assert curve_steps(10, 3) == [4, 8, 10]
    assert curve_steps(450, 4) == [113, 226, 339, 450]
    assert curve_steps(2, 5) == [1, 2]


@pytest.fixture
def moved(tmp_path):
    """Returns the folder of a study that was begun at another place, and its record here."""
    run = tmp_path / "new" / "runs" / "direct-0"
    run.mkdir(parents=True)
    recorded = {
        "model": {"init_from": "/old/runs/early-0"},
        "data": {"train": "old/corpus/a.jsonl", "eval": None, "tokenizer": "/elsewhere/corpus/t"},
    }
    (run / "config.json").write_text(json.dumps(recorded))
    return tmp_path / "new"


def test_paths_inside_the_study_follow_it(moved):
    run = moved / "runs" / "direct-0"
    record = {
        "model": {"init_from": str(moved / "runs" / "early-0")},
        "data": {
            "train": str(moved / "corpus" / "a.jsonl"),
            "eval": None,
            "tokenizer": "/outside/corpus/t",
        },
    }
    follow_move(run, record, moved)
    found = json.loads((run / "config.json").read_text())
    assert found["model"] == record["model"] and found["data"]["train"] == record["data"]["train"]
    assert found["data"]["tokenizer"] == "/elsewhere/corpus/t"  # another file: training refuses


def test_another_file_of_the_study_is_not_taken_for_the_same(moved):
    run = moved / "runs" / "direct-0"
    before = (run / "config.json").read_text()
    follow_move(run, {"data": {"train": str(moved / "corpus" / "b.jsonl")}}, moved)
    assert (run / "config.json").read_text() == before


def test_a_finished_run_that_lost_a_checkpoint_begins_anew(tmp_path):
    run, learnt = tmp_path / "runs" / "direct-0", []

    class Result:
        step = 4

    def learn(record, workdir):
        learnt.append(saved_steps(workdir))
        for step in (2, 4):
            (workdir / "checkpoints" / str(step)).mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "metrics.jsonl"):
            (workdir / name).write_text("{}")
        return Result

    training = Training(run, tmp_path, [2, 4], learn)
    for lost in (None, "checkpoints/2", "checkpoints/4", "metrics.jsonl"):
        if lost and (run / lost).is_dir():
            (run / lost).rmdir()
        elif lost:
            (run / lost).unlink()
        training.go_on({})
    # Without its last checkpoint it goes on from the one before.
    assert learnt == [[], [], [2], []]


def tiny_record(study, stop: int | None) -> dict:
    made = study / "corpus"
    return {
        "model": {"hidden_size": 8, "intermediate_size": 16, "num_layers": 1, "num_heads": 2},
        "data": {
            "source": "jsonl",
            "train": str(made / "train.jsonl"),
            "tokenizer": str(made / "tokenizer"),
            "sequence_length": 64,
            "global_batch_size": 2,
        },
        "mesh": {"data": 1},
        "optimizer": {"peak_learning_rate": 0.01},
        "train": {"num_steps": 7, "stop_after_step": stop} | keep_steps(3),
    }


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "one_device")
def test_a_run_that_is_stopped_and_moved_keeps_all_its_points(tmp_path):
    """As after Ctrl-C in steps 1, 4 and 5; moved after the second."""
    old, new = tmp_path / "old", tmp_path / "new"
    corpus.build(old / "corpus", functions=20, workers=1, progress=False)
    for stop in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            Training(old / "run", old, [3, 6, 7]).go_on(tiny_record(old, stop))
    assert saved_steps(old / "run") == [3, 4]
    shutil.move(old, new)
    with pytest.raises(KeyboardInterrupt):
        Training(new / "run", new, [3, 6, 7]).go_on(tiny_record(new, 5))
    training = Training(new / "run", new, [3, 6, 7])
    training.go_on(tiny_record(new, None))
    assert saved_steps(new / "run") == [3, 6, 7]
    assert all(path.exists() for path in training.checkpoints())
