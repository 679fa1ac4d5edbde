"""Judges answers by real runs: runs what they say in the sandbox and verifies their steps.

A forward monologue tells of the run that was asked, which runs once for all its answers; a backward
one of the run of its own answer; a program runs its tests. All runs of a step go to the sandbox
together, each once.
"""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from data_pipeline.execution.oracles import returns_literal
from data_pipeline.execution.outcomes import Result
from data_pipeline.execution.service import Job, Sandbox, TraceLimits, call_job, expression_job
from data_pipeline.pyx.record_text import RefutedRecordError
from data_pipeline.pyx.records import Record
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.verify import CONTRADICTED, Claim, example_outcomes, verify_trace
from semcoder_jax.evaluation.benchmarks.answer_calls import is_scorable_call
from semcoder_jax.evaluation.benchmarks.answers import (
    extract_input,
    extract_output,
    extract_tagged_answer,
)
from semcoder_jax.evaluation.benchmarks.solutions import extract_program
from semcoder_jax.reinforcement.questions import Question, Test, read_question
from semcoder_jax.reinforcement.rewards import Evidence, score_terms, weighted_reward
from semcoder_jax.reinforcement.rollouts import Rollout

_LIMITS = TraceLimits(max_lines=20_000, max_characters=2000)
_Run = tuple[str, str, str]  # how, program, call


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Holds the verdicts on one answer.

    Attributes:
      terms: value of each term of the reward that applies.
      reward: their weighted mean.
      first_wrong: number of the first token of the first contradicted line; None: no such line.
      answer: the asserted value or call, if there is one.
      finding: the first contradicted claim and the truth, for people.
    """

    terms: Mapping[str, float]
    reward: float
    first_wrong: int | None = None
    answer: str | None = None
    finding: str | None = None


class Judge(Protocol):
    """Judges the answers of a step: one list of judgements for each record."""

    def __call__(
        self, records: Sequence[Record], groups: Sequence[Sequence[Rollout]]
    ) -> list[list[Judgement]]: ...


class SandboxJudge(contextlib.AbstractContextManager):
    """Judges with a sandbox of its own, by the terms in `weights`; `tests` are by seed."""

    def __init__(
        self,
        weights: Mapping[str, float],
        max_new_tokens: int,
        tests: Mapping[str, tuple[Test, ...]] | None = None,
        sandbox: Sandbox | None = None,
    ):
        self._weights, self._max_new_tokens, self._tests = weights, max_new_tokens, tests
        self._sandbox = sandbox or Sandbox()

    def __exit__(self, *unused: object) -> None:
        self._sandbox.close()

    def __call__(
        self, records: Sequence[Record], groups: Sequence[Sequence[Rollout]]
    ) -> list[list[Judgement]]:
        answers = [
            [_read_answer(self._question(record), rollout) for rollout in group]
            for record, group in zip(records, groups, strict=True)
        ]
        results = self._run_all([run for group in answers for one in group for run in one.runs])
        return [[self._judge(one, results) for one in group] for group in answers]

    def _question(self, record: Record) -> Question:
        try:
            return read_question(record, self._tests)
        except RefutedRecordError:
            return Question("other")

    def _run_all(self, runs: Sequence[_Run]) -> dict[_Run, Result]:
        wanted = list(dict.fromkeys(runs))
        return dict(zip(wanted, self._sandbox.map(map(_job, wanted)), strict=True))

    def _judge(self, one: "_Answer", results: Mapping[_Run, Result]) -> Judgement:
        evidence = self._evidence(one, [results[run] for run in one.runs])
        terms = score_terms(evidence, self._weights)
        line = evidence.first_wrong_line
        wrong = None if line is None else one.rollout.token_at(_offset(one, line))
        claim = next((c for c in evidence.claims or () if c.line == line and _is_false(c)), None)
        return Judgement(
            terms,
            weighted_reward(terms, self._weights),
            wrong,
            one.answer,
            claim and f"{claim.text}; the run: {claim.truth}",
        )

    def _evidence(self, one: "_Answer", results: Sequence[Result]) -> Evidence:
        question, rollout = one.question, one.rollout
        evidence = Evidence(
            question, one.text, rollout.finished, len(rollout.tokens), self._max_new_tokens
        )
        if question.kind in ("code", "refine"):
            expected = [output for _, output in question.tests]
            passed = list(map(returns_literal, results, expected))
            return dataclasses.replace(evidence, passed=sum(passed) / len(expected))
        if question.kind == "other":
            return evidence
        asked = question.output if question.kind == "backward" else one.answer
        right = bool(results) and asked is not None and returns_literal(results[0], asked)
        claims = self._claims(one, results) if question.asks_monologue else None
        return dataclasses.replace(
            evidence,
            right=right and one.answer is not None,
            claims=claims,
            lines_run=_lines_run(results) if question.kind == "forward" else 0,
            givens=_givens(results),
        )

    def _claims(self, one: "_Answer", results: Sequence[Result]) -> tuple[Claim, ...]:
        trace = results[0].trace if results else None
        if trace is None:
            return ()
        outcomes = example_outcomes(trace, one.text, self._sandbox.traces)
        return tuple(verify_trace(trace, one.text, outcomes))


@dataclasses.dataclass(frozen=True)
class _Answer:
    """An answer as read: its text behind the prompt's opening, and the runs that judge it."""

    question: Question
    rollout: Rollout
    text: str
    answer: str | None
    runs: tuple[_Run, ...]


def _read_answer(question: Question, rollout: Rollout) -> _Answer:
    text = question.opening + rollout.text
    match question.kind:
        case "forward":
            stated = extract_tagged_answer(text, finished=rollout.finished)
            answer = None if stated is None else extract_output(stated)
            runs = (("trace", question.program, question.call),)
        case "backward":
            stated = extract_tagged_answer(text, finished=rollout.finished)
            answer = None if stated is None else extract_input(stated)
            runs = ()
            if answer and is_scorable_call(answer, question.function, question.program):
                runs = (("trace", question.program, answer),)
        case "code" | "refine":
            written = text.rpartition("[Refined]")[2]
            answer = extract_program(written, question.function)
            runs = tuple(("run", answer or "", call) for call, _ in question.tests)
        case _:
            answer, runs = None, ()
    return _Answer(question, rollout, text, answer, runs)


def _job(run: _Run) -> Job:
    how, program, call = run
    options = {"trace": _LIMITS} if how == "trace" else {}
    try:
        parse_call(call)
    except CallError:
        return expression_job(program, call, **options)
    return call_job(program, call, **options)


def _lines_run(results: Sequence[Result]) -> int:
    """Counts the different lines that the called function itself executed."""
    trace = results[0].trace if results else None
    if trace is None:
        return 0
    return len({event.line for event in trace.events if event.kind == "line" and event.frame == 0})


def _givens(results: Sequence[Result]) -> frozenset[str]:
    """Returns the arguments of the called function, "n=3"."""
    trace = results[0].trace if results else None
    if trace is None or not trace.events:
        return frozenset()
    return frozenset(f"{name}={value}" for name, value in trace.events[0].changed.items())


def _offset(one: _Answer, line: int) -> int:
    """Returns the place in the rollout's own text at which a line of `one.text` begins."""
    before = "".join(part + "\n" for part in one.text.split("\n")[: line - 1])
    return max(len(before) - len(one.question.opening), 0)


def _is_false(claim: Claim) -> bool:
    return claim.verdict == CONTRADICTED
