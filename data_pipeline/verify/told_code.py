"""Reads what a step says of the code of its line, beside the claims about values."""

import ast
import re
from collections.abc import Iterator

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, Claim, unread_claim
from data_pipeline.verify.clause_verdicts import Focus
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place
from data_pipeline.verify.reading import Reading
from data_pipeline.verify.reasons import says_what_holds
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.told_values import with_code

_CHANGES = re.compile(
    r"\b(?:remov|replac|strip|delet|chang|modif|convert|trim|swap|sort|revers|updat|pad)\w*", re.I
)
_MORE_TOLD = re.compile(  # a count or an end that no action shows
    r"\b(?:once|twice|times?|only|ends?|front|beginning|start|again|never|not|no)\b", re.I
)


class ToldCode:
    """Reads what is left of the sentences of one monologue as descriptions of the code."""

    def __init__(self, run: Replay, judge: ClaimJudge):
        self.run, self.judge = run, judge

    def _ran(self, window: tuple[int, int]) -> frozenset[ast.AST]:
        """Returns the code that runs in a turn."""
        lines = {o.event.line for o in self.run.occurrences if window[0] <= o.at <= window[1]}
        ran = [self.run.statements[line] for line in lines if line in self.run.statements]
        return frozenset(node for statement in ran for node in own_nodes(statement))

    def focus(self, sentence: Sentence) -> ast.stmt | None:
        """Returns the statement that the sentence's own line cites."""
        return self.run.statements.get(sentence.label or -1) if sentence.own else None

    def claims(self, sentence: Sentence, place: Place) -> Iterator[Claim]:
        """Yields the claims about code, and the pieces of the sentence that stay unread."""
        focus = self.focus(sentence)
        if focus is None and place.window is None and place.occurrence is not None:
            focus = self.run.statements.get(place.occurrence.event.line)
        if focus is None and place.window is not None:
            focus = self._ran(place.window)
        unread = list(sentence.reading.unread)
        if not unread:
            yield from self._plainly_told(sentence, focus)
            return
        if self._changes_nothing(place):  # nothing is removed there, whatever the code could do
            kept = [text for text in unread if _CHANGES.search(text)]
            unread = [text for text in unread if text not in kept]
            yield from (_unread(sentence, text) for text in kept)
            if kept and not unread:
                return
        steps = not sentence.section.startswith("conclusion")
        whole = self._described(sentence.plain, place, focus, steps)
        if whole is not None:
            yield from claims_of(whole, sentence.number)
            return
        for text in unread:
            one = self._described(text, place, focus, steps)
            if one is not None:
                yield from claims_of(one, sentence.number)
            else:
                yield _unread(sentence, text)

    def _described(self, text: str, place: Place, focus: Focus, steps: bool) -> Reading | None:
        """Reads all of a text, also with code in place of the values that it tells; else None."""
        told = read_description(self.run, text, focus)
        if says_what_holds(text):
            return None  # of this run: that the code tests it does not bear it out
        if told.unread or not told.claims:
            at: Occurrence | None = None if place.window is not None else place.occurrence
            bound = self._bound(place)
            code = with_code(self.run, self.judge.values, text, at, bound)
            told = read_description(self.run, code, focus) if code != text else told
        if told.unread or not told.claims:
            return None
        loose = steps and place.window is None and place.occurrence is None  # of another line
        wrong = any(claim.verdict == CONTRADICTED for claim in told.claims)
        return None if loose and wrong and "=" not in text else told

    def _bound(self, place: Place) -> dict[str, str]:
        """Returns the variables that the header of a turn sets, with their values."""
        if place.window is None or place.sure:
            return {}
        headers = (
            one for one in self.run.occurrences
            if one.at == place.window[0] and isinstance(self.run.statement_of(one.event), ast.For)
        )  # fmt: skip
        return {name: text for one in headers for name, text in one.event.changed.items()}

    def _plainly_told(self, sentence: Sentence, focus: Focus) -> Iterator[Claim]:
        """Yields what a sentence in words of narration alone says of the code, if it is true."""
        if sentence.reading.claims or _MORE_TOLD.search(sentence.plain):
            return
        told = read_description(self.run, sentence.plain, focus)
        if not told.unread and all(claim.verdict == CONFIRMED for claim in told.claims):
            yield from claims_of(told, sentence.number)

    def _changes_nothing(self, place: Place) -> bool:
        """Returns whether the place makes no new value."""
        if place.occurrence is None or place.window is not None:
            return False
        unchanged = WordedClaim("same", "unchanged")
        return self.judge.judge(unchanged, place)[0] == CONFIRMED


def claims_of(reading: Reading, number: int) -> list[Claim]:
    """Returns the claims of a reading, and what it left unread."""
    claims = [
        Claim(number, claim.kind, claim.text[:500], claim.verdict, claim.truth)
        for claim in reading.claims
    ]
    return claims + [unread_claim(number, text) for text in reading.unread]


def _unread(sentence: Sentence, text: str) -> Claim:
    return unread_claim(sentence.number, text)
