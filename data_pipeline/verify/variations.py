"""Judges rules about inputs by runs of other inputs: "if `n` is 0, it returns the original list".

The condition is tested on variations of the run's own arguments; the program is run on those that
satisfy it. A rule is confirmed if it holds for each, contradicted if it holds for none of them,
and not checkable if it fails for some.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.answer import outcome
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.clause_rules import read_question
from data_pipeline.verify.evaluation import Bound, Unknown, evaluate
from data_pipeline.verify.masking import mask_code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

RunCall = Callable[[str], str | None]

SENTENCE = re.compile(r"(?<=[\w`)\"'][.;])\s+(?=[A-Z(])|(?<=;)\s+")
_MOST_INPUTS = 4  # that satisfy one condition
_MOST_TRIED = 120
_KINDS = {"string": str, "text": str, "list": list, "array": list, "dictionary": dict,
          "tuple": tuple, "number": int, "integer": int, "input": object}  # fmt: skip
_NOUN = "|".join(_KINDS)
_NAMED = re.compile(
    r"\bthe (?:(?:input|given|original|provided|specified) )*(?P<noun>[a-z]+)"
    r"(?! ?`| (?:of|at|[a-z]+ `)\b)(?: is\b)?",
    re.I,
)
_RULE = re.compile(r"^(?:if|when) (?P<c>[^,]+(?:, (?=or |and )[^,]+)?), (?:then )?(?P<r>.+)$", re.I)
_TURNED = re.compile(r"^(?P<r>(?:it|the function) .+?) (?:if|when) (?P<c>[^,]+)$", re.I)
_RETURNS = re.compile(
    r"^(?:(?:it|the function|this function) (?:(?:will|should|would|simply|also|just|immediately|"
    r"always|then) )*returns?|(?:the )?(?:function's )?(?:output|result|returned? value)"
    r"(?: of the function)? (?:(?:will|should|would|also|simply) )*(?:be|is)(?: also)?) (?P<v>.+)$",
    re.I,
)
_RETURNED = re.compile(
    r"^(?P<v>(?:the|an?|`).+?) (?:will be|is|should be) returned(?P<u> unchanged| as is)?$", re.I
)
_RAISES = re.compile(
    r"^(?:it|the function|this|`[^`]+`) (?:(?:will|would|should) )*(?:raises?|throws?|result in) "
    r"an? `?(?P<e>\w*(?:Error|error|exception))`?(?: exception)?$"
)
_SAME = re.compile(
    rf"^(?:the )?(?:(?:original|entire|whole|same|unmodified|unchanged|input) )+(?:{_NOUN})?"
    rf" ?(?:`(?P<x>\w+)`)?(?: (?:{_NOUN}))?(?: (?:unchanged|as is|as it is|itself|without (?:any )?"
    r"(?:changes?|modifications?)))*$",
    re.I,
)
_EMPTY = re.compile(r"^(?:also )?an empty (?P<t>string|list|dictionary|tuple)$", re.I)
_REASON = re.compile(r",? (?:since|because|as) [^`\"']*$")
_FOUND = re.compile(
    r"^(?:the (?:\w+ )?)?`(?P<x>\w+)` (?:is|was) (?:not )?(?:found|present|contained)$", re.I
)
_WHERE = r"(?: (?:in|of) (?:the (?:input )?string|(?:the \w+ )?`(?P<x>\w+)`))?"
_EVERY = re.compile(rf"^(?:all|every)(?: the)? characters?{_WHERE} (?:are|is) (?P<w>[a-z]+)$", re.I)
_SOME = re.compile(
    rf"^any(?: of the)? characters?{_WHERE} (?:is|are) (?:found to be )?"
    r"(?:non-|not )(?P<w>[a-z]+)$",
    re.I,
)
_HOLDERS = (str, list, dict, tuple)
_EMPTIES = {"string": "''", "list": "[]", "dictionary": "{}", "tuple": "()"}
_PLAIN_VALUE = re.compile(
    r"^(?:the (?:string|value|boolean|integer|message) |an? (?:string|integer) )?"
    r"(?P<v>`[^`]+`|\"[^\"]*\"|'[^']*'|True|False|None|-?\d+)(?P<u> unchanged| as is)?$"
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Holds one rule: `condition`, code over parameters, and the result that it promises.

    expected: code over parameters for the result, "raises …" for an exception.
    """

    text: str
    condition: str
    holds: bool
    expected: str


class Variations:
    """Finds the rules of a monologue about one run's function, and judges them."""

    def __init__(self, run: Replay, run_call: RunCall | None):
        self.run, self.run_call = run, run_call

    @functools.cached_property
    def given(self) -> dict[str, Any]:
        """Returns parameter -> argument of the run's call, empty if one is no literal."""
        first = self.run.events[0] if self.run.events else None
        if first is None or first.kind != "call":
            return {}
        try:
            return {name: parse_literal(text) for name, text in first.changed.items()}
        except LiteralError:
            return {}

    def judge(self, sentence: str) -> JudgedClaim | None:
        """Returns the claim of a sentence that is a rule, None if it is none or is not decided."""
        rule = self.read(sentence)
        if rule is None:
            return None
        fits, truth = [], ""
        for arguments in self.inputs(rule):
            real = self.outcome(arguments)
            told = self._expected(rule, arguments)
            if real is None or told is None:
                continue
            fits.append(_agree(told, real))
            truth = truth if fits[-1] else f"{self.call(arguments)} == {real}"
        if fits and all(fits):
            return JudgedClaim("code", rule.text, CONFIRMED)
        if not fits:
            return None
        never = not any(fits)
        return JudgedClaim("code", rule.text, CONTRADICTED if never else NOT_CHECKABLE, truth)

    def calls(self, sentence: str) -> Iterator[str]:
        """Yields the calls whose outcomes `judge` wants to know."""
        rule = self.read(sentence)
        if rule is not None:
            for arguments in self.inputs(rule):
                if arguments != self.given:
                    yield self.call(arguments)

    # ---- reading

    def read(self, sentence: str) -> Rule | None:
        """Reads a sentence as a rule about the parameters."""
        text = sentence.strip(" .-*").replace("**", "")
        match = _RULE.match(text) or _TURNED.match(text)
        if match is None or not self.given:
            return None
        asked = self.question(match["c"])
        expected = self.result(match["r"], asked[0]) if asked else None
        return None if asked is None or expected is None else Rule(text, *asked, expected)

    def question(self, condition: str) -> tuple[str, bool] | None:
        """Returns the code of a condition on the parameters, and whether it is to hold."""
        asked = self.ask(condition, frozenset(self.given))
        return asked if asked is not None and self._is_about_parameters(asked[0]) else None

    def ask(self, condition: str, names: frozenset[str]) -> tuple[str, bool] | None:
        """Returns the code of a condition on some names, and whether it is to hold."""
        text = _NAMED.sub(self._named, self._completed(condition))
        return read_question(*mask_code(text, names))

    def _completed(self, condition: str) -> str:
        """Returns a condition with its subject: "`b` is not found" is told of the other string."""
        if found := _FOUND.match(condition):
            others = [
                n for n, v in self.given.items() if n != found["x"] and isinstance(v, _HOLDERS)
            ]
            if found["x"] in self.given and len(others) == 1:
                return f"{condition} in `{others[0]}`"
        if every := _EVERY.match(condition):
            name = every["x"] or self._parameter("string")
            return f"`{name}` is {every['w']}" if name else condition
        if some := _SOME.match(condition):
            name = some["x"] or self._parameter("string")
            return f"`{name}` is not {some['w']}" if name else condition
        return condition

    def _named(self, match: re.Match[str]) -> str:
        """Puts the only parameter that a noun may mean in its place."""
        name = self._called(match["noun"].lower()) or self._parameter(match["noun"])
        tail = " is" if match[0].endswith(" is") else ""
        return match[0] if name is None else f"`{name}`{tail}"

    def _called(self, noun: str) -> str | None:
        """Returns the parameter whose name is the noun, or is short for it."""
        named = [n for n in self.given if n == noun or (len(n) > 2 and noun.startswith(n))]
        return named[0] if len(named) == 1 else None

    def _parameter(self, noun: str) -> str | None:
        """Returns the only parameter that a noun such as "string" may mean."""
        kind = _KINDS.get(noun.lower())
        if kind is None:
            return None
        fitting = [
            name for name, value in self.given.items()
            if isinstance(value, kind) and not isinstance(value, bool)
        ]  # fmt: skip
        return fitting[0] if len(fitting) == 1 else None

    def _is_about_parameters(self, code: str) -> bool:
        """Returns whether a condition uses parameters that keep their values, and nothing else."""
        try:
            tree = ast.parse(code, mode="eval")
        except (SyntaxError, ValueError, RecursionError):
            return False
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        calls = {n.func.id for n in ast.walk(tree)
                 if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
        bound = {n.id for n in ast.walk(tree)
                 if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        names -= calls | bound | ({"int", "str", "list", "dict", "tuple"} - set(self.given))
        return bool(names) and names <= set(self.given)

    def result(self, text: str, condition: str) -> str | None:
        """Returns the code of the result that the second half of a rule promises.

        The parameter that the condition is about is "the original string" of several.
        """
        text, about = _REASON.sub("", text.strip(" .;")), _owner(condition)
        if raising := _RAISES.match(text):
            name = raising["e"]
            return "raises " + (name if name.endswith("Error") else "")
        told = _RETURNS.match(text) or _RETURNED.match(text)
        if told is None:
            return None
        value = told["v"].strip()
        if empty := _EMPTY.match(value):
            return _EMPTIES[empty["t"].lower()]
        if same := _SAME.match(value):
            noun = re.search(rf"\b({_NOUN})\b", value.replace("input ", "", 1), re.I)
            name = same["x"] or self._parameter(noun[1] if noun else "input") or about
            return name if name in self.given else None
        plain = _PLAIN_VALUE.match(value)
        code = plain["v"].strip("`") if plain else None
        return code if code is not None and self._is_known(code) else None

    def _is_known(self, code: str) -> bool:
        try:
            evaluate(code, self._state(self.given))
            return True
        except (Unknown, ValueError, RecursionError):
            return False

    # ---- inputs

    def inputs(self, rule: Rule) -> list[dict[str, Any]]:
        """Returns arguments that satisfy the condition of a rule, the run's own first."""
        found: list[dict[str, Any]] = []
        for number, (arguments, changed) in enumerate(self.tried()):
            enough = len(found) == _MOST_INPUTS or (changed > 1 and found)
            if number > _MOST_TRIED or enough:
                break
            try:
                holds = bool(evaluate(rule.condition, self._state(arguments)))
            except (Unknown, ValueError, RecursionError):
                continue
            if holds == rule.holds and arguments not in found:
                found.append(arguments)
        return found

    def tried(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Yields the arguments with none, one or two of them replaced, and how many are.

        Two are replaced only where no one will do: the other could have a rule of its own.
        """
        yield self.given, 0
        others = {name: self._variants(name) for name in self.given}
        for name, values in others.items():
            for value in values:
                yield {**self.given, name: value}, 1
        for (one, first), (two, second) in _pairs(others):
            for left in first[:6]:
                for right in second[:6]:
                    yield {**self.given, one: left, two: right}, 2

    def _variants(self, name: str) -> list[Any]:
        value = self.given[name]
        same = [v for n, v in self.given.items() if n != name and type(v) is type(value)]
        match value:
            case bool():
                return [not value]
            case int():
                sizes = [len(v) for v in self.given.values() if isinstance(v, str | list | dict)]
                return [0, -1, value + 1, 1, *sizes, *(n + 1 for n in sizes), -3, 7, *same]
            case str() if len(value) == 1:  # a character, and no longer text
                return [*"aB7 .é", value.swapcase(), *(v[:1] for v in same if v)]
            case str():
                held = [v for v in self.given.values() if isinstance(v, str)]
                return ["", *self._constants(), value[::-1], value.upper(), value.lower(), "b7 c",
                        *(v + value for v in held), *(value.replace(v, "") for v in same if v),
                        *(value + v for v in same), "zq", "42", "é", "   ", *same]  # fmt: skip
            case list():
                others = [v for n, v in self.given.items() if n != name and type(v) in (int, str)]
                kept = [[item for item in value if item != v] for v in others]
                return [[], value[::-1], value[:1], value + value, value[1:], *kept,
                        *([*value, v, v, v] for v in others), *([v] for v in others),
                        *_sized_alike(value), *same]  # fmt: skip
            case dict():
                shared = [{**value, **dict.fromkeys(other, 7)} for other in same]
                return [{}, dict(list(value.items())[:1]), *shared, *same]
            case tuple():
                return [(), value[::-1], value[:1]]
        return []

    def _constants(self) -> list[str]:
        texts = [n.value for n in self.run.nodes if isinstance(n, ast.Constant)]
        return [text for text in texts if isinstance(text, str) and 0 < len(text) < 10][:5]

    def _state(self, arguments: Mapping[str, Any]) -> Any:
        return Bound(None, {name: repr(value) for name, value in arguments.items()})

    # ---- outcomes

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Returns the call of the run's function with other arguments."""
        name = self.run.trace.call.partition("(")[0]
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"

    def outcome(self, arguments: Mapping[str, Any]) -> str | None:
        if arguments == self.given:
            return outcome(self.run.trace)
        return self.run_call(self.call(arguments)) if self.run_call else None

    def _expected(self, rule: Rule, arguments: Mapping[str, Any]) -> str | None:
        if rule.expected.startswith("raises"):
            return rule.expected
        try:
            return render(evaluate(rule.expected, self._state(arguments)))
        except (Unknown, ValueError, RecursionError):
            return None


def _pairs(others: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Any, Any]]:
    items = list(others.items())
    for number, one in enumerate(items):
        for two in items[number + 1 :]:
            yield one, two


def _sized_alike(value: list[Any]) -> list[list[Any]]:
    """Returns lists of the same kind of items, with a zero and with three items."""
    if all(type(item) is int for item in value):
        return [[*value, 0], [4, -1, 9], [3, 3], [2, 8], [5, 9, 7], [-3, -8]]
    return [["b", "Ab", "7"]] if all(type(item) is str for item in value) else []


def _owner(condition: str) -> str | None:
    """Returns the variable that a test looks at: `s` of `x in s` and of `s.startswith(x)`."""
    match parse_code(condition):
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
            return name
    return None


def _agree(told: str, real: str) -> bool:
    if told.startswith("raises"):
        return real.startswith(told)
    return not real.startswith("raises") and compare(told, real) == CONFIRMED
