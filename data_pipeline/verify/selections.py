"""Reads which elements a list or string is said to hold: "all numbers in `xs` that are even".

Judged on this run: some value of the variable, or the result, must be that selection.
"""

import re

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.evaluation import Bound, Unknown, evaluate
from data_pipeline.verify.masking import mask_code
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.predicates import read_possession, read_predicate
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.signature import judged

_THINGS = (
    r"(?:elements|items|numbers|words|strings|characters|letters|values|integers|names|digits)"
)
_HOLDS = re.compile(
    r"^(?:- )?(?:`(?P<x>\w+)`(?:: | \(?)?)?(?:(?:this|the|which is a|a) (?:new )?(?:list|string) )?"
    r"(?:which |that |it )?(?:will )?(?:contains?|holds?|stores?|includes?|containing) ",
    re.I,
)
_RETURNS = re.compile(
    r"^(?:finally, )?(?:it|the function) (?:then |will )?returns? (?:the|a) (?:new |resulting )?"
    r"(?:list|string)(?: `\w+`)? (?:of|containing|that contains|with|consisting of) ",
    re.I,
)
_WHICH = re.compile(
    rf"^(?:all |only |just |the )*{_THINGS}(?: (?:from|of|in) (?:the )?"
    r"(?:`(?P<s>\w+)`|(?:input |original |given )*(?:list|string|text)))?"
    r" (?:that|which) (?:are |(?=(?:do|start|end|contain)))(?P<p>[^,.;]+)(?=$|[.;])",
    re.I,
)


def read_selection(run: Replay, code: Code, text: str) -> tuple[JudgedClaim, str] | None:
    """Returns the claim that a sentence makes of a selection, and the sentence without it."""
    opened = _HOLDS.match(text) or _RETURNS.match(text)
    match = _WHICH.match(text[opened.end() :]) if opened else None
    if opened is None or match is None or not run.events:
        return None
    given = run.events[0].changed
    source = match["s"] or _only_container(given)
    test = _test(match["p"], code)
    if source not in given or test is None:
        return None
    try:
        wanted = evaluate(f"[each for each in {source} if {test}]", Bound(None, dict(given)))
    except (Unknown, ValueError, RecursionError):
        return None
    name = opened.groupdict().get("x")
    real = run.history(0, name)[1] if name else [run.trace.result]
    if any(text is not None and _is_selection(text, wanted) for text in real):
        end = opened.end() + match.end()
        return judged(text[:end].strip(" -"), True, ""), text[end:].strip(" ,.")
    return None


def _only_container(given) -> str | None:
    held = [name for name, text in given.items() if text[:1] in ("[", "'", '"')]
    return held[0] if len(held) == 1 else None


def _test(predicate: str, code: Code) -> str | None:
    """Returns the test of one element, as code about `each`."""
    masked, atoms = mask_code(predicate.replace(" the `", " `"), frozenset(code.parameters))
    found = read_predicate(masked, atoms) or read_possession(masked, atoms)
    if found is None:
        return None
    test = found[0].replace("{s}", "each")
    return f"({test})" if found[1] else f"not ({test})"


def _is_selection(text: str, wanted: list) -> bool:
    try:
        value = parse_literal(text)
    except LiteralError:
        return False
    if isinstance(value, str):
        return bool(value) and all(isinstance(w, str) for w in wanted) and value == "".join(wanted)
    return bool(value) and isinstance(value, list) and same_value(value, wanted)
