import itertools

import pytest

from data_pipeline.terminal.tables import format_percent, format_table, rank_counts


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    lines = format_table(
        ("model", "right", "accuracy"),
        [("untrained", 3, "0.8 %"), ("猫 trained", 1234, format_percent(0.8642))],
    ).split("\n")
    assert lines == [
        "model       right  accuracy",
        "──────────  ─────  ────────",
        "untrained       3     0.8 %",
        "猫 trained  1,234    86.4 %",
    ]


def test_a_table_is_plain_text_and_never_cut(monkeypatch):
    """Ignores the environment's terminal settings, because the table may go to a file."""
    for name, value in {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "20"}.items():
        monkeypatch.setenv(name, value)
    long = "[red]" + "no markup :smile: " * 30 + "."
    assert format_table(("reason", "n"), [(long, 7)]).split("\n") == [
        f"reason{' ' * (len(long) - 6)}  n",
        f"{'─' * len(long)}  ─",
        f"{long}  7",
    ]


def test_a_row_of_another_width_is_an_error():
    with pytest.raises(ValueError, match="3 cells under 2 headings"):
        format_table(("a", "b"), [(1, 2, 3)])


def test_a_table_without_rows_is_its_heading():
    assert format_table(("a", "bb"), []) == "a  bb\n─  ──"


def test_equal_counts_are_ranked_by_name_whatever_was_counted_first():
    expected = [("c", 3), ("a", 2), ("b", 2), ("d", 1)]
    for counted in itertools.permutations({"a": 2, "b": 2, "c": 3, "d": 1}.items()):
        assert rank_counts(dict(counted)) == expected
        assert rank_counts(dict(counted), 2) == expected[:2]
