"""Makes values by kind, and changes values a little."""

import random
import re
from typing import Any

from data_pipeline.source.constructed import Constructed
from data_pipeline.testcases.annotated_values import make_annotated
from data_pipeline.testcases.kinds import Signature
from data_pipeline.testcases.value_kind import (
    ANY,
    BOOL,
    BYTES,
    DICT,
    FLOAT,
    INT,
    INTS,
    NONE,
    STR,
    ValueKind,
    can_be_made,
)
from data_pipeline.testcases.vocabulary import (
    PLAIN_WORDS,
    draw_float,
    usual_integers,
    usual_texts,
)

MAX_ITEMS = 8
_TEXTS = (
    "", "a", "ab", "abc", "aab", "abba", "racecar", "hello", "Hello World", "Python", "banana",
    "a,b,c", "a b  c", "  x ", "foo_bar", "fooBar", "Foo-Bar", "12", "-7", "3.5", "1a2b", "UPPER",
    "the quick brown fox", "x=1;y=2", "(a[b]{c})", "é", "line\nbreak", "2024-05-17", "0b101",
    "#fff",
    "a.b.c", "user@mail.com", "aaabbc",
)  # fmt: skip
_LETTERS = "abcdexyz ABC_-.,019"
_INTEGERS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 17, 24, 50, 97, 100, -1, -2, -5)


class ValueMaker:
    """Makes values for a program. All randomness comes from `rng`.

    is_odd: whether to draw texts that callers seldom pass, such as with stray blanks
    """

    def __init__(self, signature: Signature, rng: random.Random):
        self.signature = signature
        self.rng = rng
        self.is_odd = False
        self._integers = (*_INTEGERS, *signature.integers)
        self._texts = (*_TEXTS, *signature.texts)
        self._words = [
            text for text in signature.texts if text == text.strip() and text.isprintable()
        ]

    def value(self, kind: ValueKind, depth: int = 0, name: str = "") -> Any:
        """Returns a value of a kind. name: of the parameter or field that it is for"""
        rng = self.rng
        match kind.name:
            case "int":
                usual = usual_integers(name)
                if usual and rng.random() < 0.7:
                    return rng.choice(usual)
                if self.signature.integers and rng.random() < 0.25:
                    return rng.choice(self.signature.integers) + rng.choice((0, 0, 1, -1))
                if depth and not self.is_odd and rng.random() < 0.5:
                    return rng.randint(0, 12)
                return rng.choice(self._integers)
            case "float":
                return draw_float(name, rng)
            case "bool":
                return rng.random() < 0.5
            case "none":
                return None
            case "str":
                return self._text(name)
            case "bytes":
                return rng.choice(self._texts).encode()[:12]
            case "list":
                return self.list_of(kind, None, depth, name)
            case "tuple":
                names = self._part_names(name, len(kind.parts))
                return tuple(
                    self.value(part, depth + 1, own)
                    for part, own in zip(kind.parts, names, strict=True)
                )
            case "set":
                part = kind.parts[0] if kind.parts[0] != ANY else INT
                items = (self.value(part, depth + 1, name) for _ in range(rng.randint(0, 5)))
                return {item for item in items if _hashable(item)}
            case "dict":
                return self._dict(kind, depth, name)
            case "any":
                return self.value(self._any_kind(depth), depth + 1, name)
        return make_annotated(
            kind, lambda part, own: self.value(part, depth + 1, own), rng, name, depth
        )

    def _part_names(self, name: str, count: int) -> tuple[str, ...]:
        """Returns the names that the program gives to the parts of a tuple."""
        names = self.signature.item_names.get(name, ())
        if len(names) != count:
            return (name,) * count
        return tuple(own if len(own) > 1 else name for own in names)

    def _any_kind(self, depth: int) -> ValueKind:
        rng = self.rng
        choices = [INT, INT, STR] if depth else [INT, STR, FLOAT, BOOL, NONE, INTS, DICT, BYTES]
        if depth and rng.random() < 0.12:  # items may also be None or unhashable
            choices = [NONE, INTS, BOOL, FLOAT] if depth == 1 else [NONE, FLOAT]
        return rng.choice(choices)

    def _text(self, name: str) -> str:
        rng = self.rng
        if not self.is_odd:
            if self._words and rng.random() < 0.12:
                return rng.choice(self._words)
            return rng.choice(usual_texts(name))
        if self.signature.texts and rng.random() < 0.2:
            return self._with_constant(rng.choice(self._texts))
        if rng.random() < 0.75:
            return rng.choice(self._texts)
        return "".join(rng.choices(_LETTERS, k=rng.randint(1, 8)))

    def list_of(
        self, kind: ValueKind, size: int | None, depth: int = 0, name: str = ""
    ) -> list[Any]:
        rng = self.rng
        if size is None:
            size = rng.choices((0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 4, 3, 2))[0]
            size = min(size, 4) if depth else size
        part = kind.parts[0]
        if part == ANY:
            part = rng.choice((INT, INT, STR, ANY if rng.random() < 0.5 else STR))
        size = min(size, MAX_ITEMS) if can_be_made(part) else 0
        if part == INT and not usual_integers(name) and rng.random() < 0.6:
            return [rng.randint(0, 9) for _ in range(size)]
        if part == STR and rng.random() < 0.25:
            return [rng.choice("abcde") * rng.choice((1, 1, 2)) for _ in range(size)]
        return [self.value(part, depth + 1, name) for _ in range(size)]

    def _dict(self, kind: ValueKind, depth: int, name: str = "") -> dict[Any, Any]:
        rng = self.rng
        keys, values = kind.parts
        keys = STR if keys == ANY else keys
        values = INT if values == ANY and rng.random() < 0.8 else values
        made: dict[Any, Any] = {}
        if not can_be_made(keys) or not can_be_made(values):
            return made
        for _ in range(rng.randint(0, 4)):
            if keys == STR:
                key: Any = self._key(name)
            else:
                key = self.value(keys, depth + 1, name)
            if _hashable(key):
                made[key] = self.value(values, depth + 1, name)
        return made

    def _key(self, name: str) -> str:
        if self.signature.texts and self.rng.random() < 0.4:
            return self.rng.choice(self.signature.texts)
        return self.rng.choice((*"abcd", *usual_texts(name)[:4]))

    # ---- small changes

    def neighbour(self, value: Any) -> Any:
        """Returns a slightly different value of the same type."""
        rng = self.rng
        match value:
            case bool():
                return not value
            case int():
                changes = (value + 1, value - 1, -value, value * 2, value // 2, value + 10, 0)
                if rng.random() < 0.3:
                    return rng.choice(self._integers)
                return max(-(10**6), min(10**6, rng.choice(changes)))
            case float():
                return rng.choice((value + 1, value - 0.5, -value, round(value * 2, 3), 0.0))
            case str():
                return self._near_text(value)
            case bytes():
                return self._near_text(value.decode("latin-1")).encode()[:16]
            case list():
                return self._near_list(value)
            case tuple():
                if not value:
                    return value
                items = list(value)
                place = rng.randrange(len(items))
                items[place] = self.neighbour(items[place])
                return tuple(items)
            case dict():
                return self._near_dict(value)
            case set():
                items = self._near_list(sorted(value, key=repr))
                return {item for item in items if _hashable(item)}
            case Constructed():
                return self._near_object(value)
        return self.value(ANY)

    def _near_object(self, value: Constructed) -> Constructed:
        """Returns the object with a number in it changed; other parts may have to fit its class."""
        if value.name.split(".")[-1] in ("date", "datetime"):  # few numbers make a date
            return self.value(ValueKind("object", (), (value.name,)))
        if value.args is None:
            return value
        args = tuple(map(self._near_number, value.args))
        kwargs = tuple((name, self._near_number(item)) for name, item in value.kwargs)
        return Constructed(value.name, args, kwargs)

    def _near_number(self, value: Any) -> Any:
        if type(value) in (int, float):
            return self.neighbour(value) if self.rng.random() < 0.6 else value
        if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
            return str(round(float(value) + self.rng.choice((1, -1, 0.25, 10)), 4))
        return self._near_object(value) if isinstance(value, Constructed) else value

    def _near_text(self, text: str) -> str:
        rng = self.rng
        place = rng.randrange(len(text) + 1)
        match rng.randrange(9):
            case 0:
                return text[:place] + rng.choice(_LETTERS) + text[place:]
            case 1:
                return text[:place] + text[place + 1 :]
            case 2:
                return (
                    text[:place]
                    + rng.choice(self._texts if self.is_odd else PLAIN_WORDS)
                    + text[place:]
                )
            case 3:
                return (text + text)[:24]
            case 4:
                return text[::-1]
            case 5:
                return text.swapcase()
            case 6:
                return text[:place]
            case 7 if self.signature.texts and self.is_odd:
                return self._with_constant(text)
        return rng.choice(self._texts if self.is_odd else PLAIN_WORDS)

    def _with_constant(self, text: str) -> str:
        """Returns a text from the program, alone or joined to another."""
        constant = self.rng.choice(self.signature.texts)
        return self.rng.choice((constant, text + constant, constant + text))

    def _near_list(self, items: list[Any]) -> list[Any]:
        rng = self.rng
        copy = list(items)
        if not copy:
            return self.list_of(INTS, rng.randint(1, 3))
        place = rng.randrange(len(copy))
        match rng.randrange(9):
            case 0:
                copy.insert(place, rng.choice(copy))
            case 1:
                del copy[place]
            case 2:
                copy.insert(place, self.neighbour(copy[place]))
            case 3:
                copy.reverse()
            case 4:
                rng.shuffle(copy)
            case 5:
                copy = []
            case 6 if len({type(item) for item in copy}) == 1 and type(copy[0]) in (int, str):
                copy.sort()
            case _:
                copy[place] = self.neighbour(copy[place])
        return copy[:12]

    def _near_dict(self, items: dict[Any, Any]) -> dict[Any, Any]:
        rng = self.rng
        copy = dict(items)
        if not copy:
            return self._dict(DICT, 1)
        key = rng.choice(list(copy))
        match rng.randrange(4):
            case 0:
                del copy[key]
            case 1:
                new = self.neighbour(key)
                if _hashable(new):
                    copy[new] = copy[key]
            case _:
                copy[key] = self.neighbour(copy[key])
        return dict(list(copy.items())[:MAX_ITEMS])


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
