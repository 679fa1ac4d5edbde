"""Finds the values that noun phrases of a backward monologue name, in the witness and the output.

"The length of `xs`", "the second word of the output", "each key of the dictionary": a phrase that
may mean several things has several meanings, and a statement on it is judged on all of them.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.ordinals import INDEXES

ATOM = r"`[^`]+`"
_MOST_STATES = 200
_KINDS: dict[str, tuple[type, ...]] = {
    "list": (list,), "array": (list,), "string": (str,), "text": (str,), "word": (str,),
    "sentence": (str,), "dictionary": (dict,), "dict": (dict,), "integer": (int,),
    "float": (float,),
    "number": (int, float), "tuple": (tuple,), "set": (set,), "substring": (str,),
    "sequence": (list, str, tuple), "input": (), "argument": (), "it": (), "parameter": (),
    "value": (),
}  # fmt: skip
NUMBERS = {
    "no": 0, "zero": 0, "a": 1, "an": 1, "one": 1, "once": 1, "two": 2, "twice": 2, "three": 3,
    "thrice": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12,
}  # fmt: skip
_ORDINALS = INDEXES | {"second last": -2, "third last": -3}
ITEM = (
    r"(?:elements?|characters?|items?|letters?|digits?|numbers?|strings?|words?|keys?|values?"
    r"|pairs?|entr(?:y|ies)|tuples?|rows?|lists?|sublists?|integers?|symbols?|spaces?|lines?)"
)
_OF = r"(?: (?:of|in|from|inside|within) (?P<rest>.+))?"
_EACH = re.compile(
    rf"(?:each|every|all)(?: of)?(?: the| its)?(?: (?:individual|unique|distinct|integer))*"
    rf" (?P<item>{ITEM}){_OF}"
)
_ORDINAL = re.compile(
    rf"(?P<which>{'|'.join(sorted(_ORDINALS, key=len, reverse=True))}|\d+(?:st|nd|rd|th))"
    rf" (?P<item>{ITEM}){_OF}"
)
_SEVERAL = re.compile(rf"(?P<side>first|last) (?P<count>\w+) (?P<item>{ITEM}){_OF}")
_AT = re.compile(
    rf"(?:original |input |output )?(?P<item>{ITEM}) at (?:index|position) "
    rf"(?:`(?:\w+ = )?(?P<at>[^`]+)`){_OF}"
)
_SIZE = re.compile(
    rf"(?:total )?(?:length|size|number of (?P<once>unique |distinct )?(?P<item>{ITEM})){_OF}"
)
_COUNT = re.compile(
    rf"(?:total )?(?:number|count) of (?:occurrences of |times )?(?P<what>{ATOM})(?: characters?)?"
    r"(?: appears)? in (?P<rest>.+)"
)
_SUM_OF_COUNTS = re.compile(
    r"sum of (?:the |their )?(?:counts?|occurrences|numbers? of occurrences) of (?:the )?"
    rf"(?:characters? )?(?P<a>{ATOM}) and (?P<b>{ATOM})(?: in (?P<rest>.+))?"
)
_FOLD = re.compile(
    r"(?P<how>sum|maximum|minimum|largest|smallest)(?: (?:value|element|number|key))?"
    r"(?: (?:of|in)(?: all)?(?: the)?(?: (?:elements|numbers|values|items) (?:of|in))?"
    r" (?P<rest>.+))?"
)
_VALUE_OF = re.compile(
    rf"value (?:associated with|for|of|at)(?: the)?(?: key)? (?P<key>{ATOM}){_OF}"
)
_MADE = re.compile(
    r"(?P<how>reverse|reversed version|reversal|uppercase|uppercase version|lowercase|lowercase"
    r" version|swapped case)(?: (?:of|in|from|inside|within) (?P<rest>.+))"
)
_TURNED = re.compile(
    rf"(?P<how>reversed) (?:(?:version of )?(?:the )?(?:original |input )*)"
    rf"(?P<rest>string|list|text|array|word|{ATOM})"
)
_REST = re.compile(
    r"(?:rest|remaining (?:part|portion|characters|elements)|remainder)(?: of (?:the characters"
    r" (?:of|in) )?(?P<rest>.+))?"
)
_PARTICIPLE = re.compile(
    rf"({ATOM}) (?:that (?:is|was) )?(?:provided|given|specified|chosen|passed)$"
)
_TAKEN_FROM = re.compile(r" (?:retrieved|taken|extracted|obtained|popped) from\b")
_AT_GIVEN = re.compile(
    r"\bat the (?:specified|given|provided) (?:index|position)?(?: ?(?P<x>`\w+`))?"
)
_AFTER = re.compile(r"(?P<rest>.+?),? (?:when|once|after being) (?P<how>[^`]+(?:`[^`]+`)?)")
_WITHOUT = re.compile(r"(?P<rest>.+) that (?:is|are) not (?:an? )?(?P<mark>\w+|`[^`]+`)")
MARKS = {
    "dot": ".", "space": " ", "comma": ",", "hyphen": "-", "dash": "-", "underscore": "_",
    "colon": ":", "semicolon": ";", "newline": "\n", "tab": "\t", "period": ".",
}  # fmt: skip
_CHANGED = re.compile(
    r"(?:modified|updated|resulting|changed|new|final|merged)(?: (?!to\b|into\b|by\b)\w+)?"
    rf" (?P<code>{ATOM})"
)
_LIST = re.compile(
    rf"(?:(?:specific|following|two|three|four|required|individual) )*(?:(?:{ITEM}|members?"
    rf"|names?) )?"
    rf"(?P<all>{ATOM}(?:(?:,| and|, and) (?:the )?(?:key )?{ATOM})+)"
)
_ON_THE_WAY = re.compile(
    r"(?P<kind>list|string|dictionary|array|text) (?:before|after) (?:the |this |any )?"
    r"(?:insertion|removal|deletion|operation|sorting|modification|replacement|update|change)s?"
)
_MAKERS: dict[str, Any] = {
    "reverse": lambda v: v[::-1], "reversed": lambda v: v[::-1], "reversal": lambda v: v[::-1],
    "uppercase": lambda v: v.upper(), "lowercase": lambda v: v.lower(),
    "swapped": lambda v: v.swapcase(),
}  # fmt: skip
_FOLDS = {"sum": sum, "maximum": max, "largest": max, "minimum": min, "smallest": min}
_OUTPUT = re.compile(
    r"(?:final |expected |desired |given |returned |resulting |required )*"
    r"(?:output|result|return value)(?: (?P<kind>\w+))?|(?:resulting|returned|final) (?P<kind2>\w+)"
)
_SUBSTRING = re.compile(
    r"(?:substring|slice|sublist)(?: (?:extracted|taken|obtained))?(?: (?:from|of) (?:the )?"
    r"(?:input |original )?(?:[a-z]+|`\w+`))?"
)
_PRODUCT = re.compile(r"(?:merged|combined|concatenated|joined) (?P<kind>\w+)")
_NAMED = re.compile(
    rf"(?:(?:input|original|initial|given|parameter|argument|list|string|dictionary|array|number"
    rf"|integer|text|variable|character|element|substring|value|word|index|separator|prefix|suffix"
    rf"|key|letter|digit|specified|provided|entire|whole|full) )*(?P<code>{ATOM})"
    r"(?: (?:parameter|argument|list|string|dictionary|array|variable|character|itself|text))?"
)


@functools.lru_cache(maxsize=2048)
def _plain_phrase(phrase: str) -> str:
    """Returns a phrase without its article and what says only that it is given."""
    text = re.sub(r"^(?:the|its|their|this|that|an?) ", "", phrase.strip()).strip(" ,")
    return _PARTICIPLE.sub(r"\1", _TAKEN_FROM.sub(" from", text))


@dataclasses.dataclass(frozen=True)
class Meaning:
    """Holds one meaning of a phrase.

    Attributes:
      values: the value meant, or all of them if the phrase speaks of "each".
      of_output: whether they belong to the output that is given.
      passing: whether the run holds the value at some moment only.
      guessed: whether the phrase does not say whose part it is.
    """

    values: tuple[Any, ...]
    of_output: bool = False
    passing: bool = False
    guessed: bool = False


class Nouns:
    """Resolves phrases on one witness; `index` is that of the element named last."""

    def __init__(self, witness: Witness):
        self.witness = witness
        self.index: int | None = None

    def meanings(self, phrase: str | None) -> list[Meaning]:
        """Returns what a phrase may mean, nothing if that is unknown."""
        text = self._at_given_index(_plain_phrase(phrase or "input"))
        try:
            return list(self._meanings(text))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, Unknown, LiteralError):
            return []

    def _at_given_index(self, text: str) -> str:
        """Returns "the item at the specified index" with the only parameter that is a number."""
        if "at the " not in text or not (match := _AT_GIVEN.search(text)):
            return text
        numbers = [
            name for name, value in self.witness.arguments.items()
            if type(parse_literal(value)) is int and name not in self.witness.changing
        ]  # fmt: skip
        name = match["x"] or (f"`{numbers[0]}`" if len(numbers) == 1 else "")
        return f"{text[: match.start()]}at index {name}{text[match.end() :]}" if name else text

    def everything(self) -> list[Meaning]:
        """Returns the arguments and the output: what a part without an owner may belong to."""
        phrases = [f"`{name}`" for name in self.witness.arguments] + ["output"]
        found = [one for phrase in phrases for one in self.meanings(phrase)]
        return [dataclasses.replace(one, guessed=True) for one in found]

    def literal(self, atom: str) -> Any:
        """Returns the value of code or of a literal; a word that is no name is a text."""
        text = atom.strip("`")
        if text.isidentifier() and text not in ("True", "False", "None"):
            if text in self.witness.arguments:
                return parse_literal(self.witness.arguments[text])
            if text not in self.witness.run.names:
                return text
        if not text.isidentifier() and re.fullmatch(r"\W", text):
            return text
        return evaluate(text, self.witness.state)

    def _meanings(self, text: str) -> Iterator[Meaning]:
        for pattern, pick in (
            (_EACH, self._each), (_ORDINAL, self._ordinal), (_SEVERAL, self._several),
            (_AT, self._at), (_COUNT, self._count), (_SUM_OF_COUNTS, self._counts),
            (_SIZE, self._size), (_FOLD, self._fold),
            (_REST, self._rest), (_VALUE_OF, self._value_of), (_MADE, self._made),
            (_TURNED, self._made),
        ):  # fmt: skip
            if match := pattern.fullmatch(text):
                rest = match["rest"]
                if pattern is _TURNED and "`" not in rest:
                    rest = f"input {rest}"
                for whole in self.meanings(rest) if rest else self.everything():
                    yield from self._picked(whole, match, pick)
                return
        if match := _AFTER.fullmatch(text):
            change = change_of(match["how"], self)
            for whole in self.meanings(match["rest"]) if change else ():
                yield dataclasses.replace(whole, values=tuple(map(change, whole.values)))
            return
        if match := _WITHOUT.fullmatch(text):
            mark = match["mark"].strip("`")
            gone = MARKS.get(mark.rstrip("s"), mark)
            yield from (
                one for one in self.meanings(match["rest"])
                if not any(gone in value for value in one.values)
            )  # fmt: skip
            return
        if match := _LIST.fullmatch(text):
            yield Meaning(tuple(map(self.literal, re.findall(ATOM, match["all"]))))
            return
        if match := _ON_THE_WAY.fullmatch(text):
            yield from self._on_the_way(_KINDS[match["kind"]])
            return
        if match := _OUTPUT.fullmatch(text) or _PRODUCT.fullmatch(text):
            goal = parse_literal(self.witness.goal)
            kind = match["kind"] or match.groupdict().get("kind2")
            if kind is None or isinstance(goal, _KINDS.get(kind) or object):
                yield Meaning((goal,), of_output=True)
        elif _SUBSTRING.fullmatch(text):
            yield from self._slice()
        elif match := _CHANGED.fullmatch(text):
            yield from self._named(match["code"].strip("`"), changed=True)
        elif match := _NAMED.fullmatch(text):
            yield from self._named(match["code"].strip("`"))
        else:
            yield from self._kind(text.split())

    def _picked(self, whole: Meaning, match: re.Match[str], pick) -> Iterator[Meaning]:
        found = []
        for value in whole.values:
            try:
                picked = pick(value, match)
            except (AttributeError, TypeError):  # a part that such a value has not
                return
            if picked is None:
                return
            found += picked
        loose = whole.passing or pick == self._rest  # "the rest" of what was told before
        yield dataclasses.replace(whole, values=tuple(found), passing=loose)

    def _named(self, code: str, changed: bool = False) -> Iterator[Meaning]:
        given = code in self.witness.arguments and not changed
        if code.isidentifier() and not given and code in self.witness.run.names:
            for text in self.witness.run.history(0, code)[1]:
                if text is not None:
                    yield Meaning((parse_literal(text),), passing=True)
            return
        if not code.isidentifier() and self._tells_of_the_run(code):
            yield from self._at_some_moment(code)
            return
        yield Meaning((self.literal(code),))

    def _tells_of_the_run(self, code: str) -> bool:
        """Returns whether code reads a variable of the function."""
        named = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", code)))
        return bool(named & (set(self.witness.run.names) - set(self.witness.arguments)))

    def _at_some_moment(self, code: str) -> Iterator[Meaning]:
        """Yields every value that code has in the witness's own frame."""
        found: list[Any] = []
        run = self.witness.run
        frame = next(event.frame for event in run.events if event.kind == "call")
        own = [i for i, event in enumerate(run.events) if event.frame == frame]
        for at in own[-_MOST_STATES:]:
            try:
                value = evaluate(code, run.state(frame, at))
            except Unknown:
                continue
            if not any(same_value(value, one) for one in found):
                found.append(value)
                yield Meaning((value,), passing=True)

    def _on_the_way(self, kinds: tuple[type, ...]) -> Iterator[Meaning]:
        """Yields every value of a kind that a variable of the function has at some moment."""
        for name in self.witness.run.names:
            for text in self.witness.run.history(0, name)[1]:
                if text is not None and isinstance(value := parse_literal(text), kinds):
                    yield Meaning((value,), passing=True)

    def _kind(self, words: Sequence[str]) -> Iterator[Meaning]:
        """Yields what "the input list", "the dictionary" or "it" may be."""
        plain = [word for word in words if word not in ("input", "original", "initial", "given")]
        kinds = _KINDS.get(plain[0] if plain else "input")
        if len(plain) > 1 or (kinds is None and not self._short(plain[0])):
            return
        if plain and plain[0] in self.witness.arguments:  # "the string" of a parameter `string`
            yield Meaning((parse_literal(self.witness.arguments[plain[0]]),))
            return
        if plain and (named := self._short(plain[0])):
            yield Meaning((parse_literal(self.witness.arguments[named]),))
            return
        owned = [parse_literal(text) for text in self.witness.arguments.values()]
        found = [value for value in owned if not kinds or isinstance(value, kinds)]
        if len(found) == 1:
            yield Meaning((found[0],))
        is_input = len(plain) < len(words) or plain == ["input"]
        goal = parse_literal(self.witness.goal)
        if kinds and not is_input and isinstance(goal, kinds) and len(found) <= 1:
            yield Meaning((goal,), of_output=True)

    def _slice(self) -> Iterator[Meaning]:
        """Yields the value of the only slice that the program takes, if it reads arguments."""
        found = {
            ast.unparse(node) for node in ast.walk(self.witness.code.tree)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)
        }  # fmt: skip
        code = found.pop() if len(found) == 1 else ""
        read = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}
        if read and read <= set(self.witness.arguments) - self.witness.changing:
            yield Meaning((evaluate(code, self.witness.state),))

    def _short(self, noun: str) -> str:
        """Returns the only parameter whose name is short for a noun: `delim` for "delimiter"."""
        found = [
            name for name in self.witness.arguments
            if len(name) > 2 and noun not in _KINDS and noun.startswith(name)
        ]  # fmt: skip
        return found[0] if len(found) == 1 else ""

    # ---- parts of a value; None if it has none

    def _each(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        items = items_of(value, match["item"])
        return None if items is None or len(items) < 1 else list(items)

    def _ordinal(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        which = match["which"]
        at = _ORDINALS[which] if which in _ORDINALS else int(which[:-2]) - 1
        items = items_of(value, match["item"])
        if items is None or not -len(items) <= at < len(items):
            return None
        self.index = at
        return [items[at]]

    def _several(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        count = number(match["count"])
        if count is None or not isinstance(value, str | list) or len(value) < count:
            return None
        return [value[:count] if match["side"] == "first" else value[len(value) - count :]]

    def _at(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        at = match["at"]
        known = at in self.witness.arguments or not at.isidentifier()
        index = self.literal(at) if known else self.index
        items = items_of(value, match["item"])
        if items is None or type(index) is not int or not -len(items) <= index < len(items):
            return None
        self.index = index
        return [items[index]]

    def _rest(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        return [value[1:]] if isinstance(value, str | list | tuple) and value else None

    def _size(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        items = items_of(value, match["item"] or "element")
        if items is not None and match["once"]:
            items = list(dict.fromkeys(items))
        return None if items is None else [len(items)]

    def _count(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        return [value.count(self.literal(match["what"]))]

    def _counts(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        return [sum(value.count(self.literal(match[name])) for name in ("a", "b"))]

    def _fold(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        return [_FOLDS[match["how"]](value)]

    def _made(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        return [_MAKERS[match["how"].split()[0]](value)]

    def _value_of(self, value: Any, match: re.Match[str]) -> list[Any] | None:
        key = self.literal(match["key"])
        return [value[key]] if isinstance(value, dict) and key in value else None


_ITEM_KINDS: dict[str, Any] = {
    "string": str, "word": str, "character": str, "number": (int, float), "integer": int,
    "list": list, "sublist": list, "tuple": tuple, "letter": str, "pair": tuple,
}  # fmt: skip


def items_of(value: Any, item: str) -> Sequence[Any] | None:
    """Returns the items of a container that a noun names: characters, words, keys, elements."""
    noun = item.rstrip("s")
    if isinstance(value, str):
        if noun in ("character", "letter", "digit", "symbol", "element", "item"):
            kept = {"letter": str.isalpha, "digit": str.isdigit}.get(noun)
            return [c for c in value if kept is None or kept(c)]
        if noun == "line":
            return value.splitlines()
        return {"word": value.split(), "space": [c for c in value if c == " "]}.get(noun)
    if isinstance(value, dict):
        if noun in ("value", "key"):
            return list(value.values() if noun == "value" else value)
        pairs = noun in ("pair", "item", "entry", "entrie", "element")
        return list(value.items()) if pairs else None
    if not isinstance(value, list | tuple):
        return list(value) if isinstance(value, set) and noun in ("element", "item") else None
    if noun in _ITEM_KINDS and not all(isinstance(one, _ITEM_KINDS[noun]) for one in value):
        return None
    return None if noun in ("key", "space", "digit", "symbol", "line") else value


_CHANGES: dict[str, Any] = {
    "reversed": lambda v: v[::-1], "sorted": sorted, "stripped": lambda v: v.strip(),
    "uppercased": lambda v: v.upper(), "lowercased": lambda v: v.lower(),
    "capitalized": lambda v: v.capitalize(), "uppercase": lambda v: v.upper(),
    "lowercase": lambda v: v.lower(), "title case": lambda v: v.title(),
    "split into words": lambda v: v.split(), "split by lines": lambda v: v.splitlines(),
    "split by spaces": lambda v: v.split(), "split by whitespace": lambda v: v.split(),
    "split into lines": lambda v: v.splitlines(),
}  # fmt: skip
_CONVERTED = re.compile(r"^(?:it is )?(?:(?:converted|changed|turned|transformed) (?:in)?to|made) ")
_SPLIT_BY = re.compile(rf"split (?:by|on|at|with)(?: the)?(?: \w+)? (?P<x>{ATOM})")


def change_of(how: str, nouns: Nouns) -> Any | None:
    """Returns the function that "reversed", "converted to lowercase and reversed" tell."""
    steps = []
    for part in re.split(r",? and (?:then )?|, ", how.strip(" ,")):
        plain = re.sub(r"^(?:it is |is )", "", _CONVERTED.sub("", part))
        if (match := _SPLIT_BY.fullmatch(plain)) is not None:
            mark = nouns.literal(match["x"])
            steps.append(lambda v, mark=mark: v.split(mark))
        elif plain in _CHANGES:
            steps.append(_CHANGES[plain])
        else:
            return None

    def change(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return change


def number(word: str | None) -> int | None:
    """Returns the number that a word or a numeral is."""
    text = (word or "").strip("` ").lower()
    if text.isdigit():
        return int(text)
    return NUMBERS.get(text)
