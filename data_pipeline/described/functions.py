"""Generates small functions together with descriptions that determine them.

A function takes one or two arguments (integers and at most one list of small integers), runs one to
three statements, each perhaps under a condition, and returns one of its variables. Its description
says the same statements in words; every statement has several wordings, the first of a list far
more often than the last, so that some are rare. A wording says one thing only: equal descriptions
belong to equal functions.
"""

import ast
import dataclasses
import random
from collections.abc import Mapping, Sequence

from data_pipeline.tracing import Trace, trace_call

MAX_VALUE = 60  # absolute value of an integer in a run that is shown
MAX_ITEMS = 4
INTEGERS, ITEMS, RESULTS = ("a", "b"), "xs", ("c", "d")
MAX_ARGUMENT, MAX_ITEM = 12, 9

WITH_NUMBER: Mapping[str, Sequence[str]] = {
    "{v} = {v} + {k}": ("add {k} to {v}", "increase {v} by {k}", "let {v} grow by {k}"),
    "{v} = {v} - {k}": ("subtract {k} from {v}", "decrease {v} by {k}", "let {v} shrink by {k}"),
    "{v} = {v} * {k}": ("multiply {v} by {k}", "scale {v} by {k}", "make {v} {k} times as large"),
    "{v} = {v} % {k}": (
        "take {v} modulo {k}",
        "reduce {v} to its remainder by {k}",
        "let {v} be what remains of it after division by {k}",
    ),
    "{v} = max({v}, {k})": ("raise {v} to at least {k}", "let {v} be no less than {k}"),
    "{v} = min({v}, {k})": ("limit {v} to at most {k}", "let {v} be no more than {k}"),
}
NEW: Mapping[str, Sequence[str]] = {
    "{v} = {a} + {b}": ("let {v} be the sum of {a} and {b}", "set {v} to {a} plus {b}"),
    "{v} = {a} - {b}": (
        "let {v} be {a} minus {b}",
        "set {v} to {a} less {b}",
        "let {v} be what {a} has over {b}",
    ),
    "{v} = {a} * {b}": ("let {v} be the product of {a} and {b}", "set {v} to {a} times {b}"),
    "{v} = max({a}, {b})": (
        "let {v} be the larger of {a} and {b}",
        "set {v} to whichever of {a} and {b} is greater",
    ),
    "{v} = min({a}, {b})": (
        "let {v} be the smaller of {a} and {b}",
        "set {v} to whichever of {a} and {b} is less",
    ),
}
OF_ITEMS: Mapping[str, Sequence[str]] = {
    "{v} = len(xs)": ("let {v} be the length of xs", "set {v} to the number of items in xs"),
    "{v} = sum(xs)": ("let {v} be the sum of xs", "set {v} to the total of xs"),
    "{v} = max(xs)": ("let {v} be the largest item of xs", "set {v} to the maximum of xs"),
    "{v} = min(xs)": ("let {v} be the smallest item of xs", "set {v} to the minimum of xs"),
    "{v} = xs[0]": ("let {v} be the first item of xs", "set {v} to the head of xs"),
    "{v} = xs[-1]": ("let {v} be the last item of xs", "set {v} to the end of xs"),
}
ON_ITEMS: Mapping[str, Sequence[str]] = {
    "xs = xs + [{k}]": ("append {k} to xs", "put {k} behind xs"),
    "xs = [{k}] + xs": ("put {k} in front of xs", "prepend {k} to xs"),
    "xs = xs[::-1]": ("reverse xs", "turn xs around"),
    "xs = sorted(xs)": ("sort xs", "put xs in ascending order"),
    "xs = xs[1:]": ("drop the first item of xs", "cut off the head of xs"),
    "xs = xs[:-1]": ("drop the last item of xs", "cut off the end of xs"),
}
CONDITIONS: Mapping[str, Sequence[str]] = {
    "{v} > {k}": ("{v} is above {k}", "{v} is more than {k}", "{v} exceeds {k}"),
    "{v} >= {k}": ("{v} is at least {k}", "{v} is {k} or more", "{v} is not below {k}"),
    "{v} < {k}": ("{v} is below {k}", "{v} is less than {k}"),
    "{v} <= {k}": ("{v} is at most {k}", "{v} is {k} or less", "{v} is not above {k}"),
    "{v} % 2 == 0": ("{v} is even", "2 divides {v}"),
    "{v} % 2 == 1": ("{v} is odd", "2 does not divide {v}"),
}


@dataclasses.dataclass(frozen=True)
class DescribedFunction:
    """Holds the source of a function `f`, its description, and its arguments in order."""

    code: str
    description: str
    arguments: tuple[str, ...]


def random_function(rng: random.Random) -> DescribedFunction:
    """Draws a function; some of its calls may raise or leave the bounds (see `shown_run`)."""
    return _Writer(rng).write()


def random_call(function: DescribedFunction, rng: random.Random) -> str:
    """Draws a call with keyword arguments."""

    def value(name: str) -> object:
        if name != ITEMS:
            return rng.randint(0, MAX_ARGUMENT)
        return [rng.randint(0, MAX_ITEM) for _ in range(rng.randint(2, MAX_ITEMS - 1))]

    return f"f({', '.join(f'{name}={value(name)!r}' for name in function.arguments)})"


def shown_run(code: str, call: str) -> Trace | None:
    """Returns the run of a call; None if it raises or has values too large to show."""
    trace = trace_call(code, call)
    return trace if trace.raised is None and is_small(trace) else None


def is_small(trace: Trace) -> bool:
    """Tells whether all values of a run are in the family's bounds."""
    texts = {text for event in trace.events for text in event.changed.values()}
    values = [ast.literal_eval(text) for text in texts | {trace.result or "0"}]
    return all(map(_in_bounds, values))


def _in_bounds(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_ITEMS + 1 and all(map(_in_bounds, value))
    return isinstance(value, int) and abs(value) <= MAX_VALUE


class _Writer:
    """Writes a function statement by statement, each with its words."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        arguments = rng.choice((("a",), ("a", "b"), ("a", "b"), ("xs",), ("a", "xs")))
        self.arguments: tuple[str, ...] = arguments
        self.integers = [name for name in arguments if name != ITEMS]
        self.last = ""

    def write(self) -> DescribedFunction:
        lines, words = [f"def f({', '.join(self.arguments)}):"], []
        for _ in range(self.rng.choice((1, 2, 2, 2, 3))):
            block, said = self._block()
            lines += [f"    {line}" for line in block]
            words.append(said)
        result = self.last or self.rng.choice(self.integers or [ITEMS])
        lines.append(f"    return {result}")
        described = f"Write f({', '.join(self.arguments)}): {'; '.join(words)}; return {result}."
        return DescribedFunction("\n".join(lines), described, self.arguments)

    def _block(self) -> tuple[list[str], str]:
        if self.integers and self.rng.random() < 0.3:
            condition, when = self._condition()
            statement, said = self._statement(new=False)
            block, words = [f"if {condition}:", f"    {statement}"], f"if {when}, {said}"
            if self.rng.random() < 0.3:
                statement, said = self._statement(new=False)
                block += ["else:", f"    {statement}"]
                words += f", otherwise {said}"
            return block, words
        statement, words = self._statement(new=True)
        return [statement], words

    def _statement(self, *, new: bool) -> tuple[str, str]:
        """Returns a statement with its words; `new` lets it set a new variable."""
        rng = self.rng
        choices = [self._with_number] * 3 if self.integers else []
        fresh = [name for name in RESULTS if name not in self.integers]
        if ITEMS in self.arguments:
            choices.append(self._on_items)
            if new and fresh:
                choices += [self._of_items] * (2 if self.integers else 3)
        if new and fresh and len(self.integers) > 1:
            choices.append(self._new)
        return rng.choice(choices)()

    def _with_number(self) -> tuple[str, str]:
        return self._say(WITH_NUMBER, self._some())

    def _new(self) -> tuple[str, str]:
        return self._say(NEW, self._fresh())

    def _of_items(self) -> tuple[str, str]:
        return self._say(OF_ITEMS, self._fresh())

    def _on_items(self) -> tuple[str, str]:
        return self._say(ON_ITEMS, ITEMS)

    def _some(self) -> str:
        if self.last in self.integers and self.rng.random() < 0.5:
            return self.last
        return self.rng.choice(self.integers)

    def _fresh(self) -> str:
        return next(name for name in RESULTS if name not in self.integers)

    def _condition(self) -> tuple[str, str]:
        code = self.rng.choice(list(CONDITIONS))
        return self._fill(code, self._wording(CONDITIONS[code]), v=self._some(), most=9)

    def _say(self, table: Mapping[str, Sequence[str]], target: str) -> tuple[str, str]:
        code = self.rng.choice(list(table))
        said = self._fill(code, self._wording(table[code]), v=target, most=9)
        self.last = target
        if target != ITEMS and target not in self.integers:
            self.integers.append(target)
        return said

    def _fill(self, code: str, words: str, *, v: str, most: int) -> tuple[str, str]:
        least, most = (2, 4) if " * {k}" in code else (2, most)
        pair = self.rng.sample(self.integers, 2) if len(self.integers) > 1 else ("", "")
        values = {"v": v, "k": self.rng.randint(least, most), "a": pair[0], "b": pair[1]}
        return code.format(**values), words.format(**values)

    def _wording(self, wordings: Sequence[str]) -> str:
        """Chooses a wording; each is three times as rare as the one before it."""
        weights = [3.0**-rank for rank in range(len(wordings))]
        return self.rng.choices(wordings, weights)[0]
