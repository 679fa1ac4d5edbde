"""Judges what a sentence says of parts and their order, on any input.

"The order of the numbers in the input does not matter", "the order of the characters is preserved",
"each uppercase letter is converted to lowercase", "`"a"` and `"b"` must be separated by tabs".
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.verify.backward.nouns import ATOM, ITEM, MARKS
from data_pipeline.verify.backward.plain import plain_statement
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim

_MOST_TRIALS = 10
_LEAST = 2
_OWNER = (
    rf"(?: (?:of|in) (?P<of>(?:the )?(?:input|original|given)?(?: ?(?:string|list|text|array|tuple"
    rf"|word|sentence|sequence))?(?: ?{ATOM})?))?"
)
_ANY_ORDER = re.compile(
    rf"the order of (?:the )?{ITEM}{_OWNER} (?:does not|doesn't) (?:matter|affect (?:the"
    rf" )?(?:output"
    r"|result|count|sum))(?:,? (?:as|since|because) .*)?"
)
_SAME_ORDER = re.compile(
    rf"(?:the (?:original )?order of (?:the )?(?:remaining )?{ITEM}{_OWNER} (?:is|will be|remains"
    r"|stays) (?:preserved|maintained|kept|unchanged|the same)(?: in the (?:final )?(?:output"
    r"|result)(?: \w+)?)?|(?:the function|it) (?:does not|doesn't|will not) change the order of"
    r" (?:the"
    rf" )?{ITEM})(?:; it simply (?P<more>.+))?"
)
_CASES: dict[str, tuple[Callable[[str], bool], Callable[[str], str]]] = {
    "uppercase": (str.isupper, str.upper), "lowercase": (str.islower, str.lower),
}  # fmt: skip
_KIND = r"(?P<{0}>uppercase|lowercase) (?:letters?|characters?)"
_INTO = (
    r" (?:(?:is|are|will be|gets?) )?(?:converted|changed|turned|transformed) (?:in)?to (?:its "
    r"|their )?"
    r"(?P<{0}>uppercase|lowercase)(?: letters?| characters?| counterparts?| equivalents?)?"
    r"(?: in the output)?"
)
_TURNS = re.compile(
    rf"(?:(?:the function|it) (?:simply )?converts )?(?:each|every|all|any) {_KIND.format('a')}"
    rf"(?: (?:in|of) the (?:input|original)(?: \w+| `\w+`)?)?{_INTO.format('b')}"
    rf"(?:,? and (?:each|every|all|any) {_KIND.format('c')}{_INTO.format('d')}|,? and vice versa)?"
)
_FLIPS = re.compile(r"flips the case of each (?:character|letter)")
_SEPARATED = re.compile(
    r"(?:(?:the )?(?:input|original)?(?: ?\w+)?(?: `\w+`)? (?:must|should) (?:contain|have"
    r"|include) )?"
    rf"(?:the )?(?:exact |specific )?(?:\w+ )?(?P<all>{ATOM}(?:(?:,| and|, and) {ATOM})+),?"
    r"(?: and they| which)?(?: must be| should be| are| all)* separated by (?:an? |the )?(?:single "
    rf"|exactly one )?(?P<mark>{ATOM}|[a-z]+?)s?(?: characters?| breaks?)?"
)
_BREAKS = {"line": "\n", **MARKS}


class Orders:
    """Judges statements on parts and their order by trials of one function."""

    def __init__(self, trials: Trials):
        self.trials = trials

    def read(self, sentence: str) -> list[JudgedClaim] | None:
        """Returns the claims of a sentence of a known form, None of any other or if untried."""
        text = plain_statement(sentence)
        try:
            for pattern, judge in (
                (_ANY_ORDER, self._any_order), (_SAME_ORDER, self._same_order),
                (_TURNS, self._turns), (_SEPARATED, self._separated),
            ):  # fmt: skip
                if match := pattern.fullmatch(text):
                    return judge(text, match)
        except (LiteralError, Unknown, TypeError, ValueError, KeyError, AttributeError):
            return None
        return None

    def _owner(self, phrase: str | None) -> str:
        """Returns the parameter that a phrase means, "" if that is not known."""
        own = self.trials.witness.arguments
        if named := re.search(r"`(\w+)`", phrase or ""):
            return named[1] if named[1] in own else ""
        if "output" in (phrase or "") or "result" in (phrase or ""):
            return ""
        kept = [n for n, text in own.items() if isinstance(parse_literal(text), str | list | tuple)]
        return kept[0] if len(kept) == 1 or (kept and phrase and "input" in phrase) else ""

    def _any_order(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Runs the witness with its items in other orders: all must give what it gives."""
        name = self._owner(match["of"])
        value = parse_literal(self.trials.witness.arguments[name]) if name else None
        own = self.trials.own
        if not own.ended or value is None:
            return None
        found = [
            self.trials.run({**self.trials.witness.arguments, name: repr(one)})
            for one in itertools.islice(_reordered(value), 3)
        ]
        known = [one for one in found if one.outcome is not None]
        wrong = [one for one in known if not one.ended or not same_value(one.value, own.value)]
        if wrong:
            return [wrong[0].claim(text, held=False)] if len(wrong) == len(known) else None
        return [own.claim(text, held=True)] if len(known) >= _LEAST else None

    def _same_order(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Confirms that the items of all outputs stand in the input in the same order."""
        name = self._owner(match.groupdict().get("of"))
        flips = match["more"] is not None
        if not name or (flips and not _FLIPS.fullmatch(match["more"])):
            return None

        def holds(trial: Trial) -> bool | None:
            before, after = parse_literal(trial.arguments[name]), trial.value
            if type(before) is not type(after) or not isinstance(after, Sequence):
                return None
            return same_value(after, before.swapcase()) if flips else _is_part(after, before)

        return self._everywhere(text, holds)

    def _turns(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges each letter of a case by the same place of the output."""
        name = self._owner("input")
        turns = [(match["a"], match["b"])]
        if match["c"]:
            turns.append((match["c"], match["d"]))
        elif text.endswith("vice versa"):
            turns.append((match["b"], match["a"]))

        def holds(trial: Trial) -> bool | None:
            before, after = parse_literal(trial.arguments[name]), trial.value
            if not isinstance(after, str) or len(before) != len(after):
                return None
            told = [
                (x, y, _CASES[into][1](x)) for x, y in zip(before, after, strict=True)
                for kind, into in turns if _CASES[kind][0](x)
            ]  # fmt: skip
            return all(y == turned for _, y, turned in told) if told else None

        return self._everywhere(text, holds) if name else None

    def _everywhere(
        self, text: str, holds: Callable[[Trial], bool | None]
    ) -> list[JudgedClaim] | None:
        """Judges by the witness and its variations: the witness alone contradicts."""
        tried = [(holds(one), one) for one in self.trials.mixed(_MOST_TRIALS) if one.ended]
        known = [(held, one) for held, one in tried if held is not None]
        if any(not held for held, _ in known):
            own = self.trials.witness.arguments
            return next(
                ([one.claim(text, held=False)] for held, one in known
                 if not held and one.arguments == own), None
            )  # fmt: skip
        return [known[0][1].claim(text, held=True)] if len(known) >= _LEAST else None

    def _separated(self, text: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Confirms that parts stand in a text of the input with only a mark between them."""
        nouns = Properties(self.trials.witness).nouns
        parts = [nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
        mark = match["mark"]
        between = nouns.literal(mark) if mark.startswith("`") else _BREAKS[mark]
        if not all(isinstance(one, str) for one in (*parts, between)):
            return None
        space = r"[ ]*" if between.strip(" ") else ""
        joint = space + re.escape(between) + space
        wanted = re.compile(joint.join(map(re.escape, parts)))
        values = map(parse_literal, self.trials.witness.arguments.values())
        held = any(isinstance(value, str) and wanted.search(value) for value in values)
        return [self.trials.own.claim(text, held=True)] if held else None


def _reordered(value: Any) -> Iterator[Any]:
    """Yields a list or text backward, turned by one, and with its first two items exchanged."""
    for one in (value[::-1], value[1:] + value[:1], value[1:2] + value[:1] + value[2:]):
        if one != value:
            yield one


def _is_part(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    """Tells whether all items of one sequence stand in another in the same order."""
    items = iter(whole)
    return all(any(same_value(item, one) for item in items) for one in part)
