"""Tests which numbering a monologue's labels mean: the prompt's, from 5, or the file's, from 1."""

import pytest

from data_pipeline.verify.numbering import FILE, PROMPT, choose_numbering

PROGRAM = (
    "def f(x):\n    y = x + 1\n    return [y]\n"  # L5 to L7 in the prompt, L1 to L3 in the file
)


@pytest.mark.parametrize(
    ("cited", "meant"),
    [
        ("[L6] y is 4. [L7] It returns.", PROMPT),
        ("[L2] y is 4. [L3] It returns.", FILE),
        ("[L2] y is 4. [L9] It returns.", FILE),  # L9 is no line of either
        ("[L6] y is 4. [L9] It returns.", PROMPT),
        ("[L2] y is 4. [L7] It returns.", PROMPT),  # neither fits all
        ("y is 4.", PROMPT),
    ],
)
def test_a_numbering_is_chosen(cited, meant):
    assert choose_numbering(PROGRAM, cited) == meant
