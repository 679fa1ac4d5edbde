"""Tests which words of a docstring become a description."""

import pytest

from data_pipeline.seeds.examples import extract_description


@pytest.mark.parametrize(
    ("docstring", "words"),
    [
        ("Add up.\n\n```python\nadd(1)\n```\n", "Add up."),
        ("Add up.\n\nExample usage:\n```python\nadd(1)\n```\n", "Add up."),
        ("Return one of:\n\n* a number\n* a text of\n  two lines\n* nothing\n",
         "Return one of:\n\n* a number\n* a text of two lines\n* nothing"),
        ("Do this:\n1. look\n2) see\n", "Do this:\n1. look\n2) see"),
        ("Join the lines\n- not a\n  list - of words\n", "Join the lines\n- not a list - of words"),
        ("Read the text.\n\n# >>> read('x')\n# 'x'\n\n# XXX: later", "Read the text."),
        ("unquote('abc%20def') -> 'abc def'.", ""),
        ("Take it.\n\nf(3) -> 4\nMore.", "Take it."),
        ("Take the line\n# TODO: more", "Take the line"),
        ("Count the #s\nof a text", "Count the #s of a text"),
        ("Take\n* a\nstar", "Take\n* a star"),
        ("Multiply by\n*two*", "Multiply by *two*"),
        ("Look at A -\nB of it", "Look at A - B of it"),
    ],
)  # fmt: skip
def test_points_of_a_list_stay_on_their_lines_and_code_is_left_out(docstring, words):
    assert extract_description(docstring) == words
