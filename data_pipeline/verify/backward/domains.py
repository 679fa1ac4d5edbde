"""Reads which inputs a function is said to take: "the input can be any string", "must be a list".

Whether the function takes an input is tried: a call that raises is none that it takes.
"""

import re

from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.reading import JudgedClaim

_KIND = r"(?:string|list|text|dictionary|integer|number|word|character|value|array|sequence)s?"
_ANY = re.compile(
    rf"(?:the |an? )?(?:input |original )*(?:{_KIND} |parameter |argument )?(?P<x>{ATOM}|input)?"
    rf" ?(?:{_KIND} |parameter |argument )?(?:can|could|may) (?:be|contain|have|include|consist of)"
    rf" any (?:number of |type of |combination of |kind of )?(?:valid |printable |possible"
    rf" )?{_KIND}"
    r"(?: of (?:integers|strings|characters|numbers|elements|words|any length))?"
    r"(?:,? including (?:an? |the )?empty (?:string|list|one|dictionar|strings|lists)\w*"
    r"|,? including [a-z]+ characters)?"
)
_MUST = re.compile(
    rf"(?:the )?(?:input |original |given )*(?:{_KIND} |parameter |argument )?(?:{ATOM}|input"
    rf"|{_KIND})"
    rf"(?: {_KIND}| parameter| argument)? (?:must|should|needs? to|has to) (?:be|contain|have"
    r"|start|end|consist)\b.*"
)
_OF_TYPE = re.compile(r"\bbe an? (?:string|list|dictionary|integer|tuple|number|float)$")
_REASON = re.compile(r",? (?:since|because|as (?=the|it)|for the function to) ?.*")
_SAID_MORE = re.compile(r"\b(?:output|result|match|same|desired|expected|valid)\b")


class Domains:
    """Judges sentences on a function's inputs by trials."""

    def __init__(self, trials: Trials):
        self.trials = trials
        self.names = set(trials.witness.arguments)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Confirms a sentence of a known form that all trials bear out; None of any other."""
        text = without_glosses(lowered(mark_code(sentence))).strip(" .:;-*")
        text = _REASON.sub("", text)
        if match := _ANY.fullmatch(text):
            return self._takes_any(text, (match["x"] or "").strip("`"))
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

    def _needs(self, text: str) -> list[JudgedClaim] | None:
        """Confirms what the witness has, and without which no other input is taken."""
        told = Properties(self.trials.witness).read(text, choice=True)
        names = set(re.findall(r"`(\w+)`", text))
        known = names & self.trials.witness.run.names <= self.names
        if not told or not known or any(one.verdict != CONFIRMED for one in told):
            return None

        def lacks(trial: Trial) -> bool:
            said = Properties(trial).read(text, choice=False)
            return bool(said) and any(one.verdict != CONFIRMED for one in said or ())

        free = self.trials.fitting([], lacks, most=4)
        if any(one.ended for one in free) or (len(free) < 2 and not _OF_TYPE.search(text)):
            return None
        return told
