"""Tests that the words of a narration say its claims, and that nothing else can be said.

The reader here shares no code with the narrators or the verifier: it finds `code`, a verb and a
Python literal by regular expressions and `ast.literal_eval`.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

from data_pipeline import monologue
from data_pipeline.claims import Claim, Place, Prover
from data_pipeline.monologue.backward import narrate_backward
from data_pipeline.monologue.forms import FORMS
from data_pipeline.monologue.forward import narrate_forward
from data_pipeline.monologue.speech import Clause, Join, RefutedClaim, Speaker, join
from data_pipeline.monologue.wording import Words
from data_pipeline.tracing import trace_call
from tests.support.told_programs import RUNS


@functools.cache
def narrations(number):
    """Returns a forward and a backward narration of one of the runs."""
    trace = trace_call(*RUNS[number])
    return narrate_forward(trace, seed=number), narrate_backward(trace, trace.call)


VALUED = ("after", "before", "evaluates", "becomes", "item", "bound", "is", "result", "must")
_SAYS = re.compile(r"`([^`]+)` (?:becomes|is now|is set to|is|gives|=|gets the value|stays) ")
_FIRST_LABEL = 5


def literal_at(text, start):
    """Returns the longest Python literal that begins at a place of a text, or None."""
    for end in range(len(text), start, -1):
        if text[end - 1] in " .,;":
            continue  # of the sentence
        try:
            ast.literal_eval(text[start:end])
        except (ValueError, SyntaxError, MemoryError):
            continue
        return text[start:end].strip()
    return None


def readings(text):
    """Yields the (code, value) that a sentence states in so many words."""
    for match in _SAYS.finditer(text):
        if text[match.end()] == "`":
            value = text[match.end() + 1 :].split("`")[0]
        else:
            value = literal_at(text, match.end())
        if value is not None and "..." not in value and "…" not in value:
            yield match[1], value


def shown(claim):
    return claim.subject.partition("@")[0], claim.value


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_what_is_read_is_what_was_claimed(number):
    read = 0
    for told in narrations(number):
        for sentence in told.sentences:
            claimed = {shown(c) for c in sentence.claims} | {
                (code, other.value)
                for c in sentence.claims
                if c.kind in ("gives", "sets")
                for code in (c.subject, c.value)
                for other in sentence.claims
            }
            for code, value in readings(sentence.text):
                read += 1
                assert any(
                    code == subject and same_text(value, text) for subject, text in claimed
                ), (code, value, sentence)
    assert read > 3


def same_text(one, other):
    if one == other:
        return True
    try:
        return repr(ast.literal_eval(one)) == repr(ast.literal_eval(other))
    except (ValueError, SyntaxError):
        return False


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_what_was_claimed_can_be_read(number):
    """Every stated value that is short enough stands in the sentence that claims it."""
    for told in narrations(number):
        for sentence in told.sentences:
            for claim in sentence.claims:
                if claim.kind in VALUED and len(claim.value) < 40:
                    assert claim.value in sentence.text, (claim, sentence.text)
                if claim.kind == "turn":
                    assert f"Iteration {claim.value}" in sentence.text
                if claim.kind == "next":
                    assert f"[L{int(claim.value) + _FIRST_LABEL - 1}]" in sentence.text


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_every_step_cites_the_line_of_its_claims(number):
    told, _ = narrations(number)
    steps = told.text.split("### Execution Simulation\n")[1].split("\n\n")[0].split("\n")
    sentences = [s for s in told.sentences if s.line]
    assert len(steps) == len(sentences)
    for step, sentence in zip(steps, sentences, strict=True):
        assert step.endswith(sentence.text)
        assert f"[L{sentence.line + _FIRST_LABEL - 1}] " in step
        lines = {c.place.line for c in sentence.claims if c.kind in ("after", "branch", "turn")}
        if not any(c.kind == "range" for c in sentence.claims):  # a summary of many lines
            assert lines <= {sentence.line}, (step, lines)


# ---- nothing can be said without a claim


def texts_of(path):
    """Yields the string constants of a module that are prose, without docstrings and errors."""
    tree = ast.parse(path.read_text())
    silent = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Assert):
            silent |= set(ast.walk(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and node not in silent else None
        if isinstance(text, str) and re.search(r"[a-z]{2,}.* [a-z]{2,}", text):
            yield text


def test_narrators_hold_no_prose_of_their_own():
    folder = Path(monologue.__file__).parent
    for name in ("simulation", "steps", "assignments", "control", "expressions", "deduction"):
        prose = [text for text in texts_of(folder / f"{name}.py") if text not in FORMS]
        assert not prose, (name, prose)
    for name in ("forward", "backward"):
        prose = [text for text in texts_of(folder / f"{name}.py") if text not in FORMS]
        assert all("###" in text for text in prose), (name, prose)


def test_only_the_speaker_makes_clauses():
    folder = Path(monologue.__file__).parent
    for path in folder.glob("*.py"):
        if path.stem != "speech":
            made = [n.func.id for n in ast.walk(ast.parse(path.read_text()))
                    if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]  # fmt: skip
            assert not {"Clause", "Sentence"} & set(made), path.name


def test_a_form_states_claims_and_connectives_none():
    assert all(kinds for kinds, _ in FORMS.values())
    assert all(not re.search(r"[0-9`]", part.value) for part in Join)


def speaker():
    program = "def f(x):\n    y = x + 1\n    return y\n"
    return Speaker(Prover(trace_call(program, "f(2)")), Words("0", 60))


def test_a_refuted_claim_raises_and_an_undecided_one_is_left_out():
    said = speaker().say("sets", Claim("after", Place(2, 1, 0), "y", "3"))
    assert isinstance(said, Clause)
    with pytest.raises(RefutedClaim):
        speaker().say("sets", Claim("after", Place(2, 1, 0), "y", "4"))
    undecided = Claim("must", Place(2), "x", "2")
    assert speaker().say("argument", undecided) is None
    assert join([None, Join.SO, said]) is not None
    assert join([None, Join.SO, None]) is None


def test_a_form_takes_only_its_kinds_of_claim():
    with pytest.raises(TypeError, match="states"):
        speaker().say("sets", Claim("before", Place(2, 1, 0), "x", "2"))
