"""Judges the label of a step: whether its line runs there, and is the line spoken of."""

import ast
import re

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.clause_cutting import is_hypothetical
from data_pipeline.verify.layout import Sentence

RUNS = "the line runs"
_NEGATED = re.compile(
    r"\b(?:not|never|n't|skip\w*|instead of|without|bypass\w*|no|neither|does nothing|"
    r"ignored?|remains?|unchanged|stays|False)\b|n't\b",
    re.I,
)
_AGAIN = re.compile(
    r"\b(?:loop|condition|line|statement) (?:is )?(?:checks?|checked|runs?|executes?|executed|"
    r"evaluated|tested|reached) again\b", re.I,
)  # fmt: skip
_LABEL = re.compile(r"\b(?:line )?[\[(]?\bL\d+\b[\])]?", re.I)
_SILENT = (ast.FunctionDef, ast.ClassDef, ast.Try, ast.With, ast.Global, ast.Nonlocal)


def label_claim(
    run: Replay, sentence: Sentence, here: Occurrence | None, too_often: bool
) -> Claim | None:
    """Returns the claim that the cited line runs, None if the sentence makes no such claim."""
    if sentence.label in (None, -1) or sentence.is_general:
        return None
    heading = not _LABEL.sub("", sentence.text).strip(" .:,")
    number = sentence.number
    runs = run.by_line.get(sentence.label)
    if runs and len(runs) == 1 and _AGAIN.search(sentence.text) and not run.trace.truncated:
        return Claim(number, "flow", "the line runs again", CONTRADICTED, "it runs once")
    if here is not None:
        return Claim(number, "flow", RUNS, CONFIRMED, RUNS)
    hedged = is_hypothetical(sentence.text) or _NEGATED.search(sentence.text) is not None
    if runs and too_often and not hedged and not run.trace.truncated:
        return Claim(number, "flow", RUNS, CONTRADICTED, f"it runs {len(runs)} times only")
    if runs:
        truth = "it runs, but not after these steps"
        return Claim(number, "flow", RUNS, NOT_CHECKABLE, truth)
    statement = run.statements.get(sentence.label)
    if statement is None or isinstance(statement, _SILENT) or hedged or heading:
        return None
    if run.trace.truncated:
        return None
    return Claim(number, "flow", RUNS, CONTRADICTED, "the line does not run")
