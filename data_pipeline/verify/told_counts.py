"""Judges how often a step says that something happens in the run: "`break` fired twice"."""

import ast
import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import NUMBERS

_OVERALL = (
    r"(?:in (?:total|all|sum|the (?:whole|entire) run|this run)|all in all|altogether|overall|"
    r"(?:over|during|throughout|across) (?:the|this) (?:whole |entire )?run)"
)
_VERB = (
    r"(?:called|entered|executed|executes|run|runs|ran|fired|fires|invoked|reached|evaluated|taken|"
    r"triggered|hit|returned|returns|made|raised)"
)
_ONE = (
    r"(?:the )?(?:(?P<b>if|else|elif) (?:branch|block|part|clause|body)|"
    r"(?P<k>(?:inner |outer |while |for )?(?:loop's |loop )?body"
    r"(?: of the (?:inner |outer )?loop)?)|"
    r"(?:condition|test|check|line|statement)? ?(?:(?:on|at|of|in) )?(?:line )?"
    r"[\[(]?\bL(?P<l>\d+)\b[\])]?|"
    r"(?:function|method|helper|statement)? ?`?(?P<x>\w+)(?:\(\))?`?(?: call| statement)?) "
    rf"(?:(?:was|is|has been|were|gets|got) )?(?:only )?{_VERB}(?: only| exactly)? "
    rf"(?P<n>\d+|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})(?: times?)?"
)
_SENTENCE = screened(rf"\W*(?:(?P<o>{_OVERALL}),? )?{_ONE}(?P<e>,? {_OVERALL})?\W*", re.I)
_BOTH = screened(
    rf"\W*(?:(?P<o>{_OVERALL}),? )?(?P<one>.+?),? and (?P<two>.+?)(?P<e>,? {_OVERALL})?\W*", re.I
)
_OWN_LABEL = re.compile(r"^\W*L\d+\]\W*")  # "[L8]: …", where the sentence stands
_TIMES = re.compile(r"\b(?:times?|once|twice|thrice)\b", re.I)


def counts_told(run: Replay, sentence: Sentence, place: Place) -> list[Claim]:
    """Returns the judged claims of a sentence that only counts what happens; none for another.

    A number that the whole run has is confirmed; another one is contradicted where the sentence
    says that it means the whole run, or no turn is told.
    """
    if sentence.is_general or run.trace.truncated or not _TIMES.search(sentence.plain):
        return []
    parts = _parts(_OWN_LABEL.sub("", sentence.plain))
    judged = [_judge(run, sentence, place, found, overall) for found, overall in parts]
    return [claim for claim in judged if claim is not None] if None not in judged else []


def _parts(plain: str) -> list[tuple[re.Match[str], bool]]:
    if found := _SENTENCE.fullmatch(plain):
        return [(found, bool(found["o"] or found["e"]))]
    both = _BOTH.fullmatch(plain)
    halves = [_SENTENCE.fullmatch(both[key].strip()) for key in ("one", "two")] if both else []
    overall = bool(both and (both["o"] or both["e"]))
    return [(one, overall) for one in halves if one] if None not in halves else []


def _judge(
    run: Replay, sentence: Sentence, place: Place, found: re.Match[str], overall: bool
) -> Claim | None:
    counts = _counts(run, found)
    if counts is None:
        return None
    word = found["n"].lower()
    wanted = int(word) if word.isdigit() else NUMBERS[word]
    loose = overall or (place.window is None and not place.sure)
    if wanted in counts:
        verdict = CONFIRMED if loose or found["l"] else NOT_CHECKABLE
    else:
        verdict = CONTRADICTED if overall or (loose and len(counts) == 1) else NOT_CHECKABLE
    truth = f"{' or '.join(map(str, sorted(counts)))} times"
    return Claim(sentence.number, "iteration", sentence.plain[:500], verdict, truth)


def _counts(run: Replay, found: re.Match[str]) -> set[int] | None:
    """Returns how often something happens, counted in each way that may be meant."""
    if found["l"]:
        line = run.starts.get(int(found["l"]) - FIRST_LABEL + 1)
        runs = run.by_line.get(line or -1, ())
        turns = sum(one.turns.get(line or -1, 0) > 0 for one in runs)
        return None if line is None else {len(runs), turns} if line in run.loops else {len(runs)}
    if found["b"]:
        return _branch(run, found["b"].lower())
    if found["k"]:
        return _body(run, found["k"].lower())
    name = found["x"]
    kind = {"break": ast.Break, "continue": ast.Continue}.get(name)
    if kind is not None:
        ran = [one for one in run.occurrences if isinstance(run.statement_of(one.event), kind)]
        return {len(ran)}
    return {len(run.calls_of(name))} if name in run.functions else None


def _branch(run: Replay, word: str) -> set[int] | None:
    """Returns how often the `if`, or the `else`, of a program's only `if` is taken."""
    tests = [node for node in run.nodes if isinstance(node, ast.If)]
    if len(tests) != 1 or word == "elif" or (word == "else" and not tests[0].orelse):
        return None
    others = [n for n in run.nodes if isinstance(n, ast.For | ast.While | ast.Try) and n.orelse]
    outcomes = [one.event.branch for one in run.by_line.get(tests[0].lineno, ())]
    return None if others and word == "else" else {outcomes.count(word == "if")}


def _body(run: Replay, words: str) -> set[int] | None:
    """Returns how many turns a loop makes in all: the only one, the inner, or the outer one."""
    headers = sorted(run.loops)
    inner = [h for h in headers if any(o < h <= run.loops[o][1] for o in headers if o != h)]
    if "inner" in words:
        headers = inner
    elif "outer" in words:
        headers = [h for h in headers if h not in inner]
    for kind, node in (("while", ast.While), ("for", ast.For)):
        if kind in words:
            headers = [h for h in headers if isinstance(run.statements[h], node)]
    if len(headers) != 1:
        return None
    made = [loop.iterations for loop in run.trace.loops if loop.line in headers]
    return {sum(made)} | (set(made) if len(set(made)) == 1 and "inner" not in words else set())
