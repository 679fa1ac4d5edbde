"""Reads what a record asks and claims about runs from its text, as a model sees it."""

import ast
import re
from dataclasses import dataclass

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
            program, question = split_block(field)
            call, output = split_assertion(_answer(response))
            if not same_call(question.removeprefix("assert ").removesuffix(" == ??"), call):
                raise RefutedRecordError(f"asked {question!r}, answered for {call!r}"[:200])
            return [Expectation(program, call, output)]
        case "bwd_mnl":
            program, question = split_block(field)
            call, output = split_assertion(_answer(response))
            name, _, asked = question.removeprefix("assert ").partition("(??) == ")
            if name != call.partition("(")[0] or not same_literal(asked, output):
                raise RefutedRecordError(f"asked {question!r}, answered for {output!r}"[:200])
            return [Expectation(program, call, output)]
        case "nl":
            program = fenced_code(response, "a response")
            call, output = split_assertion(fenced_code(field, "a description with an assertion"))
            return [Expectation(program, call, output)]
        case _:
            buggy = fenced_code(text_after(field, "### Buggy Solution\n"), "a buggy program")
            failed = fenced_code(text_after(field, "### Failed Test\n"), "a failed test")
            refined = fenced_code(text_after(response, "[Refined]\n"), "a repair")
            test = next((line for line in failed.split("\n") if line.startswith("assert ")), "")
            call, output = split_assertion(test)
            return [
                Expectation(refined, call, output),
                Expectation(buggy, call, output, holds=False),
            ]


# ---- parts of a text


def split_block(field: str) -> tuple[str, str]:
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


def split_assertion(text: str) -> tuple[str, str]:
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


def same_call(one: str, other: str) -> bool:
    """Tells whether two texts make the same call with equal values, however spelled."""
    try:
        calls = [parse_call(text) for text in (one, other)]
    except CallError:
        return False
    first, second = ([list(call.path), list(call.args), dict(call.kwargs)] for call in calls)
    return same_value(first, second)


def same_literal(one: str, other: str) -> bool:
    """Tells whether two texts are literals of one value and type."""
    try:
        return same_value(parse_value(one), parse_value(other))
    except LiteralError:
        return False


def fenced_code(text: str, what: str) -> str:
    """Returns the first Python fence of `text`; raises RefutedRecordError, which names `what`."""
    found = _FENCE.search(text)
    if found is None:
        raise RefutedRecordError(f"expected {what} in a Python fence")
    return found[1]


def text_after(text: str, heading: str) -> str:
    """Returns what follows `heading`; raises RefutedRecordError without it."""
    _, found, rest = text.partition(heading)
    if not found:
        raise RefutedRecordError(f"expected {heading.strip()!r}")
    return rest
