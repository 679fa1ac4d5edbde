"""Tells why a program fails a test: the failing run, where it goes wrong, why, and the repair.

Makes claims about the two runs and the two programs; `proof.TwoRuns` proves each, and only the
speaker words them (`forms`).
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from data_pipeline.claims import Claim, Place
from data_pipeline.faults.alignment import (
    AlignmentError,
    Divergence,
    find_divergence,
    match_lines,
    same_text,
)
from data_pipeline.faults.proof import TwoRuns
from data_pipeline.faults.repair import TooManyLines, fault_in_expression, repair
from data_pipeline.faults.telling import MAX_VALUE, Side, Step, StepTeller, Untold
from data_pipeline.monologue.arithmetic import count_operations
from data_pipeline.monologue.speech import Join, Part, Sentence, join
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Occurrence

_MOST_NAMES = 3


class DiagnosisError(ValueError):
    """Reports a pair of runs that cannot be described; the message is a reason to count by."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis with the sentences that it consists of, in order.

    steps: places of the numbered steps, those that are left out included
    """

    text: str
    sentences: tuple[Sentence, ...]
    steps: tuple[Place, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for sentence in self.sentences for claim in sentence.claims)


def diagnose(right: Trace, buggy: Trace, expected: str, seed: str) -> Diagnosis:
    """Returns the diagnosis of a buggy run.

    right, buggy: the same call on both programs
    expected:     text of the value that the test asserts
    seed:         chooses among wordings only
    Raises DiagnosisError if the runs cannot be described; RefutedClaim for a fault of this room.
    """
    if "`" in right.program + buggy.program:
        raise DiagnosisError("backticks in the program")
    if len(buggy.call) > 2 * MAX_VALUE or len(expected) > MAX_VALUE:
        raise DiagnosisError("the call or its value is too long to tell")
    try:
        part = find_divergence(right, buggy)
    except AlignmentError as error:
        raise DiagnosisError(str(error)) from error
    return _Diagnosis(right, buggy, expected, seed).write(part)


def _needed(claim: Claim | None) -> Claim | None:
    """Turns a claim about the right run into one about what is needed."""
    return None if claim is None else replace(claim, kind=f"needed {claim.kind}")


class _Diagnosis:
    def __init__(self, right: Trace, buggy: Trace, expected: str, seed: str):
        self.right, self.buggy, self.expected = right, buggy, expected
        self.runs = TwoRuns(right, buggy, expected)
        self.teller = StepTeller(buggy, self.runs, seed)
        self.theirs, self.ours = self.teller.side, Side(right, self.teller.speaker)
        self.say = self.teller.speaker.say

    def write(self, part: Divergence) -> Diagnosis:
        step = self._step(part)
        test = Claim("test", Place(0), self.buggy.call, self.expected)
        opening = join([self.say("failed test", test)])
        cause = [*self._cause(part, step), join(self._end())]
        changes = [join([change]) for change in self._repair()]
        if opening is None or None in cause or None in changes:
            raise DiagnosisError("values too long to tell")
        spoken = [sentence for sentence in (opening, *cause, *changes) if sentence is not None]
        try:
            steps = "\n".join(self.teller.shown(step))
        except Untold as error:
            raise DiagnosisError(str(error)) from error
        sections = (
            f"### Execution Simulation\n{opening.text}\n{steps}",
            "### Root Cause Analysis\n" + " ".join(s.text for s in cause if s is not None),
            "### Repair\n" + " ".join(s.text for s in changes if s is not None),
        )
        told = (opening, *self.teller.told, *spoken[1:])
        return Diagnosis("\n\n".join(sections), told, tuple(self.runs.steps))

    # ---- where the runs part

    def _step(self, part: Divergence) -> Step:
        """Returns the step that goes wrong, or the last one before the runs part."""
        if part.buggy is None:
            found = self.teller.steps[-1] if self.teller.steps else None
        elif part.kind in ("flow", "missing"):
            found = self.teller.before(self.teller.teller_of(part.buggy.index))
        else:
            found = self.teller.at(part.buggy.index)
        if found is None:
            raise DiagnosisError("no step before the runs part")
        return found

    def _cause(self, part: Divergence, step: Step) -> Iterator[Sentence | None]:
        if part.kind in ("flow", "missing"):
            yield self._parting(part, step)
        else:
            yield self._wrong_step(part, step)
            yield from self._in_code(step)

    def _wrong_step(self, part: Divergence, step: Step) -> Sentence | None:
        right = self._counterpart(part, step.here)
        index = "" if part.kind == "extra" or right is None else str(right.at)
        place = self.theirs.place(step.here)
        opening = self.say("goes wrong", Claim("wrong", place, str(step.number), index))
        if part.kind == "extra":
            code = Claim("only here", place, self.theirs.code(place.line))
            return self._stated([opening, Join.COLON, self.say("extra", code)])
        if right is None:
            raise DiagnosisError("no step of the right run")
        found, needed = self._difference(part, step.here, right)
        if opening is None or found is None or needed is None:
            raise DiagnosisError("values too long to tell")
        return join([opening, Join.COLON, found, Join.WHERE, needed])

    def _counterpart(self, part: Divergence, here: Occurrence) -> Occurrence | None:
        """Returns the right run's execution of the step that goes wrong."""
        if part.kind != "exception" or part.buggy is None or part.buggy.event.kind != "exception":
            return None if part.right is None else self.ours.occurrence(part.right.index)
        back = {b: r for r, b in match_lines(self.right.program, self.buggy.program).items()}
        times = [o.at for o in self.theirs.run.by_line[here.event.line]].index(here.at)
        found = self.ours.run.by_line.get(back.get(here.event.line, 0), [])
        return found[times] if times < len(found) else None

    def _stated(self, parts: Sequence[Part]) -> Sentence | None:
        if any(part is None for part in parts):
            raise DiagnosisError("values too long to tell")
        return join(parts)

    def _difference(self, part: Divergence, here: Occurrence, right: Occurrence) -> tuple:
        """Returns the clauses of what the step does and of what is needed."""
        code = Claim("code", self.theirs.place(here), self.theirs.code(here.event.line))
        match part.kind:
            case "state" | "arguments":
                return self._states(part, code, here, right)
            case "value":
                return self._values(part, code, here, right)
            case "exception":
                return self._exceptions(code, here, right)
        return self._branches(code, here, right)

    def _states(self, part: Divergence, code: Claim, here: Occurrence, right: Occurrence) -> tuple:
        names = dict.fromkeys((*self._names(self.theirs, here), *self._names(self.ours, right)))
        after, needed = self.theirs.narrator.after, self.ours.narrator.after
        differ = [
            name
            for name in names
            if not same_text(_text(after(here, name)), _text(needed(right, name)))
        ][:_MOST_NAMES]
        found = [claim for name in differ if (claim := after(here, name)) is not None]
        wanted = [_needed(claim) for name in differ if (claim := needed(right, name)) is not None]
        verb = "binds" if part.kind == "arguments" else "leaves"
        unset = [
            self.theirs.narrator.claim("unset", here, n) for n in differ if after(here, n) is None
        ]
        absent = [_needed(self.ours.narrator.claim("unset", right, n)) for n in differ
                  if needed(right, n) is None]  # fmt: skip
        one = self.say(verb, code, *found) if found else self.say("leaves unset", code, *unset)
        other = self.say("needed after", *wanted) if wanted else self.say("needed unset", *absent)
        return one, other

    def _names(self, side: Side, here: Occurrence) -> Sequence[str]:
        return list(side.run.moments[here.at].after)

    def _values(self, part: Divergence, code: Claim, here: Occurrence, right: Occurrence) -> tuple:
        kind = (
            "yields" if part.buggy is not None and part.buggy.event.kind == "yield" else "returns"
        )
        verb = "hands out" if kind == "yields" else "returns here"
        ends = self.theirs.run.line_end(here), self.ours.run.line_end(right)
        if None in ends:
            raise DiagnosisError("no value at the step")
        found, wanted = (
            side.narrator.claim(kind, one, "" if kind == "yields" else _name(one), end.value or "")
            for side, one, end in zip((self.theirs, self.ours), (here, right), ends, strict=True)
        )
        return self.say(verb, code, found), self.say(f"needed {kind}", _needed(wanted))

    def _exceptions(self, code: Claim, here: Occurrence, right: Occurrence) -> tuple:
        found, wanted = self._error(self.theirs, here), self._error(self.ours, right)
        needed = (
            self.say("needed error", _needed(wanted))
            if wanted
            else self.say("needed calm", _needed(self.ours.narrator.claim("calm", right)))
        )
        if found is None:
            calm = self.theirs.narrator.claim("calm", here)
            return self.say("raises nothing", code, calm), needed
        reads = self._reads(here)
        told = self.say("fails here with", code, found, *reads) if reads else None
        return told or self.say("fails here", code, found), needed

    def _error(self, side: Side, here: Occurrence) -> Claim | None:
        for event in side.run.events[here.at + 1 : here.end + 1]:
            if event.frame == here.event.frame and event.kind == "exception" and event.raised:
                return side.narrator.claim("error", here, "", " ".join(str(event.raised).split()))
        return None

    def _reads(self, here: Occurrence) -> list[Claim]:
        statement = self.theirs.program.statement(here.event)
        part = getattr(statement, "test", None) or getattr(statement, "iter", None) or statement
        return self.theirs.narrator.reads(here, part)

    # ---- branches

    def _branches(self, code: Claim, here: Occurrence, right: Occurrence) -> tuple:
        statement = self.theirs.program.statement(here.event)
        if isinstance(statement, ast.For | ast.AsyncFor):
            return self._turn(code, here), self._needed_turn(right)
        if isinstance(statement, ast.If | ast.While):
            found, wanted = self._branch(self.theirs, here), self._branch(self.ours, right)
            reads = self._reads(here)
            told = self.say("condition with", code, found, *reads) if reads else None
            return told or self.say("condition", code, found), self.say(
                "needed branch", _needed(wanted)
            )
        raise DiagnosisError("a branch that is not known")

    def _branch(self, side: Side, here: Occurrence) -> Claim | None:
        statement = side.program.statement(here.event)
        if here.event.branch is None or not isinstance(statement, ast.If | ast.While):
            raise DiagnosisError("a branch that is not known")
        return side.narrator.code_claim("branch", here, statement.test, str(here.event.branch))

    def _turn(self, code: Claim, here: Occurrence) -> Part:
        if not here.event.branch:
            total = here.totals[here.event.line][0] if here.event.line in here.totals else 0
            turns = self.theirs.narrator.claim("turns", here, "", str(total))
            return self.say("ends loop" if total else "never begins", code, turns)
        turn = self.theirs.narrator.claim("turn", here, "", str(here.event.iteration))
        values = self._loop_values(self.theirs, here)
        told = self.say("begins turn with", code, turn, *values) if values else None
        return told or self.say("begins turn", code, turn)

    def _needed_turn(self, right: Occurrence) -> Part:
        if not right.event.branch:
            total = right.totals[right.event.line][0] if right.event.line in right.totals else 0
            turns = self.ours.narrator.claim("turns", right, "", str(total))
            return self.say("needed turns", _needed(turns))
        turn = _needed(self.ours.narrator.claim("turn", right, "", str(right.event.iteration)))
        values = [_needed(claim) for claim in self._loop_values(self.ours, right)]
        told = self.say("needed turn with", turn, *values) if values else None
        return told or self.say("needed turn", turn)

    def _loop_values(self, side: Side, here: Occurrence) -> list[Claim]:
        return [c for c in side.narrator.changed_claims(here) if c is not None]

    # ---- runs that go on differently

    def _parting(self, part: Divergence, step: Step) -> Sentence | None:
        index = len(self.theirs.run.events)
        if part.buggy is not None:
            index = self.teller.teller_of(part.buggy.index)
        number, place = str(step.number), self.theirs.place(step.here)
        opening = self.say("last right", Claim("right", place, number, str(index)))
        goes_on = self._goes_on(index, number)
        must = self._must(part, str(index))
        if part.kind == "missing" and part.right is not None:
            code = self.ours.code(part.right.event.line)
            missing = self.say("missing", Claim("missing", Place(0), code))
            if missing is not None:
                return self._stated(
                    [opening, Join.STOP, goes_on, Join.WHERE, must, Join.SEMICOLON, missing]
                )
        return self._stated([opening, Join.STOP, goes_on, Join.WHERE, must])

    def _goes_on(self, index: int, number: str) -> Part:
        if index == len(self.theirs.run.events):
            return self.say("over", Claim("over", Place(0), number))
        form, claim = self._next(self.theirs, index)
        event = self.theirs.run.events[index]
        comes = Claim("comes", Place(event.line, index, event.frame), number)
        return self.say(f"comes{form}", comes, claim)

    def _must(self, part: Divergence, index: str) -> Part:
        if part.right is None:
            return self.say("due end", Claim("due end", Place(0), "", index))
        form, claim = self._next(self.ours, part.right.index)
        event = part.right.event
        due = Claim("due", Place(event.line, part.right.index, event.frame), "", index)
        if form:
            return self.say(f"due{form}", due, _needed(claim))
        code = Claim("needed code", Place(event.line), self.ours.code(event.line))
        here = self.ours.occurrence(part.right.index)
        after = [_needed(c) for c in self.ours.narrator.changed_claims(here)] if here else []
        told = self.say("due line with", due, code, *after) if after else None
        return told or self.say("due line", due, code)

    def _next(self, side: Side, index: int) -> tuple[str, Claim | None]:
        """Returns the form and the claim of an event that comes next."""
        event, here = side.run.events[index], side.occurrence(index)
        if event.kind == "line" or here is None:
            return "", Claim("code", Place(event.line), side.code(event.line))
        match event.kind:
            case "call":
                return " call", Claim("enters", side.place(here), _name(here))
            case "return":
                return " return", side.narrator.claim(
                    "returns", here, _name(here), event.value or ""
                )
            case "yield":
                return " yield", side.narrator.claim("yields", here, "", event.value or "")
            case "exception":
                return " error", self._error(side, here)
        return "", Claim("code", Place(event.line), side.code(event.line))

    # ---- why, and the end

    def _in_code(self, step: Step) -> Iterator[Sentence | None]:
        """Tells which expression or line is at fault, if it is one."""
        stands = fault_in_expression(self.right.program, self.buggy.program)
        place = self.theirs.place(step.here)
        told = self.say("stands", stands) if stands is not None else None
        if told is not None and stands is not None:
            yield join([told, Join.STOP, self._would(stands, step)])
        line = _only_changed_line(self.right.program, self.buggy.program)
        if line is not None and line != place.line:
            code = Claim("code", Place(line), self.theirs.code(line))
            yield join([self.say("at fault", Claim("at fault", Place(line)), code)])

    def _would(self, stands: Claim, step: Step) -> Part:
        """Tells what the right expression would give in the state of the wrong step."""
        here = step.here
        if here.event.kind != "line" or stands.place.line != here.event.line:
            return None
        node = ast.parse(stands.value, mode="eval").body
        if not count_operations(node):
            return None
        text = self.theirs.narrator.arithmetic(here, node).text(node)
        if text is None:
            return None
        return self.say("would", self.theirs.narrator.claim("evaluates", here, stands.value, text))

    def _end(self) -> Sequence[Part]:
        trace, place = self.buggy, Place(0)
        if trace.raised is not None:
            error = " ".join(str(trace.raised).split())
            told = self.say("so fails", Claim("fails", place, trace.call, error))
        elif trace.result is not None:
            told = self.say("so returns", Claim("outcome", place, trace.call, trace.result))
        else:
            stopped = Claim("endless", place, trace.call, trace.truncated or "")
            told = self.say("so endless", stopped)
        asserted = self.say("asserted", Claim("asserted", place, "", self.expected))
        return [told, Join.WHERE, asserted] if told is not None else []

    def _repair(self) -> Iterator[Part]:
        try:
            yield from repair(self.right.program, self.buggy.program, self.teller.speaker)
        except TooManyLines as error:
            raise DiagnosisError(str(error)) from error
        result = Claim("needed outcome", Place(0), self.right.call, self.right.result or "")
        yield self.say("repaired", Claim("repaired", Place(0)), result)


def _name(here: Occurrence) -> str:
    return here.event.function.rpartition(".")[2]


def _text(claim: Claim | None) -> str | None:
    return None if claim is None else claim.value


def _only_changed_line(right: str, buggy: str) -> int | None:
    ours, theirs = right.rstrip("\n").split("\n"), buggy.rstrip("\n").split("\n")
    if len(ours) != len(theirs):
        return None
    changed = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a != b]
    return changed[0] if len(changed) == 1 else None
