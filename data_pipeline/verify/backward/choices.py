"""Reads how a backward monologue describes an input that it chooses, or an item of one.

"A string that starts with a digit and has two letters (e.g., "1ab")" is held against that value,
"we can use a list that contains 3" against the witness, "the first word is "ab", so it must have
been "a"" against the same place of the output and of the input.
"""

import re

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.verify.adjectives import ADJECTIVES
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.nouns import ATOM, ITEM
from data_pipeline.verify.backward.plain import lowered
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trials
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONTRADICTED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.reading import JudgedClaim

_KIND = r"(?P<kind>string|list|dictionary|text|tuple|sentence|word|array)"
_WITH_EXAMPLE = re.compile(
    rf"(?:use |using )?(?:a|an|any) (?:simple |single |input )?{_KIND} (?:that|which) (?P<said>.+?)"
    rf",? \((?:e\.g\.|such as|for example|like|i\.e\.),? (?P<value>{ATOM})[^()]*\)"
)
_CHOSEN = re.compile(
    rf"(?:to (?:satisfy|achieve|get|meet|ensure|obtain)\b[^,]*, )?we (?:can|could) (?:use|choose"
    rf"|construct|create|take|provide|consider) (?:a|an) (?:simple |single |input )*{_KIND}"
    r" (?:that|which) (?P<said>[^`]+|.*?)"
)
_ORIGINALLY = re.compile(
    rf"the (?P<which>\w+) (?P<item>{ITEM})(?: (?:of|in) the output)? (?:is )?(?P<now>{ATOM}),? "
    r"(?:which means|meaning|so|indicating|which indicates|which suggests|which implies)(?: that)?"
    rf" (?:it|the (?:original|corresponding) (?:input )?{ITEM}) (?:must have|must|should|was"
    rf"|has to have)(?: (?:originally|have|been|be))* (?P<was>{ATOM})(?: \(.*\))?"
)
_AS_TURNED = re.compile(
    rf"the (?P<which>\w+) (?P<item>character|letter)(?: (?:of|in) the output(?: \w+)?)? (?:is )?"
    rf"(?P<now>{ATOM})(?: is (?P<how>lowercase|uppercase|a digit|a letter))?,? (?:which means"
    r"|meaning|so|indicating|which indicates|which suggests|which implies)(?: that)?"
    rf" the (?:corresponding|original) (?:input )?(?:character|letter)(?: (?:of|in) the input"
    rf"(?: \w+)?)? (?:must|should|has to) (?:be|have been)(?: an?)?(?: (?P<was_how>lowercase"
    rf"|uppercase))? (?P<was>{ATOM})"
)
_JOINT = re.compile(r",? and (?=(?:has|have|contains?|starts?|ends?|begins?|is|does|includes?)\b)")


class Choices:
    """Judges descriptions of chosen inputs on one witness."""

    def __init__(self, trials: Trials):
        self.trials, self.witness = trials, trials.witness
        self.properties = Properties(self.witness)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of a sentence of a known form, None for any other."""
        text = lowered(mark_code(sentence)).strip(" .:;-*")
        try:
            if match := _WITH_EXAMPLE.fullmatch(text):
                return self._described(match["value"], match["said"])
            if match := _CHOSEN.fullmatch(text):
                name = self._chosen(match["kind"])
                return self._described(f"`{name}`", match["said"]) if name else None
            if match := _ORIGINALLY.fullmatch(text):
                return self._originally(match)
            if match := _AS_TURNED.fullmatch(text):
                return self._as_turned(text, match)
        except (LiteralError, Unknown, TypeError, ValueError, IndexError, KeyError):
            return None
        return None

    def _chosen(self, kind: str) -> str:
        """Returns the only argument of a kind, "" if there is none or several."""
        value = {"list": "[]", "array": "[]", "dictionary": "{}", "tuple": "()"}.get(kind, "''")
        return self.witness.sole_like(value, set())

    def _described(self, subject: str, said: str) -> list[JudgedClaim] | None:
        claims: list[JudgedClaim] = []
        for part in _JOINT.split(said):
            found = self.properties.read(f"{subject} {part}", choice=False)
            if not found:
                return None
            claims += found
        return claims

    def _originally(self, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges an item of the output and the item of the input at the same place."""
        now = self.properties.read(
            f"the {match['which']} {match['item']} of the output is {match['now']}", choice=False
        )
        own = [
            self.properties.read(
                f"the {match['which']} {match['item']} of `{name}` is {match['was']}", choice=False
            )
            for name in self.witness.arguments
        ]
        found = [claims for claims in own if claims]
        if not now or len(found) != 1 or literal_of(match["was"]) is None:
            return None
        reason = "(" in match[0][match.end("was") :]
        claims = [*now, *found[0]]
        wrong = any(claim.verdict == CONTRADICTED for claim in claims)
        return claims if wrong or not reason else None

    def _as_turned(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges "the second character `W` is uppercase, so the input's must be lowercase `w`".

        The character is put into the witness and run: it must come out as the output has it.
        """
        which, was = INDEXES.get(match["which"]), literal_of(match["was"])
        name = self._chosen("string")
        now, goal = self.properties.nouns.literal(match["now"]), parse_literal(self.witness.goal)
        was = self.properties.nouns.literal(match["was"]) if was is None else parse_literal(was)
        own = parse_literal(self.witness.arguments[name]) if name else ""
        if which is None or not all(isinstance(one, str) for one in (now, was, goal)):
            return None
        if not -len(goal) <= which < len(goal) or len(goal) != len(own) or len(str(was)) != 1:
            return None
        cased = [(match["how"], now), (match["was_how"], was)]
        good = goal[which] == now and all(ADJECTIVES[how](one) for how, one in cased if how)
        which %= len(own)
        turned = self.trials.run(
            {**self.witness.arguments, name: repr(own[:which] + was + own[which + 1 :])}
        )
        if not turned.ended:
            return None
        good = good and isinstance(turned.value, str) and turned.value[which : which + 1] == now
        return [turned.claim(text, held=good)]
