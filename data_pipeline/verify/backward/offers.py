"""Reads how a backward monologue describes the input that it is going to choose.

"To satisfy the assertion, we can use any string and any character `c` such that the string does not
end with `c`", "we need a dictionary that does not contain `name`": what is described must hold of
an input that gives the output, the witness or a variation of it.
"""

import re
from collections.abc import Iterator

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_MOST_TRIALS = 14
_LEAST = 2  # inputs of a kind of which "any" is said to give the output
_ANY = re.compile(r"\b(?:any|every|all)\b")
_KIND = r"(?:string|list|dictionary|text|tuple|sentence|word|array|number|integer|character)"
_ADJECTIVES = r"(?:(?:simple|single|input|suitable|valid|specific|non-empty|new|given) )*"
_AIM = (
    r"(?:(?:therefore|thus|so|hence),? )?(?:(?:in order )?to (?:satisfy|achieve|get|meet|ensure"
    rf"|obtain|produce|have|create|find)\b(?:[^,`]|{ATOM})*, )?"
)
_OFFER = re.compile(
    rf"{_AIM}(?:(?:we|one|you) (?:can|could|need to|need|should|must|have to|may) (?:also )?"
    r"(?:(?:use|choose|construct|create|take|provide|consider|select|find|ensure|pick|have"
    r"|make sure)\b(?: that)? )?|the input should be )(?P<what>.+)"
)
_JOINT = re.compile(
    r",? and (?:also )?(?:ensure|make sure)(?: that)? |,? and (?=(?:an?|any) )|,? such that "
    r"|,? and that |,? where "
)
_SUCH = re.compile(
    rf"(?P<all>any|an?|the|some) {_ADJECTIVES}(?:(?P<kind>{_KIND})|(?P<x>{ATOM})(?: {_KIND})?)"
    rf"(?: (?:for )?(?P<name>{ATOM}))?(?: (?:that|which)(?: (?P<said>.+))?)?"
)
_WITH = re.compile(r" with (?=exactly |at least |at most |only |no |an? |\w+ (?:distinct|unique) )")
_OF_GOAL = re.compile(r"\b(?:output|result|desired|expected|required|above|these|those|example)\b")
_THAT_ONE = re.compile(rf"(?s)(?<= )((?P<x>{ATOM}).*?) in th(?:at|is|e same) (?:string|list|text)$")
_LIKE = {
    "list": "[]", "array": "[]", "dictionary": "{}", "tuple": "()", "number": "0", "integer": "0",
}  # fmt: skip
_PREDICATE = re.compile(
    r"(?P<either>either )?(?P<verb>contains?|has|have|consists?|is|starts?|ends?|begins?|does not"
    r" (?:contain|have|include|start|end)|do not contain|includes?)\b.*"
)


class Offers:
    """Judges descriptions of inputs by trials of one function."""

    def __init__(self, trials: Trials):
        self.trials = trials
        self.universal = False  # whether any such input is said to give the output

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Confirms a description that holds of an input with the output; None of all else."""
        text = _THAT_ONE.sub(r"\1 in \2", without_glosses(lowered(mark_code(sentence))))
        text = text.strip(" .:;-*")
        match = _OFFER.fullmatch(text)
        if match is None or _OF_GOAL.search(re.sub(ATOM, "", match["what"])):
            return None
        aim = [value for atom in re.findall(ATOM, text[: match.start("what")])
               if (value := literal_of(atom))]  # fmt: skip
        if any(compare(value, self.trials.witness.goal) != CONFIRMED for value in aim):
            return None  # another output
        self.universal = _ANY.search(match["what"]) is not None
        try:
            statements = list(self._statements(match["what"]))
        except (LookupError, LiteralError):
            return None
        if not any(statements):
            return None
        names = {
            name for one in statements for atom in re.findall(ATOM, one)
            for name in re.findall(r"[A-Za-z_]\w*", atom)
        }  # fmt: skip
        witness = self.trials.witness
        if names & (set(witness.run.names) - set(witness.arguments)):
            return None
        fits = [
            one for one in self._tried()
            if all(self._holds(one, said) for said in statements if said)
        ]  # fmt: skip
        good = [one for one in fits if self._gives(one)]
        if self.universal and (len(good) < _LEAST or len(good) < len(fits)):
            return None  # some input of the kind gives another output
        return [good[0].claim(text, held=True)] if good else None

    def _tried(self) -> list[Trial]:
        """Returns the witness if that is enough to find the output, else also variations of it."""
        if not self.trials.witness.misses_goal and not self.universal:
            return [self.trials.own]
        return self.trials.mixed(_MOST_TRIALS)

    def _gives(self, trial: Trial) -> bool:
        return trial.ended and compare(trial.goal, self.trials.witness.goal) == CONFIRMED

    def _statements(self, what: str) -> Iterator[str]:
        """Yields what is said of the input, each as a sentence; raises LookupError if unread."""
        for part in _JOINT.split(_WITH.sub(" that has ", what)):
            if match := _SUCH.fullmatch(part.strip(" ,")):
                yield self._such(match)
            elif "`" in part and re.match(
                rf"(?:the (?:\w+ )?)?{ATOM} |the \w+ (?:\w+ )?(?:is|does|has|contains)\b", part
            ):
                yield part.strip(" ,")
            else:
                raise LookupError(part)

    def _such(self, match: re.Match[str]) -> str:
        if not (match["x"] or match["name"] or match["said"]):
            return ""
        name = (match["x"] or match["name"] or "").strip("`") or self._only(match["kind"])
        if name not in self.trials.witness.arguments:
            raise LookupError(name)
        if not match["said"]:
            return ""
        if not _PREDICATE.fullmatch(match["said"]):
            raise LookupError(match["said"])
        return f"`{name}` {match['said'].removeprefix('either ')}"

    def _only(self, kind: str) -> str:
        """Returns the only parameter of a kind; raises LookupError if there are others."""
        texts = self.trials.witness.arguments
        if kind in texts:
            return kind
        name = self.trials.witness.sole_like(_LIKE.get(kind, "''"), set())
        if not name or (kind == "character" and len(parse_literal(texts[name])) != 1):
            raise LookupError(kind)
        return name

    def _holds(self, trial: Trial, said: str) -> bool:
        try:
            told = Properties(trial).read(said, choice=False)
        except (Unknown, LiteralError, TypeError, ValueError, KeyError, IndexError):
            return False
        return bool(told) and all(claim.verdict == CONFIRMED for claim in told or ())
