"""A record held against reality by its own text: what it says to be so is run once more.

Program, call and value are read back out of the prompt and the response, as a model would see
them, so this finds what any earlier stage got wrong.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_pipeline.execution.guest.values import Malformed
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.execution.service import Job, Sandbox, call_job
from data_pipeline.pyx.records import Record
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.source.literals import LiteralError, parse_literal, same_value

_FENCE = re.compile(r"```python\n(.*?)\n?```", re.DOTALL)


class Refuted(ValueError):
    """A record that does not hold; says what it says and what is so."""


@dataclass(frozen=True)
class Expectation:
    """`call` on `program` returns the value that `output` spells; or, `holds` False, it does not
    (it returns another one, raises, or does not end)."""

    program: str
    call: str
    output: str
    holds: bool = True


def expectations(record: Record) -> list[Expectation]:
    """What a record says of runs. Raises Refuted where its text cannot be read."""
    field, response = record.prompt_field, record.response
    match record.kind:
        case "fwd_mnl":
            program, question = _block(field)
            call, output = _assertion(_answer(response))
            if not _same_call(question.removeprefix("assert ").removesuffix(" == ??"), call):
                raise Refuted(f"asked {question!r}, answered for {call!r}"[:200])
            return [Expectation(program, call, output)]
        case "bwd_mnl":
            program, question = _block(field)
            call, output = _assertion(_answer(response))
            name, _, asked = question.removeprefix("assert ").partition("(??) == ")
            if name != call.partition("(")[0] or not _same_literal(asked, output):
                raise Refuted(f"asked {question!r}, answered for {output!r}"[:200])
            return [Expectation(program, call, output)]
        case "nl":
            program = _fenced(response, "a response")
            call, output = _assertion(_fenced(field, "a description with an assertion"))
            return [Expectation(program, call, output)]
        case _:
            buggy = _fenced(_after(field, "### Buggy Solution\n"), "a buggy program")
            failed = _fenced(_after(field, "### Failed Test\n"), "a failed test")
            refined = _fenced(_after(response, "[Refined]\n"), "a repair")
            test = next((line for line in failed.split("\n") if line.startswith("assert ")), "")
            call, output = _assertion(test)
            return [
                Expectation(refined, call, output),
                Expectation(buggy, call, output, holds=False),
            ]


def recheck_all(
    records: Sequence[Record], sandbox: Sandbox, *, apart: bool = False
) -> list[str | None]:
    """For each record None if it holds, else why not. Runs are shared by records that agree.

    apart: each run in a process of its own, else several in one.
    """
    told: list[list[Expectation] | str] = []
    for record in records:
        try:
            told.append(expectations(record))
        except Refuted as error:
            told.append(str(error))
    runs = {(e.program, e.call) for part in told if isinstance(part, list) for e in part}
    ordered = sorted(runs)
    jobs: Iterable[Job] = (call_job(program, call) for program, call in ordered)
    results = dict(
        zip(ordered, sandbox.map(jobs) if apart else sandbox.map_batched(jobs), strict=True)
    )
    return [part if isinstance(part, str) else _first_wrong(part, results) for part in told]


def _first_wrong(
    expected: Iterable[Expectation], results: dict[tuple[str, str], Result]
) -> str | None:
    for one in expected:
        result = results[one.program, one.call]
        if _returns(result, one.output) != one.holds:
            verb = "returns" if one.holds else "does not return"
            return f"{one.call} {verb} {one.output}, it says; the run: {_shown(result)}"[:300]
    return None


def _returns(result: Result, output: str) -> bool:
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        return False
    try:
        return same_value(result.outcome.python(), parse_literal(output))
    except (Malformed, LiteralError):
        return False


def _shown(result: Result) -> str:
    row = result.to_json()
    return str(row.get("text", row.get(result.kind)))


# ---- reading a record's text


def _block(field: str) -> tuple[str, str]:
    """(program, the open assertion) of the [PYTHON] block."""
    body, closing, _ = field.removeprefix("[PYTHON]\n").rpartition("\n[/PYTHON]\n")
    program, _, question = body.rpartition("\n")
    if not closing or not field.startswith("[PYTHON]\n") or not question.startswith("assert "):
        raise Refuted("expected [PYTHON], a program, an assertion, [/PYTHON]")
    return program, question


def _answer(response: str) -> str:
    _, opening, rest = response.rpartition("[ANSWER]\n")
    answer, closing, _ = rest.partition("\n[/ANSWER]")
    if not opening or not closing:
        raise Refuted("expected [ANSWER], an assertion, [/ANSWER]")
    return answer


def _assertion(text: str) -> tuple[str, str]:
    """(call, value) of "assert call == value", both as written."""
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
    raise Refuted(f"expected assert call == value; got {text[:80]!r}")


def _same_call(one: str, other: str) -> bool:
    """Whether two texts call the same with the same values, however they are spelled."""
    try:
        calls = [parse_call(text) for text in (one, other)]
    except CallError:
        return False
    first, second = ([list(call.path), list(call.args), dict(call.kwargs)] for call in calls)
    return same_value(first, second)


def _same_literal(one: str, other: str) -> bool:
    try:
        return same_value(parse_literal(one), parse_literal(other))
    except LiteralError:
        return False


def _fenced(text: str, what: str) -> str:
    found = _FENCE.search(text)
    if found is None:
        raise Refuted(f"expected {what} in a Python fence")
    return found[1]


def _after(text: str, heading: str) -> str:
    _, found, rest = text.partition(heading)
    if not found:
        raise Refuted(f"expected {heading.strip()!r}")
    return rest
