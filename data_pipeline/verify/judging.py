"""Judges one claim at the place in the run that it is about."""

import ast
import builtins
import dataclasses

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.answer import outcome
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.value_verdicts import (
    MOST_STATES,
    UNKNOWN,
    ValueVerdicts,
    Verdict,
    best_verdict,
    dump_expression,
    dump_node,
)
from data_pipeline.verify.values import compare
from data_pipeline.verify.wording import WordedClaim


@dataclasses.dataclass(frozen=True)
class Place:
    """Holds the place in the run at which a claim is checked.

    occurrence: execution of the labelled line, None for the run as a whole
    sure:       whether the label stands beside the claim; if not, only a value that the variable
                never has is contradicted
    window:     first and last event of the loop turn that the claim is about
    """

    occurrence: Occurrence | None
    sure: bool
    window: tuple[int, int] | None = None


class ClaimJudge:
    """Judges claims about one run."""

    def __init__(self, run: Replay):
        self.run = run
        self.values = ValueVerdicts(run)
        self._cache: dict[tuple[WordedClaim, int, bool, tuple[int, int] | None], Verdict] = {}

    def judge(self, worded: WordedClaim, place: Place) -> Verdict:
        """Returns the verdict and truth of a claim at a place."""
        key = (
            worded,
            -1 if place.occurrence is None else place.occurrence.at,
            place.sure,
            place.window,
        )
        if key not in self._cache:
            self._cache[key] = self._judge(worded, place)
        return self._cache[key]

    def _judge(self, worded: WordedClaim, place: Place) -> Verdict:
        here = place.occurrence
        if place.window is not None and here is not None and worded.kind == "value":
            judged = self.values.within(worded, here.event.frame, place.window)
            if judged is not None:
                return judged
        match worded.kind:
            case "value" if (worded.subject or "").startswith("return "):
                if (
                    here is None
                    and (judged := self._conditional_return_verdict(worded)) is not None
                ):
                    return judged
                return self._return(
                    WordedClaim("return", worded.text, None, worded.value), here, place.sure
                )
            case "branch" if here is None and worded.subject is not None:
                return self._branch_anywhere(worded)
            case "value" if here is not None:
                judged = self.values.value(worded, here)
                if judged[0] == CONTRADICTED and not place.sure:
                    wide = self.values.anywhere(worded)
                    near = judged if worded.subject in self.run.names else wide
                    return near if wide[0] == CONTRADICTED else (NOT_CHECKABLE, judged[1])
                return judged
            case "value":
                return self.values.anywhere(worded)
            case "outcome" if here is not None:
                return self.values.outcome(worded, here, place.sure)
            case "branch" if here is not None:
                return self._branch(worded, here, place.sure)
            case "turn" if here is not None:
                return self._turn(worded, here)
            case "turns":
                return self._turns(worded, here if place.sure else None)
            case "return":
                return self._return(worded, here, place.sure)
            case "yield" if here is not None:
                end = self.run.line_end(here)
                if end is None or end.kind != "yield" or end.value is None:
                    return UNKNOWN
                return best_verdict(worded.value, [(end.value, end.value)])
            case "raise":
                return self._raise(worded, here if place.sure else None)
            case "goes on" if here is not None and place.sure:
                return self._goes_on(here)
            case "goto" if here is not None and place.sure:
                return self._goto(worded, here)
        return UNKNOWN

    # ---- branches and turns

    def _branch(self, worded: WordedClaim, here: Occurrence, sure: bool) -> Verdict:
        claimed = worded.value == "True"
        statement = self.run.statement_of(here.event)
        taken = here.event.branch
        own = worded.subject is None
        if worded.subject is not None:
            test = getattr(statement, "test", None)
            own = test is not None and dump_expression(_strip_keyword(worded.subject)) == dump_node(
                test
            )
            if not own:
                as_value = WordedClaim(
                    "value", worded.text, _strip_keyword(worded.subject), worded.value
                )
                judged = self.values.value(as_value, here)
                if judged[0] == CONTRADICTED:  # "`xs` is true" is about its truth value
                    state = self.run.state(here.event.frame, here.at - 1)
                    try:
                        truth = bool(evaluate(_strip_keyword(worded.subject), state))
                    except Unknown:
                        return NOT_CHECKABLE, judged[1]
                    return (CONFIRMED if truth == claimed else CONTRADICTED), judged[1]
                return judged
        if own and isinstance(statement, ast.Assert) and taken is None:
            inside = self.run.events[here.at + 1 : here.end + 1]
            frame = here.event.frame
            taken = not any(e.kind == "exception" and e.frame == frame for e in inside)
        if not own or taken is None or not sure:
            return UNKNOWN
        truth = f"the condition is {taken}"
        return (CONFIRMED if claimed == taken else CONTRADICTED), truth

    def _branch_anywhere(self, worded: WordedClaim) -> Verdict:
        """Checks a test at an unknown place: whether it ever had this outcome."""
        wanted = dump_expression(_strip_keyword(worded.subject or ""))
        lines = [
            line
            for line, statement in self.run.statements.items()
            if wanted is not None
            and (test := getattr(statement, "test", None)) is not None
            and dump_node(test) == wanted
        ]
        tested = [
            here
            for line in lines
            for here in self.run.by_line.get(line, ())[:MOST_STATES]
            if here.event.branch is not None
        ]
        meant = [here for here in tested if worded.given and self.values.holds(worded.given, here)]
        seen = {here.event.branch for here in meant or tested}
        if not seen:
            return UNKNOWN
        truth = "the condition is " + " and ".join(sorted(map(str, seen)))
        if (worded.value == "True") in seen:
            return CONFIRMED, truth
        return (NOT_CHECKABLE if self.run.trace.truncated else CONTRADICTED), truth

    def _turn(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        turns = here.turns
        if not turns:
            return UNKNOWN
        wanted = int(worded.value)
        for header, turn in turns.items():
            real = turn
            last = here.totals[header][0]
            if turn == (last if wanted == -1 else wanted) and turn > 0:
                return CONFIRMED, f"iteration {real}"
        innermost = max(turns)
        if turns[innermost] == 0:
            total = here.totals[innermost][0]
            fits = wanted == total or (wanted == total + 1 and worded.when == "exit")
            return (CONFIRMED if fits else CONTRADICTED), f"{total} turns"
        return CONTRADICTED, f"iteration {turns[innermost]}"

    def _goes_on(self, here: Occurrence) -> Verdict:
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

    def _turns(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
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
            line, frame = here.event.line, here.event.frame
            if line in run.loops and here.totals.get(line):
                total = here.totals[line][0]
                if not run.trace.truncated:
                    sofar = here.turns.get(line, 0)
                    fits = wanted == total or (worded.when == "so far" and wanted == sofar)
                    return (CONFIRMED if fits else CONTRADICTED), f"{total} iterations"
            on_line = [x.iterations for x in run.trace.loops if x.line == line and x.frame == frame]
            if on_line:
                truth = f"{', '.join(map(str, on_line[:5]))} iterations"
                return (CONFIRMED if wanted in on_line else CONTRADICTED), truth
            called = len({e.frame for _, e in self.values.inside(here) if e.kind == "call"})
            if called == wanted:
                return CONFIRMED, f"{called} calls"
            return UNKNOWN
        if not loops or run.trace.truncated:
            return UNKNOWN
        truth = f"{', '.join(map(str, sorted(set(loops))[:8]))} iterations"
        if wanted in loops or wanted == sum(loops):
            return CONFIRMED, truth
        return (CONTRADICTED if len(set(loops)) == 1 else NOT_CHECKABLE), truth

    # ---- ends

    def _return(self, worded: WordedClaim, here: Occurrence | None, sure: bool) -> Verdict:
        run, inside = self.run, self.values.inside
        name = worded.subject
        if name is not None and not (name.isidentifier() and name in run.functions):
            if here is None:
                return self.values.anywhere(WordedClaim("value", worded.text, name, worded.value))
            return self.values.expression(
                WordedClaim("value", worded.text, name, worded.value), here
            )
        if name is not None:
            frames = run.calls_of(name)
            results = [text for f in frames[:500] if (text := run.frame_result(f)) is not None]
            near = results
            if here is not None and sure:
                called = {e.frame for _, e in inside(here) if e.kind == "call"}
                own = here.event.frame
                wanted = {f for f in frames if f in called} or ({own} & set(frames))
                near = [text for f in wanted if (text := run.frame_result(f)) is not None]
            if not near:
                return UNKNOWN
            judged = best_verdict(worded.value, [(text, text) for text in near])
            return judged if sure or judged[0] == CONFIRMED else (
                judged if all(compare(worded.value, r) == CONTRADICTED for r in results)
                else (NOT_CHECKABLE, judged[1])
            )  # fmt: skip
        if here is not None:
            statement = run.statement_of(here.event)
            end = run.line_end(here)
            if isinstance(statement, ast.Return) and end is not None and end.value is not None:
                judged = best_verdict(worded.value, [(end.value, end.value)])
                if judged[0] != CONTRADICTED or sure:
                    return judged
            elif here.event.frame != 0 or any(
                e.kind == "call" for _, e in self.values.inside(here)
            ):
                results = [
                    e.value
                    for _, e in self.values.inside(here)
                    if e.kind in ("return", "yield") and e.value is not None
                ]
                if (own := run.frame_result(here.event.frame)) is not None:
                    results.append(own)
                results += [run.trace.result] if run.trace.result is not None else []
                if any(compare(worded.value, text) == CONFIRMED for text in results):
                    return CONFIRMED, worded.value
                return UNKNOWN
            elif end is not None and end.kind == "yield":
                return UNKNOWN
        if run.trace.result is None:
            return CONTRADICTED, outcome(run.trace)
        verdict = compare(worded.value, run.trace.result)
        if verdict == CONTRADICTED and here is not None and not sure:
            return NOT_CHECKABLE, run.trace.result
        if verdict == CONTRADICTED and here is not None:
            # "len returns 3" on a line that is not a return statement
            return NOT_CHECKABLE, run.trace.result
        return verdict, run.trace.result

    def _conditional_return_verdict(self, worded: WordedClaim) -> Verdict | None:
        """Contradicts a return with conditions if no such return ran with these values.

        Example: "`return x` gives 3, with `y` = 2".
        """
        code = dump_expression((worded.subject or "").removeprefix("return "))
        ran = [
            here
            for line, node in self.run.statements.items()
            if isinstance(node, ast.Return)
            and node.value
            and dump_node(node.value) == dump_expression(code)
            for here in self.run.by_line.get(line, ())[:MOST_STATES]
        ]
        if (
            not worded.given
            or not ran
            or any(self.values.holds(worded.given, here) for here in ran)
        ):
            return None
        state = self.run.state(ran[-1].event.frame, ran[-1].at - 1)
        truth = ", ".join(f"{name}={state.get(name)}" for name, _ in worded.given)
        return CONTRADICTED, truth

    def _raise(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
        run = self.run
        types = {e.raised.type for e in run.events if e.kind == "exception" and e.raised}
        if run.trace.raised is not None:
            types.add(run.trace.raised.type)
        truth = ", ".join(sorted(types)) or "no exception"
        if not worded.value:
            return (CONTRADICTED if run.trace.raised else CONFIRMED), truth
        if here is not None:
            local = {
                e.raised.type
                for e in run.events[here.at : here.end + 1]
                if e.kind == "exception" and e.raised
            }
            if any(_is_a(raised, worded.value) for raised in local):
                return CONFIRMED, worded.value
            if local:
                return CONTRADICTED, ", ".join(sorted(local))
        if any(_is_a(raised, worded.value) for raised in types):
            return CONFIRMED, truth
        return (CONTRADICTED if not run.trace.truncated else NOT_CHECKABLE), truth

    def _goto(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        line = self.run.starts.get(int(worded.value) - FIRST_LABEL + 1)
        if line is None:
            return UNKNOWN
        own_next = self.run.events[here.end] if here.end < len(self.run.events) else None
        following = [
            e.line for e in self.run.events[here.at + 1 : here.at + 4000] if e.kind == "line"
        ]
        if not following:
            return UNKNOWN
        truth = f"[L{following[0] + FIRST_LABEL - 1}] runs next"
        if following[0] == line or (own_next is not None and own_next.line == line):
            return CONFIRMED, truth
        later = [o for o in self.run.by_line.get(line, ()) if o.at > here.at]
        first = ast.unparse(self.run.statements[line])[:4] if line in self.run.statements else ""
        if later or first in ("try:", "def ", "with") or self.run.trace.truncated:
            return NOT_CHECKABLE, truth
        return CONTRADICTED, truth


def _is_a(raised: str, named: str) -> bool:
    """Returns whether a builtin exception is the named one or a subclass of it."""
    if raised == named:
        return True
    types = (getattr(builtins, raised, None), getattr(builtins, named, None))
    return all(isinstance(t, type) for t in types) and issubclass(*types)


def _strip_keyword(expression: str) -> str:
    """Strips the keyword: "if x > 2:" becomes "x > 2"."""
    text = expression.strip().removesuffix(":")
    for word in ("if ", "elif ", "while "):
        text = text.removeprefix(word)
    return text
