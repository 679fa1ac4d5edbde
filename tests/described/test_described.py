"""Tests described functions: words against meanings written by hand, runs against plain Python."""

import json
import random

import pytest

from data_pipeline.described import functions
from data_pipeline.described.corpus import faults_of_samples, write_described_corpus
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import read_rows
from data_pipeline.pyx.prompts import mbpp_prompt, training_prompt
from data_pipeline.pyx.records import read_jsonl
from data_pipeline.source.fingerprints import function_fingerprint

# Every wording with its meaning, written by hand: a, b and xs are given, k is 3.
STATEMENTS = {
    "add {k} to {v}": lambda a, b, xs: a + 3,
    "increase {v} by {k}": lambda a, b, xs: a + 3,
    "let {v} grow by {k}": lambda a, b, xs: a + 3,
    "subtract {k} from {v}": lambda a, b, xs: a - 3,
    "decrease {v} by {k}": lambda a, b, xs: a - 3,
    "let {v} shrink by {k}": lambda a, b, xs: a - 3,
    "multiply {v} by {k}": lambda a, b, xs: a + a + a,
    "scale {v} by {k}": lambda a, b, xs: a + a + a,
    "make {v} {k} times as large": lambda a, b, xs: a + a + a,
    "take {v} modulo {k}": lambda a, b, xs: a - a // 3 * 3,
    "reduce {v} to its remainder by {k}": lambda a, b, xs: a - a // 3 * 3,
    "let {v} be what remains of it after division by {k}": lambda a, b, xs: a - a // 3 * 3,
    "raise {v} to at least {k}": lambda a, b, xs: 3 if a < 3 else a,
    "let {v} be no less than {k}": lambda a, b, xs: 3 if a < 3 else a,
    "limit {v} to at most {k}": lambda a, b, xs: 3 if a > 3 else a,
    "let {v} be no more than {k}": lambda a, b, xs: 3 if a > 3 else a,
    "let {v} be the sum of {a} and {b}": lambda a, b, xs: a + b,
    "set {v} to {a} plus {b}": lambda a, b, xs: a + b,
    "let {v} be {a} minus {b}": lambda a, b, xs: a - b,
    "set {v} to {a} less {b}": lambda a, b, xs: a - b,
    "let {v} be what {a} has over {b}": lambda a, b, xs: a - b,
    "let {v} be the product of {a} and {b}": lambda a, b, xs: sum([a] * b),
    "set {v} to {a} times {b}": lambda a, b, xs: sum([a] * b),
    "let {v} be the larger of {a} and {b}": lambda a, b, xs: sorted([a, b])[1],
    "set {v} to whichever of {a} and {b} is greater": lambda a, b, xs: sorted([a, b])[1],
    "let {v} be the smaller of {a} and {b}": lambda a, b, xs: sorted([a, b])[0],
    "set {v} to whichever of {a} and {b} is less": lambda a, b, xs: sorted([a, b])[0],
    "let {v} be the length of xs": lambda a, b, xs: sum(1 for _ in xs),
    "set {v} to the number of items in xs": lambda a, b, xs: sum(1 for _ in xs),
    "let {v} be the sum of xs": lambda a, b, xs: xs[0] + xs[1] + xs[2],
    "set {v} to the total of xs": lambda a, b, xs: xs[0] + xs[1] + xs[2],
    "let {v} be the largest item of xs": lambda a, b, xs: sorted(xs)[2],
    "set {v} to the maximum of xs": lambda a, b, xs: sorted(xs)[2],
    "let {v} be the smallest item of xs": lambda a, b, xs: sorted(xs)[0],
    "set {v} to the minimum of xs": lambda a, b, xs: sorted(xs)[0],
    "let {v} be the first item of xs": lambda a, b, xs: xs[0],
    "set {v} to the head of xs": lambda a, b, xs: xs[0],
    "let {v} be the last item of xs": lambda a, b, xs: xs[2],
    "set {v} to the end of xs": lambda a, b, xs: xs[2],
    "append {k} to xs": lambda a, b, xs: [*xs, 3],
    "put {k} behind xs": lambda a, b, xs: [*xs, 3],
    "put {k} in front of xs": lambda a, b, xs: [3, *xs],
    "prepend {k} to xs": lambda a, b, xs: [3, *xs],
    "reverse xs": lambda a, b, xs: [xs[2], xs[1], xs[0]],
    "turn xs around": lambda a, b, xs: [xs[2], xs[1], xs[0]],
    "sort xs": lambda a, b, xs: [min(xs), sum(xs) - min(xs) - max(xs), max(xs)],
    "put xs in ascending order": lambda a, b, xs: [min(xs), sum(xs) - min(xs) - max(xs), max(xs)],
    "drop the first item of xs": lambda a, b, xs: [xs[1], xs[2]],
    "cut off the head of xs": lambda a, b, xs: [xs[1], xs[2]],
    "drop the last item of xs": lambda a, b, xs: [xs[0], xs[1]],
    "cut off the end of xs": lambda a, b, xs: [xs[0], xs[1]],
}
CONDITIONS = {
    "{v} is above {k}": lambda a: a in range(4, 99),
    "{v} is more than {k}": lambda a: a in range(4, 99),
    "{v} exceeds {k}": lambda a: a in range(4, 99),
    "{v} is at least {k}": lambda a: a in range(3, 99),
    "{v} is {k} or more": lambda a: a in range(3, 99),
    "{v} is not below {k}": lambda a: a in range(3, 99),
    "{v} is below {k}": lambda a: a in range(3),
    "{v} is less than {k}": lambda a: a in range(3),
    "{v} is at most {k}": lambda a: a in range(4),
    "{v} is {k} or less": lambda a: a in range(4),
    "{v} is not above {k}": lambda a: a in range(4),
    "{v} is even": lambda a: a in range(0, 99, 2),
    "2 divides {v}": lambda a: a in range(0, 99, 2),
    "{v} is odd": lambda a: a in range(1, 99, 2),
    "2 does not divide {v}": lambda a: a in range(1, 99, 2),
}


def plain(program: str, call: str):
    """Runs a call in plain Python; the programs are variants of this repository's own."""
    names: dict = {}
    exec(program, names)
    try:
        return eval(call, names)
    except Exception as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_described_corpus(
        tmp_path_factory.mktemp("described"), functions=30, problems=4, fault_share=1.0,
        heldout_share=0.15, workers=1, progress=False,
    )  # fmt: skip


def test_every_wording_means_its_statement():
    tables = (functions.WITH_NUMBER, functions.NEW, functions.OF_ITEMS, functions.ON_ITEMS)
    said = {words: code for table in tables for code, all in table.items() for words in all}
    assert said.keys() == STATEMENTS.keys()
    rng = random.Random(0)
    for words, code in said.items():
        for _ in range(20):
            given = {"a": rng.randint(0, 9), "b": rng.randint(0, 9), "xs": rng.sample(range(9), 3)}
            target = "xs" if code.startswith("xs") else "a"
            names = dict(given)
            exec(code.format(v="a", k=3, a="a", b="b"), {}, names)
            assert names[target] == STATEMENTS[words](**given), words


def test_every_condition_means_its_words():
    said = {words: code for code, all in functions.CONDITIONS.items() for words in all}
    assert said.keys() == CONDITIONS.keys()
    for words, code in said.items():
        for a in range(13):
            assert eval(code.format(v="a", k=3), {"a": a}) == CONDITIONS[words](a), (words, a)


def test_equal_descriptions_belong_to_equal_functions():
    code_of: dict[str, str] = {}
    for number in range(3000):
        function = functions.random_function(random.Random(number))
        assert code_of.setdefault(function.description, function.code) == function.code
    assert len(code_of) > 2600


def test_held_out_functions_and_their_hidden_tests_stay_out_of_training(corpus):
    problems = [row for _, row in read_rows(corpus.problems)]
    functions = [row for _, row in read_rows(corpus.functions)]
    known = {function_fingerprint(row["program"]) for row in functions}
    assert len(problems) == 4 and len(known) == len(functions) == 30
    texts = corpus.train.read_text()
    for row in problems:
        assert function_fingerprint(row["program"]) not in known
        assert json.dumps(row["program"])[1:-1] not in texts
        assert not [inputs for inputs in row["hidden"] if inputs in row["visible"]]
        assert len(row["hidden"]) == 10 and len(row["visible"]) == 2
        names = row["program"].partition("(")[2].partition(")")[0].split(", ")
        for inputs in row["hidden"]:
            call = ", ".join(f"{n}={v!r}" for n, v in zip(names, inputs, strict=True))
            assert f"f({call})" not in row["prompt"]


def test_shown_tests_hold_and_faulty_programs_fail_theirs(corpus):
    records = list(read_jsonl(corpus.train))
    faults = [record for record in records if record.kind == "fault"]
    assert len(faults) > 15
    for record in faults:
        buggy = record.fault.partition("### Buggy Solution\n```python\n")[2].partition("\n```")[0]
        tested = record.fault.partition("### Failed Test\n```python\nassert ")[2].partition("\n")[0]
        right = record.response.partition("[Refined]\n```python\n")[2].partition("\n```")[0]
        call, _, expected = tested.partition(" == ")
        assert plain(right, call) == eval(expected) != plain(buggy, call)
    for record in (record for record in records if record.kind == "nl"):
        program = record.response.removeprefix("```python\n").removesuffix("\n```")
        tests = record.nl.partition("```python\n")[2].removesuffix("\n```").split("\n")
        for call, _, expected in (test.removeprefix("assert ").partition(" == ") for test in tests):
            assert plain(program, call) == eval(expected)


def test_a_prompt_ends_where_a_token_ends(corpus):
    """A model that is asked with the opened fence sees the tokens that it was trained on."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(corpus.tokenizer)

    def tokens(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    problems = {row["description"]: row for _, row in read_rows(corpus.functions)}
    for record in read_jsonl(corpus.train):
        prompt, response = training_prompt(record), record.response
        assert tokenizer.decode(tokens(prompt)) == prompt
        if record.kind == "nl":
            row = problems[record.nl.partition(" Your code should")[0]]
            asked = mbpp_prompt(f'"""{row["description"]}\n{row["tests"]}\n"""')
            assert asked == f"{prompt}```python"
            rest = response.removeprefix("```python")
            assert tokens(asked) + tokens(rest) == tokens(prompt) + tokens(response)


def test_own_wrong_programs_become_faults(corpus):
    row = next(
        row for _, row in read_rows(corpus.functions) if " + " in row["program"].split("\n")[1]
    )
    wrong = row["program"].replace(" + ", " - ", 1)
    with Sandbox(workers=1) as sandbox:
        found = faults_of_samples(
            row, [f"\n{wrong}", "def g(:", row["program"], "nonsense"], sandbox, limit=1
        )
        assert [(fault.operator, fault.buggy) for fault in found] == [("model", wrong)]
        assert found[0].refined == row["program"] and row["tests"] in found[0].fault
        assert not faults_of_samples(row, [row["program"]], sandbox, limit=1)


def test_the_same_arguments_give_the_same_corpus(corpus, tmp_path):
    again = write_described_corpus(
        tmp_path, functions=30, problems=4, fault_share=1.0, heldout_share=0.15, workers=2,
        progress=False,
    )  # fmt: skip
    for name in ("train", "heldout", "functions", "problems"):
        assert getattr(again, name).read_bytes() == getattr(corpus, name).read_bytes()
