"""Judges the label of a step: whether its line runs there, and is the line spoken of."""

import ast
import re
from collections.abc import Mapping

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.clause_cutting import is_hypothetical
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import NUMBERS

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
_COUNTED = screened(
    r"^\W*(?:(?:the )?(?:line|statement) )?[\[(]?\bL\d+\b[\])]?\W*"
    r"(?:(?:this|the) (?:line|statement) )?(?:(?P<no>is never|never|is not|"
    r"does not|doesn't|isn't|was not|was never) (?:executed|executes?|runs?|reached|evaluated)"
    r"(?: at all)?|(?:is |gets |was )?(?:only )?(?:executed|executes|runs|run|reached|evaluated) "
    rf"(?:only |exactly )?(?P<n>\d+|{'|'.join(NUMBERS)})(?: times?)?)"
    r"(?:\W*$|,? (?:because|since|as) (?P<why>.*)$)",
    re.I,
)
_ENTRY = re.compile(
    r"\bfunction\b.* (?:is|was|gets) (?:called|invoked|entered)\b|\bfunction (?:starts|begins)\b",
    re.I,
)
_HARMLESS = re.compile(  # of a line that never runs
    r"^(?:the )?(?:function|loop|call|condition|test|if condition|program)(?: on \S+)? "
    r"(?:has |have )?(?:was |is |were )?(?:already |not |never )*"
    r"(?:returned?|returns|met|satisfied|entered|false|ended)\b",
    re.I,
)
_SILENT = (ast.FunctionDef, ast.ClassDef, ast.Try, ast.With, ast.Global, ast.Nonlocal)


def is_elsewhere(turns: Mapping[int, int], sentence: Sentence, here: Occurrence) -> bool:
    """Returns whether an execution is in none of the turns in which a sentence is told.

    turns: header -> turn, those that hold for the sentence. A loop's test may be told with the turn
      that it ends, and where the loop makes no turn.
    """
    for header, turn in turns.items():
        real = here.turns.get(header)
        if real is None or header == sentence.turn:
            continue
        wanted = here.totals[header][0] if turn == -1 else turn
        at_test = here.event.line == header and real in (0, wanted + 1)
        if real != wanted and not at_test:
            return True
    return False


def entry_claim(run: Replay, sentence: Sentence, here: Occurrence | None) -> Claim | None:
    """Confirms "[L5]: The function is called" of the line at which a call begins."""
    statement = run.statements.get(sentence.label or -1)
    entered = here is not None and isinstance(statement, ast.FunctionDef)
    if not entered or not _ENTRY.search(sentence.text) or is_hypothetical(sentence.text):
        return None
    said = sentence.plain.strip(" -*.")[:500]
    return Claim(sentence.number, "code", said, CONFIRMED, "the function is called")


def count_claim(run: Replay, sentence: Sentence) -> Claim | None:
    """Judges "[L9] is executed 2 times", "[L9] never runs"; None for another sentence.

    A loop's header may be said to run once for each turn.
    """
    found = _COUNTED.match(sentence.plain) if sentence.own else None
    if found is None or sentence.label in (None, -1) or run.trace.truncated:
        return None
    runs = run.by_line.get(sentence.label or -1, ())
    counts = {len(runs)}
    if sentence.label in run.loops:
        counts.add(sum(here.turns.get(sentence.label, 0) > 0 for here in runs))
    word = (found["n"] or "0").lower()
    wanted = int(word) if word.isdigit() else NUMBERS[word]
    if wanted not in counts and found["no"] and "never" not in found["no"].lower():
        return None  # "[L9] does not run": in this turn
    if found["why"] and not _HARMLESS.search(found["why"]):
        return None
    verdict = CONFIRMED if wanted in counts else CONTRADICTED
    said = sentence.plain.strip(" -*.")[:500]
    return Claim(sentence.number, "iteration", said, verdict, f"it runs {len(runs)} times")


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
    counts = any(claim.kind == "turns" for claim in sentence.reading.claims)
    if runs and too_often and not hedged and not counts and not run.trace.truncated:
        return Claim(number, "flow", RUNS, CONTRADICTED, f"it runs {len(runs)} times only")
    if runs and not hedged and all(is_elsewhere(sentence.inside, sentence, o) for o in runs):
        turn = sentence.inside[max(sentence.inside)]
        truth = f"the line does not run in iteration {turn}"
        return Claim(number, "flow", RUNS, CONTRADICTED, truth)
    if runs:
        truth = "it runs, but not after these steps"
        return Claim(number, "flow", RUNS, NOT_CHECKABLE, truth)
    statement = run.statements.get(sentence.label)
    if statement is None or isinstance(statement, _SILENT) or hedged or heading:
        return None
    if run.trace.truncated:
        return None
    return Claim(number, "flow", RUNS, CONTRADICTED, "the line does not run")
