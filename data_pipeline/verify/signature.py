"""Reads what a sentence says of a function's parameters, and of changes to its arguments."""

import ast
import dataclasses
import re

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.clauses import read_tokens
from data_pipeline.verify.phrases import _MUTATORS, Code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.wordlists import word_set

_COUNTS = {"a": 1, "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_TAKES = re.compile(
    r"^(?:the |this )?(?:function )?(?:`(?P<name>\w+)`|it|function) (?:takes|accepts|receives"
    r"|expects)"
    r"(?: in)? (?P<rest>.*)$", re.I | re.S,
)  # fmt: skip
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
_TYPES = {
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
    a an the which is are of and or that any be can will expected input inputs as parameter
    parameters argument arguments one two three four five six single both called named list
    lists string strings expects function also it representing string's numeric given some
    it's takes its specified to i e containing contains may contain numbers elements values
    want we process manipulate manipulated processed list's string expected also, always
    other various on operates operations operate performed perform performing operation
    using used this these value variable searched analyzed check checked modify modified
    modifying count processing provided data text such integer integers dictionary
    """
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SignatureReading:
    """Holds claims on the signature, unread pieces, and the rest of the sentence."""

    claims: tuple[JudgedClaim, ...]
    unread: tuple[str, ...]
    rest: str


def read_signature(run: Replay, code: Code, sentence: str) -> SignatureReading | None:
    """Reads "The function `f` takes …" or "`xs`: a list of …"; None if the sentence is neither."""
    if match := _BULLET.match(sentence):
        if match["name"] in code.parameters:
            return _read_descriptor(run, match["name"], match["rest"].rstrip(")"), "")
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
    unread: list[str] = []
    if number := _NUMBER.match(told):
        good = _COUNTS[number["number"].lower()] == len(code.parameters)
        truth = f"{len(code.parameters)} parameters"
        claims.append(_judged(number[0], good, truth))
    pieces = _pieces(told, code.parameters)
    if len(pieces) != len(code.parameters) and number and pieces:
        unread.append(told)
    if not pieces and len(code.parameters) == 1:
        pieces = [(code.parameters[0], told)]
    strangers = [
        t.text for t in read_tokens(told)
        if t.kind == "code" and t.text.isidentifier() and t.text not in code.parameters
        and t.text not in code.names
    ]  # fmt: skip
    if strangers:
        unread.append(told)
    for name, words in pieces:
        piece = _read_descriptor(run, name, words, "")
        claims += piece.claims
        unread += piece.unread
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
    typed_before = any(word in _TYPES for word in re.findall(r"[a-z-]+", lead.lower()))
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
    real = _argument(run, name)
    claims: list[JudgedClaim] = []
    spoken = _head_type(words)
    if spoken is not None and real is not None:
        good = _has_type(real[0], _TYPES[spoken])
        truth = f"`{name}` is a {type(real[0]).__name__}"
        if good or not re.search(r"\bor\b|\bany\b|\bcan\b", words):
            claims.append(_judged(f"`{name}` is a {spoken}", good, truth))
        inner = re.search(r"\b(?:list|tuple|array|set) of (\w+)", words)
        if good and inner and (of := _OF.get(inner[1].lower())):
            fits = all(_has_type(item, of) for item in real[0])
            claims.append(_judged(f"`{name}` is a {inner[0]}", fits, f"`{name}` is {real[0]!r}"))
    elif spoken is None:
        claims.append(_judged(f"parameter `{name}`", True, ""))
    left = [word for word in said if word not in _EASY and word not in _TYPES and word not in _OF]
    codes = [t for t in re.findall(r"`([^`]*)`", words) if t != name]
    unread = (words.strip(" ,:"),) if left or codes else ()
    return SignatureReading(tuple(claims), unread, rest)


_HEAD = re.compile(
    r"^[\s,:(]*(?:(?:which|that) (?:is|are|should be|must be|will be)|is|should be|must be)?(?:"
    r" also)?(?: expected to be)?\s*"
    r"(?:an?|the) (?P<noun>(?:[a-z-]+ ){0,2}?[a-z-]+)(?=$|[\s,.)(;]+(?:$|of|that|which|where|to"
    r"|in|containing"
    r"|representing|for|used|with|from|as|and|or|named|called|`))", re.I
)  # fmt: skip


def _head_type(words: str) -> str | None:
    """Returns the type noun of "which is a non-empty list of …"; not that of a phrase inside it."""
    match = _HEAD.match(words)
    noun = match["noun"].split()[-1].lower() if match else ""
    return noun if noun in _TYPES else None


def _argument(run: Replay, name: str) -> tuple[object] | None:
    for event in run.events:
        if event.kind == "call" and name in event.changed:
            try:
                return (parse_literal(event.changed[name]),)
            except LiteralError:
                return None
    return None


def _has_type(value: object, name: str) -> bool:
    if name == "number":
        return isinstance(value, int | float)
    if name == "float":
        return isinstance(value, int | float)
    return type(value).__name__ == name


def _judged(text: str, good: bool, truth: str) -> JudgedClaim:
    return JudgedClaim("code", text, CONFIRMED if good else CONTRADICTED, truth or None)


_IN_PLACE = re.compile(
    r"\b(?:(?P<not>does not|doesn't|not|without|never|do not) )?(?P<verb>modif(?:y|ies|ying)"
    r"|chang(?:e|es|ing)|mutat(?:e|es|ing)|alter(?:s|ing)?)"
    r" (?:the |its )?(?P<what>(?:original|input|given)(?: input)?(?: list| dictionary| array|"
    r" string| text| set)?s?|list|dictionary|array)"
    r"(?: `(?P<name>\w+)`)?(?P<place>,? in[- ]place| directly)?", re.I,
)  # fmt: skip


def read_mutation(run: Replay, code: Code, sentence: str) -> tuple[JudgedClaim, str] | None:
    """Reads "modifies the list in place", "does not modify the original"; gives the rest."""
    match = _IN_PLACE.search(sentence)
    if match is None:
        return None
    sure = match["place"] or "original" in match["what"] or match["name"]
    if not sure and match["what"].startswith(("list", "dict", "array")):
        return None
    names = [match["name"]] if match["name"] in code.parameters else list(code.parameters)
    mutated = [name for name in names if is_mutated(run, code, name)]
    if not match["name"] and len(names) > 1 and not mutated and not match["not"]:
        return None
    if not mutated and not match["not"] and not match["place"]:
        return None  # "modifies the string by …" may mean that it makes another one
    good = (not mutated) == bool(match["not"])
    truth = (
        f"`{mutated[0]}` is modified in place" if mutated else "no argument is modified in place"
    )
    rest = sentence[: match.start()] + sentence[match.end() :]
    return _judged(match[0].strip(), good, truth), rest


def is_mutated(run: Replay, code: Code, name: str) -> bool:
    """Tells whether the program changes the object that the parameter was given, in place."""
    value = _argument(run, name)
    if value is not None and isinstance(value[0], str | int | float | tuple | bytes | type(None)):
        return False
    aliases = {name} | _aliases(code, name)
    return any(_mutates(node, aliases, code, name) for node in ast.walk(code.tree))


def _aliases(code: Code, name: str) -> set[str]:
    return {
        other for other, values in code.definitions.items()
        if any(isinstance(value, ast.Name) and value.id == name for value in values)
    }  # fmt: skip


def _mutates(node: ast.AST, aliases: set[str], code: Code, name: str) -> bool:
    target: ast.expr | None = None
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name() as owner, attr=method)) if (
            method in _MUTATORS
        ):
            target = owner
        case ast.Subscript(value=ast.Name() as owner, ctx=ast.Store() | ast.Del()):
            target = owner
        case ast.AugAssign(target=ast.Name() as owner):
            target = owner if code.types.get(owner.id) == {"list"} else None
    if not isinstance(target, ast.Name) or target.id not in aliases:
        return False
    rebound = [
        line for line in _plain_bindings(code, target.id) if line < target.lineno
    ]  # fmt: skip
    return not rebound or (target.id != name and not _rebinds_fresh(code, target.id))


def _plain_bindings(code: Code, name: str) -> list[int]:
    return [
        node.lineno for node in ast.walk(code.tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]  # fmt: skip


def _rebinds_fresh(code: Code, name: str) -> bool:
    return any(not isinstance(value, ast.Name) for value in code.definitions.get(name, ()))
