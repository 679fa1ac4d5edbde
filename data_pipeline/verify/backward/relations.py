"""Tests of a value against other values: where a part of it stands, how long it is beside another.

"starts with a comma followed by a space", "contains `x` at the beginning", "is one of `a`, `b` and
`c`", "is at least as long as `text`", "is lowercase `w`", "contains any characters of `excluded`".
"""

import re
from collections.abc import Callable
from typing import Any

from data_pipeline.source.literals import same_value
from data_pipeline.verify.adjectives import ADJECTIVES, Predicate
from data_pipeline.verify.backward.nouns import ATOM, MARKS, Nouns, change_of, number
from data_pipeline.verify.evaluation import Unknown

_MARK = rf"(?:{'|'.join(MARKS)})"
_PIECE = rf"(?:(?:an?|the) )?(?:character |string )?(?:{ATOM}|{_MARK})(?: characters?)?"
_FOLLOWED = re.compile(rf"with (?P<a>{_PIECE}),? (?:immediately )?followed by (?P<b>{_PIECE})")
_AT_END = re.compile(
    rf"(?:the (?:\w+ )?)?(?P<x>{ATOM}) at (?:the|its) (?P<end>start|beginning|end)"
    r"(?: of (?:the (?:string|text|list)|it))?"
)
_ONCE = re.compile(
    rf"(?:the (?:\w+ )?)?(?P<x>{ATOM}) (?P<how>exactly |at least |at most |only )?"
    r"(?P<count>once|twice|thrice)"
)
_ONE_OF = re.compile(
    rf"(?:one|any|some) of (?:the )?(?:following |these )?(?:\w+ )?"
    rf"(?P<all>{ATOM}(?:(?:,| or|, or| and|, and) {ATOM})*)"
)
_ANY_OF = re.compile(
    r"any (?:of the )?(?:characters?|letters?|elements?|items?|digits?) (?:from|of|in) (?P<of>.+)"
)
_SAME_LENGTH = re.compile(
    r"the same (?:length|size|number of (?:elements|items|characters)) as (?P<what>.+)"
)
_OCCURRENCE = re.compile(
    rf"(?:any|an?) (?:(?:occurrences?|instances?) of )?(?:the (?:\w+ )?)?(?P<x>{ATOM})"
)
_ALL_BUT = re.compile(
    rf"all (?:the )?(?:elements|items|characters) (?:from|of|in) (?P<of>.+?) except (?:for )?the"
    rf" first occurrence of (?P<x>{ATOM})"
)
_LENGTHS: dict[str, Callable[[int, int], bool]] = {
    "at least as long as": lambda a, b: a >= b, "no shorter than": lambda a, b: a >= b,
    "at most as long as": lambda a, b: a <= b, "no longer than": lambda a, b: a <= b,
    "as long as": lambda a, b: a == b, "longer than": lambda a, b: a > b,
    "shorter than": lambda a, b: a < b,
}  # fmt: skip
_LONG = re.compile(rf"(?P<how>{'|'.join(_LENGTHS)}) (?P<what>.+)")
_CASED = re.compile(rf"(?:an? |the )?(?P<how>lowercase|uppercase)(?: letter)? (?P<x>{ATOM})")
_VALID_INDEX = re.compile(
    r"(?:an? )?(?:valid (?:index|position)|valid|(?=within))(?: value)? ?(?:for|in|of|within)"
    r"(?: the bounds of)? (?P<of>.+?)(?:'s length)?"
)
_MEMBER = re.compile(
    r"(?:one|any) of the (?:elements|items|characters|values|numbers|words|strings|letters)"
    r" (?:in|of|from) (?P<of>.+)"
)
_PLURALS = r"strings|integers|numbers|lists|tuples|words|characters|digits|letters"
_LIST_OF = re.compile(rf"an? (?P<kind>list|tuple|sequence) (?:of|containing) (?P<items>{_PLURALS})")
_DICTIONARY_OF = re.compile(
    r"an? (?:dictionary|dict) (?:where|in which|with)(?: the| its)? keys (?:are|that are|as)"
    rf" (?P<keys>{_PLURALS}),? and(?: the| its)? values (?:are|that are|as) (?P<values>{_PLURALS})"
)
_WHEN = re.compile(
    rf"an? (?P<kind>{'|'.join(['string', 'list', 'text', 'word', 'tuple'])}) that,? when"
    r" (?P<how>[^,`]+(?:`[^`]+`)?),? (?:it )?(?:results? in|becomes?|yields?|produces?|gives?|is"
    r"|matches|equals) (?P<told>.+)"
)
_IN_ORDER = re.compile(
    rf"(?:the |all |these )*(?:[a-z]+ )?(?P<all>{ATOM}(?:(?:,| and|, and) {ATOM})+),? in (?:that"
    rf"|this"
    r"|the same|the given|exactly that) (?:specific |exact )?order"
)
_AND_THEN = re.compile(
    rf"with (?P<all>(?:the \w+ )?{ATOM},? followed by {ATOM}(?:(?:,| and|, and) {ATOM})*)"
)
_CASE_AND_REST = re.compile(
    r"with an? (?P<one>uppercase|lowercase) (?:letter|character),? (?:and|followed by) (?:the rest"
    r"|all other characters|the other letters|the remaining characters)(?: of the string)?"
    r" (?:are |is |being )?(?:in |all )?(?P<two>uppercase|lowercase)"
)


def related(verb: str, rest: str, nouns: Nouns) -> Predicate | None:
    """Returns the test that a verb and the words after it state; None for other words."""
    match verb:
        case "start" | "begin" | "end":
            return _ends(rest, nouns, at_end=verb == "end")
        case "contain" | "has" | "have" | "include":
            return _holds(rest, nouns)
        case "is" | "remain":
            return _is(rest, nouns)
    return None


def _ends(rest: str, nouns: Nouns, *, at_end: bool) -> Predicate | None:
    if match := _FOLLOWED.fullmatch(rest):
        whole = _text(match["a"], nouns) + _text(match["b"], nouns)
        return lambda value: value.endswith(whole) if at_end else value.startswith(whole)
    if (match := _AND_THEN.fullmatch(rest)) and not at_end:
        told = [nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]

        def begins(value: Any) -> bool:
            if isinstance(value, str):
                return value.startswith("".join(map(str, told)))
            return same_value(list(value)[: len(told)], told)

        return begins
    if (match := _CASE_AND_REST.fullmatch(rest)) and not at_end:
        first, other = (ADJECTIVES[match[name]] for name in ("one", "two"))

        def holds(value: Any) -> bool:
            if not any(map(str.isalpha, value[1:])):
                raise Unknown  # nothing is said of a rest without letters
            return first(value[0]) and other(value[1:])

        return holds
    return None


def _holds(rest: str, nouns: Nouns) -> Predicate | None:
    if match := _AT_END.fullmatch(rest):
        told = nouns.literal(match["x"])
        return lambda value: _stands(value, told, at_end=match["end"] == "end")
    if match := _ONCE.fullmatch(rest):
        told, size = nouns.literal(match["x"]), number(match["count"]) or 0
        least, most = (match["how"] == f"at {bound} " for bound in ("least", "most"))

        def counted(value: Any) -> bool:
            real = value.count(str(told) if isinstance(value, str) else told)
            return real >= size if least else real <= size if most else real == size

        return counted
    if match := _IN_ORDER.fullmatch(rest):
        told = [nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
        return lambda value: _stand_in_order(value, told)
    if match := _SAME_LENGTH.fullmatch(rest):
        found = [one for one in nouns.meanings(match["what"]) if not one.passing]
        if len(found) != 1:
            return None
        told = found[0].values[0]
        return lambda value: len(value) == (told if type(told) is int else len(told))
    if match := _OCCURRENCE.fullmatch(rest):
        part = nouns.literal(match["x"])
        return lambda value: part in value
    if match := _ALL_BUT.fullmatch(rest):
        found = [one for one in nouns.meanings(match["of"]) if not one.passing]
        if len(found) != 1:
            return None
        gone = nouns.literal(match["x"])
        return lambda value: same_value(value, _without_first(found[0].values[0], gone))
    if match := _ANY_OF.fullmatch(rest):
        owners = [one for one in nouns.meanings(match["of"]) if not one.passing]
        if len(owners) != 1 or not isinstance(owners[0].values[0], str | list | tuple):
            return None
        parts = owners[0].values[0]
        return lambda value: any(part in value for part in parts)
    return None


def _is(rest: str, nouns: Nouns) -> Predicate | None:
    if match := _VALID_INDEX.fullmatch(rest):
        size = _only(nouns, match["of"])
        return None if size is None else lambda value: -len(size[0]) <= value < len(size[0])
    if match := _MEMBER.fullmatch(rest):
        owner = _only(nouns, match["of"])
        return None if owner is None else lambda value: value in owner[0]
    if match := _LIST_OF.fullmatch(rest):
        kind = {"list": list, "tuple": tuple, "sequence": (list, tuple)}[match["kind"]]
        items = _kind(match["items"])
        return lambda value: isinstance(value, kind) and len(value) > 0 and all(map(items, value))
    if match := _DICTIONARY_OF.fullmatch(rest):
        keys, values = _kind(match["keys"]), _kind(match["values"])
        return lambda value: (
            isinstance(value, dict) and len(value) > 0
            and all(keys(key) and values(one) for key, one in value.items())
        )  # fmt: skip
    if match := _WHEN.fullmatch(rest):
        change, told = change_of(match["how"], nouns), _only(nouns, match["told"])
        if change is None or told is None:
            return None
        return lambda value: same_value(change(value), told[0])
    if match := _ONE_OF.fullmatch(rest):
        told = [nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
        return lambda value: any(_is_same(value, one) for one in told)
    if match := _CASED.fullmatch(rest):
        told, cased = nouns.literal(match["x"]), ADJECTIVES[match["how"]]
        return lambda value: same_value(value, told) and cased(value)
    if match := _LONG.fullmatch(rest):
        found = [one for one in nouns.meanings(match["what"]) if not one.passing]
        how = _LENGTHS[match["how"]]
        if len(found) != 1:
            return None
        return lambda value: how(len(value), len(found[0].values[0]))
    return None


def _without_first(whole: Any, gone: Any) -> Any:
    """Returns a text or list without the first occurrence of a part."""
    if isinstance(whole, str):
        return whole.replace(gone, "", 1)
    at = whole.index(gone) if gone in whole else len(whole)
    return whole[:at] + whole[at + 1 :]


def _only(nouns: Nouns, phrase: str) -> tuple[Any] | None:
    """Returns the only value that a phrase means, None if it may mean others."""
    found = [one for one in nouns.meanings(phrase) if not one.passing]
    return (found[0].values[0],) if len(found) == 1 and len(found[0].values) == 1 else None


def _kind(plural: str) -> Predicate:
    """Returns the test that an item is of the kind that a plural names."""
    kinds: dict[str, Predicate] = {
        "strings": lambda v: type(v) is str, "words": lambda v: type(v) is str,
        "integers": lambda v: type(v) is int, "numbers": lambda v: type(v) in (int, float),
        "lists": lambda v: type(v) is list, "tuples": lambda v: type(v) is tuple,
        "characters": lambda v: type(v) is str and len(v) == 1,
        "digits": lambda v: type(v) is str and len(v) == 1 and v.isdigit(),
        "letters": lambda v: type(v) is str and len(v) == 1 and v.isalpha(),
    }  # fmt: skip
    return kinds[plural]


def _stand_in_order(value: Any, told: list[Any]) -> bool:
    """Returns whether parts stand in a text or list one after the other."""
    if isinstance(value, str):
        at = 0
        for part in map(str, told):
            at = value.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return True
    items = iter(value)
    return all(any(same_value(item, one) for item in items) for one in told)


def _text(piece: str, nouns: Nouns) -> str:
    """Returns the text that "a comma" or code is."""
    if atom := re.search(ATOM, piece):
        return str(nouns.literal(atom[0]))
    return next(MARKS[word] for word in piece.split() if word in MARKS)


def _stands(value: Any, told: Any, *, at_end: bool) -> bool:
    if isinstance(value, str):
        return value.endswith(told) if at_end else value.startswith(told)
    return same_value(value[-1 if at_end else 0], told)


def _is_same(value: Any, told: Any) -> bool:
    """Returns whether two values are equal; `0` is the character "0" beside a text."""
    return same_value(value, str(told) if isinstance(value, str) else told)
