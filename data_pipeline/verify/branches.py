"""Finds which part of a program runs under a condition that a sentence states."""

import ast
from collections.abc import Iterator

from data_pipeline.verify.clauses import Phrase
from data_pipeline.verify.conditions import Condition, Joined, compare_conditions, read_test
from data_pipeline.verify.phrases import Code, phrase_fits

Region = frozenset[ast.AST]


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
        try:
            node = ast.parse(source, mode="eval").body
        except SyntaxError:
            return None
        if not phrase and source:
            return True
        return phrase_fits(self.code, phrase, node)

    def regions(self, said: Condition) -> list[tuple[Region, Region]]:
        """Returns (what runs if the condition holds, what runs if not) for each test it matches."""
        found = []
        for real, _, yes, no in self.found:
            match compare_conditions(said, real, self.fits):
                case "same":
                    found.append((_nodes(yes), _nodes(no)))
                case "opposite":
                    found.append((_nodes(no), _nodes(yes)))
        return found

    def otherwise(self) -> list[tuple[Region, Region]]:
        """Returns the regions of an "otherwise" whose condition is not told."""
        return [(_nodes(no), _nodes(yes)) for _, _, yes, no in self.found]

    def states(self, said: Condition) -> bool:
        """Tells whether the program tests this condition, or it is one operand of a test."""
        for real, *_ in self.found:
            parts = [real, *(real.parts if isinstance(real, Joined) else ())]
            if any(compare_conditions(said, part, self.fits) == "same" for part in parts):
                return True
        return False


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def _nodes(roots: list[ast.AST]) -> Region:
    return frozenset(node for root in roots for node in ast.walk(root))
