"""Judges claims about values against the states of the run that they may refer to."""

import ast
import functools
from collections.abc import Iterator

from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.values import compare
from data_pipeline.verify.wording import WordedClaim

Verdict = tuple[str, str | None]  # verdict, truth
UNKNOWN: Verdict = (NOT_CHECKABLE, None)
MOST_STATES = 2000


class ValueVerdicts:
    """Judges claims about a variable, an expression or a line's outcome."""

    def __init__(self, run: Replay):
        self.run = run

    def value(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        assert worded.subject is not None
        if worded.subject.isidentifier() and worded.subject not in ("True", "False", "None"):
            texts = list(self._texts(worded, here))
            if not texts:
                return UNKNOWN
            return best_verdict(
                worded.value, [(text, f"{worded.subject}={text}") for text in texts]
            )
        return self.expression(worded, here)

    def _texts(self, worded: WordedClaim, here: Occurrence) -> Iterator[str]:
        """Yields each text that a name may have at a line."""
        frame, run, name = here.event.frame, self.run, worded.subject
        assert name is not None
        if worded.when == "call":
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
        if worded.when == "before":
            wanted = [before]
        elif worded.when == "after" or (
            worded.when == "any" and here.event.branch and self._binds(here, name)
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
        """Returns whether a loop's header binds a name, so that each turn has its own value."""
        statement = self.run.statement_of(here.event)
        target = statement.target if isinstance(statement, ast.For) else None
        return target is not None and any(
            isinstance(node, ast.Name) and node.id == name for node in ast.walk(target)
        )

    def within(self, worded: WordedClaim, frame: int, window: tuple[int, int]) -> Verdict | None:
        """Judges a variable at any time of a turn; None if it is not in the frame."""
        name = worded.subject or ""
        positions, texts = self.run.history(frame, name)
        seen = [self.run.value(frame, name, window[0] - 1)]
        seen += [
            text for at, text in zip(positions, texts, strict=True) if window[0] <= at <= window[1]
        ]
        real = [(text, f"{name}={text}") for text in seen if text is not None]
        return best_verdict(worded.value, real) if real else None

    def ends_of(
        self, worded: WordedClaim, here: Occurrence, window: tuple[int, int]
    ) -> tuple[bool, bool, str | None] | None:
        """Returns whether a variable has a value before a turn, and whether during it.

        The third item is the truth at the turn's end. Returns None for other claims.
        """
        name, run, frame = worded.subject or "", self.run, here.event.frame
        if worded.kind != "value" or name not in run.names:
            return None
        positions, texts = run.history(frame, name)
        inside = [t for at, t in zip(positions, texts, strict=True) if window[0] <= at <= window[1]]
        before = run.value(frame, name, window[0] - 1)
        if before is None or None in inside:
            return None
        first = compare(worded.value, before) == CONFIRMED
        last = any(compare(worded.value, text) == CONFIRMED for text in inside if text is not None)
        if not inside:
            last = first
        return first, last, f"{name}={run.value(frame, name, window[1])}"

    def inside(self, here: Occurrence):
        for number in range(here.at + 1, min(here.end, here.at + 2000)):
            yield number, self.run.events[number]

    def expression(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        assert worded.subject is not None
        results: list[tuple[str, str]] = []
        frame = here.event.frame
        whole = self._whole(worded.subject, here)
        if whole is not None:
            results.append((whole, f"{worded.subject} = {whole}"))
        else:
            for at in (here.at - 1, here.at, here.end - 1):
                try:
                    value = evaluate(worded.subject, self.run.state(frame, at))
                except Unknown:
                    continue
                results.append((_text(value), f"{worded.subject} = {_text(value)}"))
        return best_verdict(worded.value, results) if results else UNKNOWN

    def _whole(self, expression: str, here: Occurrence) -> str | None:
        """Returns the run's own result of a line's whole expression."""
        statement = self.run.statement_of(here.event)
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

    def anywhere(self, worded: WordedClaim) -> Verdict:
        """Judges a value at no certain place.

        Confirmed if the run ends with it, contradicted if no state of the run has it.
        """
        assert worded.subject is not None
        run, checked = self.run, 0
        if worded.subject.isidentifier():
            seen = []
            for frame in list(run.frames)[:MOST_STATES]:
                _, texts = run.history(frame, worded.subject)
                seen += [text for text in texts[:MOST_STATES] if text is not None]
            seen += [c for c in [run.constants.get(worded.subject)] if c is not None]
            if not seen or len(seen) > MOST_STATES:
                return UNKNOWN
            verdicts = {compare(worded.value, text) for text in set(seen)}
            truth = f"{worded.subject}={seen[-1]}"
        else:
            names = _names(worded.subject)
            verdicts, truth = set(), None
            for here in run.occurrences[:MOST_STATES]:
                if names and not names & set(here.event.changed) and checked:
                    continue
                judged = self.expression(worded, here)
                frame = here.event.frame
                if judged == UNKNOWN and any(
                    run.value(frame, name, here.end - 1) is None for name in names & run.names
                ):
                    continue  # some of its variables do not exist yet
                checked += judged[0] != NOT_CHECKABLE
                verdicts.add(judged[0])
                truth = judged[1] or truth
        if CONFIRMED in verdicts:
            return CONFIRMED, truth
        if verdicts == {CONTRADICTED} and not run.trace.truncated:
            return CONTRADICTED, truth
        return NOT_CHECKABLE, truth

    def outcome(self, worded: WordedClaim, here: Occurrence, sure: bool) -> Verdict:
        texts = list(here.event.changed.values())
        end = self.run.line_end(here)
        if end is not None and end.value is not None:
            texts.append(end.value)
        statement = self.run.statement_of(here.event)
        if here.event.branch is not None:
            texts.append(str(here.event.branch))
        judged = best_verdict(worded.value, [(text, text) for text in texts]) if texts else UNKNOWN
        if judged[0] != CONTRADICTED:
            return judged
        simple = isinstance(statement, ast.Assign | ast.AugAssign | ast.Return) and len(texts) == 1
        inner = getattr(statement, "value", None)
        if isinstance(inner, ast.AST) and self._is_part(worded.value, inner, here):
            return CONFIRMED, worded.value
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
    """Returns the most favourable verdict over the possible meanings of a claim."""
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
