"""Judges what a step says that a comprehension makes: "the comprehension results in [1, 4]"."""

import ast
import re
from collections.abc import Iterator

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, UNREAD, Claim
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.places import Place
from data_pipeline.verify.value_verdicts import ValueVerdicts, Verdict
from data_pipeline.verify.values import compare

_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp
_MOST_LINES = 200
_NAMED = r"(?:list|set|dict|dictionary)"
_MAKES = re.compile(
    rf"^(?:thus |so |then |therefore |finally )?,? ?(?:the|this) (?:{_NAMED} )?comprehension\b"
    r"(?P<code>.*?) (?:then |therefore |thus |will )?(?:results? in|evaluates to|produces?|gives?|"
    rf"creates?|generates?|returns?|becomes)(?: the| a)?(?: new| following| resulting)?"
    rf"(?: {_NAMED})?:? `?(?P<v>[\[{{].*[\]}}])`?\W*$",
    re.I | re.S,
)
_FROM = re.compile(
    rf"^(?:thus |so |then |therefore |finally )?,? ?the result(?:ing)? (?:{_NAMED} |string )?"
    rf"(?:from|of) (?:the|this) (?:{_NAMED} )?comprehension (?:is|becomes|will be)"
    r"(?: the (?:list|string))?:? `?(?P<v>[\[{'\"].*[\]}'\"])`?\W*$",
    re.I | re.S,
)


class ToldResults:
    """Judges what one monologue says of the results of comprehensions."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def judged(self, claims: list[Claim], number: int, plain: str, place: Place) -> list[Claim]:
        """Returns the claims of a sentence with the result that it tells judged."""
        found = _MAKES.match(plain) or _FROM.match(plain)
        if found is None or any(c.verdict not in (CONFIRMED, NOT_CHECKABLE) for c in claims):
            return claims
        told = found["v"]
        verdict = self._judge(told, place) if is_literal(told) else None
        if verdict is None:
            return claims
        kept = [claim for claim in claims if claim.kind != UNREAD or claim.text not in plain]
        return [*kept, Claim(number, "expression", plain[:500], *verdict)]

    def _judge(self, told: str, place: Place) -> Verdict | None:
        """Judges a value of the one comprehension that can be meant, or of the call around it."""
        made = list(self._made(place))
        if len({id(node) for node, _ in made}) != 1:
            return None
        node, _ = made[0]
        own = {self.values.text_at(ast.unparse(node), h.event.frame, h.at - 1) for _, h in made}
        real = own.pop() if len(own) == 1 else None
        if real is None:
            return None
        if compare(told, real) == CONFIRMED:
            return CONFIRMED, real
        around = self._around(node, made[0][1])
        if around is not None and compare(told, around) == CONFIRMED:
            return CONFIRMED, around
        return (CONTRADICTED, real) if told[:1] == real[:1] else None

    def _around(self, node: ast.AST, here: Occurrence) -> str | None:
        """Returns the value of the call that a comprehension is the only argument of."""
        statement = self.run.statement_of(here.event)
        for part in own_nodes(statement) if statement is not None else ():
            if isinstance(part, ast.Call) and part.args == [node]:
                return self.values.text_at(ast.unparse(part), here.event.frame, here.at - 1)
        return None

    def _made(self, place: Place) -> Iterator[tuple[ast.AST, Occurrence]]:
        """Yields the comprehensions that run at a place, or anywhere, inside no other."""
        for here in self._lines(place):
            statement = self.run.statement_of(here.event)
            nodes = list(own_nodes(statement)) if statement is not None else []
            inner = {
                part for node in nodes if isinstance(node, _COMPREHENSIONS)
                for part in ast.walk(node) if part is not node
            }  # fmt: skip
            yield from (
                (node, here) for node in nodes
                if isinstance(node, _COMPREHENSIONS) and node not in inner
            )  # fmt: skip

    def _lines(self, place: Place) -> list[Occurrence]:
        here = place.occurrence
        if here is not None and place.sure:
            return [here]
        first, last = place.window or (0, len(self.run.events))
        return [one for one in self.run.occurrences if first <= one.at <= last][:_MOST_LINES]
