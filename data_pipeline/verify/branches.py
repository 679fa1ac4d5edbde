"""Finds which part of a program runs under a condition that a sentence states.

Compares the conditions of sentences with the tests of the program for that.
"""

import ast
import re
from collections.abc import Callable, Iterator

from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.conditions import Condition, Joined, Source, Test, read_test
from data_pipeline.verify.lexicon import Phrase
from data_pipeline.verify.phrases import Code, atom_in, phrase_fits

Region = frozenset[ast.AST]
Fit = Callable[[Phrase, str], bool | None]


class Tests:
    """Holds the tests of a program with the regions that run if they hold, or do not."""

    def __init__(self, code: Code):
        self.code = code
        self.found: list[tuple[Condition, ast.expr, list[ast.AST], list[ast.AST]]] = []
        for node in ast.walk(code.tree):
            for test, yes, no in self._branches(node):
                self.found.append((read_test(test), test, yes, no))

    def _branches(self, node: ast.AST) -> Iterator[tuple[ast.expr, list[ast.AST], list[ast.AST]]]:
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                after = self._following(node)
                yes = [*body] if _leaves(body) else [*body, *after]
                yield test, yes, [*orelse] if _leaves(orelse) else [*orelse, *after]
            case ast.While(test=test, body=body):
                yield test, [*body], self._following(node)
            case ast.IfExp(test=test, body=one, orelse=two):
                yield test, [one], [two]
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield test, [self.code.parents[node]], []

    def _following(self, node: ast.AST) -> list[ast.AST]:
        """Returns the statements that run after the node, out to the end of its function."""
        found: list[ast.AST] = []
        while not isinstance(node, ast.FunctionDef | ast.Module):
            parent = self.code.parents.get(node)
            if parent is None:
                break
            for field in ("body", "orelse", "finalbody"):
                block = getattr(parent, field, None)
                if isinstance(block, list) and node in block:
                    found += block[block.index(node) + 1 :]
            node = parent
        return found

    def fits(self, phrase: Phrase, source: str) -> bool | None:
        """Tells whether a phrase of a condition speaks of a piece of the program's test."""
        node = parse_code(source)
        if node is None:
            return None
        if not phrase and source:
            return True
        if not set(phrase.words) - _DETERMINERS and not self._stands_in(phrase, node):
            return None  # a name alone is not what another name is made from
        return phrase_fits(self.code, phrase, node)

    def _stands_in(self, phrase: Phrase, node: ast.AST) -> bool:
        """Tells whether code stands in an expression, or is all that a name in it is set to."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        made = [value for name in names for value in self.code.definitions.get(name, ())]
        return all(
            atom_in(atom, node) or any(ast.unparse(value) == atom for value in made)
            for atom in phrase.atoms
        )

    def regions(self, said: Condition) -> list[tuple[Region, Region]]:
        """Returns (what runs if the condition holds, what runs if not) for each test it matches."""
        found = []
        for real, _, yes, no in self.found:
            match compare_conditions(said, real, self.fits):
                case "same":
                    found.append((_nodes(yes), _nodes(no)))
                case "opposite":
                    found.append((_nodes(no), _nodes(yes)))
                case None if isinstance(real, Joined) and self._decides(said, real):
                    found.append((_nodes(yes if real.operator == "or" else no), frozenset()))
        return found

    def _decides(self, said: Condition, real: Joined) -> bool:
        """Tells whether a condition alone decides a test joined by `or` or, denied, by `and`."""
        wanted = "same" if real.operator == "or" else "opposite"
        return any(compare_conditions(said, part, self.fits) == wanted for part in real.parts)

    def otherwise(self) -> list[tuple[Region, Region]]:
        """Returns the regions of an "otherwise" whose condition is not told."""
        return [(_nodes(no), _nodes(yes)) for _, _, yes, no in self.found]

    def after_loops(self) -> list[tuple[Region, Region]]:
        """Returns the regions of what runs after each loop, and in it."""
        loops = [n for n in ast.walk(self.code.tree) if isinstance(n, ast.For | ast.While)]
        return [(_nodes(self._following(loop)), _nodes(loop.body)) for loop in loops]

    def states(self, said: Condition, within: Region | None = None) -> bool:
        """Tells whether the program tests this condition or its opposite, or as an operand."""
        for real, node, *_ in self.found:
            if within is not None and node not in within:
                continue
            parts = [real, *(real.parts if isinstance(real, Joined) else ())]
            if any(compare_conditions(said, part, self.fits) for part in parts):
                return True
        return False


_DETERMINERS = frozenset(("the", "a", "an", "value", "variable", "of"))


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def _nodes(roots: list[ast.AST]) -> Region:
    return frozenset(node for root in roots for node in ast.walk(root))


_LIKE = ({"isdigit", "isnumeric", "isdecimal"},)


def compare_conditions(said: Condition, real: Condition, fits: Fit) -> str | None:
    """Returns "same" or "opposite" if both surely speak of one test, else None."""
    if isinstance(said, Joined) and isinstance(real, Joined):
        if _join_matches(said, real, fits):
            return "same"
        return "opposite" if _join_matches(said.negated(), real, fits) else None
    if isinstance(said, Joined) or isinstance(real, Joined):
        return None
    said, real = _aligned(said, real)
    if said.name != real.name and not any({said.name, real.name} <= like for like in _LIKE):
        return None
    if said.name == "==" and _both_fit(said.argument, said.subject, real, fits):
        return "same" if said.positive == real.positive else "opposite"
    if not _both_fit(said.subject, said.argument, real, fits):
        return None
    return "same" if said.positive == real.positive else "opposite"


def _join_matches(said: Joined, real: Joined, fits: Fit) -> bool:
    if said.operator != real.operator or len(said.parts) != len(real.parts):
        return False
    left = list(real.parts)
    for part in said.parts:
        found = next((r for r in left if compare_conditions(part, r, fits) == "same"), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _aligned(said: Test, real: Test) -> tuple[Test, Test]:
    """Brings "the length of x is 0" and "x == 'a b'" style pairs to one predicate."""
    if said.name == "==" and real.name == "empty" and isinstance(said.argument, Phrase):
        about_length = isinstance(said.subject, Phrase) and "length" in said.subject.words
        if about_length and said.argument.atoms == ("0",):
            return Test("empty", said.subject, None, said.positive), real
    zero, other = said.subject, said.argument
    if said.name == "<" and real.name == "empty" and isinstance(other, Phrase):  # "0 < length of x"
        about_length = bool({"length", "size"} & set(other.words))
        if about_length and isinstance(zero, Phrase) and zero.atoms == ("0",):
            return Test("empty", other, None, not said.positive), real
    return said, real


def _both_fit(one: Source | None, two: Source | None, real: Test, fits: Fit) -> bool:
    return _fits_source(one, real.subject, fits) and _fits_source(two, real.argument, fits)


def _fits_source(said: Source | None, real: Source | None, fits: Fit) -> bool:
    if real is None or said is None:
        return real is None and said is None
    if isinstance(said, str):
        return _squeeze(said) == _squeeze(str(real))
    return fits(said, str(real)) is True


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text).replace('"', "'")
