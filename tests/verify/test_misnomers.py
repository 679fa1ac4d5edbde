"""A description that names a type, a part, an order or a function that is not there."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONTRADICTED
from data_pipeline.verify.descriptions import read_description
from tests.support.sentences import is_confirmed, replay_all

PROGRAMS = {
    "cut": (
        "def cut(text, head):\n"
        "    if text.startswith(head):\n"
        "        return text[len(head):]\n"
        "    return text\n",
        "cut('abc', 'a')",
    ),
    "placed": (
        "def placed(rows, row):\n"
        "    for at, one in enumerate(rows):\n"
        "        if one > row:\n"
        "            rows.insert(at, row)\n"
        "            break\n"
        "    return rows\n",
        "placed([1, 4], 3)",
    ),
    "parts": (
        "def parts(words, word):\n"
        "    if word in words:\n"
        "        at = words.index(word)\n"
        "        first = words[:at]\n"
        "        second = words[at + 1:]\n"
        "        return first + second\n"
        "    else:\n"
        "        return words\n",
        "parts(['a', 'b', 'c'], 'b')",
    ),
    "glued": (
        "def glued(text, mark):\n"
        "    signs = list(text)\n"
        "    if mark in signs:\n"
        "        return mark.join(signs)\n"
        "    else:\n"
        "        return text\n",
        "glued('ab', '-')",
    ),
    "summed": (
        "def summed(count, text):\n"
        "    begun = [1]\n"
        "    total = begun\n"
        "    for _ in range(count):\n"
        "        total = [1] + [x + y for x, y in zip(total, total[1:])]\n"
        "        begun.append(total[-1])\n"
        "    room = count - len(text)\n"
        "    text = text.center(count, '*')\n"
        "    return text[room:]\n",
        "summed(4, 'ab')",
    ),
    "removed": (
        "def removed(numbers, others):\n"
        "    for one in others:\n"
        "        numbers.pop(numbers.index(one))\n"
        "    return numbers\n",
        "removed([3, 1, 2], [1])",
    ),
}
# program, true sentence, sentence with one wrong name
PAIRS = [
    ("cut", "If the condition is true, it returns the substring of `text` that comes after `head`.",
     "If the condition is true, it returns the substring of `text` that comes before `head`."),
    ("cut", "If the condition is false, it returns the original string `text`.",
     "If the condition is false, it returns the original list `text`."),
    ("cut", "It returns the substring of `text` after the length of `head`.",
     "It returns the substring of `head` after the length of `text`."),
    ("placed", "The function modifies the input list `rows` in place.",
     "The function modifies the input dictionary `rows` in place."),
    ("placed", "The function returns the list `rows`.", "The function returns a new list."),
    ("placed", "It returns the modified list.", "It returns the modified dictionary."),
    ("parts", "It returns the concatenation of `first` and `second`.",
     "It returns the concatenation of `second` and `first`."),
    ("parts", "If `word` is not in `words`, it returns the original `words` list.",
     "If `word` is not in `words`, it returns the original `words` dictionary."),
    ("glued", "It converts the input string into a list called `signs`.",
     "It converts the input list into a list called `signs`."),
    ("glued", "If `mark` is not found in `signs`, it returns `text`.",
     "If `mark` is found in `signs`, it returns `text`."),
    ("glued", "If `mark` is found in `signs`, it joins the signs into a single string.",
     "If `mark` is found in `signs`, it joins the signs into a single list."),
    ("glued", "The function `glued` takes a string `text` and a string `mark`.",
     "The function `glued` takes a list `text` and a string `mark`."),
    ("glued", "The function `glued` takes a string `text` as input.",
     "The function `signs` takes a string `text` as input."),
    ("summed", "It sets `total` to `begun`.", "It sets `begun` to `total`."),
    ("summed", "It appends the last element of `total` to `begun`.",
     "It appends the first element of `total` to `begun`."),
    ("summed", "It then centers the `text` within a string of length `count`.",
     "It then centers the `count` within a string of length `text`."),
    ("summed", "It calculates `room` as the difference between `count` and the length of `text`.",
     "It calculates `room` as the difference between `text` and the length of `count`."),
    ("removed", "It iterates over each number in `others` and removes the first occurrence of that "
     "number from `numbers`.",
     "It iterates over each number in `others` and removes the first occurrence of that number "
     "from `others`."),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return replay_all(PROGRAMS)


@pytest.mark.parametrize(("name", "true", "_"), PAIRS, ids=[true[:40] for _, true, _ in PAIRS])
def test_true_sentences_are_confirmed(runs, name, true, _):
    assert is_confirmed(runs[name], true)


@pytest.mark.parametrize(("name", "_", "false"), PAIRS, ids=[false[:40] for *_, false in PAIRS])
def test_one_wrong_name_is_enough_not_to_be_confirmed(runs, name, _, false):
    assert not is_confirmed(runs[name], false)


DENIED = {
    "random": (
        "def drop(d):\n    d = d.copy()\n    d.popitem()\n    return d\n", "drop({'a': 1, 'b': 2})",
        "It calls the `popitem()` method, which removes a random item from the dictionary.",
        "It calls the `popitem()` method on `d`.",
    ),
    "bound": (
        "def total(n):\n    s = 0\n    for i in range(n + 1, 0, -1):\n        s += i\n"
        "    return s\n",
        "total(3)", "It then iterates from `n + 1` down to `0`.",
        "It then iterates from `n + 1` down to `0` (exclusive).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DENIED)
def test_what_the_language_denies_is_contradicted(name):
    program, call, false, true = DENIED[name]
    run = Replay(trace_call(program, call))
    assert CONTRADICTED in {claim.verdict for claim in read_description(run, false).claims}
    assert CONTRADICTED not in {claim.verdict for claim in read_description(run, true).claims}
