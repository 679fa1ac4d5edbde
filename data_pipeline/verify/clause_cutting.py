"""Cuts a masked sentence into clauses: "since `x` is 2, the check fails (`y` stays 1)" into three.

A clause states one thing. Its link says how it hangs on the clause before it ("which", "since",
"so"); a clause behind "if" or "would" is hypothetical, and one in brackets is an aside.
"""

import dataclasses
import re

from data_pipeline.verify.screening import screened

_LINKS = (
    r"so that|so|because|since|therefore|thus|hence|consequently|but|however|"
    r"while(?! loops?\b| conditions?\b| statement\b)|whereas|which|"
    r"where|making|resulting|leaving|giving|yielding|producing|meaning|indicating|leading(?= to)|"
    r"as (?=⟦|it|the|there|they|no)|due to|given that|returning"
)
_VERBS = (
    r"is|are|was|has|have|does|do|returns?|becomes?|remains?|appends?|adds?|sets?|assigns?|"
    r"increments?|updates?|enters?|skips?|exits?|goes|gets|evaluates?|checks?|proceeds?|"
    r"continues?|moves?|stores?|concatenates?|removes?|replaces?|converts?|joins?|breaks?|"
    r"results?|gives?|yields?|produces?|starts?|ends?|executes?|reaches|contains?|increases?|"
    r"decreases?|calls?|raises?|terminates?|stops?|creates?|initializes?|deletes?|pops?"
)
_STARTS = r"it|the|this|that|we|then|thus|so|there|its|no|they|both"
_CUT = re.compile(
    r"\s*[;:](?=\s|$)\s*|\s+[—–-]{1,2}\s+|\s*(?P<open>\()\s*|\s*(?P<close>\))\s*|"
    r",\s*(?:(?:and|or|but)\s+)?(?=\S)|"
    rf"\s+(?=(?:{_LINKS})\b)|"
    r"\s+(?:after|by)\s+(?=(?:insert|add|append|remov|delet|pop)ing\b"
    r"(?![^,.;()]* (?:is|are|was|becomes|equals|gives)\b))|"
    rf"\s+and\s+(?=(?:{_STARTS}|{_VERBS})\b|⟦\d+⟧\s+(?:{_VERBS}|=)(?![\w]))|"
    rf"\s+then\s+(?=(?:{_VERBS})\b)",
    re.I,
)
_LINK = re.compile(rf"^(?:and\s+|or\s+)?(?P<link>{_LINKS})\b,?\s*(?:that\s+)?", re.I)
CASES = r"as (?:soon|long) as|in case|provided that"
"""Wordings of a condition beside "if", "when" and "once"."""
_HYPOTHETICAL = screened(
    r"\b(?:if(?! (?:block|branch|body|statement|condition|check|clause|test|part|⟦\d+⟧:))|would|"
    r"could|should|may|might|can|cannot|whether|unless|suppose|otherwise|assum\w+|when|whenever|"
    r"until|expects?|expected|for example|e\.g\.|either|any|(?<!over )(?<!through )(?<!for )every|"
    r"(?<!over )(?<!through )each|always|never|usually|says|"
    rf"once|ensures?|{CASES})\b",
    re.I,
)
_WHEN_CALLED = screened(r"\bwhen (?=called|given|invoked|applied|the input)", re.I)
_NOT_HYPOTHETICAL = screened(
    r"\bonce (?:again|more)\b|\bonce(?=\s*[.,]?$)|"
    r"\b(?:appears?|occurs?|found|present) (?:only |exactly |just )?once\b",
    re.I,
)
_OPENS = re.compile(
    r"^(?:if|when|whenever|unless|suppose|otherwise|for example|e\.g\.|for (?:each|every)|once|"
    rf"{CASES}|every time|each time|the moment)\b",
    re.I,
)


@dataclasses.dataclass(frozen=True)
class Clause:
    """Holds one clause of a masked sentence.

    link:         the word that hangs it on the clause before, lower case, "" if none
    hypothetical: whether it is a condition, a possibility or a rule, not a fact of the run
    aside:        whether it stands in brackets
    start, end:   its span in the sentence
    """

    text: str
    link: str
    hypothetical: bool
    aside: bool
    start: int
    end: int


def split_clauses(sentence: str) -> list[Clause]:
    """Returns the clauses of one masked sentence, in its order."""
    clauses: list[Clause] = []
    at, depth = 0, 0
    opened = bool(_OPENS.match(sentence))
    for cut in [*_CUT.finditer(sentence), None]:
        end = len(sentence) if cut is None else cut.start()
        clause = _clause(sentence, at, end, depth > 0, opened)
        if clause is not None:
            clauses.append(clause)
        if cut is not None:
            depth += bool(cut["open"]) - bool(cut["close"] and depth)
            at = cut.end()
    return clauses


def _clause(sentence: str, start: int, end: int, aside: bool, opened: bool) -> Clause | None:
    text = sentence[start:end].strip(" .,;:!?")
    if not text:
        return None
    link = _LINK.match(text)
    if link:
        text = text[link.end() :].strip() or text
    return Clause(
        text,
        link["link"].lower().strip() if link else "",
        opened or is_hypothetical(text),
        aside,
        start,
        end,
    )


def is_hypothetical(text: str) -> bool:
    """Returns whether a text is conditional, general or uncertain."""
    text = _NOT_HYPOTHETICAL.sub("", _WHEN_CALLED.sub("", text))
    return bool(_HYPOTHETICAL.search(text))
