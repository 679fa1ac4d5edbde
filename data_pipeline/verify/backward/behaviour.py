"""Reads what a backward monologue says the function does with any input, and tries it.

"If `sep` is empty, it returns the text unchanged", "the output has the same length as the input",
"it removes all occurrences of "a"": each is tried on the witness's run and on inputs made for it.
The witness's own run decides; made-up inputs decide where the statement is about them.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.verify.adjectives import Predicate
from data_pipeline.verify.backward.examples import RunCall
from data_pipeline.verify.backward.invariants import Invariants
from data_pipeline.verify.backward.nouns import ATOM, ITEM
from data_pipeline.verify.backward.plain import lowered, without_glosses
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials, definition_of
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.conditions import read_condition
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import read_tokens
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.screening import screened

_MOST_MIXED = 10
_WILL = r"(?:(?:will|would|should|must|can) )?(?:(?:simply|just|always|also|still|then|directly) )*"
_RETURNS = (
    rf"(?:(?:the )?function(?: `\w+`)?|it|`\w+\(\)`) {_WILL}(?:return|output|give|produce"
    rf"|yield|trigger the return of|result in)s? (?P<{{}}>.+?)"
)
_OUTPUT_IS = (
    r"the (?:final )?(?:output|result|return value|function's output|returned \w+)"
    rf"(?: of the function)? (?:{_WILL}be|is(?: always| simply)?) (?P<{{}}>.+?)"
)
_SAYS = (
    rf"(?:{_RETURNS.format('a')}|{_OUTPUT_IS.format('b')}"
    r"|returns? (?P<c>.+?)|(?P<d>.+?) (?:is|will be|gets) returned"
    r"(?: (?P<e>unchanged|as is|as it is|directly|itself))?)"
)
_FORWARD = re.compile(rf"(?:if|when|for|in case|whenever) (?P<when>.+?), (?:then )?{_SAYS}")
_BACKWARD = re.compile(rf"{_SAYS},? (?P<only>only )?(?:if|when|whenever) (?P<when>.+)")
_OTHERWISE = re.compile(rf"(?:otherwise|else|if (?:it is |it's |they are |it does )?not),? {_SAYS}")
_PLAIN = re.compile(rf"{_RETURNS.format('a')}|{_OUTPUT_IS.format('b')}")
_OF_OUTPUT = re.compile(
    r"the (?:final )?(?:output|result|returned)(?: (?:string|list|dictionary|tuple|number|value))?"
    r"(?: of the function)? .+|the (?:total )?(?:length|number of \w+|first \w+|last \w+) (?:of"
    r"|in) the"
    r" (?:final"
    r" )?(?:output|result|returned|resulting) .+"
)
_CASED = re.compile(r"\b(?:uppercase|lowercase|capital)")
_BOTH = re.compile(r",? while (?=the )|, and (?=the (?:rest|remaining))")
_REST_OF_IT = re.compile(
    r"^(the rest|the remaining characters|the other characters)(?: of the (?:characters|string))?\b"
)
_ASIDE = screened(
    r"^\((?:i\.e\.|which|meaning|e\.g\.)[^`\"']*\)"
    r"|\s\((?:i\.e\.|meaning|e\.g\.)(?:[^)`]|`[^`]*`)*\)"
)
_REASON = re.compile(
    r",? (?:because|since|(?<!long )(?<!same )as (?=the|it|there|no)|so that|due to|which means"
    r"|meaning|regardless"
    r"|for the function)\b.*"
)
_UNCHANGED = re.compile(
    r",? (?:unchanged|as is|as it is|as they are|directly|itself|immediately|without (?:any )?"
    r"(?:changes?|modifications?|modifying it|changing it|any \w+)|unmodified|unaltered|as-is)$"
)
_GIVEN_BACK = re.compile(
    r"(?:the |an? )?(?:(?:original|input|given|same|entire|whole|unchanged|unmodified|initial) )+"
    r"(?:(?P<kind>string|list|text|dictionary|array|number|integer|value|input|tuple)\b ?)?"
    rf"(?P<name>{ATOM})?"
)
_ON_THE_WAY = re.compile(
    r"\b(?:output|result|resulting|modified|remaining|returned|loop|iteration|index|after|new"
    r"|current|error|exception|function)\b"
)
_UNSAID = re.compile(
    r"\b(?:or|modified|resulting|updated|final|desired|expected|required|correct|specified)\b"
)
_WHICH_WILL = re.compile(
    rf"an? (?P<adjective>[\w-]+) (?P<x>{ATOM}), which (?:will|would) (?:also )?return (?P<told>.+)"
)
_SUCH_INPUT = re.compile(
    r"(?:any|an?|all|every|each) (?:input )?(?P<kind>string|list|text|number|dictionary|integer)s?"
    r" (?:that|which) (?P<when>.+?) (?P<says>(?:will|would)(?: also| always| directly)? return .+)"
)
_IDLE_LOOP = re.compile(
    r", the (?:while |for |`while` |`for` )?loop (?:will not|does not|won't|doesn't) (?:execute|run"
    r"|be entered|start)(?: at all)?,? (?:and|so) (?=the function|it )"
)
_ASSUMED = re.compile(r"^if we (?:assume|suppose|say) (?:that )?")
_OR_IF = re.compile(r"(?P<head>[^,]+?),? (?:if|when) (?P<a>.+?),? or (?:if|when) (?P<b>.+)")
_OF_LOCAL = re.compile(r"(?:if|when) (?P<when>.+?), (?:then )?(?P<rest>.+)")
_LOCAL = re.compile(
    r"`(?P<x>\w+)` (?:will (?:also )?be|is|becomes|would be) (?:also )?(?P<what>[^,;.]+?)"
    r"(?=,|;| and |$)"
)
_KEEPS = re.compile(
    r"(?:the function|it) (?:does not|will not|doesn't|won't) (?:modify|change|alter) (?:the"
    r" (?:case of the )?)?(?:original |input )*(?:string|text|input)(?: at all)? (?:if|when)"
    r" (?P<when>.+)|(?:if|when) (?P<when2>.+), the (?:original |input |output )*(?:string|text)"
    r" (?:remains|stays|is left|will remain) (?:unchanged|the same|as it is)"
)
_ALWAYS = re.compile(r"\b(?:will|always|would|never|must not)\b|^(?:the function|it)\b")
_CONDITIONAL = re.compile(r"\b(?:if|when|whenever|unless|otherwise|(?<!except )for)\b")
_ANY = re.compile(
    rf"(?:any|an?|at least one) (?P<item>{ITEM})(?: (?:in|of)"
    r" (?P<owner>(?:the )?[^`]*?(?:`\w+`)?))? is (?P<no>not )?(?P<said>.+)"
)
_SET_TO = re.compile(r"is (?:specified as|set to|given as|passed as|provided as) ")
_AT_START = screened(
    rf"(?P<part>(?:the )?{ATOM}) (?:is|does) (?P<no>not )?(?:an? (?:substring|string|prefix)"
    rf" that is )?"
    rf"(?:found |present |exist |appear )?at the"
    rf" (?:start|beginning)(?: of (?P<whole>(?:the )?(?:\w+ )?{ATOM}))?"
)
_WHERE = re.compile(
    r"the (?:final )?(?:output|result) (?:will (?:always )?be|is(?: always)?) an? (?:new )?"
    r"(?:string|list|dictionary|tuple|text)(?: of \w+)?,? (?:where|in which) (?P<what>(?:the|each"
    r"|every|all) .+?) (?P<verb>is|are|has|have|starts|ends) (?P<rest>.+?)(?P<more>,? and all"
    r" values"
    r" are .+)?"
)


class Behaviour:
    """Judges statements on what the function does, by trials."""

    def __init__(self, witness: Witness, run_call: RunCall | None):
        self.trials = Trials(witness, run_call)
        self.names = set(witness.arguments)

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of a sentence, None if it is not of a known form or untried."""
        try:
            return self._read(sentence)
        except (Unknown, LiteralError, TypeError, ValueError, KeyError, IndexError):
            return None
        except (AttributeError, RecursionError):
            return None

    def _read(self, sentence: str) -> list[JudgedClaim] | None:
        text = lowered(mark_code(_ASIDE.sub("", sentence)))
        text = without_glosses(text).strip(" .:;-*")
        text = _ASSUMED.sub("if ", text)
        text = _IDLE_LOOP.sub(", ", text)
        if match := _SUCH_INPUT.fullmatch(text):
            text = f"if the input {match['kind']} {match['when']}, it {match['says']}"
        head, _, rest = text.partition("; ")
        if not rest:
            head, _, rest = text.partition(", otherwise")
            rest = rest and f"otherwise{rest}"
        if rest and (other := _OTHERWISE.fullmatch(rest.strip(" ."))):
            return self._both(head.strip(" ,"), other)
        if match := _WHICH_WILL.fullmatch(text):
            text = f"if {match['x']} is {match['adjective']}, it returns {match['told']}"
        if match := _KEEPS.fullmatch(text):
            text = f"if {match['when'] or match['when2']}, it returns the input string"
        if _CONDITIONAL.search(re.sub(ATOM, "", text)):
            return self._conditional(text)
        return self._general(text)

    def _both(self, head: str, other: re.Match[str]) -> list[JudgedClaim] | None:
        """Reads "if …, it returns …; otherwise, it returns …"."""
        one = self._cases(head)
        if one is None:
            return None
        fits, told, claim = one
        first = self._judge(head, fits, told, claim)
        second = self._judge(
            other[0], lambda trial: _negated(fits(trial)), told, self._claimed(_told(other))
        )
        return None if first is None or second is None else first + second

    def _conditional(self, text: str) -> list[JudgedClaim] | None:
        match = _BACKWARD.fullmatch(text)
        if match is not None and match["only"]:
            return self._only_if(text, match)
        if locals_told := self._locals(text):
            return locals_told
        if split := self._split(text):
            found = [self._conditional(one) for one in split]
            known = [one for one in found if one is not None]
            wrong = [one for one in known if any(c.verdict != CONFIRMED for c in one)]
            if wrong or len(known) < len(found):
                return wrong[0] if wrong else None
            return [claim for one in known for claim in one]
        cases = self._cases(text)
        return None if cases is None else self._judge(text, *cases)

    def _split(self, text: str) -> list[str]:
        """Returns the rules of "it returns X if A or if B", one for each case."""
        match = _OR_IF.fullmatch(text)
        return [f"{match['head']} if {match[name]}" for name in ("a", "b")] if match else []

    def _locals(self, text: str) -> list[JudgedClaim] | None:
        """Contradicts "if …, `left` will be empty" by what `left` is first set to.

        Only variables are judged that are made of the arguments alone.
        """
        match = _OF_LOCAL.fullmatch(text)
        if match is None or _ON_THE_WAY.search(re.sub(ATOM, "", match["when"])):
            return None
        found = []
        for one in _LOCAL.finditer(match["rest"]):
            code = definition_of(self.trials.witness, one["x"])
            trials = self.trials.fitting(
                self._named(match["when"]), lambda t: self.fits(t, match["when"]), ran=False
            )
            held = [
                holds for trial in trials
                if code and (holds := self._is(trial, code, one["what"])) is not None
            ]  # fmt: skip
            if 2 * held.count(False) > len(held):
                found.append(trials[0].claim(one[0], held=False))
        return found or None

    def _is(self, trial: Trial, code: str, what: str) -> bool | None:
        try:
            value = evaluate(code, trial.state)
            return _holds(Properties(trial).predicate("is", what.strip()), value)
        except (Unknown, LiteralError):
            return None

    def _named(self, when: str) -> list[Any]:
        found = [self._literal(name) for name in re.findall(ATOM, when)]
        return [value for value in found if value is not None]

    def _cases(self, text: str):
        """Returns (test of an input, values named, test of a trial) of "if …, it returns …"."""
        match = _FORWARD.fullmatch(text) or _BACKWARD.fullmatch(text)
        if match is None or _ON_THE_WAY.search(re.sub(ATOM, "", match["when"])):
            return None
        when = _REASON.sub("", match["when"]).strip(" ,")
        names = re.findall(ATOM, when)
        claimed = self._claimed(_told(match), {name.strip("`") for name in names})
        if claimed is None or any(self._is_unknown(name.strip("`")) for name in names):
            return None
        return (lambda trial: self.fits(trial, when)), self._named(when), claimed

    def _is_unknown(self, name: str) -> bool:
        """Tells whether a name is a variable of the function's, of which no trial knows."""
        return name in self.trials.witness.run.names and name not in self.names

    def _literal(self, atom: str) -> Any:
        try:
            value = Properties(self.trials.own).nouns.literal(atom)
        except (Unknown, LiteralError):
            return None
        return None if atom.strip("`") in self.names else value

    def fits(self, trial: Trial, when: str) -> bool | None:
        """Tells whether a trial's arguments fit a condition; None if that is unknown."""
        when = _SET_TO.sub("is ", when)
        when = _AT_START.sub(
            lambda m: (
                f"{m['whole'] or self._other_text(m['part'])} "
                f"{'does not start' if m['no'] else 'starts'} with {m['part']}"
            ),
            when,
        )
        if (some := _ANY.fullmatch(when)) is not None:
            none = self.fits(trial, _each(some, denied=not some["no"]))
            return _negated(none)
        if told := Properties(trial).read(when, choice=False):
            return told[0].verdict == CONFIRMED
        condition = read_condition(read_tokens(when))
        return None if condition is None else trial.satisfies(condition)

    def _other_text(self, part: str) -> str:
        """Returns the only text of the arguments beside one, "it" if there are others."""
        name = self.trials.witness.sole_like("''", {part.removeprefix("the ").strip("`")})
        return f"`{name}`" if name else "it"

    def _claimed(
        self, told: str, asked: Collection[str] = ()
    ) -> Callable[[Trial], bool | None] | None:
        """Returns the test of a trial that "the original text unchanged", "`-1`" states.

        asked: the parameters that a condition names; "the input" is another, if it may be that.
        """
        text = _REASON.sub("", told).strip(" ,")
        plain = _UNCHANGED.sub("", text).strip(" ,")
        plain = re.sub(r"^(an empty \w+) `(?:\w+|''|\"\"|\[\]|\{\}|\(\))`$", r"\1", plain)
        plain = re.sub(r"^(?:exactly )?(?:equal to|the same as) (?=`)", "", plain)
        if plain != text and re.fullmatch(r"the (?:string|list|array|text|dictionary)", plain):
            plain = f"the input {plain[4:]}"
        if not plain or _UNSAID.search(plain):
            return None

        def holds(trial: Trial) -> bool | None:
            if not trial.ended:
                return False
            return _holds(self._expected(trial, plain, asked), trial.value)

        return holds

    def _expected(self, trial: Trial, plain: str, asked: Collection[str] = ()) -> Predicate | None:
        properties = Properties(trial)
        plain = re.sub(r"^(?:exactly )?the same as (?=the (?:input|original))", "", plain)
        given = _GIVEN_BACK.fullmatch(plain)
        if plain == "it" or (given and not given["name"]):
            phrase = f"the {given['kind'] or 'input'}" if given else "it"
            found = [one for one in properties.nouns.meanings(phrase) if not one.of_output]
            if not found and phrase in ("the input", "it"):
                alike = [  # of several arguments, the only one of the output's type
                    f"`{name}`" for name, text in trial.arguments.items()
                    if type(parse_literal(text)) is type(trial.value)
                ]  # fmt: skip
                others = [one for one in alike if one.strip("`") not in asked]
                alike = others if len(alike) > 1 else alike
                found = properties.nouns.meanings(alike[0]) if len(alike) == 1 else []
            if len(found) != 1:
                return None
            value = found[0].values[0]
            return lambda real: same_value(real, value)
        if given:
            plain = given["name"]
        return properties.predicate("is", plain)

    def _judge(
        self,
        text: str,
        fits: Callable[[Trial], bool | None],
        told: list[Any],
        claimed: Callable[[Trial], bool | None] | None,
    ) -> list[JudgedClaim] | None:
        """Judges a statement on all inputs that fit.

        It must hold for each that is tried; a single odd one of several decides nothing.
        """
        if claimed is None:
            return None
        tried = [
            (claimed(trial), trial) for trial in self.trials.fitting(told, fits)
            if not self._is_caseless(text, trial)
        ]  # fmt: skip
        known = [(held, trial) for held, trial in tried if held is not None]
        if not known or len(known) < len(tried):
            return None
        wrong = [trial for held, trial in known if not held]
        own = known[0][1].arguments == self.trials.witness.arguments
        if not wrong:
            others = self.trials.mixed(_MOST_MIXED) if len(self.names) > 1 else []
            if any(fits(one) and claimed(one) is False for one in others):
                return None
            return [known[0][1].claim(text, held=True)]
        if (own and not known[0][0]) or 2 * len(wrong) > len(known):
            return [wrong[0].claim(text, held=False)]
        return None

    def _only_if(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges "it returns `-1` only if …" by the inputs for which it does."""
        claimed, when = self._claimed(_told(match)), match["when"].strip(" ,")
        if claimed is None or _ON_THE_WAY.search(re.sub(ATOM, "", when)):
            return None
        tried = self.trials.fitting([], lambda trial: True, most=8)
        found = [
            (self.fits(trial, when), trial) for trial in tried if trial.ended and claimed(trial)
        ]
        found = [(held, trial) for held, trial in found if held is not None]
        if len(found) < 2:
            return None
        wrong = [trial for held, trial in found if not held]
        return [(wrong or [found[0][1]])[0].claim(text, held=not wrong)]

    # ---- statements on every input

    def _general(self, text: str) -> list[JudgedClaim] | None:
        known, claims = Invariants(self.trials).read(text)
        return claims if known else self._plainly(text)

    def _plainly(self, text: str) -> list[JudgedClaim] | None:
        """Judges "the output is always a list", "it returns the reversed text".

        "The output is …" may be said of the output that is given, which is not the witness's.
        """
        own = self.trials.own
        if own.ended and self.trials.witness.misses_goal and not _ALWAYS.search(text):
            return None
        if match := _WHERE.fullmatch(text):
            of = " of the output" if match["what"].startswith("the ") else ""
            text = f"{match['what']}{of} {match['verb']} {match['rest']}"
            if match["more"] and not of:
                return self._all_of([text, f"{match['more'].strip(', ')[4:]}"])
            return self._everywhere(text)
        if match := _PLAIN.fullmatch(text):
            told = _told(match)
            bare = _REASON.sub("", told).strip(" ,")
            if re.fullmatch(rf"(?:the \w+ )?{ATOM}", bare) and "always" not in text:
                return None  # the goal restated, or a variable
            claimed = self._claimed(told)
            tried = None if claimed is None else self.trials.everywhere(text, claimed, [])
            return tried or self._on_the_way(text, told)
        both = _BOTH.split(text)
        told = [name.strip("`") for one in both for name in re.findall(ATOM, one)]
        if not _OF_OUTPUT.fullmatch(both[0]) or set(told) - self.names:
            return None
        if len(both) > 1:
            return self._all_of(
                [both[0], *(_REST_OF_IT.sub(r"\1 of the output", one) for one in both[1:])]
            )
        return self._everywhere(text)

    def _all_of(self, texts: list[str]) -> list[JudgedClaim] | None:
        """Judges several statements on every output; all must be decided unless one is false."""
        if len(texts) > 1 and any(self._says(self.trials.own, text) is None for text in texts[1:]):
            return None  # a rest that may be another one
        found = [self._everywhere(text) for text in texts]
        wrong = [one for one in found if one and one[0].verdict != CONFIRMED]
        if wrong or None in found:
            return wrong[0] if wrong else None
        return [claim for one in found for claim in one or ()]

    def _everywhere(self, text: str) -> list[JudgedClaim] | None:
        said = _REASON.sub("", text)
        return self.trials.everywhere(
            text, lambda trial: self._says(trial, said), [], refutable=True
        )

    def _says(self, trial: Trial, text: str) -> bool | None:
        """Tells whether a statement on the output holds for a trial; None if that is unknown."""
        if self._is_caseless(text, trial):
            return None
        told = Properties(trial).read(text, choice=False) if trial.ended else None
        return told[0].verdict == CONFIRMED if told and len(told) == 1 else None

    def _is_caseless(self, text: str, trial: Trial) -> bool:
        """Tells whether a statement on case is tried on a made-up result without letters."""
        made_up = trial.arguments != self.trials.witness.arguments
        value = trial.value if trial.ended and made_up and _CASED.search(text) else None
        return isinstance(value, str) and not (value.isalpha() and value.isascii())

    def _on_the_way(self, text: str, told: str) -> list[JudgedClaim] | None:
        """Confirms "the output is the sum of `parts`" of a variable that the run holds."""
        own = self.trials.own
        plain = re.sub(r",? which [^`]*$", "", _UNCHANGED.sub("", told))
        found = Properties(self.trials.witness).nouns.meanings(plain) if own.ended else []
        values = [value for one in found if one.passing for value in one.values]
        same = any(same_value(value, own.value) for value in values)
        return [own.claim(text, held=True)] if same else None


def _each(some: re.Match[str], *, denied: bool) -> str:
    """Returns "each character of the text is not a digit", whose denial "any … is a digit" is."""
    owner = some["owner"] or ""
    word = "not " if denied else ""
    return f"each {some['item']}{' of ' + owner if owner else ''} is {word}{some['said']}"


def _told(match: re.Match[str]) -> str:
    groups = match.groupdict()
    told = next(groups[name] for name in "abcd" if groups.get(name))
    return f"{told} {groups['e']}" if groups.get("e") else told


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def _holds(test: Predicate | None, value: Any) -> bool | None:
    try:
        return None if test is None else bool(test(value))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, Unknown):
        return False


def sentences_of(text: str) -> Iterator[str]:
    """Yields the sentences of a line, an "otherwise" with the condition before it."""
    parts = [one for one in re.split(r"(?<=[\w`)\"'\]}])[.]\s+(?=[A-Z`(])", text) if one.strip()]
    joined: list[str] = []
    for part in parts:
        if joined and re.match(r"otherwise\b|if not\b", part, re.I):
            joined[-1] += "; " + part
        else:
            joined.append(part)
    yield from joined
