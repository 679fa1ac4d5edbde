"""Judges what is told of one turn of a comprehension: "for 's': `c.isdigit()` is `False`".

A comprehension has no lines for its turns. Its turns are computed from the state before its line.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Any

from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.elements import Element
from data_pipeline.verify.evaluation import Bound, Unknown, bind, evaluate, evaluate_node
from data_pipeline.verify.ordinals import ANY_ORDINAL
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import Verdict
from data_pipeline.verify.values import compare

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_MOST_LINES = 60
_NTH_ELEMENT = re.compile(
    rf"\W*(?:for |next,? |processing )?(?:the )?{ANY_ORDINAL} (?:element|item|character|"
    r"string|number|word|tuple|key|list|value|letter|sublist),? [`'\"\[({\d-]",
    re.I,
)
_MOST_TURNS = 300


@dataclasses.dataclass(frozen=True)
class Turn:
    """Holds one turn of a comprehension.

    nth:   its number from 1, of all turns of the innermost loop
    names: variable -> its text in the turn
    node:  the comprehension
    owner: the function that it is the argument of ("sum"), "" for none
    """

    line: int
    nth: int
    names: dict[str, str]
    state: Bound
    node: ast.AST
    owner: str


class ComprehensionTurns:
    """Judges claims of one run about turns of its comprehensions."""

    def __init__(self, run: Replay):
        self.run = run

    @functools.cached_property
    def turns(self) -> list[Turn]:
        """Returns the turns of all comprehensions, in the order of the run."""
        found: list[Turn] = []
        for here in self.run.occurrences[:_MOST_LINES]:
            statement = self.run.statement_of(here.event)
            for node, owner in _comprehensions(statement):
                state = self.run.state(here.event.frame, here.at - 1)
                for nth, inner in enumerate(_walk(node.generators, state), 1):  # type: ignore[attr-defined]
                    found.append(Turn(here.event.line, nth, inner.names, inner, node, owner))
                    if len(found) >= _MOST_TURNS:
                        return found
        return found

    def taken(self, element: Element, line: int | None) -> list[Turn]:
        """Returns the turns that take up an element, on one line if that is known."""
        return [
            turn
            for turn in self.turns
            if (line is None or turn.line == line)
            and element.nth in (None, turn.nth)
            and any(
                compare(element.value, text) == CONFIRMED
                for name, text in turn.names.items()
                if element.name in (None, name)
            )
        ]

    def misplaced(self, element: Element | None, plain: str) -> str | None:
        """Returns which element is at the number that a sentence tells, if it is another.

        "For the fourth element `i = 2`" is of the only comprehension, if it has no test: a text may
        count the elements that pass one.
        """
        if element is None or not _NTH_ELEMENT.match(plain) or element.value not in plain:
            return None
        turns = [t for t in self.turns if element.name in (None, *t.names)]
        whole = len({id(turn.node) for turn in self.turns}) == 1 and len(turns) < _MOST_TURNS
        if not whole or element.nth is None or not turns or len(turns[0].names) != 1:
            return None
        loops = turns[0].node.generators  # type: ignore[attr-defined]
        numbers = [turn.nth for turn in turns]
        if len(loops) != 1 or loops[0].ifs or numbers != list(range(1, len(turns) + 1)):
            return None  # of several runs of the line, one is meant
        texts = [next(iter(turn.names.values())) for turn in turns]
        if element.nth > len(texts):
            return f"it has {len(texts)} elements"
        real = texts[element.nth - 1]
        return None if compare(element.value, real) == CONFIRMED else real

    def first_and_last(self, name: str) -> tuple[str, str] | None:
        """Returns the first and last value of the variable of the only comprehension with it."""
        turns = [turn for turn in self.turns if name in turn.names]
        if not turns or len(turns) >= _MOST_TURNS or len({id(turn.node) for turn in turns}) != 1:
            return None
        if [turn.nth for turn in turns] != list(range(1, len(turns) + 1)):
            return None
        return turns[0].names[name], turns[-1].names[name]

    def judge(self, worded: WordedClaim, element: Element, line: int | None) -> Verdict | None:
        """Returns the verdict in the turns that take up an element; None if it is not known."""
        turns = self.taken(element, line)
        outcomes = [self._outcome(worded, turn) for turn in turns]
        if not outcomes or None in outcomes:
            return None
        fits = {fit for fit, _ in outcomes}  # type: ignore[misc]
        truth = outcomes[-1][1]  # type: ignore[index]
        if fits == {True}:
            return CONFIRMED, truth
        return (CONTRADICTED if fits == {False} else NOT_CHECKABLE), truth

    def _outcome(self, worded: WordedClaim, turn: Turn) -> tuple[bool, str] | None:
        """Returns whether a claim holds in a turn, with the truth; None if it is not known."""
        try:
            match worded.kind:
                case "kept":
                    kept = _passes(turn)
                    return str(kept) == worded.value, "it is taken" if kept else "it is left out"
                case "gives" | "put" | "refer" if _is_the_turn(worded):
                    return _same(worded.value, _given(turn))
                case "outcome":
                    return _made(worded.value, turn)
                case "branch" if worded.subject is None:
                    return str(_decision(turn)) == worded.value, str(_decision(turn))
                case "refer test":
                    return self._test(
                        (worded.subject or "").replace("{s}", _name(turn)), worded, turn
                    )
                case "test" | "branch":
                    return self._test(worded.subject or "", worded, turn)
                case "value" | "return" if worded.subject is not None:
                    return _same(worded.value, evaluate(worded.subject, turn.state))  # type: ignore[arg-type]
        except Unknown:
            pass
        return None

    def _test(self, code: str, worded: WordedClaim, turn: Turn) -> tuple[bool, str]:
        holds = bool(evaluate(code, turn.state))  # type: ignore[arg-type]
        return str(holds) == worded.value, f"{code} is {holds}"


def _is_the_turn(worded: WordedClaim) -> bool:
    """Returns whether a claim is about what the turn gives: "it becomes 'A'"."""
    return worded.noun is None or worded.noun.word in ("it", "this", "which", "result", "character")


def _comprehensions(statement: ast.stmt | None) -> Iterator[tuple[ast.AST, str]]:
    if statement is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return
    owners = {
        id(node.args[0]): node.func.id if isinstance(node.func, ast.Name) else ""
        for node in own_nodes(statement)
        if isinstance(node, ast.Call) and node.args
    }
    for node in own_nodes(statement):
        if isinstance(node, _COMPREHENSIONS):
            yield node, owners.get(id(node), "")


def _walk(loops: list[ast.comprehension], state: Any) -> Iterator[Bound]:
    """Yields the state of each turn of the innermost loop, also of those left out by its `if`."""
    first, *rest = loops
    try:
        values = evaluate_node(first.iter, state)
    except Unknown:
        return
    for value in values if isinstance(values, list | tuple | str | range | dict) else ():
        try:
            inner = Bound(state, {**getattr(state, "names", {}), **bind(first.target, value)})
            if not rest:
                yield inner
            elif all(evaluate_node(test, inner) for test in first.ifs):  # type: ignore[arg-type]
                yield from _walk(rest, inner)
        except (Unknown, ValueError, TypeError):
            return


def _passes(turn: Turn) -> bool:
    tests = turn.node.generators[-1].ifs  # type: ignore[attr-defined]
    if not tests:
        raise Unknown
    return all(bool(evaluate_node(test, turn.state)) for test in tests)  # type: ignore[arg-type]


def _decision(turn: Turn) -> bool:
    """Returns the outcome of the turn's condition, else of the test that its element makes."""
    if turn.node.generators[-1].ifs:  # type: ignore[attr-defined]
        return _passes(turn)
    element = getattr(turn.node, "elt", None)
    if isinstance(element, ast.IfExp):
        return bool(evaluate_node(element.test, turn.state))  # type: ignore[arg-type]
    value = evaluate_node(element, turn.state) if element is not None else None  # type: ignore[arg-type]
    if not isinstance(value, bool):
        raise Unknown
    return value


def _given(turn: Turn) -> Any:
    """Returns what a turn gives to the whole: its element; to a sum, 0 if it is left out."""
    if not hasattr(turn.node, "elt"):
        raise Unknown
    if turn.node.generators[-1].ifs and not _passes(turn):  # type: ignore[attr-defined]
        if turn.owner == "sum":
            return 0
        raise Unknown
    return evaluate_node(turn.node.elt, turn.state)  # type: ignore[arg-type]


def _made(told: str, turn: Turn) -> tuple[bool, str]:
    """Tells whether a turn, or an operation in it, results in a value."""
    real = _given(turn)
    for node in ast.walk(turn.node.elt):  # type: ignore[attr-defined]
        if isinstance(node, ast.Call | ast.BinOp | ast.Subscript | ast.Compare):
            try:
                if _same(told, evaluate_node(node, turn.state))[0]:  # type: ignore[arg-type]
                    return True, told
            except Unknown:
                continue
    return _same(told, real)


def _same(told: str, real: Any) -> tuple[bool, str]:
    text = render(real)
    return compare(told, text) == CONFIRMED, text


def _name(turn: Turn) -> str:
    """Returns the variable that "it" means in a turn."""
    if len(turn.names) != 1:
        raise Unknown
    return next(iter(turn.names))
