"""Reads which inputs a function is said to take: "the input can be any string", "must be a list".

Whether the function takes an input is tried: a call that raises is none that it takes.
"""

import re

from data_pipeline.source.literals import parse_literal, value_or_none
from data_pipeline.verify.adjectives import ADJECTIVES
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_MOST_TRIALS = 14
_KIND = (
    r"(?:string|list|text|dictionary|integer|number|word|character|value|array|sequence"
    r"|substring)s?"
)
_ANY = re.compile(
    rf"(?:the |an? )?(?:input |original )*(?:{_KIND} |parameter |argument )?(?P<x>{ATOM}|input)?"
    rf" ?(?:{_KIND} |parameter |argument )?(?:can|could|may) (?:be|contain|have|include|consist of)"
    rf" any (?:number of |type of |combination of |kind of )?(?:valid |printable |possible"
    rf" )?{_KIND}(?: or {_KIND})?"
    r"(?: of (?:integers|strings|characters|numbers|elements|words|any length))?"
    r"(?:,? including (?:an? |the )?empty (?:string|list|one|dictionar|strings|lists)\w*"
    r"|,? including [a-z]+ characters)?"
)
_MUST = re.compile(
    rf"(?:the )?(?:input |original |given )*(?:{_KIND} |parameter |argument )?(?:{ATOM}|input|it"
    rf"|(?:substring|slice)(?: extracted from {ATOM})?|{_KIND})"
    rf"(?: {_KIND}| parameter| argument)? (?:must|should|needs? to|has to) (?:be|contain|have"
    r"|start|end|consist)\b.*"
)
_OF_TYPE = re.compile(r"\bbe an? (?:string|list|dictionary|integer|tuple|number|float)$")
_SIGNS = re.compile(
    rf"(?:the )?(?:\w+ )?(?P<x>{ATOM})(?: \w+)? (?:can|could|may) be (?:either"
    rf" )?(?P<a>[a-z-]+),? or"
    r" (?P<b>[a-z-]+)"
)
_ANY_LENGTH = re.compile(
    rf"(?:the )?(?:input |original )*(?:{_KIND} )?(?P<x>{ATOM}|input|{_KIND}) (?:can|could|may)"
    rf" be of any"
    r" (?:length|size)"
)
_REASON = re.compile(
    r",? (?:in order )?to (?:avoid|prevent|separate|ensure|allow|split|determine|access|find"
    r"|get) .*$|,? (?:since|because|as (?=the|it)|for the function to) ?.*"
)
_NOT_EMPTY = re.compile(
    r"\bnon-empty\b|\bnot be empty\b|\bat least (?:one|1|`1`) (?:character|element|item|letter"
    r"|word)s?$"
)
_SAID_MORE = re.compile(r"\b(?:output|result|match|same|desired|expected|valid)\b")


class Domains:
    """Judges sentences on a function's inputs by trials."""

    def __init__(self, trials: Trials, *, general: bool = False):
        self.trials, self.general = trials, general
        self.names = set(trials.witness.arguments)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Confirms a sentence of a known form that all trials bear out; None of any other."""
        text = without_glosses(lowered(mark_code(sentence))).strip(" .:;-*")
        text = _REASON.sub("", text).strip(" ,")
        if match := _ANY.fullmatch(text):
            return self._takes_any(text, (match["x"] or "").strip("`"))
        if match := _ANY_LENGTH.fullmatch(text):
            name = match["x"].strip("`")
            return self._takes_any(text, name if name in self.names else "")
        if match := _SIGNS.fullmatch(text):
            return self._takes_both(text, match["x"].strip("`"), (match["a"], match["b"]))
        if _MUST.fullmatch(text) and not _SAID_MORE.search(re.sub(ATOM, "", text)):
            return self._needs(text)
        return None

    def _takes_any(self, text: str, name: str) -> list[JudgedClaim] | None:
        own = self.trials.witness.arguments
        if name not in own and (len(own) != 1 or name not in ("", "input")):
            return None
        varied = name if name in own else next(iter(own))
        found = self.trials.fitting(
            [], lambda t: all(t.arguments[n] == own[n] for n in own if n != varied), most=8
        )
        others = [one for one in found if one.arguments != own]
        if len(others) < 2 or not all(one.ended for one in (self.trials.own, *others)):
            return None
        return [self.trials.own.claim(text, held=True)]

    def _takes_both(self, text: str, name: str, kinds: tuple[str, str]) -> list[JudgedClaim] | None:
        """Confirms "`n` can be positive or negative" if a call with either returns a result."""
        tests = [ADJECTIVES.get(kind) for kind in kinds]
        if name not in self.names or None in tests:
            return None
        tried = [one for one in self.trials.mixed(_MOST_TRIALS) if one.ended]
        try:
            values = [parse_literal(one.arguments[name]) for one in tried]
            held = all(any(test(value) for value in values) for test in tests if test)
        except (TypeError, AttributeError):
            return None
        return [self.trials.own.claim(text, held=True)] if held else None

    def _needs(self, text: str) -> list[JudgedClaim] | None:
        """Confirms what the witness has, and without which no other input is taken."""
        told = Properties(self.trials.witness).read(text, choice=not self.general)
        names = set(re.findall(r"`(\w+)`", text))
        known = names & self.trials.witness.run.names <= self.names
        if not told or not known:
            return None

        def lacks(trial: Trial) -> bool:
            said = Properties(trial).read(text, choice=False)
            return bool(said) and any(one.verdict != CONFIRMED for one in said or ())

        named = [value_or_none(atom.strip("`")) for atom in re.findall(ATOM, text)]
        free = self.trials.fitting([one for one in named if one], lacks, most=4)
        goal = self.trials.witness.goal
        if self.general and len(free) > 1 and all(one.ended for one in free):
            given = [one for one in free if compare(one.goal, goal) == CONFIRMED]
            return [given[0].claim(text, held=False)] if given else None
        if any(one.verdict != CONFIRMED for one in told):
            return None
        least = 1 if _OF_TYPE.search(text) or _NOT_EMPTY.search(text) else 2
        if any(one.ended for one in free) or (len(free) < least and not _OF_TYPE.search(text)):
            return None
        return told
