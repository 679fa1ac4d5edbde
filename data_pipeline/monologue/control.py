"""Tells where control goes: tests, loops, handlers, cases, `with` blocks."""

import ast
from collections.abc import Sequence

from data_pipeline.claims import Claim
from data_pipeline.monologue.arithmetic import Arithmetic, count_operations, operands
from data_pipeline.monologue.expressions import ExpressionNarrator
from data_pipeline.monologue.speech import Join, Part
from data_pipeline.tracing.replay import Occurrence


class ControlNarrator(ExpressionNarrator):
    """Writes clauses for lines that decide which line runs next."""

    def _if(self, test: ast.expr, here: Occurrence) -> Sequence[Part]:
        return [*self.test(test, here), *self._control(here)]

    def test(self, test: ast.expr, here: Occurrence) -> list[Part]:
        """Tells how a test comes out."""
        if here.event.branch is None:
            return []
        raw = str(here.event.branch)
        verdict, value = (
            self.code_claim("branch", here, test, raw),
            self.code_claim("is", here, test, raw),
        )
        known = self.arithmetic(here, test)
        parts, text = self.parts(here, test), known.text(test)
        put = self.put(here, test, known)
        if text is not None and text not in ("True", "False"):
            counts = self.say("counts", self.code_claim("evaluates", here, test, text), verdict)
            return [*parts, Join.SO, counts]
        told = self.say("test put", put, value) if put is not None else None
        if told is not None:
            return [*parts, Join.SO, told]
        if parts:
            named = []
            if isinstance(test, ast.BoolOp):
                named = [o for o in operands(test, known) if not count_operations(o)]
            reads = self.reads(here, *named)
            opening = [self.say("with", *reads), Join.COMMA] if reads else []
            named_test = self.say("test", value) if text is not None else None
            return [*opening, *parts, Join.SO, named_test or self.say("truth", verdict)]
        reads = [] if isinstance(test, ast.Name) else self.reads(here, test)
        if text is None:
            return [
                self.say("truth with", verdict, *reads) if reads else self.say("truth", verdict)
            ]
        return [self.say("test with", value, *reads) if reads else self.say("test", value)]

    def _control(self, here: Occurrence) -> list[Part]:
        if here.event.branch:
            test = self.program.statement(here.event)
            if isinstance(test, ast.If):
                entered = self.code_claim("branch", here, test.test, "True")
                return [Join.SO, self.say("enters body", entered)]
            return []
        return [Join.SO, self.to(here)]

    def to(self, here: Occurrence) -> Part:
        following = self.run.events[here.end] if here.end < len(self.run.events) else None
        if following is None or following.kind != "line" or following.line == here.event.line:
            return None
        if not self.labels:
            return None
        return self.say("to", self.claim("next", here, "", str(following.line)))

    def _other(self, here: Occurrence) -> Sequence[Part]:
        """Tells an `except` or `case` header, or several statements on one line."""
        handler = self.program.handlers.get(here.event.line)
        if handler is not None and here.event.branch is not None:
            code = "except" + ("" if handler.type is None else
                               f" {self.program.source.code(handler.type)}")  # fmt: skip
            form = "handled" if here.event.branch else "unhandled"
            claim = self.claim("handler", here, code, str(here.event.branch))
            return [self.say(form, claim), *([] if here.event.branch else self._control(here))]
        case = self.program.cases.get(here.event.line)
        if case is not None and here.event.branch is not None:
            return self._case(case, here)
        return self.changes(here)

    def _case(self, case: ast.match_case, here: Occurrence) -> Sequence[Part]:
        pattern = self.program.source.code(case.pattern)
        guard = self.program.source.code(case.guard) if case.guard is not None else ""
        if pattern is None or guard is None:
            return []
        code = f"case {pattern}" + (f" if {guard}" if guard else "")
        claim = self.claim("case", here, code, str(here.event.branch))
        captures = self.say("captures", *self.changed_claims(here)) if here.event.changed else None
        failed = "guard fails" if here.event.changed else "no case"
        told: list[Part] = [self.say("case" if here.event.branch else failed, claim)]
        if captures is not None:
            told += [Join.SEMICOLON, captures]
            if case.guard is not None:
                known = Arithmetic(lambda n: self.run.value(here.event.frame, n, here.at),
                                   lambda name, arguments: None)  # fmt: skip
                text = known.text(case.guard)
                value = self.code_claim("evaluates", here, case.guard, text or "")
                told += [Join.COMMA_AND, self.say("guard", value if text else None)]
        return told

    def _bare(self, statement: ast.stmt, here: Occurrence) -> Sequence[Part]:
        match statement:
            case ast.Break():
                header = self.program.header_of(here)
                if header is None:
                    return []
                number, place = header
                turns = Claim("turns", place, "", str(number))
                return [self.say("break", self.text("bare", statement.lineno, "break"), turns)]
            case ast.Continue():
                following = self.run.events[here.end] if here.end < len(self.run.events) else None
                if following is None or following.kind != "line":
                    return []
                claim = self.claim("next", here, "", str(following.line))
                bare = self.text("bare", statement.lineno, "continue")
                if not self.labels:
                    return [self.say("bare continue", bare)]
                return [self.say("continue", bare, claim)]
        return [self.say("pass", self.text("bare", statement.lineno, "pass"))]

    def _with(self, statement: ast.With | ast.AsyncWith, here: Occurrence) -> Sequence[Part]:
        kind = "leave" if self.program.leaves_with(here, statement) else "enter"
        context = self.program.source.code(statement.items[0].context_expr)
        if context is None:
            return []
        opens = self.text("opens", statement.lineno, context)
        told = self.say(f"{kind} with", self.claim("with", here, "", kind), opens)
        return [told, Join.COMMA_AND, *(self.changes(here) if kind == "enter" else ())]

    def _while(self, statement: ast.While, here: Occurrence) -> Sequence[Part]:
        test = self.test(statement.test, here)
        if here.event.branch:
            turn = self.claim("turn", here, "", str(here.event.iteration))
            if isinstance(statement.test, ast.Constant):
                return [self.say("bare turn", turn)]
            return [self.say("while turn", turn), Join.COLON, *test]
        total = here.totals[here.event.line][0] if here.event.line in here.totals else 0
        form = {0: "no while turn", 1: "loop ends once"}.get(total, "loop ends")
        turns = self.claim("turns", here, "", str(total))
        return [*test, Join.SO, self.say(form, turns)]

    def _loop_ends(self, statement: ast.For | ast.AsyncFor, here: Occurrence) -> Sequence[Part]:
        total = here.totals[here.event.line][0] if here.event.line in here.totals else 0
        code, target = (
            self.program.source.code(statement.iter),
            self.program.source.code(statement.target),
        )
        turns = self.claim("turns", here, "", str(total))
        if code is None or target is None:
            return [self.say("loop ends once" if total == 1 else "loop ends", turns)]
        loop = self.text("loop", statement.lineno, code, target)
        form = {0: "no turn", 1: "ends once"}.get(total, "ends")
        parts = self.parts(here, statement.iter, whole=True) if not total else []
        return [*parts, Join.SO, self.say(form, loop, turns)]
