"""Reads sentences on one input that is written out: "a string like "12a" would return `True`".

What is said of it, its result and its properties, is held against its own run and its own value,
whether it is the witness or not.
"""

import re

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.examples import RunCall
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_KIND = r"(?:string|list|text|number|integer|dictionary|tuple|word|input|value|array|float)"
_LEAD = (
    rf"(?:the input (?:can|could|may|might) (?:also )?be )?(?:for (?:example|instance),? "
    rf"|similarly,? |also,? |and )*(?:(?:an?|the|any) )?"
    rf"(?:(?:empty|input|simple|single|non-empty) )*(?:{_KIND} )?(?:like |such as |of"
    rf" )?(?P<x>{ATOM})"
)
_RETURNS = re.compile(
    rf"{_LEAD},? (?:which )?(?:(?:as (?:an |the )?input|is passed),? )?(?:(?:will|would|should"
    rf"|can|also"
    r"|directly|simply|always) )*(?:returns?|outputs?|gives?|yields?|produces?|results? in) "
    r"(?:(?:the|an?|output|string|list|value|result) )*"
    rf"(?P<y>{ATOM})(?:,? (?:because|since|as) (?P<why>(?:it|the \w+) .+))?"
)
_HAS = re.compile(
    rf"{_LEAD} (?P<said>(?:contains?|has|consists?|is|starts?|ends?|does not) .+?)"
    r"(?P<good>,? (?:which|that|so it|and it|and) (?:meets?|satisf(?:y|ies)|fulfills?"
    r"|matches) .+)?"
)


_LISTED = re.compile(rf" \((?P<all>{ATOM}(?:,? (?:and )?{ATOM})*)\)")


_ALONE = re.compile(
    rf"(?!we |if |to |then |after |the (?:output|result))(?:[a-z '-]+(?:,? (?:e\.g\.,?|such as"
    rf"|like)|:)"
    rf" |(?:an? )?(?:empty )?(?:{_KIND} )?)?(?P<all>{ATOM}(?:,? (?:or |and )?{ATOM})*)(?:,?"
    rf" etc\.?)?"
    r"(?: \([^`()]*\))?"
)


class Instances:
    """Judges sentences on inputs of a function with one parameter."""

    def __init__(self, witness: Witness, run_call: RunCall | None):
        self.witness, self.trials = witness, Trials(witness, run_call)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of a sentence of a known form, None if it is not or was not run."""
        if len(self.witness.arguments) != 1:
            return None
        text = _LISTED.sub(self._shown, lowered(mark_code(sentence)))
        text = without_glosses(text).strip(" .:;-*")
        try:
            return self._returned(text) or self._described(text) or self._alone(text)
        except (LiteralError, Unknown, TypeError, ValueError, KeyError, AttributeError):
            return None

    def _shown(self, match: re.Match[str]) -> str:
        """Drops "(`1`, `2`, and `3`)" if the input has all of these."""
        told = re.findall(r"`[\"']?([^`\"']*)[\"']?`", match["all"])
        whole = match.string[: match.start()]
        return "" if all(one and one in whole for one in told) else match[0]

    def _trial(self, atom: str) -> Trial | None:
        value = literal_of(atom)
        if value is None:
            return None
        [(name, own)] = self.witness.arguments.items()
        if compare(value, own) == CONFIRMED:
            return self.trials.own
        if type(parse_literal(value)) is not type(parse_literal(own)):
            return None
        return self.trials.run({name: value})

    def _returned(self, text: str) -> list[JudgedClaim] | None:
        match = _RETURNS.fullmatch(text)
        trial, told = (self._trial(match["x"]), literal_of(match["y"])) if match else (None, None)
        if match is None or trial is None or trial.outcome is None or told is None:
            return None
        held = trial.result is not None and compare(told, trial.result) == CONFIRMED
        claims = [trial.claim(text, held=held)]
        if match["why"] and held:
            why = Properties(trial).read(match["why"], choice=False)
            if why is None:
                return None
            claims += why
        return claims

    def _alone(self, text: str) -> list[JudgedClaim] | None:
        """Reads "an empty list `[]`", "`"a b"` (with spaces)": an input that gives the output."""
        match = _ALONE.fullmatch(text)
        atoms = re.findall(ATOM, match["all"]) if match else []
        trials = [self._trial(atom) for atom in atoms]
        known = [one for one in trials if one is not None and one.result is not None]
        if not atoms or len(known) < len(atoms):
            return None
        goal = self.witness.goal
        if any(compare(goal, one.result or "") != CONFIRMED for one in known):
            return None
        return [one.claim(text, held=True) for one in known]

    def _described(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the string "ab 1" contains letters and a digit, which meets the requirement"."""
        match = _HAS.fullmatch(text)
        trial = self._trial(match["x"]) if match else None
        if match is None or trial is None or not re.search(r"[\w\"'\]})]", match["x"]):
            return None
        [name] = self.witness.arguments
        claims = Properties(trial).read(f"`{name}` {match['said']}", choice=False)
        if claims is None or any(claim.verdict == CONTRADICTED for claim in claims):
            return None  # "is" and "has" may speak of a part, or of a later moment
        if match["good"]:
            if trial.outcome is None:
                return None
            held = trial.result is not None and (
                compare(self.witness.goal, trial.result) == CONFIRMED
            )
            claims.append(trial.claim(text, held=held))
        return claims
