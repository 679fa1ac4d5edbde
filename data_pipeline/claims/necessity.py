"""Proves what every input must satisfy for which the function returns the run's output.

Facts are established one step at a time, from the output back to the arguments. A fact says that
an expression has a value just before a line runs, the last time before the function returns:

    kind    subject           value    established by
    goal    function          output   the output is given
    exit    returned code     -        no other exit of the function can give the output
    holds   test of an `if`   "True"   the exit is only reached so
    must    expression        value    it is returned, or is an operand of such an expression, or
                                       a later line needs it

    length_needed, items_needed and turns_needed state the number of items of an iterable, its items
    in order, and the number of turns that the loop over it makes. runs_needed, adds_needed and
    true_needed speak of a variable that one statement builds up: how often that statement runs,
    what the expression that it adds comes to in all, and how often the test around it is true.

An operand's value is proven forwards: put into the operation it gives the value that is needed,
and the operation gives it for no other operand. `==` decides between values: 4.0 is 4.
"""

import ast
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from data_pipeline.claims.accumulation import (
    BUILT_UP,
    Accumulator,
    find_accumulator,
    prove_built_up,
)
from data_pipeline.claims.claim import Claim
from data_pipeline.claims.exits import cannot_give, exits, leaves
from data_pipeline.claims.record import Record
from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.source.syntax import dump_node, nodes_of
from data_pipeline.verify.evaluation import Unknown, evaluate_node

_LARGEST = 2**50  # integers beyond may be lost in floating point
_IMMUTABLE = (int, float, str, bytes, bool, type(None))

Fact = tuple[str, int, str]  # kind, line, code as a dump -> value


class Necessity:
    """Facts about all inputs with the run's output; `prove` adds what it proves."""

    def __init__(self, record: Record):
        self.record = record
        self.facts: dict[Fact, Any] = {}
        function = record.function(0) if record.events else None
        rebinds = any(isinstance(n, ast.Global | ast.Nonlocal) for n in record.nodes)
        is_plain = isinstance(function, ast.FunctionDef) and not rebinds
        self.function = function if is_plain else None
        self.local = _bound_in(function) if function is not None else set()
        self.exit: ast.Return | None = None

    def prove(self, claim: Claim) -> bool | None:
        if self.function is None:
            return None
        if claim.kind in BUILT_UP:
            return prove_built_up(self.function, self._built_up(), claim)
        rule = getattr(self, f"_prove_{claim.kind}", None)
        return rule(claim) if rule is not None else None

    def _key(self, kind: str, line: int, node: ast.AST) -> Fact:
        return kind, line, dump_node(node).replace("ctx=Store()", "ctx=Load()")

    def _establish(self, claim: Claim, value: Any) -> bool:
        node = ast.parse(f"({claim.subject.strip()})", mode="eval").body
        self.facts[self._key(claim.kind, claim.place.line, node)] = value
        return True

    # ---- the goal and the exit

    def _prove_goal(self, claim: Claim) -> bool | None:
        assert self.function is not None
        return claim.subject == self.function.name and claim.value == self.record.trace.result

    def _prove_exit(self, claim: Claim) -> bool | None:
        """Only one `return` of the function can give the output."""
        assert self.function is not None
        try:
            wanted = parse_literal(self.record.trace.result or "")
        except LiteralError:
            return None
        found = exits(self.function)
        if found is None:
            return None
        mine = [node for node in found if node is not None and node.lineno == claim.place.line]
        if len(mine) != 1 or mine[0] is None or not _same_text(claim.subject, mine[0].value):
            return False
        others = [node for node in found if node is not mine[0]]
        own = set(self.record.definitions) | self.local
        if not all(cannot_give(node.value if node else None, wanted, own) for node in others):
            return None
        for beside in self.record.at_line[mine[0].lineno]:
            if beside is not mine[0] and not _is_pure_test(beside):
                return None
        self.exit = mine[0]
        if mine[0].value is not None:
            self.facts[self._key("must", mine[0].lineno, mine[0].value)] = wanted
        return True

    def _prove_holds(self, claim: Claim) -> bool | None:
        for test, line, outcome in self._path():
            if line == claim.place.line and _same_text(claim.subject, test):
                if str(outcome) != claim.value:
                    return False
                if _is_truth_value(test):
                    self.facts[self._key("must", line, test)] = outcome
                return True
        return None

    def _path(self) -> Iterator[tuple[ast.expr, int, bool]]:
        """Yields the tests that decide on the way to the exit, with the outcome that it needs."""
        for node, before in self._blocks():
            for statement in before:
                is_guard = isinstance(statement, ast.If) and not statement.orelse
                if is_guard and leaves(statement.body):  # type: ignore[attr-defined]
                    yield statement.test, statement.lineno, False  # type: ignore[attr-defined]
            parent = self.record.parents.get(node)
            if isinstance(parent, ast.If):
                yield parent.test, parent.lineno, node in parent.body

    def _blocks(self) -> Iterator[tuple[ast.stmt, Sequence[ast.stmt]]]:
        """Yields each statement around the exit with those before it; stops at a loop or `try`."""
        node: ast.AST | None = self.exit
        while isinstance(node, ast.stmt) and node is not self.function:
            parent = self.record.parents.get(node)
            block = next((b for b in _blocks_of(parent) if node in b), [])
            yield node, list(reversed(block[: block.index(node)])) if block else []
            if not isinstance(parent, ast.If | ast.FunctionDef | ast.With):
                return
            node = parent

    # ---- values

    def _prove_must(self, claim: Claim) -> bool | None:
        node = ast.parse(f"({claim.subject.strip()})", mode="eval").body
        value = parse_literal(claim.value)
        known = self.facts.get(self._key("must", claim.place.line, node), _MISSING)
        if known is not _MISSING:
            return _equal(known, value)
        for verdict in (
            self._as_operand(claim, node, value),
            self._as_variable(claim, node, value),
        ):
            if verdict is not None:
                return verdict and self._establish(claim, value)
        return None

    def _facts_at(self, line: int, kind: str = "must") -> Iterator[tuple[ast.expr, Any]]:
        for statement in self.record.at_line.get(line, []):
            for node in ast.walk(statement):
                if isinstance(node, ast.expr):
                    value = self.facts.get(self._key(kind, line, node), _MISSING)
                    if value is not _MISSING:
                        yield node, value

    def _as_operand(self, claim: Claim, node: ast.expr, value: Any) -> bool | None:
        """The expression is an operand of one whose value is known."""
        for whole, wanted in self._facts_at(claim.place.line):
            verdict = self._operand_verdict(whole, wanted, node, value)
            if verdict is not None:
                return verdict
        return None

    def _operand_verdict(
        self, whole: ast.expr, wanted: Any, node: ast.expr, value: Any
    ) -> bool | None:
        match whole:
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                kind = tuple if isinstance(whole, ast.Tuple) else list
                if type(wanted) is not kind or len(wanted) != len(elts):
                    return None
                for item, part in zip(wanted, elts, strict=True):
                    if _same(part, node):
                        return _equal(item, value)
            case ast.BoolOp(op=ast.And(), values=values) if wanted is True:
                return self._one_of(values, node, value, True)
            case ast.BoolOp(op=ast.Or(), values=values) if wanted is False:
                return self._one_of(values, node, value, False)
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]) if wanted is True:
                return self._other_side(left, right, node, value)
            case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]) if wanted is False:
                return self._other_side(left, right, node, value)
            case ast.BinOp() | ast.UnaryOp() | ast.Subscript():
                return self._invertible(whole, wanted, node, value)
        return None

    def _one_of(self, parts: list, node: ast.expr, value: Any, outcome: bool) -> bool | None:
        if any(_same(part, node) for part in parts) and _is_truth_value(node):
            return value is outcome
        return None

    def _other_side(self, left: ast.expr, right: ast.expr, node: ast.expr, value: Any) -> Any:
        for one, other in ((left, right), (right, left)):
            if _same(one, node) and (known := self._constant(other)) is not _MISSING:
                return _equal(known, value)
        return None

    def _invertible(self, whole: Any, wanted: Any, node: ast.expr, value: Any) -> bool | None:
        match whole:
            case ast.BinOp(left=left, op=op, right=right):
                pairs = ((left, right, True), (right, left, False))
                for operand, other, is_left in pairs:
                    constant = self._constant(other)
                    if _same(operand, node) and constant is not _MISSING:
                        if not _one_operand_only(op, wanted, constant, value, is_left):
                            return None
                        parts = (value, constant) if is_left else (constant, value)
                        return _equal(_compute(op, *parts), wanted)
            case ast.UnaryOp(op=ast.USub(), operand=operand) if _same(operand, node):
                return _is_number(wanted) and _is_number(value) and -value == wanted
            case ast.Subscript(value=owner, slice=ast.Slice(None, None, step)) if step is not None:
                if _same(owner, node) and self._constant(step) == -1:
                    return type(value) is type(wanted) and value[::-1] == wanted
        return None

    def _constant(self, node: ast.expr) -> Any:
        """Returns the value of an expression of literals and constant globals."""
        if any(isinstance(n, ast.Call) for n in ast.walk(node)) or _names(node) & self.local:
            return _MISSING
        try:
            return evaluate_node(node, self.record.state(-1, -1))
        except Unknown:
            return _MISSING

    # ---- variables, from the line that needs them to the one that sets them

    def _as_variable(self, claim: Claim, node: ast.expr, value: Any) -> bool | None:
        """A later line needs the value of a variable that this line sets, changes or leaves."""
        for later, line in self._next_lines():
            if line != claim.place.line:
                continue
            for name, wanted in self._variables_before(later):
                verdict = self._before_statement(line, name, wanted, node, value)
                if verdict is not None:
                    return verdict
        return None

    def _next_lines(self) -> Iterator[tuple[ast.stmt, int]]:
        """Yields (statement, line of the one that runs just before it) on the way to the exit."""
        chain: list[ast.stmt] = []
        for node, before in self._blocks():
            chain += [node, *before]
        for later, earlier in itertools.pairwise(chain):
            yield later, earlier.lineno

    def _variables_before(self, statement: ast.stmt) -> Iterator[tuple[str, Any]]:
        for node, value in self._facts_at(statement.lineno):
            if isinstance(node, ast.Name):
                yield node.id, value
        for kind, line, code in list(self.facts):  # a variable that the line does not read
            if kind == "must" and line == statement.lineno and code.startswith("Name(id='"):
                yield code.split("'")[1], self.facts[kind, line, code]

    def _before_statement(
        self, line: int, name: str, wanted: Any, node: ast.expr, value: Any
    ) -> bool | None:
        found = self.record.at_line.get(line, [])
        if len(found) != 1 and not isinstance(found[0], ast.If | ast.For | ast.While):
            return None
        match found[0]:
            case ast.Assign(targets=[ast.Name(id=target)], value=right) if target == name:
                return _equal(wanted, value) if _same(right, node) else None
            case ast.AugAssign(target=ast.Name(id=target), op=op, value=right) if target == name:
                constant = self._constant(right)
                if not (isinstance(node, ast.Name) and node.id == name) or constant is _MISSING:
                    return None
                if not _one_operand_only(op, wanted, constant, value, True):
                    return None
                return _equal(_compute(op, value, constant), wanted)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner))) as call) if (
                owner == name
            ):
                return _list_before(call, name, wanted, node, value)
        if isinstance(node, ast.Name) and node.id == name and _leaves_alone(found[0], name, wanted):
            return _equal(wanted, value)
        return None

    # ---- lengths, items and turns

    def _prove_length_needed(self, claim: Claim) -> bool | None:
        node = ast.parse(f"({claim.subject.strip()})", mode="eval").body
        for whole, wanted in self._facts_at(claim.place.line):
            match whole:
                case ast.Call(func=ast.Name(id="len"), args=[part]) if _same(part, node):
                    return _is_number(wanted) and int(claim.value) == wanted
                case ast.ListComp(generators=[ast.comprehension(ifs=[], iter=iterated)]):
                    if _same(iterated, node):
                        return len(wanted) == int(claim.value)
        return None

    def _prove_items_needed(self, claim: Claim) -> bool | None:
        """Each item of a comprehension's iterable gives one item of the list that is needed."""
        node = ast.parse(f"({claim.subject.strip()})", mode="eval").body
        items = parse_literal(claim.value)
        for whole, wanted in self._facts_at(claim.place.line):
            match whole:
                case ast.ListComp(
                    elt=elt, generators=[ast.comprehension(ast.Name(id=name), iterated, [], 0)]
                ) if _same(iterated, node) and isinstance(wanted, list):
                    if len(items) != len(wanted):
                        return False
                    pairs = zip(items, wanted, strict=True)
                    verdicts = [self._element(elt, name, item, out) for item, out in pairs]
                    return False if False in verdicts else None if None in verdicts else True
                case ast.Call(func=ast.Name(id="list" | "tuple"), args=[part]):
                    if _same(part, node) and isinstance(wanted, list | tuple):
                        return _equal(list(wanted), items)
        return None

    def _element(self, elt: ast.expr, name: str, item: Any, wanted: Any) -> bool | None:
        """An element expression gives the wanted item for this value of its variable alone."""
        if isinstance(elt, ast.Name):
            return _equal(item, wanted) if elt.id == name else None
        for operand in ast.iter_child_nodes(elt):
            if isinstance(operand, ast.Name) and operand.id == name:
                return self._invertible(elt, wanted, operand, item)
        return None

    # ---- variables that one statement builds up

    def _built_up(self) -> Iterator[tuple[Accumulator, Any]]:
        """Yields what is built up before a line, with the value that it must have there."""
        function = self.function
        assert function is not None
        calls_itself = any(
            isinstance(n, ast.Name) and n.id == function.name for n in ast.walk(function)
        )
        for later, _ in () if calls_itself else self._next_lines():
            for name, wanted in self._variables_before(later):
                found = find_accumulator(function, name, later.lineno)
                if found is not None:
                    yield found, wanted


_MISSING = object()


def _blocks_of(node: ast.AST | None) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _same(one: ast.AST, other: ast.AST) -> bool:
    first, second = (ast.dump(n).replace("ctx=Store()", "ctx=Load()") for n in (one, other))
    return first == second


def _same_text(text: str, node: ast.AST | None) -> bool:
    if node is None:
        return not text
    try:
        return _same(ast.parse(f"({text.strip()})", mode="eval").body, node)
    except SyntaxError:
        return False


def _equal(one: Any, other: Any) -> bool:
    return same_value(one, other) or (
        type(one) is type(other) and not isinstance(one, float) and one == other
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < _LARGEST


def _is_truth_value(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(_is_truth_value(part) for part in values)
    return False


def _one_operand_only(op: ast.operator, wanted: Any, constant: Any, value: Any, left: bool) -> bool:
    """Returns whether an operation gives a result for one operand only."""
    if all(_is_number(part) and not isinstance(part, bool) for part in (wanted, constant, value)):
        if isinstance(op, ast.Mult):
            return constant != 0
        return isinstance(op, ast.Add | ast.Sub)
    same_kind = type(wanted) is type(constant) is type(value)
    return same_kind and isinstance(wanted, str | list | tuple) and isinstance(op, ast.Add)


def _compute(op: ast.operator, one: Any, two: Any) -> Any:
    match op:
        case ast.Add():
            return one + two
        case ast.Sub():
            return one - two
    return one * two


def _list_before(call: ast.Call, name: str, wanted: Any, node: ast.expr, value: Any) -> bool | None:
    """Proves a list's value, or the item given, before a method that changes it."""
    if type(wanted) is not list or not isinstance(call.func, ast.Attribute):
        return None
    is_list = isinstance(node, ast.Name) and node.id == name
    match call.func.attr, call.args:
        case "append", [item] if name not in _names(item) and wanted:
            if is_list and any(isinstance(n, ast.Call) for n in ast.walk(item)):
                return None  # the call may change the list
            if is_list:
                return type(value) is list and _equal(value, wanted[:-1])
            return _equal(value, wanted[-1]) if _same(item, node) else None
        case "reverse", []:
            return _equal(value, wanted[::-1]) if is_list else None
    return None


def _leaves_alone(statement: ast.stmt, name: str, value: Any) -> bool:
    """Returns whether a statement can change neither the variable nor its value in place."""
    stored = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    if name in stored or _has_other_scope(statement):
        return False
    if isinstance(value, _IMMUTABLE):
        return True
    changes = ast.Call | ast.Subscript | ast.AugAssign | ast.Delete | ast.Attribute
    return not any(isinstance(node, changes) for node in ast.walk(statement))


def _has_other_scope(statement: ast.stmt) -> bool:
    """Returns whether the statement may bind the variable elsewhere (`nonlocal`, an import)."""
    kinds = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Match | ast.Try
    return any(isinstance(node, kinds) for node in ast.walk(statement))


def _bound_in(function: ast.AST) -> set[str]:
    """Returns the names that a function binds itself, its parameters included."""
    bound = {a.arg for a in nodes_of(function) if isinstance(a, ast.arg)}
    for node in nodes_of(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
    return bound


def _is_pure_test(statement: ast.stmt) -> bool:
    """Returns whether a statement is an `if` whose test changes nothing."""
    kinds = ast.Call | ast.NamedExpr | ast.Await
    return isinstance(statement, ast.If) and not any(
        isinstance(node, kinds) for node in ast.walk(statement.test)
    )


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
