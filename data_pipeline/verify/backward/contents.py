"""Tests of what texts and lists are said to be made of: "contains only digits", "has no spaces".

A kind of character is told in many words ("non-alphabetic characters", "characters that are not
digits"), and so is how many there are ("only", "at least one", "any", "no"). A test raises Unknown
where the words do not decide: of an empty text, nothing is said by "only digits".
"""

import re
import string
from collections.abc import Callable
from typing import Any

from data_pipeline.verify.adjectives import ADJECTIVES, Predicate
from data_pipeline.verify.backward.nouns import ATOM, MARKS, Nouns, items_of, number
from data_pipeline.verify.evaluation import Unknown

_KINDS: dict[str, Callable[[str], bool]] = {
    "ascii": str.isascii, "alphabetic": str.isalpha, "alphabetical": str.isalpha,
    "alpha": str.isalpha, "letter": str.isalpha, "alphabet": str.isalpha,
    "alphanumeric": str.isalnum, "digit": str.isdigit, "decimal": str.isdecimal,
    "decimal digit": str.isdecimal, "numeric": str.isnumeric, "numeric digit": str.isdigit,
    "number": str.isdigit, "uppercase": str.isupper, "upper case": str.isupper,
    "capital": str.isupper, "lowercase": str.islower, "lower case": str.islower,
    "whitespace": str.isspace, "space": lambda c: c == " ",
    "punctuation": lambda c: c in string.punctuation,
    "punctuation mark": lambda c: c in string.punctuation,
    "special": lambda c: not c.isalnum() and not c.isspace(),
    "vowel": lambda c: c.lower() in "aeiou",
    "consonant": lambda c: c.isascii() and c.isalpha() and c.lower() not in "aeiou",
    "printable": str.isprintable, "decimal point": lambda c: c == ".",
    "newline": lambda c: c == "\n", "tab": lambda c: c == "\t",
}  # fmt: skip
_NOUN = r"(?:characters?|letters?|digits?|symbols?|numbers?)"
_THAT = re.compile(
    rf"(?:other )?{_NOUN} (?:that|which) (?:is|are) (?P<no>not )?(?:an? |all |in )?(?P<kind>.+)"
)
_OTHER_THAN = re.compile(rf"{_NOUN} other than (?P<kind>.+)")
_JOINED = re.compile(r",? (?:and|or) |, ")
_COMPOSED = re.compile(
    r"^(?:(?P<no>not) )?(?:(?:entirely|solely|only|exclusively|completely|purely) )*"
    r"(?:(?:composed|made up|made|comprised|formed|consisting) )(?:entirely |solely |only"
    r" |exclusively |completely )*(?:of|from) (?:only |solely |entirely |all )?"
)
_ONLY = re.compile(
    r"^(?:only|solely|entirely|exclusively|purely|completely|nothing but|all)(?: of| in)? "
    r"(?P<what>.+)"
)
_SOME = re.compile(
    r"^(?P<how>any|some|at least (?:one|a|an|`1`)|one or more|multiple|several|an?|both|no|zero)"
    r"(?: other)? (?P<what>.+)"
)
_COUNTED = re.compile(
    r"^(?P<how>exactly |at least |at most |only )?(?P<count>`\d+`|[a-z]+) (?P<what>.+)"
)
_TIMES = re.compile(
    rf"(?:the )?(?:[a-z]+ )?(?P<x>{ATOM}) (?P<how>exactly |at least |at most )?"
    r"(?P<count>`\d+`|[a-z]+) (?P<more>or more )?(?:times|occurrences)"
)
_DUPLICATES = re.compile(
    r"(?:any |some )?(?:duplicates?|repeated)(?: (?:elements?|items?|characters?|values?|keys?))?"
    rf"(?: of {ATOM}(?:,? (?:and |or )?{ATOM})*)?"
)
_MARKED = re.compile(rf"(?:(?:the )?characters? )?(?P<mark>{ATOM})(?: characters?)?")


def made_of(verb: str, rest: str, nouns: Nouns) -> Predicate | None:
    """Returns the test that "contains", "consists", "has" or "is" and the words after it state."""
    words = re.sub(r"(?: in it| (?:anywhere )?in any (?:case|order)| at all)$", "", rest)
    only = verb == "consist"
    if match := _TIMES.fullmatch(words):
        return _repeated(match, nouns)
    if _DUPLICATES.fullmatch(words):
        return lambda value: len(set(_items(value))) < len(_items(value))
    if (joined := _counts(verb, words, nouns)) is not None:
        return joined
    words = words.removeprefix("of ") if only else words
    if verb in ("is", "remain"):
        plain = _COMPOSED.sub("only ", words)
        if plain == words and not _ONLY.match(words):
            return None
        words = plain
    if (match := _ONLY.match(words)) or only:
        kind = _kind(match["what"] if match else words, nouns)
        return None if kind is None else lambda value: _all(kind, value)
    if match := _SOME.match(words):
        if parts := _parts(match["what"], nouns):
            if match["how"] in ("no", "zero"):
                return lambda value: not any(_count(one, value) for one in parts)
            if match["how"] == "both" or len(parts) == 1:
                return lambda value: all(_count(one, value) for one in parts)
            return lambda value: any(_count(one, value) for one in parts)
        return None
    if (match := _COUNTED.match(words)) and (size := number(match["count"])) is not None:
        kind = _kind(match["what"], nouns)
        if kind is None:
            return None
        how = (match["how"] or "").strip()
        return lambda value: _fits(how, _count(kind, value), size)
    parts = _parts(words, nouns)
    return (lambda value: all(_count(one, value) for one in parts)) if parts else None


def _repeated(match: re.Match[str], nouns: Nouns) -> Predicate | None:
    """Returns the test of "the number 2 three or more times"."""
    told, size = nouns.literal(match["x"]), number(match["count"])
    how = "at least" if match["more"] else (match["how"] or "").strip()
    if size is None:
        return None

    def holds(value: Any) -> bool:
        real = value.count(str(told)) if isinstance(value, str) else _items(value).count(told)
        return _fits(how, real, size)

    return holds


def _counts(verb: str, words: str, nouns: Nouns) -> Predicate | None:
    """Returns the test of "two `a` characters and three digits": each part has its count."""
    parts = re.split(r",? and |, ", words)
    if len(parts) < 2 or any(_COUNTED.match(part) is None for part in parts):
        return None
    found = [made_of(verb, part, nouns) for part in parts]
    tests = [one for one in found if one is not None]
    return (lambda value: all(one(value) for one in tests)) if len(tests) == len(parts) else None


def _fits(how: str, real: int, told: int) -> bool:
    return real >= told if how == "at least" else real <= told if how == "at most" else real == told


def _parts(text: str, nouns: Nouns) -> list[Predicate] | None:
    """Returns the tests of "letters and spaces", each apart; None if one is unknown."""
    if _THAT.fullmatch(text) or _OTHER_THAN.fullmatch(text):
        whole = _kind(text, nouns)
        return None if whole is None else [whole]
    found = [_kind(part, nouns) for part in _JOINED.split(text)]
    kept = [one for one in found if one is not None]
    return kept if len(kept) == len(found) else None


def _kind(text: str, nouns: Nouns) -> Predicate | None:
    """Returns the test of one character, or item, that is of a kind; None if it is unknown."""
    text = re.sub(r"^(?:an?|the|any) ", "", text.strip())
    if match := _THAT.fullmatch(text):
        kind = _kind(match["kind"], nouns)
        return None if kind is None else (lambda one: not kind(one)) if match["no"] else kind
    if match := _OTHER_THAN.fullmatch(text):
        kind = _kind(match["kind"], nouns)
        return None if kind is None else lambda one: not kind(one)
    if len(parts := _JOINED.split(text)) > 1:
        kinds = [_kind(part, nouns) for part in parts]
        known = [one for one in kinds if one is not None]
        return (lambda one: any(kind(one) for kind in known)) if len(known) == len(kinds) else None
    if match := _MARKED.fullmatch(text):
        told = nouns.literal(match["mark"])
        return lambda one: one == told
    if denied := re.fullmatch(r"(?:non-|not )(?P<kind>.+)", text):
        kind = _kind(denied["kind"], nouns)
        return None if kind is None else lambda one: not kind(one)
    return _named_kind(text)


def _named_kind(text: str) -> Predicate | None:
    noun = re.search(rf"(?:^| )({_NOUN})$", text)
    bare = text[: noun.start()] if noun and noun.start() else text
    for name in (text, text.rstrip("s"), bare, bare.rstrip("s")):
        if name in _KINDS:
            test, letter = _KINDS[name], noun is not None and noun[1].startswith("letter")
            return lambda one: (
                isinstance(one, str) and len(one) == 1 and test(one)
                and (not letter or one.isalpha())
            )  # fmt: skip
        if name in MARKS:
            return lambda one: one == MARKS[name]
    items = ADJECTIVES.get(text)
    return None if items is None else lambda one: not isinstance(one, str) and bool(items(one))


def _items(value: Any) -> list[Any]:
    if isinstance(value, str | list | tuple | set | dict):
        return list(items_of(value, "element") or [] if isinstance(value, str) else value)
    raise Unknown


def _all(kind: Predicate, value: Any) -> bool:
    items = _items(value)
    if not items:
        raise Unknown  # "only digits" says nothing of an empty text
    return all(map(kind, items))


def _count(kind: Predicate, value: Any) -> int:
    return sum(1 for item in _items(value) if kind(item))
