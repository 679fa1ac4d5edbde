"""Writes the diagnosis of a PyX-R answer: the failed run, where it goes wrong, why, and the repair.

Derives every sentence from the two runs or from the difference of the programs.
"""

import ast
import difflib
from collections.abc import Iterator, Mapping
from random import Random

from data_pipeline.faults.alignment import AlignmentError, Divergence, find_divergence, same_text
from data_pipeline.faults.feedback import ending
from data_pipeline.faults.telling import (
    MAX_VALUE,
    StepNarrator,
    describe_exception,
    name_of,
    values,
)
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Moment

MAX_HUNK = 8
"""Maximum number of lines that the repair spells out at one changed place."""

_STEP_OPENINGS = ("Step {} is the first to go wrong:", "The run goes wrong in step {}:",
                  "Up to step {} all is as it must be; there it goes wrong:")  # fmt: skip
_AFTER_OPENINGS = ("Step {} is the last that is as it must be.",
                   "Up to and with step {} all is as it must be.")  # fmt: skip


class DiagnosisError(ValueError):
    """Reports a pair of runs that cannot be described; the message is a reason to count by."""


def diagnose(right: Trace, buggy: Trace, expected: str, why: str, random: Random) -> str:
    """Returns the diagnosis of a buggy run.

    right, buggy: the same call on both programs
    expected:     text of the value that the test asserts
    why:          a sentence that is true of the change, or ""
    random:       chooses among wordings only
    Raises DiagnosisError if the runs cannot be described.
    """
    if "`" in right.program + buggy.program:
        raise DiagnosisError("backticks in the program")
    if len(buggy.call) > 2 * MAX_VALUE or len(expected) > MAX_VALUE:
        raise DiagnosisError("the call or its value is too long to tell")
    try:
        part = find_divergence(right, buggy)
    except AlignmentError as error:
        raise DiagnosisError(str(error)) from error
    teller, ours = StepNarrator(buggy), StepNarrator(right)
    index = part.buggy.index if part.buggy is not None else len(buggy.events) - 1
    steps = "\n".join(teller.around(index))
    cause = [_locate_divergence(part, teller, ours, random), *([why] if why else [])]
    if (
        part.buggy is not None
        and (line := _other_changed_line(right, buggy, part.buggy)) is not None
    ):
        cause.append(f"The line at fault is {_lower(teller.line(line))}.")
    cause.append(_describe_end(buggy, expected))
    return (
        f"### Execution Simulation\nThe failed test calls {buggy.call} and asserts "
        f"{expected}.\n{steps}\n\n"
        f"### Root Cause Analysis\n{' '.join(cause)}\n\n"
        f"### Repair\n{' '.join(repair(right.program, buggy.program))}"
    )


# ---- where the runs diverge


def _locate_divergence(
    part: Divergence, teller: StepNarrator, ours: StepNarrator, random: Random
) -> str:
    one, other = part.right, part.buggy
    at_step = part.kind not in ("flow", "missing")
    if other is None:
        step = teller.steps[-1]
    else:
        found = teller.at(other.index) if at_step else teller.before(other.index)
        if found is None:
            raise DiagnosisError("no step before the runs part")
        step = found
    opening = random.choice(_STEP_OPENINGS if at_step else _AFTER_OPENINGS).format(step.number)
    return f"{opening} {_describe_divergence(part, one, other, teller, ours)}"


def _describe_divergence(
    part: Divergence,
    one: Moment | None,
    other: Moment | None,
    teller: StepNarrator,
    ours: StepNarrator,
) -> str:
    if part.kind in ("flow", "missing"):
        assert one is not None or other is not None
        goes_on = _describe_continuation(other, teller)
        if one is None:
            return f"Then {goes_on}, where the run must end."
        if part.kind == "flow":
            return f"Then {goes_on}, where {_obligation(one, ours)}."
        return (
            f"Then {ours.code(one.event.line)} is missing: {_obligation(one, ours)}, but {goes_on}."
        )
    assert other is not None
    line = _lower(teller.line(other.event.line))
    if part.kind == "extra":
        follows = f", where {_obligation(one, ours)}" if one is not None else ""
        return f"{line} must not run here{follows}."
    assert one is not None
    if part.kind in ("state", "arguments"):
        verb = "leaves" if part.kind == "state" else "binds"
        found, needed = _differing(other.after, one.after)
        return f"{line} {verb} {found}, where {needed} is needed."
    if part.kind == "value":
        verb = "returns" if other.event.kind == "return" else "hands out"
        return (
            f"{line} {verb} {_short(other.event.value)}, where {_short(one.event.value)} is needed."
        )
    if part.kind == "exception":
        if other.event.kind != "exception":
            return f"{line} raises nothing, where {describe_exception(one.event)} is needed."
        needed = (
            f"{describe_exception(one.event)} is needed"
            if one.event.kind == "exception"
            else "no exception may arise"
        )
        reads = _read_values_clause(teller, other.event.line, other.before)
        return f"{line} raises {describe_exception(other.event)}{reads}, where {needed}."
    return f"{line} {_describe_branch(one, other, teller)}."


def _describe_branch(one: Moment, other: Moment, teller: StepNarrator) -> str:
    statement = teller.statements.get(other.event.line)
    if isinstance(statement, ast.For):
        if other.event.branch:
            begun = f" with {values(other.event.changed)}" if other.event.changed else ""
            return f"begins iteration {other.event.iteration}{begun}, where the loop must end"
        begun = f" with {values(one.event.changed)}" if one.event.changed else ""
        return f"ends the loop, where iteration {one.event.iteration} must begin{begun}"
    if isinstance(statement, ast.If | ast.While):
        truth = {True: "true", False: "false"}
        if other.event.branch is None or one.event.branch is None:
            raise DiagnosisError("a branch that is not known")
        reads = _read_values_clause(teller, other.event.line, other.before)
        return (
            f"has a condition that is {truth[other.event.branch]}{reads}, where it must be "
            f"{truth[one.event.branch]}"
        )
    entered = {True: "entered", False: "passed by", None: "not reached"}
    return f"is {entered[other.event.branch]}, where it must be {entered[one.event.branch]}"


def _describe_continuation(moment: Moment | None, teller: StepNarrator) -> str:
    if moment is None:
        return "the run ends"
    event = moment.event
    if event.kind == "return":
        return f"{name_of(event)} returns {_short(event.value)}"
    if event.kind == "yield":
        return f"{name_of(event)} hands out {_short(event.value)}"
    if event.kind == "exception":
        return f"{describe_exception(event)} is raised"
    return f"the run goes on at {_lower(teller.line(event.line))}"


def _obligation(moment: Moment, ours: StepNarrator) -> str:
    """Describes the right program's step as an obligation."""
    event = moment.event
    if event.kind == "return":
        return f"{name_of(event)} must return {_short(event.value)}"
    if event.kind == "yield":
        return f"{name_of(event)} must hand out {_short(event.value)}"
    if event.kind == "exception":
        return f"{describe_exception(event)} must be raised"
    if event.kind == "call":
        return f"{name_of(event)} must be called"
    if event.kind == "line" and event.changed:
        return f"{ours.code(event.line)} must run and leave {values(event.changed)}"
    return f"{ours.code(event.line)} must run"


def _differing(found: Mapping[str, str], needed: Mapping[str, str]) -> tuple[str, str]:
    """Returns the variables that differ, as they are and as they must be; three at most."""
    names = [
        name
        for name in dict.fromkeys((*found, *needed))
        if name not in found or name not in needed or not same_text(found[name], needed[name])
    ]
    names = [*names[:3]]
    if not names:
        raise DiagnosisError("no variable differs")
    return tuple(
        " and ".join(
            f"{name} = {_short(texts[name])}" if name in texts else f"no value of {name}"
            for name in names
        )
        for texts in (found, needed)
    )  # type: ignore[return-value]


def _read_values_clause(teller: StepNarrator, line: int, before: Mapping[str, str]) -> str:
    """Returns " with x = 3, n = 3": the plain variables that the line reads."""
    statement = teller.statements.get(line)
    part: ast.AST | None = statement
    if isinstance(statement, ast.If | ast.While):
        part = statement.test
    elif isinstance(statement, ast.For):
        part = statement.iter
    names = dict.fromkeys(
        node.id for node in (ast.walk(part) if part is not None else ())
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in before
        and len(before[node.id]) <= MAX_VALUE // 2 and "\n" not in before[node.id]
    )  # fmt: skip
    shown = list(names)[:4]
    return f" with {values(before, shown)}" if shown else ""


def _other_changed_line(right: Trace, buggy: Trace, moment: Moment) -> int | None:
    """Returns the one changed line if it is not the line at which the runs diverge."""
    lines = changed_lines(right.program, buggy.program)
    if len(lines) == 1 and moment.event.line not in lines:
        return lines[0]
    return None


def _describe_end(buggy: Trace, expected: str) -> str:
    told = ending(buggy)
    if buggy.raised is None and buggy.result is None:
        return f"So {told}; {expected} is asserted."
    return f"So {' '.join(told.split())}, where {expected} is asserted."


def _short(text: str | None) -> str:
    if text is None or len(text) > MAX_VALUE or "\n" in text:
        raise DiagnosisError("values too long to tell")
    return text


def _lower(line: str) -> str:
    return line[0].lower() + line[1:]


# ---- the difference of the programs


def changed_lines(right: str, buggy: str) -> list[int]:
    """Returns the lines of the buggy program that the right one lacks, from 1."""
    return [
        line for _, _, _, start, end in _hunks(right, buggy) for line in range(start + 1, end + 1)
    ]


def repair(right: str, buggy: str) -> Iterator[str]:
    """Yields the changes that repair the buggy program, one sentence per place."""
    ours, theirs = right.rstrip("\n").split("\n"), buggy.rstrip("\n").split("\n")
    for _, i1, i2, j1, j2 in _hunks(right, buggy):
        new = [line for line in ours[i1:i2] if line.strip()]
        old = [line for line in theirs[j1:j2] if line.strip()]
        if len(new) + len(old) > MAX_HUNK:
            raise DiagnosisError("too many lines differ")
        quoted = ", ".join(f"`{line.strip()}`" for line in new)
        if not new and not old:
            continue
        if i2 - i1 == j2 - j1:
            for number, (one, other) in enumerate(zip(ours[i1:i2], theirs[j1:j2], strict=True), j1):
                if one.strip() == other.strip():
                    yield (
                        f"Line {number + 1} (`{other.strip()}`) must be indented by "
                        f"{_indent(one)} spaces, not {_indent(other)}."
                    )
                else:
                    yield f"Line {number + 1} must read `{one.strip()}`."
        elif not old:
            where = f"After line {j1} (`{theirs[j1 - 1].strip()}`)" if j1 else "Before line 1"
            what = "the line" if len(new) == 1 else "the lines"
            yield f"{where} {what} {quoted} must be put in."
        elif not new:
            lines = [f"line {n + 1} (`{theirs[n].strip()}`)" for n in range(j1, j2)]
            yield f"{' and '.join(lines)[0].upper()}{' and '.join(lines)[1:]} must go."
        else:
            lines = f"Line {j1 + 1}" if j2 - j1 == 1 else f"Lines {j1 + 1} to {j2}"
            yield f"{lines} must be replaced by {quoted}."


def _hunks(right: str, buggy: str) -> Iterator[tuple[str, int, int, int, int]]:
    ours, theirs = right.rstrip("\n").split("\n"), buggy.rstrip("\n").split("\n")
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return (code for code in matcher.get_opcodes() if code[0] != "equal")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
