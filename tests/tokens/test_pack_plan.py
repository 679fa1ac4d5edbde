"""Tests plan files: one process writes, the others read; foreign or damaged ones are remade."""

import numpy as np
import pytest

from data_pipeline.tokens import pack_plan as schedule
from data_pipeline.tokens.mixture import groups
from data_pipeline.tokens.pack_plan import Schedule

RECORDS = 500


def make(directory=None, *, weights=None, seed=0, capacity=64, changed=0, **options) -> Schedule:
    rng = np.random.default_rng(0)
    lengths, kinds = rng.integers(1, 60, RECORDS), rng.integers(1, 6, RECORDS)
    lengths[:changed] += 1
    found = groups(np.arange(RECORDS), np.zeros(RECORDS, int), kinds, ("",), weights or {})
    return Schedule(found, lengths, capacity, seed, directory=directory, **options)


def rows(packs) -> list:
    return [pack.tolist() for pack in packs]


def test_one_plans_and_the_others_read(tmp_path, monkeypatch):
    expected = [rows(make().packs(epoch)) for epoch in range(3)]
    assert expected[0] != expected[1]
    writer = make(tmp_path)
    assert [rows(writer.packs(epoch)) for epoch in range(3)] == expected
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"epoch_0000{epoch}.npz" for epoch in range(3)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * (8 * RECORDS + 2000)

    def refuse(*_):
        raise AssertionError("planned, although the plan is there")

    monkeypatch.setattr(schedule, "plan_packs", refuse)
    reader = make(tmp_path, writes=False)
    assert [rows(reader.packs(epoch)) for epoch in range(3)] == expected


def test_a_process_that_does_not_write_plans_for_itself(tmp_path):
    assert rows(make(tmp_path, writes=False).packs(1)) == rows(make().packs(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"capacity": 65}, {"weights": {"nl": 2.0}}, {"window": 3}, {"changed": 1}],
)
def test_a_plan_of_something_else_is_made_anew(tmp_path, change):
    make(tmp_path).packs(0)
    assert rows(make(tmp_path, **change).packs(0)) == rows(make(**change).packs(0))
    assert make(**change).identity != make().identity
    assert rows(make(tmp_path).packs(0)) == rows(make().packs(0))


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flipped"])
def test_a_damaged_plan_is_made_anew(tmp_path, damage):
    expected = rows(make(tmp_path).packs(0))
    path = tmp_path / "epoch_00000.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    changed = {"cut": content[:-50], "empty": b"", "garbage": b"no plan", "flipped": content}
    path.write_bytes(changed[damage])
    assert rows(make(tmp_path).packs(0)) == expected
    assert rows(make(tmp_path, writes=False).packs(0)) == expected


def test_packs_are_shuffled_over_the_epoch_and_records_over_windows():
    """Neither pack nor place in the epoch follows from where a record stands in its file."""
    packs = make(window=16).packs(0)
    place = np.empty(RECORDS)
    place[packs.records] = np.repeat(np.arange(len(packs)), np.diff(packs.starts)) / len(packs)
    assert abs(np.corrcoef(place, np.arange(RECORDS))[0, 1]) < 0.15
    neighbours = np.diff(np.sort([pack[:2] for pack in packs if len(pack) > 1], axis=1), axis=1)
    assert np.median(neighbours) > RECORDS / 6  # a third, were it purely random
    # In order where it is not shuffled.
    ordered = make(shuffle=False).packs(0)
    first = [pack[0] for pack in ordered]
    assert first == sorted(first)
