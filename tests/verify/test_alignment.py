"""Descriptions in free grammar; each true sentence has a twin that is false, marked by hand."""

import pytest

from data_pipeline.verify.alignment import Aligner
from data_pipeline.verify.alignment.lexicon import stem
from data_pipeline.verify.branches import Tests
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.phrases import code_of
from tests.support.sentences import is_confirmed, replay_all

PROGRAMS = {
    "trimmed": (
        "def trimmed(title, lead):\n"
        "    if title.startswith(lead):\n"
        "        title = title[len(lead):]\n"
        "    rows = title.split(';')\n"
        "    out = ''\n"
        "    for row in rows:\n"
        "        out += row.center(5)\n"
        "        out += '\\n'\n"
        "    out = out[:-1]\n"
        "    return out\n",
        "trimmed('ab;c', 'a')",
    ),
    "moved": (
        "def moved(stock, wanted, price):\n"
        "    at = stock.find(wanted)\n"
        "    if at == -1:\n"
        "        at = len(stock) // 2\n"
        "    items = list(stock)\n"
        "    items.pop(at)\n"
        "    items.insert(0, price)\n"
        "    return ''.join(items)\n",
        "moved('apple', 'z', '7')",
    ),
    "sifted": (
        "def sifted(log):\n"
        "    kept = ''\n"
        "    for sign in log:\n"
        "        if sign.isalnum():\n"
        "            kept += sign.upper()\n"
        "    return kept\n",
        "sifted('a-b')",
    ),
    "judged": (
        "def judged(code, tail):\n"
        "    head, rest = code.split(tail)\n"
        "    if code.isalnum() and all(c.isdigit() for c in head):\n"
        "        return 'number'\n"
        "    return rest + tail + head\n",
        "judged('12x', 'x')",
    ),
    "ordered": (
        "def ordered(groups):\n"
        "    done = []\n"
        "    for group in groups:\n"
        "        group.sort()\n"
        "        done.append(group)\n"
        "    for i in range(2, len(done)):\n"
        "        done[i] = done[i][::-1]\n"
        "    return done\n",
        "ordered([[2, 1], [3]])",
    ),
    "painted": (
        "def painted(wall):\n"
        "    wall = wall.replace('e', 'A')\n"
        "    return wall.replace('\\t', ' ')\n",
        "painted('tree')",
    ),
}
# program, true sentence, false twin
TWINS = [
    ("trimmed", "It checks if the prefix `lead` matches the beginning of the string `title`.",
     "It checks if the prefix `title` matches the beginning of the string `lead`."),
    ("trimmed", "If the title starts with `lead`, it is removed from the start of `title`.",
     "If the title starts with `lead`, it is removed from the end of `title`."),
    ("trimmed", "After the loop, it removes the last newline character from `out`.",
     "After the loop, it removes the first newline character from `out`."),
    ("trimmed", "Inside the loop, it adds the centered row to `out` and appends a newline.",
     "After the loop, it adds the centered row to `out` and appends a newline."),
    ("trimmed", "The method splits the title into a list of rows.",
     "The method splits the title into a dictionary of rows."),
    ("trimmed", "The `center` method is called on `row`.",
     "The `center` method is called on `rows`."),
    ("moved", "If the wanted item is not found, it calculates `at` as the middle of the length.",
     "If the wanted item is found, it calculates `at` as the middle of the length."),
    ("moved", "It creates a new list from `stock` and removes the item at the index `at`.",
     "It creates a new list from `stock` and removes the item at the index `price`."),
    ("moved", "It inserts `price` at the front of the list before joining the items.",
     "It inserts `price` at the front of the list after joining the items."),
    ("moved", "It inserts `price` at the beginning of `items`.",
     "It inserts `price` at the end of `items`."),
    ("sifted", "The function's purpose is to iterate through each sign in the log and append "
     "only the alphanumeric ones to `kept`.",
     "The function's purpose is to iterate through each sign in the log and append "
     "only the lowercase ones to `kept`."),
    ("sifted", "Only alphanumeric characters are converted to uppercase and added to `kept`.",
     "Only alphanumeric characters are converted to lowercase and added to `kept`."),
    ("judged", "It splits `code` into two parts using `tail` as the separator.",
     "It splits `tail` into two parts using `code` as the separator."),
    ("judged", "It checks whether all characters of the head are digits.",
     "It checks whether all characters of the head are letters."),
    ("ordered", "It appends the sorted group to the `done` list.",
     "It appends the reversed group to the `done` list."),
    ("ordered", "It iterates over `done` starting from the third element.",
     "It iterates over `done` starting from the second element."),
    ("painted", "The function replaces all occurrences of the letter 'e' with the letter 'A'.",
     "The function replaces all occurrences of the letter 'A' with the letter 'e'."),
    ("painted", "It successfully replaces all occurrences of tab characters with spaces.",
     "It successfully replaces all occurrences of spaces with tab characters."),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return replay_all(PROGRAMS)


@pytest.mark.parametrize(("name", "true", "_"), TWINS, ids=[true[:40] for _, true, _ in TWINS])
def test_true_descriptions_are_confirmed(runs, name, true, _):
    assert is_confirmed(runs[name], true)


@pytest.mark.parametrize(("name", "_", "false"), TWINS, ids=[false[:40] for *_, false in TWINS])
def test_their_false_twins_are_not(runs, name, _, false):
    assert not is_confirmed(runs[name], false)


@pytest.mark.parametrize("name", PROGRAMS)
def test_sentences_about_another_program_are_not_aligned(runs, name):
    run = runs[name]
    code = code_of(run)
    aligner = Aligner(code, Tests(code))
    strange = [sentence for other, sentence, _ in TWINS if other != name]
    assert [s for s in strange if aligner.says_truly(s, None)] == []


@pytest.mark.parametrize("extra", ["never", "twice", "not", "unless asked", "quietly", "a giraffe"])
def test_one_word_without_a_reason_leaves_a_sentence_unread(runs, extra):
    code = code_of(runs["sifted"])
    aligner = Aligner(code, Tests(code))
    assert aligner.says_truly("It iterates over each sign in `log`.", None)
    assert not aligner.says_truly(f"It iterates over each sign in `log` {extra}.", None)


@pytest.mark.parametrize(
    "forms",
    [
        "replace replaces replaced replacing replacement",
        "iterate iterates iterating iterated iteration",
        "string strings",
        "index indices indexes",
        "copy copies copying copied",
        "stop stops stopped stopping",
        "key keys",
    ],
)
def test_forms_of_a_word_have_one_stem(forms):
    assert len({stem(word) for word in forms.split()}) == 1


@pytest.mark.parametrize(
    "words", ["string strip", "sort sorted", "leading lead", "less lesson", "first fist"]
)
def test_different_words_keep_different_stems(words):
    one, two = words.split()
    assert stem(one) != stem(two)


# More kinds: conditions and their values, results, steps; each by a program of its own.
MORE_PROGRAMS = {
    "routed": (
        "def routed(code, spare):\n"
        "    if code > 9:\n"
        "        return 3\n"
        "    if code < -2:\n"
        "        return -3\n"
        "    spare = spare + 1\n"
        "    return spare\n",
        "routed(4, 1)",
    ),
    "found": (
        "def found(pairs, key):\n"
        "    if key not in pairs:\n"
        "        return []\n"
        "    value = pairs[key]\n"
        "    del pairs[key]\n"
        "    return [key, value]\n",
        "found({'a': 1}, 'a')",
    ),
    "cleared": (
        "def cleared(table, keys):\n"
        "    done = {}\n"
        "    for key in keys:\n"
        "        if key in table:\n"
        "            done[key] = table.pop(key)\n"
        "        else:\n"
        "            done[key] = None\n"
        "    if not done:\n"
        "        return {}\n"
        "    return done\n",
        "cleared({'a': 1}, ['a', 'b'])",
    ),
    "capped": (
        "def capped(text, end):\n"
        "    if text.endswith(end):\n"
        "        return text\n"
        "    text = text + end\n"
        "    return text\n",
        "capped('ab', 'c')",
    ),
    "tallied": (
        "def tallied(names):\n"
        "    count = 0\n"
        "    longest = ''\n"
        "    for name in names:\n"
        "        if len(name) > len(longest):\n"
        "            longest = name\n"
        "        count += 2\n"
        "    return count, longest\n",
        "tallied(['a', 'bcd'])",
    ),
    "joined": (
        "def joined(parts, mark):\n"
        "    parts.reverse()\n"
        "    kept = [part for part in parts if part.isupper()]\n"
        "    return mark.join(kept)\n",
        "joined(['A', 'b', 'C'], '-')",
    ),
    "spread": (
        "def spread(rows):\n"
        "    out = []\n"
        "    for row in rows:\n"
        "        if not row:\n"
        "            continue\n"
        "        if row[0] == 'x':\n"
        "            break\n"
        "        out.append(row.lower())\n"
        "    return sorted(out)\n",
        "spread(['B', '', 'A'])",
    ),
}
# program, true sentence, sentence that is false or that nothing but the run proves
MORE_TWINS = [
    ("routed",
     "If `code` is less than -2, the method returns -3.",
     "If `code` is less than -2, the method returns 3."),
    ("routed",
     "If `code` is greater than 9, it will return 3.",
     "If `code` is greater than 9, it will return -3."),
    ("routed",
     "When `code` exceeds 9, the value 3 is returned.",
     "When `code` exceeds 9, the value -3 is returned."),
    ("routed",
     "If `code` is not greater than 9, it checks if `code` is less than -2.",
     "If `code` is not greater than 9, it simply returns `spare`."),
    ("routed",
     "It adds 1 to `spare` and returns it.",
     "The `spare` is incremented to 2."),
    ("routed",
     "The function finally returns the updated `spare`.",
     "The function finally returns the original `spare`."),
    ("routed",
     "It checks whether `code` is greater than 9.",
     "It checks whether `code` is less than 9."),
    ("found",
     "If the key does not exist in `pairs`, it returns an empty list.",
     "If the key does not exist in `pairs`, it deletes it from `pairs`."),
    ("found",
     "If `key` is missing from `pairs`, an empty list is returned.",
     "If `key` is missing from `pairs`, an empty dictionary is returned."),
    ("found",
     "It deletes the `key` from `pairs` and returns a list.",
     "It deletes the `key` from `pairs` and returns a tuple."),
    ("found",
     "It returns a list with the key and the value.",
     "It returns a tuple with two elements."),
    ("found",
     "It returns a list containing `key` and `value`.",
     "It returns a list with three elements."),
    ("found",
     "If the key is not in `pairs`, it returns an empty list.",
     "If the key is in `pairs`, it returns an empty list."),
    ("cleared",
     "If the key exists in `table`, it is popped from `table`.",
     "If the key does not exist in `table`, it is popped from `table`."),
    ("cleared",
     "If `done` is empty, it returns an empty dictionary.",
     "If `done` is not empty, it returns an empty dictionary."),
    ("cleared",
     "If `done` is empty, an empty dictionary will be returned.",
     "If `done` is empty, an empty list will be returned."),
    ("cleared",
     "It initializes an empty dictionary named `done` to hold the results.",
     "It initializes an empty list named `done` to hold the results."),
    ("cleared",
     "It checks if the `key` exists in the `table`. If so, it pops the key.",
     "It checks if the `key` exists in the `table`. If not, it pops the key."),
    ("cleared",
     "Otherwise, if the key is not in `table`, `done[key]` is set to `None`.",
     "If the key is in `table`, `done[key]` is set to `None`."),
    ("capped",
     "It checks if `text` ends with `end`. If it does, the method returns the original `text`.",
     "It checks if `text` ends with `end`. If it does not, the method returns the original "
     "`text`."),
    ("capped",
     "If `text` ends with the suffix `end`, it returns the unchanged `text`.",
     "If `text` lacks the suffix `end`, it returns the unchanged `text`."),
    ("capped",
     "If `text` does not end with `end`, it appends `end` to `text`.",
     "If `text` ends with `end`, it appends `end` to `text`."),
    ("capped",
     "Finally, the modified `text` is returned by the method.",
     "The original `end` is returned by the method."),
    ("capped",
     "If it already ends with `end`, it returns `text`.",
     "If it already starts with `end`, it returns `text`."),
    ("tallied",
     "The `count` is increased by 2 for every name.",
     "The `count` is increased to 2 for every name."),
    ("tallied",
     "It returns a tuple with two elements.",
     "It returns a tuple with three elements."),
    ("tallied",
     "It returns a tuple containing `count` and `longest`.",
     "It returns a new list containing `count` and `longest`."),
    ("tallied",
     "If the length of `name` is greater than the length of `longest`, it sets `longest` to "
     "`name`.",
     "If the length of `name` is less than the length of `longest`, it sets `longest` to "
     "`name`."),
    ("tallied",
     "If the name is longer than `longest`, `longest` is updated to `name`.",
     "If the name is longer than `longest`, `longest` is updated to 'bcd'."),
    ("tallied",
     "It sets `count` to 0 before the loop.",
     "It sets `count` to 4 before the loop."),
    ("joined",
     "It filters the parts to keep only the uppercase ones.",
     "It filters the parts to keep only the lowercase ones."),
    ("joined",
     "The method joins the `kept` parts using `mark` and returns the string.",
     "The method joins the `kept` parts using `mark` and returns a new list."),
    ("joined",
     "It reverses the order of `parts` and then keeps only the uppercase ones.",
     "It sorts the order of `parts` and then keeps only the uppercase ones."),
    ("joined",
     "It returns a string made by joining `kept` with `mark`.",
     "It returns a new list containing the modified parts."),
    ("joined",
     "If `part` is uppercase, it is included in `kept`.",
     "If `part` is not uppercase, it is included in `kept`."),
    ("spread",
     "If `row` is empty, it continues with the next row.",
     "If `row` is empty, it breaks out of the loop."),
    ("spread",
     "If the first character of `row` is 'x', it breaks out of the loop.",
     "If the first character of `row` is 'x', it continues with the next row."),
    ("spread",
     "If the first character is equal to 'x', the loop is left.",
     "If the first character is equal to 'x', it appends the row to `out`."),
    ("spread",
     "It returns a new list with the sorted rows.",
     "It returns a new tuple with the sorted rows."),
    ("spread",
     "It appends the lowercase `row` to `out`.",
     "If `row` is empty, it appends the lowercase `row` to `out`."),
    ("spread",
     "It initializes `out` as an empty list.",
     "It returns an empty list."),
    ("spread",
     "The function returns the sorted `out`.",
     "The function returns the reversed `out`."),
]  # fmt: skip


@pytest.fixture(scope="module")
def more_runs():
    return replay_all(MORE_PROGRAMS)


@pytest.mark.parametrize(
    ("name", "_", "false"), MORE_TWINS, ids=[false[:40] for *_, false in MORE_TWINS]
)
def test_what_is_false_or_told_of_the_run_is_not_confirmed(more_runs, name, _, false):
    assert not is_confirmed(more_runs[name], false)


def test_most_of_their_true_twins_are_confirmed_and_none_is_contradicted(more_runs):
    read = [read_description(more_runs[name], true) for name, true, _ in MORE_TWINS]
    assert not [r for r in read if any(claim.verdict == CONTRADICTED for claim in r.claims)]
    whole = [r for r in read if r.claims and not r.unread]
    assert len(whole) > 0.8 * len(read)
    confirmed = [true for name, true, _ in MORE_TWINS if is_confirmed(more_runs[name], true)]
    assert len(confirmed) >= 30


def test_a_step_at_the_def_line_aligns_with_nothing(more_runs):
    run = more_runs["capped"]
    said = "It checks if `text` ends with the suffix `end`."
    assert is_confirmed(run, said)
    found = read_description(run, said, run.tree.body[0])
    assert CONFIRMED not in {claim.verdict for claim in found.claims}
