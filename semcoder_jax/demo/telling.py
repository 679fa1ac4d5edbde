"""Marks a monologue while it is written, beside the real run.

Yields events for the page, JSON objects with an "event":
  run     steps and outcome of the run (`runs.run_event`)
  text    new text of the monologue
  marks   new verdicts, by line of the monologue: {line: {verdict, wrong, labels}}
  end     the answer, whether it is right, and the number of lines by verdict
"""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from data_pipeline.execution.service import Sandbox
from data_pipeline.source.calls import CallError, parse_call, parse_value
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.tracing import Trace
from data_pipeline.verify import (
    CONTRADICTED,
    Claim,
    example_calls,
    line_verdicts,
    verify_trace,
    witness_call,
)
from data_pipeline.verify.answer import assertion_sides, literal_call, outcome
from data_pipeline.verify.numbering import (
    FILE,
    choose_numbering,
    label_quoted_lines,
    to_prompt_numbering,
)
from semcoder_jax.demo.authors import Author, Portion
from semcoder_jax.demo.requests import DemoError, TellRequest
from semcoder_jax.demo.runs import Run, run_event, trace_call

OPENING = "[MONOLOGUE]\n"
# Between two looks at a growing text, in multiples of what the last look took: each judges the
# whole text, and one after every line would take longer than the writing.
REST = 1.0
_LABEL = re.compile(r"\[L(\d{1,6})\]")
_TAG = re.compile(r"\s*\[/?\w+\]\s*")

Judge = Callable[[str], Sequence[Claim]]


class Marker:
    """Holds a growing text, and tells which lines got another mark since the last look.

    `cut` is whether the text reached its greatest length before its end.
    """

    def __init__(self, judge: Judge, program: str, text: str = ""):
        self.program = program
        self.text = text
        self.cut = False
        self.marks: dict[int, dict[str, Any]] = {}
        self._judge = judge
        self._next_look = 0.0

    def look(self, text: str) -> dict[str, Any] | None:
        """Judges `text` and returns the event with the new marks; None if all are as they were."""
        began = time.monotonic()
        before, self.marks = self.marks, mark_lines(text, self._judge(text), self.program)
        self._next_look = time.monotonic() + REST * (time.monotonic() - began)
        new = {line: mark for line, mark in self.marks.items() if before.get(line) != mark}
        new |= {line: None for line in before if line not in self.marks}
        return {"event": "marks", "marks": new} if new else None

    async def follow(self, portions: AsyncIterator[Portion]) -> AsyncIterator[dict[str, Any]]:
        """Yields text as it comes, and marks when lines are complete."""
        async with contextlib.aclosing(portions):
            async for portion in portions:
                self.cut = self.cut or portion.cut
                if not portion.text:
                    continue
                self.text += portion.text
                yield {"event": "text", "text": portion.text}
                if "\n" not in portion.text or time.monotonic() < self._next_look:
                    continue
                whole = self.text.rpartition("\n")[0]
                if marks := await asyncio.to_thread(self.look, whole):
                    yield marks
        if marks := await asyncio.to_thread(self.look, self.text):
            yield marks

    def counts(self) -> dict[str, int]:
        """Returns the number of lines by verdict."""
        return dict(Counter(mark["verdict"] for mark in self.marks.values()))


def mark_lines(text: str, claims: Sequence[Claim], program: str) -> dict[int, dict[str, Any]]:
    """Returns the mark of each line that makes claims: verdict, wrong claims, lines it cites.

    Tags such as [/MONOLOGUE] say nothing that could be checked.
    """
    lines = label_quoted_lines(program, text).split("\n")
    marks = {
        line: {"verdict": verdict, "wrong": [], "labels": _LABEL.findall(lines[line - 1])}
        for line, verdict in line_verdicts(claims).items()
        if not _TAG.fullmatch(lines[line - 1])
    }
    for claim in claims:
        if claim.verdict == CONTRADICTED and claim.line in marks:
            marks[claim.line]["wrong"].append([claim.text, claim.truth or "not so"])
    return marks


async def tell(
    request: TellRequest, author: Author, sandbox: Sandbox
) -> AsyncIterator[dict[str, Any]]:
    """Yields the events of a monologue. Raises DemoError for what the user must change."""
    run = await asyncio.to_thread(trace_call, sandbox, request.program, request.call)
    yield run_event(run)
    if run.stopped is not None:
        raise DemoError(run.stopped)
    portions = _words(request, run.trace) if request.words else _written(request, author, run.trace)
    backward = request.direction == "backward"
    known = not backward or (author.witness_is_known and not request.words)
    marker = Marker(_judge_of(run.trace) if known else lambda text: (), run.trace.program)
    async with contextlib.aclosing(marker.follow(portions)) as events:
        async for event in events:
            yield event
    if not backward:
        yield _ending(marker, run, run)
        return
    async for event in _check_witness(marker, run, sandbox):
        yield event


async def _words(request: TellRequest, trace: Trace) -> AsyncIterator[Portion]:
    """Yields the user's words, with labels as prompts count lines, which the page shows too."""
    as_file = choose_numbering(trace.program, request.words) == FILE
    yield Portion(to_prompt_numbering(request.words) if as_file else request.words)


async def _written(request: TellRequest, author: Author, trace: Trace) -> AsyncIterator[Portion]:
    if request.direction == "backward" and not _is_literal(trace.result):
        raise DemoError("the call returns no literal, so there is no output to reason back from")
    yield Portion(OPENING)
    async with contextlib.aclosing(author.monologue(trace, request.direction)) as portions:
        async for portion in portions:
            yield portion


def _judge_of(trace: Trace, outcomes: dict[str, str] | None = None) -> Judge:
    """Returns the verifier of a run."""
    return lambda text: verify_trace(trace, text, outcomes)


# ==== Backward


async def _check_witness(
    marker: Marker, run: Run, sandbox: Sandbox
) -> AsyncIterator[dict[str, Any]]:
    """Runs the input that a backward monologue arrives at, and marks the whole text by that run."""
    program = run.trace.program
    witness = await asyncio.to_thread(_run_witness, marker.text, program, run, sandbox)
    if witness.trace.call != run.trace.call:
        yield run_event(witness)
    judge = await asyncio.to_thread(_judge_backward, witness.trace, marker.text, sandbox)
    last = Marker(judge, program, marker.text)
    last.marks = marker.marks
    if marks := await asyncio.to_thread(last.look, last.text):
        yield marks
    yield _ending(last, run, witness)


def _run_witness(text: str, program: str, run: Run, sandbox: Sandbox) -> Run:
    """Runs the input that a backward monologue arrives at. Raises DemoError if it names none."""
    call = witness_call(text)
    if call is None:
        raise DemoError("the monologue names no input: it ends in no assertion f(...) == ...")
    try:
        own = parse_call(call).name == parse_call(run.trace.call).name
    except CallError as error:
        raise DemoError(f"the answer {call[:80]}: {str(error).splitlines()[0]}") from None
    if not own:
        raise DemoError(f"the answer {call[:80]} calls another function")
    witness = trace_call(sandbox, program, literal_call(call))
    if witness.stopped is not None:
        raise DemoError(f"the answer {call[:80]}: {witness.stopped}")
    return witness


def _judge_backward(trace: Trace, text: str, sandbox: Sandbox) -> Judge:
    """Returns the verifier of a backward monologue; runs the other inputs that it names."""
    outcomes = {}
    for call in example_calls(trace, text):
        try:
            other = trace_call(sandbox, trace.program, literal_call(call))
        except DemoError:
            continue
        if other.stopped is None:
            outcomes[call] = outcome(other.trace)
    return _judge_of(trace, outcomes)


# ==== The end


def _ending(marker: Marker, asked: Run, told: Run) -> dict[str, Any]:
    """Returns the event that compares the answer with the run; `told` is that of the answer."""
    answer = _answer(marker.text)
    right = None
    if answer is not None:
        expected = asked.trace.result
        given = answer[1] if told is asked else told.trace.result
        right = expected is not None and given is not None and _same(given, expected)
        if told is asked and not _same_calls(answer[0], asked.trace.call):
            right = False
    return {
        "event": "end",
        "answer": None if answer is None else f"{answer[0]} == {answer[1]}",
        "right": right,
        "run": f"{told.trace.call} {'returns' if told.trace.raised is None else 'raises'} "
        f"{told.trace.result if told.trace.raised is None else told.trace.raised}",
        "counts": marker.counts(),
    }


def _answer(text: str) -> tuple[str, str] | None:
    """Returns both sides of the final assertion, or None."""
    _, opened, answer = text.rpartition("[ANSWER]")
    stated = answer.partition("[/ANSWER]")[0].strip().removeprefix("assert ")
    return assertion_sides(stated) if opened else None


def _is_literal(text: str | None) -> bool:
    try:
        parse_value(text or "")
    except LiteralError:
        return False
    return True


def _same_calls(one: str, other: str) -> bool:
    try:
        return parse_call(one) == parse_call(other)
    except CallError:
        return False


def _same(one: str, other: str) -> bool:
    try:
        return same_value(parse_value(one), parse_value(other))
    except LiteralError:
        return one == other


__all__ = ["OPENING", "Marker", "mark_lines", "tell"]
