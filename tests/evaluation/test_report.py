import pytest

from semcoder_jax.evaluation.report import percent, table


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    lines = table(
        ("model", "right", "accuracy"),
        [("untrained", 3, "0.8 %"), ("猫 trained", 1234, percent(0.8642))],
    ).split("\n")
    assert lines == [
        "model       right  accuracy",
        "──────────  ─────  ────────",
        "untrained       3     0.8 %",
        "猫 trained  1,234    86.4 %",
    ]


def test_a_row_of_another_width_is_an_error():
    with pytest.raises(ValueError, match="3 cells under 2 headings"):
        table(("a", "b"), [(1, 2, 3)])


def test_a_table_without_rows_is_its_heading():
    assert table(("a", "bb"), []) == "a  bb\n─  ──"
