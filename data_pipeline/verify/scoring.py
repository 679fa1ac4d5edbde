"""Scores line verdicts against labels that people gave: how often a mark is right.

A label is "true", "false", "goal" (the output given, restated), "none" (nothing to check) or
"unsure" (left out). `score_lines` counts.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, UNCHECKED

LABELS = ("true", "false", "goal", "none", "unsure")


@dataclasses.dataclass(frozen=True)
class LabelledMonologue:
    """Holds the labels of one monologue.

    labels:    line, counted from 0 -> label
    direction: "forward" or "backward"
    right:     whether its answer is right, None if that is not known
    """

    labels: Mapping[int, str]
    direction: str = "forward"
    right: bool | None = None


@dataclasses.dataclass
class LineScores:
    """Counts pairs of label and verdict, and wrong answers whose first wrong step was found."""

    pairs: Counter = dataclasses.field(default_factory=Counter)
    located: int = 0
    wrong_answers: int = 0

    def share(self, name: str) -> tuple[int, int]:
        """Returns (count, of how many) of one score."""
        pairs = self.pairs
        false = sum(n for (label, _), n in pairs.items() if label == "false")
        true = sum(n for (label, _), n in pairs.items() if label == "true")
        called = sum(n for (_, verdict), n in pairs.items() if verdict == CONTRADICTED)
        confirmed = pairs["false", CONFIRMED] + pairs["true", CONFIRMED]
        return {
            "precision": (pairs["false", CONTRADICTED], called),
            "found": (pairs["false", CONTRADICTED], false),
            "confirmed": (pairs["true", CONFIRMED], true),
            "wrongly confirmed": (pairs["false", CONFIRMED], confirmed),
            "located": (self.located, self.wrong_answers),
        }[name]

    def add(self, monologue: LabelledMonologue, verdicts: Mapping[int, str]) -> None:
        """Adds one monologue; verdicts: line, counted from 0 -> verdict."""
        for line, label in monologue.labels.items():
            if label != "unsure":
                self.pairs[label, verdicts.get(line, UNCHECKED)] += 1
        if monologue.right is False:
            self.wrong_answers += 1
            false = min(
                (n for n, label in monologue.labels.items() if label == "false"), default=-1
            )
            called = [
                line
                for line, label in monologue.labels.items()
                if label != "unsure" and verdicts.get(line) == CONTRADICTED
            ]
            self.located += bool(called) and min(called) == false


SCORES = (
    ("precision", "contradicted that is false"),
    ("found", "false that is found"),
    ("confirmed", "true that is confirmed"),
    ("wrongly confirmed", "confirmed though false"),
    ("located", "first wrong step located"),
)


def score_lines(
    judged: Iterable[tuple[LabelledMonologue, Mapping[int, str]]],
) -> dict[tuple[str, str], LineScores]:
    """Returns the scores by direction and by "right", "wrong" or "all" answers."""
    scores: dict[tuple[str, str], LineScores] = {}
    for monologue, verdicts in judged:
        groups = ["all"]
        if monologue.right is not None:
            groups.insert(0, "right" if monologue.right else "wrong")
        for group in groups:
            scores.setdefault((monologue.direction, group), LineScores()).add(monologue, verdicts)
    return scores
