"""Turns predicates into Python tests: "is less than 3" into `{} < 3`, "is a digit" into isdigit.

`read_predicate` gives templates with {s} for the subject; the caller fills and judges them.
"""

import re
from collections.abc import Sequence

from data_pipeline.verify.characters import character_in
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.nouns import code_of, read_noun

_NOT = re.compile(r"^(?:not|never|no longer|n't)\s+", re.I)
_ADVERBS = re.compile(
    r"^(?:also|already|now|still|currently|indeed|actually|clearly|just|then|both|therefore|"
    r"again|itself|present|found|contained|included|always|thus|initially|simply|entirely|purely|"
    r"all|strictly|either|one of|part of|an element of|a key|the key|one of the keys|a member|"
    r"a character|a value|a substring|a vowel(?= (?:and|in)))\s+(?=\S)",
    re.I,
)
_AFTERWARDS = re.compile(
    r" after (?:the |all |these |those )*(?:operations?|changes?|modifications?|steps?)$", re.I
)
_PLAIN: tuple[tuple[str, str], ...] = (
    (r"(?:an )?empty(?: (?:string|list|dictionary|dict|tuple|set|array))?", "len({s}) == 0"),
    (r"(?:a )?non-?empty(?: (?:string|list|dictionary|tuple|set))?", "len({s}) > 0"),
    (r"(?:an )?alphanumeric(?: character)?", "{s}.isalnum()"),
    (r"(?:an )?alphabetic(?: character)?|(?:a |an alphabet )?letter|an alphabetical character",
     "{s}.isalpha()"),
    (r"(?:a )?(?:numeric |decimal )?digit|numeric|a decimal(?: character)?|(?:purely )?decimal",
     "{s}.isdigit()"),
    (r"(?:in |all )?(?:a |an )?lower-?case(?: letter| character| string| vowel)?", "{s}.islower()"),
    (r"(?:in |all )?(?:a |an )?upper-?case(?: letter| character| string| vowel)?", "{s}.isupper()"),
    (r"(?:a )?(?:space|white-?space)(?: character)?", "{s}.isspace()"),
    (r"(?:an )?even(?: number| integer)?", "{s} % 2 == 0"),
    (r"(?:an )?odd(?: number| integer)?", "{s} % 2 == 1"),
    (r"(?:a )?positive(?: number| integer)?", "{s} > 0"),
    (r"(?:a )?negative(?: number| integer)?", "{s} < 0"),
    (r"non-?negative", "{s} >= 0"),
    (r"non-?zero", "{s} != 0"),
    (r"(?:a )?vowel", "{s}.lower() in ('a', 'e', 'i', 'o', 'u')"),
    (r"(?:a )?consonant", "{s}.isalpha() and {s}.lower() not in ('a', 'e', 'i', 'o', 'u')"),
    (r"(?:a )?(?:valid )?identifier|an identifier", "{s}.isidentifier()"),
    (r"truthy|provided|given|specified", "bool({s})"),
    (r"(?:a )?(?:number|integer)", "isinstance({s}, int)"),
    (r"(?:a )?string", "isinstance({s}, str)"),
    (r"(?:a )?list", "isinstance({s}, list)"),
    (r"(?:a )?(?:dictionary|dict)", "isinstance({s}, dict)"),
    (r"(?:a )?tuple", "isinstance({s}, tuple)"),
    (r"falsy", "not {s}"),
    (r"(?:an )?ascii(?: character)?", "{s}.isascii()"),
    (r"in title ?case|title ?cased", "{s}.istitle()"),
    (r"sorted|(?:sorted )?in (?:ascending|non-?decreasing) order", "list({s}) == sorted({s})"),
    (r"(?:sorted )?in (?:descending|non-?increasing) order",
     "list({s}) == sorted({s}, reverse=True)"),
    (r"(?:a )?palindrome", "{s} == {s}[::-1]"),
)  # fmt: skip
_COMPARED: tuple[tuple[str, str], ...] = (
    (r"greater than or equal to|at least|>=|≥", "{s} >= {o}"),
    (r"less than or equal to|smaller than or equal to|at most|<=|≤", "{s} <= {o}"),
    (r"(?:greater|larger|bigger|higher|more) than|>", "{s} > {o}"),
    (r"(?:less|smaller|lower|fewer) than|<", "{s} < {o}"),
    (r"longer than", "len({s}) > {o}"),
    (r"shorter than", "len({s}) < {o}"),
    (r"different from|unequal to|!=", "{s} != {o}"),
    (r"(?:equal to|(?:the )?same as|==|identical to|equivalent to)", "{s} == {o}"),
    (r"(?:evenly )?divisible by|a multiple of", "{s} % {o} == 0"),
    (r"in the (?:keys|dictionary|list|string) of", "{s} in {o}"),
    (r"(?:in|among|within|a substring of|part of|inside)", "{s} in {o}"),
)  # fmt: skip
_WORDED_NUMBERS = {"zero": "0", "one": "1", "two": "2", "three": "3"}
_PLAIN_TESTS = tuple((re.compile(p, re.I), t) for p, t in _PLAIN)
_COMPARISONS = tuple((re.compile(rf"^(?:{p})\s+(?P<o>.+)$", re.I), t) for p, t in _COMPARED)
_ALTERNATIVES = re.compile(r"^(?:equal to )?⟦\d+⟧(?:,? (?:or|nor|and) ⟦\d+⟧)+$")
_COUNTED = re.compile(r"^in (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧ with (?:a |the )?(?:count|value) of "
                      r"⟦(?P<n>\d+)⟧$", re.I)  # fmt: skip
_FROM_INDEX = re.compile(r"^in (?:the )?(?:\w+ )?⟦(?P<x>\d+)⟧ (?:starting |beginning )?(?:from|at) "
                         r"(?:the )?(?:index|position) ⟦(?P<n>\d+)⟧$", re.I)  # fmt: skip
_APPEARS = re.compile(
    r"^(?:appears|occurs|is (?:found|present)) (?:only |exactly |just )?"
    r"(?P<n>⟦\d+⟧ times?|once|twice|two times|three times) (?:in|within) (?P<o>.+)$",
    re.I,
)
_IS_INSIDE = re.compile(
    r"^(?P<not>does not |doesn't |do not )?(?:appears?|occurs?|exists?) (?:in|within) (?P<o>.+)$",
    re.I,
)
_HAS_EITHER = re.compile(
    r"^(?P<not>does not |doesn't |do not )?(?:contains?|has|have|includes?) (?:any |either )?"
    r"(?:of )?(?:the \w+ )?(?P<o>⟦\d+⟧(?:, ⟦\d+⟧)*,? or ⟦\d+⟧)$",
    re.I,
)
_MADE_OF = re.compile(
    r"^(?P<no>does not |doesn't )?"
    r"(?:contains? only|consists? (?:entirely |only |solely |purely )*of) (?:only |all )?"
    r"(?P<w>[a-z-]+?)(?: characters?| letters?|s)?$", re.I,
)  # fmt: skip
_HAS = re.compile(r"^(?P<not>does not |doesn't |do not )?"
                  r"(?P<verb>start|end|contain|include|have|match|equal)(?:e?s)?"
                  r"(?: with)? (?P<o>.+)$", re.I)  # fmt: skip


def read_predicate(complement: str, atoms: Sequence[Atom]) -> tuple[str, bool] | None:
    """Returns (test, outcome): a template with {s} and whether the text says that it holds.

    complement: what follows "is": "not in `seen`", "alphanumeric". None if it is not understood.
    """
    text, holds = _AFTERWARDS.sub("", complement.strip(" ,.;:")), True
    while True:
        if match := _NOT.match(text):
            text, holds = text[match.end() :], not holds
        elif match := _ADVERBS.match(text):
            text = text[match.end() :]
        else:
            break
    for pattern, template in _PLAIN_TESTS:
        if pattern.fullmatch(text):
            return template, holds
    if _ALTERNATIVES.match(text):
        values = [atoms[int(number)] for number in ATOM_NUMBER.findall(text)]
        if " and " not in text and all(atom.literal for atom in values):
            return "{s} in (" + ", ".join(atom.text for atom in values) + ",)", holds
        return None
    if text.lower() in _WORDED_NUMBERS:
        return f"{{s}} == {_WORDED_NUMBERS[text.lower()]}", holds
    if (character := character_in(text)) is not None:
        return f"{{s}} == {character!r}", holds
    if not holds and re.fullmatch(r"⟦\d+⟧", text) and atoms[int(text[1:-1])].literal:
        return f"{{s}} == {atoms[int(text[1:-1])].text}", holds  # "is not -1"
    if counted := _COUNTED.match(text):
        where, number = (code_of(atoms[int(counted[k])].text) for k in ("x", "n"))
        return f"{where}[{{s}}] == {number}", holds
    if after := _FROM_INDEX.match(text):
        where, index = (code_of(atoms[int(after[k])].text) for k in ("x", "n"))
        return f"{{s}} in ({where})[{index}:]", holds
    for pattern, template in _COMPARISONS:
        if match := pattern.match(text):
            other = _other(match["o"], atoms)
            return None if other is None else (template.replace("{o}", other), holds)
    return None


def read_possession(clause: str, atoms: Sequence[Atom]) -> tuple[str, bool] | None:
    """Returns (test, outcome) for "starts with `x`", "does not contain `x`"."""
    if counted := _APPEARS.match(clause):
        other = _other(counted["o"], atoms)
        word = counted["n"].split()[0].lower()
        number = {"once": "1", "twice": "2", "two": "2", "three": "3"}.get(word)
        if number is None:
            number = atoms[int(word[1:-1])].text
        return None if other is None else (f"{other}.count({{s}}) == {number}", True)
    if made_of := _MADE_OF.match(clause):
        inner = read_predicate(made_of["w"], atoms)
        return None if inner is None else (inner[0], inner[1] and made_of["no"] is None)
    if inside := _IS_INSIDE.match(clause):
        other = _other(inside["o"], atoms)
        return None if other is None else (f"{{s}} in {other}", inside["not"] is None)
    if either := _HAS_EITHER.match(clause):
        values = ", ".join(atoms[int(n)].text for n in ATOM_NUMBER.findall(either["o"]))
        return f"any(each in {{s}} for each in ({values},))", either["not"] is None
    match = _HAS.match(re.sub(r"^does (?:indeed )?(?!not)", "", clause))
    if match is None:
        return None
    other = _other(match["o"], atoms)
    if other is None:
        return None
    verb = match["verb"].lower()
    if verb in ("match", "equal"):
        return f"{{s}} == {other}", match["not"] is None
    if verb in ("start", "end"):
        return f"{{s}}.{verb}swith({other})", match["not"] is None
    return f"{other} in {{s}}", match["not"] is None


def _other(phrase: str, atoms: Sequence[Atom]) -> str | None:
    """Returns the expression of the other side of a comparison."""
    phrase = re.sub(r"^the (?:keys|characters|elements|values)(?= of)", "the value", phrase)
    phrase = re.sub(r" (?:dictionary|list|string|set|here|in this case|as well)$", "", phrase)
    if phrase.lower() in _WORDED_NUMBERS:
        return _WORDED_NUMBERS[phrase.lower()]
    if (character := character_in(phrase)) is not None:
        return repr(character)
    noun = read_noun(phrase, atoms)
    if noun is None or not noun.expressions:
        return None
    code = code_of(noun.expressions[0])
    return code if re.fullmatch(r"[\w.]+", code) else f"({code})"
