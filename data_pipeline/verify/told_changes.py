"""Finds changes that a line tells of a variable to which they never happen.

"`n` is decremented" of one that only grows, "3 is added to `x`" of the element of a loop, "the sum
of `s`" of a text: the value told beside it may be right.
"""

import ast
import functools
import itertools
import re
from collections.abc import Iterator

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.masking import mask_code, spell

_MOST_STATES = 200
_SUPPOSED = re.compile(
    r"\b(?:if|would|could|may|might|not|never|either|or|each time)\b|n't\b", re.I
)
_STEPS = re.compile(  # "`i` is incremented", "decrements `n`"
    r"⟦(?P<x>\d+)⟧ (?:is|gets) (?:then |now |again |also )?"
    r"(?:(?P<up>incremented|increased|raised)|decremented|decreased|reduced|lowered)\b|"
    r"\b(?:(?P<more>increments|increases)|decrements|decreases|reduces) (?:the )?(?:\w+ )?"
    r"⟦(?P<y>\d+)⟧(?! ?[\[(.])",
    re.I,
)
_SUM_OF = re.compile(r"\bsum of (?:the )?⟦(?P<x>\d+)⟧(?! ?[-+*/%=(\[]|\.\w| and)", re.I)
_PUTS = re.compile(r"append|insert|add", re.I)
_PUT_TO = re.compile(
    r"\b(?:append|insert|add)(?:s|ed|ing)? (?:[^.;]*? )?(?:to|into) (?:the )?(?:list |end of )?"
    r"⟦(?P<x>\d+)⟧(?! ?[-+*/%=(\[]|\.\w)",
    re.I,
)


class ToldChanges:
    """Knows how the variables of one run change."""

    def __init__(self, run: Replay):
        self.run = run

    def denied(self, line: str) -> Iterator[tuple[str, str | None]]:
        """Yields what is told to happen to a variable that never happens to it.

        Examples: "`n` is decremented" of one that only grows, "3 is added to `x`" of the element of
        a loop, "the sum of `s`" of a text.
        """
        text, atoms = mask_code(line, frozenset())
        for found in _STEPS.finditer(text) if "cre" in text or "educe" in text else ():
            name, steps = self._steps(atoms[int(found["x"] or found["y"])].text)
            up = bool(found["up"] or found["more"])
            if steps and not any(step > 0 if up else step < 0 for step in steps):
                sure = not _SUPPOSED.search(text) and not self.run.trace.truncated
                truth = f"{name} only {'falls' if up else 'grows'}"
                yield spell(found[0], atoms), truth if sure else None
        for found in _SUM_OF.finditer(text) if "sum of" in text else ():
            if self._is_text(atoms[int(found["x"])].text):
                yield spell(found[0], atoms), None
        for found in _PUT_TO.finditer(text) if self._elements and _PUTS.search(text) else ():
            if atoms[int(found["x"])].text in self._elements:
                yield spell(found[0], atoms), None

    def _steps(self, name: str) -> tuple[str, list[float]]:
        """Returns the differences between the numbers that a variable has, one after the other."""
        steps: list[float] = []
        for _, known in itertools.groupby(self._known(name), key=lambda one: one[0]):
            values = [value_or_none(text) for _, text in known]
            if any(type(one) not in (int, float) for one in values):
                return name, []
            steps += [b - a for a, b in itertools.pairwise(values) if a != b]
        return name, steps

    def _is_text(self, name: str) -> bool:
        """Tells whether a variable only ever holds texts."""
        texts = [text for _, text in self._known(name)]
        return bool(texts) and all(text[:1] in "'\"" for text in texts)

    def _known(self, name: str) -> Iterator[tuple[int, str]]:
        """Yields (frame, value) for the values of a variable, in order."""
        for frame in list(self.run.frames)[:50] if name in self.run.names else ():
            for text in self.run.history(frame, name)[1][:_MOST_STATES]:
                if text is not None:
                    yield frame, text

    @functools.cached_property
    def _elements(self) -> frozenset[str]:
        """Returns the variables of loops that nothing else changes or calls a method of."""
        bound = [n.target for n in self.run.nodes if isinstance(n, ast.For | ast.comprehension)]
        found = {n.id for one in bound for n in ast.walk(one) if isinstance(n, ast.Name)}
        for node in self.run.nodes:
            match node:
                case (
                    ast.Attribute(value=ast.Name(id=name)) | ast.Subscript(value=ast.Name(id=name))
                ):
                    found.discard(name)
                case ast.AugAssign(target=ast.Name(id=name)):
                    found.discard(name)
                case ast.Assign(targets=targets):
                    found -= {getattr(target, "id", "") for target in targets}
                case ast.arg(arg=name):
                    found.discard(name)
        return frozenset(found)
