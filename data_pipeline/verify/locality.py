"""Finds texts and containers that a sentence names and its place in the run does not have.

"The character 'a' is checked" of a turn in which another one is looked at: whatever else is right
in the sentence, this value is not the place's. Such a sentence is half read. Numbers are left out:
they count, number and measure.
"""

import ast
import functools
import re
from collections.abc import Iterator

from data_pipeline.source.literals import value_or_none
from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.clause_parts import equations
from data_pipeline.verify.masking import mask_code
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pool, Pools
from data_pipeline.verify.screening import screened
from data_pipeline.verify.turns import body_window, turn_end
from data_pipeline.verify.value_verdicts import dump_expression, dump_node
from data_pipeline.verify.values import compare

_OF_CALL = re.compile(r"\b(?:call(?:ed|s)?|inputs?|arguments?|passed|given|parameters?)\b", re.I)
_EXAMPLES = screened(r"\b(?:such as|e\.g\.|like|for example|for instance|meaning|would)\b", re.I)
_SUPPOSED = re.compile(
    r"\b(?:if|would|when|unless|until|were|not|never|before|after)\b|n't\b", re.I
)
_PART_OF = re.compile(r"\b(?:of|in|from|for|at) (?:the )?(?:\w+ )?$", re.I)
_IS_VALUE = re.compile(
    r"⟦(?P<x>\d+)⟧ (?:=|is|becomes|remains|stays)(?: now| still| then)? ⟦(?P<v>\d+)⟧"
    r"(?! ?[-+*/%<>=(\[.])",
    re.I,
)
_MOST_EVENTS = 200
_MOST_LINES = 60
_MOST_PARTS = 60


class Locality:
    """Knows what the lines of one run read, compute and leave behind."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools
        self._known: dict[tuple[int, int, bool], Pool] = {}

    def strangers(self, plain: str, place: Place) -> Iterator[str]:
        """Yields each text or container of a sentence that its place does not have."""
        here = place.occurrence
        if here is None or not (place.sure or place.window):
            return
        _, atoms = mask_code(plain, frozenset())
        told = [atom.text for atom in atoms if atom.literal]
        told = [text for text in told if text[:1] in "'\"[({" and len(text) > 2]
        if not told:
            return
        pool = self._pool(here, place)
        given = self.pools.arguments if _OF_CALL.search(plain) else Pool()
        yield from (text for text in told if not pool.has(text) and not given.has(text))

    def unborne(self, plain: str, place: Place) -> Iterator[str]:
        """Yields each "`x` = 3" and "`x` is 3" of a variable that has no such value there."""
        here = place.occurrence
        if here is None or not (place.sure or place.window):
            return
        supposed = _SUPPOSED.search(plain)
        if supposed is not None and supposed[0].lower() not in ("before", "after"):
            return
        text, atoms = mask_code(plain, frozenset())
        pairs = [(c.subject or "", c.value) for atom in atoms for c in equations(atom)]
        for found in _IS_VALUE.finditer(text):
            if _PART_OF.search(text[: found.start()]):
                continue  # "the length of `x` is 3"
            name, value = atoms[int(found["x"])], atoms[int(found["v"])]
            if value.literal:
                pairs.append((name.text, value.text))
        for name, value in pairs:
            if name in self.run.names and not (
                self._is_ever_held(name, value)
                if supposed
                else self._is_held(name, value, here, place)
            ):
                yield f"{name} = {value}"

    def _is_ever_held(self, name: str, value: str) -> bool:
        """Returns whether a variable has a value at any time."""
        texts = (event.changed.get(name) for event in self.run.events)
        known = dict.fromkeys(text for text in texts if text is not None)
        return any(compare(value, text) == CONFIRMED for text in known)

    def _is_held(self, name: str, value: str, here: Occurrence, place: Place) -> bool:
        """Returns whether a variable has a value in a turn, or from a line to its turn's end."""
        first, last = here.at, turn_end(self.run, here)
        if place.window is not None and not place.sure:
            first, last = place.window
        frames = {here.event.frame} | {e.frame for e in self.run.events[first : last + 1]}
        known = [
            text for frame in frames for at in range(first - 1, min(last + 1, first + _MOST_EVENTS))
            if (text := self.run.value(frame, name, at)) is not None
        ]  # fmt: skip
        return not known or any(compare(value, text) == CONFIRMED for text in dict.fromkeys(known))

    def nowhere(self, plain: str) -> Iterator[str]:
        """Yields each longer text and container of a sentence that the whole run does not have."""
        if _EXAMPLES.search(plain) or self.run.trace.truncated:
            return
        _, atoms = mask_code(plain, frozenset())
        known = self.pools.everything
        for atom in atoms:
            longer = atom.literal and atom.text[:1] in "'\"[({" and len(atom.text) > 6
            if longer and not known.has(atom.text):
                yield atom.text

    def foreign(self, line: str) -> Iterator[str]:
        """Yields each text and formula that a line on the program names and the code has not."""
        if _EXAMPLES.search(line):
            return
        _, atoms = mask_code(line, frozenset())
        for atom in atoms:
            if atom.literal:
                if atom.text[:1] in "'\"" and not self._constants.has(atom.text):
                    yield atom.text
            elif _is_formula(atom.text) and dump_expression(atom.text) not in self._formulas:
                yield atom.text

    @functools.cached_property
    def _constants(self) -> Pool:
        pool = Pool()
        for node in self.run.nodes:
            if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set):
                try:
                    pool.add([render(ast.literal_eval(node))])
                except (ValueError, TypeError):
                    continue
        return pool

    @functools.cached_property
    def _formulas(self) -> frozenset[str]:
        return frozenset(dump_node(node) for node in self.run.nodes if isinstance(node, ast.BinOp))

    def _pool(self, here: Occurrence, place: Place) -> Pool:
        if place.window is not None and not place.sure:
            first, last = place.window
        else:
            _, last = body_window(self.run, here) or (here.at, here.end - 1)
            first, last = here.at, min(last, turn_end(self.run, here))
        key = first, last, place.sure
        if key not in self._known:
            lines = [one for one in self.run.occurrences if first <= one.at <= last]
            before = [one for one in self.run.occurrences if one.at < first][-1:]
            pool = Pool()
            for one in (*before, *lines[:_MOST_LINES]):
                self._add(pool, one)
            if self.run.trace.result is not None:
                pool.add([self.run.trace.result])
            self._known[key] = pool
        return self._known[key]

    def _add(self, pool: Pool, here: Occurrence) -> None:
        """Adds what a line computes, the variables it reads, and the parts of containers."""
        statement = self.run.statement_of(here.event)
        iterated: set[ast.AST] = set()
        if isinstance(statement, ast.For):  # as a whole: no turn is about all of its elements
            iterated = set(ast.walk(statement.iter))
        own = Pool(dict(self.pools.results(here).texts))
        for node in nodes_of(statement) if statement is not None else ():
            if isinstance(node, ast.Constant):
                pool.add([render(node.value)])
            elif isinstance(node, ast.Name):
                for at in (here.at - 1, here.at, here.end - 1):
                    text = self.run.value(here.event.frame, node.id, at)
                    if text is not None:
                        (pool if node in iterated else own).add([text])
        for text in list(own.texts)[-200:]:
            pool.add([text, *_parts_of(text)])


def _is_formula(code: str) -> bool:
    """Returns whether code computes with names and values: `n // 2 + 1`, not "key-value"."""
    if dump_expression(code) is None:
        return False
    nodes = list(ast.walk(ast.parse(code.strip(), mode="eval")))
    kinds = {type(node) for node in nodes}
    return ast.BinOp in kinds and ast.Name in kinds and ast.Constant in kinds


def _parts_of(text: str) -> Iterator[str]:
    """Yields keys, values and elements of a container, none of a text."""
    if text[:1] not in "[({" or len(text) > 2000:
        return
    value = value_or_none(text)
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return  # "(1+2j)"
    parts = [*value, *value.values()] if isinstance(value, dict) else list(value)
    for part in parts[:_MOST_PARTS]:
        yield render(part)
