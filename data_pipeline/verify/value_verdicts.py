"""Claims about values, each against the states of the run that it may mean."""

import ast
import functools
from collections.abc import Iterator

from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Run
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.values import compare
from data_pipeline.verify.wording import WordedClaim

Verdict = tuple[str, str | None]  # verdict, truth
UNKNOWN: Verdict = (NOT_CHECKABLE, None)
MOST_STATES = 2000


class ValueVerdicts:
    """Verdicts on what a claim says of a variable, an expression or a line's outcome."""

    def __init__(self, run: Run):
        self.run = run

    def value(self, said: WordedClaim, here: Occurrence) -> Verdict:
        assert said.subject is not None
        if said.subject.isidentifier() and said.subject not in ("True", "False", "None"):
            texts = list(self._texts(said, here))
            if not texts:
                return UNKNOWN
            return best_verdict(said.value, [(text, f"{said.subject}={text}") for text in texts])
        return self.expression(said, here)

    def _texts(self, said: WordedClaim, here: Occurrence) -> Iterator[str]:
        """What a name stands for at a line: each text it may mean."""
        frame, run, name = here.event.frame, self.run, said.subject
        assert name is not None
        if said.when == "call":
            called = [
                text
                for number, event in self.inside(here)
                if event.kind == "call"
                and (text := run.value(event.frame, name, number)) is not None
            ]
            if called:
                yield from called[:50]
                return
        before = run.value(frame, name, here.at - 1)
        after = run.value(frame, name, here.at)
        end = run.value(frame, name, here.end - 1)
        if said.when == "before":
            wanted = [before]
        elif said.when == "after" or (
            said.when == "any" and here.event.branch and self._binds(here, name)
        ):
            wanted = [after, end]
        else:
            wanted = [before, after, end]
        found = [text for text in dict.fromkeys(wanted) if text is not None]
        yield from found
        if not found:
            turns = [
                event.changed[name]
                for number, event in self.inside(here)
                if event.kind == "step" and name in event.changed
            ]
            yield from turns[:200]
        if not found and (constant := run.constants.get(name)) is not None:
            yield constant

    def _binds(self, here: Occurrence, name: str) -> bool:
        """Whether a loop's header binds a name: a turn speaks of its own value of it."""
        statement = self.run.statements.get(here.event.line)
        target = statement.target if isinstance(statement, ast.For) else None
        return target is not None and any(
            isinstance(node, ast.Name) and node.id == name for node in ast.walk(target)
        )

    def within(self, said: WordedClaim, frame: int, window: tuple[int, int]) -> Verdict | None:
        """A variable's value at any time of a turn; None where the variable is not of the frame."""
        name = said.subject or ""
        positions, texts = self.run.history(frame, name)
        seen = [self.run.value(frame, name, window[0] - 1)]
        seen += [
            text for at, text in zip(positions, texts, strict=True) if window[0] <= at <= window[1]
        ]
        real = [(text, f"{name}={text}") for text in seen if text is not None]
        return best_verdict(said.value, real) if real else None

    def ends_of(
        self, said: WordedClaim, here: Occurrence, window: tuple[int, int]
    ) -> tuple[bool, bool, str | None] | None:
        """Whether a variable has a value before a turn, and whether it has it at any time in it;
        with the truth at the turn's end. None of anything but a variable's value."""
        name, run, frame = said.subject or "", self.run, here.event.frame
        if said.kind != "value" or name not in run.names:
            return None
        positions, texts = run.history(frame, name)
        inside = [t for at, t in zip(positions, texts, strict=True) if window[0] <= at <= window[1]]
        before = run.value(frame, name, window[0] - 1)
        if before is None or None in inside:
            return None
        first = compare(said.value, before) == CONFIRMED
        last = any(compare(said.value, text) == CONFIRMED for text in inside if text is not None)
        if not inside:
            last = first
        return first, last, f"{name}={run.value(frame, name, window[1])}"

    def inside(self, here: Occurrence):
        for number in range(here.at + 1, min(here.end, here.at + 2000)):
            yield number, self.run.events[number]

    def expression(self, said: WordedClaim, here: Occurrence) -> Verdict:
        assert said.subject is not None
        results: list[tuple[str, str]] = []
        frame = here.event.frame
        whole = self._whole(said.subject, here)
        if whole is not None:
            results.append((whole, f"{said.subject} = {whole}"))
        else:
            for at in (here.at - 1, here.at, here.end - 1):
                try:
                    value = evaluate(said.subject, self.run.state(frame, at))
                except Unknown:
                    continue
                results.append((_text(value), f"{said.subject} = {_text(value)}"))
        return best_verdict(said.value, results) if results else UNKNOWN

    def _whole(self, expression: str, here: Occurrence) -> str | None:
        """Of a line's own expression, what the run made of it."""
        statement = self.run.statements.get(here.event.line)
        own = getattr(statement, "test", None) or getattr(statement, "value", None)
        if own is None or dump_expression(expression) != dump_node(own):
            return None
        match statement:
            case ast.If() | ast.While() if here.event.branch is not None:
                return str(here.event.branch) if isinstance(own, ast.Compare) else None
            case ast.Assign(targets=[ast.Name(id=name)]) if name in here.event.changed:
                return here.event.changed[name]
            case ast.Return():
                end = self.run.line_end(here)
                return end.value if end is not None and end.kind == "return" else None
        return None

    def anywhere(self, said: WordedClaim) -> Verdict:
        """A value at no certain place: confirmed where the run ends with it, contradicted where
        no state of the run has it."""
        assert said.subject is not None
        run, checked = self.run, 0
        if said.subject.isidentifier():
            seen = []
            for frame in list(run.frames)[:MOST_STATES]:
                _, texts = run.history(frame, said.subject)
                seen += [text for text in texts[:MOST_STATES] if text is not None]
            seen += [c for c in [run.constants.get(said.subject)] if c is not None]
            if not seen or len(seen) > MOST_STATES:
                return UNKNOWN
            verdicts = {compare(said.value, text) for text in set(seen)}
            truth = f"{said.subject}={seen[-1]}"
        else:
            names = _names(said.subject)
            verdicts, truth = set(), None
            for here in run.occurrences[:MOST_STATES]:
                if names and not names & set(here.event.changed) and checked:
                    continue
                judged = self.expression(said, here)
                frame = here.event.frame
                if judged == UNKNOWN and any(
                    run.value(frame, name, here.end - 1) is None for name in names & run.names
                ):
                    continue  # not all of it exists yet
                checked += judged[0] != NOT_CHECKABLE
                verdicts.add(judged[0])
                truth = judged[1] or truth
        if CONFIRMED in verdicts:
            return CONFIRMED, truth
        if verdicts == {CONTRADICTED} and not run.trace.truncated:
            return CONTRADICTED, truth
        return NOT_CHECKABLE, truth

    def outcome(self, said: WordedClaim, here: Occurrence, sure: bool) -> Verdict:
        texts = list(here.event.changed.values())
        end = self.run.line_end(here)
        if end is not None and end.value is not None:
            texts.append(end.value)
        statement = self.run.statements.get(here.event.line)
        if here.event.branch is not None:
            texts.append(str(here.event.branch))
        judged = best_verdict(said.value, [(text, text) for text in texts]) if texts else UNKNOWN
        if judged[0] != CONTRADICTED:
            return judged
        simple = isinstance(statement, ast.Assign | ast.AugAssign | ast.Return) and len(texts) == 1
        inner = getattr(statement, "value", None)
        if isinstance(inner, ast.AST) and self._is_part(said.value, inner, here):
            return CONFIRMED, said.value
        return judged if simple and sure and not _has_parts(inner) else (NOT_CHECKABLE, judged[1])

    def _is_part(self, value: str, node: ast.AST, here: Occurrence) -> bool:
        state = self.run.state(here.event.frame, here.at - 1)
        for part in [p for p in ast.walk(node) if isinstance(p, ast.expr)][:40]:
            try:
                if compare(value, _text(evaluate(ast.unparse(part), state))) == CONFIRMED:
                    return True
            except (Unknown, ValueError, RecursionError):
                continue
        return False

    def holds(self, given: tuple[tuple[str, str], ...], here: Occurrence) -> bool:
        state = self.run.state(here.event.frame, here.at - 1)
        texts = [(value, state.get(name)) for name, value in given]
        known = [compare(value, text) for value, text in texts if text is not None]
        return bool(known) and CONTRADICTED not in known


def best_verdict(value: str, real: list[tuple[str, str]]) -> Verdict:
    """The kindest verdict over what a claim may mean."""
    plain = [(text, truth) for text, truth in real if not text.startswith("<")]
    verdicts = [(compare(value, text), truth) for text, truth in plain or real]
    for wanted in (CONFIRMED, NOT_CHECKABLE):
        for verdict, truth in verdicts:
            if verdict == wanted:
                return verdict, truth
    return verdicts[-1]


def _text(value: object) -> str:
    return render(value)


@functools.lru_cache(maxsize=1024)
def dump_expression(expression: str) -> str | None:
    try:
        return ast.dump(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def dump_node(node: ast.AST) -> str | None:
    try:
        return ast.dump(node)
    except RecursionError:
        return None


@functools.lru_cache(maxsize=1024)
def _names(expression: str) -> frozenset[str]:
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _has_parts(node: object) -> bool:
    return isinstance(node, ast.AST) and any(
        isinstance(part, ast.Call | ast.Subscript) for part in ast.walk(node)
    )
