"""Reads properties that a line of a backward monologue demands of the input or sees in the output.

"`letter` must appear exactly twice in `text`", "the third element of the output is 0, which is the
third element of the input": a subject, found by `nouns`, and a predicate on its value. A
demand holds for the witness or is none; where a subject has two meanings, both must agree.
"""

import re
from collections.abc import Callable
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.verify.adjectives import ADJECTIVES, Predicate
from data_pipeline.verify.backward.contents import made_of
from data_pipeline.verify.backward.listed_parts import ListedParts
from data_pipeline.verify.backward.nouns import (
    ATOM,
    ITEM,
    MARKS,
    Meaning,
    Nouns,
    items_of,
    number,
)
from data_pipeline.verify.backward.plain import plain_statement
from data_pipeline.verify.backward.relations import related
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim

_MODAL = r"(?:must|should|has to|have to|needs? to|will|would|can|could)"
_SENTENCE = re.compile(
    rf"(?P<subject>.+?) (?:(?P<modal>{_MODAL})(?P<no> not|not|n't)?"
    r" (?:(?:also|then|always|already|still|therefore|actually) )*(?P<only>only )?)?"
    r"(?P<verb>be|is|are|was|were|contains?|includes?|has|have|starts?|begins?|ends?|appears?"
    r"|occurs?"
    r"|exists?|equals?|corresponds?|matches|match|consists?|remains?|does|do)(?P<no2> not|n't)?"
    r"(?: (?P<rest>.+))?"
)
_THERE = re.compile(
    rf"there (?:{_MODAL} be|is|are) (?P<how>exactly |at least |at most |only )?"
    rf"(?:a total of )?(?P<count>\w+|`\d+`) (?P<what>(?:{ATOM} )?(?:[a-z-]+ )*?{ITEM}|{ATOM}) in"
    rf" (?P<where>.+)"
)
_INDEXED = re.compile(
    rf"(?:at )?(?:index|position) `(?:\w+ = )?(?P<at>-?\d+)`(?: (?:of|in) (?P<where>.+?))?"
    rf"(?::| is| must be| contains| holds| has)(?: the (?:character|value|element))?"
    rf" (?P<told>{ATOM})"
)
_OTHER_VERB = re.compile(
    r"(?P<one>.+?),? or (?P<verb>is|be|are|contains?|consists?|has|have|starts?|ends?) (?P<two>.+)"
)
_NAMED_ITEM = re.compile(rf"(?P<noun>.*\b{ITEM}(?: (?:of|in) .*)?),? (?P<told>{ATOM})")
_RELATIVE = re.compile(
    r"an? (?:(?:input|new|single) )*(?P<kind>string|list|dictionary|tuple|character|substring)"
    r" (?:(?:that|which)"
    r" (?:must"
    r" )?(?P<no>does not |do not |must not )?(?P<verb>is|contains?|has|have|consists?|starts?|ends?"
    r"|begins?)(?P<no2> not)? (?P<said>.+)|(?P<made>(?:entirely |solely )?(?:composed|made up"
    r"|consisting|comprised) .+))"
)
_KINDS: dict[str, Predicate] = {
    "character": lambda v: type(v) is str and len(v) == 1,
    "substring": ADJECTIVES["a string"],
} | {kind: ADJECTIVES[f"a {kind}"] for kind in ("string", "list", "dictionary", "tuple")}
_VERBS = {"was": "is", "were": "is", "are": "is", "be": "is"}
_UNCHANGED = re.compile(r"(?:unchanged|the same|kept|not changed|not modified|left as it is)")
_TURNED = re.compile(rf"(?:changed|converted|transformed|turned) (?:in)?to (?P<told>{ATOM})")


class Properties:
    """Judges statements on one witness."""

    def __init__(self, witness: Witness):
        self.witness, self.nouns = witness, Nouns(witness)

    def read(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Returns the claim of a statement of a known form; None for any other."""
        text = plain_statement(piece)
        if needs := _TWO_NEEDS.fullmatch(text):
            one, two = (self.read(f"{needs['of']} {needs[part]}", choice) for part in ("a", "b"))
            return None if one is None or two is None else one + two
        if both := _TWO.fullmatch(text):
            one, two = (self.read(both[part], choice) for part in ("one", "two"))
            if one is not None and two is not None:
                return one + two
        if origin := _ORIGIN.fullmatch(text):
            one = self._sentence(f"{origin['one']} of the output is {origin['v']}")
            two = self._sentence(f"{origin['two']} is {origin['w']}")
            return None if one is None or two is None else one + two
        if same := _CORRESPONDING.fullmatch(text):
            one = self.read(same["one"], choice)
            two = self.read(f"{same['noun']} is {same['other']}", choice)
            return None if one is None or two is None else one + two
        parts = ListedParts(self.witness, self.nouns, self._claim).readers
        for read in (self._indexed, *parts, self._there, self._values, self._item, self._sentence):
            try:
                claims = read(text)
            except (TypeError, ValueError, KeyError, IndexError, AttributeError, Unknown):
                continue
            except (LiteralError, RecursionError):
                continue
            if claims is not None:
                wrong = any(claim.verdict == CONTRADICTED for claim in claims)
                return None if wrong and choice else claims
        return None

    def _claim(self, text: str, meanings: list[Meaning], holds: Predicate) -> list | None:
        found = [(all(map(holds, one.values)), one) for one in meanings if one.values]
        if not found:
            return None
        if any(one.guessed for _, one in found) and any(held for held, _ in found):
            found = [(held, one) for held, one in found if held]
        if any(one.passing for _, one in found):
            good = any(held for held, _ in found)
            return [JudgedClaim("answer", text[:80], CONFIRMED, None)] if good else None
        if len({held for held, _ in found}) != 1:
            found = [(held, one) for held, one in found if held and not one.of_output]
            if len(found) != 1 or not re.search(r"\b(?:must|should|needs? to|has to)\b", text):
                return None  # "the string must …" may be said of the input
        held, one = found[0]
        truth = f"the output is {self.witness.goal}" if one.of_output else self.witness.shown
        return [JudgedClaim("answer", text[:80], CONFIRMED if held else CONTRADICTED, truth)]

    def _indexed(self, text: str) -> list[JudgedClaim] | None:
        """Reads "at index `i = 3`: `'L'`", of the input or of the output."""
        match = _INDEXED.fullmatch(text)
        if match is None:
            return None
        where = match["where"]
        owners = self.nouns.meanings(where) if where else self.nouns.everything()
        at, told = int(match["at"]), self.nouns.literal(match["told"])
        kept = [one for one in owners if isinstance(one.values[0], str | list | tuple)]
        if not kept:
            return None
        held = any(
            -len(value) <= at < len(value) and same_value(value[at], told)
            for one in kept for value in one.values
        )  # fmt: skip
        verdict = CONFIRMED if held else CONTRADICTED
        return [JudgedClaim("answer", text[:80], verdict, self.witness.shown)]

    def _values(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the values of the keys `'a'` and `'b'` must be 3 and 4, respectively"."""
        match = _VALUES.fullmatch(text)
        if match is None:
            return None
        keys, told = (
            [self.nouns.literal(atom) for atom in re.findall(ATOM, match[part])]
            for part in ("keys", "told")
        )
        owners = [
            one for one in self.nouns.everything()
            if isinstance(one.values[0], dict)
        ]  # fmt: skip
        pairs = list(zip(keys, told, strict=True))
        return self._claim(
            text, owners, lambda value: all(k in value and value[k] == v for k, v in pairs)
        )

    def _there(self, text: str) -> list[JudgedClaim] | None:
        """Reads "there must be exactly two `'a'` in `text`"."""
        match = _THERE.fullmatch(text)
        least = number(match["count"]) if match else None
        if match is None or least is None:
            return None
        holds = self._counted(match["what"], _bound(match["how"] or "", match["count"], least))
        return None if holds is None else self._claim(text, self._where(match["where"]), holds)

    def _where(self, phrase: str) -> list[Meaning]:
        return self.nouns.meanings(phrase)

    def _counted(self, what: str, fits: Callable[[int], bool]) -> Predicate | None:
        """Returns the test that a container holds a fitting number of what a phrase names."""
        if atom := re.match(ATOM, what):
            told = self.nouns.literal(atom[0])
            return lambda value: fits(_count(value, told))
        middle = what.endswith(" in the middle")
        *words, item = what.removesuffix(" in the middle").split()
        if words in (["unique"], ["distinct"]):
            return lambda value: fits(len(set(items_of(value, item) or ())))
        kept = ADJECTIVES.get(" ".join(words)) if words else lambda _: True
        if kept is None:
            return None

        def holds(value: Any) -> bool:
            items = items_of(value[1:-1] if middle else value, item)
            if items is None:
                raise Unknown
            return fits(sum(map(kept, items)))

        return holds

    def _item(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the third character `'k'` is unchanged", with the same place of the output."""
        match = _SENTENCE.fullmatch(text)
        named = _NAMED_ITEM.fullmatch(match["subject"]) if match else None
        if match is None or named is None or match["no"] or match["no2"] or match["modal"]:
            return None
        self.nouns.index = None
        meanings = self.nouns.meanings(named["noun"]) or [
            one for name in self.witness.arguments
            for one in self.nouns.meanings(f"{named['noun']} of `{name}`")
        ]  # fmt: skip
        at, told = self.nouns.index, self.nouns.literal(named["told"])
        claims = self._claim(named[0], meanings[:1], lambda value: same_value(value, told))
        rest = match["rest"] or ""
        after = self.nouns.meanings("output")
        if claims is None or at is None or not after or type(after[0].values[0]) is not str:
            return None
        turned, now = _TURNED.fullmatch(rest), after[0].values[0]
        if not turned and not _UNCHANGED.fullmatch(rest):
            return None
        wanted = self.nouns.literal(turned["told"]) if turned else told
        held = now[at : at + 1 or None] == wanted and (not turned or wanted != told)
        verdict = CONFIRMED if held else CONTRADICTED
        return [*claims, JudgedClaim("answer", text[:80], verdict, f"the output is {now!r}")]

    def _sentence(self, text: str) -> list[JudgedClaim] | None:
        """Reads a subject with a predicate: "`text` must not contain `'a'`"."""
        match = _SENTENCE.fullmatch(text)
        if match is None:
            return None
        denied = bool(match["no"] or match["no2"])
        verb, rest = match["verb"], match["rest"] or ""
        if verb in ("does", "do"):
            verb, _, rest = rest.partition(" ")
            if not denied:
                return None
        if match["only"]:
            rest = f"only {rest}"
        if rest.startswith("not "):
            denied, rest = not denied, rest[4:]
        verb = _VERBS.get(verb, verb.rstrip("s") if verb not in ("is", "has") else verb)
        meanings = self.nouns.meanings(match["subject"])
        if not meanings:
            return None
        holds = self.predicate(verb, rest.strip())
        if holds is None:
            return None
        claims = self._claim(text, meanings, (lambda v: not holds(v)) if denied else holds)
        wrong = any(claim.verdict == CONTRADICTED for claim in claims or ())
        return None if wrong and match["subject"] == "it" else claims

    def predicate(self, verb: str, rest: str) -> Predicate | None:
        """Returns the test of a value that a verb and the words after it state."""
        readers = (
            self._verbs, self._known, self._made, self._related, self._either, self._relative
        )  # fmt: skip
        return next((found for read in readers if (found := read(verb, rest))), None)

    def _verbs(self, verb: str, rest: str) -> Predicate | None:
        """Reads "is empty or consists solely of digits"."""
        match = _OTHER_VERB.fullmatch(rest)
        if match is None:
            return None
        other = _VERBS.get(match["verb"], match["verb"])
        other = other if other in ("is", "has") else other.rstrip("s")
        one, two = self.predicate(verb, match["one"]), self.predicate(other, match["two"])
        if one is None or two is None:
            return None
        return lambda value: one(value) or two(value)

    def _made(self, verb: str, rest: str) -> Predicate | None:
        return made_of(verb, rest, self.nouns)

    def _related(self, verb: str, rest: str) -> Predicate | None:
        return related(verb, rest, self.nouns)

    def _either(self, verb: str, rest: str) -> Predicate | None:
        """Reads "is an empty string or a string that has no letters"."""
        one, _, two = rest.partition(" or ")
        first, second = (self.predicate(verb, part) for part in (one, two)) if two else (None, None)
        return (lambda value: first(value) or second(value)) if first and second else None

    def _relative(self, verb: str, rest: str) -> Predicate | None:
        """Reads "is a string that does not contain any digits"."""
        match = _RELATIVE.fullmatch(rest) if verb == "is" else None
        if match is None:
            return None
        told = match["verb"] or "is"
        said = _VERBS.get(told, told)
        said = said if said in ("is", "has") else said.rstrip("s")
        rest = match["said"] or match["made"]
        kind, holds = _KINDS.get(match["kind"]), self.predicate(said, rest)
        if kind is None or holds is None:
            return None
        denied = bool(match["no"] or match["no2"])
        return lambda value: kind(value) and holds(value) is not denied

    def _known(self, verb: str, rest: str) -> Predicate | None:
        match verb:
            case "is" | "remain":
                return self._being(rest)
            case "equal" | "match" | "correspond":
                return self._being(rest.removeprefix("to "))
            case "contain" | "include" | "has" | "have" | "consist":
                return self._having(rest.removeprefix("of "), only=verb == "consist")
            case "start" | "begin" | "end":
                return self._ending(verb, rest)
            case "appear" | "occur" | "exist":
                return self._appearing(rest)
        return None

    def _being(self, rest: str) -> Predicate | None:
        if rest in ADJECTIVES:
            return ADJECTIVES[rest]
        if rest in ("a single character", "one character", "a character"):
            return _KINDS["character"]
        if match := _COMPARED.fullmatch(rest):
            bounds = self._single(match["what"])
            how = _ORDERS[match["how"]]
            return None if bounds is None else lambda value: how(value, bounds[0])
        if match := re.fullmatch(
            rf"(?:in the range |in )?between (?P<a>{ATOM}) and (?P<b>{ATOM})", rest
        ):
            low, high = self.nouns.literal(match["a"]), self.nouns.literal(match["b"])
            return lambda value: low <= value <= high
        if match := re.fullmatch(rf"divisible by (?P<a>{ATOM})", rest):
            by = self.nouns.literal(match["a"])
            return lambda value: value % by == 0
        if match := _SIZED.fullmatch(rest):
            return self._sized(match)
        if rest in ("a key", "keys", "a key in the output", "keys in the output"):
            keys = parse_literal(self.witness.goal)
            return (lambda value: value in keys) if isinstance(keys, dict) else None
        if rest in ("present", "included", "there"):
            return self._inside_something()
        if match := _WITH_ITEMS.fullmatch(rest):
            kind, holds = ADJECTIVES[f"a {match['kind']}"], self._having(match["items"])
            return None if holds is None else lambda value: kind(value) and holds(value)
        if match := _INSIDE.fullmatch(rest):
            return self._inside(match["where"])
        if (match := _ONLY_ITEM.fullmatch(rest)) and (whole := self._single(match["where"])):
            return lambda value: list(whole[0]) == [value]
        if match := _SEQUENCE.fullmatch(rest):
            return self._in_order(match["all"])
        same = self._single(_SAME_AS.sub("", rest))
        return None if same is None else lambda value: same_value(value, same[0])

    def _in_order(self, atoms: str) -> Predicate:
        """Returns the test that a text or list is made of the values told, in their order."""
        told = [self.nouns.literal(atom) for atom in re.findall(ATOM, atoms)]

        def holds(value: Any) -> bool:
            if not isinstance(value, str | list | tuple) or len(value) != len(told):
                raise Unknown
            return same_value(list(value), told)

        return holds

    def _single(self, phrase: str) -> list[Any] | None:
        """Returns the only value that a phrase may mean, in a list."""
        found = self.nouns.meanings(phrase)
        if len(found) != 1 or found[0].passing or len(found[0].values) != 1:
            return None
        return list(found[0].values)

    def _inside(self, where: str) -> Predicate | None:
        found = self._single(where)
        if found is None:
            return None
        deep = [found[0], *(found[0].values() if isinstance(found[0], dict) else ())]
        kept = [one for one in deep if not isinstance(one, str) or one is found[0]]
        return lambda value: any(
            value in one for one in kept if isinstance(one, str | list | tuple | dict | set)
        )

    def _inside_something(self) -> Predicate:
        """Returns the test that a value is in one of the arguments."""
        owners = [one.values[0] for one in self.nouns.everything() if not one.of_output]
        kept = [one for one in owners if isinstance(one, str | list | tuple | dict | set)]
        return lambda value: any(
            value in one for one in kept if isinstance(value, str) or not isinstance(one, str)
        )

    def _sized(self, match: re.Match[str]) -> Predicate | None:
        told = match["count"] or match["count2"]
        size = number(told)
        if size is None:
            return None
        fits = _bound(match["how"] or match["how2"] or "", told, size)
        kind = match["kind"]
        return lambda value: fits(len(value)) and (kind is None or ADJECTIVES[f"a {kind}"](value))

    def _having(self, rest: str, only: bool = False) -> Predicate | None:
        if match := _SIZED.fullmatch(rest):
            return self._sized(match)
        if match := _KEYS_WITH.fullmatch(rest):
            keys, told = (
                [self.nouns.literal(atom) for atom in re.findall(ATOM, match[part])]
                for part in ("keys", "told")
            )
            pairs = list(zip(keys, told, strict=True))
            return lambda value: all(k in value and same_value(value[k], v) for k, v in pairs)
        if _KEYED.match(rest.removeprefix("only ")):
            return self._keyed(rest.removeprefix("only "), rest.startswith("only "))
        if match := re.fullmatch(rf"(?P<told>{ATOM}) at (?:index|position) (?P<at>{ATOM})", rest):
            told, at = self.nouns.literal(match["told"]), self.nouns.literal(match["at"])
            return lambda value: same_value(value[at], told)
        if match := _ATOMS.fullmatch(rest):
            told = [self.nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
            if only or match["only"]:
                return lambda value: set(value) == {one for one in told}
            return lambda value: all(_is_inside(one, value) for one in told)
        if (match := _GIVEN_NAME.fullmatch(rest)) and (whole := self._single(match[0])):
            return lambda value: _is_inside(whole[0], value)
        if match := _ANY_ITEM.fullmatch(rest):
            return self._any_item(match["item"], match["verb"], match["said"])
        if match := _NUMBERED.fullmatch(rest):
            count = number(match["count"])
            if count is None:
                return None
            return self._counted(match["what"], _bound(match["how"] or "", match["count"], count))
        if (match := re.fullmatch(rf"only (?P<what>[a-z ]+?) {ITEM}", rest)) or (
            match := re.fullmatch(r"only (?P<what>digits|letters)", rest)
        ):
            kept = ADJECTIVES.get(match["what"])
            return None if kept is None else lambda value: all(map(kept, value))
        return None

    def _any_item(self, item: str, verb: str, said: str) -> Predicate | None:
        """Reads "a word that ends with 'a'"."""
        holds = self.predicate(_VERBS.get(verb, verb.rstrip("s") if verb != "is" else verb), said)
        if holds is None:
            return None
        return lambda value: any(map(holds, items_of(value, item) or ()))

    def _keyed(self, rest: str, only: bool) -> Predicate | None:
        """Reads "the key `'a'` with the value 3 and the key `'b'` with the value 4"."""
        found = []
        while match := _KEYED.match(rest):
            found.append(tuple(self.nouns.literal(match[name]) for name in ("key", "value")))
            rest = re.sub(r"^,? ?(?:and )?", "", rest[match.end() :])
        if rest:
            return None
        size = len(found)
        return lambda value: (
            all(k in value and same_value(value[k], v) for k, v in found)
            and (not only or len(value) == size)
        )

    def _ending(self, verb: str, rest: str) -> Predicate | None:
        at = -1 if verb == "end" else 0
        if (match := re.fullmatch(r"with an? (?P<mark>[a-z]+)", rest)) and match["mark"] in MARKS:
            rest = f"with `{MARKS[match['mark']]!r}`"
        if (match := _OF_KIND.fullmatch(rest)) and (kept := ADJECTIVES.get(match["kind"])):
            return lambda value: kept(value[at])
        if match := re.fullmatch(rf"with (?P<all>{ATOM}(?:,| and|, and) {ATOM})(?: in .*)?", rest):
            parts = [self.nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
            size = len(parts)
            return lambda value: list(value[-size:] if at else value[:size]) == parts
        match = re.fullmatch(rf"(?:with|in)(?: the| an?)?(?: [a-z]+)*? ?(?P<told>{ATOM})", rest)
        if match is None:
            return None
        told = self.nouns.literal(match["told"])

        def holds(value: Any) -> bool:
            if isinstance(value, str):
                return value.endswith(told) if verb == "end" else value.startswith(told)
            return same_value(value[at], told)

        return holds

    def _often(self, rest: str) -> Predicate | None:
        """Reads "three or more times in `text`", "zero or one time", "more than once"."""
        told, _, place = rest.partition(" in ")
        match, where = _OFTEN.fullmatch(told), self._single(place or "input")
        size = number(match["count"] or match["count2"]) if match else None
        if match is None or where is None or size is None:
            return None
        other = number(match["more"]) if match["more"] else None
        if match["how"] or match["more"] in ("more", "fewer", "less"):
            more = "more" in (match["how"], match["more"])
            least = size + (match["how"] is not None) * (1 if more else -1)
            fits = (lambda real: real >= least) if more else (lambda real: real <= least)
        elif other is None:
            return None
        else:
            fits = (size, other).__contains__
        return lambda value: fits(_count(where[0], value))

    def _appearing(self, rest: str) -> Predicate | None:
        if fits := self._often(rest):
            return fits
        if match := _TIMES.fullmatch(rest):
            count = number(match["count"])
            where = self._single(match["where"] or "input")
            if count is None or where is None:
                return None
            fits = _bound(match["how"] or "", match["count"], count)
            return lambda value: fits(_count(where[0], value))
        match = re.fullmatch(r"(?:somewhere |(?:as )?(?:a )?key )?in (?P<where>.+)", rest)
        return self._inside(match["where"]) if match else None


_OFTEN = re.compile(
    r"(?P<count>\w+|`\d+`)(?: times?)? or (?P<more>more|fewer|less|`\d+`|\w+) times?"
    r"|(?P<how>more|fewer|less) than (?P<count2>once|twice|(?:\w+|`\d+`)(?= times))(?: times)?"
)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "at least": lambda a, b: a >= b, "at most": lambda a, b: a <= b,
    "greater than": lambda a, b: a > b, "more than": lambda a, b: a > b,
    "larger than": lambda a, b: a > b, "less than": lambda a, b: a < b,
    "smaller than": lambda a, b: a < b, "greater than or equal to": lambda a, b: a >= b,
    "less than or equal to": lambda a, b: a <= b, "no more than": lambda a, b: a <= b,
}  # fmt: skip
_COMPARED = re.compile(rf"(?P<how>{'|'.join(sorted(_ORDERS, key=len, reverse=True))}) (?P<what>.+)")
_SIZED = re.compile(
    r"(?:(?:an? |the )?(?:non-empty )?(?P<kind>string|list|tuple|dictionary)? ?(?:of|with|having)?"
    r" ?(?:an? |the |total )*length (?:of |equal to )?(?P<how>exactly |at least |at most )?"
    r"(?P<count>`\d+`|\w+)(?: characters| elements)?"
    rf"|(?P<how2>exactly |at least |at most )?(?P<count2>`\d+`|\w+) {ITEM}"
    r" (?:long|in length|in total))"
)
_WITH_ITEMS = re.compile(
    r"an? (?P<kind>list|string|dict|dictionary|tuple) (?:with|containing|of|consisting of)"
    rf" (?P<items>(?:exactly |only )?(?:`\d+`|\w+) {ITEM})"
)
_INSIDE = re.compile(
    r"(?:(?:present|included|contained|found|an? key|an? element|an? substring|one of the keys)"
    r" (?:as an? key )?)?(?:in|of) (?P<where>.+)"
)
_KEYED = re.compile(
    rf"(?:the |an? )?key (?P<key>{ATOM}) (?:with|associated with|mapped to|and)(?: the| an?| its)?"
    rf"(?: corresponding)?(?: value)?(?: of)? (?P<value>{ATOM})"
)
_KEYS_WITH = re.compile(
    rf"(?:at least )?(?:the )?keys? (?P<keys>{ATOM}(?:(?:,| and|, and) {ATOM})*) with (?:the "
    rf"|their )?"
    rf"(?:corresponding |respective )?values? (?P<told>{ATOM}(?:(?:,| and|, and) {ATOM})*),?"
)
_ATOMS = re.compile(
    rf"(?P<only>(?:only|exactly) )?(?:(?:the|a|an|both|all|all of|substring|following|specific"
    rf"|character|characters|element|elements|key|keys|word|words|number|numbers|string|letter"
    rf"|letters|item|items|value|values|digit|digits|pair|pairs|name|names|part"
    r"|parts|substrings|phrase|phrases|integers|strings|symbols?|prefix|suffix) )*"
    rf"(?P<all>{ATOM}(?:(?:,| and|, and) (?:the )?{ATOM})*)(?: characters?| in it)?"
)
_GIVEN_NAME = re.compile(rf"the (?:specified|given|provided|same) (?:\w+ )?{ATOM}")
_NUMBERED = re.compile(
    rf"(?P<how>exactly |at least |at most |only )?(?P<count>`\d+`|\w+)"
    rf" (?P<what>(?:[a-z-]+ )*?{ITEM}(?: in the middle)?|(?:occurrences? of |times )?{ATOM})"
    r"(?: in it)?"
)
_SAME_AS = re.compile(
    r"^(?:exactly|equal to|identical to|the same as|simply|the entirety of|the entire|the whole) "
)
_ANY_ITEM = re.compile(
    rf"an? (?P<item>{ITEM}) that (?P<verb>starts|ends|begins|is|contains) (?P<said>.+)"
)
_ONLY_ITEM = re.compile(rf"the only {ITEM} (?:in|of) (?P<where>.+)")
_SEQUENCE = re.compile(rf"(?P<all>{ATOM}(?:, {ATOM})*,? and {ATOM})(?:,? in (?:that|this) order)?")
_OF_KIND = re.compile(
    r"with (?P<kind>an? [a-z]+ letter|an? vowel|an? digit|an? letter)(?: character)?"
)
_TIMES = re.compile(
    r"(?P<how>exactly |at least |at most |only )?(?P<count>once|twice|(?:`\d+`|\w+)(?= times?))"
    r"(?: times?)?(?: in (?P<where>.+))?"
)


def _bound(how: str, told: str, count: int) -> Callable[[int], bool]:
    """Returns the test of a number: "exactly 2", "at least 2"; "a" and "one" may be the least."""
    how = how.strip()
    if how == "at least" or (not how and told in ("a", "an")):
        return lambda real: real >= count
    if how == "at most":
        return lambda real: real <= count
    return lambda real: real == count


def _count(container: Any, told: Any) -> int:
    if isinstance(container, str) and not isinstance(told, str):
        told = str(told)
    if isinstance(container, dict):
        return int(told in container)
    return container.count(told)


def _is_inside(told: Any, container: Any) -> bool:
    if isinstance(container, str) and not isinstance(told, str):
        told = str(told)
    if isinstance(container, dict) and isinstance(told, tuple) and told not in container:
        return told in container.items()
    return told in container


_TWO_NEEDS = re.compile(
    r"(?P<of>(?:the|`)[^,]*?) (?P<a>must (?:not )?(?:be|contain|have|start|end|consist) .+?),?"
    r" and (?:it"
    r" )?(?P<b>must (?:not |also )?(?:be|contain|have|start|end|consist) .+)"
)
_TWO = re.compile(
    rf"(?P<one>.*{ATOM}.*?),? (?:and|but|while) (?P<two>(?:the|its|their) [a-z ]+ (?:{_MODAL} be|is"
    rf"|are) .*|{ATOM} (?:{_MODAL} be|is|are) .*)"
)
_CORRESPONDING = re.compile(
    rf"(?P<one>(?P<noun>[^`]+(?:{ATOM})?) (?:must be|is) {ATOM}),? (?:and|which)(?: it)? (?:must"
    r" be|is|corresponds to|comes from|equals|matches)(?: also)? (?P<other>the [^`]+(?:`[^`]+`)?)"
)
_ORIGIN = re.compile(
    rf"(?P<one>the [^`]+?) (?P<v>{ATOM})(?: (?:of|in) the output)? (?:corresponds to|comes from|is"
    rf" derived from) (?P<two>the [^`]+?(?:`\w+`)?),? which (?:must be|is|was) (?P<w>{ATOM})"
    r"(?: \((?:since|because|as)\b.*\))?"
)
_VALUES = re.compile(
    rf"(?:the )?(?:corresponding )?values (?:associated with|for|of|at)(?: the)? keys"
    rf" (?P<keys>{ATOM}(?:(?:,| and|, and) {ATOM})*) (?:must be|are|should be) "
    rf"(?P<told>{ATOM}(?:(?:,| and|, and) {ATOM})*),?"
)
