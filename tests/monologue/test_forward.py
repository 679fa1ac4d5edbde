"""Tests the forward narrator on real functions: form, size, and no statement that a run refutes."""

import pytest

from data_pipeline.monologue.forward import (
    NarrationError,
    forward_monologue,
    narrate_forward,
    tokens,
)
from data_pipeline.tracing import trace_call
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
        "[L14] With `item` = 'x', this line raises ValueError",
        "[L15] `except ValueError` matches",
        "this line calls `clip`",
        "`int(item)` is 2; this line calls `clip`",
        "`clip(int(item))` is 2, so `total` goes from 0 to 2",
        "`total > 7` is `2 > 7`",
        "after 4 iterations",
        "[L20] ",
    ):
        assert fact in told.replace("gives", "is").replace("changes from", "goes from"), told


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


def test_a_loop_is_told_by_its_first_turns_and_a_summary_with_the_state_after_it():
    told = forward_monologue(trace_call(EIGHT, "collatz([7, 22, 11, 34, 17, 52, 26, 13])"))
    steps = told.split("### Execution Simulation\n")[1].split("\n\n")[0].splitlines()
    turns = {n: [s for s in steps if f"Iteration {n}:" in s] for n in (1, 2)}
    assert all(len(found) == 1 for found in turns.values()), told
    for number, lines in ((1, (9, 10, 14)), (2, (12, 13, 14))):
        at = steps.index(turns[number][0])
        cited = {int(s.split("[L")[1].split("]")[0]) for s in steps[at + 1 : at + 6]}
        assert cited >= set(lines), (number, told)  # in full
    summary = next(s for s in steps if "Iterations" in s)
    assert " to 8 " in summary
    assert "[22, 11, 34, 17, 52, 26, 13, 40]" in summary
    assert "after 8 iterations" in told


def test_seeds_vary_the_words_and_never_the_facts():
    trace = trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])")
    texts = [forward_monologue(trace, seed=seed) for seed in range(12)]
    assert texts[0] == forward_monologue(trace, seed=0)
    assert len(set(texts)) > 6
    claims = [set(narrate_forward(trace, seed=seed).claims) for seed in range(12)]
    assert set.intersection(*claims) >= {c for c in claims[0] if c.kind in ("after", "branch")}


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


def narrate_corpus(traces):
    """Returns the lengths of the monologues of runs, and the number of runs refused."""
    sizes, refused = [], 0
    for number, trace in enumerate(traces):
        try:
            sizes.append(tokens(forward_monologue(trace, seed=number)))  # raises RefutedClaim
        except NarrationError:
            refused += 1
    return sizes, refused


def test_no_claim_about_cruxeval_is_refuted(shared_data):
    sizes, refused = narrate_corpus(cruxeval_traces(shared_data, count=200))
    assert len(sizes) > 190 and refused < 5


@pytest.mark.slow
def test_all_of_cruxeval_and_its_size_in_tokens(shared_data):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(shared_data / "tokenizer/tokenizer.json"))
    traces = list(cruxeval_traces(shared_data))
    narrate_corpus(traces)
    sizes = sorted(len(tokenizer.encode(forward_monologue(trace)).ids) for trace in traces)
    assert sizes[len(sizes) // 2] <= 700
    assert sizes[int(len(sizes) * 0.99)] <= 2048
