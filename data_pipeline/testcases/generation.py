"""Generates arguments by kind, and mutates earlier arguments by small changes."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.testcases.kinds import EntryParameter, Signature
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
    kind_of,
)
from data_pipeline.testcases.values import ValueMaker

_TRIES = 4  # draws for a parameter before its law alone is asked
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


class Maker(ValueMaker):
    """Makes arguments for a signature."""

    def __init__(self, signature: Signature, rng: random.Random):
        super().__init__(signature, rng)
        self._wild: list[ValueKind] = []

    @property
    def is_able(self) -> bool:
        """Returns whether literals exist for all parameters that need a value."""
        return all(
            one.optional or one.takes_function or not one.is_left_out
            for one in self.signature.parameters
        )

    # ---- generation

    def generate(self, wild: bool = False) -> Arguments:
        """Generates arguments by the weights of the kinds; often leaves out optional ones.

        wild: one of them is of a kind that the program does not seem to expect.
        """
        rng = self.rng
        self.is_odd = wild or rng.random() < 0.06
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        skipped = False
        for parameter in self.signature.parameters:
            leave = parameter.is_left_out or (parameter.optional and rng.random() < 0.45)
            if parameter.style == "star":
                if not leave and not skipped:
                    args += [self.draw(parameter) for _ in range(rng.randint(0, 4))]
            elif parameter.style == "stars":
                continue
            elif leave:
                skipped = True
            else:
                value = self.draw(parameter, [*args, *kwargs.values()])
                if parameter.style == "keyword" or skipped:
                    kwargs[parameter.name] = value
                else:
                    args.append(value)
        places: list[Any] = [
            place for place in (*range(len(args)), *kwargs) if self._is_free(place)
        ]
        if wild and places:
            place, kind = self._choose_unexpected(places)
            (args if isinstance(place, int) else kwargs)[place] = self.value(kind)
        return Arguments(tuple(args), kwargs)

    def _is_free(self, place: int | str) -> bool:
        parameter = self._parameter(place)
        return parameter is not None and parameter.is_free

    def draw(self, parameter: EntryParameter, others: Sequence[Any] = ()) -> Any:
        """Returns a value for a parameter that keeps to its annotation or default's type."""
        for _ in range(_TRIES):
            kind = self._choose(parameter)
            value = (
                self._related_value(kind, list(others), parameter.name)
                if others
                else self.value(kind, name=parameter.name)
            )
            if parameter.allows(value):
                return value
        return self.value(self._safe_kind(parameter), name=parameter.name)

    def _safe_kind(self, parameter: EntryParameter) -> ValueKind:
        if parameter.law != ANY or not parameter.usual:
            return parameter.law
        return kind_of(parameter.default)

    def edges(self) -> Iterator[Arguments]:
        """Yields calls with the least value of each parameter: nothing in it, zero or one item."""
        for parameter in self.signature.parameters:
            if parameter.is_left_out or parameter.style not in ("positional", "keyword"):
                continue
            kind = max(parameter.kinds, key=lambda one: parameter.kinds[one])
            for value in self._least(kind, parameter.name):
                if parameter.allows(value):
                    given = self._with(parameter, value)
                    if given is not None:
                        yield given

    def _least(self, kind: ValueKind, name: str) -> Sequence[Any]:
        match kind.name:
            case "int":
                return (0,)
            case "str":
                return ("",)
            case "list" | "sequence" | "collection":
                return ([], self.list_of(kind, 1, name=name))
            case "dict":
                return ({},)
            case "union":
                return [None, *(v for part in kind.parts for v in self._least(part, name))]
        return ()

    def _with(self, parameter: EntryParameter, value: Any) -> Arguments | None:
        """Returns generated arguments with one of them set to `value`."""
        made = self.generate()
        number = self._positional().index(parameter) if parameter.style == "positional" else -1
        if 0 <= number < len(made.args):
            return Arguments((*made.args[:number], value, *made.args[number + 1 :]), made.kwargs)
        if parameter.style == "keyword" or parameter.optional:
            return Arguments(made.args, {**made.kwargs, parameter.name: value})
        return None

    def _positional(self) -> list[EntryParameter]:
        return [one for one in self.signature.parameters if one.style == "positional"]

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

    def _related_value(self, kind: ValueKind, others: list[Any], name: str = "") -> Any:
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
                return self.list_of(kind, len(other), name=name)
            if kind == INT:
                return rng.choice((len(other), len(other) - 1, rng.randrange(len(other))))
            if kind == STR and isinstance(other, str):
                start = rng.randrange(len(other))
                return other[start : start + rng.randint(1, 3)]
            item = rng.choice(other)
            if kind in (ANY, kind_of(item)):
                return item
        return self.value(kind, name=name)

    # ---- mutation

    def mutate(self, base: Arguments, other: Arguments | None = None) -> Arguments:
        """Applies one to three small changes to `base`; `other` may lend an argument."""
        args, kwargs = list(base.args), dict(base.kwargs)
        self.is_odd = self.rng.random() < 0.1
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            self._change_one(args, kwargs, other)
        for place in (*range(len(args)), *kwargs):
            self._keep_to_law(args if isinstance(place, int) else kwargs, place)
        return Arguments(tuple(args), kwargs)

    def _keep_to_law(self, into: Any, place: int | str) -> None:
        """Draws an argument anew that a change has made break its annotation or default's type."""
        parameter = self._parameter(place)
        if parameter is None or parameter.is_left_out or parameter.allows(into[place]):
            return
        into[place] = self.draw(parameter)

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
            if parameter is not None and not parameter.is_left_out:
                into[place] = self.draw(parameter)
                return
        into[place] = self.neighbour(into[place])

    def _parameter(self, place: int | str) -> EntryParameter | None:
        parameters = self.signature.parameters
        if isinstance(place, str):
            return next((one for one in parameters if one.name == place), None)
        positional = self._positional()
        if place < len(positional):
            return positional[place]
        return next((one for one in parameters if one.style == "star"), None)

    def _change_optional(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Leaves out an optional argument, or adds one that was left out."""
        rng = self.rng
        positional = self._positional()
        given = {one.name for one in positional[: len(args)]} | set(kwargs)
        choices = [
            one
            for one in self.signature.parameters
            if one.optional and not one.is_left_out and one.style in ("positional", "keyword")
        ]
        star = next((one for one in self.signature.parameters if one.style == "star"), None)
        if star is not None and len(args) >= len(positional) and rng.random() < 0.5:
            if len(args) > len(positional) and rng.random() < 0.4:
                args.pop()
            elif len(args) < len(positional) + 5 and not star.is_left_out:
                args.append(self.draw(star))
            return
        if not choices:
            return
        parameter = rng.choice(choices)
        if parameter.name in kwargs:
            del kwargs[parameter.name]
        elif parameter.name not in given:
            kwargs[parameter.name] = self.draw(parameter)
