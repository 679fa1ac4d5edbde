"""Finds the output that a backward monologue looks an input for."""

import re
from collections.abc import Iterator, Sequence

from data_pipeline.verify.answer import assertion_sides
from data_pipeline.verify.backward.wording import mark_code, without_bold
from data_pipeline.verify.claims import CONTRADICTED
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.values import compare

_VALUE = (
    r"(?: (?:the|an?|exactly|single|new|string|list|dictionary|tuple|integer|number|value|boolean"
    r"|byte|bytes|empty|float|set|of))* (?P<goal>`[^`]+`)(?!\s*[\w(=])"
)
_MAY_RESTATE = re.compile(r"output|result|assert", re.I)
_CONSTRAINT = re.compile(
    r"output constraint[*: ]+(?:since |the |this )*(?:final |expected |desired )?"
    r"(?:function|output|result|return value|assertion)(?: `\w+`)?"
    r"(?: (?:is|must|should|will|to|be|return|returns|returned|equal|equals|expected|states that"
    r"|the function|the output))+" + _VALUE, re.I,
)  # fmt: skip
_ASSERTED = re.compile(r"`assert \w+\(\?+\) == (?P<goal>[^`]+)`")
_SATISFIED = re.compile(
    r"^to (?:satisfy|achieve|get|obtain|produce) the (?:desired |expected |final )?"
    r"(?:output|result)(?: of)?" + _VALUE, re.I,
)  # fmt: skip
_ASKED_FOR = re.compile(r"\bfor the (?:final |expected )?output to be `(?P<goal>[^`]+)`", re.I)
_DENIED = re.compile(r"\bassert \w+\(\?+\) (?:!=|<|>)")


def goal_of(answers: Sequence[tuple[int, str]], lines: Sequence[str]) -> str | None:
    """Returns the output that the monologue restates before it reasons, else that of its answer.

    answers: (line, assertion); the last may end with another output than that asked for.
    """
    if (goal := next(_restated(lines), None)) is not None:
        return goal
    sides = assertion_sides(answers[-1][1]) if answers else None
    return sides[1] if sides else None


def other_goal(line: str, goal: str) -> bool:
    """Tells whether a line restates an output, or asks for one, that is not the goal."""
    if _DENIED.search(line):
        return True
    told = restated_goal(line)
    if told is None and (match := _ASKED_FOR.search(line)) and is_literal(match["goal"]):
        told = match["goal"]
    return told is not None and is_literal(goal) and compare(told, goal) == CONTRADICTED


def restated_goal(line: str) -> str | None:
    """Returns the output that "final output constraint: the function returns …" restates."""
    return next(_restated([line]), None)


def _restated(lines: Sequence[str]) -> Iterator[str]:
    for pattern in (_CONSTRAINT, _ASSERTED, _SATISFIED):
        for line in lines:
            if not _MAY_RESTATE.search(line):
                continue
            text = without_bold(line).strip()
            match = pattern.search(text if pattern is _ASSERTED else mark_code(text))
            goal = match["goal"].strip("`") if match else ""
            if is_literal(goal):
                yield goal
