"""Judges what a loop is said to take up, values put into a test, and calls said to be made."""

import ast

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import UNKNOWN, ValueVerdicts, Verdict
from data_pipeline.verify.values import compare

_MOST = 400
_MOST_FRAMES = 20


class TakenVerdicts:
    """Judges elements, filled-in tests and calls by what the run did."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    # ---- elements of loops

    def bound(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "the loop takes up V", "the second word is V"."""
        here = place.occurrence
        line = here.event.line if here is not None and place.sure else None
        if place.window is not None and not place.sure:  # the heading's own loop
            line = self.run.events[place.window[0]].line
        headers = [line] if line in self.run.loops else list(self.run.loops)
        if here is not None and line in headers and here.turns.get(line):
            taken = self._taken(here)
            if any(compare(worded.value, text) == CONFIRMED for text in taken):
                return CONFIRMED, worded.value
        runs = [o for h in headers for o in self.run.by_line.get(h or -1, ())[:_MOST]]
        if line in headers and here is not None:
            runs = [o for o in runs if o.event.frame == here.event.frame]
        wanted = [o for o in runs if self._is_turn(o, worded.subject or "")]
        if any(self._has(o, worded.value) for o in wanted):
            sure = line in headers and place.sure
            return (NOT_CHECKABLE if sure else CONFIRMED), worded.value
        if self._names_loop(worded, headers) and wanted and not self.run.trace.truncated:
            return CONTRADICTED, ", ".join(text for o in wanted[:3] for text in self._taken(o))
        return UNKNOWN

    def _is_turn(self, here: Occurrence, nth: str) -> bool:
        turn = here.turns.get(here.event.line, 0)
        if nth == "-1":
            return turn > 0 and turn == here.totals[here.event.line][0]
        return turn == int(nth) if nth else turn > 0

    def _has(self, here: Occurrence, value: str) -> bool:
        return any(compare(value, text) == CONFIRMED for text in self._taken(here))

    def _taken(self, here: Occurrence) -> list[str]:
        """Returns the values that a header binds in a turn."""
        statement = self.run.statement_of(here.event)
        if not isinstance(statement, ast.For):
            return []
        names = [node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)]
        texts = (self.run.value(here.event.frame, name, here.at) for name in names)
        return [text for text in texts if text is not None]

    def _names_loop(self, worded: WordedClaim, headers: list[int | None]) -> bool:
        """Returns whether the noun is the name of what one loop binds."""
        statements = [self.run.statements.get(header or -1) for header in headers]
        targets = [ast.unparse(s.target) for s in statements if isinstance(s, ast.For)]
        return worded.noun is not None and targets.count(worded.noun.word) == 1

    def in_comprehension(self, worded: WordedClaim, place: Place) -> Verdict:
        """Confirms "for `c` = 'a'" of a comprehension that takes up that value."""
        loops = [
            (line, loop)
            for line, statement in self.run.statements.items()
            for loop in ast.walk(statement)
            if isinstance(loop, ast.comprehension) and isinstance(loop.target, ast.Name)
            and loop.target.id == worded.subject and not hasattr(statement, "body")
        ]  # fmt: skip
        sure = place.occurrence.event.line if place.occurrence is not None and place.sure else None
        for line, loop in loops:
            if sure in (None, line):
                for here in self.run.by_line.get(line, ())[:_MOST_FRAMES]:
                    source, frame = ast.unparse(loop.iter), here.event.frame
                    if self._is_item(f"{worded.value} in list({source})", frame, here.at - 1):
                        return CONFIRMED, f"`{source}` has it"
        return UNKNOWN

    def _is_item(self, test: str, frame: int, at: int) -> bool:
        return self.values.text_at(test, frame, at) == "True"

    # ---- tests with their values put in

    def filled(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "`i < len(xs)` (4 < 5)": each side has the value that stands for it."""
        code, shown = parse_code(worded.subject or ""), parse_code(worded.value)
        pairs = _pairs(code, shown)
        if pairs is None:
            return UNKNOWN
        if place.occurrence is None:
            return self._filled_anywhere(*pairs)
        frame, points = place.occurrence.event.frame, self._points(place)
        judged = [self._same(one, two, frame, at) for at in points for one, two in [pairs]]
        if True in judged:
            return CONFIRMED, worded.value
        known = judged and None not in judged and place.sure
        return (CONTRADICTED if known else NOT_CHECKABLE), self._spelled(pairs[0], frame, points[0])

    def _filled_anywhere(self, codes: list[str], shown: list[str]) -> Verdict:
        """Confirms values put in that some state of the run has."""
        for frame, (first, last) in list(self.run.frames.items())[:_MOST_FRAMES]:
            for at in self.values.points(frame, (first, last)):
                if self._same(codes, shown, frame, at):
                    return CONFIRMED, ", ".join(shown)
        return UNKNOWN

    def _points(self, place: Place) -> list[int]:
        here = place.occurrence
        assert here is not None
        if place.window is not None and not place.sure:
            return self.values.points(here.event.frame, place.window)
        return [here.at - 1, here.at]

    def _same(self, codes: list[str], shown: list[str], frame: int, at: int) -> bool | None:
        """Returns whether all parts have the values shown; None if one is not known."""
        results = []
        for code, value in zip(codes, shown, strict=True):
            one, two = self.values.text_at(code, frame, at), self.values.text_at(value, frame, at)
            if one is None or two is None:
                return None
            results.append(compare(two, one) == CONFIRMED)
        return all(results)

    def _spelled(self, codes: list[str], frame: int, at: int) -> str:
        return ", ".join(f"{code} = {self.values.text_at(code, frame, at)}" for code in codes)

    def absent(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "finds no 'a' in the string" of the strings of a place."""
        if place.occurrence is None:
            return UNKNOWN
        frame, at = place.occurrence.event.frame, place.occurrence.at - 1
        names = [
            name
            for name in sorted(self.run.names)
            if (self.run.value(frame, name, at) or "").startswith(("'", '"'))
        ]
        found = {self.values.text_at(f"{worded.value} in {name}", frame, at) for name in names}
        return (CONFIRMED, "no string has it") if found == {"False"} else UNKNOWN

    # ---- calls

    def call_made(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "second call: `f(2)`": some call of the run has these arguments.

        A line that makes calls of the function has to make this one.
        """
        code = parse_code(worded.value)
        if not isinstance(code, ast.Call) or not isinstance(code.func, ast.Name):
            return UNKNOWN
        function = self.run.functions.get(code.func.id)
        given = [self.values.text_at(ast.unparse(item), -1, 0) for item in code.args]
        if function is None or None in given or self.run.trace.truncated:
            return UNKNOWN
        names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
        if len(given) > len(names):
            return UNKNOWN
        frames = self.run.calls_of(code.func.id)[:_MOST]
        calls = [
            [self.run.value(frame, name, self.run.frames[frame][0]) for name in names[: len(given)]]
            for frame in frames
        ]
        made: set[int] = set()
        for frame, call in zip(frames, calls, strict=True):
            if all(
                real is not None and compare(text or "", real) == CONFIRMED
                for text, real in zip(given, call, strict=True)
            ):
                made.add(frame)
        if made:
            own = self._made_by(place, frames)
            if not own or own & made:
                return CONFIRMED, worded.value
            calls = [call for frame, call in zip(frames, calls, strict=True) if frame in own]
        known = calls and all(None not in call for call in calls)
        shown = ", ".join(f"{code.func.id}({', '.join(map(str, call))})" for call in calls[:4])
        return (CONTRADICTED if known and len(calls) < _MOST else NOT_CHECKABLE), shown

    def _made_by(self, place: Place, frames: list[int]) -> set[int]:
        """Returns the frames that the line of a place itself calls, and its own; else none."""
        here, own, end = place.occurrence, set(), -1
        for frame in frames if here is not None and place.sure else ():
            first, last = self.run.frames[frame]
            if here is not None and here.at < first < here.end and first > end:
                own.add(frame)
                end = last
        return own | {here.event.frame} if own and here is not None else own


def _pairs(code: ast.expr | None, shown: ast.expr | None) -> tuple[list[str], list[str]] | None:
    """Returns the parts of two comparisons of one form: code, and the values that it shows."""
    if not isinstance(code, ast.Compare) or not isinstance(shown, ast.Compare):
        return None
    if [type(op) for op in code.ops] != [type(op) for op in shown.ops]:
        return None
    one, two = ([ast.unparse(x) for x in (c.left, *c.comparators)] for c in (code, shown))
    return one, two
