"""Statements of backward monologues on any input, each with a false twin; truth by plain Python.

A false one is never confirmed and a true one never contradicted; of those below, each is decided.
"""

import json

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.general import read_general
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from tests.support.plain_calls import outcomes_of

PROGRAMS = {
    "clip": """\
def clip(text, sep):
    if not sep:
        return text
    return text.replace(sep, "")
""",
    "once": """\
def once(text):
    chars = list(text)
    if "+" in chars:
        chars.remove("+")
    return "".join(chars)
""",
    "tail": """\
def tail(rows, n):
    if n > len(rows):
        return rows
    kept = rows[n:]
    return kept[::-1]
""",
    "shout": """\
def shout(word):
    if word.islower():
        return word.upper()
    return word[::-1]
""",
    "drain": """\
def drain(stock):
    total = []
    while stock:
        top = max(stock)
        total.append(stock.pop(top))
    return total
""",
    "spin": """\
def spin(word, mark):
    while word.startswith(mark):
        word = word[len(mark):] or word
    return word
""",
    "letters": """\
def letters(word):
    word = list(word)
    word[9] = "x"
    return "".join(word)
""",
    "halves": """\
def halves(text, mark):
    codes = {"a": "b", "b": "c"}
    left, _, right = text.partition(mark)
    for one in right:
        if one == "!":
            break
        left += codes.get(one, one)
    return left
""",
    "echo": """\
def echo(word):
    letters = list(word)
    return "".join(letters) + "!"
""",
}
CALLS = {
    "clip": "clip('abcabc', 'b')",  # 'acac'
    "once": "once('a+b+c')",  # 'ab+c'
    "tail": "tail([4, 5, 6], 1)",  # [6, 5]
    "shout": "shout('abC')",  # 'Cba'
    "drain": "drain({3: 'c', 8: 'h', 5: 'e'})",  # ['h', 'e', 'c']
    "spin": "spin('ababc', 'ab')",  # 'c'
    "letters": "letters('abc')",  # IndexError
    "halves": "halves('x-ab!a', '-')",  # 'xbc'
    "echo": "echo('ab')",  # 'ab!'
}


@pytest.fixture(scope="module")
def runs():
    return {name: Replay(trace_call(PROGRAMS[name], CALLS[name])) for name in PROGRAMS}


def verdicts(reading):
    return set() if reading is None else {claim.verdict for claim in reading.claims}


def read(runs, name, line, goal=None):
    run = runs[name]
    goal = goal or run.trace.result or "''"
    general = verdicts(read_general(run, line, goal, outcomes_of(PROGRAMS[name])))
    return general or verdicts(
        read_backward(
            run, "reverse deduction", line, run_call=outcomes_of(PROGRAMS[name]), goal=goal
        )
    )


ANY_INPUT = [  # true, false
    ("clip", "If `sep` is an empty string, the function returns {}.", "`text` unchanged",
     "an empty string"),
    ("clip", "The function returns {} if `sep` is not in `text`.", "the original `text`",
     "an empty string"),
    ("clip", "The output is always a {}.", "string", "list"),
    ("clip", "The output will be {} if `sep` is the entirety of `text`.", "an empty string",
     "the original `text`"),
    ("clip", "If `text` is empty, the output is {}.", "an empty string", "`sep`"),
    ("tail", "If `n` is greater than the length of `rows`, it returns {}.", "`rows` as it is",
     "an empty list"),
    ("tail", "If `rows` is empty, it returns an empty {}.", "list", "string"),
    ("tail", "If `n` is `0`, the output has the same {} as `rows`.", "", ""),
    ("shout", "If `word` is lowercase, the function will return {}.", "the uppercase of `word`",
     "`word` unchanged"),
    ("shout", "If `word` is in lowercase, it returns {}; otherwise, it returns the reverse of"
     " `word`.", "the uppercase version of `word`", "the lowercase version of `word`"),
    ("shout", "The output has the same length as {}.", "`word`", "`[]`"),
    ("drain", "If `stock` is empty, the function returns an empty {}.", "list", "dictionary"),
    ("spin", "If `mark` is not found at the start of `word`, it returns {}.", "`word` unchanged",
     "an empty string"),
    ("echo", "The output is always {}.", "a string", "the input string"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "right", "wrong"), ANY_INPUT)
def test_what_holds_for_any_input_is_tried(runs, name, line, right, wrong):
    if right:
        assert read(runs, name, line.format(right)) == {CONFIRMED}
        assert CONTRADICTED in read(runs, name, line.format(wrong))
    else:  # two conditions on the output: left alone
        assert CONTRADICTED not in read(runs, name, line.format("length"))


@pytest.mark.parametrize(
    ("name", "line", "verdict"),
    [
        ("clip", "The function removes all occurrences of `sep` from `text`.", CONFIRMED),
        ("once", "The function does not modify the string if `text` does not contain `'+'`.",
         CONFIRMED),
        ("shout", "The function does not change the string if `word` is lowercase.", CONTRADICTED),
        ("tail", "The output contains all elements of the input list except the last one.",
         CONTRADICTED),
        ("tail", "`6` comes from the fourth element of the input list.", CONTRADICTED),
        ("once", "The function removes all occurrences of the character `+`.", CONTRADICTED),
        ("once", "The output contains all characters from the input except the `+` characters.",
         CONTRADICTED),
        ("spin", "The function will return an empty string if `mark` is the whole `word`.",
         CONTRADICTED),
        ("tail", "The function modifies the input list.", CONTRADICTED),
        ("drain", "The function does not modify `stock`.", CONTRADICTED),
        ("letters", "It replaces the tenth character of the list.", CONTRADICTED),
        ("echo", "It creates a reversed version of the string.", CONTRADICTED),
        ("drain", "The loop continues until `stock` is empty.", CONFIRMED),
        ("spin", "The loop continues until `word` no longer starts with `mark`.", CONFIRMED),
        ("spin", "The loop continues until `word` starts with `mark`.", None),
        ("halves", "`'a'` maps to `'b'`.", CONFIRMED),
        ("halves", "`'b'` maps to `'d'`.", CONTRADICTED),
        ("halves", "`right`: the part of the string after the first occurrence of `mark`.",
         CONFIRMED),
        ("halves", "`right`: the part of `text` before the first occurrence of `mark`.",
         CONTRADICTED),
        ("halves", "The loop breaks when `one` is equal to `'!'`.", CONFIRMED),
        ("halves", "The loop breaks when `one` is equal to `'a'`.", None),
        ("halves", "If `mark` is not found in `text`, `right` will be `text`.", CONTRADICTED),
        ("echo", "If any character in the string is a digit, it returns an empty string.",
         CONTRADICTED),
    ],
)  # fmt: skip
def test_statements_on_the_program_are_held_against_its_runs(runs, name, line, verdict):
    found = read(runs, name, line)
    assert found == {verdict} if verdict else CONFIRMED not in found


FAULTS = [  # true, false
    ("clip", "The last character `'{}'` of `text` stays.", "c", "a"),
    ("drain", "It takes the second largest key (`{}`) next.", "5", "3"),
    ("tail", "The {} element of `kept` goes to the front.", "second", "third"),
    ("shout", "The string `'abC'` will be changed to `'{}'`.", "Cba", "CBA"),
    ("drain", "So `'{}'` is popped.", "h", "z"),
    ("tail", "`kept` must be `{}`.", "[5, 6]", "[4, 5]"),
    ("tail", "Since `n` is {}, items are left.", "positive", "negative"),
    ("once", "The part before the first `+` is `'{}'`.", "a", "a+b"),
    ("echo", "For the string `'aab'`, the counts of `'a'` and `'b'` are {} and 1.", "2", "1"),
]


@pytest.mark.parametrize(("name", "line", "right", "wrong"), FAULTS)
def test_a_false_presupposition_is_found(runs, name, line, right, wrong):
    assert CONTRADICTED not in read(runs, name, line.format(right))
    assert CONTRADICTED in read(runs, name, line.format(wrong))


@pytest.mark.parametrize(
    "line",
    [
        "Thus, a valid input is `'abC'`.",
        "To satisfy the output, we can use the string `'abC'`.",
        "From this, we can deduce that the input string must be `'abC'`.",
        "If we take `word = 'abC'`, the function returns the desired output.",
    ],
)
def test_an_answer_that_misses_the_output_is_found_however_it_is_offered(runs, line):
    assert CONTRADICTED in read(runs, "shout", line, goal="'CBa'")
    assert CONTRADICTED not in read(runs, "shout", line, goal="'Cba'")


@pytest.mark.parametrize(
    ("line", "right", "wrong"),
    [
        ("A string that starts with {} letter (e.g., `'aB'`).", "a lowercase", "an uppercase"),
        ("We can use a string that ends with {} letter.", "an uppercase", "a lowercase"),
        ("The original string must end with `'b'` and `'{}'` in that order.", "C", "x"),
        ("The first two characters must be `'a'` and `'{}'`, respectively.", "b", "c"),
        ("The first character `'C'` corresponds to the last character of the input, which must be"
         " `'{}'`.", "C", "c"),
    ],
)  # fmt: skip
def test_descriptions_of_the_chosen_input(runs, line, right, wrong):
    line = line.replace("characters must", "characters of `word` must")
    assert read(runs, "shout", line.format(right)) == {CONFIRMED}
    assert read(runs, "shout", line.format(wrong)) >= {CONTRADICTED}


def test_stars_of_values_are_no_bold_words():
    run = Replay(trace_call("def stars(n):\n    return '*' * n\n", "stars(5)"))
    line = "- **Check**: `stars(5)` returns {}."
    for told, verdict in (("'*****'", CONFIRMED), ("'***'", CONTRADICTED)):
        reading = read_backward(run, "reverse deduction", line.format(told), goal="'*****'")
        assert verdicts(reading) == {verdict}


ENDLESS = """\
### Understanding the Function

### Key Properties and Constraints
- If `mark` is an empty string, the function will return the original `word`.
- If `mark` is not at the start of `word`, the function returns `word` unchanged.

### Reverse Deduction
- **Final output constraint**: The function returns `'ab'`.

### Conclusion
Thus, we can use `word = 'ab'` and `mark = ''`.
[/MONOLOGUE]

[ANSWER]
assert spin('ab', '') == 'ab'
[/ANSWER]
"""


@pytest.mark.slow
def test_a_call_that_does_not_end_is_verified_by_its_first_steps(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    row = {"id": "1", "program": PROGRAMS["spin"], "monologue": ENDLESS}
    path.write_text(json.dumps(row))
    assert main([f"--jsonl={path}"]) == 1
    [told] = map(json.loads, capsys.readouterr().out.splitlines())
    lines = ENDLESS.split("\n")
    found = {lines[one["line"]][:40]: one["verdict"] for one in told["lines"]}
    assert found["- If `mark` is an empty string, the func"] == CONTRADICTED
    assert found["- If `mark` is not at the start of `word"] == CONFIRMED
    assert found["Thus, we can use `word = 'ab'` and `mark"] == CONTRADICTED
