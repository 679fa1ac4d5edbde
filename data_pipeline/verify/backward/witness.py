"""Answers questions about the call that a backward monologue answers with: its witness."""

import ast
import functools
import re

from data_pipeline.source.literals import LiteralError, parse_literal, same_value, value_or_none
from data_pipeline.tracing.replay import Replay, State
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.conditions import Condition, Joined, Source, Test
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import Phrase
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_KINDS = {
    "list": list,
    "array": list,
    "string": str,
    "dictionary": dict,
    "integer": int,
    "tuple": tuple,
    "set": set,
}
# "Final" is said of states, not of items.
_ORDINALS = {word: index for word, index in INDEXES.items() if word != "final"}
_METHODS = word_set(
    """
    isupper islower isalnum isalpha isdigit isnumeric isdecimal isspace istitle isidentifier
    isascii isprintable
    """
)


@functools.lru_cache(maxsize=4096)
def _spelled(call: str) -> str:
    """Returns a call as `ast.unparse` writes it."""
    return ast.unparse(ast.parse(call, mode="eval"))


class Witness:
    """Holds a call's arguments, its result, and the output that it should have."""

    def __init__(self, run: Replay, goal: str | None):
        self.run = run
        self.code = code_of(run)
        self.result = run.trace.result
        self.goal = goal or self.result or "None"
        first = next((i for i, event in enumerate(run.events) if event.kind == "call"), None)
        self.state: State | None = None
        self.arguments: dict[str, str] = {}
        if first is not None:
            event = run.events[first]
            self.state = run.state(event.frame, first)
            self.arguments = {
                name: event.changed[name] for name in self.code.parameters if name in event.changed
            }
        self.function = self.code.function.name if self.code.function else ""
        self.changing = {  # arguments that the run changes or rebinds
            name for name in self.arguments if len(set(run.history(0, name)[1])) > 1
        }

    @property
    def misses_goal(self) -> bool:
        """Tells whether the witness does not give the output that was asked for."""
        return self.result is None or compare(self.goal, self.result) == CONTRADICTED

    @property
    def shown(self) -> str:
        return ", ".join(f"`{name}` is {text}" for name, text in self.arguments.items())

    def is_input(self, value: str) -> bool | None:
        """Tells whether a literal is the witness's only argument, or its arguments as a tuple.

        None if it can be neither: the function takes several, and the literal is one of them.
        """
        if len(self.arguments) == 1:
            return compare(value, next(iter(self.arguments.values()))) == CONFIRMED
        whole = "(" + ", ".join(self.arguments.values()) + ")"
        if (
            compare(value, whole) == CONFIRMED
            or compare(value, "[" + whole[1:-1] + "]") == CONFIRMED
        ):
            return True
        return None

    def sole_like(self, value: str, taken: set[str]) -> str:
        """Returns the only other parameter whose argument has the literal's type, "" if none."""
        kind = type(parse_literal(value))
        names = [
            name for name, text in self.arguments.items()
            if name not in taken and _is_kind(text, kind)
        ]  # fmt: skip
        return names[0] if len(names) == 1 else ""

    def call_with(self, value: str) -> str | None:
        return (
            self.call_of(dict.fromkeys(self.arguments, value)) if len(self.arguments) == 1 else None
        )

    def call_of(self, given: dict[str, str]) -> str:
        return _spelled(f"{self.function}({', '.join(given[name] for name in self.arguments)})")

    def satisfies(self, condition: Condition) -> bool | None:
        """Returns whether the arguments satisfy a condition; None if that is unknown."""
        if isinstance(condition, Joined):
            values = [self.satisfies(part) for part in condition.parts]
            if None in values:
                return None
            return all(values) if condition.operator == "and" else any(values)
        try:
            value = self._holds(condition)
        except Unknown:
            return None
        return value == condition.positive

    def may_speak_of_part(self, condition: Condition) -> bool:
        """Tells whether "the output string is …" may mean one element of a tuple or list."""
        if not isinstance(condition, Test) or condition.name != "==":
            return False
        words = condition.subject.words if isinstance(condition.subject, Phrase) else ()
        precise = {"length", "element", "part", *_ORDINALS} & set(words)
        return not precise and self.goal.strip()[:1] in ("[", "(")

    def _holds(self, test: Test) -> bool:
        subject = self._expression(test.subject)
        if test.name == "in":
            return self._contains(test)
        expressions = {
            "empty": f"len({subject}) == 0",
            "even": f"{subject} % 2 == 0",
            "none": f"{subject} is None",
        }
        if test.name in expressions:
            return bool(evaluate(expressions[test.name], self.state))
        if test.name in _METHODS:
            return bool(evaluate(f"{subject}.{test.name}()", self.state))
        if test.argument is None:
            raise Unknown
        argument = self._expression(test.argument)
        if test.name in ("startswith", "endswith"):
            return bool(evaluate(f"{subject}.{test.name}({argument})", self.state))
        if test.name in ("==", "<"):
            return bool(evaluate(f"{subject} {test.name} {argument}", self.state))
        if test.name == "type":
            return bool(evaluate(f"isinstance({subject}, {argument})", self.state))
        raise Unknown

    def contains_all(self, subject: Phrase, told: list[str], noun: str) -> bool | None:
        """Returns whether all literals told are in the subject; None if that is unknown."""
        try:
            container = self._expression(subject)
            kind = type(evaluate(container, self.state))
            if kind is dict and noun.startswith(("value", "pair", "key-value", "entr", "item")):
                owner = evaluate(container, self.state)
                values = owner.values() if noun.startswith("value") else owner.items()
                return all(
                    any(evaluate(_quoted(one.strip("`")), None) == v for v in values)
                    for one in told
                )
            return all(self._is_in(one.strip("`"), container, kind) for one in told)
        except Unknown:
            return None

    def _is_in(self, atom: str, container: str, kind: type) -> bool:
        text = _quoted(atom)
        if kind is str and not text.startswith(("'", '"')):
            text = repr(atom)
        return bool(evaluate(f"{text} in {container}", self.state))

    def is_item(self, value: str) -> bool:
        """Tells whether a literal is one of the items of the output."""
        goal = value_or_none(self.goal)
        return isinstance(goal, list | tuple | dict | set) and value_or_none(value) in (
            list(goal.items()) if isinstance(goal, dict) else list(goal)
        )

    def has_entry(self, line: str) -> bool:
        """Tells whether a line is a text or an entry, `"a": [1],`, of an argument's container."""
        entry = _ENTRY.fullmatch(line.strip(" `"))
        if entry is None:
            return False
        key, told = value_or_none(entry["key"]), value_or_none(entry["value"] or "None")
        owners = [value_or_none(text) for text in self.arguments.values()]
        if entry["value"]:
            return any(isinstance(one, dict) and same_value(one.get(key), told) for one in owners)
        return len(str(key)) > 1 and any(
            isinstance(one, list | tuple | set) and key in one for one in owners
        )

    def indexes(self, value: object) -> bool | None:
        """Tells whether a number is an index of the first list or text given; None if unknown."""
        owners = [value_or_none(text) for text in self.arguments.values()]
        owner = next((one for one in owners if isinstance(one, list | str | tuple)), None)
        return None if owner is None or type(value) is not int else 0 <= value < len(owner)

    def like(self, words: tuple[str, ...], length: int) -> bool:
        """Tells whether "the list", the output or the first one given, has a length."""
        kind = next((_KINDS[word] for word in words if word in _KINDS), None)
        if kind is None or set(words) - _NAMING - _SMALL_WORDS:
            return False
        found = [text for text in (self.goal, *self.arguments.values()) if _is_kind(text, kind)]
        return any(len(value_or_none(text)) == length for text in found[:1])

    def has_other_container(self, named: set[str]) -> bool:
        """Tells whether an argument that is not named is a list, text or dictionary."""
        return any(
            _is_kind(text, kind)
            for name, text in self.arguments.items() if name not in named
            for kind in (list, str, dict, tuple, set)
        )  # fmt: skip

    def parts(self, text: str, at: str, side: str) -> set[str]:
        """Returns what stands before or after the first and the last separator of a text."""
        found = set()
        for method, index in (
            ("partition", 0),
            ("rpartition", 0),
            ("partition", 2),
            ("rpartition", 2),
        ):
            try:
                parts = evaluate(f"({text}).{method}({_quoted(at)})", None)
            except Unknown:
                continue
            if parts[1] and index == (0 if side == "before" else 2):
                found.add(repr(parts[index]))
        return found

    def length_of(self, subject: Phrase) -> int | None:
        try:
            return int(evaluate(f"len({self._expression(subject)})", self.state))
        except Unknown:
            return None

    def _contains(self, test: Test) -> bool:
        """Judges "`d` has the keys `1` and `2`": every literal named must be in it."""
        if not isinstance(test.subject, Phrase) or test.argument is None:
            raise Unknown
        container = self._expression(test.argument)
        words = set(test.subject.words) - _CONTAINED_WORDS
        if words or not test.subject.atoms:
            raise Unknown
        if {"value", "values"} & set(test.subject.words):
            raise Unknown
        return all(
            bool(evaluate(f"{_quoted(atom)} in {container}", self.state))
            for atom in test.subject.atoms
        )

    def _expression(self, source: Source) -> str:
        """Returns the Python expression that a phrase of a constraint speaks of."""
        if isinstance(source, str):
            return source
        words = [word for word in source.words if word not in _SMALL_WORDS]
        if len(source.atoms) > 1:
            raise Unknown
        if (parts := self._part(source, words)) is not None:
            return parts
        if "length" in words:
            return f"len({self._expression(_without(source, 'length'))})"
        ordinal = next((word for word in words if word in _ORDINALS), None)
        if ordinal and {"element", "character", "item"} & set(words):
            return f"{self._owner(source)}[{_ORDINALS[ordinal]}]"
        if set(words) - _NAMING:
            raise Unknown
        return self._owner(source)

    def _part(self, source: Phrase, words: list[str]) -> str | None:
        """Returns the expression of "the integer part (of the output)"."""
        if "part" not in words or source.atoms or set(words) - _PART_WORDS:
            return None
        side = 0 if "integer" in words else 1
        return (
            f"str({self.goal}).split('.')[{side}]"
            if "integer" in words or "decimal" in words
            else None
        )

    def _owner(self, source: Phrase) -> str:
        if {"output", "result"} & set(source.words):
            if source.atoms or {"input", "before"} & set(source.words):
                raise Unknown
            return f"({self.goal})"
        if source.atoms:
            return f"({source.atoms[0]})"
        kind = next((_KINDS[word] for word in source.words if word in _KINDS), None)
        names = [
            name for name, text in self.arguments.items() if kind is None or _is_kind(text, kind)
        ]
        meant = {"input", "original", "it"} & set(source.words)
        if len(names) == 1 and (meant or (kind and not _is_kind(self.goal, kind))):
            return names[0]
        raise Unknown


_TEXT = r"(?:\"[^\"\\]*\"|'[^'\\]*')"
_ENTRY = re.compile(rf"(?P<key>{_TEXT})(?:: (?P<value>[^#]+?))?,?(?:\s+#.*)?")
_SMALL_WORDS = word_set("the a an of that to must is with for by in equal")
_PART_WORDS = word_set("integer decimal fractional part output number")
_NAMING = word_set(
    """
    output final result expected input string list dictionary integer number value original
    character tuple set parameter it array substring text itself element index argument
    """
) | set(_ORDINALS)  # fmt: skip
_CONTAINED_WORDS = word_set(
    """
    the a an and key keys character characters substring element elements letters letter
    digit digits word words string number numbers integer value
    """
)


def _without(phrase: Phrase, word: str) -> Phrase:
    return Phrase(tuple(token for token in phrase.tokens if token.lower != word))


@functools.lru_cache(maxsize=1024)
def _is_kind(text: str, kind: type) -> bool:
    try:
        value = parse_literal(text)
    except LiteralError:
        return False
    return type(value) is kind


def _quoted(atom: str) -> str:
    """Returns a literal for what stands in backticks: `h` is the character "h"."""
    try:
        ast.literal_eval(atom)
    except (ValueError, SyntaxError):
        return repr(atom) if re.fullmatch(r"\S", atom) else atom
    return atom
