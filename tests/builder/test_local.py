"""Tests that work shared out to processes gives the results that it gives here."""

import pytest

from data_pipeline.builder import local


def test_many_items_are_computed_in_order_by_other_processes():
    items = [f"item {number}" for number in range(100)]
    expected = [text.upper() for text in items]
    assert list(local._map(str.upper, items, 2)) == expected
    assert list(local._map(str.upper, items[:3], 2)) == expected[:3]
    with pytest.raises(ValueError, match="'x'"):
        list(local._map(int, ["1"] * 60 + ["x"], 2))
