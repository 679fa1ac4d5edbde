"""Collects the values that a run computes, to look up a value whose subject is only hinted at.

"The resulting string is 'ab'" is confirmed if the place computes 'ab', and contradicted only if no
line of the whole run does, and all that the run computed is known.
"""

import ast
import dataclasses
import functools
from collections.abc import Iterable, Iterator

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.values import compare

_MOST_OCCURRENCES = 400
_MOST_PARTS = 60
_LEAVES = (ast.Constant, ast.Name, ast.Lambda, ast.Slice, ast.Starred, ast.FormattedValue)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclasses.dataclass
class Pool:
    """Holds values as texts, in order; `complete` if nothing that was computed is missing."""

    texts: dict[str, None] = dataclasses.field(default_factory=dict)
    complete: bool = True

    def add(self, texts: Iterable[str]) -> None:
        self.texts.update(dict.fromkeys(texts))

    def has(self, value: str) -> bool:
        own = canonical(value)
        if own in self.texts or value in self.texts:
            return True
        if own[:1] not in "{s" and "..." not in value and "…" not in value:
            return any("…" in text and compare(value, text) == CONFIRMED for text in self.texts)
        return any(compare(value, text) == CONFIRMED for text in self.texts)


class Pools:
    """Gives the values of one run, by place."""

    def __init__(self, run: Replay):
        self.run = run
        self._results: dict[int, Pool] = {}

    def results(self, here: Occurrence) -> Pool:
        """Returns what one execution of a line computes: changes, parts, and its end."""
        if here.at not in self._results:
            self._results[here.at] = self._compute(here)
        return self._results[here.at]

    def _compute(self, here: Occurrence) -> Pool:
        pool = Pool()
        pool.add(here.event.changed.values())
        end = self.run.line_end(here)
        if end is not None and end.value is not None:
            pool.add([end.value])
        for event in self.run.events[here.at + 1 : min(here.end + 1, here.at + 400)]:
            if event.kind in ("return", "yield") and event.value is not None:
                pool.add([event.value])
            elif event.kind == "step":
                pool.add(event.changed.values())
        if here.event.branch is not None:
            pool.add([str(here.event.branch)])
        before = self.run.state(here.event.frame, here.at - 1)
        for part, whole in _parts(self.run.statement_of(here.event)):
            try:
                pool.add([render(evaluate_node(part, before))])
            except (Unknown, ValueError, RecursionError):
                silent = whole or isinstance(part, (*_COMPREHENSIONS, ast.Attribute))
                pool.complete = pool.complete and silent  # an attribute here is a method
        return pool

    def locals(self, here: Occurrence) -> Pool:
        """Returns the values of the variables around one execution of a line."""
        pool = Pool()
        moments = self.run.moments
        frame = here.event.frame
        for at in (here.at - 1, here.at, here.end - 1):
            pool.add(self._variables(frame, at, moments).values())
        return pool

    def held(self, frame: int, at: int) -> Pool:
        """Returns the values that the variables of a frame have after an event."""
        return Pool(dict.fromkeys(self._variables(frame, at, self.run.moments).values()))

    def _variables(self, frame: int, at: int, moments) -> dict[str, str]:
        while at >= 0 and moments[at].event.frame != frame:
            at -= 1
        return moments[at].after if at >= 0 else {}

    def window(self, frame: int, window: tuple[int, int]) -> Pool:
        """Returns what is computed and held within a part of the run."""
        pool = Pool()
        for here in self.run.occurrences:
            if window[0] <= here.at <= window[1]:
                pool.add(self.results(here).texts)
                pool.complete = pool.complete and self.results(here).complete
        pool.add(self._variables(frame, window[0] - 1, self.run.moments).values())
        pool.add(self._variables(frame, window[1], self.run.moments).values())
        return pool

    @functools.cached_property
    def arguments(self) -> Pool:
        """Returns the arguments of all calls, as they were at the call."""
        pool = Pool()
        for here in self.run.entries:
            pool.add(here.event.changed.values())
        first = next((e for e in self.run.events if e.kind == "call"), None)
        if first is not None and first.changed:
            values = list(first.changed.values())
            pool.add(values)
            if len(values) > 1:
                pool.add([f"({', '.join(values)})"])
        return pool

    @functools.cached_property
    def computed(self) -> Pool:
        """Returns what the whole run computes: results, changes and elements of neither."""
        pool = Pool()
        occurrences = self.run.occurrences
        pool.complete = len(occurrences) <= _MOST_OCCURRENCES and not self.run.trace.truncated
        for here in occurrences[:_MOST_OCCURRENCES]:
            own = self.results(here)
            pool.add(own.texts)
            pool.complete = pool.complete and own.complete
        if self.run.trace.result is not None:
            pool.add([self.run.trace.result])
        return pool

    @functools.cached_property
    def everything(self) -> Pool:
        """Returns all that the run computes or holds, with the elements of it, and constants."""
        pool = Pool(complete=self.computed.complete)
        pool.add(self.computed.texts)
        pool.add(self.arguments.texts)
        for text in list(pool.texts):
            pool.add(_elements(text))
        for node in self.run.nodes:
            if isinstance(node, ast.Constant):
                pool.add([render(node.value)])
        return pool


def _parts(statement: ast.stmt | None) -> Iterator[tuple[ast.expr, bool]]:
    """Yields (part, whether it is the whole value) of a statement's own expressions."""
    wholes: list[ast.expr] = []
    match statement:
        case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
            wholes = [test]
        case ast.For(iter=iterated):
            wholes = [iterated]
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
            wholes = [value, ast.BinOp(ast.Name(name, ast.Load()), op, value)]
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.Return(value=value):
            wholes = [value] if value is not None else []
        case ast.Expr(value=value):
            wholes = [value]
    count = 0
    for whole in wholes:
        for part in _walk(whole):
            count += 1
            if count > _MOST_PARTS:
                return
            yield part, part is whole


def _walk(node: ast.AST) -> Iterator[ast.expr]:
    """Yields the parts of an expression that are computed in its own state."""
    inner = isinstance(node, ast.expr) and not isinstance(node, _LEAVES)
    if inner and not isinstance(getattr(node, "ctx", None), ast.Store):
        yield node
    if isinstance(node, _COMPREHENSIONS):
        yield from _walk(node.generators[0].iter)
    if isinstance(node, (*_COMPREHENSIONS, ast.Lambda)):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Call) and child is node.func and isinstance(child, ast.Attribute):
            yield from _walk(child.value)
        else:
            yield from _walk(child)


def _elements(text: str) -> Iterator[str]:
    """Yields the elements of a container, and keys and values of a dictionary."""
    if len(text) > 4000:
        return
    try:
        value = parse_literal(text)
    except (LiteralError, ValueError):
        return
    parts: list[object] = []
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values(), *value.items()]
    elif isinstance(value, str | list | tuple | set | frozenset):
        parts = list(value)
    if isinstance(value, list | str | tuple | dict | set):
        parts.append(len(value))
    for part in parts[:300]:
        yield render(part)


@functools.lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """Returns the text that the tracer gives to the value of a literal."""
    try:
        return render(parse_literal(text.strip()))
    except (LiteralError, ValueError, RecursionError):
        return text.strip()
