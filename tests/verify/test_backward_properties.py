"""Properties, parts and other inputs that backward monologues tell; truths worked out by hand."""

import json

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED, example_calls, line_verdicts, verify_trace
from data_pipeline.verify.backward.deduction import read_backward

TITLE = "def title(text):\n    return text[0].upper() + text[1:]\n"
WEED = "def weed(beds, weeds):\n    return {k: v for k, v in beds.items() if k not in weeds}\n"
TALLY = "def tally(word, letter):\n    return word.count(letter)\n"
TWIN = "def twin(xs):\n    ys = xs + [0]\n    ys.sort()\n    return ys * 2\n"
CALLS = {
    "title": (TITLE, "title('abBa')"),  # 'AbBa'
    "weed": (WEED, "weed({'oak': 3, 'ivy': 4, 'yew': 5}, ['ivy'])"),  # {'oak': 3, 'yew': 5}
    "tally": (TALLY, "tally('banana', 'n')"),  # 2
    "twin": (TWIN, "twin([4, -1, 2])"),  # [-1, 0, 2, 4, -1, 0, 2, 4]
}


@pytest.fixture(scope="module")
def runs():
    return {name: Replay(trace_call(*call)) for name, call in CALLS.items()}


def read(run, line, **options):
    reading = read_backward(run, "reverse deduction", line, **options)
    return {claim.verdict for claim in reading.claims}, reading.unread


PAIRS = [  # true, false
    ("tally", "The `letter` must appear exactly {} in `word`.", "twice", "once"),
    ("tally", "The letter `'{}'` must be present.", "b", "z"),
    ("tally", "There must be exactly {} `'a'` in `word`.", "three", "two"),
    ("tally", "The length of `word` must be at least {}.", "5", "7"),
    ("tally", "The third character of `word` must be {}.", "'n'", "'a'"),
    ("tally", "`word` must contain the characters `b`, `a` and `{}`.", "n", "z"),
    ("tally", "The string `word` must {} contain `'x'`.", "not", "also"),
    ("tally", "The last character of `word` must be {}.", "a vowel", "a digit"),
    ("tally", "All characters in `word` must be {}.", "lowercase", "uppercase"),
    ("tally", "The number of `a` in `word` must be {}.", "3", "4"),
    ("tally", "The reverse of `'ab'` is {}.", "`'ba'`", "`'ab'`"),
    ("weed", "The key `'ivy'` must {} in the list `weeds`.", "be present", "not be present"),
    ("weed", "The dictionary `beds` must contain the key {} with the value `3`.", "'oak'", "'yew'"),
    ("weed", "The output has the key 'oak' with the value 3 and the key 'yew' with the value {}.",
     "5", "4"),
    ("weed", "The keys `'oak'` and `{}` must be present in the `beds` dictionary.",
     "'ivy'", "'elm'"),
    ("weed", "The values associated with the keys 'oak' and 'ivy' must be 3 and {}, respectively.",
     "4", "5"),
    ("weed", "`weeds` must not contain {}.", "'oak'", "'ivy'"),
    ("weed", "The length of the output is {}.", "2", "3"),
    ("weed", "For the output to be `{'oak': 3, 'yew': 5}`, `beds` must contain {}.",
     "'yew'", "'elm'"),
    ("twin", "The first element of the output is {}.", "-1", "4"),
    ("twin", "The third element of the output is 2, which is the {} element of the input list.",
     "third", "first"),
    ("twin", "The output list has `0` at index {}.", "1", "2"),
    ("twin", "At index `2`: {}", "2", "4"),
    ("twin", "The output has {} elements.", "8", "6"),
    ("twin", "The input list must have a length of {}.", "3", "4"),
    ("twin", "`xs` must {} sorted.", "not be", "be"),
    ("twin", "The sum of the elements in `xs` must be {}.", "5", "6"),
    ("title", "The second character `b` is {}.", "unchanged", "changed to `B`"),
    ("title", "The first character `a` is {}.", "changed to `A`", "unchanged"),
    ("title", "The input string must be {} characters long.", "4", "5"),
    ("title", "The input string must start with {}.", '"a"', '"A"'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "right", "wrong"), PAIRS)
def test_a_property_is_judged_on_the_witness_and_the_output(runs, name, line, right, wrong):
    assert read(runs[name], line.replace("{}", right)) == ({CONFIRMED}, ())
    assert CONTRADICTED in read(runs[name], line.replace("{}", wrong))[0]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tally", "`word` can contain any other characters, such as `'z'`."),
        ("tally", "If every `'a'` were an `'n'`, all would count, leading to a total of `3`."),
        ("tally", "`word` may contain `'z'`."),
        ("tally", "Either `word` is empty or `letter` is `'z'`."),
        ("weed", "The dictionary must contain `'elm'` or `'oak'`."),
        ("twin", "`xs` must contain `4` and `2` in that order, with `9` between."),
        ("twin", "If `xs` is empty, the first element of the output is `7`."),
        ("title", "The word must contain the letters `A` and `b`, in an unknown alphabet."),
    ],
)
def test_choices_and_what_is_not_understood_are_neither_true_nor_false(runs, name, line):
    verdicts, unread = read(runs[name], line)
    assert CONTRADICTED not in verdicts and unread


def test_a_demand_on_the_input_is_not_judged_by_an_answer_that_misses_the_output(runs):
    line = "The `letter` must appear exactly three times in `word`."
    assert read(runs["tally"], line, goal="2")[0] == {CONTRADICTED}
    assert read(runs["tally"], line, goal="3")[0] == set()


OUTCOMES = {  # by hand
    "title('b')": "'B'", "title('')": "raises IndexError: string index out of range",
    "title('AbBa')": "'AbBa'", "tally('bab', 'b')": "2", "tally('bob', 'x')": "0",
}  # fmt: skip
EXAMPLES = [
    ("title", "The input could be `'AbBa'` or `'AbBa'`.", CONFIRMED),
    ("title", "A valid input could be `'abBa'` or `'b'`.", CONTRADICTED),
    ("title", "Another possible input is `''`, which would give `'AbBa'`.", CONTRADICTED),
    ("title", "Lastly, `'b'` would become `'B'` and then `'AbBa'`.", CONTRADICTED),
    ("title", "If `text` is `'b'`, it will return `'B'`.", CONFIRMED),
    ("title", "If `text` is `'b'`, the function returns `'b'`.", CONTRADICTED),
    ("tally", "If we set `word = 'bab'` and `letter = 'b'`, the result will be `2`.", CONFIRMED),
    ("tally", "If we set `word = 'bob'` and `letter = 'x'`, the result will be `1`.", CONTRADICTED),
]


@pytest.mark.parametrize(("name", "line", "verdict"), EXAMPLES)
def test_another_input_is_judged_by_its_own_run(runs, name, line, verdict):
    assert verdict in read(runs[name], line, run_call=OUTCOMES.get)[0]
    assert verdict not in read(runs[name], line)[0]  # without the run, nothing is known


@pytest.mark.parametrize(
    ("line", "goal", "verdict"),
    [
        ("To satisfy the output, we can choose `word` as `'banana'` and `letter` as `'n'`.", "3",
         CONTRADICTED),
        ("To satisfy the output, we can choose `word` as `'banana'` and `letter` as `'n'`.", "2",
         CONFIRMED),
        ("This input will return `3`.", "3", CONTRADICTED),
        ("This input will return `2`.", "2", CONFIRMED),
        ("This will produce the desired output.", "3", CONTRADICTED),
        ("So every `'n'` is counted once, leading to a total count of `3`.", "3", CONTRADICTED),
    ],
)  # fmt: skip
def test_an_answer_that_misses_the_output_does_not_satisfy_it(runs, line, goal, verdict):
    assert verdict in read(runs["tally"], line, goal=goal)[0]


TOLD = """\
### Understanding the Function
`title` makes the first letter a capital.

### Reverse Deduction
- Another possible input is `'AbBa'`.
- Another possible input is `'b'`.

### Conclusion
A simple input is:
```python
"abBa"
```
[/MONOLOGUE]

[ANSWER]
assert title('abBa') == 'AbBa'
[/ANSWER]
"""


def test_a_literal_in_a_code_fence_is_an_input():
    trace = trace_call(*CALLS["title"])
    number = TOLD.split("\n").index('"abBa"') + 1
    assert line_verdicts(verify_trace(trace, TOLD))[number] == CONFIRMED
    other = TOLD.replace('"abBa"\n', '"cd"\n')
    assert line_verdicts(verify_trace(trace, other)).get(number) in (None, "unchecked")


def test_the_command_runs_other_inputs_in_the_sandbox(tmp_path, capsys):
    assert example_calls(trace_call(*CALLS["title"]), TOLD) == ["title('AbBa')", "title('b')"]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "1", "program": TITLE, "monologue": TOLD}))
    assert main([f"--jsonl={path}"]) == 1
    [row] = map(json.loads, capsys.readouterr().out.splitlines())
    lines = TOLD.split("\n")
    verdicts = {lines[told["line"]]: told["verdict"] for told in row["lines"]}
    assert verdicts["- Another possible input is `'AbBa'`."] == CONFIRMED
    assert verdicts["- Another possible input is `'b'`."] == CONTRADICTED
