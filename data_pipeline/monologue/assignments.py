"""Tells assignments: how the value comes about, and what the variables are after them."""

import ast
from collections.abc import Sequence

from data_pipeline.claims import Claim
from data_pipeline.monologue.arithmetic import count_operations, is_plain
from data_pipeline.monologue.expressions import ExpressionNarrator, free_names, joined
from data_pipeline.monologue.speech import Clause, Join, Part
from data_pipeline.monologue.wording import Source
from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Occurrence

_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitOr: "|", ast.BitAnd: "&",
    ast.BitXor: "^", ast.MatMult: "@",
}  # fmt: skip


class AssignmentNarrator(ExpressionNarrator):
    """Writes clauses for assignments."""

    def _assignment(
        self, statement: ast.Assign | ast.AnnAssign, here: Occurrence
    ) -> Sequence[Part]:
        value = statement.value
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if value is None:
            return []
        names = [node.id for node in targets if isinstance(node, ast.Name)]
        if len(names) != len(targets):
            return self._stores(targets, value, here)
        after = [self.after(here, name) for name in names]
        if is_constant(value):
            return joined([self.say("sets constant", claim) for claim in after], Join.AND)
        if len(names) > 1:
            return [*self.parts(here, value, whole=True), Join.SO, self.say("all now", *after)]
        sets = self.say("sets", after[0])
        if sets is None:
            return self._unshown(targets[0], value, here)
        parts = self.put_or_parts(here, value)
        items = self.items(here, value)
        if parts:
            return [*items, Join.SEMICOLON, *parts, Join.SO, sets]
        code = self._sets_claim(targets[0], value, here)
        reads = self.reads(here, value)
        if isinstance(value, ast.Name) or not reads or items:
            whole: Part = self.say("sets by", code, after[0]) or sets
        else:
            whole = self.say("sets by with", code, after[0], *reads) or sets
        return [*items, Join.STOP, whole]

    def _sets_claim(self, target: ast.expr, value: ast.expr, here: Occurrence) -> Claim | None:
        code, right = self.program.source.code(target), self.program.source.code(value)
        if code is None or right is None:
            return None
        return self.text("sets", self.program.first_line(here.event), code, right)

    def _stores(
        self, targets: Sequence[ast.expr], value: ast.expr, here: Occurrence
    ) -> Sequence[Part]:
        """Tells an assignment to items, attributes or several names at once."""
        changed = self.changed_claims(here)
        if all(isinstance(t, ast.Tuple | ast.List | ast.Name) for t in targets):
            names = [n.id for t in targets for n in ast.walk(t)
                     if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
            names += [name for name in here.event.changed if self._is_stored_in(name, targets)]
            changed = [self.after(here, name) for name in dict.fromkeys(names)]
            reads = self.reads(here, value)
            parts = self.parts(here, value)
            if isinstance(value, ast.Tuple) and all(map(is_constant, value.elts)):
                return [self.say("sets all", *changed)]
            if parts:
                return [*parts, Join.SEMICOLON, self.say("all now", *changed)]
            return [self.say("with", *reads), Join.COMMA, self.say("all now", *changed)]
        code = self._sets_claim(targets[0], value, here)
        parts = [*self.parts(here, targets[0]), Join.COMMA, *self.parts(here, value, whole=True)]
        told = self.say("assigns", code, *changed)
        told = told or self._stores_the_same(targets[0], code, here, "assigns")
        if any(isinstance(part, Clause) for part in parts):
            return [*parts, Join.SEMICOLON, told]
        indices = [t.slice for t in targets if isinstance(t, ast.Subscript)]
        return [self.say("with", *self.reads(here, value, *indices)), Join.COMMA, told]

    def _is_stored_in(self, name: str, targets: Sequence[ast.expr]) -> bool:
        """Returns whether targets such as `xs[0]` change the object of a name."""
        stores = (n for t in targets for n in ast.walk(t)
                  if isinstance(n, ast.Subscript | ast.Attribute))  # fmt: skip
        return any(isinstance(base := _base(node), ast.Name) and base.id == name for node in stores)

    def _stores_the_same(
        self, target: ast.expr, code: Claim | None, here: Occurrence, form: str
    ) -> Part:
        """Tells an assignment that leaves everything as it was, or whose effect cannot be shown."""
        base = _base(target)
        if isinstance(base, ast.Name) and not here.event.changed:
            states = self.before(here, base.id), self.after(here, base.id)
            told = self.say(f"{form} still", code, *states)
            if told is not None:
                return told
        return self.say(f"{form} code", code)

    def _augmented(self, statement: ast.AugAssign, here: Occurrence) -> Sequence[Part]:
        parts = self.parts(here, statement.value, whole=True)
        if isinstance(statement.target, ast.Name):
            name = statement.target.id
            before, after = self.before(here, name), self.after(here, name)
            same = before is not None and after is not None and before.value == after.value
            told = self.say("unchanged" if same else "goes", before, after)
            told = told or self.say("sets", after)
            if told is None:
                told = self.say("changes code", self._changes_claim(statement))
                size = self._size(here, statement.target)
                return [*parts, Join.COMMA, told, Join.COMMA_AND, size]
        else:
            code = self._changes_claim(statement)
            told = self.say("changes", code, *self.changed_claims(here))
            told = told or self._stores_the_same(statement.target, code, here, "changes")
            parts = [*self.parts(here, statement.target), Join.COMMA, *parts]
        reads = [] if parts else self.reads(here, statement.value)
        return [*parts, self.say("with", *reads), Join.COMMA if reads else Join.SO, told]

    def _changes_claim(self, statement: ast.AugAssign) -> Claim | None:
        target = self.program.source.code(statement.target)
        change = written_change(statement, self.program.source)
        if target is None or change is None:
            return None
        return self.text("changes", statement.lineno, target, change)

    def _unshown(self, target: ast.expr, value: ast.expr, here: Occurrence) -> Sequence[Part]:
        """Tells an assignment of a value that cannot be written out: its size, or its code."""
        size = self._size(here, target)
        code = self._sets_claim(target, value, here)
        told = self.say("assigns code", code)
        return [*self.parts(here, value), Join.COMMA, told, Join.COMMA_AND, size]

    def _size(self, here: Occurrence, target: ast.expr) -> Part:
        if not isinstance(target, ast.Name):
            return None
        claim = self.after(here, target.id)
        if claim is None or self.speaker.words.value(claim.value) is not None:
            return None
        try:
            items = len(parse_literal(claim.value))
        except (LiteralError, TypeError):
            return None
        return self.say("size", self.claim("size", here, target.id, str(items)))


def written_change(statement: ast.AugAssign, source: Source) -> str | None:
    """Returns "+= x" for an augmented assignment, if its right side can be quoted."""
    value = source.code(statement.value)
    return None if value is None else f"{_OPERATORS[type(statement.op)]}= {value}"


def _base(target: ast.expr) -> ast.expr:
    """Returns `xs` of `xs[0].n`."""
    while isinstance(target, ast.Subscript | ast.Attribute):
        target = target.value
    return target


def is_constant(node: ast.expr) -> bool:
    """Returns whether an expression is a literal, a display of literals, or an empty value."""
    if isinstance(node, ast.Call) and is_plain(node) and not node.args:
        return True
    displays = ast.Constant | ast.List | ast.Dict | ast.Tuple | ast.UnaryOp
    return isinstance(node, displays) and not count_operations(node) and not free_names(node)
