"""Tests the forward narrator on real functions: form, size, and no statement that a run refutes."""

from collections import Counter

import pytest

from data_pipeline.monologue.forward import NarrationError, forward_monologue, tokens
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, mark_claims, verify_trace
from tests.support.traced_programs import PROGRAM, cruxeval_traces

HEADINGS = [
    "### Understanding the Function",
    "### Key Properties and Constraints",
    "### Execution Simulation",
    "### Conclusion",
]


def test_form():
    trace = trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])")
    told = forward_monologue(trace)
    assert [line for line in told.splitlines() if line.startswith("###")] == HEADINGS
    assert told.endswith(
        "\n[/MONOLOGUE]\n\n[ANSWER]\nassert outer(['2', 'x', '9', '5']) == 7\n[/ANSWER]"
    )
    assert 'Its docstring says: "Sum what the helper makes of the items."' in told
    steps = told.split("### Execution Simulation\n")[1].split("\n\n")[0].splitlines()
    assert [int(step.split(".")[0]) for step in steps] == list(range(1, len(steps) + 1))


def test_facts_of_a_run_read_by_hand():
    told = forward_monologue(trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])"))
    for fact in (
        "[L12] Iteration 2: `item` is 'x'",
        "[L14] This line raises ValueError",
        "[L15] The handler `except ValueError` matches",
        "This line calls `clip`",
        "`clip` returns 2",
        "`total > 7` is False",
        "after 4 iterations",
        "returns `total`, which is 7",
    ):
        assert fact in told, told


EIGHT = """\
def collatz(numbers):
    odd, even, out = 0, 0, []
    for n in numbers:
        if n % 2:
            odd += 1
            n = 3 * n + 1
        else:
            even += 1
            n = n // 2
        out.append(n)
    return odd, even, out
"""


def test_a_loop_is_told_by_its_first_two_turns_the_stretch_between_and_its_last():
    told = forward_monologue(trace_call(EIGHT, "collatz([7, 22, 11, 34, 17, 52, 26, 13])"))
    steps = told.split("### Execution Simulation\n")[1].split("\n\n")[0].splitlines()
    turns = {n: [s for s in steps if f"Iteration {n}" in s] for n in (1, 2, 8)}
    assert all(len(found) == 1 for found in turns.values()), told
    for number, lines in ((1, (9, 10, 14)), (2, (12, 13, 14)), (8, (9, 10, 14))):
        at = steps.index(turns[number][0])
        cited = {int(s.split("[L")[1].split("]")[0]) for s in steps[at + 1 : at + 6]}
        assert cited >= set(lines), (number, told)  # in full
    assert any(s.count("Before iteration 8, `even` is 4") for s in steps), told
    assert "left out here" not in told


def test_seeds_vary_the_words_and_never_the_facts():
    trace = trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])")
    texts = [forward_monologue(trace, seed=seed) for seed in range(12)]
    assert texts[0] == forward_monologue(trace, seed=0)
    assert len(set(texts)) > 6
    for text in texts:
        assert {claim.verdict for claim in verify_trace(trace, text)} <= {
            CONFIRMED,
            "not_checkable",
        }


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x):\n    return 1 // x", "raised ZeroDivisionError"),
        ("def f(x):\n    return 'a' * 5000", "too long"),
        ("def f(x):\n    return object()", "no literal"),
    ],
)
def test_what_cannot_be_told_is_refused(program, reason):
    with pytest.raises(NarrationError, match=reason):
        forward_monologue(trace_call(program, "f(0)"))


def check_corpus(traces):
    verdicts, refused, sizes = Counter(), 0, []
    for number, trace in enumerate(traces):
        try:
            told = forward_monologue(trace, seed=number)
        except NarrationError:
            refused += 1
            continue
        claims = verify_trace(trace, told)
        verdicts.update(claim.verdict for claim in claims if claim.kind != "unread")
        wrong = [claim for claim in claims if claim.verdict == CONTRADICTED]
        assert not wrong, f"{trace.program}\n{mark_claims(told, claims)}"
        sizes.append(tokens(told))
    assert verdicts[CONFIRMED] > 0.97 * verdicts.total()
    return sizes, refused


def test_no_statement_about_cruxeval_is_denied_by_the_run(shared_data):
    sizes, refused = check_corpus(cruxeval_traces(shared_data, count=200))
    assert len(sizes) > 190 and refused < 5


@pytest.mark.slow
def test_all_of_cruxeval_and_its_size_in_tokens(shared_data):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(shared_data / "tokenizer/tokenizer.json"))
    traces = list(cruxeval_traces(shared_data))
    check_corpus(traces)
    sizes = sorted(len(tokenizer.encode(forward_monologue(trace)).ids) for trace in traces)
    assert sizes[len(sizes) // 2] <= 700
    assert sizes[int(len(sizes) * 0.99)] <= 2048
