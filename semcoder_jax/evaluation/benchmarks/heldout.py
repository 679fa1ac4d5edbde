"""Held-out functions, asked forward: the value that a call returns, with or without a monologue.

A row is {"id", "program", "call", "output"}. A right answer is a literal of the same value and
type. Each program runs once: in the sandbox, or in this process if the caller trusts it.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.files import as_path, read_rows
from data_pipeline.pyx.prompts import forward_prompt
from data_pipeline.source.calls import parse_value
from data_pipeline.source.fingerprints import explain_mismatch
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.tracing import Trace
from data_pipeline.verify import VerifyError, mark_claims, trace_of, verify_trace
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.benchmarks.answers import (
    extract_tagged_answer,
    split_after_call,
    split_assertion,
)
from semcoder_jax.evaluation.benchmarks.problem_set import ProblemSet, answer_to
from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.results import RIGHT, WRONG, Answer, Reference

TITLE = "Held-out"
VARIANTS = ("monologue", "direct")
STOP = "[/ANSWER]"


class HeldoutError(UserError):
    """Raised if problems cannot be read, or a program does not return its output."""


@dataclasses.dataclass(frozen=True)
class HeldoutProblem:
    """Holds a program, a call, the value that it returns (source text), and its trace."""

    id: str
    program: str
    call: str
    output: str
    trace: Trace = dataclasses.field(repr=False)


class Heldout(ProblemSet):
    """Asks for the value of a call; see `harness.Benchmark`."""

    name = "heldout"
    variants = VARIANTS
    modes = ("fixed",)
    stop = (STOP,)
    references: Mapping[str, Sequence[Reference]] = {}

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        problem = self.problems[task_id]
        return forward_prompt(problem.program, problem.call, answer_mode=variant, mode=mode)

    def judge(
        self, responses: Iterable[Response], sandbox: Sandbox | None = None
    ) -> Iterator[Answer]:
        """Yields one answer per response; needs no sandbox, since `read_problems` ran them."""
        for one in responses:
            yield self._judge(one)

    def _judge(self, response: Response) -> Answer:
        problem = self.problems[response.task]
        monologue = response.variant == "monologue"
        opening = "[MONOLOGUE]\n" if monologue else "[ANSWER]\n"
        text = opening + (response.text or "")
        answer = extract_answer(text, finished=response.finish_reason == "stop")
        if response.text is None:
            outcome = "missing"
        elif answer is None:
            outcome = "no answer"
        else:
            outcome = RIGHT if _is_right(answer, problem.output) else WRONG
        return answer_to(
            response,
            benchmark=TITLE,
            outcome=outcome,
            answer=answer,
            question=f"{problem.program.rstrip()}\n\nassert {problem.call} == ??",
            expected=problem.output,
            detail="" if outcome == RIGHT else f"assert {problem.call} == {problem.output}",
            text=text,
            claims=tuple(verify_trace(problem.trace, text)) if monologue else None,
        )


def extract_answer(response: str, *, finished: bool) -> str | None:
    """Extracts the value of the assertion between the last [ANSWER] and its [/ANSWER], or None.

    Without a closing tag, only a `finished` response has an answer; it ends with the response.
    """
    stated = extract_tagged_answer(response, finished=finished)
    sides = None if stated is None else split_assertion(stated) or split_after_call(stated)
    return (sides[1] or None) if sides else None


def _is_right(answer: str, output: str) -> bool:
    try:
        return same_value(parse_value(answer), parse_value(output))
    except LiteralError:
        return False


def format_worked_example(answer: Answer) -> str:
    """Formats a judged monologue; marks steps ✓ (confirmed), ✗ (contradicted), · (unchecked)."""
    program, _, asked = answer.question.rpartition("\n\n")
    call = asked.removeprefix("assert ").removesuffix(" == ??")
    verdict = "right" if answer.right else "wrong"
    return (
        f"{program}\n\n{call} returns {answer.expected}; "
        f"the model says {answer.answer or 'nothing'}: {verdict}\n\n"
        f"{mark_claims(answer.text.rstrip(), answer.claims or ())}"
    )


# ==== Problems


def read_problems(
    path: str | Path, *, limit: int | None = None, trusted: bool = False
) -> list[HeldoutProblem]:
    """Reads the first `limit` problems of a JSONL file and runs each once.

    `trusted` runs them in this process; use it only for programs that this machine generated.
    Raises HeldoutError (file:line, field) if a row is malformed, a program does not return its
    output, or the folder's data was split by another function fingerprint; raises
    SandboxUnavailable if there is no sandbox.
    """
    _check_split(as_path(path).parent)
    rows: dict[str, tuple[str, dict]] = {}
    for where, row in islice(read_rows(path, raises=HeldoutError), limit):
        _check_row(row, where)
        if row["id"] in rows:
            raise HeldoutError(f"{where}: field 'id': {row['id']!r} is there twice")
        rows[row["id"]] = where, row
    if not rows:
        raise HeldoutError(f"{path}: no problems")
    found = list(rows.values())
    if trusted:
        return [_problem(where, row, _trace_in_process(where, row)) for where, row in found]
    with Sandbox() as sandbox:
        jobs = (call_job(row["program"], row["call"], trace=TraceLimits()) for _, row in found)
        return [
            _problem(where, row, _trace_of_result(where, result))
            for (where, row), result in zip(found, sandbox.map(jobs), strict=True)
        ]


def _check_split(folder: Path) -> None:
    """Raises HeldoutError if a report in `folder` states another function fingerprint."""
    for name in ("corpus.json", "report.json"):
        try:
            stated = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(stated, dict):
            mismatch = explain_mismatch(stated.get("function_fingerprint"), folder / name)
            if mismatch:
                raise HeldoutError(mismatch)


def _check_row(row: Mapping[str, Any], where: str) -> None:
    fields = ("id", "program", "call", "output")
    if set(row) != set(fields):
        raise HeldoutError(f"{where}: expected an object with exactly {', '.join(fields)}")
    for field in fields:
        if not isinstance(row[field], str) or not row[field]:
            raise HeldoutError(f"{where}: field {field!r}: expected a non-empty string")
    try:
        parse_value(row["output"])
    except LiteralError as error:
        raise HeldoutError(f"{where}: field 'output': {error}") from error


def _trace_in_process(where: str, row: Mapping[str, str]) -> Trace:
    try:
        return trace_of(row["program"], row["call"])
    except VerifyError as error:
        raise HeldoutError(f"{where}: field 'program' or 'call': {error}") from error


def _trace_of_result(where: str, result) -> Trace:
    if result.trace is not None:
        return result.trace
    outcome = result.outcome
    reason = getattr(outcome, "message", "") or getattr(outcome, "kind", "") or str(outcome)
    reason = reason.splitlines()[0] if reason else type(outcome).__name__
    raise HeldoutError(f"{where}: field 'program' or 'call': {reason}")


def _problem(where: str, row: Mapping[str, str], trace: Trace) -> HeldoutProblem:
    try:
        real = None if trace.result is None else parse_value(trace.result)
    except LiteralError as error:
        raise HeldoutError(f"{where}: field 'output': {error}") from error
    if trace.result is None or not same_value(parse_value(row["output"]), real):
        result = trace.result if trace.raised is None else f"raises {trace.raised}"
        raise HeldoutError(f"{where}: field 'output': {row['output']}, but the run gives {result}")
    return HeldoutProblem(**row, trace=trace)
