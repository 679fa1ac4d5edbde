"""Reasons from the output back to the arguments.

Proposes, statement by statement from the `return` upwards, what an expression must be; the prover
decides whether every input needs it. Where the reasoning ends, the input of the run is a choice.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from data_pipeline.claims import PROVEN, Claim, Place
from data_pipeline.monologue.assignments import written_change
from data_pipeline.monologue.expressions import free_names
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.speech import Clause, Sentence, Speaker, join
from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Replay

_MOST_BULLETS = 14
_Loop = ast.For | ast.AsyncFor | ast.While


class Deduction:
    """Collects the bullets of a reverse deduction; `fixed` holds the arguments found on the way."""

    def __init__(self, run: Replay, program: Program, speaker: Speaker, function: ast.FunctionDef):
        self.run, self.program, self.speaker, self.function = run, program, speaker, function
        self.say, self.source = speaker.say, program.source
        self.parents = {child: node for node in ast.walk(function)
                        for child in ast.iter_child_nodes(node)}  # fmt: skip
        self.fixed: set[str] = set()
        self.out: list[Sentence] = []

    def bullets(self) -> list[Sentence]:
        """Returns what every input must satisfy, as far as it can be proven."""
        exit = self._exit()
        if exit is None or exit.value is None:
            return []
        place = Place(exit.lineno)
        code = self.source.code(exit.value)
        if code is None:
            return []
        result = self.run.trace.result or ""
        only = Claim("exit", place, code)
        if not self._proven(only):
            self._add(self.say("exit choice", Claim("gives", place, code)))
            return self.out
        must = Claim("must", place, code, result)
        self._add(self.say("exit", only, must) or self.say("exit bare", only))
        for claim, test in self._tests(exit):
            if self._proven(claim):
                self._add(self.say("needs", claim))
                self._operands(test, claim.place.line, claim.value == "True")
        try:
            value = parse_literal(result)
        except LiteralError:
            return self.out
        self._expand(exit, exit.value, value)
        return self.out[:_MOST_BULLETS]

    def _add(self, clause: Clause | None) -> None:
        sentence = join([clause])
        if sentence is not None and all(sentence.text != told.text for told in self.out):
            self.out.append(sentence)

    def _proven(self, claim: Claim) -> bool:
        return self.speaker.prover.verdict(claim) == PROVEN

    def _exit(self) -> ast.Return | None:
        """Returns the `return` statement at which the run of the function ends."""
        for event in reversed(self.run.events):
            if event.frame == 0 and event.kind == "line":
                statement = self.program.statement(event)
                return statement if isinstance(statement, ast.Return) else None
        return None

    # ---- the way to the exit

    def _around(self, statement: ast.stmt) -> Iterator[tuple[ast.stmt, ast.AST, list[ast.stmt]]]:
        """Yields (statement, its parent, the statements before it), from the exit outwards."""
        node: ast.AST = statement
        while isinstance(node, ast.stmt) and node is not self.function:
            parent = self.parents[node]
            block = next(b for b in _blocks(parent) if node in b)
            yield node, parent, block[: block.index(node)]
            if not isinstance(parent, ast.If | ast.With | ast.FunctionDef):
                return
            node = parent

    def _tests(self, exit: ast.Return) -> Iterator[tuple[Claim, ast.expr]]:
        for node, parent, before in self._around(exit):
            for statement in reversed(before):
                if isinstance(statement, ast.If) and not statement.orelse:
                    yield from self._test_claim(statement, False)
            if isinstance(parent, ast.If):
                yield from self._test_claim(parent, node in parent.body)

    def _test_claim(self, statement: ast.If, outcome: bool) -> Iterator[tuple[Claim, ast.expr]]:
        code = self.source.code(statement.test)
        if code is not None:
            yield Claim("holds", Place(statement.lineno), code, str(outcome)), statement.test

    def _earlier(self, statement: ast.stmt) -> ast.stmt | None:
        """Returns the statement that runs just before another on the way to the exit."""
        for _, parent, before in self._around(statement):
            if before:
                return before[-1]
            if isinstance(parent, ast.If | ast.With):
                return parent
            return None
        return None

    # ---- values

    def _expand(self, statement: ast.stmt, node: ast.expr, value: Any) -> None:
        """Tells what follows from the value of an expression that a statement evaluates."""
        for name, wanted in self._operands(node, statement.lineno, value):
            self._trace_back(statement, name, wanted)
        self._collections(node, statement.lineno, value)

    def _operands(self, node: ast.expr, line: int, value: Any) -> list[tuple[str, Any]]:
        """Tells the operands that an expression's value fixes; returns the variables among them."""
        if isinstance(node, ast.Name):
            return [(node.id, value)]
        names = []
        whole = self._must(node, line, value)
        for operand, wanted in self._inverted(node, value):
            claim = self._must(operand, line, wanted)
            if claim is not None and whole is not None and self._proven(claim):
                if not isinstance(operand, ast.Constant):
                    self._add(self.say("operand", whole, claim))
                names += self._operands(operand, line, wanted)
                self._collections(operand, line, wanted)
        return names

    def _must(self, node: ast.expr, line: int, value: Any) -> Claim | None:
        code, text = self.source.code(node), render(value)
        if code is None or "…" in text:
            return None
        return Claim("must", Place(line), code, text)

    def _inverted(self, node: ast.expr, value: Any) -> Iterator[tuple[ast.expr, Any]]:
        """Yields the operands of an operation with the values that give its value."""
        match node:
            case ast.Tuple(elts=elts) | ast.List(elts=elts) if isinstance(value, tuple | list):
                if len(elts) == len(value):
                    yield from zip(elts, value, strict=True)
            case ast.BoolOp(op=op, values=values) if value is isinstance(op, ast.And):
                yield from ((part, value) for part in values if isinstance(part, ast.Compare))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                if value is isinstance(op, ast.Eq) and isinstance(op, ast.Eq | ast.NotEq):
                    for one, other in ((left, right), (right, left)):
                        if (known := self._constant(other)) is not None:
                            yield one, known
            case ast.UnaryOp(op=ast.USub(), operand=operand) if _is_integer(value):
                yield operand, -value
            case ast.Subscript(value=owner, slice=ast.Slice(None, None, step)):
                if step is not None and self._constant(step) == -1:
                    yield owner, value[::-1]
            case ast.BinOp(left=left, op=op, right=right):
                for operand, other, is_left in ((left, right, True), (right, left, False)):
                    found = _undo(op, value, self._constant(other), is_left)
                    if found is not None:
                        yield operand, found

    def _constant(self, node: ast.expr) -> Any:
        """Returns the value of a literal or a global; None if it is neither."""
        if isinstance(node, ast.Name):
            text = self.program.globals.get(node.id)
            return None if text is None else parse_literal(text)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError):
            return None

    def _collections(self, node: ast.expr, line: int, value: Any) -> None:
        """Tells lengths and items that a value fixes."""
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[part]):
                self._claim_on(part, line, "length_needed", str(value), _length_form(value))
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[part]):
                self._claim_on(part, line, "items_needed", render(list(value)), _items_form(value))
            case ast.ListComp(elt=elt, generators=[ast.comprehension(target, iterated, [], 0)]):
                self._claim_on(
                    iterated, line, "length_needed", str(len(value)), _length_form(len(value))
                )
                if isinstance(target, ast.Name) and isinstance(value, list):
                    items = [self._item(elt, target.id, out) for out in value]
                    if None not in items:
                        self._claim_on(
                            iterated, line, "items_needed", render(items), _items_form(items)
                        )

    def _claim_on(self, node: ast.expr, line: int, kind: str, value: str, form: str) -> None:
        code = self.source.code(node)
        if code is not None:
            claim = Claim(kind, Place(line), code, value)
            if self._proven(claim):
                self._add(self.say(form, claim))

    def _item(self, elt: ast.expr, name: str, wanted: Any) -> Any:
        if isinstance(elt, ast.Name) and elt.id == name:
            return wanted
        for operand, value in self._inverted(elt, wanted):
            if isinstance(operand, ast.Name) and operand.id == name:
                return value
        return None

    # ---- variables

    def _trace_back(self, statement: ast.stmt, name: str, value: Any) -> None:
        """Follows a variable from the statement that needs it up to where it is set."""
        while True:
            earlier = self._earlier(statement)
            if earlier is None:
                self._argument(statement, name, value)
                return
            line = earlier.lineno
            text = render(value)
            match earlier:
                case ast.Assign(targets=[ast.Name(id=target)], value=right) if target == name:
                    self._set_by(earlier, right, value)
                    return
                case ast.AugAssign(target=ast.Name(id=target), op=op, value=right) if (
                    target == name
                ):
                    value = self._changed_by(earlier, op, right, name, value)
                    if value is None:
                        return
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner)))):
                    if owner == name:
                        value = self._done_by(earlier, name, value)
                        if value is None:
                            return
                    elif not self._proven(Claim("must", Place(line), name, text)):
                        return
                case ast.For() | ast.While():
                    if not self._proven(Claim("must", Place(line), name, text)):
                        self._built_by(earlier, name, value)
                        return
                case _:
                    if not self._proven(Claim("must", Place(line), name, text)):
                        return
            statement = earlier

    def _argument(self, statement: ast.stmt, name: str, value: Any) -> None:
        parameters = {a.arg for a in (*self.function.args.posonlyargs, *self.function.args.args,
                                      *self.function.args.kwonlyargs)}  # fmt: skip
        claim = Claim("must", Place(statement.lineno), name, render(value))
        given = self.run.events[0].changed.get(name)
        if given != claim.value or not self._runs_once(statement):
            return
        if name in parameters and self._proven(claim) and name not in self.fixed:
            self.fixed.add(name)
            self._add(self.say("argument", claim))

    def _runs_once(self, statement: ast.stmt) -> bool:
        """Returns whether a statement stands in no loop: an earlier turn may change things."""
        node: ast.AST = statement
        while node is not self.function:
            node = self.parents[node]
            if not isinstance(node, ast.If | ast.With | ast.FunctionDef):
                return False
        return True

    def _set_by(self, statement: ast.Assign, right: ast.expr, value: Any) -> None:
        must = self._must(right, statement.lineno, value)
        code = self.source.code(statement.targets[0])
        if must is None or code is None or not self._proven(must):
            return
        if not isinstance(right, ast.Constant):
            sets = Claim("sets", must.place, code, must.subject)
            self._add(self.say("set by", sets, must))
        self._expand(statement, right, value)

    def _changed_by(
        self, statement: ast.AugAssign, op: ast.operator, right: ast.expr, name: str, value: Any
    ) -> Any:
        before = _undo(op, value, self._constant(right), True)
        change = written_change(statement, self.source)
        if before is None or change is None:
            return None
        must = Claim("must", Place(statement.lineno), name, render(before))
        if not self._proven(must):
            return None
        changes = Claim("changes", must.place, name, change)
        self._add(self.say("changed by", changes, must))
        return before

    def _done_by(self, statement: ast.Expr, name: str, value: Any) -> Any:
        """Tells what a list must be before a method, and which item it is given."""
        call = statement.value
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        code = self.source.code(call)
        if not isinstance(value, list) or code is None:
            return None
        does = Claim("does", Place(statement.lineno), code)
        before = value[::-1] if call.func.attr == "reverse" else value[:-1]
        if call.func.attr == "append" and value and len(call.args) == 1:
            item = self._must(call.args[0], statement.lineno, value[-1])
            if item is not None and self._proven(item):
                if not isinstance(call.args[0], ast.Constant):
                    self._add(self.say("appended by", does, item))
                self._expand(statement, call.args[0], value[-1])
        must = Claim("must", Place(statement.lineno), name, render(before))
        if not self._proven(must):
            return None
        self._add(self.say("done by", does, must))
        return before

    def _built_by(self, loop: ast.stmt, name: str, value: Any) -> None:
        """Tells which line of a loop gives a variable its value."""
        if not isinstance(loop, ast.For):
            return
        code, target = self.source.code(loop.iter), self.source.code(loop.target)
        if code is None or target is None:
            return
        claim = Claim("loop", Place(loop.lineno), code, target)
        for statement in _statements(loop):
            told = self._builder(claim, statement, name)
            if told is not None:
                self._add(told)
                break
        self._needs_of(loop, name, value)

    def _needs_of(self, loop: ast.For, name: str, value: Any) -> None:
        """Tells how often a loop's lines must run, and what must be added, to give a value."""
        for statement in _statements(loop):
            added = _added(statement, name)
            if added is not None:
                self._needs_added(statement, added, name, value)
                self._needs_runs(loop, statement, added)
                return

    def _needs_added(self, statement: ast.stmt, added: ast.expr, name: str, value: Any) -> None:
        total, code = self._total(name, value), self.source.code(added)
        form = {int: "needs sum", str: "needs text", list: "needs appended"}.get(type(total))
        if form is None or code is None or isinstance(added, ast.Constant):
            return
        claim = Claim("adds_needed", Place(statement.lineno), code, render(total))
        if "…" not in claim.value and self._proven(claim):
            self._add(self.say(form, claim))

    def _total(self, name: str, value: Any) -> Any:
        """Returns what is added to the first value that a variable has, to give another."""
        texts = [text for text in self.run.history(0, name)[1] if text is not None]
        try:
            start = parse_literal(texts[0]) if texts else None
        except LiteralError:
            return None
        if _is_integer(start) and _is_integer(value):
            return value - start
        is_longer = type(start) is type(value) and isinstance(value, str | list)
        return value[len(start) :] if is_longer else None

    def _needs_runs(self, loop: ast.For, statement: ast.stmt, added: ast.expr) -> None:
        """Tells how many turns, runs of the statement or true tests the value takes."""
        places = self.run.by_line.get(statement.lineno, ())
        runs = sum(1 for one in places if one.event.frame == 0)
        counted = min(runs, 2)
        iterated, change = self.source.code(loop.iter), ast.unparse(statement)
        turns = Claim("turns_needed", Place(loop.lineno), iterated or "", str(runs))
        if iterated and self._proven(turns):
            self._add(self.say(("needs no turn", "needs a turn", "needs turns")[counted], turns))
            return
        needed = Claim("runs_needed", Place(statement.lineno), change, str(runs))
        if isinstance(added, ast.Constant) and self._proven(needed):
            self._add(self.say(("needs no run", "needs a run", "needs runs")[counted], needed))
        test = self.parents.get(statement)
        code = self.source.code(test.test) if isinstance(test, ast.If) else None
        if isinstance(test, ast.If) and code is not None:
            holds = Claim("true_needed", Place(test.lineno), code, str(runs))
            if self._proven(holds):
                self._add(self.say(("needs never", "needs once", "needs true")[counted], holds))

    def _builder(self, loop: Claim, statement: ast.stmt, name: str) -> Clause | None:
        code = self.source.code
        place = Place(statement.lineno)
        match statement:
            case ast.AugAssign(target=ast.Name(id=target)) if target == name:
                change = Claim("changes", place, name, written_change(statement, self.source) or "")
                return self.say("built by changes", loop, change) if change.value else None
            case ast.Assign(targets=[ast.Name(id=target)], value=right) if target == name:
                claim = Claim("sets", place, name, code(right) or "")
                return self.say("built by sets", loop, claim) if claim.value else None
            case ast.Expr(value=ast.Call() as call) if name in free_names(call.func):
                does = Claim("does", place, code(call) or "")
                return self.say("built by does", loop, does) if does.subject else None
        return None


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block
    for handler in getattr(node, "handlers", ()):
        yield handler.body
    for case in getattr(node, "cases", ()):
        yield case.body


def _statements(loop: ast.stmt) -> Sequence[ast.stmt]:
    found = [node for node in ast.walk(loop) if isinstance(node, ast.stmt) and node is not loop]
    return sorted(found, key=lambda node: node.lineno)


def _added(statement: ast.stmt, name: str) -> ast.expr | None:
    """Returns what a statement adds to a variable: `x` of `total += x` and of `out.append(x)`."""
    match statement:
        case ast.AugAssign(target=ast.Name(id=target), op=ast.Add(), value=added):
            return added if target == name else None
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="append"), args=[added]
            )
        ):
            return added if owner == name else None
    return None


def _length_form(length: Any) -> str:
    return {0: "needs emptiness", 1: "needs one item"}.get(length, "needs length")


def _items_form(items: Sequence[Any]) -> str:
    return "needs items" if items else "needs no items"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _undo(op: ast.operator, value: Any, constant: Any, is_left: bool) -> Any:
    """Returns the operand that gives `value` together with a constant; None if there is none."""
    if _is_integer(value) and _is_integer(constant):
        match op:
            case ast.Add():
                return value - constant
            case ast.Sub():
                return value + constant if is_left else constant - value
            case ast.Mult() if constant and value % constant == 0:
                return value // constant
    if type(value) is type(constant) and isinstance(value, str | list | tuple):
        size = len(constant)
        if isinstance(op, ast.Add) and is_left and value[len(value) - size :] == constant:
            return value[: len(value) - size]
        if isinstance(op, ast.Add) and not is_left and value[:size] == constant:
            return value[size:]
    return None
