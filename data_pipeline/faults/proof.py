"""Proves what a diagnosis claims about two runs of one call and about their two programs.

Reads the raw events; shares no code with `alignment` beyond the pairing of lines. Claims about one
run alone go to the prover of `claims`: kinds as they are to the failing run, kinds that begin with
"needed" to the right one.

Kinds about both runs (place: in the failing run unless its kind begins with "due"):

kind       subject           value
wrong      number of a step  index of the right run's event that the step should have been; ""
                             if the right program lacks the line. Before it, both runs did the same
right      number of a step  index of the failing run's next event. Up to it, both did the same
comes      number of a step  - (the failing run's next event after the step is `place`)
over       number of a step  - (the failing run has no event after the step)
due        -                 index of the failing run's next event (place: the right run's next)
due end    -                 index of the failing run's next event; the right run is over
skipped    -                 "7-76": numbers of steps that are not shown
asserted   -                 text of the value that the right run returns
test       call              value that it must return and does not

Kinds about the programs are in `program_proofs`.
"""

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from data_pipeline.claims import PROVEN, REFUTED, UNDECIDED, Claim, Place, Prover
from data_pipeline.claims.record import Record
from data_pipeline.faults.alignment import INSIDE, match_lines, same_text
from data_pipeline.faults.program_proofs import PROGRAM_PROOFS, Programs
from data_pipeline.tracing import Event, Trace

_VERDICTS = {True: PROVEN, False: REFUTED, None: UNDECIDED}
_EFFECTS = ("call", "line", "return", "yield")


@dataclasses.dataclass(frozen=True, slots=True)
class _Effect:
    """An event with the variables that it leaves in its frame."""

    at: int
    event: Event
    after: Mapping[str, str]


class TwoRuns:
    """Decides the claims of one diagnosis.

    steps: places of the numbered steps, in order; the teller adds each that it numbers
    edits: claims about the repair that have been proven, in order
    """

    def __init__(self, right: Trace, buggy: Trace, expected: str):
        self.failing, self.needed = Prover(buggy), Prover(right)
        self.expected = expected
        self.steps: list[Place] = []
        self.programs = Programs(right.program, buggy.program)
        self.lines = match_lines(right.program, buggy.program)
        self.back = {theirs: ours for ours, theirs in self.lines.items()}
        self.ours, _ = _effects(self.needed.record)
        self.theirs, self.known = _effects(self.failing.record)

    def verdict(self, claim: Claim) -> str:
        """Returns PROVEN, REFUTED or UNDECIDED. Never raises."""
        if claim.kind in _PROOFS or claim.kind in PROGRAM_PROOFS:
            try:
                return _VERDICTS[self._prove(claim)]
            except (IndexError, KeyError, ValueError, StopIteration, SyntaxError):
                return REFUTED
        side, _, kind = claim.kind.rpartition(" ")
        prover = self.needed if side == "needed" else self.failing
        return prover.verdict(dataclasses.replace(claim, kind=kind))

    def _prove(self, claim: Claim) -> bool | None:
        if claim.kind in PROGRAM_PROOFS:
            return PROGRAM_PROOFS[claim.kind](self.programs, claim)
        return _PROOFS[claim.kind](self, claim)

    # ---- what both runs did

    def shared(self, effects: Sequence[_Effect], lines: Mapping[int, int]) -> list[_Effect]:
        """Returns the effects of lines that both programs have."""
        return [e for e in effects if e.event.line in lines]

    def agree(self, until: int) -> list[_Effect] | None:
        """Returns the shared effects of the failing run before one of its effects.

        until: position in `theirs`. None if the right run did not begin with the same ones.
        """
        theirs = self.shared(self.theirs[:until], self.back)
        ours = self.shared(self.ours, self.lines)
        if len(theirs) > len(ours):
            return None
        same = (self.same(one, other) for one, other in zip(ours, theirs, strict=False))
        return theirs if all(same) else None

    def same(self, ours: _Effect, theirs: _Effect) -> bool:
        one, other = ours.event, theirs.event
        return (
            self.lines[one.line] == other.line
            and (one.kind, one.branch) == (other.kind, other.branch)
            and same_text(one.value, other.value)
            and _same_state(ours.after, theirs.after)
        )

    def over_before(self, at: int) -> int:
        """Returns the number of effects that are over when the failing run's event `at` comes."""
        events = self.failing.record.events
        if at == len(events):
            return len(self.theirs)
        until = next(n for n in range(at, len(events)) if not _is_aside(events[n]))
        return self.known[until]

    def _is_opening(self, at: int) -> bool:
        """Returns whether an event is the start of a block, as at `try`,."""
        event, record = self.failing.record.events[at], self.failing.record
        if event.kind != "line" or not _is_silent(event):
            return False
        return isinstance(record.statement(at), ast.Try)

    def last_step(self, number: int) -> tuple[int, int]:
        """Returns the place of a step's last effect in `theirs`, and the index of its event."""
        place = self.steps[number - 1]
        position = next(n for n, e in enumerate(self.theirs) if e.at == place.at)
        latest = max(effect.at for effect in self.theirs[: position + 1])
        return position, max(latest, *self._ends_of(place.at), place.at)

    def _ends_of(self, at: int) -> list[int]:
        """Returns the events that a line itself ends with: a yield, an exception, a `return`."""
        record = self.failing.record
        here = record.events[at]
        if here.kind != "line":
            return []
        kinds = ["yield", "exception", *(
            ["return"] if isinstance(record.statement(at), ast.Return) else []
        )]  # fmt: skip
        last = min(record.window_end(at), len(record.events) - 1)
        return [index for index in range(at + 1, last + 1)
                if record.events[index].frame == here.frame
                and record.events[index].kind in kinds]  # fmt: skip

    def next_event(self, number: int) -> int:
        """Returns the index of the failing run's first event after a step that is worth a word."""
        _, latest = self.last_step(number)
        events = self.failing.record.events
        for at in range(latest + 1, len(events)):
            if _is_visible(events[at]) and not self._is_opening(at):
                return at
        return len(events)


def _is_silent(event: Event) -> bool:
    return not (event.changed or event.gone) and event.branch is None


def _is_visible(event: Event) -> bool:
    silent = event.kind == "resume" and not event.changed
    return not (silent or event.kind in ("step", "unwind") or event.function.endswith(INSIDE))


def _same_state(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.keys() == other.keys() and all(same_text(one[n], other[n]) for n in one)


def _is_aside(event: Event) -> bool:
    return event.kind == "step" or event.function.endswith(INSIDE)


def _effects(record: Record) -> tuple[list[_Effect], dict[int, int]]:
    """Returns the effects of a run in the order in which they are known, and event -> number known.

    The effect of a line is known when the calls that it makes are over.
    """
    ordered: list[_Effect] = []
    known: dict[int, int] = {}
    waiting: list[_Effect] = []
    states: dict[int, dict[str, str]] = {}
    for at, event in enumerate(record.events):
        if _is_aside(event):
            continue
        state = {**states.get(event.frame, {}), **event.changed}
        for name in event.gone:
            state.pop(name, None)
        states[event.frame] = state
        while waiting and waiting[-1].event.depth >= event.depth:
            ordered.append(waiting.pop())
        known[at] = len(ordered)
        if event.kind in _EFFECTS:
            (waiting if event.kind == "line" else ordered).append(_Effect(at, event, state))
    return ordered + waiting[::-1], known


# ---- proofs


def _wrong(runs: TwoRuns, claim: Claim) -> bool | None:
    place = runs.steps[int(claim.subject) - 1]
    position = next(n for n, e in enumerate(runs.theirs) if e.at == place.at)
    if place != claim.place or runs.agree(position) is None:
        return False
    here = runs.theirs[position].event
    if not claim.value:
        return here.line not in runs.back
    counterpart = runs.needed.record.events[int(claim.value)]
    paired = runs.back.get(here.line) == counterpart.line and here.kind == counterpart.kind
    if not paired or _times(runs.theirs, place.at) != _times(runs.ours, int(claim.value)):
        return False
    return _differ(runs, place.at, int(claim.value))


def _times(effects: Sequence[_Effect], at: int) -> int:
    """Returns how often the line of an event has run, this time included."""
    here = next(e.event for e in effects if e.at == at)
    return sum(e.at <= at and (e.event.line, e.event.kind) == (here.line, here.kind)
               for e in effects)  # fmt: skip


def _differ(runs: TwoRuns, theirs: int, ours: int) -> bool:
    """Returns whether two executions of a line differ in effect, branch, value or exception."""
    found = [
        _line_effect(record, at)
        for record, at in ((runs.failing.record, theirs), (runs.needed.record, ours))
    ]
    (one, state, rest), (other, also, more) = found
    same = (one.branch, one.iteration) == (other.branch, other.iteration) and rest == more
    return not (same and _same_state(state, also))


def _line_effect(record: Record, at: int) -> tuple[Event, Mapping[str, str], list]:
    event = record.events[at]
    end = at + 1 if event.kind == "call" else record.window_end(at)
    names = {name for frame, name in record._histories if frame == event.frame}
    state = {name: record.value(event.frame, name, end - 1) for name in names}
    inside = [] if event.kind == "call" else [
        (e.kind, e.value, str(e.raised)) for kind in ("return", "yield", "exception")
        for e in record.inside(at, kind)
    ]  # fmt: skip
    return event, {n: text for n, text in state.items() if text is not None}, inside


def _right(runs: TwoRuns, claim: Claim) -> bool:
    number, until = int(claim.subject), runs.over_before(int(claim.value))
    told = [place.at for place in runs.steps]
    known = set(told)
    over = [e.at for e in runs.theirs[:until] if e.at in known]
    return (
        bool(over)
        and over[-1] == claim.place.at == told[number - 1]
        and runs.agree(until) is not None
    )


def _comes(runs: TwoRuns, claim: Claim) -> bool:
    return runs.next_event(int(claim.subject)) == claim.place.at


def _over(runs: TwoRuns, claim: Claim) -> bool:
    return runs.next_event(int(claim.subject)) == len(runs.failing.record.events)


def _coming(runs: TwoRuns, claim: Claim) -> list[int]:
    """Returns the right run's events after those that the failing run shares with it."""
    done = runs.agree(runs.over_before(int(claim.value)))
    if done is None:
        raise ValueError(claim)
    shared = runs.shared(runs.ours, runs.lines)
    start = runs.ours.index(shared[len(done) - 1]) + 1 if done else 0
    past = {e.at for e in runs.ours[:start]}
    return [at for at, event in enumerate(runs.needed.record.events)
            if at > min(past, default=-1) and at not in past and _is_visible(event)]  # fmt: skip


def _due(runs: TwoRuns, claim: Claim) -> bool:
    """The right run's next event is at `place`, lines that it alone has aside if they do nothing.

    A line that is waiting for its calls is not over, but its start is past.
    """
    events, failing = runs.needed.record.events, runs.failing.record.events
    at = int(claim.value)
    depth = failing[at].depth if at < len(failing) else 0
    for index in _coming(runs, claim):
        event = events[index]
        if index == claim.place.at:
            return True
        quiet = event.kind == "line" and not event.changed and not event.gone
        open_caller = event.kind == "line" and event.depth < depth
        if not (open_caller or (quiet and (event.branch is None or not event.branch))):
            return False
    return False


def _due_end(runs: TwoRuns, claim: Claim) -> bool:
    return not _coming(runs, claim)


def _skipped(runs: TwoRuns, claim: Claim) -> bool:
    first, _, last = claim.value.partition("-")
    return 1 < int(first) < int(last) < len(runs.steps)


def _asserted(runs: TwoRuns, claim: Claim) -> bool:
    wanted = runs.expected
    return claim.value == wanted and same_text(runs.needed.record.trace.result, wanted)


def _test(runs: TwoRuns, claim: Claim) -> bool:
    trace = runs.failing.record.trace
    return (
        claim.subject == trace.call == runs.needed.record.trace.call
        and _asserted(runs, claim)
        and not same_text(trace.result, claim.value)
    )


_PROOFS: Mapping[str, Callable[[TwoRuns, Claim], bool | None]] = {
    "wrong": _wrong, "right": _right, "comes": _comes, "over": _over, "due": _due,
    "due end": _due_end, "skipped": _skipped, "asserted": _asserted, "test": _test,
}  # fmt: skip
