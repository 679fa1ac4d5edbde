"""Describes one executed line in a sentence: its code, the values it read and its effect."""

import ast

from data_pipeline.monologue.wording import Words, code_of, join_words
from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing.replay import Occurrence, Replay

_MOST_READ = 3


def label(line: int) -> str:
    return f"[L{line + FIRST_LABEL - 1}]"


class LineNarrator:
    """Writes sentences about occurrences of a run."""

    def __init__(self, run: Replay, words: Words):
        self.run, self.words = run, words

    def line(self, here: Occurrence) -> str | None:
        """Returns the sentence of a line; None if it does nothing visible (a bare `try:`)."""
        statement = self.run.statement_of(here.event)
        raised = self._exception_type(here)
        if raised is not None and not isinstance(statement, ast.For | ast.While):
            code = code_of(statement) if isinstance(statement, ast.Raise) else None
            subject = code or "this line"
            return f"{subject.capitalize() if not code else subject} raises {raised}"
        match statement:
            case None:
                return self._handler(here)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                return self._assignment(statement, here)
            case ast.Return():
                return self._return(statement, here)
            case ast.If(test=test):
                return self._if(test, here)
            case ast.Expr(value=ast.Constant()):
                return None
            case ast.Expr(value=expression):
                return self._expression(expression, here)
            case ast.Assert(test=test):
                code = code_of(test)
                return f"The assertion {code} holds" if code else "The assertion holds"
            case ast.FunctionDef(name=name):
                return f"The inner function `{name}` is defined"
            case ast.Import() | ast.ImportFrom():
                return f"{code_of(statement) or 'The import'} runs"
            case ast.Delete():
                return f"{code_of(statement) or 'The deletion'} runs"
            case ast.Break():
                return self.words.choose(("`break` leaves the loop", "`break` ends the loop early"))
            case ast.Continue():
                return self.words.choose(
                    ("`continue` starts the next turn", "`continue` ends this turn early")
                )
            case ast.With():
                return "The `with` block is entered"
        return None

    def _exception_type(self, here: Occurrence) -> str | None:
        for event in self.run.events[here.at + 1 : here.end + 1]:
            if event.frame == here.event.frame and event.kind == "exception" and event.raised:
                return event.raised.type
        return None

    def _handler(self, here: Occurrence) -> str | None:
        source = self.run.trace.program.split("\n")[here.event.line - 1].strip()
        if not source.startswith("except") or "`" in source or here.event.branch is None:
            return None
        code = source.partition("#")[0].strip().rstrip(":")
        verb = "matches" if here.event.branch else "does not match"
        return f"The handler `{code}` {verb}{self._control_clause(here)}"

    # ---- assignments and expressions

    def _assignment(self, statement, here: Occurrence) -> str:
        code = code_of(statement) or "the assignment"
        changed = self._changed_values(here)
        aug = isinstance(statement, ast.AugAssign)
        targets = [statement.target] if not isinstance(statement, ast.Assign) else statement.targets
        notes = self._read_values_clause(statement.value, here, leave=set())
        names = [node.id for node in targets if isinstance(node, ast.Name)]
        if len(names) == 1 and len(targets) == 1:
            name = names[0]
            text = self.run.value(here.event.frame, name, here.at)
            value = self.words.value(text)
            if value is None:
                return f"{_sentence(code)} runs{notes}"
            before = self.words.value(self.run.value(here.event.frame, name, here.at - 1))
            if aug and before is not None and before != value:
                return self.words.choose(
                    (
                        f"`{name}` goes from {before} to {value} by {code}{notes}",
                        f"{_sentence(code)} changes `{name}` from {before} to {value}{notes}",
                    )
                )
            if isinstance(statement.value, ast.Constant):
                return self.words.choose(
                    (f"`{name}` is set to {value}", f"`{name}` is initialized to {value}",
                     f"{_sentence(code)} sets `{name}` to {value}")
                )  # fmt: skip
            return self.words.choose(
                (
                    f"{_sentence(code)} sets `{name}` to {value}{notes}",
                    f"`{name}` becomes {value} by {code}{notes}",
                    f"`{name}` is set to {value} by {code}{notes}",
                )
            )
        if not changed:
            return f"{_sentence(code)} runs{notes}"
        told = "; ".join(f"`{name}` becomes {value}" for name, value in changed)
        return f"{_sentence(code)} runs{notes}: {told}"

    def _expression(self, expression: ast.expr, here: Occurrence) -> str | None:
        end = self.run.line_end(here)
        if isinstance(expression, ast.Yield | ast.YieldFrom):
            value = self.words.value(end.value) if end is not None else None
            if end is not None and end.kind == "yield" and value is not None:
                return f"{code_of(expression) or 'The generator'} hands out {value}"
            return f"{code_of(expression) or 'The generator'} runs"
        code = code_of(expression) or "this call"
        notes = self._read_values_clause(
            expression, here, leave=set(dict(self._changed_values(here)))
        )
        changed = self._changed_values(here)
        if not changed:
            return f"{_sentence(code)} runs{notes}"
        told = "; ".join(
            self.words.choose((f"`{name}` becomes {value}", f"`{name}` is now {value}"))
            for name, value in changed
        )
        return f"{_sentence(code)} runs{notes}: {told}"

    def _changed_values(self, here: Occurrence) -> list[tuple[str, str]]:
        """Returns (name, value) for each change of a line that can be written out."""
        rows = ((name, self.words.value(text)) for name, text in here.event.changed.items())
        return [(name, value) for name, value in rows if value is not None][:4]

    def _read_values_clause(self, node: ast.AST | None, here: Occurrence, leave: set[str]) -> str:
        """Returns " (`a` = 3, `b` = 4)": the variables an expression reads, before the line."""
        if node is None:
            return ""
        names = [
            part.id
            for part in ast.walk(node)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
        ]
        notes = []
        for name in dict.fromkeys(names):
            text = self.run.value(here.event.frame, name, here.at - 1)
            value = self.words.value(text) if text is not None and name not in leave else None
            if value is not None and len(notes) < _MOST_READ:
                notes.append(f"`{name}` = {value}")
        return f" ({', '.join(notes)})" if notes else ""

    # ---- where control goes

    def _if(self, test: ast.expr, here: Occurrence) -> str:
        taken = here.event.branch
        notes = self._read_values_clause(test, here, leave=set())
        code = code_of(test)
        if taken is None:
            return f"{code or 'The condition'} is tested{notes}"
        if code and isinstance(test, ast.Compare):
            verdict = f"{code} is {taken}"
        else:
            word = self.words.choose(
                ("holds", "is met") if taken else ("does not hold", "is not met")
            )
            verdict = f"{'The condition ' if not code else ''}{code or ''}".strip() + f" {word}"
        return f"{verdict}{notes}{self._control_clause(here)}"

    def _control_clause(self, here: Occurrence) -> str:
        following = self.run.events[here.end] if here.end < len(self.run.events) else None
        if following is None or following.kind != "line" or following.frame != here.event.frame:
            return ""
        if following.line == here.event.line:
            return ""
        words = self.words.choose(("control goes to", "execution continues at", "we go to"))
        return f", so {words} {label(following.line)}"

    def turn(self, here: Occurrence) -> str:
        """Returns the sentence of a loop's header, where a turn begins or the loop ends."""
        statement = self.run.statements[here.event.line]
        number = here.event.iteration if here.event.branch else None
        total = here.totals[here.event.line][0]
        if isinstance(statement, ast.While):
            code = code_of(statement.test) or "the condition"
            notes = self._read_values_clause(statement.test, here, leave=set())
            holds = "holds" if here.event.branch else "does not hold"
            if number is not None:
                return f"Iteration {number}: {code} {holds}{notes}"
            ends = (
                f"the loop {self._iterations_clause(total)}"
                if here.event.branch is False
                else "it stops"
            )
            return f"{_sentence(code)} {holds}{notes}, so {ends}"
        assert isinstance(statement, ast.For)
        if number is None:
            if here.event.branch is None:
                return "The loop is left by an exception"
            code = code_of(statement.iter, 50)
            over = f" over {code}" if code else ""
            return f"The loop{over} {self._iterations_clause(total)}"
        names = [n.id for n in ast.walk(statement.target) if isinstance(n, ast.Name)]
        values = []
        for name in names[:3]:
            text = self.run.value(here.event.frame, name, here.at)
            value = self.words.value(text)
            if value is not None:
                values.append(f"`{name}` is {value}")
        told = f": {join_words(values)}" if values else " begins"
        return f"Iteration {number}{told}"

    def _iterations_clause(self, total: int) -> str:
        if total == 0:
            return "makes 0 iterations"
        turns = "1 iteration" if total == 1 else f"{total} iterations"
        return self.words.choose((f"ends after {turns}", f"is complete after {turns}"))

    def _return(self, statement: ast.Return, here: Occurrence) -> str:
        end = self.run.line_end(here)
        outer = here.event.frame == 0
        function = here.event.function.rpartition(".")[2]
        who = "The function" if outer or not function.isidentifier() else f"`{function}`"
        value = self.words.value(end.value) if end is not None else None
        if value is None:
            return f"{who} returns here"
        if isinstance(statement.value, ast.Name) and outer:
            return f"{who} returns `{statement.value.id}`, which is {value}"
        code = code_of(statement.value, 70) if statement.value is not None else None
        if code is None or isinstance(statement.value, ast.Constant | ast.Name):
            return f"{who} returns {value}"
        notes = self._read_values_clause(statement.value, here, leave=set())
        return self.words.choose(
            (
                f"{code} evaluates to {value}{notes}, and {who.lower()} returns {value}"
                if outer
                else f"{code} evaluates to {value}{notes}, so {who} returns {value}",
                f"With {notes[2:-1]}, {code} comes to {value}; {who} returns {value}"
                if notes and outer
                else f"{code} comes to {value}{notes}; {who} returns {value}",
            )
        ).replace("; The function", "; the function")


def _sentence(text: str) -> str:
    return text if text.startswith("`") else text[:1].upper() + text[1:]
