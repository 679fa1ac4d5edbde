"""Reads inline backward monologues strictly, and holds every step against the witness's run.

See `monologue.inline_backward` for the steps. The run is that of the call in the answer. A step
quotes code that must run before the lines of the steps above it; the values beside its names must
be those of the run at that line, "so" must leave no other choice, and a branch must be the one
taken. Lines of the run that no step tells make no claim.
"""

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from data_pipeline.forms.answer_claims import read_answer
from data_pipeline.monologue.inline import NarrationError
from data_pipeline.monologue.inline_backward import (
    Executed,
    arguments,
    executed_statements,
    is_forced,
)
from data_pipeline.source.literals import is_literal
from data_pipeline.tracing import Trace
from data_pipeline.verify import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.inline import pairs_beside_names, without_values
from data_pipeline.verify.values import compare

_STEP = re.compile(r"^\d+\. (.*)\.$")
_WITNESS = re.compile(r"^One such input is (.*)\.$")
_FREE = re.compile(r"^(\w+) is free: one way is \1=(.*)$")
_WAY = re.compile(r"^one way is that (.*) is (True|False)$")
_RETURN = re.compile(r"^return (.*) is (.*)$")
_TURN = re.compile(r"^iteration (\d+) of (.*) gives (\w+)=(.*)$")
_ASSIGNMENT = re.compile(r"^(\w+)=(.*?) is (.*)$")
_TEST = re.compile(r"^(.*) is (True|False)$")
_JOINT = re.compile(r", so |: one way is ")
_JOINTS = {", so ": "so", ": one way is ": "way"}


@dataclasses.dataclass(frozen=True)
class _Point:
    """Holds one thing that a run, read backwards, allows a step to state.

    kind: "return", "assignment", "way" (the branch taken), "test" or "turn".
    code: syntax of the expression that the step quotes.
    stated: what the step states of it: the value after the line, the branch, the loop's variable.
    before: the variables before the line.
    """

    kind: str
    expression: ast.expr
    stated: Mapping[str, str]
    before: Mapping[str, str]
    turn: int = 0

    @property
    def code(self) -> str:
        return ast.unparse(self.expression)


def read_backward(trace: Trace, text: str) -> list[Claim]:
    """Returns the claims of an inline backward monologue about the run of its witness."""
    try:
        points = list(_points(trace, executed_statements(trace)))
    except NarrationError:
        points = None
    claims: list[Claim] = []
    for number, line in enumerate(text.split("\n"), 1):
        if witness := _WITNESS.match(line):
            claims += _value_claims(number, witness[1], arguments(trace))
        elif (step := _STEP.match(line)) and points is None:
            claims.append(Claim(number, "unread", step[1], NOT_CHECKABLE, None))
        elif step:
            told, points = _step_claims(trace, number, step[1], points or [])
            claims += told
    return [*claims, *read_answer(trace, text)]


# ---- the run, backwards ------------------------------------------------------------------------


def _points(trace: Trace, block: Sequence[Executed]) -> Iterator[_Point]:
    for done in reversed(block):
        before, after = done.moment.before, done.moment.after
        match done.statement:
            case ast.Return(value=ast.expr() as value):
                yield _Point("return", value, {"": trace.result or ""}, before)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield _Point("assignment", value, {name: after[name]}, before)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=operand):
                value = ast.BinOp(ast.Name(name, ast.Load()), operator, operand)
                yield _Point("assignment", value, {name: after[name]}, before)
            case ast.If(test=test):
                taken = {"": str(done.moment.event.branch)}
                yield _Point("way", test, taken, before)
                yield from _points(trace, done.turns[0][1])
                yield _Point("test", test, taken, before)
            case ast.For(target=ast.Name(id=name), iter=iterated):
                for moment, body in reversed(done.turns):
                    value = {name: moment.after[name]}
                    yield _Point("turn", iterated, value, done.moment.before, moment.turn)
                    yield from _points(trace, body)


# ---- steps -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Step:
    """Holds a step as it is read; the first three fields as in `_Point`.

    joint: "so", "way", or "" if no variable is deduced; values: the deduced ones.
    """

    kind: str
    quoted: str
    stated: Mapping[str, str]
    turn: int = 0
    joint: str = ""
    values: str = ""

    def is_about(self, point: _Point) -> bool:
        return (
            self.kind == point.kind
            and self.stated.keys() == point.stated.keys()
            and self.turn == point.turn
            and _syntax(without_values(self.quoted)) == _syntax(point.code)
        )


_CLAIM_KINDS = {
    "return": "return",
    "assignment": "value",
    "way": "branch",
    "test": "branch",
    "turn": "iteration",
}


def _step_claims(
    trace: Trace, number: int, text: str, points: Sequence[_Point]
) -> tuple[list[Claim], Sequence[_Point]]:
    """Returns the claims of a step, and the points that stay for the steps below it."""
    if free := _FREE.match(text):
        return _value_claims(number, f"{free[1]}={free[2]}", arguments(trace)), points
    step = _read_step(text)
    if step is None:
        return [Claim(number, "unread", text, NOT_CHECKABLE, None)], points
    at = next((at for at, point in enumerate(points) if step.is_about(point)), None)
    if at is None:
        truth = f"{points[0].code} comes before" if points else "the run begins here"
        return [Claim(number, "flow", text, CONTRADICTED, truth)], points
    return list(_claims_at(number, step, points[at])), points[at + 1 :]


def _claims_at(number: int, step: _Step, point: _Point) -> Iterator[Claim]:
    for name, text in step.stated.items():
        truth = point.stated[name]
        yield Claim(number, _CLAIM_KINDS[step.kind], text, compare(text, truth), truth)
    yield from _value_claims(number, step.quoted, point.before, known=_names(point))
    yield from _value_claims(number, step.values, point.before)
    if step.joint == "so":
        yield _necessity_claim(number, step, point)


def _necessity_claim(number: int, step: _Step, point: _Point) -> Claim:
    """Checks that "so" leaves no choice."""
    given = {name for name, _ in pairs_beside_names(step.quoted, None)}
    deduced = [name for name, _ in pairs_beside_names(step.values, None)]
    open_ = {name for name in _names(point) if name in point.before} - given
    forced = open_ == set(deduced) and is_forced(point.expression, deduced, point.before)
    truth = "nothing else is possible" if forced else "this is a choice"
    return Claim(number, "value", f"so {step.values}", _VERDICT[forced], truth)


_VERDICT = {True: CONFIRMED, False: CONTRADICTED}


def _read_step(text: str) -> _Step | None:
    if way := _WAY.match(text):
        return _Step("way", way[1], {"": way[2]})
    joint = _JOINT.search(text)
    fact, values = (text[: joint.start()], text[joint.end() :]) if joint else (text, "")
    deduced = {"joint": "" if joint is None else _JOINTS[joint[0]], "values": values}
    if told := _RETURN.match(fact):
        return _Step("return", told[1], {"": told[2]}, **deduced)
    if told := _TURN.match(fact):
        return _Step("turn", told[2], {told[3]: told[4]}, int(told[1]), **deduced)
    if (told := _ASSIGNMENT.match(fact)) and is_literal(told[2]) and not _is_bool(told[3]):
        return _Step("assignment", told[3], {told[1]: told[2]}, **deduced)
    if told := _TEST.match(fact):
        return _Step("test", told[1], {"": told[2]}, **deduced)
    return None


def _is_bool(text: str) -> bool:
    return text in ("True", "False")


def _names(point: _Point) -> set[str]:
    return {node.id for node in ast.walk(point.expression) if isinstance(node, ast.Name)}


def _value_claims(
    number: int, text: str, values: Mapping[str, str], known: set[str] | None = None
) -> list[Claim]:
    claims = []
    for name, stated in pairs_beside_names(text, known):
        truth = f"{name}={values[name]}" if name in values else f"{name} has no value"
        verdict = CONTRADICTED
        if name in values and stated is not None:
            verdict = compare(stated, values[name])
        claims.append(Claim(number, "value", f"{name}={stated}", verdict, truth))
    return claims


def _syntax(code: str) -> str | None:
    try:
        return ast.dump(ast.parse(code, mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
