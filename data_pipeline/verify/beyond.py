"""Judges what is told of turns that a loop does not make."""

import ast
import re

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.operands import is_sum
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.turns import find_turn
from data_pipeline.verify.value_verdicts import Verdict

_SUPPOSED = re.compile(r"(?:\W|\d|\[L\d+\])*(?:if|when|had|were|suppose)\b", re.I)
_NEVER = ("value", "outcome", "return", "refer")  # false if the run has it nowhere
_TIMELESS = ("refer", "value", "test", "return", "outcome", "called", "branch")


class BeyondVerdicts:
    """Judges sentences that tell a turn beyond all that their loop makes."""

    def __init__(self, run: Replay, judge: ClaimJudge):
        self.run, self.judge = run, judge

    def is_past_the_end(self, sentence: Sentence, line: str) -> bool:
        """Returns whether a line in a loop's body is cited in a turn beyond all that are made."""
        header = max(sentence.around)
        first, last = self.run.loops[header]
        inside = sentence.own and first <= (sentence.label or -1) <= last
        inside = inside and not _SUPPOSED.match(line)
        return inside and sentence.around[header] > self.most_turns(header)

    def most_turns(self, header: int) -> int:
        """Returns how many turns the longest run of a loop makes."""
        made = (o.totals.get(header) for o in self.run.by_line.get(header, ()))
        return max((total[0] for total in made if total), default=0)

    def judged(self, worded: WordedClaim, sentence: Sentence, told: int) -> Verdict:
        """Judges what is told of a turn that the loop does not make."""
        header = max(sentence.around)
        turn, last = sentence.around[header], self.most_turns(header)
        truth = f"the loop makes {last} turns"
        exits = worded.when == "exit" or any(c.kind == "ended" for c in sentence.reading.claims)
        ends = any(o.turns.get(header) == 0 for o in self.run.by_line.get(header, ()))
        known = isinstance(self.run.statements.get(header), ast.For) and not exits
        if worded.kind == "value" and is_sum(worded.subject or ""):
            return (CONTRADICTED if known else NOT_CHECKABLE), truth
        if isinstance(self.run.statements.get(header), ast.While):
            exits = True  # a heading may be for the test that ends the loop
        if turn == last + 1 and ends and (exits or worded.kind != "turn"):
            return self._at_exit(worded, sentence, truth, told)
        own_test = worded.kind == "branch" and worded.subject is None
        if own_test or worded.kind in ("turn", "put", "entered", "tested"):
            return CONTRADICTED, truth
        if worded.kind in _TIMELESS:
            verdict, found = self.judge.judge(worded, Place(None, False))
            if verdict == CONFIRMED and self._changes(worded):
                return CONTRADICTED, truth
            return verdict, found or truth
        return NOT_CHECKABLE, truth

    def _changes(self, worded: WordedClaim) -> bool:
        """Returns whether what is told of a turn holds in some states of the run and not in all."""
        code = worded.subject or ""
        names = [name for name in self.run.names if re.search(rf"\b{re.escape(name)}\b", code)]
        return any(len(set(self.run.history(0, name)[1])) > 1 for name in names)

    def _at_exit(self, worded: WordedClaim, sentence: Sentence, truth: str, told: int) -> Verdict:
        """Judges what may be told of the test that ends a loop, in a turn that does not start.

        Such a test has values as they are there; a value that the run never has is no part of it.
        """
        header = max(sentence.around)
        around = {h: t for h, t in sentence.around.items() if h != header}
        ends = find_turn(self.run, around | {header: 0}, header, told)
        if ends is not None and worded.kind not in ("turn", "put", "taken"):
            judged = self.judge.judge(worded, Place(ends, False))
            if judged[0] == CONFIRMED:
                return judged
        if worded.kind in _NEVER:
            judged = self.judge.judge(worded, Place(None, False))
            if judged[0] == CONTRADICTED:
                return judged
        return NOT_CHECKABLE, truth
