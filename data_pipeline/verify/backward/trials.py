"""Runs the witness's function on other inputs, so that statements on any input can be tried.

"If `sep` is empty, it returns the text unchanged" is no statement on the witness alone: inputs that
fit the condition are made from the witness's arguments, and the caller's `run_call` runs them.
"""

import ast
import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from data_pipeline.source.literals import value_or_none
from data_pipeline.verify.backward.examples import RunCall
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_MOST_TRIALS = 4  # for one statement
_MOST_EVERYWHERE = 10
_UNIVERSAL = re.compile(r"\b(?:always|never|not|cannot)\b")
_MOST_CONSTANTS = 3
_MOST_FREE = 6  # for one necessity
_MOST_TEXT = 60  # longer arguments are not grown


class _NoRun:
    """Stands for the run of another input, of which only the outcome is known."""

    names: frozenset[str] = frozenset()
    functions: Mapping[str, Any] = {}


_NO_RUN: Any = _NoRun()


@dataclasses.dataclass(frozen=True)
class _Given:
    """Gives arguments by their names, as a state of a run does."""

    texts: Mapping[str, str]
    run: Any = _NO_RUN

    def get(self, name: str) -> str | None:
        return self.texts.get(name)


class Trial(Witness):
    """Holds arguments of the witness's function and what their run returns.

    `ended` is False if the run raises or does not end: `result` is None then.
    """

    def __init__(self, witness: Witness, arguments: Mapping[str, str], outcome: str | None):
        self.run, self.code, self.function = _NO_RUN, witness.code, witness.function
        self.arguments, self.changing = dict(arguments), set()
        self.ended = outcome is not None and _is_literal(outcome)
        self.result = outcome if self.ended else None
        self.goal = self.result or "None"
        self.state: Any = _Given(self.arguments)
        self.outcome = outcome

    @property
    def value(self) -> Any:
        """The value that is returned."""
        return value_or_none(self.result)

    def with_value(self, name: str, value: object) -> "Trial":
        """Returns this trial with one more name known, such as that of a loop's variable."""
        given = {**self.arguments, name: repr(value)}
        return Trial(self, given, self.outcome)

    def claim(self, text: str, *, held: bool) -> JudgedClaim:
        """Returns the claim of a statement that this trial decides."""
        shown = f"{self.call_of(self.arguments)} gives {self.outcome}"
        return JudgedClaim("code", text[:80], CONFIRMED if held else CONTRADICTED, shown)


class Trials:
    """Makes inputs from a witness and runs them by `run_call`."""

    def __init__(self, witness: Witness, run_call: RunCall | None):
        self.witness, self.run_call = witness, run_call

    @property
    def own(self) -> Trial:
        """The witness's own call, with what it really returns."""
        trace = self.witness.run.trace
        raised = None if trace.raised is None else f"raises {trace.raised}"
        outcome = trace.result or raised or ("does not end" if trace.truncated else None)
        return Trial(self.witness, self.witness.arguments, outcome)

    def fitting(
        self,
        told: list[Any],
        fits: Callable[[Trial], bool | None],
        most: int = _MOST_TRIALS,
        *,
        ran: bool = True,
    ) -> list[Trial]:
        """Returns trials whose arguments fit, the witness's own first; unknown outcomes left out.

        told: values that the statement names; some inputs are made with them.
        ran: False for inputs that need no run.
        """
        asked = []
        for given in [self.witness.arguments, *self._variations(told)]:
            if fits(Trial(self.witness, given, None)):
                asked.append(given)
            if len(asked) == most:
                break
        if not ran:
            return [Trial(self.witness, given, None) for given in asked]
        found = [self.run(given) for given in asked]
        return [one for one in found if one.outcome is not None]

    def run(self, given: Mapping[str, str]) -> Trial:
        """Returns the trial of one input; its outcome is None if it is unknown."""
        if given == self.witness.arguments:
            return self.own
        call = self.witness.call_of(dict(given))
        return Trial(self.witness, given, self.run_call(call) if self.run_call else None)

    def everywhere(
        self,
        text: str,
        holds: Callable[[Trial], bool | None],
        told: list[Any],
        *,
        refutable: bool = False,
    ) -> list[JudgedClaim] | None:
        """Judges a statement on all inputs: the witness's run decides, others must agree.

        refutable: whether other inputs may contradict a statement that is true of the witness: most
          of them and two at least, or one if it says "always" or "never".
        """
        own = self.own
        if own.outcome is None:
            return None
        others = self.fitting(told, lambda trial: True, most=_MOST_EVERYWHERE)
        first = holds(own)
        if first is False:
            return [own.claim(text, held=False)]
        tried = [(holds(one), one) for one in others if one.ended]
        rest = [held for held, _ in tried if held is not None]
        if (wrong := [one for held, one in tried if held is False]) and refutable:
            enough = len(wrong) > 1 and 2 * len(wrong) >= len(rest)
            known = first is True and (enough or bool(_UNIVERSAL.search(text)))
            return [wrong[0].claim(text, held=False)] if known else None
        if wrong or not (first or (own.ended and rest)):
            return None
        if len(own.arguments) > 1 and any(
            holds(one) is False for one in self.mixed(_MOST_EVERYWHERE) if one.ended
        ):
            return None
        return [own.claim(text, held=True)]

    def reaching(self, name: str) -> Trial | None:
        """Returns an input that differs in one argument only and gives the output asked for."""
        own = self.witness.arguments
        found = [
            self.run(given) for given in self._variations([])
            if given[name] != own[name]
        ]  # fmt: skip
        goal = self.witness.goal
        return next((one for one in found if one.ended and _is_same(one.goal, goal)), None)

    def without(self, holds: Callable[[Trial], bool | None]) -> Trial | None:
        """Returns an input that does without what `holds` tests, and gives the output asked for.

        Nothing is known of an input for which the test is undecided.
        """
        free = self.fitting([], lambda trial: _negated(holds(trial)), most=_MOST_FREE)
        goal = self.witness.goal
        return next((one for one in free if one.ended and _is_same(one.goal, goal)), None)

    def mixed(self, most: int) -> list[Trial]:
        """Returns the witness's trial and others in which each argument is varied in turn.

        Those of unknown outcome are left out.
        """
        own = self.witness.arguments
        turns = {
            name: [one for one in self._variations([]) if one[name] != text]
            for name, text in own.items()
        }
        rows = itertools.zip_longest(*turns.values())
        given = [one for row in rows for one in row if one is not None]
        found = [self.own, *map(self.run, given[: most - 1])]
        return [one for one in found if one.outcome is not None]

    def _constants(self) -> list[str]:
        """Returns short texts that the program writes out: inputs with them take other ways."""
        found = {
            node.value: None for node in self.witness.run.nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }  # fmt: skip
        return [text for text in found if 0 < len(text) < 10][:_MOST_CONSTANTS]

    def _variations(self, told: list[Any]) -> Iterator[dict[str, str]]:
        """Yields inputs that differ from the witness's in one argument, each once."""
        own = self.witness.arguments
        values = {name: value_or_none(text) for name, text in own.items()}
        seen = {tuple(own.values())}
        for name, value in values.items():
            others = [other for key, other in values.items() if key != name]
            for one in _alternatives(value, others, told, self._constants()):
                given = {**own, name: repr(one)}
                if tuple(given.values()) not in seen:
                    seen.add(tuple(given.values()))
                    yield given


def _alternatives(
    value: Any, others: list[Any], told: list[Any], constants: list[str]
) -> Iterator[Any]:
    """Yields other values of a type: empty, grown, turned, and made with values that are named."""
    named = [one for one in (*told, *others) if one is not None]
    yield from (one for one in named if type(one) is type(value))
    if isinstance(value, str | int):  # a key or an item that the other argument has
        owners = [list(one) for one in others if isinstance(one, dict | list) and one]
        held = (one for owner in owners for one in (owner[-1], owner[0]))
        yield from (one for one in held if type(one) is type(value))
    match value:
        case bool():
            yield not value
        case int() | float():
            yield from (0, 1, -value, value + 1, 2 * value + 3)
            yield from (len(one) for one in others if isinstance(one, str | list | dict))
            yield from (len(one) + 1 for one in others if isinstance(one, str | list | dict))
            yield from (len(one) + 4 for one in others if isinstance(one, str | list | dict))
            yield -1
        case str() if len(value) <= _MOST_TEXT:
            texts = [one for one in named if isinstance(one, str)]
            held = [one for one in constants if one not in texts]
            yield from ("", value[:1], value * 2, value[::-1], value.swapcase(), value.upper())
            yield from (one + value for one in texts)
            yield from (value + one for one in texts)
            yield from (one + value + one for one in texts)
            yield from (value.replace(one, "") for one in texts if one)
            yield from (one + value + one for one in held)
            yield from held
            yield from ("Qx 7", "word", "7", "é7", " ", "a-b_c.d, E", "ABC")
        case list() if len(value) <= _MOST_TEXT:
            items = [one for one in named if not isinstance(one, list)]
            yield from ([], value[:1], value * 2, value[::-1], value[1:])
            yield from ([*value, one] for one in items)
            yield from ([one for one in value if one != item] for item in items)
        case dict() if len(value) <= _MOST_TEXT:
            yield {}
            yield dict(list(value.items())[:1])
            yield dict(list(value.items())[1:])


def _negated(held: bool | None) -> bool:
    return held is False


def _is_same(one: str, other: str) -> bool:
    return compare(one, other) == CONFIRMED


@functools.lru_cache(maxsize=1024)
def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def definition_of(witness: Witness, name: str) -> str | None:
    """Returns the code of a local variable's only assignment, if it reads arguments alone."""
    found = []
    for node in witness.run.nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=own)], value=value) if own == name:
                found.append((value, ast.unparse(value)))
            case ast.Assign(targets=[ast.Tuple(elts=items)], value=value):
                found += [
                    (value, f"({ast.unparse(value)})[{i}]") for i, item in enumerate(items)
                    if isinstance(item, ast.Name) and item.id == name
                ]  # fmt: skip
            case ast.AugAssign(target=ast.Name(id=own)) if own == name:
                return None
    if len(found) != 1 or name in witness.arguments:
        return None
    [(value, code)] = found
    read = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return code if read & set(witness.arguments) else None
