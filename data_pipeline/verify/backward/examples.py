"""Judges the other inputs that a backward monologue names, each by its own run.

"The input could be `[1]` or `[2]`", "if we set `n = 2`, the result is `[7]`", and the promise that
the witness itself gives the output: "this input will return `[7]`".
"""

import re
from collections.abc import Callable

from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import (
    ASSIGNED,
    CONSEQUENCE,
    EXAMPLE,
    INPUT,
    SAYS_GOOD,
    mark_code,
)
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

RunCall = Callable[[str], str | None]

_SEVERAL = re.compile(
    r"(?:alternatively,? |for (?:example|instance),? |thus,? |an? |one |the |another |other )*"
    r"(?:(?:simple|valid|possible|suitable|such) )*(?:(?:inputs?|examples?|list|string"
    r"|possibilit\w+|we can (?:use|choose|take)) ?)+(?:(?:could|can|would|may|might|include|are|is"
    rf"|be|the (?:list|string|dictionary)s?|like) ?)*:? ?(?P<all>{ATOM}(?:,? (?:or|and)(?: even)?"
    rf" (?:the )?{ATOM}|, {ATOM})+)", re.I,
)  # fmt: skip
_RESULT = re.compile(
    r"(?:then )?(?:the |it |this |we )?(?:function |output |result |list |string |dictionary"
    r" |array )?(?:(?:will|would|should|must|also) )*(?:be|is|returns?|gives?|gets?|results? in"
    r"|yields?|produces?|becomes?|ends? up as|leaves? us with)(?: the (?:output|result|list"
    rf"|string))? (?P<told>{ATOM})(?: (?:after (?:the )?[a-z]+|directly|unchanged|as"
    r" (?:the )?(?:output|required|desired|expected)))?", re.I,
)  # fmt: skip
_PROMISE = re.compile(
    r"(?:this|these|such an?|the above)(?: (?:input|inputs|list|string|dictionary|call|example"
    r"|values?|arguments?|choice|way))?,?(?: (?:will|would|should|does|indeed|also))*"
    r" (?:results? in|yields?|returns?|produces?|gives?|satisf(?:y|ies)|leads? to|meets?|matches"
    r"|ensures? that (?:the )?(?:function|output|result) (?:returns|will return|is|will be|equals))"
    r"(?: us)?(?: in)? (?:the |our |all )?(?P<what>.*)", re.I,
)  # fmt: skip
_GOOD = re.compile(
    r"(?:(?:desired|expected|required|given|correct|same|specified|output) )*(?:output|result"
    r"|condition|requirement|assertion|constraint)s?(?: (?:of|as|for)? ?(?:required|needed)?)?",
    re.I,
)  # fmt: skip
_LEADS = re.compile(
    r", (?:leading to|resulting in|giving|yielding|producing|which (?:gives|yields|results in"
    r"|leads to|produces))(?: us)?(?: an?| the)?(?: (?:total|final|desired|expected|required|sum"
    rf"|output|result|list|string|dictionary|count|value|of))* (?P<told>{ATOM})$", re.I,
)  # fmt: skip
_OTHER = re.compile(  # speaks of another input, or of what has to be
    r"\b(?:if|suppose|assume|alternatively|another|could|would|might|must|should|needs?|other)\b",
    re.I,
)
_OFFER = re.compile(
    r"^(?:to (?:satisf|achiev|get|obtain|produc|meet|yield|ensur|have|construct|find|create)\w*\b"
    r"|(?:thus|therefore|so|hence),? (?:an?|the|one) (?:valid|possible|correct|suitable) input\b)",
    re.I,
)
_OFFERED = re.compile(  # says of an input that it is one that is looked for
    r"\bsatisf|\b(?:valid|suitable|possible|simple|simplest|correct)(?: \w+)? (?:input|example"
    r"|assertion|argument|choice|call|list|string|dictionary|solution)"
    r"|\b(?:input|argument)s?\b(?=.*\b(?:is|are|be|been|as|can|would|that)\b)"
    r"|\bmust\b|\bshould\b|\bwe (?:can|could|may|will) (?:use|choose|take|set|construct|create"
    r"|provide|consider|try|deduce|conclude|have|let)|\bto (?:achieve|get|obtain|produce|meet"
    r"|ensure)\b|\b(?:leads?|leading) to|\bresult(?:s|ing) in|\bwill return\b|\bdeduce\b",
    re.I,
)
_NOT_OFFERED = re.compile(
    r"^(?:if|when|suppose|alternatively|since|because)\b|\bnot\b|n't\b|\binstead\b", re.I
)
_AS_OUTPUT = re.compile(  # stands before a value that is the output, not an input
    r"\b(?:outputs?|results?|returns?|returned|yields?|gives?|produces?|achieve|get|gets|becomes?"
    r"|leaves?|(?<!set )to)(?: (?:in|of|is|be|to|the|an?|string|list|dictionary|must|should|will"
    r"|would|value|us|back|as|exactly|final|output|result))*:?\s*$", re.I,
)  # fmt: skip
_OFFER_WORDS = re.compile(
    r"\b(?:to|satisfy|achieve|get|produce|obtain|the|assertion|output|result|condition|of|as|we|can"
    r"|could|use|choose|set|take|construct|create|provide|input|an?|string|list|array|dictionary"
    r"|text|value|values|with|and|is|be|for|thus|so|therefore|one|valid|possible|simple|example"
    r"|that|would|where|parameter|character|characters|number|integer|numbers|function|satisfies"
    r"|only|this|suitable|tuple|argument|arguments|inputs|from|deduce|should)\b", re.I,
)  # fmt: skip
_TAKEN = re.compile(  # "if we take …, it returns the desired output"
    r"^(?:for example, )?if we (?:take|use|choose|set|consider|let)\b.*\b(?:desired|expected"
    r"|required|given|correct) (?:output|result)", re.I,
)  # fmt: skip
_COULD_BE = re.compile(
    r"\b(?:the|an?|valid|possible) (?:input|example)s?(?: string| list)? (?:could|can|might|may)"
    rf"(?: also)? (?:be|have been) (?:something )?(?:like )?(?:the \w+ )?({ATOM})", re.I,
)  # fmt: skip
_CHOICE = re.compile(
    r"\bwe (?:can|could|need to|should|must) (?:use|choose|take|construct|create|build|provide|set"
    r"|perform|consider)\b", re.I,
)  # fmt: skip
_AS_INPUT = re.compile(
    r"\b(?:inputs?|arguments?|use|choose|try|take|example)\b[^`.]*(?:`\w+`[^`.]*)?$", re.I
)


class Examples:
    """Judges other inputs of the witness's function, by `run_call`."""

    def __init__(self, witness: Witness, run_call: RunCall | None):
        self.witness, self.run_call = witness, run_call

    def read(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the input could be `3.1`, which would give "3.10"", or several such inputs."""
        if len(self.witness.arguments) != 1:
            return None
        if several := _SEVERAL.fullmatch(mark_code(piece).strip(" .")):
            values = list(map(literal_of, re.findall(ATOM, several["all"])))
            found = [self.judge(value, value, None) for value in values if value is not None]
            told = [claim for claims in found for claim in claims or ()]
            return told if len(told) == len(values) else None
        match = EXAMPLE.match(piece)
        value = literal_of(match["told"]) if match else None
        if match is None or value is None:
            return None
        return self.judge(match[0], value, _last_literal(match["rest"]))

    def judge(self, told: str, value: str, said: str | None) -> list[JudgedClaim] | None:
        """Judges an input as one that gives the output, or the result that is said of it."""
        if self.witness.is_input(value):
            real = self.witness.result or "raises an exception"
        else:
            call = self.witness.call_with(value)
            real = self.run_call(call) if self.run_call and call else None
        if real is None:
            return None
        verdict = _gives(said or self.witness.goal, real)
        if verdict == CONTRADICTED and said and compare(said, self.witness.goal) != CONFIRMED:
            return None  # a value on the way, not the result
        return [_claim(told[:80], verdict, f"it returns {real}")]

    def under(self, assumed: dict[str, str], piece: str) -> list[JudgedClaim] | None:
        """Judges "… then `xs` must have been `[1]`" by the run of the call that it makes."""
        if result := _RESULT.fullmatch(mark_code(piece).strip(" .,")):
            return self._result(assumed, piece, literal_of(result["told"]))
        match = ASSIGNED.search(piece)
        if match is not None:
            name, value = match["name"] or match["bare"], literal_of(match["told"])
        elif (match := INPUT.match(piece)) is not None:
            value = literal_of(match["told"])
            name = self.witness.sole_like(value, set(assumed)) if value else ""
        else:
            return None
        if value is None or name not in self.witness.arguments or not CONSEQUENCE.search(piece):
            return None
        call, real = self._run({**assumed, name: value})
        if real is None:
            return None
        verdict = _gives(self.witness.goal, real)
        if verdict == CONTRADICTED and self.witness.has_other_container({*assumed, name}):
            return None  # another list or text might make it true
        return [_claim(piece[:80], verdict, f"{call} returns {real}")]

    def _result(
        self, assumed: dict[str, str], piece: str, told: str | None
    ) -> list[JudgedClaim] | None:
        """Judges "… the function returns `7`"; the arguments not assumed are the witness's."""
        call, real = self._run(assumed)
        if real is None or told is None:
            return None
        verdict = _gives(told, real)
        if verdict == CONTRADICTED and len(assumed) < len(self.witness.arguments):
            return None  # another argument might make it true
        return [_claim(piece[:80], verdict, f"{call} returns {real}")]

    def _run(self, given: dict[str, str]) -> tuple[str, str | None]:
        """Returns the call with the arguments given and the witness's others, and its outcome."""
        given = {**self.witness.arguments, **given}
        call = self.witness.call_of(given)
        own = self.witness.arguments
        if all(compare(text, own[name]) == CONFIRMED for name, text in given.items()):
            return call, self.witness.result
        return call, self.run_call(call) if self.run_call else None

    def promised(self, sentence: str, named: set[str]) -> list[JudgedClaim]:
        """Returns the claim that the witness gives the output, if a sentence makes it.

        named: the arguments that the sentence gives as those of the witness.
        """
        text = mark_code(sentence).strip(" .")
        match = _PROMISE.fullmatch(text)
        if self.witness.misses_goal and (
            (_TAKEN.search(text) and self._names_witness(text))
            or self._leads_to_goal(text)
            or self._offers(text)
            or self._describes(text)
        ):
            return [_claim(text[:80], CONTRADICTED, f"it returns {self.witness.result}")]
        if not self.witness.misses_goal and self._only_offers(text):
            return [_claim(text[:80], CONFIRMED, f"it returns {self.witness.result}")]
        if match and re.fullmatch(ATOM, match["what"]):
            told = literal_of(match["what"])
            same = told is not None and compare(told, self.witness.goal) == CONFIRMED
            if not same:
                return []
        elif not (match and _GOOD.fullmatch(match["what"].strip())):
            whole = named and named == set(self.witness.arguments)
            if not whole or not (_OFFER.search(text) or SAYS_GOOD.search(text)):
                return []
            if not self.witness.misses_goal:
                return []
        verdict = CONTRADICTED if self.witness.misses_goal else CONFIRMED
        return [_claim(text[:80], verdict, f"it returns {self.witness.result}")]

    def offered(self, sentence: str) -> list[JudgedClaim]:
        """Contradicts an input that "could be `[1]`" and does not give the output by its run."""
        text, found = mark_code(sentence), []
        whole = text.strip(" .-*")
        bare = re.fullmatch(rf"({ATOM})(?: \([a-z ]+\))?", whole)
        for match in [*_COULD_BE.finditer(text), *([bare] if bare else [])]:
            value = literal_of(match[1])
            if value is None or len(self.witness.arguments) != 1 or self.witness.is_input(value):
                continue
            if self._is_alternative(value, bare is not None):
                found += self.judge(match[0], value, None) or []
        return [claim for claim in found if claim.verdict == CONTRADICTED]

    def _is_alternative(self, value: str, bare: bool) -> bool:
        """Tells whether a literal is another input, not a part of the witness or of the output."""
        [own] = self.witness.arguments.values()
        alike = bool(self.witness.sole_like(value, set()))
        inner = value[1:-1]
        return alike and (not bare or (len(inner) > 3 and inner not in own + self.witness.goal))

    def _offers(self, text: str) -> bool:
        """Tells whether a sentence offers the witness, all its arguments, as a good input."""
        if not _OFFERED.search(re.sub(ATOM, "", text)) or _NOT_OFFERED.search(text):
            return False
        return self._names_witness(text)

    def _only_offers(self, text: str) -> bool:
        """Tells whether a sentence offers the witness and says nothing else."""
        words = re.sub(r"`assert [^`]*`|" + ATOM, " ", text)
        plain = _OFFER_WORDS.sub("", words)
        return not re.search(r"\w", plain) and self._offers(text)

    def _names_witness(self, text: str) -> bool:
        """Tells whether all arguments of the witness stand in a sentence, not as its output."""
        first = next(iter(self.witness.arguments.values()), "")
        echoes = compare(self.witness.goal, first) == CONFIRMED  # restated, it looks like an input
        told = [
            value for match in re.finditer(ATOM, text)
            if not _AS_OUTPUT.search(text[: match.start()])
            for value in (_assigned(match[0]),) if value is not None
            and (not echoes or compare(value, first) != CONFIRMED
                 or _AS_INPUT.search(text[: match.start()]))
        ]  # fmt: skip
        result = self.witness.result
        if result not in self.witness.arguments.values() and any(
            _gives(value, result or "raises ") == CONFIRMED for value in told
        ):
            return False  # says what it really gives
        if any(self.witness.is_input(value) for value in told):
            return True
        for real in self.witness.arguments.values():
            same = next((value for value in told if compare(value, real) == CONFIRMED), None)
            if same is None:
                return False
            told.remove(same)
        return bool(self.witness.arguments)

    def _describes(self, text: str) -> bool:
        """Tells whether "to satisfy the output …, we can use the letters "a" and "b"" is said.

        All that it names must be in the witness.
        """
        if not _OFFER.search(text) or not _CHOICE.search(text) or _NOT_OFFERED.search(text):
            return False
        if re.search(r"\binput where\b", text):
            return False  # describes a kind of input, to which others belong
        told = [
            value for atom in re.findall(ATOM, text)
            if (value := _assigned(atom)) and compare(value, self.witness.goal) != CONFIRMED
        ]  # fmt: skip
        own = " ".join(self.witness.arguments.values())
        parts = {value.strip("'\"") for value in told}
        return len(parts) > 1 and all(part and part in own for part in parts)

    def _leads_to_goal(self, text: str) -> bool:
        """Tells whether "…, leading to a total of `4`" is said of the witness."""
        match = _LEADS.search(text)
        if match is None or _OTHER.search(text):
            return False
        told = literal_of(match["told"])
        return told is not None and compare(told, self.witness.goal) == CONFIRMED


def _assigned(atom: str) -> str | None:
    """Returns the literal of `[1]`, of `xs = [1]` or of `.`, None for other code."""
    if re.fullmatch(r"`[^\w\s`'\"]`", atom):
        return repr(atom[1])
    return literal_of(re.sub(r"^`\w+ ?= ?(?!=)", "`", atom))


def _gives(told: str, real: str) -> str:
    return CONTRADICTED if real.startswith("raises ") else compare(told, real)


def _claim(text: str, verdict: str, truth: str | None) -> JudgedClaim:
    return JudgedClaim("answer", text.strip(), verdict, truth)


def _last_literal(text: str) -> str | None:
    found = [match[0] for match in re.finditer(r"`[^`]+`|\"[^\"]*\"|-?\d+(?:\.\d+)?", text)]
    return literal_of(found[-1]) if found else None
