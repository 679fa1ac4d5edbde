"""Checks a record by parsing its text and running what it claims.

Reads program, call and value from prompt and response, as a model sees them, so it finds mistakes
of every earlier stage.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_pipeline.execution.guest.values import Malformed
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.service import Sandbox, call_job
from data_pipeline.pyx.records import Record
from data_pipeline.source.calls import CallError, parse_call, parse_value
from data_pipeline.source.literals import LiteralError, same_value

_FENCE = re.compile(r"```python\n(.*?)\n?```", re.DOTALL)


class RefutedRecordError(ValueError):
    """Reports a record that is malformed or contradicted; says what it claims and what is true."""


@dataclass(frozen=True)
class Expectation:
    """States that `call` on `program` returns the value of the literal `output`.

    With `holds=False` it states the opposite: another value, an exception, or no end.
    """

    program: str
    call: str
    output: str
    holds: bool = True


def expectations(record: Record) -> list[Expectation]:
    """Extracts what a record claims about runs. Raises RefutedRecordError for malformed text."""
    field, response = record.prompt_field, record.response
    match record.kind:
        case "fwd_mnl":
            program, question = _block(field)
            call, output = _assertion(_answer(response))
            if not _same_call(question.removeprefix("assert ").removesuffix(" == ??"), call):
                raise RefutedRecordError(f"asked {question!r}, answered for {call!r}"[:200])
            return [Expectation(program, call, output)]
        case "bwd_mnl":
            program, question = _block(field)
            call, output = _assertion(_answer(response))
            name, _, asked = question.removeprefix("assert ").partition("(??) == ")
            if name != call.partition("(")[0] or not _same_literal(asked, output):
                raise RefutedRecordError(f"asked {question!r}, answered for {output!r}"[:200])
            return [Expectation(program, call, output)]
        case "nl":
            program = _fenced_code(response, "a response")
            call, output = _assertion(_fenced_code(field, "a description with an assertion"))
            return [Expectation(program, call, output)]
        case _:
            buggy = _fenced_code(_text_after(field, "### Buggy Solution\n"), "a buggy program")
            failed = _fenced_code(_text_after(field, "### Failed Test\n"), "a failed test")
            refined = _fenced_code(_text_after(response, "[Refined]\n"), "a repair")
            test = next((line for line in failed.split("\n") if line.startswith("assert ")), "")
            call, output = _assertion(test)
            return [
                Expectation(refined, call, output),
                Expectation(buggy, call, output, holds=False),
            ]


def recheck_all(records: Sequence[Record], sandbox: Sandbox) -> list[str | None]:
    """Returns for each record None if it holds, else the reason. Equal runs are made once."""
    parts: list[list[Expectation] | str] = []
    for record in records:
        try:
            parts.append(expectations(record))
        except RefutedRecordError as error:
            parts.append(str(error))
    runs = {(e.program, e.call) for part in parts if isinstance(part, list) for e in part}
    ordered = sorted(runs)
    jobs = (call_job(program, call) for program, call in ordered)
    results = dict(zip(ordered, sandbox.map(jobs), strict=True))
    return [part if isinstance(part, str) else _first_wrong(part, results) for part in parts]


def _first_wrong(
    expected: Iterable[Expectation], results: dict[tuple[str, str], Result]
) -> str | None:
    for one in expected:
        result = results[one.program, one.call]
        if _returns(result, one.output) != one.holds:
            verb = "returns" if one.holds else "does not return"
            return f"{one.call} {verb} {one.output}, it says; the run: {_outcome_text(result)}"[
                :300
            ]
    return None


def _returns(result: Result, output: str) -> bool:
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        return False
    try:
        return same_value(result.outcome.python(), parse_value(output))
    except (Malformed, LiteralError):
        return False


def _outcome_text(result: Result) -> str:
    row = result.to_json()
    return str(row.get("text", row.get(result.kind)))


# ---- reading a record's text


def _block(field: str) -> tuple[str, str]:
    """Splits the [PYTHON] block into program and open assertion."""
    body, closing, _ = field.removeprefix("[PYTHON]\n").rpartition("\n[/PYTHON]\n")
    program, _, question = body.rpartition("\n")
    if not closing or not field.startswith("[PYTHON]\n") or not question.startswith("assert "):
        raise RefutedRecordError("expected [PYTHON], a program, an assertion, [/PYTHON]")
    return program, question


def _answer(response: str) -> str:
    _, opening, rest = response.rpartition("[ANSWER]\n")
    answer, closing, _ = rest.partition("\n[/ANSWER]")
    if not opening or not closing:
        raise RefutedRecordError("expected [ANSWER], an assertion, [/ANSWER]")
    return answer


def _assertion(text: str) -> tuple[str, str]:
    """Splits "assert call == value" into the source texts of call and value."""
    text = text.strip()
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        statements = []
    match statements:
        case [ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()])) as statement]:
            value = statement.test.comparators[0]
            spelled = (ast.get_source_segment(text, node) for node in (call, value))
            return tuple(part or "" for part in spelled)
    raise RefutedRecordError(f"expected assert call == value; got {text[:80]!r}")


def _same_call(one: str, other: str) -> bool:
    """Tells whether two texts make the same call with equal values, however spelled."""
    try:
        calls = [parse_call(text) for text in (one, other)]
    except CallError:
        return False
    first, second = ([list(call.path), list(call.args), dict(call.kwargs)] for call in calls)
    return same_value(first, second)


def _same_literal(one: str, other: str) -> bool:
    try:
        return same_value(parse_value(one), parse_value(other))
    except LiteralError:
        return False


def _fenced_code(text: str, what: str) -> str:
    found = _FENCE.search(text)
    if found is None:
        raise RefutedRecordError(f"expected {what} in a Python fence")
    return found[1]


def _text_after(text: str, heading: str) -> str:
    _, found, rest = text.partition(heading)
    if not found:
        raise RefutedRecordError(f"expected {heading.strip()!r}")
    return rest
