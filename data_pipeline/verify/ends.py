"""Judges what a text says about returns, exceptions and the line that runs next."""

import ast
import builtins
import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.answer import outcome
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import (
    MOST_STATES,
    UNKNOWN,
    ValueVerdicts,
    Verdict,
    best_verdict,
    dump_expression,
    dump_node,
)
from data_pipeline.verify.values import compare

_OF_FUNCTION = re.compile(
    r"^(?:(?:so|thus|then|therefore|and|finally),? )*(?:it|this|that|(?:the )?(?:function|program|"
    r"code|call|line)|[a-z_]\w*) (?:then |finally )?returns\b|^returns\b|\bis returned\b",
    re.I,
)


class EndVerdicts:
    """Judges claims about how lines, calls and the run end."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def returned(self, worded: WordedClaim, here: Occurrence | None, sure: bool) -> Verdict:
        name = worded.subject
        if name is not None and not (name.isidentifier() and name in self.run.functions):
            if here is None:
                return self.values.anywhere(WordedClaim("value", worded.text, name, worded.value))
            claim = WordedClaim("value", worded.text, name, worded.value)
            return self.values.expression(claim, here)
        if name is not None:
            return self._called(worded, here, sure)
        if here is not None:
            judged = self._on_line(worded, here, sure)
            if judged is not None:
                return judged
        if self.run.trace.result is None:
            return CONTRADICTED, outcome(self.run.trace)
        verdict = compare(worded.value, self.run.trace.result)
        return verdict, self.run.trace.result

    def given_back(self, worded: WordedClaim, here: Occurrence | None, sure: bool) -> Verdict:
        """Judges "returns the original string unchanged": what the call was given is returned."""
        end = self.run.line_end(here) if here is not None and sure else None
        real = end.value if end is not None else self.run.trace.result
        frame = here.event.frame if end is not None and here is not None else 0
        given = self.run.events[self.run.frames[frame][0]].changed if self.run.frames else {}
        if real is None or not given or self.run.trace.truncated:
            return UNKNOWN
        texts = [given[worded.subject]] if worded.subject in given else list(given.values())
        if any(compare(text, real) == CONFIRMED for text in texts):
            return CONFIRMED, real
        return CONTRADICTED, real

    def _called(self, worded: WordedClaim, here: Occurrence | None, sure: bool) -> Verdict:
        """Judges the result of a function of the program that is named."""
        run = self.run
        frames = run.calls_of(worded.subject or "")
        results = [text for f in frames[:500] if (text := run.frame_result(f)) is not None]
        near = results
        if here is not None and sure:
            called = {e.frame for _, e in self.values.inside(here) if e.kind == "call"}
            wanted = {f for f in frames if f in called} or ({here.event.frame} & set(frames))
            near = [text for f in wanted if (text := run.frame_result(f)) is not None]
        if not near:
            return UNKNOWN
        judged = best_verdict(worded.value, [(text, text) for text in near])
        if sure or judged[0] == CONFIRMED:
            return judged
        if all(compare(worded.value, text) == CONTRADICTED for text in results):
            return judged
        return NOT_CHECKABLE, judged[1]

    def _on_line(self, worded: WordedClaim, here: Occurrence, sure: bool) -> Verdict | None:
        """Judges "it returns V" on a placed line; None to compare with the run's result."""
        run = self.run
        statement, end = run.statement_of(here.event), run.line_end(here)
        if isinstance(statement, ast.Return) and end is not None and end.value is not None:
            judged = best_verdict(worded.value, [(end.value, end.value)])
            if judged[0] == CONTRADICTED and self._calls_program(statement):
                inner = [e.value for _, e in self.values.inside(here) if e.kind == "return"]
                held = any(compare(worded.value, text or "") == CONFIRMED for text in inner)
                return (NOT_CHECKABLE, end.value) if held else judged  # of another call of it
            if judged[0] == CONTRADICTED and self.values.is_part(worded.value, here):
                return CONFIRMED, worded.value  # of a call inside it: "strip returns 'a'"
            return judged
        results = [
            e.value
            for _, e in self.values.inside(here)
            if e.kind in ("return", "yield") and e.value is not None
        ]
        own = run.frame_result(here.event.frame)
        results += [own] if own is not None else []
        results += [run.trace.result] if run.trace.result is not None else []
        if any(compare(worded.value, text) == CONFIRMED for text in results):
            return CONFIRMED, worded.value
        if self.values.is_part(worded.value, here):
            of_test = here.event.branch is not None and worded.value in ("True", "False")
            is_told = of_test or not _OF_FUNCTION.search(worded.text)
            if not is_told and not self._is_of_call(worded.value, here):
                return NOT_CHECKABLE, outcome(run.trace)  # "[L6] it returns 4" of `y = f(x) + 1`
            return CONFIRMED, worded.value
        compound = isinstance(statement, ast.FunctionDef | ast.If | ast.For | ast.While)
        if sure and compound and here.event.frame == 0 and run.trace.result is not None:
            return NOT_CHECKABLE, outcome(run.trace)
        if not self.values.pools.everything.has(worded.value):
            return CONTRADICTED, outcome(run.trace)
        return NOT_CHECKABLE, outcome(run.trace)

    def _is_of_call(self, value: str, here: Occurrence) -> bool:
        """Returns whether a call on a line, or an item of its result, may be a value.

        What the program's own functions return there is known, and was not that value.
        """
        before = self.run.state(here.event.frame, here.at - 1)
        for node in own_nodes(self.run.statement_of(here.event)):
            if not isinstance(node, ast.Call | ast.Subscript):
                continue
            try:
                text = render(evaluate_node(node, before))
            except (Unknown, ValueError, RecursionError):
                if not self._calls_program(node):
                    return True
            else:
                if compare(value, text) == CONFIRMED:
                    return True
        return False

    def _calls_program(self, statement: ast.AST) -> bool:
        """Returns whether a statement calls a function of the program itself."""
        return any(
            isinstance(node, ast.Call) and getattr(node.func, "id", None) in self.run.functions
            for node in ast.walk(statement)
        )

    def conditional_return(self, worded: WordedClaim) -> Verdict | None:
        """Contradicts a return with conditions if no such return ran with these values.

        Example: "`return x` gives 3, with `y` = 2".
        """
        code = dump_expression((worded.subject or "").removeprefix("return "))
        ran = [
            here
            for line, node in self.run.statements.items()
            if isinstance(node, ast.Return) and node.value and dump_node(node.value) == code
            for here in self.run.by_line.get(line, ())[:MOST_STATES]
        ]
        if not worded.given or not ran or any(self.values.holds(worded.given, h) for h in ran):
            return None
        state = self.run.state(ran[-1].event.frame, ran[-1].at - 1)
        return CONTRADICTED, ", ".join(f"{name}={state.get(name)}" for name, _ in worded.given)

    def not_returned(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
        """Judges "it does not return V"."""
        end = self.run.line_end(here) if here is not None else None
        real = end.value if end is not None and end.kind == "return" else self.run.trace.result
        if real is None:
            return CONFIRMED, outcome(self.run.trace)
        same = compare(worded.value, real) == CONFIRMED
        if same and here is not None and end is None:
            return NOT_CHECKABLE, real  # not on this line
        return (CONTRADICTED if same else CONFIRMED), real

    def yielded(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        end = self.run.line_end(here)
        if end is None or end.kind != "yield" or end.value is None:
            return UNKNOWN
        return best_verdict(worded.value, [(end.value, end.value)])

    def raised(self, worded: WordedClaim, here: Occurrence | None) -> Verdict:
        run = self.run
        types = {e.raised.type for e in run.events if e.kind == "exception" and e.raised}
        if run.trace.raised is not None:
            types.add(run.trace.raised.type)
        truth = ", ".join(sorted(types)) or "no exception"
        if not worded.value:
            if here is not None and (local := self._raised_by(here)):
                return CONTRADICTED, ", ".join(sorted(local))
            if types and not run.trace.raised and here is None:
                return NOT_CHECKABLE, truth  # raised and caught
            return (CONTRADICTED if run.trace.raised else CONFIRMED), truth
        if here is not None:
            local = self._raised_by(here)
            if any(_is_a(raised, worded.value) for raised in local) and not _argument_of(worded):
                return CONFIRMED, worded.value
            if local and not any(_is_a(raised, worded.value) for raised in local):
                return CONTRADICTED, ", ".join(sorted(local))
        if any(_is_a(raised, worded.value) for raised in types):
            told = _argument_of(worded)
            messages = {e.raised.message for e in run.events if e.kind == "exception" and e.raised}
            if told is not None and not messages & {str(told), repr(told)}:
                return CONTRADICTED, "; ".join(sorted(messages))[:200]
            if here is None and len(types) > 1:
                return NOT_CHECKABLE, truth  # which of them is meant, nothing says
            return CONFIRMED, truth
        return (CONTRADICTED if not run.trace.truncated else NOT_CHECKABLE), truth

    def raised_within(self, worded: WordedClaim, window: tuple[int, int]) -> Verdict:
        """Judges "raises a `ValueError`" of one turn by the exceptions that come up in it."""
        events = self.run.events[window[0] : window[1] + 1]
        found = [e.raised for e in events if e.kind == "exception" and e.raised]
        truth = ", ".join(sorted({one.type for one in found})) or "no exception"
        fits = [one for one in found if _is_a(one.type, worded.value)]
        told = _argument_of(worded)
        if told is not None:
            fits = [one for one in fits if one.message in (str(told), repr(told))]
        if not worded.value:
            return (CONTRADICTED if found else CONFIRMED), truth
        return (CONFIRMED if fits else CONTRADICTED), truth

    def _raised_by(self, here: Occurrence) -> set[str]:
        """Returns the types of exceptions that come up while a line runs."""
        events = self.run.events[here.at : here.end + 1]
        return {e.raised.type for e in events if e.kind == "exception" and e.raised}

    def goes_somewhere(self, worded: WordedClaim) -> Verdict:
        """Judges "proceeds to [L9]" of no known line: it is a line that runs, or none."""
        line = self.run.starts.get(int(worded.value) - FIRST_LABEL + 1)
        if line is None or self.run.trace.truncated:
            return UNKNOWN
        if self.run.by_line.get(line):
            return CONFIRMED, "the line runs"
        first = self.run.statements.get(line)
        silent = isinstance(first, ast.Try | ast.FunctionDef | ast.With | None)
        return UNKNOWN if silent else (CONTRADICTED, "the line does not run")

    def goto(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        line = self.run.starts.get(int(worded.value) - FIRST_LABEL + 1)
        if line is None:
            return UNKNOWN
        own_next = self.run.events[here.end] if here.end < len(self.run.events) else None
        following = [
            e.line for e in self.run.events[here.at + 1 : here.at + 4000] if e.kind == "line"
        ]
        if not following:
            return UNKNOWN
        truth = f"[L{following[0] + FIRST_LABEL - 1}] runs next"
        if following[0] == line or (own_next is not None and own_next.line == line):
            return CONFIRMED, truth
        later = [o for o in self.run.by_line.get(line, ()) if o.at > here.at]
        first = ast.unparse(self.run.statements[line])[:4] if line in self.run.statements else ""
        if later or first in ("try:", "def ", "with") or self.run.trace.truncated:
            return NOT_CHECKABLE, truth
        return CONTRADICTED, truth


def _argument_of(worded: WordedClaim) -> object | None:
    """Returns the argument of "KeyError('b')" as told; None for none, several, or no literal."""
    told = re.search(rf"\b{re.escape(worded.value)}\(([^()]+)\)", worded.text)
    value = value_or_none(told[1]) if told else None
    return None if isinstance(value, tuple) else value


def _is_a(raised: str, named: str) -> bool:
    """Returns whether a builtin exception is the named one or a subclass of it."""
    if raised == named:
        return True
    types = (getattr(builtins, raised, None), getattr(builtins, named, None))
    return all(isinstance(t, type) for t in types) and issubclass(*types)
