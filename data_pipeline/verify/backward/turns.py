"""Computes the turns of a simple `for` loop for given arguments, without running the program.

A loop is simple if its iterable depends on arguments only and the function rebinds none of them.
"""

import ast
import functools
import itertools
from typing import Any

from data_pipeline.verify.backward.trials import Trial
from data_pipeline.verify.evaluation import MAX_TURNS, Unknown, evaluate_node
from data_pipeline.verify.phrases import Code

_LEAVES = ast.Break | ast.Return | ast.Raise


class TurnValues:
    """Answers questions about the loops of one function."""

    def __init__(self, code: Code):
        self.function = code.function
        body = list(ast.walk(code.function)) if code.function else []
        stored = [n.id for n in body if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        self.stored = stored
        self.fixed = {name for name in code.parameters if name not in stored}
        self.loops = {
            name.id: loop for loop in body if isinstance(loop, ast.For)
            for name in ast.walk(loop.target) if isinstance(name, ast.Name)
            if stored.count(name.id) == 1 and not _inside_loop(loop, body)
        }  # fmt: skip

    def is_fixed(self, code: str, others: set[str]) -> bool:
        """Tells whether code reads arguments that never change, and `others`, alone."""
        try:
            tree = ast.parse(code.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        known = self.fixed - self._mutated | others
        return all(
            node.id in known or node.id in _FUNCTIONS
            for node in ast.walk(tree) if isinstance(node, ast.Name)
        )  # fmt: skip

    @functools.cached_property
    def _mutated(self) -> set[str]:
        """The arguments that a method call, an item's assignment or a deletion may change."""
        found = set()
        for node in ast.walk(self.function) if self.function else ():
            match node:
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                    found.add(name)
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                    found |= {name} if method in _CHANGING else set()
                case ast.Name(id=name, ctx=ast.Del()):
                    found.add(name)
        return found

    def of(self, name: str, trial: Trial) -> list[Any] | None:
        """Returns the values that a loop gives a variable; None if they are unknown."""
        loop = self.loops.get(name)
        rows = self._rows(loop, trial) if loop else None
        if loop is None or rows is None:
            return None
        if isinstance(loop.target, ast.Name):
            return rows
        match loop.target:
            case ast.Tuple(elts=elements) if all(isinstance(e, ast.Name) for e in elements):
                place = [e.id for e in elements if isinstance(e, ast.Name)].index(name)
                try:
                    return [tuple(row)[place] for row in rows]
                except (TypeError, IndexError):
                    return None
        return None

    def _rows(self, loop: ast.For, trial: Trial) -> list[Any] | None:
        names = {n.id for n in ast.walk(loop.iter) if isinstance(n, ast.Name)}
        if not names <= (self.fixed - self._mutated) | _FUNCTIONS:
            return None
        try:
            return list(itertools.islice(_iterate(loop.iter, trial), MAX_TURNS))
        except (Unknown, TypeError, ValueError):
            return None

    def item(self, name: str) -> str | None:
        """Returns the code of the character that a turn is about, such as `text[i]`."""
        loop = self.loops.get(name)
        if loop is None:
            return None
        found = {
            ast.unparse(node) for node in ast.walk(loop)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Name) and node.slice.id == name
            and node.value.id in self.fixed
        }  # fmt: skip
        return found.pop() if len(found) == 1 else None

    def is_complete(self, name: str) -> bool:
        """Tells whether the loop surely makes all its turns: nothing leaves it or skips it."""
        loop = self.loops.get(name)
        if loop is None or self.function is None or loop not in self.function.body:
            return False
        before = self.function.body[: self.function.body.index(loop)]
        walked = itertools.chain(ast.walk(loop), *map(ast.walk, before))
        return not any(isinstance(node, _LEAVES) for node in walked)

    @functools.cached_property
    def _sum(self) -> tuple[ast.AugAssign, str] | None:
        """The only `+=` of a function that returns its target at its end, and the target."""
        body = self.function.body if self.function else []
        inner = [node for statement in body for node in ast.walk(statement)]
        added = [node for node in inner if isinstance(node, ast.AugAssign)]
        returned = [node for node in inner if isinstance(node, ast.Return)]
        match added, returned, body[-1:]:
            case [ast.AugAssign(target=ast.Name(id=name), op=ast.Add())], [one], [
                ast.Return(value=ast.Name(id=same)) as last
            ] if one is last and name == same:
                return added[0], name
        return None

    @property
    def adds_up(self) -> bool:
        """Tells whether the function returns a sum that one statement makes."""
        return self._sum is not None

    def terms(self, trial: Trial) -> tuple[list[str] | None, str]:
        """Returns what a loop adds, turn by turn, and the start; None for an unknown sum."""
        found = self._sum
        for name, loop in self.loops.items():
            if found and found[0] in loop.body and self.is_complete(name):
                return self._added(name, loop, found[0], trial), "0"
        return None, "0"

    def _added(
        self, name: str, loop: ast.For, adding: ast.AugAssign, trial: Trial
    ) -> list[str] | None:
        names = {n.id for n in ast.walk(adding.value) if isinstance(n, ast.Name)}
        values = self.of(name, trial) if isinstance(loop.target, ast.Name) else None
        if values is None or not names <= (self.fixed - self._mutated) | {name} | _FUNCTIONS:
            return None
        try:
            return [repr(evaluate_node(adding.value, trial.with_value(name, v).state))
                    for v in values]  # fmt: skip
        except Unknown:
            return None


_FUNCTIONS = {
    "range", "len", "enumerate", "str", "int", "min", "max", "sum", "abs", "sorted", "list",
    "set", "ord", "chr", "bool", "tuple", "reversed", "zip",
}  # fmt: skip
_CHANGING = {
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "add",
    "discard", "popitem", "setdefault",
}  # fmt: skip


def _inside_loop(loop: ast.For, body: list[ast.AST]) -> bool:
    outer = (node for node in body if isinstance(node, ast.For | ast.While) and node is not loop)
    return any(loop in ast.walk(node) for node in outer)


def _iterate(node: ast.expr, trial: Trial) -> Any:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=arguments, keywords=[]):
            return range(*(evaluate_node(one, trial.state) for one in arguments))
        case ast.Call(func=ast.Name(id="enumerate"), args=[values], keywords=[]):
            return enumerate(evaluate_node(values, trial.state))
    value = evaluate_node(node, trial.state)
    if isinstance(value, set | frozenset):
        raise Unknown
    return value
