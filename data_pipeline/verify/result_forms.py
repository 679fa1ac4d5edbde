"""Reads what sentences say of the result and the arguments in fixed forms, judged on the run."""

import ast
import re

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.screening import screened
from data_pipeline.verify.signature import TYPES, argument_of, has_type, judged

Found = tuple[JudgedClaim, str]


def without(text: str, match: re.Match[str]) -> str:
    """Returns the sentence without what a form has read."""
    return (text[: match.start()] + text[match.end() :]).strip(" ,")


def _result(run: Replay) -> object:
    try:
        return parse_literal(run.trace.result or "None")
    except LiteralError:
        return None


_REVERSED = re.compile(
    r",? (?:which|that) (?:contains|has|holds|consists of) (?:all )?(?:the )?(?:elements|items"
    r"|values|characters) (?:of|from) (?:the )?(?:(?:original|input) (?:list|string|array)|(?:list"
    r" |string )?`(?P<name>\w+)`)(?: but)? in (?:the )?reversed? order(?=[.,;]|$)", re.I,
)  # fmt: skip


def read_reversed(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "a list that contains the elements of `xs` in reverse order" of the result."""
    match = _REVERSED.search(text)
    names = [match["name"]] if match and match["name"] else list(code.parameters)
    if match is None or len(names) != 1 or "return" not in text:
        return None
    given, result = argument_of(run, names[0]), _result(run)
    if given is None or not isinstance(given[0], list | str) or type(result) is not type(given[0]):
        return None
    good = same_value(given[0][::-1], result)
    return judged(match[0].strip(" ,"), good, f"it is {result!r}"), without(text, match)


_ITEMS = re.compile(
    r"^(?:finally,? )?(?:the )?(?:(?:function|it) (?:returns|will return)|output is|result is)"
    r" an? (?:new )?list of (?P<of>strings|tuples|integers|lists|dictionaries|booleans|floats)"
    r"(?P<pairs>,? (?:where )?each (?:tuple|one|of which) (?:consists of|contains|is|represents)"
    r" a key-value pair (?:from|of) the dictionary)?(?=[.,;]|$)", re.I,
)  # fmt: skip


def read_items(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "returns a list of tuples, where each tuple is a key-value pair of the dictionary"."""
    match, result = _ITEMS.search(text), _result(run)
    if match is None or not isinstance(result, list) or not result:
        return None
    word = match["of"].lower()
    kind = TYPES["dictionary" if word == "dictionaries" else word.removesuffix("s")]
    good = all(has_type(item, kind) for item in result)
    if match["pairs"] and good and not _are_pairs(run, code, result):
        return None
    return judged(match[0], good, f"it is {run.trace.result}"), without(text, match)


def _are_pairs(run: Replay, code: Code, result: list) -> bool:
    returned = [n.value for n in ast.walk(code.tree) if isinstance(n, ast.Return) and n.value]
    pairs = all(isinstance(item, tuple) and len(item) == 2 for item in result)
    return pairs and all(".items()" in ast.unparse(value) for value in returned)


_KEY_IN = re.compile(
    r",? which is (?:presumably |expected to be |supposed to be |probably )?a key in (?:that|the)"
    r" dictionary", re.I,
)  # fmt: skip


def read_key(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "`k`, which is presumably a key in that dictionary"."""
    match = _KEY_IN.search(text)
    named = re.findall(r"`(\w+)`", text[: match.start()]) if match else []
    if match is None or not named or named[-1] not in code.parameters:
        return None
    given = {name: argument_of(run, name) for name in code.parameters}
    tables = [one[0] for one in given.values() if one and isinstance(one[0], dict)]
    key = given[named[-1]]
    if len(tables) != 1 or key is None or isinstance(key[0], list | dict | set):
        return None
    good = key[0] in tables[0]
    return judged(match[0].strip(" ,"), good, "it is no key"), without(text, match)


_CAUGHT = screened(
    r"\b(?:it |the function )?catches (?:an? |the )?`?(?P<name>[A-Z]\w+)`?(?: exception)?(?: and"
    r" (?:simply |just )?(?P<passes>passes|does nothing|ignores it))?(?:,? meaning (?:that )?it"
    r" does nothing(?: in that case)?)?(?=[.,;]|$)", re.I,
)  # fmt: skip


def read_caught(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "it catches a `ValueError` and simply passes"."""
    match = _CAUGHT.search(text)
    if match is None:
        return None
    handlers = [node for node in ast.walk(code.tree) if isinstance(node, ast.ExceptHandler)]
    own = [h for h in handlers if h.type is not None and match["name"] in ast.unparse(h.type)]
    if not own:
        names = ", ".join(ast.unparse(h.type) for h in handlers if h.type is not None)
        return (judged(match[0], False, f"it catches {names}"), "") if names else None
    empty = all(isinstance(node, ast.Pass) for handler in own for node in handler.body)
    if (match["passes"] or "nothing" in match[0]) and not empty:
        return None
    return judged(match[0], True, ""), without(text, match)


_MODIFIES = re.compile(
    r"^(?:the )?(?:function|it) (?P<verb>modifies|transforms|updates|processes) (?:the )?"
    r"(?:\w+ )?`(?P<name>\w+)`(?: (?:based on|according to|depending on) (?:[^`\"'.;,\d]"
    r"|`\w+`)*)?(?=[.;]|$)", re.I,
)  # fmt: skip


def read_modified(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the function modifies `text` based on the rules": a variable that is set anew."""
    match = _MODIFIES.search(text)
    if match is None or not set(re.findall(r"`(\w+)`", match[0])) <= code.names:
        return None
    if not code.writes.get(match["name"]):
        return None
    return judged(match[0], True, ""), without(text, match)


_RAISING = re.compile(
    r"^(?:the )?(?:final )?(?:output|result|return value) (?:is|will be) an? (?:new |single"
    r" |modified )*(?:string|list|array|dictionary|integer|tuple|number|boolean|set|float)\b(?!.*"
    r"\b(?:if|or|unless|either|when)\b)[^.;]*", re.I,
)  # fmt: skip


def read_no_result(run: Replay, code: Code, text: str) -> Found | None:
    """Contradicts "the output is a string …" if the call raises."""
    match = _RAISING.search(text)
    if match is None or run.trace.raised is None or run.trace.truncated:
        return None
    return judged(match[0], False, f"raises {run.trace.raised}"), without(text, match)


_EMPTIED = screened(
    r",? (?:which means (?:that )?|meaning (?:that )?|so (?:that )?|and )?(?:after (?:calling this"
    r" function|the function (?:executes|returns|runs|is called)),? )?(?:the original (?:list"
    r"|dictionary|set|array)|`(?P<x>\w+)`) will be empty(?: after (?:the function (?:executes"
    r"|returns|runs)|calling this function))?(?: because it (?:was|is) cleared)?(?=[.,;]|$)", re.I,
)  # fmt: skip


def read_emptied(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "which means that `xs` will be empty after the function executes"."""
    match = _EMPTIED.search(text)
    names = [match["x"]] if match and match["x"] else list(code.parameters)
    if match is None or len(names) != 1 or "after" not in match[0] or not run.entries:
        return None
    frame = run.entries[0].event.frame
    last = run.value(frame, names[0], run.frames[frame][1])
    if last is None or argument_of(run, names[0]) is None:
        return None
    return judged(match[0].strip(" ,"), last in ("[]", "{}", "set()"), f"it is {last}"), without(
        text, match
    )


_CASE = re.compile(
    r"^(?:the )?function is case-sensitive(?:,? (?:meaning|so|which means)(?: that)? [^.;]*)?", re.I
)
_FOLDS = ("lower", "upper", "casefold", "swapcase", "title", "capitalize")


def read_case(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "the function is case-sensitive" of a program that never changes the case."""
    match = _CASE.search(text)
    if match is None or any(
        isinstance(n, ast.Attribute) and n.attr in _FOLDS for n in ast.walk(code.tree)
    ):
        return None
    return judged(match[0], True, ""), without(text, match)


_ONE_BY_ONE = re.compile(
    r" (?:(?:character|element|item|word) by (?:character|element|item|word)|individually)"
    r"(?=[.,;]|$)", re.I,
)  # fmt: skip


def read_one_by_one(run: Replay, code: Code, text: str) -> Found | None:
    """Reads "processes the string character by character": there is a loop."""
    match = _ONE_BY_ONE.search(text)
    if match is None or not any(
        isinstance(n, ast.For | ast.comprehension) for n in ast.walk(code.tree)
    ):
        return None
    return judged(match[0].strip(), True, ""), without(text, match)


RESULT_FORMS = (
    read_reversed, read_items, read_key, read_caught, read_modified, read_no_result, read_emptied,
    read_case, read_one_by_one,
)  # fmt: skip
