"""Tests goodput on sessions written by hand, and on files that a kill cut short."""

import time

import pytest

from semcoder_jax.training.goodput import GOODPUT_FILE, WallTime, read_goodput, summarize


def interval(since, step, seconds, skipped=0):
    return {"from": since, "step": step, "skipped": skipped, "seconds": seconds}


def test_by_hand():
    """Killed at 25, saved at 10; then killed at 18, restarted from 4 since 10 was damaged."""
    rows = [
        {"session": 0, "time": 0.0},
        interval(0, 10, {"start": 5.0, "compile": 4.0, "input": 1.0, "steps": 20.0}),
        interval(10, 20, {"steps": 20.0}),
        interval(20, 25, {"checkpoint": 2.0, "steps": 10.0}),
        {"session": 10, "time": 100.0},
        interval(10, 18, {"start": 5.0, "steps": 16.0}, skipped=2),
        {"session": 4, "time": 200.0},
        interval(4, 20, {"start": 5.0, "steps": 32.0}, skipped=4),
        interval(20, 20, {"evaluation": 3.0, "steps": 0.5}),
    ]
    goodput = summarize(rows)
    assert (goodput.sessions, goodput.repeated_steps) == (3, 6 + 10 + 5 + 8)
    assert goodput.seconds == pytest.approx(
        {
            "start": 15, "compile": 4, "input": 1, "checkpoint": 2, "evaluation": 3,
            # of the first 10 steps, 4 to 10 were made again, and all of the next two intervals
            "repeated": 12 + 20 + 10 + 16,
            "skipped": 32 * 4 / 16,
            "steps": 8 + 24 + 0.5,
        }
    )  # fmt: skip
    assert goodput.total == 15 + 4 + 1 + 2 + 3 + 58 + 8 + 32.5
    assert goodput.share == pytest.approx(32.5 / 123.5)
    assert str(goodput) == (
        "goodput 26.3% of 02:03 in 3 sessions in steps that count; the rest: repeated 47.0% "
        "(29 steps), start 12.1%, skipped 6.5%, compile 3.2%, evaluation 2.4%, checkpoint 1.6%, "
        "input 0.8%"
    )


def test_nothing_yet():
    assert summarize([]).share == 0.0
    assert summarize([{"session": 0, "time": 0.0}]).total == 0.0


def test_every_second_of_a_session_is_counted_once(tmp_path):
    began = time.monotonic()
    wall = WallTime(tmp_path, 0, began)
    for step in (1, 2):
        with wall.phase("input"):
            time.sleep(0.01)
        time.sleep(0.02)
        with wall.phase("checkpoint"):
            time.sleep(0.01)
        wall.end_interval(step)
    ended = time.monotonic()
    wall.close()
    goodput = read_goodput(tmp_path)
    assert goodput.total == pytest.approx(ended - began, abs=0.005)
    assert goodput.seconds["input"] >= 0.02 and goodput.seconds["steps"] >= 0.04


def test_a_row_that_a_kill_cut_short_is_dropped_and_the_rest_kept(tmp_path):
    wall = WallTime(tmp_path, 0, time.monotonic())
    wall.end_interval(5)
    wall.close()
    with open(tmp_path / GOODPUT_FILE, "a") as file:
        file.write('{"from": 5, "st')
    wall = WallTime(tmp_path, 3, time.monotonic())
    wall.end_interval(7)
    wall.close()
    goodput = read_goodput(tmp_path)
    assert (goodput.sessions, goodput.repeated_steps) == (2, 2)


def test_only_the_first_process_writes(tmp_path):
    wall = WallTime(tmp_path, 0, time.monotonic(), write=False)
    assert wall.end_interval(5)["steps"] >= 0
    wall.close()
    assert list(tmp_path.iterdir()) == []
