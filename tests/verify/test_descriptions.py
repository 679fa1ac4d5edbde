"""Sentences that describe code; their truth is known from reading the programs below."""

import ast
import time

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.descriptions import read_description

PROGRAMS = {
    "shout": (
        "def shout(words, mark):\n"
        "    kept = []\n"
        "    for word in words:\n"
        "        if word.isalpha():\n"
        "            kept.append(word.upper())\n"
        "        else:\n"
        "            kept.insert(0, mark)\n"
        "    return '-'.join(kept)\n",
        "shout(['ab', '1', 'c'], '!')",
    ),
    "grade": (
        "def grade(score, limit):\n"
        "    if score < 0:\n"
        "        return None\n"
        "    if score > limit:\n"
        "        return 'high'\n"
        "    return 'low'\n",
        "grade(3, 5)",
    ),
    "tally": (
        "def tally(text, stop):\n"
        "    counts = {}\n"
        "    total = 0\n"
        "    for letter in text:\n"
        "        if letter in stop:\n"
        "            continue\n"
        "        counts[letter] = counts.get(letter, 0) + 1\n"
        "        total += 1\n"
        "    return counts, total\n",
        "tally('banana', 'n')",
    ),
    "prune": (
        "def prune(items, bad):\n"
        "    items.sort()\n"
        "    while bad in items:\n"
        "        items.remove(bad)\n"
        "    items.reverse()\n"
        "    return items\n",
        "prune([3, 1, 2, 1], 1)",
    ),
    "tidy": (
        "def tidy(line, old, new):\n"
        "    line = line.strip()\n"
        "    parts = line.split(',')\n"
        "    line = line.replace(old, new)\n"
        "    half = len(parts) // 2\n"
        "    return line.lower() if half else line\n",
        "tidy(' A,b ', 'A', 'C')",
    ),
    "sift": (
        "def sift(table, drop):\n"
        "    kept = table.copy()\n"
        "    seen = {}\n"
        "    for key in drop:\n"
        "        if key in kept:\n"
        "            del kept[key]\n"
        "            seen[key] = seen.get(key, 0) + 1\n"
        "    while len(kept) > 2:\n"
        "        kept.popitem()\n"
        "    if not seen:\n"
        "        return {}\n"
        "    return {**kept, **seen}\n",
        "sift({'a': 1, 'b': 2}, ['a'])",
    ),
    "mask": (
        "def mask(text, mark):\n"
        "    out = ''\n"
        "    vowels = 0\n"
        "    for char in text:\n"
        "        if char.isdigit():\n"
        "            out = out + char\n"
        "        if char in 'aeiou':\n"
        "            vowels += 1\n"
        "    out = mark + out\n"
        "    return out.zfill(vowels * 2)\n",
        "mask('a1b22', '#')",
    ),
    "is_odd": ("def is_odd(n):\n    return n % 2 == 1\n", "is_odd(4)"),
}
TRUE = [
    ("shout", "The function `shout` takes two parameters: `words`, a list of strings, and `mark`."),
    ("shout", "It initializes an empty list `kept`."),
    ("shout", "- It iterates over each `word` in `words`."),
    ("shout", "If the word is alphabetic, it appends the uppercase version of `word` to `kept`."),
    ("shout", "Otherwise, `mark` is inserted into `kept` at the beginning."),
    ("shout", "It inserts `mark` into the list `kept` at index `0`."),
    ("shout", "It checks if the word is alphabetic."),
    ("shout", "Finally, it joins the elements of `kept` with a hyphen."),
    ("shout", "It converts `word` to uppercase."),
    ("shout", "The function does not modify the original list."),
    ("grade", "If `score` is negative, it returns `None`."),
    ("grade", 'If `score` is greater than `limit`, it returns `"high"`.'),
    ("grade", 'It returns "low" otherwise.'),
    ("grade", "It first checks whether `score` is less than `0`."),
    ("grade", "The function takes an integer `score` and an integer `limit`."),
    ("tally", "It initializes an empty dictionary called `counts` and sets `total` to zero."),
    ("tally", "For each letter in `text`, it checks if the letter is in `stop`."),
    ("tally", "It increments `total` by 1."),
    ("prune", "The list `items` is sorted in ascending order."),
    ("prune", "It removes `bad` from `items`."),
    ("prune", "It then reverses `items` and returns the modified list."),
    ("prune", "The function modifies the input list `items` in place."),
    ("tidy", "It splits `line` by commas."),
    ("tidy", "It replaces `old` with `new`."),
    ("tidy", "It strips leading and trailing whitespace from `line`."),
    ("sift", "It creates a copy of `table` called `kept`."),
    ("sift", "For each key in `drop`, if the key exists in `kept`, it deletes it from `kept`."),
    (
        "sift",
        "It enters a loop that continues as long as the length of `kept` is greater than `2`.",
    ),
    ("sift", "Inside the loop, the last item is removed from `kept` using the `popitem()` method."),
    ("sift", "If `seen` is empty, it returns an empty dictionary."),
    ("sift", "The function modifies a copy of the dictionary and does not modify the original."),
    ("sift", "The function does not check for errors or handle invalid keys."),
    ("sift", "It increments `seen[key]` by 1."),
    ("sift", "- `drop`: a list of keys that will be removed from the dictionary."),
    ("mask", "It keeps only the digit characters from the input string."),
    ("mask", "It prepends `mark` to `out`."),
    ("mask", "The output is a string."),
    ("mask", "It checks if the character is a vowel."),
    ("mask", "It does not check if `text` is empty."),
    ("mask", "The input `text` must be a string."),
    ("is_odd", "The function returns `True` if `n` is odd and `False` otherwise."),
    ("is_odd", "It takes a single parameter `n`."),
]
FALSE = [
    ("shout", "The function `shout` takes three parameters: `words` and `mark`."),
    ("shout", "It initializes an empty dictionary `kept`."),
    ("shout", "It initializes an empty string `kept`."),
    ("shout", "It iterates over each `word` in `mark`."),
    ("shout", "If the word is not alphabetic, it appends `word` in uppercase to `kept`."),
    ("shout", "If the word is numeric, it appends the uppercase version of `word` to `kept`."),
    ("shout", "It inserts `mark` into the list `kept` at index `1`."),
    ("shout", "It inserts `kept` into `mark` at index `0`."),
    ("shout", "Finally, it joins the elements of `kept` with a comma."),
    ("shout", "It converts `word` to lowercase."),
    ("shout", "The function modifies the original list `words` in place."),
    ("grade", "If `score` is positive, it returns `None`."),
    ("grade", 'If `score` is less than `limit`, it returns `"high"`.'),
    ("grade", 'If `score` is negative, it returns `"high"`.'),
    ("grade", "The function takes a string `score` and an integer `limit`."),
    ("tally", "It initializes an empty list called `counts` and sets `total` to zero."),
    ("tally", "It sets `total` to `1` before the loop."),
    ("tally", "It checks if the letter is not in `text`."),
    ("tally", "It increments `total` by 2."),
    ("tally", "It decrements `total` by 1."),
    ("prune", "The list `items` is sorted in descending order."),
    ("prune", "It removes `items` from `bad`."),
    ("prune", "The function does not modify the input list `items`."),
    ("tidy", "It splits `line` by spaces."),
    ("tidy", "It replaces `new` with `old`."),
    ("tidy", "It converts `line` to uppercase."),
    ("sift", "It creates a copy of `drop` called `kept`."),
    ("sift", "If the key does not exist in `kept`, it deletes it from `kept`."),
    ("sift", "It enters a loop that continues as long as the length of `kept` is less than `2`."),
    (
        "sift",
        "Inside the loop, the first item is removed from `kept` using the `popitem()` method.",
    ),
    ("sift", "If `seen` is not empty, it returns an empty dictionary."),
    ("sift", "The function modifies the original dictionary `table` in place."),
    ("sift", "It increments `seen[key]` by 2."),
    ("sift", "- `table`: a list of keys that will be removed from the dictionary."),
    ("sift", "It removes all occurrences of the key from `seen`."),
    ("tidy", "It joins the parts, ignoring the part that contains `old`."),
    ("tidy", "It removes all occurrences of `old` from `parts`."),
    ("mask", "It keeps only the uppercase characters from the input string."),
    ("mask", "It appends `mark` to the end of `out`."),
    ("mask", "The output is a list."),
    ("mask", "It checks if the character is a consonant in `mark`."),
    ("mask", "It does not check if the character is a digit."),
    ("mask", "The input `text` must be a list."),
    ("mask", "The length of the output is determined by the length of `text`."),
    ("is_odd", "The function returns `True` if `n` is even and `False` otherwise."),
    ("is_odd", "It takes two parameters."),
]
SURELY_FALSE = [
    ("shout", "It initializes an empty dictionary `kept`."),
    ("grade", "The function takes a string `score` and an integer `limit`."),
    ("prune", "The function does not modify the input list `items`."),
    ("tidy", "It converts `line` to uppercase."),
    ("is_odd", "The function returns `True` if `n` is even and `False` otherwise."),
    ("is_odd", "It takes two parameters."),
    ("shout", "The function modifies the original list `words` in place."),
    ("prune", "The list `items` is sorted in descending order."),
    ("tally", "It increments `total` by 2."),
    ("sift", "It enters a loop that continues until the length of `kept` is greater than `2`."),
    ("sift", "The function modifies the original dictionary `table` in place."),
    ("mask", "The output is a list."),
    ("mask", "It does not check if the character is a digit."),
]
LOOSE = [  # what people say of right code, and must not be contradicted
    ("tidy", "The function modifies the input string `line`."),
    ("tally", "The function modifies the dictionary `counts` by adding letters."),
    ("sift", "It creates a copy to avoid modifying the original dictionary."),
    ("mask", "It appends the digits to `out`, which holds the first ones first."),
    ("shout", "It appends elements to `kept` until every word of `words` was seen."),
]


@pytest.fixture(scope="module")
def runs():
    return {name: Replay(trace_call(*program)) for name, program in PROGRAMS.items()}


def verdicts_of(reading):
    return {claim.verdict for claim in reading.claims}


@pytest.mark.parametrize(("program", "sentence"), TRUE)
def test_a_true_description_is_confirmed_whole(runs, program, sentence):
    reading = read_description(runs[program], sentence)
    assert verdicts_of(reading) == {CONFIRMED}
    assert reading.unread == ()


@pytest.mark.parametrize(("program", "sentence"), FALSE)
def test_a_false_description_is_never_confirmed_whole(runs, program, sentence):
    reading = read_description(runs[program], sentence)
    assert verdicts_of(reading) != {CONFIRMED} or reading.unread


@pytest.mark.parametrize(("program", "sentence"), SURELY_FALSE)
def test_what_the_program_plainly_denies_is_contradicted(runs, program, sentence):
    assert CONTRADICTED in verdicts_of(read_description(runs[program], sentence))


@pytest.mark.parametrize(("program", "sentence"), LOOSE)
def test_loose_wording_is_not_contradicted(runs, program, sentence):
    assert CONTRADICTED not in verdicts_of(read_description(runs[program], sentence))


@pytest.mark.parametrize(
    "sentence",
    ["Here's a breakdown of how it works:", "The function performs the following operations:", ""],
)
def test_a_sentence_that_states_nothing_makes_no_claim(runs, sentence):
    reading = read_description(runs["shout"], sentence)
    assert reading.claims == () and reading.unread == ()


def test_what_is_not_understood_is_unread(runs):
    reading = read_description(runs["shout"], "The moon rises over `kept` in seven colours.")
    assert reading.claims == () and reading.unread


def test_a_labelled_step_speaks_of_its_own_statement(runs):
    program = PROGRAMS["tally"][0]
    first = ast.parse(program).body[0].body[0]
    run = runs["tally"]
    focus = next(node for node in ast.walk(run.tree) if ast.dump(node) == ast.dump(first))
    said = "An empty dictionary `counts` is initialized."
    assert verdicts_of(read_description(run, said, focus)) == {CONFIRMED}
    other = "The variable `total` is increased by `1`."
    assert verdicts_of(read_description(run, other, focus)) != {CONFIRMED}


def test_a_step_at_the_def_line_has_run_no_statement(runs):
    run = runs["tally"]
    said = "It checks if the letter is in `stop`."
    assert verdicts_of(read_description(run, said, run.tree.body[0])) != {CONFIRMED}
    loop = run.tree.body[0].body[2]
    assert verdicts_of(read_description(run, said, loop)) == {CONFIRMED}


def test_a_value_of_the_run_is_no_description(runs):
    reading = read_description(runs["tally"], "The `total` is incremented to `1`.")
    assert verdicts_of(reading) == set() and reading.unread


def test_any_piece_of_a_sentence_can_be_read(runs):
    for program, sentence in TRUE + FALSE:
        for end in range(0, len(sentence), 3):
            read_description(runs[program], sentence[:end])
            read_description(runs[program], sentence[end:])


def test_reads_three_hundred_sentences_a_second(runs):
    start = time.process_time()
    for _ in range(4):
        for program, sentence in TRUE + FALSE:
            read_description(runs[program], sentence)
    assert 4 * len(TRUE + FALSE) / (time.process_time() - start) > 300
