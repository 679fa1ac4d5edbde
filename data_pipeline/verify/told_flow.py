"""Judges where a step says that the run goes: into an `else`, into a loop, not to a line."""

import ast
import dataclasses
import re
from collections.abc import Iterator

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.code_verdicts import CodeVerdicts
from data_pipeline.verify.flow_wording import UNREACHED
from data_pipeline.verify.lexicon import lemma_of
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.turns import turn_end
from data_pipeline.verify.value_verdicts import Verdict

_WE = r"(?:so |and |thus |therefore )*(?:the (?:function|program|code|execution|loop) |it |we )?"
_ELSE = re.compile(
    rf"{_WE}(?:then )?(?:proceeds?|goes?|moves?|jumps?|falls?|continues?|enters?|executes?)"
    r"(?: on)?(?: to| into| in| with)?(?: the)? `?else`?(?: (?:block|branch|clause|part))?\W*",
    re.I,
)
_LOOP = re.compile(rf"{_WE}(?:then )?enters? (?:the|a|this) `?(?P<k>for|while)`? loop\W*", re.I)
_NOT_RUN = re.compile(
    rf"{_WE}(?:the )?(?:`?(?P<c>\w+)(?:\(\))?`? (?:method|function|statement|call)|"
    r"`?(?P<k>[\w.]+\([^`]*\))`?) (?:is|was) "
    r"(?:therefore |thus )?not (?:executed|called|reached|invoked|run)\W*",
    re.I,
)
_HANDLER = re.compile(
    rf"{_WE}(?:the )?`?except(?: (?P<e>\w+))?:?`? (?:block|clause|handler|branch) (?:is|gets) "
    r"(?:then |thus )?(?:triggered|executed|entered|reached|run)\b.*", re.I | re.S
)  # fmt: skip
_BREAKS = re.compile(
    rf"{_WE}(?:the )?(?:(?:inner|outer|`?while`?|`?for`?) )?(?:loop )?(?:then |therefore )?"
    r"(?P<no>does not |doesn't |is not )?(?:breaks?|broken)(?: out(?: of (?:the|this) "
    r"(?:\w+ )?loop)?)?(?: here| at once| early)?\W*",
    re.I,
)
_ELSE_RUNS = re.compile(
    rf"{_WE}(?:the |its |that )?`?else`? (?:block|branch|clause|part|body)(?: of the loop)? "
    r"(?P<no>does not |doesn't |is not |is never |never )?"
    r"(?:runs?|executes?|executed|is (?:executed|entered|run))(?: then| too| at once)?\W*",
    re.I,
)
_NOT_DONE = re.compile(
    rf"{_WE}(?:(?:the|this|that|it|no) )?(?:[\w-]+ )??(?:\w+|`[^`]+`|'[^']*'|\"[^\"]*\") "
    r"(?:is|are|was|were) (?:therefore |thus |also |still )?not (?P<v>[a-z]+ed)"
    r"(?: (?:from|to|in|into) [^,;]*)?\W*",
    re.I,
)
_HAPPENS = r"(?: (?:happens|occurs|takes place|is (?:made|done|needed|executed|reached)))"
_NO_STEP = re.compile(
    rf"{_WE}(?:there is )?no `?(?P<x>[a-z]+)`?{_HAPPENS}?(?: (?:here|yet|this time|then))?\W*", re.I
)
_A_STEP = re.compile(rf"{_WE}(?:an?|the) `?(?P<x>[a-z]+)`?{_HAPPENS}(?: here| then)?\W*", re.I)
_STEPS = {"break": ast.Break, "continue": ast.Continue, "return": ast.Return}
_LINK = re.compile(rf"^(?:so|and|thus|therefore|hence|but|{_WE.removesuffix('?')})[ ,]*", re.I)
_WORD = re.compile(r"\w")
_KINDS = {"for": ast.For, "while": ast.While}


class ToldFlow:
    """Judges what the steps of one monologue say of the way of the run."""

    def __init__(self, run: Replay, code: CodeVerdicts):
        self.run, self.code = run, code

    def judged(self, claim: Claim, place: Place, held_over: bool = False) -> Claim:
        """Returns a claim that nothing else could check with the verdict of the way it tells.

        held_over: whether prose may have gone on from the turn of the place
        """
        if claim.verdict != NOT_CHECKABLE:
            return claim
        found = self._judge(claim.text, place)
        if found is None or (held_over and found[0] == CONTRADICTED):
            return claim
        return dataclasses.replace(claim, kind="branch", verdict=found[0], truth=found[1])

    def _judge(self, text: str, place: Place) -> Verdict | None:
        if _ELSE.fullmatch(text):
            return self._else(place)
        if told := _LOOP.fullmatch(text):
            return self._loop(_KINDS[told["k"].lower()])
        if told := _NOT_RUN.fullmatch(text):
            return self._not_run(told["c"] or told["k"], place)
        if told := _BREAKS.fullmatch(text):
            return self._breaks(not told["no"], place)
        if told := _ELSE_RUNS.fullmatch(text):
            return self._else_runs(not told["no"], place)
        if told := _NOT_DONE.fullmatch(text):
            return self._not_done(lemma_of(told["v"].lower()), place)
        if told := _HANDLER.fullmatch(text):
            return self._handler(told["e"])
        if (told := _NO_STEP.fullmatch(text)) or (told := _A_STEP.fullmatch(text)):
            return self._step(told["x"].lower(), told.re is _A_STEP, place)
        text = f"so {text}"  # a label that opens a line is the line's own
        if told := UNREACHED.search(text):
            alone = _LINK.sub("", text[: told.start()]) + text[told.end() :]
            return None if _WORD.search(alone) else self._unreached(told["l"] or told["l2"], place)
        return None

    def _step(self, word: str, claimed: bool, place: Place) -> Verdict | None:
        """Judges "no break", "no swap happens" of a turn: whether it runs the statement for it."""
        if place.window is None or place.sure or self.run.trace.truncated:
            return None
        if (kind := _STEPS.get(word)) is not None:
            doing = {id(n) for n in self.run.nodes if isinstance(n, kind)}
        else:
            verb = lemma_of(word) or word
            doing = {id(one.statement) for one in code_of(self.run).actions if verb in one.verbs}
        if not doing or (kind is None and len(doing) > 1):
            return None
        first, last = place.window
        ran = any(
            id(self.run.statement_of(one.event)) in doing
            for one in self.run.occurrences if first <= one.at <= last
        )  # fmt: skip
        return (CONFIRMED if ran == claimed else CONTRADICTED), f"{word}: {ran}"

    def _unreached(self, label: str, place: Place) -> Verdict | None:
        """Judges "L10 is not reached": in the turn, behind the cited line, or in the whole run."""
        line = self.run.starts.get(int(label[1:]) - FIRST_LABEL + 1)
        if line is None or self.run.trace.truncated:
            return None
        here, runs = place.occurrence, self.run.by_line.get(line, ())
        if not runs:
            return CONFIRMED, f"{label} never runs"
        if place.window is not None and not place.sure:
            first, last = place.window
            frame = place.frame
        elif here is not None and place.sure:
            first, last, frame = here.at + 1, turn_end(self.run, here), here.event.frame
        else:
            return None
        ran = any(first <= one.at <= last and one.event.frame == frame for one in runs)
        if ran and not place.sure:
            return None  # it may not run for the element that is spoken of
        return (CONTRADICTED if ran else CONFIRMED), f"{label} runs: {ran}"

    def _not_done(self, verb: str | None, place: Place) -> Verdict | None:
        """Contradicts "the character is not removed" where the one statement that does so runs."""
        actions = code_of(self.run).actions
        doing = {id(one.statement): one.statement for one in actions if verb in one.verbs}
        if len(doing) != 1:
            return None
        (statement,) = doing.values()
        here = place.occurrence
        ran: Occurrence | None = None
        if here is not None and place.sure:
            ran = here if self.run.statement_of(here.event) is statement else None
        elif place.window is not None:
            first, last = place.window
            runs = self.run.by_line.get(statement.lineno, ())
            ran = next((one for one in runs if first <= one.at <= last), None)
            if ran is None and not self.run.trace.truncated:
                return CONFIRMED, f"[L{statement.lineno + FIRST_LABEL - 1}] does not run"
        if ran is None:
            return None
        return CONTRADICTED, f"[L{ran.event.line + FIRST_LABEL - 1}] runs"

    def _breaks(self, claimed: bool, place: Place) -> Verdict | None:
        """Judges "the loop breaks" of a turn by whether a `break` runs in it."""
        if place.window is None or place.sure or self.run.trace.truncated:
            return None
        first, last = place.window
        ran = any(
            isinstance(self.run.statement_of(one.event), ast.Break)
            for one in self.run.occurrences if first <= one.at <= last
        )  # fmt: skip
        return (CONFIRMED if ran == claimed else CONTRADICTED), f"a `break` runs: {ran}"

    def _else_runs(self, claimed: bool, place: Place) -> Verdict | None:
        """Judges "the `else` block runs" where the program has one alone."""
        blocks = [
            block for node in self.run.nodes
            if (block := getattr(node, "orelse", None)) and isinstance(block, list)
            and not (isinstance(node, ast.If) and isinstance(block[0], ast.If))
        ]  # fmt: skip
        if len(blocks) != 1 or self.run.trace.truncated:
            return None
        runs = self.run.by_line.get(blocks[0][0].lineno, ())
        if place.window is not None and not place.sure:
            first, last = place.window
            runs = [one for one in runs if first <= one.at <= last]
            loops = [h for h, (_, end) in self.run.loops.items() if blocks[0][0].lineno > end]
            if any(here.at == first for h in loops for here in self.run.by_line.get(h, ())):
                return None  # the `else` of the loop whose turn is told
        elif runs and not claimed:
            return None  # it may not run at the time that is spoken of
        return (CONFIRMED if bool(runs) == claimed else CONTRADICTED), f"it runs: {bool(runs)}"

    def _else(self, place: Place) -> Verdict | None:
        """Judges "proceeds to the `else` block": of the turn's tests, or the one before a line."""
        tests = [
            (here, statement) for here in self._tests(place)
            if isinstance(statement := self.run.statement_of(here.event), ast.If)
            and statement.orelse and not isinstance(statement.orelse[0], ast.If)
        ]  # fmt: skip
        outcomes = {here.event.branch for here, _ in tests}
        if len(tests) != 1 or len(outcomes) != 1:
            return None
        here, statement = tests[0]
        at = place.occurrence
        cited = at is not None and place.sure and at.event.line != here.event.line
        if cited and at is not None and not self._is_in(at.event.line, statement.orelse):
            return None
        taken = here.event.branch is False
        return (CONFIRMED if taken else CONTRADICTED), f"the condition is {here.event.branch}"

    def _is_in(self, line: int, body: list[ast.stmt]) -> bool:
        return body[0].lineno <= line <= (body[-1].end_lineno or body[-1].lineno)

    def _tests(self, place: Place) -> Iterator[Occurrence]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            yield from (
                one for one in self.run.occurrences
                if first <= one.at <= last and one.event.frame == place.frame
                and one.event.branch is not None
            )  # fmt: skip
        elif here is not None and place.sure:
            before = [
                one for one in self.run.occurrences
                if one.at <= here.at and one.event.frame == here.event.frame
                and isinstance(self.run.statement_of(one.event), ast.If)
                and one.event.branch is not None
            ]  # fmt: skip
            yield from before[-1:]

    def _loop(self, kind: type[ast.stmt]) -> Verdict | None:
        """Confirms "enters the `for` loop" if every loop of that kind makes a turn."""
        headers = {line for line in self.run.loops if isinstance(self.run.statements[line], kind)}
        made = [loop.iterations for loop in self.run.trace.loops if loop.line in headers]
        return (CONFIRMED, f"{made[0]} iterations") if made and all(made) else None

    def _handler(self, name: str | None) -> Verdict | None:
        """Judges "the `except KeyError` block is triggered" by whether its body runs."""
        handlers = [
            node for node in ast.walk(self.run.tree) if isinstance(node, ast.ExceptHandler)
            and (name is None or (node.type is not None and ast.unparse(node.type) == name))
        ]  # fmt: skip
        if not handlers or self.run.trace.truncated:
            return None
        ran = any(self.run.by_line.get(node.body[0].lineno) for node in handlers)
        return (CONFIRMED if ran else CONTRADICTED), "it runs" if ran else "it does not run"

    def _not_run(self, code: str, place: Place) -> Verdict | None:
        """Judges "the `remove` method is not executed" of a turn, or of the whole run."""
        lines = self.code.lines_with(code)
        ran = [one for line in lines for one in self.run.by_line.get(line, ())]
        if not lines or self.run.trace.truncated:
            return None
        if not ran:
            return CONFIRMED, "it does not run"
        if place.sure and place.occurrence is not None and place.occurrence.event.line in lines:
            return CONTRADICTED, "it runs"
        if place.window is None or place.sure:
            return None
        first, last = place.window
        inside = any(first <= one.at <= last for one in ran)
        return (CONTRADICTED if inside else CONFIRMED), "it runs" if inside else "it does not run"
