"""Tells one executed line: the claims it makes, in the order of a sentence."""

import ast
from collections.abc import Sequence

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.assignments import AssignmentNarrator, is_constant
from data_pipeline.monologue.control import ControlNarrator
from data_pipeline.monologue.expressions import header_parts, joined
from data_pipeline.monologue.speech import Clause, Join, Part, Sentence, join
from data_pipeline.source.scopes import all_arguments
from data_pipeline.tracing.replay import Occurrence

_MOST_GIVEN = 6  # arguments told of a call


class LineNarrator(AssignmentNarrator, ControlNarrator):
    """Writes a sentence about an occurrence of a line; None if the line shows no effect."""

    def entry(self, frame: int) -> Sentence | None:
        """Tells with which arguments a frame starts."""
        first = self.run.frames[frame][0]
        event = self.run.events[first]
        function = self.program.definition(event)
        if function is None or event.kind != "call":
            return None
        place = Place(function.lineno, first, frame)
        enters = Claim("enters", place, function.name)
        parameters = {argument.arg for argument in all_arguments(function.args)}
        given = [Claim("after", place, name, text) for name, text in event.changed.items()
                 if name in parameters]  # fmt: skip
        told = self.say("enters", enters, *given[:_MOST_GIVEN]) if given else None
        return join([told or self.say("enters bare", enters)], function.lineno)

    def line(self, here: Occurrence) -> Sentence | None:
        parts = list(self._line(here))
        parts += self._end(here)
        return join(parts, self.program.first_line(here.event))

    def turn(self, here: Occurrence) -> Sentence | None:
        """Tells a loop's header, where a turn begins or the loop ends."""
        statement = self.program.statement(here.event)
        line = self.program.first_line(here.event)
        if self._exception_type(here) is not None:
            return self.line(here)
        if isinstance(statement, ast.While):
            return join([*self._while(statement, here), *self._end(here)], line)
        assert isinstance(statement, ast.For | ast.AsyncFor)
        if not here.event.branch:
            return join([*self._loop_ends(statement, here), *self._end(here)], line)
        turn = self.claim("turn", here, "", str(here.event.iteration))
        names = [n.id for n in ast.walk(statement.target) if isinstance(n, ast.Name)]
        values = [self.after(here, name) for name in dict.fromkeys(names)]
        shown = [c for c in values if c and self.speaker.words.value(c.value) is not None]
        told = self.say("turn", turn, *shown) if shown else self.say("bare turn", turn)
        return join([told], line)

    def _line(self, here: Occurrence) -> Sequence[Part]:
        statement = self.program.statement(here.event)
        raised = self._exception_type(here)
        if raised is not None:
            return self._raise(statement, here, raised)
        match statement:
            case None:
                return self._other(here)
            case ast.Assign() | ast.AnnAssign():
                return self._assignment(statement, here)
            case ast.AugAssign():
                return self._augmented(statement, here)
            case ast.Return():
                return self._return(statement, here)
            case ast.If(test=test):
                return self._if(test, here)
            case ast.Expr(value=expression):
                return self._expression(expression, here)
            case ast.Assert(test=test):
                holds = self.say("holds", self.code_claim("branch", here, test, "True"))
                return [*self.put_or_parts(here, test), Join.SO, holds]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                return [self.say("defines", self.text("defines", statement.lineno, name))]
            case ast.ClassDef(name=name):
                return [self.say("defines class", self.text("defines", statement.lineno, name))]
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound = ", ".join(one.asname or one.name.partition(".")[0] for one in names)
                return [self.say("imports", self.code_claim("imports", here, statement, bound))]
            case ast.Match(subject=subject):
                text = self.arithmetic(here, subject).text(subject)
                claim = self.code_claim("evaluates", here, subject, text or "")
                return [self.say("subject", claim if text else None)]
            case ast.Delete():
                gone = [self.say("gone", self.claim("gone", here, n)) for n in here.event.gone]
                return [*joined(gone, Join.AND), Join.COMMA_AND, *self.changes(here)]
            case ast.Break() | ast.Continue() | ast.Pass():
                return self._bare(statement, here)
            case ast.With() | ast.AsyncWith():
                return self._with(statement, here)
        return []

    def _end(self, here: Occurrence) -> Sequence[Part]:
        """Tells that the frame ends with this line although it is no `return`."""
        end = self.run.line_end(here)
        if end is None or end.kind != "return":
            return []
        if isinstance(self.program.statement(here.event), ast.Return):
            return []
        if self.program.is_generator(here.event.frame):
            return []
        name = here.event.function.rpartition(".")[2]
        if name == "__init__":
            return []
        return [Join.STOP, self.run_off(here, end.value or "")]

    def run_off(self, here: Occurrence, value: str) -> Part:
        """Tells that a function ends with a line that is no `return`."""
        held = self._held_return(here)
        if held is not None:
            claim = self.code_claim("held", here, held, value)
            return self.say("held", claim) or self.say("held bare", claim)
        name = here.event.function.rpartition(".")[2]
        return self.say("falls off", self.claim("returns", here, name, value))

    def _held_return(self, here: Occurrence) -> ast.expr | None:
        """Returns the value of the `return` that a `finally` block held back."""
        for block in self.run.nodes:
            if not (isinstance(block, ast.Try) and block.finalbody):
                continue
            first, last = block.finalbody[0].lineno, block.finalbody[-1].end_lineno or 0
            if not first <= here.event.line <= last:
                continue
            for other in reversed(self.run.occurrences):
                inside = block.lineno < other.event.line < first and other.at < here.at
                if inside and other.event.frame == here.event.frame:
                    statement = self.program.statement(other.event)
                    return statement.value if isinstance(statement, ast.Return) else None
        return None

    def _exception_type(self, here: Occurrence) -> str | None:
        for event in self.run.events[here.at + 1 : here.end + 1]:
            if event.frame == here.event.frame and event.kind == "exception" and event.raised:
                return event.raised.type
        return None

    def _raise(self, statement: ast.stmt | None, here: Occurrence, kind: str) -> Sequence[Part]:
        claim = self.claim("raises", here, "", kind)
        if isinstance(statement, ast.Raise) and statement.exc is not None:
            called = isinstance(statement.exc, ast.Call)
            name = self.program.source.code(statement.exc.func if called else statement.exc)
            if name is not None and name.rpartition(".")[2] == kind:
                return [self.say("throws", self.text("throws", statement.lineno, name), claim)]
        reads = self.reads(here, *header_parts(statement)) if statement is not None else []
        return [self.say("with", *reads), Join.COMMA, self.say("raises", claim)]

    def _expression(self, expression: ast.expr, here: Occurrence) -> Sequence[Part]:
        match expression:
            case ast.Constant() | ast.YieldFrom():
                return []
            case ast.Yield(value=value):
                end = self.run.line_end(here)
                if end is None or end.kind != "yield":
                    return []
                parts = self.put_or_parts(here, value) if value is not None else []
                claim = self.claim("yields", here, "", end.value or "")
                return [*parts, Join.SO, self.say("yields", claim)]
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[item]):
                told = self._append(name, item, here)
                if told is not None:
                    return [*self.parts(here, item, whole=True), Join.SEMICOLON, told]
        changed = self.changed_claims(here)
        parts = [*self.items(here, expression), Join.SEMICOLON, *self.parts(here, expression)]
        parts = parts if any(isinstance(part, Clause) for part in parts) else []
        if changed:
            does = self.text_of_code("does", here, expression)
            told = self.say("does", does, *changed) or self.say("all now", *changed)
            if parts:
                return [*parts, Join.STOP, told]
            reads = [c for c in self.reads(here, expression) if c.subject not in here.event.changed]
            return [self.say("with", *reads), Join.COMMA, told]
        if here.event.changed:
            return [*parts]
        return [*parts, Join.STOP, self._without_effect(expression, here)]

    def _without_effect(self, expression: ast.expr, here: Occurrence) -> Part:
        match expression:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
                does = self.text_of_code("does", here, expression)
                before = self.before(here, name)
                told = self.say("does still", does, before, self.after(here, name))
                if told is not None:
                    return told
        quiet, reads = self.code_claim("quiet", here, expression), self.reads(here, expression)
        return self.say("quiet with", quiet, *reads) if reads else self.say("quiet", quiet)

    def _append(self, name: str, item: ast.expr, here: Occurrence) -> Part:
        text = self.arithmetic(here, item).text(item)
        if text is None:
            return None
        return self.say("appends", self.claim("appends", here, name, text), self.after(here, name))

    def _return(self, statement: ast.Return, here: Occurrence) -> Sequence[Part]:
        value = statement.value
        end = self.run.line_end(here)
        if end is None or end.kind != "return":
            text = self.arithmetic(here, value).text(value) if value is not None else None
            waits = self.code_claim("waits", here, value, text) if value and text else None
            return [self.say("waits", waits)]
        name = here.event.function.rpartition(".")[2]
        returns = self.claim("returns", here, name, end.value or "")
        if self.program.is_generator(here.event.frame):
            return [self.say("generator ends", returns)]
        inner = here.event.frame != 0
        say = self.say if inner else self.speaker.wider().say
        told = self._inner_result(here, end.value) if inner else say("returns", returns)
        if value is None or is_constant(value):
            return [told or self.say("inner returns" if inner else "returns", returns)]
        gives = self.text_of_code("gives", here, value)
        if isinstance(value, ast.Name) and not inner:
            return [say("returns name", gives, returns) or told or self.say("gives", gives)]
        items = self.items(here, value)
        parts = [*items, Join.SEMICOLON, *self.put_or_parts(here, value)]
        parts = parts if any(isinstance(part, Clause) for part in parts) else []
        told = told or (self.say("inner returns", returns) if inner else None)
        if told is None:
            return [*parts, Join.COMMA_AND, self.say("gives", gives)]
        if parts:
            return [*parts, Join.SEMICOLON, told]
        is_plain = isinstance(value, ast.Tuple | ast.Name)
        reads = [] if is_plain else self.reads(here, value)
        if inner:
            result = self._result_claim(here, end.value)
            return [
                self.say("with", *reads),
                Join.COMMA,
                self.say("result of", gives, result) or told,
            ]
        by_code = say("returns with", gives, returns, *reads) if reads else None
        return [by_code or say("returns name", gives, returns) or told]

    def _inner_result(self, here: Occurrence, value: str | None) -> Part:
        """Tells which call returns here: "`fact(n=3)` returns 6"."""
        return self.say("result", self._result_claim(here, value))

    def _result_claim(self, here: Occurrence, value: str | None) -> Claim | None:
        first = self.run.frames[here.event.frame][0]
        call = self.program.call_text(self.run.events[first])
        if call is None or value is None:
            return None
        function = self.program.definition(self.run.events[first])
        line = function.lineno if function is not None else self.run.events[first].line
        return Claim("result", Place(line, first, here.event.frame), call, value)
