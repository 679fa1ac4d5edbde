"""Tells whether two programs that look alike do different things, by running both.

Both get the same inputs: examples of either one, others by the parameters and constants of either
one, and small changes of those that were accepted. The programs differ if an input that both accept
gives different results, final arguments or output, if most inputs are accepted by one alone, or if
a statement in which they differ takes effect on no input on which they agree.
"""

import ast
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipeline.decontamination.differing_lines import differing_statements
from data_pipeline.decontamination.fragments import last_function
from data_pipeline.decontamination.methods import as_function, call_of, methods
from data_pipeline.decontamination.overlap import Item
from data_pipeline.errors import UserError
from data_pipeline.execution.oracles import is_close
from data_pipeline.execution.outcomes import Limit, Result, Value
from data_pipeline.execution.service import Sandbox, TraceLimits
from data_pipeline.seeds.call_text import call_text
from data_pipeline.source.calls import Call, CallError, parse_call
from data_pipeline.testcases.exploration import TRACE_LIMITS
from data_pipeline.testcases.feedback import reweigh
from data_pipeline.testcases.generation import Arguments, Maker
from data_pipeline.testcases.kinds import infer_signature
from data_pipeline.tracing.events import Raised

_ROUND = 16  # inputs tried before their outputs are compared
_ROUNDS = 8
_MOST_STOPPED = 2  # runs past a limit, after which the search ends
_MOST_ARGUMENTS = 6
_PROBE = "_result_and_arguments"
_METHOD = "_method_asked_for"
_TOLERANCE = 1e-9

# Plain values by kind, for any function; those of one row stand in the places of one call.
_PLAIN: tuple[tuple[Any, ...], ...] = (
    (7, 12, 3, 20),
    ("hello world", "lo", "-", "Ab1"),
    ([3, 1, 2, 5, 1], [5, 2, 9], [1], []),
    (2.5, -1.25, 10.0, 0.5),
    ({"a": 3, "b": 1}, {"b": 2, "c": 5}, {"a": 0}, {}),
    (["b", "a", "cc"], ["a", "x"], ["b"], ["", "z"]),
    (-4, 0, 1, 2),
    ("a,b,,c", ",", "x", "3"),
)
_PLAIN_KINDS = (8, 8, 4, 2)  # of 1, 2, 3, 4 arguments, whose combinations are tried


@dataclass(frozen=True)
class _Program:
    """Holds a program and what calls of its function need.

    Args:
      least, most: number of positional arguments.
      keywords: parameters that may be given by name.
      needed: those that must be.
    """

    item: Item
    entry: str
    least: int
    most: int
    keywords: frozenset[str]
    needed: frozenset[str]
    maker: Maker


def differ(one: Item, other: Item, sandbox: Sandbox) -> bool:
    """Tells whether the functions asked for are seen to do different things.

    The answer does not depend on the order of the two. Returns False if no run can tell.
    """
    first, second = sorted((one, other), key=lambda item: item.id)
    try:
        programs = [_program(item) for item in (first, second)]
    except (SyntaxError, ValueError, KeyError, RecursionError, MemoryError, UserError):
        return False
    if None in programs:
        return False
    pair: tuple[_Program, _Program] = tuple(programs)  # type: ignore[assignment]
    comparison = _Comparison(pair, sandbox)
    if comparison.least > comparison.most or not comparison.needed <= comparison.keywords:
        return True
    return comparison.run()


class _Comparison:
    """Searches for an input that tells two programs apart: plain ones, then likely ones."""

    def __init__(self, pair: tuple[_Program, _Program], sandbox: Sandbox):
        self.pair = pair
        self.sandbox = sandbox
        self.least = max(program.least for program in pair)
        self.most = min(program.most for program in pair)
        self.keywords = pair[0].keywords & pair[1].keywords
        self.needed = pair[0].needed | pair[1].needed
        self.rng = random.Random(0)
        self.tried: set[str] = set()
        self.accepted: list[Arguments] = []  # by one of them
        self.common = 0  # inputs accepted by both
        self.agreed: list[str] = []  # calls with the same outcome of both
        self.stopped = 0

    def run(self) -> bool:
        examples = [one for program in self.pair for one in _arguments_of(program.item.calls)]
        if self._try(examples) or self._try(_plain_inputs(self.least, self.most)):
            return True
        for _ in range(_ROUNDS):
            if self.stopped > _MOST_STOPPED:
                break
            if self._try(self._candidates()):
                return True
        if 2 * self.common < len(self.accepted):
            return True
        one, other = self.pair
        return not (self._ran_through(one, other) and self._ran_through(other, one))

    def _ran_through(self, program: _Program, other: _Program) -> bool:
        """Tells whether calls on which both agree ran each statement that `other` lacks."""
        waiting = differing_statements(program.item.code, other.item.code)
        for start in range(0, len(self.agreed), _ROUND):
            if not waiting:
                break
            calls = self.agreed[start : start + _ROUND]
            results = self._results(program, calls, TRACE_LIMITS)
            traces = [result.trace for result in results if result.trace is not None]
            waiting = [one for one in waiting if not any(map(one.is_seen_in, traces))]
        return not waiting

    def _candidates(self) -> Iterator[Arguments]:
        for number in range(_ROUND):
            maker = self.pair[number % 2].maker
            if self.accepted and self.rng.random() < 0.5:
                base, other = (self.rng.choice(self.accepted) for _ in range(2))
                yield maker.mutate(base, other)
            else:
                yield maker.generate(wild=self.rng.random() < 0.2)

    def _try(self, candidates: Iterable[Arguments]) -> bool:
        """Runs both programs on the new inputs; returns whether one tells them apart."""
        pending: dict[str, Arguments] = {}
        for one in candidates:
            kwargs = {name: one.kwargs[name] for name in one.kwargs if name in self.keywords}
            if self.least <= len(one.args) <= self.most and kwargs.keys() >= self.needed:
                text = call_text(_PROBE, Call((_PROBE,), one.args, kwargs))
                if text is not None and text not in self.tried:
                    pending[text] = Arguments(one.args, kwargs)
        self.tried |= pending.keys()
        results = [self._results(program, list(pending)) for program in self.pair]
        for arguments, pair in zip(pending.values(), zip(*results, strict=True), strict=True):
            if self._note(arguments, pair):
                return True
        outcomes = zip(pending, *results, strict=True)
        self.agreed += [call for call, *pair in outcomes if _agree(*pair)]
        return False

    def _results(
        self, program: _Program, calls: Sequence[str], trace: TraceLimits | None = None
    ) -> list[Result]:
        code = (
            f"{program.item.code.rstrip()}\n\n\n"
            f"def {_PROBE}(*a, **k):\n    return [{program.entry}(*a, **k), a, k]\n"
        )
        return self.sandbox.run_calls(code, calls, trace)

    def _note(self, arguments: Arguments, pair: tuple[Result, ...]) -> bool:
        """Learns from the two runs of an input; returns whether they differ."""
        for program, result in zip(self.pair, pair, strict=True):
            if isinstance(result.outcome, (Raised, Value)):
                raised = result.outcome if isinstance(result.outcome, Raised) else None
                reweigh(program.maker.signature, arguments, raised)
        values = [isinstance(result.outcome, Value) for result in pair]
        self.stopped += any(isinstance(result.outcome, Limit) for result in pair)
        if any(values):
            self.accepted.append(arguments)
        self.common += all(values)
        return all(values) and _unequal(*pair)


def _agree(one: Result, other: Result) -> bool:
    """Tells whether two runs that are not unequal ended in the same way."""
    if isinstance(one.outcome, Raised) and isinstance(other.outcome, Raised):
        return one.outcome.type == other.outcome.type
    return isinstance(one.outcome, Value) and isinstance(other.outcome, Value)


def _unequal(one: Result, other: Result) -> bool:
    """Tells whether two returned values or outputs are known to be different."""
    if one.stdout != other.stdout:
        return True
    if not (one.outcome.exact and other.outcome.exact):  # type: ignore[union-attr]
        return False
    try:
        expected = other.outcome.python()  # type: ignore[union-attr]
    except ValueError:
        return False
    return not is_close(one, expected, absolute=_TOLERANCE, relative=_TOLERANCE)


# ---- one program --------------------------------------------------------------------------------


def _program(item: Item) -> _Program | None:
    """Returns what calls need; None if the function or method asked for cannot be called."""
    tree = ast.parse(item.code)
    found = _function_of(tree, item.entry) or _method_of(tree, item.entry)
    if found is None:
        return None
    called, function = found
    code = item.code
    if called != function.name:  # a method: its signature is read off the function it would be
        function.name = _METHOD
        code = f"{code.rstrip()}\n\n\n{ast.unparse(function)}\n"
    arguments = function.args
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    needed = frozenset(one.arg for one, default in by_name if default is None)
    keywords = frozenset(one.arg for one in (*arguments.args, *arguments.kwonlyargs))
    positional = len(arguments.posonlyargs) + len(arguments.args)
    most = _MOST_ARGUMENTS if arguments.vararg else positional
    least = positional - len(arguments.defaults)
    maker = Maker(infer_signature(code, function.name, item.calls), random.Random(function.name))
    return _Program(item, called, least, most, keywords, needed, maker)


def _function_of(tree: ast.Module, entry: str) -> tuple[str, ast.FunctionDef] | None:
    named = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry]
    function = named[-1] if named else None if entry else last_function(tree)
    return None if function is None else (function.name, function)


def _method_of(tree: ast.Module, entry: str) -> tuple[str, ast.FunctionDef] | None:
    """Returns what to call for a method, and the function that it would be.

    entry: "C.m", "m", or "" for the last one with a name of its own
    """
    for owner, method in reversed(list(methods(tree))):
        names = ("", method.name, f"{owner.name}.{method.name}")
        if entry in names and not method.name.startswith("_"):
            called = call_of(owner, method)
            return None if called is None else (called, as_function(method))
    return None


def _plain_inputs(least: int, most: int) -> Iterator[Arguments]:
    for number in range(max(least, 1), min(most, len(_PLAIN_KINDS)) + 1):
        kinds = _PLAIN[: _PLAIN_KINDS[number - 1]]
        for rows in itertools.product(kinds, repeat=number):
            yield Arguments(tuple(row[place] for place, row in enumerate(rows)))
        if number == 1:
            yield from (Arguments((value,)) for row in kinds for value in row[1:])


def _arguments_of(calls: Sequence[str]) -> Iterator[Arguments]:
    for text in calls:
        try:
            call = parse_call(text)
        except CallError:
            continue
        yield Arguments(call.args, call.kwargs)
