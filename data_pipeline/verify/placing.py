"""Places sentences in the run, forward in time, with as few contradicted claims as possible.

A text may skip steps, but it cannot make a wrong value right by jumping ahead, since the steps
after it would then be wrong. The search is dynamic programming over the executions of the cited
lines. A line without a label belongs to the label before it.
"""

import ast
import dataclasses
from collections.abc import Sequence

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.labels import is_elsewhere
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place

_MOST_CANDIDATES = 400
_MOST_STATES = 300
_MOST_PAIRS = 40_000  # cited lines times executions to try
_AGAIN = 0.003  # breaks ties in favour of moving on
_STEP = 1e-4
_UNPLACED = 12.0
_SCORED = ("value", "branch", "return", "raise", "test", "turns", "goto", "turn", "outcome",
           "yield", "goes on", "entered", "ended", "grows", "call made")  # fmt: skip


@dataclasses.dataclass
class Placement:
    """Holds where the sentences are in the run.

    places:  the execution of each sentence's label, None if none or unknown
    missing: the sentences that tell a line more often than it runs
    """

    places: list[Occurrence | None]
    missing: set[int]


def place_sentences(run: Replay, judge: ClaimJudge, sentences: Sequence[Sentence]) -> Placement:
    """Returns the place of each sentence."""
    groups = _group(sentences)
    chosen = _Aligner(run, judge).align([[sentences[i] for i in group] for group in groups])
    places: list[Occurrence | None] = [None] * len(sentences)
    for group, here in zip(groups, chosen, strict=True):
        for index in group:
            places[index] = here
    missing = _told_too_often(run, sentences, groups, chosen)
    current: Occurrence | None = None
    for index, sentence in enumerate(sentences):
        if sentence.opens:
            current = places[index]
        elif sentence.label is not None and not sentence.own:
            places[index] = current
        if sentence.is_general and sentence.own:
            at = run.by_line.get(sentence.label or -1, ())
            places[index] = at[-1] if at else None
    return Placement(places, missing)


def _group(sentences: Sequence[Sentence]) -> list[list[int]]:
    """Returns the sentences of each cited line, as numbers."""
    groups: list[list[int]] = []
    for index, sentence in enumerate(sentences):
        if sentence.label is None or sentence.is_general:
            continue
        if sentence.opens or not groups or sentences[groups[-1][0]].label != sentence.label:
            if sentence.own:
                groups.append([index])
        elif sentence.own and sentences[groups[-1][0]].number == sentence.number:
            groups[-1].append(index)
    return groups


def _told_too_often(run, sentences, groups, chosen) -> set[int]:
    """Returns the sentences about a line whose executions are all told by others."""
    taken: dict[int, set[int]] = {}
    for group, here in zip(groups, chosen, strict=True):
        if here is not None:
            taken.setdefault(sentences[group[0]].label, set()).add(here.at)
    missing = set()
    for group, here in zip(groups, chosen, strict=True):
        label = sentences[group[0]].label
        runs = run.by_line.get(label, ())
        if here is None and len(runs) > 1 and len(taken.get(label, ())) >= len(runs):
            missing |= set(group)
    return missing


class _Aligner:
    def __init__(self, run: Replay, judge: ClaimJudge):
        self.run, self.judge = run, judge
        self.trail: list[tuple[Occurrence | None, int]] = []

    def align(self, groups: list[list[Sentence]]) -> list[Occurrence | None]:
        """Returns the execution of each group, None if it has none after those before it."""
        # A state: (event of the last placement, score, its number in the trail).
        states: list[tuple[int, float, int]] = [(-1, 0.0, -1)]
        most = max(4, min(_MOST_CANDIDATES, _MOST_PAIRS // (len(groups) + 1)))
        for group in groups:
            states = _best(self._extend(sorted(states), group, most), min(most, _MOST_STATES))
        chosen: list[Occurrence | None] = []
        number = max(states, key=lambda state: state[1])[2]
        while number >= 0:
            here, number = self.trail[number]
            chosen.append(here)
        return chosen[::-1]

    def _extend(
        self, states: list[tuple[int, float, int]], group: list[Sentence], most: int
    ) -> list[tuple[int, float, int]]:
        following: list[tuple[int, float, int]] = []
        best, pointer, at_best = -1e18, 0, -1
        for here in self._candidates(group, most):
            while pointer < len(states) and states[pointer][0] < here.at:
                position, score, number = states[pointer]
                if score + _STEP * position > best:
                    best, at_best = score + _STEP * position, number
                pointer += 1
            before, number = best - _STEP * here.at, at_best
            again = pointer < len(states) and states[pointer][0] == here.at
            again = again and not self._is_entry(here)
            if again and states[pointer][1] - _AGAIN > before:
                before, number = states[pointer][1] - _AGAIN, states[pointer][2]
            if here.end > here.at + 1:  # back from a call to the line that made it
                for position, score, known in states:
                    if here.at <= position < here.end and score > before:
                        before, number = score, known
            if before < -1e17 or any(is_elsewhere(one.inside, one, here) for one in group):
                continue
            self.trail.append((here, number))
            following.append((here.at, before + self._score(group, here), len(self.trail) - 1))
        for position, score, number in states:
            self.trail.append((None, number))
            following.append((position, score - _UNPLACED, len(self.trail) - 1))
        return following

    def _is_entry(self, here: Occurrence) -> bool:
        """Returns whether an execution is a call: each is told once."""
        return isinstance(self.run.statement_of(here.event), ast.FunctionDef)

    def _candidates(self, group: list[Sentence], most: int) -> list[Occurrence]:
        own = self.run.by_line.get(group[0].label or -1, [])
        if len(own) <= most:
            return own
        half = most // 2
        chosen = {o.at: o for o in (*own[:half], *own[-half:])}
        wanted = group[0].around.items()
        fitting = [o for o in own if wanted and all(o.turns.get(h) == t for h, t in wanted)]
        chosen |= {o.at: o for o in fitting[:half]}
        return [chosen[at] for at in sorted(chosen)]

    def _score(self, group: list[Sentence], here: Occurrence) -> float:
        """Returns the confirmed claims minus a penalty for contradictions and mismatched turns.

        The penalty exceeds that of any skip and is below that of leaving the line unplaced.
        """
        score, against, astray = 0.0, 0, False
        place = Place(here, True)
        for sentence in group:
            astray = astray or is_elsewhere(sentence.around, sentence, here)
            for worded in sentence.reading.claims:
                if worded.kind in _SCORED:
                    verdict = self.judge.judge(worded, place)[0]
                    score += verdict == CONFIRMED
                    # Arguments tell calls apart better than anything else does.
                    weight = 2 if worded.kind == "call made" else 1
                    against += weight * (verdict == CONTRADICTED)
        toll = 10.0 + 0.1 * min(against, 10) if against else 0.0
        return score - max(toll, 11.5 if astray else 0.0)


def _best(states: list[tuple[int, float, int]], most: int) -> list[tuple[int, float, int]]:
    """Returns the best state at each position, at most so many."""
    kept: dict[int, tuple[int, float, int]] = {}
    for state in sorted(states, key=lambda state: -state[1]):
        kept.setdefault(state[0], state)
        if len(kept) == most:
            break
    return list(kept.values())
