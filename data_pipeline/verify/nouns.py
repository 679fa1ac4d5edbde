"""Turns noun phrases into Python expressions: "the length of `xs`" into `len(xs)`.

`read_noun` reads a phrase whose code is masked. A property that it does not know ("the median of
`xs`") gives nothing: it must never be taken for the thing itself.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

from data_pipeline.verify.characters import character_of
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.screening import Pattern, screened

_DETERMINERS = re.compile(
    r"^(?:the|a|an|this|that|these|those|its|our|both|current|currently|now|new|old|original|"
    r"whole|entire|resulting|returned|modified|updated|final|initial|actual|given|input|empty|"
    r"variable|parameter|argument|expression|value|variables?|integer|string|list|dictionary|dict|"
    r"array|tuple|set|number|char|character|letter|digit|key|element|item|word|substring|text|"
    r"name|line|object|float|boolean|flag|counter|method|call|index|loop|operation|condition|"
    r"if|while|elif|returns?|result|sublist|slice|is|says|:|string's|statement|code|"
    r"formatted|sorted|reversed|joined|combined|copied|sum|processed|then|here|slicing|indexing)\b\s*",
    re.I,
)
_ATOM = re.compile(r"⟦(\d+)⟧$")
_THING = (
    r"(?:element|item|character|char|entry|value|word|letter|digit|key|number|part|name|line)s?"
)
_OF = r"(?:of|in|from|inside|within)"
_WHAT = r"(?:(?:the|all|all the|its) )?(?:\w+ )??"


@dataclasses.dataclass(frozen=True)
class Noun:
    """Holds a noun phrase that was read.

    expressions: Python expressions that it may mean, the likeliest first
    word:        the head noun where no expression is known ("list", "result", "condition", "it")
    prefix:      adjectives before that noun ("input", "resulting")
    """

    expressions: tuple[str, ...] = ()
    word: str = ""
    prefix: str = ""


def _each(pattern: str) -> Pattern:
    return screened(pattern, re.I)


# A pattern and a template; {x} is the phrase behind it, {a} and {b} are single atoms.
_PROPERTIES: tuple[tuple[Pattern, str], ...] = (
    (_each(rf"(?:number|count) of (?:occurrences|times) (?:of )?(?:the \w+ )?(?P<a>⟦\d+⟧) "
           rf"(?:{_OF}|appears in|occurs in) (?P<x>.+)$"), "{x}.count({a})"),
    (_each(rf"count of (?:the \w+ )?(?P<a>⟦\d+⟧) {_OF} (?P<x>.+)$"), "{x}.count({a})"),
    (_each(rf"(?:number|count) of words {_OF} (?P<x>.+)$"), "len({x}.split())"),
    (_each(rf"(?:number|count) of (?:elements|items|characters|entries|keys|letters|values|pairs|"
           rf"key-value pairs|digits|strings|numbers) {_OF} (?P<x>.+)$"), "len({x})"),
    (_each(r"(?:length|size|len) of (?P<x>.+)$"), "len({x})"),
    (_each(r"(?:final|last|current|new|initial|original) (?:value|state|contents?) of (?P<x>.+)$"),
     "{x}"),
    (_each(rf"(?P<k>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|final) "
           rf"(?:and only )?word {_OF} (?P<x>.+)$"), "{x}.split()[{k}]"),
    (_each(rf"(?P<k>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|final) "
           rf"(?:and only )?{_THING} {_OF} (?P<x>.+)$"), "list({x})[{k}]"),
    (_each(rf"{_THING} at (?:the )?(?:index|position) (?P<a>⟦\d+⟧) (?:{_OF}) (?P<x>.+)$"),
     "{x}[{a}]"),
    (_each(rf"{_THING} {_OF} (?P<x>.+?) at (?:index|position) (?P<a>⟦\d+⟧)$"), "{x}[{a}]"),
    (_each(r"value (?:at|for|of|under|associated with) (?:the )?key (?P<a>⟦\d+⟧) "
           rf"(?:{_OF}) (?P<x>.+)$"), "{x}[{a}]"),
    (_each(rf"(?:index|position) of (?:the \w+ )?(?P<a>⟦\d+⟧) {_OF} (?P<x>.+)$"),
     "{x}.index({a})"),
    (_each(rf"(?:last|final) (?:valid )?index {_OF} (?P<x>.+)$"), "len({x}) - 1"),
    (_each(r"(?:sum|total) of (?P<a>⟦\d+⟧) and (?P<b>⟦\d+⟧)$"), "{a} + {b}"),
    (_each(r"product of (?P<a>⟦\d+⟧) and (?P<b>⟦\d+⟧)$"), "{a} * {b}"),
    (_each(r"difference (?:of|between) (?P<a>⟦\d+⟧) and (?P<b>⟦\d+⟧)$"), "abs({a} - {b})"),
    (_each(r"(?:maximum|max|larger|greater|largest) of (?P<a>⟦\d+⟧) and (?P<b>⟦\d+⟧)$"),
     "max({a}, {b})"),
    (_each(r"(?:minimum|min|smaller|lesser|smallest) of (?P<a>⟦\d+⟧) and (?P<b>⟦\d+⟧)$"),
     "min({a}, {b})"),
    (_each(r"remainder (?:of|when) (?P<a>⟦\d+⟧) (?:is )?divided by (?P<b>⟦\d+⟧)$"), "{a} % {b}"),
    (_each(rf"(?:sum|total) of {_WHAT}(?:{_THING} {_OF} )?(?P<x>⟦\d+⟧)$"), "sum({x})"),
    (_each(rf"(?:maximum|largest|max|highest|biggest|greatest)(?: {_THING})? {_OF} (?P<x>.+)$"),
     "max({x})"),
    (_each(rf"(?:minimum|smallest|min|lowest|least)(?: {_THING})? {_OF} (?P<x>.+)$"), "min({x})"),
    (_each(rf"keys {_OF} (?P<x>.+)$"), "list({x}.keys())"),
    (_each(rf"values {_OF} (?P<x>.+)$"), "list({x}.values())"),
    (_each(rf"items {_OF} (?P<x>.+)$"), "list({x}.items())"),
    (_each(r"(?:absolute value|magnitude) of (?P<x>.+)$"), "abs({x})"),
    (_each(r"square of (?P<x>.+)$"), "({x}) ** 2"),
    (_each(r"(?:reverse|reversal) of (?P<x>.+)$"), "{x}[::-1]"),
    (_each(r"(?:uppercase|upper-case) (?:version|form) of (?P<x>.+)$"), "{x}.upper()"),
    (_each(r"(?:lowercase|lower-case) (?:version|form) of (?P<x>.+)$"), "{x}.lower()"),
    (_each(r"type of (?P<x>.+)$"), "type({x})"),
    (_each(r"range of (?P<x>.+)$"), "{x}"),
    (_each(r"(?:contents?|value|state|elements) of (?P<x>.+)$"), "{x}"),
    (_each(r"(?:results?|outcome|output) of (?P<x>⟦\d+⟧)$"), "{x}"),
)  # fmt: skip
_KIND_BEHIND = screened(
    r"(⟦\d+⟧) (?:list|string|dictionary|variable|array|tuple|set|parameter|value|method call|"
    r"index|number|counter|count|character|argument|integer|flag|prefix|suffix|substring|text|word|key|part)$",
    re.I,
)
_ASSIGNED = re.compile(r"([A-Za-z_]\w*) = ([^=].*)$", re.S)
_POSSESSIVE = re.compile(r"^(?P<x>⟦\d+⟧)'s (?P<p>\w+)$")
_KEYWORD = re.compile(r"^(?:if|elif|while|return|for \w+ in)\s+|:$")
_REFERRING = re.compile(
    r"^(?:(?:the|this|that|its|our|these|both|a|an) )?(?P<prefix>(?:(?:input|original|resulting|"
    r"modified|updated|final|new|returned|returning|processed|stripped|joined|sorted|reversed|"
    r"current|entire|whole|whole input|formatted|padded|first|only|remaining|combined|concatenated|"
    r"inner|outer|swapped|filtered|loop|while|for|if|elif|return|else|and only|stored|computed|"
    r"calculated|overall|same|merged|cleaned|transformed|generated|constructed|output|given|test|"
    r"expected|intermediate|initial|copied|next|previous) )*)"
    r"(?P<word>list|string|dictionary|dict|array|tuple|set|number|integer|value|result|output|"
    r"answer|condition|check|test|comparison|expression|character|char|letter|digit|key|element|"
    r"item|word|text|function|call|method|loop|statement|it|this|which|that|line|sum|total|length|"
    r"count|index|operation|outcome|input|substring|slice|argument|program|code|they|lists|strings|"
    r"clause|block|float|boolean|remainder|product|difference|conditions|matrix|sentence|phrase)$",
    re.I,
)


_MODIFIERS = re.compile(
    r"(?: (?:after|before|by|from) (?:this |the |that |all |each |it )*(?:\w+ing\b(?! ⟦\d+⟧$)[^⟦]*|"
    r"(?:operation|replacement|iteration|step|loop|call|modification|insertion|removal|sort|"
    r"processing|conversion|slicing|swap)s?)|"
    r" (?:of|from) (?:this|the|that) (?:operation|replacement|expression|call|step|method|"
    r"comparison|calculation|concatenation|slice|check|line|iteration|slicing|addition|"
    r"function call|function|split|join|strip|stripping|search|sort|reversal|multiplication|"
    r"subtraction|division|modulo|swap|removal|insertion|merge|update|splitting|joining|sorting)|"
    r" (?:here|in this case|at this point|in memory|so far))+$",
    re.I,
)


_CHARACTERS_IN = re.compile(
    r"^(?:the )?(?:number|count) of (?P<w>[a-z]+) (?:characters? )?(?:in|of|within) (?P<x>.+)$",
    re.I,
)
_RESULT_ITEM = re.compile(
    rf"(?:the )?(?P<k>{'|'.join(INDEXES)}) (?:element|item|character|value|entry|tuple|key) "
    r"(?:of|in) (?:the )?(?:(?:final|returned|new) )*"
    r"(?:(?:output|result|returned|resulting) (?:list|tuple|string|array)|output|result)$",
    re.I,
)


def read_noun(phrase: str, atoms: Sequence[Atom]) -> Noun | None:
    """Returns the meaning of a noun phrase that fills `phrase`; None if it is not understood."""
    phrase = _MODIFIERS.sub("", phrase.strip(" ,.;:`*\"'"))
    for pattern, template in _PROPERTIES if " " in phrase and "⟦" in phrase else ():
        match = pattern.search(phrase)
        if match is not None and not _is_known_end(phrase[: match.start()]):
            continue
        if match is not None:
            made = _fill(template, match, atoms)
            return Noun(made) if made else None
    if match := _CHARACTERS_IN.match(phrase):  # "the count of dots in `s`"
        character, inner = character_of(match["w"]), read_noun(match["x"], atoms)
        if character is None or inner is None or not inner.expressions:
            return None
        return Noun(tuple(f"{_bracket(x)}.count({character!r})" for x in inner.expressions))
    if match := _RESULT_ITEM.match(phrase):
        return Noun((), f"at {INDEXES[match['k'].lower()]}", "returned")
    if match := _POSSESSIVE.match(_strip(phrase)):
        prop = read_noun(f"{match['p']} of {match['x']}", atoms)
        if prop is not None and prop.expressions:
            return prop
    if (found := _ATOM.fullmatch(_strip(_KIND_BEHIND.sub(r"\1", phrase)))) is not None:
        code = code_of(atoms[int(found[1])].text)
        if assigned := _ASSIGNED.match(code):  # "`n = len(xs)`, which is 2"
            return Noun((assigned[1], assigned[2]))
        return Noun((code,))
    if match := _REFERRING.match(phrase):
        return Noun((), match["word"].lower(), match["prefix"].strip().lower())
    return None


_DETERMINER = re.compile(r"^(?:the|a|an|its|their|this|⟦\d+⟧)$", re.I)
_INNER_VERB = re.compile(
    r"\b(?:is|are|was|has|have|returns?|becomes|gives|calls?|pops?|adds?|appends?|removes?|"
    r"iterat\w+|starts|begins|refers|contains?|creates?|executes?|checks?|takes?|\w+ing|gets?|"
    r"evaluates?|converts?|splits?|joins?|replaces?|sets?|finds?|processes|loops?)\b",
    re.I,
)


def read_last_noun(text: str, atoms: Sequence[Atom]) -> Noun | None:
    """Returns the longest noun phrase that ends a text: "over the length of `xs`" is `len(xs)`.

    A phrase that is not understood ("the middle of `xs`") means some value, and never its end.
    """
    words = text.strip(" ,.;:").split(" ")
    for start, word in enumerate(words):
        if not _DETERMINER.match(word):
            continue
        phrase = " ".join(words[start:])
        noun = read_noun(phrase, atoms)
        if noun is not None:
            return noun
        if not word.startswith("⟦") and not _INNER_VERB.search(phrase):
            return Noun((), "value")
    return None


def code_of(text: str) -> str:
    """Returns the expression of a piece of code: "if x > 2:" gives "x > 2"."""
    return _KEYWORD.sub("", _KEYWORD.sub("", text.strip())).strip()


def _strip(phrase: str) -> str:
    while (shorter := _DETERMINERS.sub("", phrase, count=1)) != phrase:
        phrase = shorter
    return phrase.strip()


@functools.lru_cache(maxsize=1024)
def _is_known_end(head: str) -> bool:
    """Returns whether only determiners stand before a property."""
    return not _strip(head + " ").strip()


def _fill(template: str, match: re.Match[str], atoms: Sequence[Atom]) -> tuple[str, ...]:
    groups = match.groupdict()
    values = {
        key: code_of(atoms[int(groups[key][1:-1])].text) for key in ("a", "b") if groups.get(key)
    }
    if groups.get("k"):
        values["k"] = str(INDEXES[groups["k"].lower()])
    if "x" not in groups:
        return (template.format(**values),)
    inner = read_noun(groups["x"], atoms)
    if inner is None or not inner.expressions:
        return ()
    return tuple(template.format(x=_bracket(x), **values) for x in inner.expressions)


def _bracket(code: str) -> str:
    return (
        code if re.fullmatch(r"[\w.]+|[\w.]*[\[(].*[\])]|'[^']*'|\"[^\"]*\"", code) else f"({code})"
    )
