"""Writes inline backward monologues: from the output back through the lines of a run.

The counterpart of `inline` for small functions in one frame. A step is a line of the run, in
reverse order, and states what the variables before it must have been: `c=6 is c + i=1, so c=5`
where nothing else is possible, `c=5 is c - b: one way is c=7, b=2` where it is a choice (also the
way through an `if`), and a check such as `c=7 > 5 is True` where all values are known. Lines that
the output does not depend on are left out. The last steps choose the arguments that stay free.
"""

import ast
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from data_pipeline.monologue.inline import (
    NarrationError,
    check_single_frame,
    describe_function,
    direct_answer,
    join_assignments,
    quote_with_values,
)
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Moment, moments


def inline_backward_monologue(trace: Trace) -> str:
    """Returns the response of a backward row, whose witness is the call of the trace.

    Raises NarrationError if the run raised, was cut, left the called function's own frame, or
    has statements that this form cannot undo (see `_Undoing`).
    """
    check_single_frame(trace)
    steps = "\n".join(f"{n}. {step}." for n, step in enumerate(_steps(trace), 1))
    witness = join_assignments(list(arguments(trace)), arguments(trace))
    ending = f"One such input is {witness}." if witness else "It takes no input."
    return (
        f"{describe_function(trace)}### Reverse Deduction\n{steps}\n\n### Conclusion\n{ending}\n"
        f"[/MONOLOGUE]\n\n[ANSWER]\n{direct_answer(trace)}"
    )


def arguments(trace: Trace) -> Mapping[str, str]:
    """Returns the parameters of the traced call, name -> text."""
    return trace.events[0].changed


def _steps(trace: Trace) -> list[str]:
    undoing = _Undoing(trace.result or "")
    undoing.undo_block(executed_statements(trace))
    undoing.choose_free(arguments(trace))
    return undoing.steps


# ---- the run as a tree -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Executed:
    """One execution of a statement.

    moment: its (first) event.
    turns: for an `if`, its header with what ran in the branch taken; for a `for`, the header and
      body of each turn; else empty.
    """

    statement: ast.stmt
    moment: Moment
    turns: "tuple[tuple[Moment, tuple[Executed, ...]], ...]" = ()


def executed_statements(trace: Trace) -> tuple[Executed, ...]:
    """Returns what ran at the level of the function's body. Raises NarrationError."""
    tree = ast.parse(trace.program)
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if function is None or len(tree.body) != 1:
        raise NarrationError("expected a program of one function")
    return tuple(_read_block(function.body, (m for m in moments(trace) if m.event.kind == "line")))


def _read_block(statements: Sequence[ast.stmt], run: Iterator[Moment]) -> Iterator[Executed]:
    for statement in statements:
        moment = next(run, None)
        if moment is None or moment.event.line != statement.lineno:
            raise NarrationError(f"line {statement.lineno}: it does not run in the written order")
        match statement:
            case ast.If():
                body = statement.body if moment.event.branch else statement.orelse
                yield Executed(statement, moment, ((moment, tuple(_read_block(body, run))),))
            case ast.For(orelse=[]):
                yield Executed(statement, moment, tuple(_read_turns(statement, moment, run)))
            case ast.Assign() | ast.AugAssign() | ast.Return() | ast.Pass():
                yield Executed(statement, moment)
            case _:
                kind = type(statement).__name__
                raise NarrationError(f"line {statement.lineno}: no words for undoing {kind}")


def _read_turns(
    loop: ast.For, moment: Moment, run: Iterator[Moment]
) -> Iterator[tuple[Moment, tuple[Executed, ...]]]:
    while moment.event.branch:
        yield moment, tuple(_read_block(loop.body, run))
        following = next(run, None)
        if following is None or following.event.line != loop.lineno:
            raise NarrationError(f"line {loop.lineno}: the loop is left from inside")
        moment = following


# ---- from the end to the beginning ------------------------------------------------------------


class _Undoing:
    """Walks a run backwards with the values that the output needs at each point.

    needed: variable -> value before the statements undone so far.
    given: loop variables of the turns that are being undone.
    """

    def __init__(self, result: str):
        self.result = result
        self.needed: dict[str, str] = {}
        self.given: dict[str, str] = {}
        self.steps: list[str] = []

    def undo_block(self, block: Sequence[Executed]) -> None:
        for done in reversed(block):
            self._undo(done)

    def choose_free(self, given: Mapping[str, str]) -> None:
        """States a value for each argument that the output does not need."""
        for name, text in given.items():
            if name not in self.needed:
                self.steps.append(f"{name} is free: one way is {name}={text}")

    def _undo(self, done: Executed) -> None:
        statement, before = done.statement, done.moment.before
        match statement:
            case ast.Return(value=ast.expr() as value):
                self._solve("return ", value, f" is {self.result}", before)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._undo_assignment(name, value, done.moment)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=operand):
                value = ast.BinOp(ast.Name(name, ast.Load()), operator, operand)
                self._undo_assignment(name, value, done.moment)
            case ast.If():
                self._undo_branch(statement, done)
            case ast.For(target=ast.Name()):
                self._undo_loop(statement, done)
            case ast.Pass():
                pass
            case _:
                kind = type(statement).__name__
                raise NarrationError(f"line {statement.lineno}: no words for undoing this {kind}")

    def _undo_assignment(self, name: str, value: ast.expr, moment: Moment) -> None:
        if name in self.given:
            raise NarrationError(f"line {moment.event.line}: a loop's variable is assigned")
        if self.needed.pop(name, None) is not None:
            self._solve(f"{name}={moment.after[name]} is ", value, "", moment.before)

    def _undo_branch(self, statement: ast.If, done: Executed) -> None:
        if not _assigned(statement) & set(self.needed):
            return
        taken = done.moment.event.branch
        self.steps.append(f"one way is that {ast.unparse(statement.test)} is {taken}")
        self.undo_block(done.turns[0][1])
        self._solve("", statement.test, f" is {taken}", done.moment.before)

    def _undo_loop(self, loop: ast.For, done: Executed) -> None:
        assert isinstance(loop.target, ast.Name)
        if not _assigned(loop) & set(self.needed):
            return
        if _assigned(loop) & set(_names(loop.iter)):
            raise NarrationError(f"line {loop.lineno}: the loop changes what it iterates over")
        name, entry = loop.target.id, done.moment.before
        for moment, body in reversed(done.turns):
            self.needed.pop(name, None)
            value = f"{name}={moment.after[name]}"
            self._solve(f"iteration {moment.turn} of ", loop.iter, f" gives {value}", entry)
            self.given[name] = moment.after[name]
            self.undo_block(body)
            del self.given[name]

    def _solve(
        self, opening: str, expression: ast.expr, ending: str, before: Mapping[str, str]
    ) -> None:
        """States an expression's value, and what its unknown variables must or may be."""
        known = {**self.needed, **self.given}
        read = [name for name in _names(expression) if name in before]
        unknown = [name for name in read if name not in known]
        quoted = quote_with_values(expression, {n: known[n] for n in read if n in known})
        step = f"{opening}{quoted}{ending}"
        if unknown:
            joint = ", so " if is_forced(expression, unknown, before) else ": one way is "
            step += joint + join_assignments(unknown, before)
        self.steps.append(step)
        self.needed.update((name, before[name]) for name in unknown)


def is_forced(expression: ast.expr, unknown: Sequence[str], values: Mapping[str, str]) -> bool:
    """Tells whether the value of an expression leaves only one value for its unknown variable.

    True only for a bare variable, and for integer sums, differences and products with a factor
    that is not zero.
    """
    match expression:
        case ast.Name():
            return True
        case ast.BinOp(left=ast.Name(id=name), op=operator, right=other):
            pass
        case ast.BinOp(left=other, op=operator, right=ast.Name(id=name)):
            pass
        case _:
            return False
    if [name] != list(unknown) or name in _names(other) or not _is_integer(values.get(name)):
        return False
    operand = values.get(other.id) if isinstance(other, ast.Name) else ast.unparse(other)
    if not _is_integer(operand):
        return False
    if isinstance(operator, ast.Mult):
        return int(operand or 0) != 0
    return isinstance(operator, ast.Add | ast.Sub)


def _is_integer(text: str | None) -> bool:
    return text is not None and text.removeprefix("-").isdecimal()


def _names(expression: ast.expr) -> list[str]:
    """Returns the names that an expression reads, each once, in the order of its text."""
    tree = ast.parse(ast.unparse(expression), mode="eval")
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in names))


def _assigned(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement and its parts assign."""
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
