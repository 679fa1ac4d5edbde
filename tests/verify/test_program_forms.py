"""Tests descriptions in fixed forms on programs of our own; the truths are read off the code."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from data_pipeline.verify.descriptions import read_description

HALVE = """\
def halve(parts, seen):
    rest = []
    for place in range(len(parts) - 1, -1, -1):
        rest.append(parts[place].strip())
    if len(parts) > 9:
        return halve(parts[1:], seen)
    return rest
"""
CODED = """\
def coded(words):
    table = str.maketrans("xyz", "zxy")
    found = []
    for word in words:
        for mark in word:
            found.append(mark.translate(table))
    while True:
        found.pop()
        if len(found) < 3:
            break
    return sorted(found)
"""
GROUP = """\
def group(ages):
    by_age = {}
    for index in range(1, 3):
        by_age[index] = index
    ages.clear()
    return by_age
"""
PRICES = """\
def prices(table, item):
    names = []
    text = item.strip()
    while "." in text or ":" in text:
        text = text[:-1]
    try:
        table[text] = table[text] + 1
    except KeyError:
        pass
    return list(table.items())
"""
UPSIDE = """\
def upside(cards):
    made = []
    for card in cards:
        made.insert(0, card)
    return made
"""
PAIRED = """\
def paired(prices, code, limit):
    rows = list(prices.items())
    width = len(code)
    name = code.encode("ascii")
    for row in rows:
        limit.append(row)
    for place in range(width - 1, 0, -1):
        limit.append(place)
    return code
"""
SHRUNK = """\
def shrunk(marks):
    kept = marks[:]
    for place in range(len(marks)):
        if marks[place] == 1:
            del kept[place]
    return kept
"""
RUNS = {
    "shrunk": (SHRUNK, "shrunk([2, 3, 1])"),
    "paired": (PAIRED, "paired({'a': 1}, 'xyz', [])"),
    "prices": (PRICES, "prices({'tea': 2, 'rum': 9}, 'tea')"),
    "upside": (UPSIDE, "upside([4, 9, 2])"),
    "broken": (HALVE, "halve([1, 2], [1])"),  # AttributeError: an int has no strip
    "halve": (HALVE, "halve([' a', 'b '], [1])"),
    "coded": (CODED, "coded(['xy', 'zz', 'y'])"),
    "group": (GROUP, "group({'kim': [3], 'lee': [4]})"),
}


def verdicts(name, sentence):
    told = read_description(Replay(trace_call(*RUNS[name])), sentence)
    return {claim.verdict for claim in told.claims}, told.unread


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("halve", "The function uses recursion, which means it may call itself multiple times."),
        ("halve", "It initializes an empty list `rest` to keep track of the parts."),
        ("halve", "It creates an empty list `rest`, which will be used to store the parts."),
        ("halve", "It iterates over the indices of `parts` from the end."),
        ("halve", "it only reads from `parts`"),
        ("coded", "The function uses two nested loops."),
        ("coded", "The function enters an infinite loop (`while True`)."),
        ("coded", "It creates a table `table` using `str.maketrans('xyz', 'zxy')`."),
        ("coded", "It replaces 'x' with 'z', 'y' with 'x', and 'z' with 'y'."),
        ("coded", "It pops (removes and returns) the last element of `found`."),
        ("coded", "The output should be a sorted list."),
        ("group", "It iterates over the indices starting from the second element (index 1)."),
        ("group", "The keys are strings and the values are lists of integers."),
        (
            "prices",
            "It returns a list of tuples, where each tuple is a key-value pair of the dictionary",
        ),
        ("prices", "It catches a `KeyError` and simply passes."),
        ("prices", "The function modifies `text` based on the item."),
        ("prices", "The loop continues until there are no '.' or ':' characters in `text`."),
        (
            "prices",
            "The function takes `table` and `item`, which is presumably a key in that dictionary.",
        ),
        ("paired", "It converts the dictionary `prices` into a list of tuples `rows`."),
        ("paired", "It calculates `width`, which is the length of the string `code`."),
        ("paired", "It tries to encode `code` using the `encode` method."),
        ("paired", "It then appends each row from `rows` to `limit`."),
        ("paired", "It returns `code` unchanged."),
        ("paired", "It iterates from the end, adding each place to `limit`."),
        ("upside", "It returns `made`, which contains the elements of `cards` in reverse order."),
    ],
)
def test_true_descriptions(name, sentence):
    assert verdicts(name, sentence) == ({CONFIRMED}, ())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("coded", "The function uses recursion."),
        ("halve", "It uses two nested loops."),
        ("group", "it only reads from it"),
        ("coded", "'x' -> 'y'"),
        ("coded", "The letter 'w' would be replaced by 'x'."),
        ("coded", "The output list will have the same length as the input list."),
        ("group", "The keys are integers and the values are lists."),
        ("halve", "The output should be a sorted list."),
        ("prices", "It catches a `TypeError` and simply passes."),
        ("prices", "The function returns a list of strings."),
        ("coded", "It returns `found`, which contains the elements of `words` in reverse order."),
        ("broken", "The output is a list that holds the parts."),
    ],
)
def test_false_descriptions(name, sentence):
    assert CONTRADICTED in verdicts(name, sentence)[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("halve", "The function enters an infinite loop."),
        ("shrunk", "If `marks[place]` is `1`, it deletes the current element from `kept`."),
        ("paired", "It converts the dictionary `prices` into a list of strings `rows`."),
        ("paired", "It calculates `width`, which is the length of the list `prices`."),
        ("paired", "It then appends each row from `code` to `limit`."),
        ("paired", "It initializes an empty dictionary `rows`."),
        ("group", "It iterates over the indices in reverse order."),
        ("group", "It iterates over the indices starting from the third element (index 2)."),
        ("coded", "It creates a table `table` using `str.maketrans('xyz', 'zzz')`."),
        ("halve", "It initializes an empty list `rest` to keep track of 'x'."),
    ],
)
def test_descriptions_that_do_not_fit_are_not_confirmed_whole(name, sentence):
    claims, unread = verdicts(name, sentence)
    assert unread or CONFIRMED not in claims
