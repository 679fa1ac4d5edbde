"""Tests that a screened pattern finds what the pattern finds: plain `re` is the oracle."""

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.verify import clause_patterns, flow_wording
from data_pipeline.verify.screening import Screened, needed_words, screened

PATTERNS = [
    (r"\b(?:splits?|splitting) (⟦\d+⟧)", re.I),
    (r"(?<=\bit )is[tk]e?\b(?! not)", re.I),
    (r"(?:a|bc){2,}d|(?P<x>loop)(?:ed)?(?(x)|s)", 0),
    (r"^(?P<s>.*?)\s*\b[Ll]ast (?=element|item)", 0),
    (r"(?i:FAR) near|(?:over)?due", 0),
    (r"(?:sink|kiss)s? *$", re.I),
]
PIECES = ["splits", "Splitting ", "⟦0⟧", "it ", "is", "te", "İs", "ıS", "ſin", "K", "k", "kiss",
          "in", "bcad", "aad", "loop", "loops", "ed", "last ", "Last element", "item", "far near",
          "due", "overdue", " not", "\n"]  # fmt: skip


@pytest.mark.parametrize(("pattern", "flags"), PATTERNS)
@given(text=st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_it_finds_what_the_pattern_finds(pattern, flags, text):
    ours, plain = screened(pattern, flags), re.compile(pattern, flags)
    for find in ("search", "match", "fullmatch"):
        one, other = getattr(ours, find)(text), getattr(plain, find)(text)
        assert (one and (one.span(), one.groups())) == (other and (other.span(), other.groups()))
    assert [m.span() for m in ours.finditer(text)] == [m.span() for m in plain.finditer(text)]
    assert ours.findall(text) == plain.findall(text)
    assert ours.sub("-", text) == plain.sub("-", text)


@pytest.mark.parametrize(
    ("pattern", "flags", "words"),
    [
        (r"\b(?:splits?|splitting) ⟦", re.I, {"split"}),
        (r"\b(?:is|are) (?:above|below) (?=⟦)", 0, {"above", "below"}),
        (r"(?:\w+ )?raises? (?:an? )?`(?:\w+)`", re.I, {"raise"}),
        (r"(?:very )?few|[a-z]+", 0, set()),  # the second branch needs none
        (r"\b(?:is|the)\b", 0, set()),  # nearly every sentence has them
        (r"Ärger[sz]", re.I, {"rger"}),  # whose first letter has two cases
        (r"no(?!thing) colon", 0, {"no colon"}),
    ],
)  # fmt: skip
def test_words_that_a_pattern_needs(pattern, flags, words):
    assert set(needed_words(re.compile(pattern, flags))) == words


def test_letters_that_match_in_spite_of_their_case():
    """All of Unicode: what `re` takes for a letter of a word passes the screen."""
    word = screened("kissingly", re.I)
    assert isinstance(word, Screened)
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    for at, letter in enumerate("kissingly"):
        for spelled in set(re.findall(letter, every, re.I)):
            text = f"{'kissingly'[:at]}{spelled}{'kissingly'[at + 1 :]}"
            assert word.fullmatch(text) is not None


def screened_of(module):
    return [
        pytest.param(value, id=name)
        for name, value in vars(module).items()
        if isinstance(value, Screened)
    ]


@pytest.mark.parametrize("pattern", screened_of(clause_patterns) + screened_of(flow_wording))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_text_that_matches_passes_the_screen(pattern, data):
    text = data.draw(st.from_regex(pattern.pattern))
    assert pattern.search(text) is not None
