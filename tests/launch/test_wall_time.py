"""Tests the account of wall time over attempts, by hand."""

import pytest

from launch.process_group import Attempt
from launch.wall_time import account, table_lines


def interval(since, step, seconds, skipped=0):
    return {"from": since, "step": step, "skipped": skipped, "seconds": seconds}


# Killed at step 8, whose checkpoint was 5; then from there to 10. Times since 1,000.
ATTEMPTS = (Attempt(1000.0, 1040.0), Attempt(1041.0, 1080.0))
ROWS = [
    {"session": 0, "time": 900.0},  # of an earlier rehearsal
    interval(0, 1, {"start": 1.0, "steps": 50.0}),
    {"session": 0, "time": 1012.0},  # launched for 8 s, then started for 4
    interval(0, 5, {"start": 4.0, "compile": 3.0, "steps": 10.0}),
    interval(5, 8, {"checkpoint": 1.0, "steps": 6.0}),
    {"session": 5, "time": 1054.0},  # launched for 7 s, started for 4 and restored for 2
    interval(5, 10, {"start": 4.0, "restore": 2.0, "compile": 1.0, "input": 0.5, "steps": 12.0}),
    interval(10, 10, {"checkpoint": 2.5, "steps": 0.0}),
]


def test_every_second_is_in_one_place():
    goodput = account(ATTEMPTS, ROWS)
    # Dead: 40 - 8 - 24 after the first attempt's last line, 1 between, 39 - 7 - 22 at the end.
    assert {name: value for name, value in goodput.seconds.items() if value} == {
        "launch": 15, "start": 8, "restore": 2, "compile": 4, "input": 0.5, "checkpoint": 3.5,
        "steps": 22, "repeated": 6, "dead": 8 + 1 + 10,
    }  # fmt: skip
    assert goodput.total == 80 and goodput.share == 22 / 80
    assert (goodput.sessions, goodput.repeated_steps) == (2, 3)


def test_an_attempt_that_never_came_to_a_line_is_dead_time():
    rows = [{"session": 0, "time": 1012.0}, *ROWS[5:]]
    goodput = account(ATTEMPTS, rows)
    assert goodput.seconds["dead"] == 40 + 1 + 10
    assert goodput.seconds["launch"] == 7 and goodput.total == pytest.approx(80)
    assert account(ATTEMPTS[:1], []).seconds == {"launch": 0, "dead": 40}


def test_the_table():
    assert table_lines(account(ATTEMPTS, ROWS)) == [
        "goodput 27.5%: 22.0 of 80.0 s in steps that count, in 2 attempt(s)",
        "  dead           19.0 s   23.8%  from the last log line to the next attempt or the end",
        "  launch         15.0 s   18.8%  processes start and find each other",
        "  start           8.0 s   10.0%  data is opened, the state made",
        "  repeated        6.0 s    7.5%  3 steps, made again after a checkpoint",
        "  compile         4.0 s    5.0%",
        "  checkpoint      3.5 s    4.4%",
        "  restore         2.0 s    2.5%  the last checkpoint is read",
        "  input           0.5 s    0.6%",
    ]
