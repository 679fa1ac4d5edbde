"""Judges what a text says about the turns of loops."""

import ast
import re
from collections.abc import Iterator

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.comprehensions import ComprehensionTurns
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import (
    UNKNOWN,
    ValueVerdicts,
    Verdict,
    dump_expression,
    dump_node,
)
from data_pipeline.verify.values import compare

_NAMED = re.compile(
    r"\b(?P<k>outer|inner|nested|inside|first|second|third|last)(?:most)? "
    r"(?:`?(?:for|while)`? )?loop\b", re.I,
)  # fmt: skip
_AS_CODE = re.compile(r"\brang(?:e|es|ing)\b|\bexclusive\b|\bexcluding\b|\bnot includ", re.I)
_IN_ALL = re.compile(r"\b(?:in total|altogether|in all|overall|total of)\b", re.I)


class LoopVerdicts:
    """Judges claims about turns and their number."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def turn(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        turns = here.turns
        if not turns:
            return UNKNOWN
        wanted = int(worded.value)
        for header, turn in turns.items():
            last = here.totals[header][0]
            if turn == (last if wanted == -1 else wanted) and turn > 0:
                return CONFIRMED, f"iteration {turn}"
        innermost = max(turns)
        if turns[innermost] == 0:
            total = here.totals[innermost][0]
            fits = wanted == total or (wanted == total + 1 and worded.when == "exit")
            return (CONFIRMED if fits else CONTRADICTED), f"{total} turns"
        return CONTRADICTED, f"iteration {turns[innermost]}"

    def goes_on(self, here: Occurrence) -> Verdict:
        """Checks whether the loop around a line (or headed by it) makes another turn."""
        header = max(here.turns, default=None)
        if header is None:
            return UNKNOWN
        if here.event.line == header:
            goes_on = here.event.branch is True
            return (CONFIRMED if goes_on else CONTRADICTED), f"the condition is {goes_on}"
        turn, total = here.turns[header], here.totals[header][0]
        if turn < total:
            return CONFIRMED, f"iteration {turn + 1}"
        left = not any(
            o.at > here.at and o.totals.get(header) is here.totals[header]
            for o in self.run.by_line.get(header, ())
        )
        if left and not self.run.trace.truncated:  # by break, return or an exception
            return CONTRADICTED, f"the loop is left in iteration {turn}"
        return UNKNOWN

    def ended(
        self, worded: WordedClaim, here: Occurrence | None, window: tuple[int, int] | None
    ) -> Verdict:
        """Confirms that a loop ends at a place; contradicts that one completes which is left."""
        if here is not None and here.event.branch is False and here.event.line in self.run.loops:
            return CONFIRMED, "the loop ends"
        headers = {
            o.event.line: o
            for o in self.run.occurrences
            if window is not None and window[0] <= o.at <= window[1] and o.event.line in o.turns
        }
        if any(o.turns[line] == 0 for line, o in headers.items()):
            return CONFIRMED, "the loop ends"
        if window is not None and self._is_left(window):
            return CONFIRMED, "the loop is left"
        ends = [o for o in self.run.occurrences if o.turns.get(o.event.line) == 0]
        if ends and window is None and (here is None or here.turns == {}):
            return CONFIRMED, "the loop ends"
        ran = any(map(self.run.by_line.get, self.run.loops)) and not self.run.trace.truncated
        if not ends and window is None and ran and "complete" in worded.text:
            return CONTRADICTED, "the loop is left before it ends"
        return UNKNOWN

    def _is_left(self, window: tuple[int, int]) -> bool:
        """Returns whether the turn that a window holds is the last, ended by break or return."""
        header = self.run.events[window[0]].line
        own = [o for o in self.run.by_line.get(header, ()) if o.at == window[0]]
        if not own or own[0].turns.get(header) != own[0].totals.get(header, [None])[0]:
            return False
        totals = own[0].totals[header]
        runs = self.run.by_line[header]
        return not self.run.trace.truncated and not any(
            o.at > window[0] and o.totals.get(header) is totals for o in runs
        )

    def iterates(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "iterates over V": the iterable of some loop, as code or as its value."""
        code = dump_expression(worded.subject or "")
        known: list[str] = []
        for line, source in self._sources():
            if code in [dump_node(node) for node in ast.walk(source)]:
                return CONFIRMED, ast.unparse(source)
            starts = [o for o in self.run.by_line.get(line, ()) if o.turns.get(line, 0) <= 1]
            for here in starts[:100]:
                frame, at = here.event.frame, here.at - 1
                text = self.values.text_at(ast.unparse(source), frame, at)
                if text is not None:
                    known.append(text)
        value = worded.subject or ""
        if place.occurrence is not None and not is_literal(value):
            at = place.occurrence
            value = self.values.text_at(value, at.event.frame, at.at) or value
        if any(compare(value, text) == CONFIRMED for text in known):
            return CONFIRMED, value
        return self._iterates_here(value, place) if is_literal(value) else UNKNOWN

    def _sources(self) -> Iterator[tuple[int, ast.expr]]:
        """Yields (line, what is gone over) for each `for` loop and comprehension."""
        for line, statement in self.run.statements.items():
            if isinstance(statement, ast.For):
                yield line, statement.iter
            for node in own_nodes(statement):
                if isinstance(node, ast.comprehension):
                    yield line, node.iter

    def _iterates_here(self, value: str, place: Place) -> Verdict:
        """Contradicts a value that the placed loop, over a variable or part, never goes over."""
        here = place.occurrence
        statement = self.run.statement_of(here.event) if here is not None else None
        if here is None or not place.sure or not isinstance(statement, ast.For):
            return UNKNOWN
        if not isinstance(statement.iter, ast.Name | ast.Subscript):
            return UNKNOWN
        code, line = ast.unparse(statement.iter), here.event.line
        starts = [o for o in self.run.by_line.get(line, ()) if o.turns.get(line, 0) <= 1]
        real = [self.values.text_at(code, o.event.frame, o.at - 1) for o in starts]
        if not real or None in real or any(text[:1] != value[:1] for text in real if text):
            return UNKNOWN  # of another type: told loosely
        return CONTRADICTED, real[0]

    def _comprehension_range(self, worded: WordedClaim) -> Verdict:
        """Confirms "`i` takes values from 0 to 5" of the only comprehension that binds it."""
        name = re.match(r"\W*(\w+)", worded.text)
        ends = name and ComprehensionTurns(self.run).first_and_last(name[1])
        if not ends:
            return UNKNOWN
        fits = all(
            compare(told, text) == CONFIRMED
            for told, text in zip((worded.subject or "", worded.value), ends, strict=True)
        )
        return (CONFIRMED if fits else NOT_CHECKABLE), f"from {ends[0]} to {ends[1]}"

    def range(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
        """Judges "`i` goes from 0 to 6": the first and last value of a range."""
        line = here.event.line if here is not None else None
        if line not in self.run.loops:
            line = max(here.turns, default=None) if here is not None and here.turns else None
        if line is None and len(self.run.loops) == 1:
            line = next(iter(self.run.loops))
        statement = self.run.statements.get(line or -1)
        runs = self.run.by_line.get(line or -1)
        if not isinstance(statement, ast.For) or not runs:
            return self._comprehension_range(worded)
        first = here if here is not None and here.event.line == line else runs[0]
        frame, at = first.event.frame, first.at - 1
        told = [dump_expression(x) for x in (worded.subject or "", worded.value)]
        if isinstance(statement.iter, ast.Call) and not is_literal(worded.value):
            given = [dump_node(item) for item in statement.iter.args[:2]]
            if told == given or (len(given) == 1 and told == [dump_expression("0"), *given]):
                meant = _AS_CODE.search(worded.text) and len(statement.iter.args) < 3
                return (CONFIRMED if meant else NOT_CHECKABLE), ast.unparse(statement.iter)
        made = self.values.text_at(f"list({ast.unparse(statement.iter)})", frame, at)
        ends = [self.values.text_at(x, frame, at) for x in (worded.subject or "", worded.value)]
        if made is None or None in ends or not re.match(r"range\(", ast.unparse(statement.iter)):
            return UNKNOWN
        values = re.findall(r"-?\d+", made)
        if not values:
            return UNKNOWN
        truth = f"from {values[0]} to {values[-1]}"
        if ends == [values[0], values[-1]]:
            return CONFIRMED, truth
        beyond = str(int(values[-1]) + (1 if int(values[-1]) >= int(values[0]) else -1))
        counts_down = re.search(r"\bdown to\b", worded.text)
        if ends == [values[0], beyond] and worded.when != "inclusive" and not counts_down:
            return NOT_CHECKABLE, truth  # the bound that is left out
        return CONTRADICTED, truth

    def turns(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
        wanted, run = int(worded.value), self.run
        loops = [loop.iterations for loop in run.trace.loops]
        if worded.subject is not None and here is None:
            wanted_iter = dump_expression(worded.subject)
            lines = {
                line
                for line, node in run.statements.items()
                if isinstance(node, ast.For) and dump_node(node.iter) == wanted_iter
            }
            loops = [x.iterations for x in run.trace.loops if x.line in lines] or loops
        if here is not None:
            return self._turns_at(wanted, worded.when, here)
        if not loops or run.trace.truncated:
            return UNKNOWN
        truth = f"{', '.join(map(str, sorted(set(loops))[:8]))} iterations"
        lines = {loop.line for loop in run.trace.loops}
        sums = {sum(x.iterations for x in run.trace.loops if x.line == line) for line in lines}
        if wanted in loops or wanted in sums:
            return CONFIRMED, truth
        return (CONTRADICTED if len(set(loops)) == 1 else NOT_CHECKABLE), truth

    def named_turns(self, worded: WordedClaim, plain: str, place: Place) -> Verdict | None:
        """Judges "the inner loop runs twice", also of a turn around it; None if none is named."""
        found = _NAMED.search(plain)
        headers = self._named(found["k"].lower()) if found is not None else []
        here = place.occurrence
        if not headers or self.run.trace.truncated:
            return None
        if place.sure and here is not None and here.event.line in headers:
            return None  # the label says which run of it
        totals = [
            first.totals[header][0]
            for header in headers
            for first in self._runs(header)
            if self._is_meant(first, worded, place)
        ]
        truth = f"{', '.join(map(str, totals[:8]))} iterations"
        wanted = int(worded.value)
        if not totals:
            return NOT_CHECKABLE, None
        if set(totals) == {wanted} or (_IN_ALL.search(plain) and sum(totals) == wanted):
            return CONFIRMED, truth
        never = wanted not in totals and wanted != sum(totals) and worded.when != "planned"
        return (CONTRADICTED if never else NOT_CHECKABLE), truth

    def _named(self, name: str) -> list[int]:
        """Returns the loops that "the outer loop", "the second loop" may mean."""
        headers = sorted(self.run.loops)
        inner = [h for h in headers if any(first <= h <= last for o, (first, last)
                 in self.run.loops.items() if o != h)]  # fmt: skip
        outer = [h for h in headers if h not in inner]
        if name in ("inner", "nested", "inside"):
            return inner
        if name == "outer":
            return outer if inner else []
        nth = {"first": 0, "second": 1, "third": 2, "last": -1}[name]
        return outer[nth:][:1] if len(outer) > 1 else []

    def _runs(self, header: int) -> list[Occurrence]:
        """Returns the first header execution of each run of a loop."""
        firsts: dict[int, Occurrence] = {}
        for here in self.run.by_line.get(header, ()):
            firsts.setdefault(id(here.totals.get(header)), here)
        return [here for here in firsts.values() if header in here.totals]

    def _is_meant(self, first: Occurrence, worded: WordedClaim, place: Place) -> bool:
        """Returns whether a run of a loop begins in the turn, and the state, that is told."""
        span = place.window if not place.sure else None
        if span is not None and not span[0] <= first.at <= span[1]:
            return False
        known = [(v, self.run.value(first.event.frame, n, first.at - 1)) for n, v in worded.given]
        return all(text is not None and compare(v, text) == CONFIRMED for v, text in known)

    def _turns_at(self, wanted: int, when: str, here: Occurrence) -> Verdict:
        run, line, frame = self.run, here.event.line, here.event.frame
        if line in run.loops and here.totals.get(line) and not run.trace.truncated:
            total, sofar = here.totals[line][0], here.turns.get(line, 0)
            fits = wanted == total or (when == "so far" and wanted == sofar)
            truth = f"{total} iterations"
            if not fits and when == "planned" and self._announced(line, wanted, here):
                return NOT_CHECKABLE, truth  # "will run 3 times", and is left early
            return (CONFIRMED if fits else CONTRADICTED), truth
        on_line = [x.iterations for x in run.trace.loops if x.line == line and x.frame == frame]
        if on_line:
            truth = f"{', '.join(map(str, on_line[:5]))} iterations"
            return (CONFIRMED if wanted in on_line else CONTRADICTED), truth
        called = len({e.frame for _, e in self.values.inside(here) if e.kind == "call"})
        if called == wanted:
            return CONFIRMED, f"{called} calls"
        return UNKNOWN

    def _announced(self, line: int, wanted: int, here: Occurrence) -> bool:
        """Returns whether the loop would make so many turns if it were not left early."""
        statement = self.run.statements.get(line)
        if not isinstance(statement, ast.For):
            return False
        size = self.values.text_at(
            f"len({ast.unparse(statement.iter)})", here.event.frame, here.at - 1
        )
        return size == str(wanted)
