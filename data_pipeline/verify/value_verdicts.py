"""Judges claims about values against the states of the run that they may refer to."""

import ast
import functools
import re
from collections.abc import Iterator, Mapping

from data_pipeline.source import syntax
from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing import Event
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.values import compare

Verdict = tuple[str, str | None]  # verdict, truth
UNKNOWN: Verdict = (NOT_CHECKABLE, None)
MOST_STATES = 2000
_MOST_POINTS = 80
_LEAVES = re.compile(r"\bleav(?:es?|ing)\b|\bleft\b", re.I)


class ValueVerdicts:
    """Judges claims about a variable, an expression or a line's outcome."""

    def __init__(self, run: Replay):
        self.run = run
        self.pools = Pools(run)

    def value(self, worded: WordedClaim, here: Occurrence) -> Verdict:
        assert worded.subject is not None
        if is_name(worded.subject):
            texts = list(self._texts(worded, here))
            if not texts:
                outer = [(text, f"{worded.subject}={text}") for text in self._around(worded, here)]
                judged = best_verdict(worded.value, outer) if outer else UNKNOWN
                return judged if judged[0] == CONFIRMED else UNKNOWN
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
            if here.event.kind == "call" or here.event.part:  # also its own, if it is the call
                called += filter(None, [run.value(frame, name, here.at)])
            if called:
                yield from called[:50]
                return
        before = run.value(frame, name, here.at - 1)
        after = run.value(frame, name, here.at)
        end = run.value(frame, name, here.end - 1)
        if worded.when == "before":
            wanted = [before]
        elif worded.when == "here":
            wanted = [before, after]
        elif worded.when == "after" or (worded.when == "any" and self.binds(here.event, name)):
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

    @functools.cached_property
    def attributes(self) -> frozenset[str]:
        """Returns the names of all attributes in the program, methods too."""
        return frozenset(node.attr for node in self.run.nodes if isinstance(node, ast.Attribute))

    def _around(self, worded: WordedClaim, here: Occurrence) -> Iterator[str]:
        """Yields what a name means that a call does not know: of its callers, of its objects."""
        run, name = self.run, worded.subject or ""
        if name in run.names:
            for frame, (first, last) in run.frames.items():
                if first <= here.at <= last and frame != here.event.frame:
                    text = run.value(frame, name, here.at)
                    if text is not None:
                        yield text
        if name not in self.attributes:
            return
        before, after = (
            [
                attributes[name]
                for text in self.pools.held(here.event.frame, at).texts
                if name in (attributes := attributes_of(text))
            ]
            for at in (here.at - 1, here.end - 1)
        )
        if worded.when == "after":  # "becomes": it is this line that changes it
            before, after = [], [text for text in after if text not in before]
        yield from (*before, *after)

    def binds(self, event: Event, name: str) -> bool:
        """Returns whether an event begins a turn that has its own value of a name."""
        statement = self.run.statement_of(event) if event.branch else None
        target = statement.target if isinstance(statement, ast.For) else None
        return target is not None and any(
            isinstance(node, ast.Name) and node.id == name for node in ast.walk(target)
        )

    def within(self, worded: WordedClaim, frame: int, window: tuple[int, int]) -> Verdict | None:
        """Judges a value at any time of a part of the run; None if it has none there."""
        name = worded.subject or ""
        if not is_name(name):
            points = self.points(frame, window)
            first = self.run.events[window[0]]
            if any(self.binds(first, one) for one in _names(name)):
                points = points[1:]  # before its header, a turn's variable is another turn's
            return self._expression_at(worded, frame, points)
        positions, texts = self.run.history(frame, name)
        first = self.run.events[window[0]]
        inside = [
            text for at, text in zip(positions, texts, strict=True) if window[0] <= at <= window[1]
        ]
        later = worded.when == "after" and inside  # "becomes": not what it was before
        start = window[0] if self.binds(first, name) else window[0] - 1  # may set it to the same
        seen = inside if later else [self.run.value(frame, name, start), *inside]
        real = [(text, f"{name}={text}") for text in seen if text is not None]
        judged = best_verdict(worded.value, real) if real else None
        if judged is not None and judged[0] == CONTRADICTED and _LEAVES.search(worded.text):
            before = self.run.value(frame, name, start)  # a step may leave it as it is
            if before is not None and compare(worded.value, before) == CONFIRMED:
                return NOT_CHECKABLE, judged[1]
        return judged

    def points(self, frame: int, window: tuple[int, int]) -> list[int]:
        """Returns the events of a frame in a part of the run, with the one before it."""
        own = [
            at
            for at in range(window[0], min(window[1] + 1, len(self.run.events)))
            if self.run.events[at].frame == frame
        ]
        return [window[0] - 1, *own][:_MOST_POINTS]

    def ends_of(
        self, worded: WordedClaim, frame: int, window: tuple[int, int]
    ) -> tuple[bool, bool, str | None] | None:
        """Returns whether a variable has a value before a turn, and whether during it.

        The third item is the truth at the turn's end. Returns None for other claims.
        """
        name, run = worded.subject or "", self.run
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
        if self._is_of_turns(worded.subject, here):
            return UNKNOWN
        whole = self._whole(worded.subject, here)
        if whole is not None:
            return best_verdict(worded.value, [(whole, f"{worded.subject} = {whole}")])
        points = (here.at - 1, here.at, here.end - 1)
        return self._expression_at(worded, here.event.frame, points) or UNKNOWN

    def _is_of_turns(self, expression: str, here: Occurrence) -> bool:
        """Returns whether a comprehension of the line computes an expression in its turns.

        Its variable may hide another one: `n * n` of `[n * n for n in range(n)]`.
        """
        statement, wanted = self.run.statement_of(here.event), dump_expression(expression)
        return statement is not None and any(
            dump_node(part) == wanted
            for node in nodes_of(statement)
            if isinstance(node, _COMPREHENSIONS) and _binds(node) & _names(expression)
            for part in _parts_of_turns(node)
        )

    def _expression_at(self, worded: WordedClaim, frame: int, points) -> Verdict | None:
        results = {}
        for at in points:
            text = self.text_at(worded.subject or "", frame, at)
            if text is not None:
                results[text] = f"{worded.subject} = {text}"
        return best_verdict(worded.value, list(results.items())) if results else None

    def text_at(self, expression: str, frame: int, at: int) -> str | None:
        """Returns the value of an expression after an event, None if it is not known."""
        try:
            return render(evaluate(expression, self.run.state(frame, at)))
        except (Unknown, ValueError, RecursionError):
            return None

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

        Confirmed if some state of the run has it, contradicted if none has.
        """
        assert worded.subject is not None
        run, checked = self.run, 0
        if is_name(worded.subject):
            seen = self._all_texts(worded.subject)
            if not seen or len(seen) > MOST_STATES:
                return UNKNOWN
            verdicts = {compare(worded.value, text) for text in set(seen)}
            truth = f"{worded.subject}={seen[-1]}"
        else:
            names = _names(worded.subject)
            verdicts, truth, last = set(), None, None
            for here in run.occurrences[:MOST_STATES]:
                again = here.event.frame == last
                if again and names and not names & set(here.event.changed) and checked:
                    continue
                last = here.event.frame
                judged = self.expression(worded, here)
                frame = here.event.frame
                if judged == UNKNOWN and any(
                    run.value(frame, name, here.end - 1) is None for name in names & run.names
                ):
                    continue  # some of its variables do not exist yet
                if judged == UNKNOWN and _is_item(worded.subject):
                    continue  # nor does this item of it
                checked += judged[0] != NOT_CHECKABLE
                verdicts.add(judged[0])
                truth = judged[1] or truth
                if not names:
                    break
        if CONFIRMED in verdicts:
            return CONFIRMED, truth
        if verdicts == {CONTRADICTED} and not run.trace.truncated:
            return CONTRADICTED, truth
        return NOT_CHECKABLE, truth

    def _all_texts(self, name: str) -> list[str]:
        run = self.run
        seen: list[str] = []
        for frame in list(run.frames)[:MOST_STATES]:
            _, texts = run.history(frame, name)
            seen += [text for text in texts[:MOST_STATES] if text is not None]
        return seen + [c for c in [run.constants.get(name)] if c is not None]

    def outcome(self, worded: WordedClaim, here: Occurrence, sure: bool) -> Verdict:
        """Judges "resulting in V" on a placed line."""
        pool = self.pools.results(here)
        if pool.has(worded.value):
            return CONFIRMED, worded.value
        texts = list(here.event.changed.values())
        end = self.run.line_end(here)
        if end is not None and end.value is not None:
            texts.append(end.value)
        truth = texts[-1] if texts else None
        if not sure or not texts:
            return NOT_CHECKABLE, truth
        if isinstance(self.run.statement_of(here.event), ast.For | ast.While | ast.If):
            return NOT_CHECKABLE, truth
        whole = pool.complete or isinstance(self.run.statement_of(here.event), ast.Expr)
        known = whole and not self.pools.everything.has(worded.value)
        return (CONTRADICTED if known else NOT_CHECKABLE), truth

    def is_part(self, value: str, here: Occurrence) -> bool:
        return self.pools.results(here).has(value)

    def holds(self, given: tuple[tuple[str, str], ...], here: Occurrence) -> bool:
        state = self.run.state(here.event.frame, here.at - 1)
        texts = [(value, state.get(name)) for name, value in given]
        known = [compare(value, text) for value, text in texts if text is not None]
        return bool(known) and CONTRADICTED not in known

    def test(self, expression: str, holds: bool, frame: int, points) -> Verdict | None:
        """Judges whether a test holds at some of the states; None if it is never known."""
        outcomes: dict[bool, str] = {}
        for at in points:
            try:
                outcome = bool(evaluate(expression, self.run.state(frame, at)))
            except Unknown:
                continue
            outcomes[outcome] = f"{expression} is {outcome}"
        if not outcomes:
            return None
        verdict = CONFIRMED if holds in outcomes else CONTRADICTED
        if verdict == CONTRADICTED and " == " in expression:
            left = expression.rpartition(" == ")[0]
            known = [t for at in points if (t := self.text_at(left, frame, at)) is not None]
            if known:
                return verdict, f"{left} = {known[-1]}"
        return verdict, outcomes.get(holds) or outcomes[not holds]


def is_name(subject: str) -> bool:
    return subject.isidentifier() and subject not in ("True", "False", "None")


def best_verdict(value: str, real: list[tuple[str, str]]) -> Verdict:
    """Returns the most favourable verdict over the possible meanings of a claim."""
    plain = [(text, truth) for text, truth in real if not text.startswith("<")]
    verdicts = [(compare(value, text), truth) for text, truth in plain or real]
    for wanted in (CONFIRMED, NOT_CHECKABLE):
        for verdict, truth in verdicts:
            if verdict == wanted:
                return verdict, truth
    return verdicts[-1]


@functools.lru_cache(maxsize=1024)
def attributes_of(text: str) -> Mapping[str, str]:
    """Returns attribute -> text of an object as the tracer shows it: "Point(x=1, y=2)"."""
    if not re.match(r"[A-Za-z_][\w.]*\(\w+=", text):
        return {}
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return {one.arg: ast.unparse(one.value) for one in keywords if one.arg}


@functools.lru_cache(maxsize=1024)
def dump_expression(expression: str) -> str | None:
    try:
        return ast.dump(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def dump_node(node: ast.AST) -> str | None:
    try:
        return syntax.dump_node(node)
    except RecursionError:
        return None


@functools.lru_cache(maxsize=1024)
def _names(expression: str) -> frozenset[str]:
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


@functools.lru_cache(maxsize=1024)
def _is_item(expression: str) -> bool:
    """Returns whether code is a plain item of a variable: "counts['a']"."""
    return re.fullmatch(r"[A-Za-z_]\w*\[(?:-?\d+|'[^']*'|\"[^\"]*\")\]", expression) is not None


_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _binds(node: ast.AST) -> set[str]:
    """Returns the variables of a comprehension."""
    assert isinstance(node, _COMPREHENSIONS)
    targets = (part for one in node.generators for part in nodes_of(one.target))
    return {part.id for part in targets if isinstance(part, ast.Name)}


def _parts_of_turns(node: ast.AST) -> Iterator[ast.AST]:
    """Yields what a comprehension computes in each turn: all but its first iterable."""
    assert isinstance(node, _COMPREHENSIONS)
    outside = set(nodes_of(node.generators[0].iter))
    yield from (part for part in nodes_of(node) if part is not node and part not in outside)
