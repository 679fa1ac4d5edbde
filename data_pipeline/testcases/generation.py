"""Generates arguments by kind, and mutates earlier arguments by small changes."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.source.constructed import Constructed
from data_pipeline.testcases.kinds import (
    ANY,
    BOOL,
    BYTES,
    DICT,
    FLOAT,
    INT,
    INTS,
    NONE,
    STR,
    EntryParameter,
    Signature,
    ValueKind,
    kind_of,
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
_FLOATS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.25, -1.0, -0.5, 10.0, 0.1, 100.0)
# Kinds that reach error branches: unhashable items, other containers, None.
_WILD = (
    ValueKind("list", (INTS,)), INT, NONE, STR, ValueKind("set", (INT,)), ValueKind("list", (ANY,)),
    BYTES, BOOL, DICT, ValueKind("tuple", (INT, INT)), FLOAT,
    ValueKind("list", (ValueKind("list", (STR,)),)), INTS,
    ValueKind("list", (ValueKind("tuple", (INT, INT)),)), ValueKind("list", (DICT,)),
)  # fmt: skip


@dataclass(frozen=True)
class Arguments:
    """Holds the arguments of one call. args: positional, in order; kwargs: by name."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class Maker:
    """Makes arguments for a signature. All randomness comes from `rng`."""

    def __init__(self, signature: Signature, rng: random.Random):
        self.signature = signature
        self.rng = rng
        self._wild: list[ValueKind] = []
        self._integers = (*_INTEGERS, *signature.integers)
        self._texts = (*_TEXTS, *signature.texts)

    # ---- generation

    def generate(self, wild: bool = False) -> Arguments:
        """Generates arguments by the weights of the kinds; often leaves out optional ones.

        wild: one of them is of a kind that the program does not seem to expect.
        """
        rng = self.rng
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        skipped = False
        for parameter in self.signature.parameters:
            leave = parameter.takes_function or (parameter.optional and rng.random() < 0.45)
            if parameter.style == "star":
                if not leave and not skipped:
                    kind = self._choose(parameter)
                    args += [self.value(kind) for _ in range(rng.randint(0, 4))]
            elif parameter.style == "stars":
                continue
            elif leave:
                skipped = True
            else:
                value = self._related_value(self._choose(parameter), [*args, *kwargs.values()])
                if parameter.style == "keyword" or skipped:
                    kwargs[parameter.name] = value
                else:
                    args.append(value)
        places: list[Any] = [*range(len(args)), *kwargs]
        if wild and places:
            place, kind = self._choose_unexpected(places)
            (args if isinstance(place, int) else kwargs)[place] = self.value(kind)
        return Arguments(tuple(args), kwargs)

    def _choose_unexpected(self, places: list[Any]) -> tuple[Any, ValueKind]:
        """Returns a place and a kind for it; uses every kind once before repeating any."""
        if not self._wild:
            self._wild = list(_WILD)
            self.rng.shuffle(self._wild)
        kind = self._wild.pop()
        return places[len(self._wild) % len(places)], kind

    def _choose(self, parameter: EntryParameter) -> ValueKind:
        kinds = list(parameter.kinds)
        return self.rng.choices(kinds, [parameter.kinds[one] for one in kinds])[0]

    def _related_value(self, kind: ValueKind, others: list[Any]) -> Any:
        """Returns a value that is sometimes derived from the arguments before it."""
        rng = self.rng
        lists = [other for other in others if isinstance(other, (list, str)) and other]
        if others and rng.random() < 0.08 and kind_of(others[-1]).name == kind.name:
            return self.neighbour(others[-1]) if rng.random() < 0.5 else others[-1]
        keyed = [other for other in others if isinstance(other, dict) and other]
        if keyed and rng.random() < 0.4:
            key = rng.choice(list(rng.choice(keyed)))
            if kind in (ANY, kind_of(key)):
                return key
        if lists and rng.random() < 0.35:
            other = rng.choice(lists)
            if kind.name == "list":
                return self._list(kind, len(other))
            if kind == INT:
                return rng.choice((len(other), len(other) - 1, rng.randrange(len(other))))
            if kind == STR and isinstance(other, str):
                start = rng.randrange(len(other))
                return other[start : start + rng.randint(1, 3)]
            item = rng.choice(other)
            if kind in (ANY, kind_of(item)):
                return item
        return self.value(kind)

    def value(self, kind: ValueKind, depth: int = 0) -> Any:
        rng = self.rng
        match kind.name:
            case "int":
                if self.signature.integers and rng.random() < 0.25:
                    return rng.choice(self.signature.integers) + rng.choice((0, 0, 1, -1))
                return rng.choice(self._integers)
            case "float":
                if rng.random() < 0.7:
                    return rng.choice(_FLOATS)
                return round(rng.uniform(-20, 20), rng.choice((1, 2)))
            case "bool":
                return rng.random() < 0.5
            case "none":
                return None
            case "str":
                if self.signature.texts and rng.random() < 0.2:
                    return self._with_constant(rng.choice(self._texts))
                if rng.random() < 0.75:
                    return rng.choice(self._texts)
                return "".join(rng.choices(_LETTERS, k=rng.randint(1, 8)))
            case "bytes":
                return rng.choice(self._texts).encode()[:12]
            case "list":
                return self._list(kind, None, depth)
            case "tuple":
                return tuple(self.value(part, depth + 1) for part in kind.parts)
            case "set":
                part = kind.parts[0] if kind.parts[0] != ANY else INT
                items = (self.value(part, depth + 1) for _ in range(rng.randint(0, 5)))
                return {item for item in items if _hashable(item)}
            case "dict":
                return self._dict(kind, depth)
        choices = [INT, INT, STR] if depth else [INT, STR, FLOAT, BOOL, NONE, INTS, DICT, BYTES]
        if depth and rng.random() < 0.12:  # items may also be None or unhashable
            choices = [NONE, INTS, BOOL, FLOAT] if depth == 1 else [NONE, FLOAT]
        return self.value(rng.choice(choices), depth + 1)

    def _list(self, kind: ValueKind, size: int | None, depth: int = 0) -> list[Any]:
        rng = self.rng
        if size is None:
            size = rng.choices((0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 4, 3, 2))[0]
            size = min(size, 4) if depth else size
        part = kind.parts[0]
        if part == ANY:
            part = rng.choice((INT, INT, STR, ANY if rng.random() < 0.5 else STR))
        size = min(size, MAX_ITEMS)
        if part == INT and rng.random() < 0.6:
            return [rng.randint(0, 9) for _ in range(size)]
        if part == STR and rng.random() < 0.5:
            return [rng.choice("abcde") * rng.choice((1, 1, 2)) for _ in range(size)]
        return [self.value(part, depth + 1) for _ in range(size)]

    def _dict(self, kind: ValueKind, depth: int) -> dict[Any, Any]:
        rng = self.rng
        keys, values = kind.parts
        keys = STR if keys == ANY else keys
        values = INT if values == ANY and rng.random() < 0.8 else values
        made: dict[Any, Any] = {}
        for _ in range(rng.randint(0, 4)):
            if keys == STR:
                key: Any = rng.choice((*"abcdxy", *self.signature.texts))
            else:
                key = self.value(keys, depth + 1)
            if _hashable(key):
                made[key] = self.value(values, depth + 1)
        return made

    # ---- mutation

    def mutate(self, base: Arguments, other: Arguments | None = None) -> Arguments:
        """Applies one to three small changes to `base`; `other` may lend an argument."""
        args, kwargs = list(base.args), dict(base.kwargs)
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            self._change_one(args, kwargs, other)
        return Arguments(tuple(args), kwargs)

    def _change_one(self, args: list[Any], kwargs: dict[str, Any], other: Arguments | None) -> None:
        rng = self.rng
        if rng.random() < 0.2:
            self._change_optional(args, kwargs)
            return
        places: list[Any] = [*range(len(args)), *kwargs]
        if not places:
            self._change_optional(args, kwargs)
            return
        place = rng.choice(places)
        into: Any = args if isinstance(place, int) else kwargs
        if len(places) > 1 and rng.random() < 0.08:
            other_place = rng.choice(places)
            into[place] = (args if isinstance(other_place, int) else kwargs)[other_place]
            return
        if other is not None and rng.random() < 0.2:
            if isinstance(place, int) and place < len(other.args):
                into[place] = other.args[place]
                return
            if place in other.kwargs:
                into[place] = other.kwargs[place]
                return
        if rng.random() < 0.12:
            parameter = self._parameter(place)
            if parameter is not None and parameter.kinds:
                into[place] = self.value(self._choose(parameter))
                return
        into[place] = self.neighbour(into[place])

    def _parameter(self, place: int | str) -> EntryParameter | None:
        parameters = self.signature.parameters
        if isinstance(place, str):
            return next((one for one in parameters if one.name == place), None)
        positional = [one for one in parameters if one.style == "positional"]
        if place < len(positional):
            return positional[place]
        return next((one for one in parameters if one.style == "star"), None)

    def _change_optional(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Leaves out an optional argument, or adds one that was left out."""
        rng = self.rng
        positional = [one for one in self.signature.parameters if one.style == "positional"]
        given = {one.name for one in positional[: len(args)]} | set(kwargs)
        choices = [
            one
            for one in self.signature.parameters
            if one.optional and not one.takes_function and one.style in ("positional", "keyword")
        ]
        star = next((one for one in self.signature.parameters if one.style == "star"), None)
        if star is not None and len(args) >= len(positional) and rng.random() < 0.5:
            if len(args) > len(positional) and rng.random() < 0.4:
                args.pop()
            elif len(args) < len(positional) + 5:
                args.append(self.value(self._choose(star)))
            return
        if not choices:
            return
        parameter = rng.choice(choices)
        if parameter.name in kwargs:
            del kwargs[parameter.name]
        elif parameter.name not in given:
            kwargs[parameter.name] = self.value(self._choose(parameter))

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
                return text[:place] + rng.choice(self._texts) + text[place:]
            case 3:
                return (text + text)[:24]
            case 4:
                return text[::-1]
            case 5:
                return text.swapcase()
            case 6:
                return text[:place]
            case 7 if self.signature.texts:
                return self._with_constant(text)
        return rng.choice(self._texts)

    def _with_constant(self, text: str) -> str:
        """Returns a text from the program, alone or joined to another."""
        constant = self.rng.choice(self.signature.texts)
        return self.rng.choice((constant, text + constant, constant + text))

    def _near_list(self, items: list[Any]) -> list[Any]:
        rng = self.rng
        copy = list(items)
        if not copy:
            return self._list(INTS, rng.randint(1, 3))
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
