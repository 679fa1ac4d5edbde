"""Kinds of descriptions that models write, each with a false sister; the truth is by hand."""

import pytest

from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from tests.support.sentences import replay_all, verdicts

PROGRAMS = {
    "cased": (
        "def cased(text):\n"
        "    done = []\n"
        "    for sign in text:\n"
        "        if sign.isdigit():\n"
        "            continue\n"
        "        if sign.islower():\n"
        "            done.append(sign.upper())\n"
        "        elif sign.isupper():\n"
        "            done.append(sign.lower())\n"
        "    return ''.join(done)\n",
        "cased('a1B')",
    ),
    "parted": (
        "def parted(numbers, bound):\n"
        "    small, large = [], []\n"
        "    for number in numbers:\n"
        "        if number < bound:\n"
        "            small.append(number)\n"
        "        else:\n"
        "            large.append(number)\n"
        "    small.clear()\n"
        "    return small, large\n",
        "parted([1, 7], 5)",
    ),
    "begun": (
        "def begun(text, head):\n"
        "    at = 0\n"
        "    for sign in head:\n"
        "        if text[at] != sign:\n"
        "            return None\n"
        "        at += 1\n"
        "    return text[at:]\n",
        "begun('abc', 'ab')",
    ),
    "turned": (
        "def turned(text, mark):\n"
        "    count = text.count(mark)\n"
        "    first, second = text.split(mark)\n"
        "    if first == second:\n"
        "        return count\n"
        "    return second + mark + first\n",
        "turned('a-b', '-')",
    ),
    "trimmed": (
        "def trimmed(text, head):\n"
        "    while text.startswith(head):\n"
        "        text = text[len(head):]\n"
        "    one, mark, two = text.rpartition('.')\n"
        "    return two + mark + one\n",
        "trimmed('aab.c', 'a')",
    ),
    "spaced": (
        "def spaced(text):\n"
        "    at = 0\n"
        "    while at < len(text) and text[at].isspace():\n"
        "        at += 1\n"
        "    if not text.startswith('#'):\n"
        "        if 'x' in text:\n"
        "            return 0\n"
        "    return at\n",
        "spaced('  a')",
    ),
}
# program, true sentence, false sister
SISTERS = [
    ("cased", "If the character is a digit, it skips to the next iteration (using `continue`).",
     "If the character is a digit, it skips the next character."),
    ("cased", "If the character is a digit, the loop continues with the next character.",
     "If the character is not a digit, the loop continues with the next character."),
    ("cased", "If the character is a lowercase letter, it converts it to uppercase and appends it "
     "to the list `done`.",
     "If the character is an uppercase letter, it converts it to uppercase and appends it to the "
     "list `done`."),
    ("cased", "The lowercase letter `sign` is converted to uppercase.",
     "The uppercase letter `sign` is converted to uppercase."),
    ("parted", "It returns both lists.", "It returns both strings."),
    ("parted", "It clears `small` and returns both lists.",
     "It clears the `large` list and returns both lists."),
    ("parted", "It returns the two lists as a tuple.", "It returns the three lists as a tuple."),
    ("begun", "If they are not equal, it returns `None`.", "If they are equal, it returns `None`."),
    ("begun", "If they match, it increments `at` by 1.",
     "If they don't match, it increments `at` by 1."),
    ("begun", "It checks if `text[at]` is not equal to `sign`. If they are equal, it increments "
     "`at`.",
     "It checks if `text[at]` is not equal to `sign`. If they are not equal, it increments `at`."),
    ("turned", "It counts how many times `mark` appears in `text`.",
     "It counts how many times `text` appears in `mark`."),
    ("turned", "It checks if `first` and `second` are equal.",
     "It checks if `first` and `mark` are equal."),
    ("turned", "If `first` and `second` are equal, it returns `count`.",
     "If `first` and `second` are not equal, it returns `count`."),
    ("turned", "It returns `second` followed by `mark` and `first`.",
     "It returns `first` followed by `mark` and `second`."),
    ("trimmed", "Inside the loop, it removes the `head` from the beginning of the `text`.",
     "Inside the loop, it removes the `head` from the end of the `text`."),
    ("trimmed", "It removes the prefix `head` from `text`.",
     "It removes the prefix `text` from `head`."),
    ("trimmed", "The loop continues until `text` no longer starts with `head`.",
     "The loop continues until `text` starts with `head`."),
    ("trimmed", "It splits `text` into three parts: `one`, `mark`, and `two`.",
     "It splits `text` into three parts: `two`, `mark`, and `one`."),
    ("trimmed", "It splits `text` into three parts: `one`, `mark`, and `two` using the last "
     "occurrence of the dot as the separator.",
     "It splits `text` into three parts: `one`, `mark`, and `two` using the first occurrence of "
     "the dot as the separator."),
    ("spaced", "The loop continues as long as `at` is less than the length of `text` and the "
     "character at index `at` is a whitespace character.",
     "The loop continues as long as `at` is less than the length of `text` or the character at "
     "index `at` is a whitespace character."),
    ("spaced", "If `'#'` is not at the start of `text`, it checks if `'x'` is present in `text`.",
     "If `'#'` is at the start of `text`, it checks if `'x'` is present in `text`."),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return replay_all(PROGRAMS)


@pytest.mark.parametrize(("name", "true", "_"), SISTERS, ids=[true[:40] for _, true, _ in SISTERS])
def test_true_sentences_are_confirmed(runs, name, true, _):
    assert verdicts(runs[name], true) == {CONFIRMED}


@pytest.mark.parametrize(("name", "_", "false"), SISTERS, ids=[false[:40] for *_, false in SISTERS])
def test_their_false_sisters_are_not(runs, name, _, false):
    assert verdicts(runs[name], false) - {CONFIRMED}


@pytest.mark.parametrize(
    "sentence",
    [
        "If they are equal, it returns `None`.",
        "If they match, it returns `None`.",
    ],
)
def test_equality_is_held_to_the_operands_not_to_the_test(runs, sentence):
    assert CONTRADICTED in verdicts(runs["begun"], sentence)
