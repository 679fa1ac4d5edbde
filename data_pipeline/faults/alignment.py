"""Compares two runs of one call, of the right and of a buggy program, up to their divergence.

Traces both, matches the lines of the programs, then compares the steps one by one. Skips steps of
lines that only one program has if they do nothing (a test that fails, a `pass`). The runs diverge
at the first step that differs in its effect (variables after it, branch, turn, value returned or
yielded, exception) or that only one of the runs takes: until then every variable of every frame
had the same value in both.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.replay import Moment, moments

MIN_ALIKE = 0.6
"""Minimum similarity (2 * matching / all characters) of a changed line to its original."""

MAX_GAP = 400
"""Maximum number of line pairs to compare at one changed place of a program."""

INSIDE = ("<genexpr>", "<lambda>")
"""Frames that are not described: their effect shows in that of their line."""


class AlignmentError(ValueError):
    """Reports runs that cannot be compared; the message is a short reason to count by."""


@dataclass(frozen=True)
class Divergence:
    """Holds the step at which two runs diverge.

    kind:
        "arguments"  a call binds other values
        "state"      the line leaves other variables behind
        "branch"     a header enters its body where it must not, or the other way round
        "value"      another value is returned or yielded
        "exception"  one run raises where the other does not, or they raise different things
        "flow"       the runs continue at different lines
        "missing"    `right` is a step of a line that the buggy program lacks
        "extra"      `buggy` is a step of a line that only the buggy program has
    right, buggy: the step of each run; for "missing" and "extra", the other one is the step that
        that run takes there. None if a run has ended (or, for `buggy`, was stopped).
    """

    kind: str
    right: Moment | None
    buggy: Moment | None


def match_lines(right: str, buggy: str) -> dict[int, int]:
    """Maps lines of the right program to lines of the buggy one, both from 1; ignores indentation.

    Matches the longest common sequence of lines, where lines that open a block count twice: if a
    line was moved past another, the one that opens no block is the one that moved. Also matches
    lines changed in place: one by one if there are equally many, else the similar ones.
    """
    ours, theirs = (
        [line.strip() for line in text.rstrip("\n").split("\n")] for text in (right, buggy)
    )
    head = 0
    while head < min(len(ours), len(theirs)) and ours[head] == theirs[head]:
        head += 1
    tail = 0
    while tail < min(len(ours), len(theirs)) - head and ours[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    pairs = [(line, line) for line in range(head)]
    pairs += [
        (head + one, head + other)
        for one, other in _in_order(
            ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
        )
    ]
    pairs += [(len(ours) - at, len(theirs) - at) for at in range(tail, 0, -1)]
    matched = dict(pairs)
    for (i, j), (k, m) in pairwise([(-1, -1), *pairs, (len(ours), len(theirs))]):
        if k - i == m - j:
            matched.update(zip(range(i + 1, k), range(j + 1, m), strict=True))
        elif 0 < (k - i - 1) * (m - j - 1) <= MAX_GAP:
            alike = _in_order(ours[i + 1 : k], theirs[j + 1 : m], _alike)
            matched.update((i + 1 + one, j + 1 + other) for one, other in alike)
    return {one + 1: other + 1 for one, other in sorted(matched.items())}


def _same(one: str, other: str) -> float:
    return (1 + one.endswith(":")) * (one == other)


def _alike(one: str, other: str) -> float:
    if one.endswith(":") != other.endswith(":"):
        return 0.0
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio > MIN_ALIKE else 0.0


def _in_order(
    ours: list[str], theirs: list[str], weight: Callable[[str, str], float] = _same
) -> list[tuple[int, int]]:
    """Returns the heaviest ordered pairing of positions. weight: of a pair, 0 for no match."""
    best = [[0.0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in range(len(ours) - 1, -1, -1):
        for j in range(len(theirs) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if gain := weight(ours[i], theirs[j]):
                best[i][j] = max(best[i][j], best[i + 1][j + 1] + gain)
    pairs, i, j = [], 0, 0
    while i < len(ours) and j < len(theirs):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def likeness(right: str, buggy: str) -> float:
    """Returns the share of the right program's lines found unchanged in the buggy one, 0 to 1."""
    ours, theirs = (
        [line.strip() for line in text.split("\n") if line.strip()] for text in (right, buggy)
    )
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / max(len(ours), 1)


def find_divergence(right: Trace, buggy: Trace) -> Divergence:
    """Returns the divergence of two runs. Raises AlignmentError if they do not differ."""
    lines = match_lines(right.program, buggy.program)
    ours, theirs = _Walk(right), _Walk(buggy)
    present = set(lines.values())
    later: Divergence | None = None  # a difference that a nested call may explain
    latest: Moment | None = None  # of the buggy run
    while True:
        one, other = ours.peek(), theirs.peek()
        if later is not None:
            depth = later.buggy.event.depth  # type: ignore[union-attr]
            if one is None or other is None or min(one.depth, other.depth) <= depth:
                return _find_exception(later, ours, theirs) or later
        if one is None and other is None:
            raise AlignmentError("no difference in the traces")
        if one is not None and one.line not in lines and not _does_something(one):
            ours.step()
            ours.skipped = one
            continue
        if other is not None and other.line not in present and not _does_something(other):
            theirs.step()
            theirs.skipped = other
            continue
        if one is None or other is None:
            if other is None and buggy.truncated:
                raise AlignmentError("the traced steps end before the runs part")
            return Divergence("flow", ours.look(), theirs.look())
        if one.line not in lines or _inside(one, ours.skipped):
            return Divergence("missing", ours.look(), theirs.look())
        if other.line not in present or _inside(other, theirs.skipped):
            return Divergence("extra", ours.look(), theirs.look())
        kind = _difference(one, other, lines)
        if kind == "exception" and other.kind not in ("exception", "return"):
            return Divergence(kind, ours.look(), latest)  # the line before should have raised
        moments = ours.step(), theirs.step()
        latest = moments[1]
        if kind in ("state", "branch"):
            later = Divergence(kind, *moments)
            continue
        if kind is not None:
            return Divergence(kind, *moments)


class _Walk:
    """Steps through a run, without the frames and events that are not compared."""

    def __init__(self, trace: Trace):
        self._moments = [moment for moment in moments(trace) if _is_compared(moment.event)]
        self._at = 0
        self.skipped: Event | None = None

    def peek(self) -> Event | None:
        moment = self.look()
        return None if moment is None else moment.event

    def look(self) -> Moment | None:
        """Returns the next step without moving."""
        return self._moments[self._at] if self._at < len(self._moments) else None

    def step(self) -> Moment:
        self.skipped = None
        self._at += 1
        return self._moments[self._at - 1]


def _is_compared(event: Event) -> bool:
    return event.kind not in ("step", "unwind") and not event.function.endswith(INSIDE)


def _find_exception(divergence: Divergence, ours: _Walk, theirs: _Walk) -> Divergence | None:
    """Explains a "state" divergence by an exception.

    The line left other variables behind because an exception interrupted it.
    """
    assert divergence.right is not None
    assert divergence.buggy is not None
    one, other = ours.peek(), theirs.peek()
    if (
        other is not None
        and other.kind == "exception"
        and other.frame == divergence.buggy.event.frame
    ):
        return Divergence("exception", divergence.right, theirs.look())
    if one is not None and one.kind == "exception" and one.frame == divergence.right.event.frame:
        return Divergence("exception", ours.look(), divergence.buggy)
    return None


def _does_something(event: Event) -> bool:
    """Returns whether a step of a line that only one program has makes a difference by itself."""
    return event.kind != "line" or bool(event.changed or event.gone or event.branch)


def _inside(event: Event, skipped: Event | None) -> bool:
    """Returns whether a step belongs to a call made on the line that was just skipped."""
    return skipped is not None and event.kind == "call" and event.depth > skipped.depth


def _difference(one: Event, other: Event, lines: Mapping[int, int]) -> str | None:
    """Returns the kind of divergence, None if the steps do the same."""
    if other.kind == "exception" != one.kind or one.kind == "exception" != other.kind:
        return "exception"
    if lines[one.line] != other.line or one.kind != other.kind or one.function != other.function:
        return "flow"
    if one.kind == "exception":
        assert one.raised is not None
        assert other.raised is not None
        same = (one.raised.type, one.raised.message) == (other.raised.type, other.raised.message)
        return None if same else "exception"
    if not (same_texts(one.changed, other.changed) and set(one.gone) == set(other.gone)):
        if one.kind == "call":
            return "arguments"
        # If only one loop goes on, its variable differs too; report the branch.
        return "state" if one.branch == other.branch else "branch"
    if (one.branch, one.iteration) != (other.branch, other.iteration):
        return "branch"
    return None if same_text(one.value, other.value) else "value"


def same_texts(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.keys() == other.keys() and all(same_text(one[name], other[name]) for name in one)


def same_text(one: str | None, other: str | None) -> bool:
    """Returns whether two texts show the same value; the order of dicts and sets is ignored."""
    if one == other:
        return True
    if one is None or other is None or len(one) != len(other) or not {"{", "("} & {*one}:
        return False
    try:
        return same_value(parse_literal(one), parse_literal(other))
    except LiteralError:
        return False
