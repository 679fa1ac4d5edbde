"""Judges one claim at the place in the run that it is about."""

import ast
import dataclasses
import re

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.code_verdicts import CodeVerdicts
from data_pipeline.verify.comprehensions import ComprehensionTurns
from data_pipeline.verify.ends import EndVerdicts
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.given_verdicts import GivenVerdicts
from data_pipeline.verify.hints import HintVerdicts
from data_pipeline.verify.loop_verdicts import LoopVerdicts
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.nouns import Noun
from data_pipeline.verify.operands import OperandVerdicts
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.step_verdicts import StepVerdicts
from data_pipeline.verify.taken_verdicts import TakenVerdicts
from data_pipeline.verify.turns import body_window
from data_pipeline.verify.value_verdicts import (
    MOST_STATES,
    UNKNOWN,
    ValueVerdicts,
    Verdict,
    dump_expression,
    dump_node,
)

_BRANCH = re.compile(r"\b(?:if|branch|block|body)\b(?! of the (?:loop|function))", re.I)
_GIVES = re.compile(r"(?:which |that )?(?:gives|yields|produces)\b", re.I)


class ClaimJudge:
    """Judges claims about one run."""

    def __init__(self, run: Replay):
        self.run = run
        self.values = ValueVerdicts(run)
        self.ends = EndVerdicts(run, self.values)
        self.loops = LoopVerdicts(run, self.values)
        self.code = CodeVerdicts(run, self.values)
        self.hints = HintVerdicts(run, self.values)
        self.taken = TakenVerdicts(run, self.values)
        self.comprehensions = ComprehensionTurns(run)
        self.given = GivenVerdicts(run, self.values)
        self.operands = OperandVerdicts(run, self.values.pools)
        self.steps = StepVerdicts(run, self.values, self.body_of)
        self._cache: dict[tuple, Verdict] = {}
        loops = [n.target for n in run.nodes if isinstance(n, ast.comprehension)]
        self.comprehended = {
            node.id for loop in loops for node in ast.walk(loop) if isinstance(node, ast.Name)
        }

    def judge(self, worded: WordedClaim, place: Place) -> Verdict:
        """Returns the verdict and truth of a claim at a place."""
        at = -1 if place.occurrence is None else place.occurrence.at
        key = (worded, at, place.sure, place.window)
        if key not in self._cache:
            self._cache[key] = self._judge(worded, place)
        return self._cache[key]

    def _judge(self, worded: WordedClaim, place: Place) -> Verdict:
        here = place.occurrence
        if worded.given and (judged := self.given.judge(worded, place)) is not None:
            return judged
        match worded.kind:
            case "sets":
                return self.steps.sets(worded, place)
            case "given back":
                return self.ends.given_back(worded, here, place.sure)
            case "gives":
                return self._moved(dataclasses.replace(worded, kind="put"), place)
            case "kept":
                return self.steps.kept(worded, place)
            case "grows":
                return self.steps.grows(worded, place)
            case "value" if (worded.subject or "").startswith("return "):
                return self._return_value(worded, here, place.sure)
            case "value":
                return self._value(worded, place)
            case "branch":
                judged = self._branch(worded, place)
                if judged[0] == CONTRADICTED and worded.when == "hint":
                    return NOT_CHECKABLE, judged[1]
                return judged
            case "test":
                return self._test(worded, place)
            case "equal":
                return self._equal(worded, place)
            case "bound":
                return self._bound(worded, place)
            case "filled":
                return self.taken.filled(worded, place)
            case "absent":
                return self.taken.absent(worded, place)
            case "call made":
                judged = self.taken.call_made(worded, place)
                code = dataclasses.replace(worded, kind="code", subject=worded.value)
                return judged if judged != UNKNOWN else self.code.contains(code, place)
            case "put" | "taken":
                return self._moved(worded, place)
            case "refer" | "refer test" | "outcome" | "same" | "called":
                return self.hints.judge(worded, place)
            case "entered":
                return self._entered(worded, place)
            case "turn" if here is not None:
                return self.loops.turn(worded, here)
            case "turns":
                return self.loops.turns(worded, here if place.sure else None)
            case "code":
                return self.code.contains(worded, place)
            case "tested":
                return self.code.tested(place)
            case "iterates":
                return self.loops.iterates(worded, place)
            case "missing":
                return self.code.missing(worded, *self._points(place))
            case "not returned":
                return self.ends.not_returned(worded, here)
            case "endless" if not self.run.trace.truncated:
                return CONTRADICTED, "the run ends"
            case "range":
                return self.loops.range(worded, here)
            case "ended":
                sure = place.sure or place.window is not None
                return self.loops.ended(worded, here if sure else None, place.window)
            case "goes on" if here is not None and place.sure:
                return self.loops.goes_on(here)
            case "return":
                return self.ends.returned(worded, here, place.sure)
            case "yield" if here is not None:
                return self.ends.yielded(worded, here)
            case "raise":
                return self.ends.raised(worded, here if place.sure else None)
            case "goto" if here is None or not place.sure:
                return self.ends.goes_somewhere(worded)
            case "goto" if here is not None:
                return self.ends.goto(worded, here)
        return UNKNOWN

    # ---- values and tests

    def _moved(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "appends V" here, or in the body that this header leads to."""
        here = place.occurrence
        if here is not None and parse_code(worded.value) and not is_literal(worded.value):
            text = self.values.text_at(worded.value, here.event.frame, here.at - 1)
            if text is None:
                return UNKNOWN
            worded = dataclasses.replace(worded, value=text)
        judged = self.hints.judge(worded, place)
        if judged[0] == CONFIRMED or here is None or not place.sure:
            return judged
        if (body := self.body_of(here)) is None:
            return judged
        inside = self.hints.judge(worded, Place(here, False, body, here.event.frame))
        return inside if inside[0] == CONFIRMED else judged

    def _value(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges a value of the first subject that the run knows."""
        judged = self._value_of(worded, place)
        here = place.occurrence if place.sure else None
        gives = judged[0] == CONTRADICTED and here is not None and _GIVES.match(worded.text)
        if gives and here is not None and self.values.is_part(worded.value, here):
            return CONFIRMED, worded.value  # what the line computes, not its last variable
        if judged[0] == CONFIRMED and self._is_of_another_place(worded, place):
            others = self.operands.others(worded.subject or "", place)
            return (CONTRADICTED, others) if others else (NOT_CHECKABLE, judged[1])
        if judged[0] != CONFIRMED and worded.subject in self.comprehended:
            inside = self.taken.in_comprehension(worded, place)
            return inside if inside[0] == CONFIRMED else (NOT_CHECKABLE, judged[1])
        for other in worded.others:
            if judged[0] == CONFIRMED:
                break
            one = self._value_of(dataclasses.replace(worded, subject=other, others=()), place)
            if one[0] == CONFIRMED or judged == UNKNOWN:
                judged = one
        return judged

    def _is_of_another_place(self, worded: WordedClaim, place: Place) -> bool:
        """Returns whether a true value stands under the wrong label or has other operands there."""
        if self.operands.is_elsewhere(worded, place):
            return True
        return not self.operands.fit(worded.subject or "", place)

    def _value_of(self, worded: WordedClaim, place: Place) -> Verdict:
        here = place.occurrence
        if worded.when == "start":
            judged = self._at_start(worded)
            if judged != UNKNOWN or here is None:
                return judged  # else a variable that an argument is told by
        if place.window is not None and not place.sure:
            judged = self.values.within(worded, place.frame, place.window)
            if judged is not None:
                return judged
        if here is None:
            return self.values.anywhere(worded)
        judged = self.values.value(worded, here)
        if judged == UNKNOWN and place.sure and worded.subject not in self.values.attributes:
            wide = self.values.anywhere(worded)
            return wide if wide[0] == CONTRADICTED else judged  # has it nowhere in the run
        if judged[0] != CONTRADICTED:
            return judged
        if not place.sure:
            wide = self.values.anywhere(worded)
            if wide[0] == CONTRADICTED:
                return judged
            return NOT_CHECKABLE, judged[1]
        if self.values.binds(here.event, worded.subject or ""):
            return judged  # each turn has its own value
        if (body := self.body_of(here)) is not None and worded.when not in ("before", "here"):
            inside = self.values.within(worded, here.event.frame, body)
            if inside is not None and inside[0] == CONFIRMED:
                return inside
        return judged

    def _bound(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "the second word is V": what a loop takes up, else the element at an index."""
        judged = self.taken.bound(worded, place)
        if judged[0] != NOT_CHECKABLE or not (worded.subject or "").lstrip("-").isdigit():
            return judged
        nth = int(worded.subject or "")
        noun = Noun((), f"at {nth - 1 if nth > 0 else nth}")
        refers = dataclasses.replace(worded, kind="refer", subject=None, noun=noun)
        held = self.hints.judge(refers, place)
        return held if held[0] == CONFIRMED else judged

    def _at_start(self, worded: WordedClaim) -> Verdict:
        """Judges an argument of the call; any call of the run may be meant."""
        texts = [e.event.changed.get(worded.subject or "") for e in self.run.entries]
        real = [(text, f"{worded.subject}={text}") for text in texts if text is not None]
        from data_pipeline.verify.value_verdicts import best_verdict

        return best_verdict(worded.value, real[:MOST_STATES]) if real else UNKNOWN

    def body_of(self, here: Occurrence) -> tuple[int, int] | None:
        """Returns the part of the run in which a header's body runs: its effects are told there."""
        return body_window(self.run, here)

    def _points(self, place: Place) -> tuple[int, list[int]]:
        """Returns the frame and events whose states a test may be about."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            return place.frame, self.values.points(place.frame, place.window)
        if here is not None:
            return here.event.frame, [here.at - 1, here.at, here.end - 1]
        return 0, self.values.points(0, (0, len(self.run.events)))

    def _decides(self, expression: str, claimed: bool, place: Place) -> bool:
        """Returns whether a test of a turn comes out as told where the program tests its variables.

        A turn may change them behind its own test: "'a' is not in `seen`" is told of that test.
        """
        if place.window is None or place.sure:
            return True
        names = self._names_in(expression)
        kinds = ast.If | ast.While
        outcomes = set()
        for here in self._tests_in(place.window, place.frame, kinds) if names else ():
            test = getattr(self.run.statement_of(here.event), "test", None)
            if test is None or not names & self._names_in(ast.unparse(test)):
                continue
            one = self.values.test(expression, True, place.frame, [here.at - 1])
            if one is not None:
                outcomes.add(one[0] == CONFIRMED)
        return not outcomes or claimed in outcomes

    @staticmethod
    def _names_in(expression: str) -> set[str]:
        code = parse_code(expression)
        return {n.id for n in ast.walk(code) if isinstance(n, ast.Name)} if code else set()

    def _test(self, worded: WordedClaim, place: Place) -> Verdict:
        judged = self._tested(worded, place)
        if judged[0] == CONFIRMED and not any(
            self._decides(one, worded.value == "True", place)
            for one in (worded.subject or "", *worded.others)
        ):
            return NOT_CHECKABLE, judged[1]
        return judged

    def _tested(self, worded: WordedClaim, place: Place) -> Verdict:
        frame, points = self._points(place)
        judged: Verdict = UNKNOWN
        for expression in (worded.subject or "", *worded.others):
            one = self.values.test(expression, worded.value == "True", frame, points)
            if one is not None and (judged == UNKNOWN or one[0] == CONFIRMED):
                judged = one
        if judged[0] == CONFIRMED and self._is_denied_value(worded, place, frame, points):
            return NOT_CHECKABLE, judged[1]
        if judged[0] == CONTRADICTED and worded.when == "hint":
            return NOT_CHECKABLE, judged[1]
        if judged[0] == CONTRADICTED and place.occurrence is not None and not place.sure:
            wide = self.values.points(frame, (0, len(self.run.events)))
            holds = worded.value == "True"
            one = self.values.test(worded.subject or "", holds, frame, wide)
            if place.window is None and one is not None and one[0] == CONFIRMED:
                return NOT_CHECKABLE, judged[1]
            if place.window is None and one is not None:
                return one
        return judged

    def _is_denied_value(
        self, worded: WordedClaim, place: Place, frame: int, points: list[int]
    ) -> bool:
        """Returns whether "x is not 3" is told where `x` is 3 before the line, or at no place."""
        code = parse_code(worded.subject or "")
        if worded.value != "False" or not isinstance(code, ast.Compare):
            return False
        if not isinstance(code.ops[0], ast.Eq) or not is_literal(ast.unparse(code.comparators[0])):
            return False
        if place.window is not None and not place.sure:
            header, name = self.run.events[place.window[0]], code.left
            bound = isinstance(name, ast.Name) and self.values.binds(header, name.id)
            points = points[1:2] if isinstance(code.left, ast.Call) or bound else []
        elif place.sure:
            points = points[:1]
        judged = self.values.test(worded.subject or "", True, frame, points)
        return judged is not None and judged[0] == CONFIRMED

    def _equal(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "x is `y`": never contradicted, since it may mean another kind of being."""
        if self.operands.is_elsewhere(worded, place):
            return UNKNOWN
        frame, points = self._points(place)
        first = self.values.text_at(worded.value, frame, points[0])
        if first is not None and any(
            self.values.text_at(worded.subject or "", frame, at) == first for at in points[1:]
        ):
            return CONFIRMED, first  # `x` is updated to `x + 1`
        test = f"({worded.subject}) == ({worded.value})"
        judged = self.values.test(test, True, frame, points)
        return judged if judged is not None and judged[0] == CONFIRMED else UNKNOWN

    # ---- branches

    def _branch(self, worded: WordedClaim, place: Place) -> Verdict:
        here = place.occurrence
        if (constant := _constant_truth(worded.subject)) is not None:
            verdict = CONFIRMED if str(constant) == worded.value else CONTRADICTED
            return verdict, f"{worded.subject} is {constant}"
        if worded.subject is not None:
            if here is None and place.window is None:
                return self._branch_anywhere(worded)
            return self._branch_of(worded, place)
        if place.window is not None and not place.sure:
            return self._tests_within(worded.value == "True", place.window, place.frame)
        if here is None:
            return UNKNOWN
        if isinstance(self.run.statement_of(here.event), ast.FunctionDef):
            if place.sure:
                return CONTRADICTED, "this line is the function's header; it has no condition"
            return UNKNOWN
        return self._own_branch(worded.value == "True", here, place.sure)

    def _own_branch(self, claimed: bool, here: Occurrence, sure: bool) -> Verdict:
        taken = here.event.branch
        statement = self.run.statement_of(here.event)
        if isinstance(statement, ast.Assert) and taken is None:
            inside = self.run.events[here.at + 1 : here.end + 1]
            frame = here.event.frame
            taken = not any(e.kind == "exception" and e.frame == frame for e in inside)
        if taken is None:
            judged = self._part_truth(claimed, here)
            return judged if judged != UNKNOWN else self.last_test(claimed, here)
        truth = f"the condition is {taken}"
        if claimed == taken:
            return CONFIRMED, truth
        if self._part_truth(claimed, here)[0] == CONFIRMED or not sure:
            return NOT_CHECKABLE, truth  # a part of the condition
        return CONTRADICTED, truth

    def last_test(self, claimed: bool, here: Occurrence) -> Verdict:
        """Confirms "since the condition is True" on the line that the condition led to."""
        for other in reversed(self.run.occurrences):
            if other.at < here.at and other.event.frame == here.event.frame:
                statement = self.run.statements.get(other.event.line)
                if isinstance(statement, ast.If | ast.While) and other.event.branch is not None:
                    same = other.event.branch == claimed
                    return (CONFIRMED, f"the condition is {claimed}") if same else UNKNOWN
        return UNKNOWN

    def _part_truth(self, claimed: bool, here: Occurrence) -> Verdict:
        """Judges the truth of a part of a line's expression."""
        pool = self.values.pools.results(here)
        own = getattr(self.run.statement_of(here.event), "test", None)
        simple = isinstance(own, ast.Compare | ast.Name | ast.Call | ast.Attribute | ast.Subscript)
        if simple and here.event.branch is not None:
            return UNKNOWN
        return (CONFIRMED, str(claimed)) if str(claimed) in pool.texts else UNKNOWN

    def _branch_of(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "`x > 2` is False": of the line's own test, else as the value of code."""
        here = place.occurrence
        subject = strip_keyword(worded.subject or "")
        claimed = worded.value == "True"
        if here is not None and (place.sure or place.window is None):
            test = getattr(self.run.statement_of(here.event), "test", None)
            if test is not None and dump_expression(subject) == dump_node(test):
                judged = self._own_branch(claimed, here, place.sure)
                if judged != UNKNOWN:
                    return judged
        frame, points = self._points(place)
        if here is not None and place.sure and place.window is None:
            points = [here.at - 1, here.at, here.end - 1]
        judged_test = self.values.test(subject, claimed, frame, points)
        if judged_test is not None:
            if judged_test[0] == CONFIRMED and not self._decides(subject, claimed, place):
                return NOT_CHECKABLE, judged_test[1]
            if judged_test[0] == CONTRADICTED and not place.sure and place.window is None:
                return self._never_so(worded, subject, judged_test[1])
            return judged_test
        return UNKNOWN

    def _never_so(self, worded: WordedClaim, subject: str, truth: str | None) -> Verdict:
        """Contradicts an outcome that code has at no state of the whole run."""
        if worded.when == "hint" or not self._names_in(subject):
            return NOT_CHECKABLE, truth
        claim = WordedClaim("value", worded.text, subject, worded.value)
        return self.values.anywhere(claim)

    def _tests_within(self, claimed: bool, window: tuple[int, int], frame: int) -> Verdict:
        """Judges "the condition holds" for the tests of one turn."""
        tests = self._tests_in(window, frame, ast.If | ast.While)
        if not tests:
            return UNKNOWN
        if any(here.event.branch == claimed for here in tests):
            return CONFIRMED, f"the condition is {claimed}"
        if any(self._part_truth(claimed, here)[0] == CONFIRMED for here in tests):
            return UNKNOWN
        return CONTRADICTED, f"the condition is {not claimed}"

    def _tests_in(self, window: tuple[int, int], frame: int, kinds) -> list[Occurrence]:
        return [
            here
            for here in self.run.occurrences
            if window[0] <= here.at <= window[1]
            and here.event.frame == frame
            and here.event.branch is not None
            and isinstance(self.run.statement_of(here.event), kinds)
        ]

    def _entered_within(self, worded: WordedClaim, window: tuple[int, int], frame: int) -> Verdict:
        """Judges "the branch is taken" of one turn: by its `if`s, where no loop is spoken of."""
        of_loop = re.search(r"\b(?:loop|while|for)\b", worded.text)
        spoken = ast.While | ast.For if of_loop else ast.If
        found = {here.event.branch for here in self._tests_in(window, frame, spoken)}
        truth = "the condition is " + " and ".join(sorted(map(str, found)))
        if found == {worded.value == "True"}:
            return CONFIRMED, truth
        sure = len(found) == 1 and spoken is ast.If and _BRANCH.search(worded.text)
        return (CONTRADICTED, truth) if sure else (NOT_CHECKABLE, truth if found else None)

    def _entered(self, worded: WordedClaim, place: Place) -> Verdict:
        here, claimed = place.occurrence, worded.value == "True"
        if worded.subject is not None:
            judged = self.code.never_runs(worded.subject, claimed)
            if judged != UNKNOWN:
                return judged
        if place.window is not None and not place.sure:
            return self._entered_within(worded, place.window, place.frame)
        if here is None:
            return UNKNOWN
        statement = self.run.statement_of(here.event)
        if here.event.branch is not None and isinstance(statement, ast.If | ast.While | ast.For):
            judged = self._own_branch(claimed, here, place.sure)
            if judged[0] == CONTRADICTED and isinstance(statement, ast.For | ast.While):
                return NOT_CHECKABLE, judged[1]
            return judged
        return UNKNOWN

    def _branch_anywhere(self, worded: WordedClaim) -> Verdict:
        """Checks a test at an unknown place: whether it ever had this outcome."""
        wanted = dump_expression(strip_keyword(worded.subject or ""))
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
            claim = WordedClaim("value", worded.text, strip_keyword(worded.subject or ""),
                                worded.value)  # fmt: skip
            return self.values.anywhere(claim)
        truth = "the condition is " + " and ".join(sorted(map(str, seen)))
        if (worded.value == "True") in seen:
            return (CONFIRMED if len(seen) == 1 else NOT_CHECKABLE), truth
        return (NOT_CHECKABLE if self.run.trace.truncated else CONTRADICTED), truth

    def _return_value(self, worded: WordedClaim, here: Occurrence | None, sure: bool) -> Verdict:
        if here is None and (judged := self.ends.conditional_return(worded)) is not None:
            return judged
        claim = WordedClaim("return", worded.text, None, worded.value)
        return self.ends.returned(claim, here, sure)


def _constant_truth(subject: str | None) -> bool | None:
    """Returns the truth of a comparison of plain values, such as "1 + 1 == 4"."""
    code = parse_code(strip_keyword(subject or ""))
    if not isinstance(code, ast.Compare | ast.BoolOp):
        return None
    try:
        return bool(evaluate_node(code, None))
    except Unknown:
        return None


def strip_keyword(expression: str) -> str:
    """Strips the keyword: "if x > 2:" becomes "x > 2"."""
    text = expression.strip().removesuffix(":")
    for word in ("if ", "elif ", "while "):
        text = text.removeprefix(word)
    return text
