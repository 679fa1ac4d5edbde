"""Reads what a sentence says of a function's parameters, and of changes to its arguments."""

import dataclasses
import re

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.lexicon import read_tokens
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.wordlists import word_set

_COUNTS = {"a": 1, "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_TAKES = re.compile(
    r"^(?:the |this )?(?:function )?(?:`(?P<name>\w+)`|it|function) (?:takes|accepts|receives"
    r"|expects)"
    r"(?: in)? (?P<rest>.*)$", re.I | re.S,
)  # fmt: skip
_EXPECTED = re.compile(
    r"^(?:the )?(?:input|parameter|argument)? ?`(?P<name>\w+)`(?: (?:parameter|argument|list"
    r"|string|dictionary))?"
    r" (?:is (?:also )?expected to be|must be|should be|is assumed to be)"
    r" (?P<rest>an? .*)$", re.I | re.S,
)  # fmt: skip
_IS_TYPED = re.compile(
    r"^the `(?P<name>\w+)` (?:parameter|argument) is (?:also )?(?P<rest>an? .*)$", re.I | re.S
)
_NUMBER = re.compile(
    r"^(?:exactly |a )?(?P<number>one|two|three|four|five|six|single) (?:\w+ )?(?:parameter"
    r"|argument|input)s?\b",
    re.I,
)
_WITH_END = re.compile(
    r",? (?:as (?:an )?(?:input|argument|parameter)s?|and|that) (?=(?:performs|returns|processes"
    r"|counts|checks|executes|"
    r"replaces|removes|modifies|converts|applies|creates|computes|calculates|reverses|sorts|"
    r"determines|finds|does)\b)|(?<=[\w`)])\.(?=\s|$)| as (?:an )?(?:input|argument)s?\b"
)
_BULLET = re.compile(
    r"^(?:[-*•]|\d+[.)])?\s*(?:the )?(?:(?P<noun>[a-z]+) )?`(?P<name>\w+)`\s*(?::|-|–"
    r"|\()\s*(?P<rest>.*)$",
    re.I | re.S,
)
TYPES = {
    "list": "list", "array": "list", "string": "str", "integer": "int", "int": "int", "str": "str",
    "dictionary": "dict", "dict": "dict", "tuple": "tuple", "float": "float", "boolean": "bool",
    "set": "set", "character": "str", "substring": "str", "number": "number", "prefix": "str",
    "suffix": "str", "delimiter": "str", "separator": "str", "word": "str", "sentence": "str",
    "floating-point": "float",
}  # fmt: skip
_OF = {
    "strings": "str", "integers": "int", "numbers": "number", "lists": "list", "words": "str",
    "tuples": "tuple", "dictionaries": "dict", "characters": "str", "names": "str",
    "floats": "float",
    "keys": "", "values": "", "elements": "", "items": "",
}  # fmt: skip
_EASY = word_set(
    """
    referred a an the which is are of and or that any be can will expected input inputs as
    parameter parameters argument arguments one two three four five six single both called named
    list lists string strings expects function also it representing string's numeric given some
    it's takes its specified to i e containing contains may contain numbers elements values want
    we process manipulate manipulated processed list's string expected also, always other
    various on operates operations operate performed perform performing operation using used
    this these value variable searched analyzed check checked modify modified modifying count
    processing provided data text such integer integers dictionary
    """
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SignatureReading:
    """Holds claims on the signature.

    `purposes` are (parameter, what is said of it beside its type); `rest` is the rest
    of the sentence.
    """

    claims: tuple[JudgedClaim, ...]
    purposes: tuple[tuple[str, str], ...]
    rest: str


def read_signature(run: Replay, code: Code, sentence: str) -> SignatureReading | None:
    """Reads "The function `f` takes …" or "`xs`: a list of …"; None if the sentence is neither."""
    if match := _BULLET.match(sentence):
        if match["name"] in code.parameters:
            return _read_descriptor(run, match["name"], match["rest"].rstrip(")"), "")
        return None
    if match := _EXPECTED.match(sentence) or _IS_TYPED.match(sentence):
        if match["name"] in code.parameters:
            told = match["rest"] if " must " in match[0] else "expected to be " + match["rest"]
            return _read_descriptor(run, match["name"], told, "")
        return None
    match = _TAKES.match(sentence)
    if match is None or code.function is None:
        return None
    if match["name"] and match["name"] != code.function.name:
        return None
    end = _WITH_END.search(match["rest"])
    told = match["rest"][: end.start()] if end else match["rest"]
    rest = match["rest"][end.end() :] if end else ""
    return _read_taken(run, code, told, rest.strip(" .,"))


def _read_taken(run: Replay, code: Code, told: str, rest: str) -> SignatureReading:
    claims: list[JudgedClaim] = []
    unread: list[tuple[str, str]] = []
    if number := _NUMBER.match(told):
        good = _COUNTS[number["number"].lower()] == len(code.parameters)
        truth = f"{len(code.parameters)} parameters"
        claims.append(judged(number[0], good, truth))
    pieces = _pieces(told, code.parameters)
    if len(pieces) != len(code.parameters) and number and pieces:
        unread.append(("", told))
    alone = not pieces and len(code.parameters) == 1
    if alone:
        pieces = [(code.parameters[0], told)]
    strangers = [
        t.text for t in read_tokens(told)
        if t.kind == "code" and t.text.isidentifier() and t.text not in code.parameters
        and (alone or t.text not in code.names)
    ]  # fmt: skip
    if strangers:
        unread.append(("", told))
    for name, words in pieces:
        piece = _read_descriptor(run, name, words, "")
        claims += piece.claims
        unread += piece.purposes
    return SignatureReading(tuple(claims), tuple(unread), rest)


def _pieces(told: str, names: list[str]) -> list[tuple[str, str]]:
    """Splits "a list `xs` and an integer `n`" or "`xs` (a list) and `n`, which …" by parameter."""
    places = [
        (match.start(), match.end(), name)
        for name in names
        if (match := re.search(rf"`{re.escape(name)}`", told))
    ]
    places.sort()
    if not places:
        return []
    lead = told[: places[0][0]]
    typed_before = any(word in TYPES for word in re.findall(r"[a-z-]+", lead.lower()))
    pieces = []
    for i, (start, end, name) in enumerate(places):
        if typed_before:
            pieces.append((name, told[places[i - 1][1] if i else 0 : start]))
        else:
            pieces.append((name, told[end : places[i + 1][0] if i + 1 < len(places) else None]))
    if typed_before:
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + told[places[-1][1] :])
    return pieces


def _read_descriptor(run: Replay, name: str, words: str, rest: str) -> SignatureReading:
    """Judges the type that a parameter is said to have; what else is said of it is unread."""
    said = [
        word.lower()
        for word in re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)?", re.sub(r"`[^`]*`", " ", words))
    ]
    real = argument_of(run, name)
    claims: list[JudgedClaim] = []
    spoken = _head_type(words)
    if spoken is not None and real is not None:
        good = has_type(real[0], TYPES[spoken])
        truth = f"`{name}` is a {type(real[0]).__name__}"
        if good or not (_HEDGE.search(words) or _alike(real[0], TYPES[spoken])):
            claims.append(judged(f"`{name}` is a {spoken}", good, truth))
        inner = re.search(r"\b(?:list|tuple|array|set) of (\w+)", words)
        if good and inner and not re.search(r"\bor\b", words) and (of := _OF.get(inner[1].lower())):
            fits = all(has_type(item, of) for item in real[0])
            claims.append(judged(f"`{name}` is a {inner[0]}", fits, f"`{name}` is {real[0]!r}"))
    elif spoken is None:
        claims.append(judged(f"parameter `{name}`", True, ""))
    left = [word for word in said if word not in _EASY and word not in TYPES and word not in _OF]
    codes = [t for t in re.findall(r"`([^`]*)`", words) if t != name]
    wrong = spoken is not None and real is not None and not has_type(real[0], TYPES[spoken])
    wrong = wrong and not _alike(real[0], TYPES[spoken])  # type: ignore[index]
    unread = ((name, words.strip(" ,:")),) if left or codes or wrong else ()
    return SignatureReading(tuple(claims), unread, rest)


_HEAD = re.compile(
    r"^[\s,:(]*(?:(?:which|that) (?:is|are|should be|must be|will be)|is|should be|must be)?(?:"
    r" also)?(?: expected to be)?\s*"
    r"(?:an?|the) (?P<noun>(?:[a-z-]+ ){0,2}?[a-z-]+)(?=$|[\s,.)(;]+(?:$|of|that|which|where|to"
    r"|in|containing"
    r"|representing|for|used|with|from|as|and|or|named|called|`))", re.I
)  # fmt: skip


_HEDGE = re.compile(r"\b(?:or|any|can|may|expected|should|assumed)\b", re.I)


def _alike(value: object, kind: str) -> bool:
    """Tells whether people use one type's name for the other: 0 for a boolean, 3 for a float."""
    return isinstance(value, int | float) and kind in ("bool", "int", "float")


def _head_type(words: str) -> str | None:
    """Returns the type noun of "which is a non-empty list of …"; not that of a phrase inside it."""
    match = _HEAD.match(words)
    noun = match["noun"].split()[-1].lower() if match else ""
    return noun if noun in TYPES else None


def argument_of(run: Replay, name: str) -> tuple[object] | None:
    for event in run.events:
        if event.kind == "call" and name in event.changed:
            try:
                return (parse_literal(event.changed[name]),)
            except LiteralError:
                return None
    return None


def has_type(value: object, name: str) -> bool:
    if name == "number":
        return isinstance(value, int | float)
    if name == "float":
        return isinstance(value, int | float)
    return type(value).__name__ == name


def judged(text: str, good: bool, truth: str) -> JudgedClaim:
    return JudgedClaim("code", text, CONFIRMED if good else CONTRADICTED, truth or None)
