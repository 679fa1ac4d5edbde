"""Reads what the lines of a conclusion say the answer's run comes to.

"When `x` is removed, we reach the desired output" is false of a call that does not give the output
asked for. "It splits into `["a", "b"]`" is true where the run has every value that is told.
"""

import re
from collections.abc import Iterator

from data_pipeline.source.literals import parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.faults import pool_of
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_COMES_TO = (
    r"\b(?:result(?:s|ing)? in|lead(?:s|ing)?(?: directly)? to|yield(?:s|ing)?|produc(?:es?|ing)"
    r"|giv(?:es?|ing)|reach(?:es|ing)?|achiev(?:es?|ing)|obtain(?:s|ing)?|get(?:s|ting)?"
    r"|match(?:es|ing)?|satisf(?:y|ies|ying)|meet(?:s|ing)?|return(?:s|ing)?|becom(?:es?|ing))"
    r"(?: us)?(?: in)? "
)
_GOOD = re.compile(
    _COMES_TO
    + r"(?:the |our |this )?(?:(?:same|final) )?(?:desired|expected|required|given|correct"
    r"|specified|target|wanted)(?: final)? (?:output|result|string|list|dictionary|value)\b"
)
_GOOD_VALUE = re.compile(
    _COMES_TO + r"(?:(?:the|a|an|desired|expected|required|final|output|result|string|list|of"
    rf"|dictionary|value|exactly) )*(?P<told>{ATOM})"
)
_WHOLE = re.compile(
    r"\b(?:we get|we have|we obtain|the (?:final )?(?:result|output)(?: will be| is| becomes))"
    rf" (?P<told>{ATOM})$"
)
_NOT_TOLD = re.compile(
    r"\b(?:if|could|might|may|should|must|not|need|needs|cannot|unless|another|alternatively|other"
    r"|suppose|assume|how|whether|condition)\b|n't\b"
)
_SOUGHT = re.compile(
    r"\b(?:to|in order to|we (?:can|need to)) (?:(?:also|then|eventually|directly) )?$"
)
_HELD = re.compile(rf"`(?P<x>\w+)` (?:being|becomes|will be|as) (?P<told>{ATOM})(?: \([^()]*\))?")
_BEING = re.compile(
    r"(?:(?:this|which|it|so|thus) )*(?:will |would )?(?:also |directly |simply )*(?:leads?"
    r"|results?)"
    r" (?:to|in) the (?:final )?(?:output|result) being (?P<x>.+)"
)
_MAKES = re.compile(
    r"\b(?:gives?|results? in|becomes?|forms?|into|yields?|to get|produces?|leaving|leaves|returns?"
    r"|converted|split|reversed|replaced|joined|appended|resulting|giving)\b"
)
_UNSURE = re.compile(
    r"\b(?:if|could|can|might|may|should|must|not|need|any|either|or|unless|other|another|both|all"
    r"|only|before|times?|length|exactly|count|than)\b|n't\b|[<>=+*]"
)


class Explanations:
    """Judges sentences on the run of the witness, which a conclusion is about."""

    def __init__(self, run: Replay, witness: Witness):
        self.run, self.witness = run, witness

    def find(self, sentence: str) -> Iterator[JudgedClaim]:
        """Yields contradicted claims: the output is said to be reached, and it is not."""
        text = without_glosses(lowered(mark_code(sentence))).strip(" .:;-*")
        words = re.sub(ATOM, "", text)
        if not self.witness.misses_goal or _NOT_TOLD.search(words) or self._has_other(text):
            return
        for pattern in (_GOOD, _GOOD_VALUE):
            for match in pattern.finditer(text):
                if _SOUGHT.search(text[: match.start()]):
                    continue
                if pattern is _GOOD or self._is_goal(match["told"]):
                    yield self._claim(text, CONTRADICTED)
                    return
        if (whole := _WHOLE.search(text)) and self._is_goal(whole["told"]):
            yield self._claim(text, CONTRADICTED)

    def _is_goal(self, atom: str) -> bool:
        told = literal_of(atom)
        return told is not None and compare(told, self.witness.goal) == CONFIRMED

    def _has_other(self, text: str) -> bool:
        """Tells whether a sentence names an input that is neither the witness nor the output."""
        if len(self.witness.arguments) != 1:
            return False
        told = [value for atom in re.findall(ATOM, text) if (value := literal_of(atom))]
        own = "".join(self.witness.arguments.values()) + self.witness.goal
        return any(value.strip("'\"[]{}()") not in own for value in told)

    def told(self, piece: str) -> list[JudgedClaim] | None:
        """Confirms a piece that tells of values, all of which the run has, in the run's order."""
        text = without_glosses(lowered(mark_code(piece))).strip(" .:;-*")
        words = re.sub(ATOM, "", text)
        if being := _BEING.fullmatch(text):
            return self._being(text, being["x"])
        if held := _HELD.fullmatch(text):
            return self._held(text, held)
        if _UNSURE.search(words) or not _MAKES.search(words) or re.search(r"\d", words):
            return None
        atoms = re.findall(ATOM, text)
        told = [value for atom in atoms if (value := literal_of(atom)) and len(value) > 3]
        if len(told) < 2 or len(told) < len(atoms) or self.witness.state is None:
            return None
        first, last = set(self.witness.arguments.values()), self.witness.result
        if len({*told}) < len(told) or first & {*told[1:]} or last in told[:-1]:
            return None  # "`[2, 1]`, reversed, gives `[2, 1]`"; "the output becomes the input"
        pool = pool_of(self.run)
        known = {*self.witness.arguments.values(), self.witness.result}
        if all(pool.has(value) or value in known for value in told):
            return [self._claim(text, CONFIRMED)]
        return None

    def _held(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Reads "`head` being `"ab"`" of a variable of the run."""
        name, told = match["x"], literal_of(match["told"])
        if name not in self.run.names or told is None or self.run.trace.truncated:
            return None
        values = [one for one in self.run.history(0, name)[1] if one is not None]
        if any(compare(told, one) == CONFIRMED for one in values):
            return [self._claim(text, CONFIRMED)]
        return None

    def _being(self, text: str, what: str) -> list[JudgedClaim] | None:
        """Reads "this leads to the output being an empty string"."""
        holds = Properties(self.witness).predicate("is", what)
        value = literal_of(self.witness.result or "")
        if holds is None or value is None:
            return None
        try:
            held = holds(parse_literal(value))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, Unknown):
            return None
        return [self._claim(text, CONFIRMED if held else CONTRADICTED)]

    def _claim(self, text: str, verdict: str) -> JudgedClaim:
        return JudgedClaim("answer", text[:80], verdict, f"it returns {self.witness.result}")
