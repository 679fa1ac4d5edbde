"""Judges values whose subject is only hinted at: "the list is now [1]", "resulting in 'a'".

Such a value is confirmed if the place of the sentence has it, and contradicted only if nothing
that the run computes or holds has it.
"""

import ast
import re

from data_pipeline.source.literals import LiteralError, parse_literal, value_or_none
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pool
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import UNKNOWN, ValueVerdicts, Verdict
from data_pipeline.verify.values import compare

_WORD = re.compile(r"\b(?:word|name|line|sentence|row|token|part|piece)\b", re.I)
_MEASURES = frozenset(("length", "count", "sum", "total", "index", "product", "difference"))
_FINAL = re.compile(r"\b(?:final|returned|returning|output)\b")
_REMAINS = re.compile(r"\b(?:remains?|stays?|still)\b", re.I)
_INPUT = re.compile(r"\b(?:input|given)\b")
_OF_INPUT = re.compile(r"\b(?:original|input) (?:list|dictionary|array|set)\b", re.I)
_TYPES = {
    "list": list, "array": list, "string": str, "text": str, "substring": str, "dictionary": dict,
    "dict": dict, "tuple": tuple, "set": set, "number": (int, float), "integer": int,
}  # fmt: skip
_NOW = re.compile(r"\bnow\b", re.I)
_PRONOUNS = ("it", "this", "which", "that", "they")
_RESULTS = frozenset(("result", "output", "answer", "outcome"))


class HintVerdicts:
    """Judges claims by looking their values up in what the run computes."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values, self.pools = run, values, values.pools

    def judge(self, worded: WordedClaim, place: Place) -> Verdict:
        match worded.kind:
            case "called":
                return self._called(worded, place)
            case "same":
                return self._same(worded, place)
            case "put":
                return self._put(worded, place)
            case "taken":
                return self._taken(worded, place)
            case "refer test":
                return self._refer_test(worded, place)
            case "outcome":
                return self._outcome(worded, place)
        return self._refer(worded, place)

    def _called(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "called with V": an argument of the run's call, or of a call on the line."""
        judged = self._argument(worded)
        if judged[0] == CONFIRMED:
            return judged
        for here in self._occurrences(place):
            if self._passes(worded.value, here):
                return CONFIRMED, worded.value
        return judged

    def _occurrences(self, place: Place) -> list[Occurrence]:
        if place.window is not None and not place.sure:
            first, last = place.window
            return [o for o in self.run.occurrences if first <= o.at <= last][:20]
        return [] if place.occurrence is None else [place.occurrence]

    def _passes(self, value: str, here: Occurrence) -> bool:
        """Returns whether a call on a line has an argument with this value."""
        statement = self.run.statement_of(here.event)
        if statement is None or isinstance(statement, ast.FunctionDef):
            return False
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                for item in node.args:
                    text = self.values.text_at(ast.unparse(item), here.event.frame, here.at - 1)
                    if text is not None and compare(value, text) == CONFIRMED:
                        return True
        return False

    def _argument(self, worded: WordedClaim) -> Verdict:
        pool = self.pools.arguments
        if pool.has(worded.value):
            return CONFIRMED, worded.value
        known = pool.texts and not any(text.startswith("<") for text in pool.texts)
        if not known or self.pools.everything.has(worded.value):
            return UNKNOWN
        return CONTRADICTED, ", ".join(list(pool.texts)[:4])

    def _outcome(self, worded: WordedClaim, place: Place) -> Verdict:
        if place.occurrence is not None and (place.sure or place.window is None):
            judged = self.values.outcome(worded, place.occurrence, place.sure)
            held = worded.when == "hint" and self.pools.everything.has(worded.value)
            if judged[0] == CONTRADICTED and held:
                return NOT_CHECKABLE, judged[1]
            if judged[0] != NOT_CHECKABLE or place.sure:
                return judged
        return self._look_up(worded.value, self._near(place), self.pools.computed, place)

    def _look_up(self, value: str, near: Pool | None, wide: Pool, place: Place) -> Verdict:
        """Confirms a value of the place; contradicts one that the run never has."""
        if near is not None and near.has(value):
            return CONFIRMED, value
        if near is None and wide.has(value):
            return CONFIRMED, value
        if wide.has(value) or not wide.complete:
            return UNKNOWN
        return CONTRADICTED, self._truth(place)

    def _near(self, place: Place) -> Pool | None:
        if place.window is not None and not place.sure:
            return self.pools.window(place.frame, place.window)
        if place.occurrence is not None:
            return self.pools.results(place.occurrence)
        return None

    def _truth(self, place: Place) -> str | None:
        """Returns what the place really gives, to show beside a contradiction."""
        here = place.occurrence
        if here is None:
            return self.run.trace.result
        end = self.run.line_end(here)
        if end is not None and end.value is not None:
            return end.value
        return ", ".join(f"{n}={t}" for n, t in list(here.event.changed.items())[:3]) or None

    # ---- nouns

    def _refer(self, worded: WordedClaim, place: Place) -> Verdict:
        assert worded.noun is not None
        word, prefix, value = worded.noun.word, worded.noun.prefix, worded.value
        if word.startswith("at ") and prefix == "returned":
            return self._of_result(word.removeprefix("at "), value)
        if word.startswith("at "):
            judged = self._element(word.removeprefix("at "), value, place)
            of_words = judged[0] == CONTRADICTED and _WORD.search(worded.text)
            return UNKNOWN if of_words else judged
        if _INPUT.search(prefix) or word == "input":
            return self._argument(worded)
        if not self._fits_type(word, value):
            return UNKNOWN
        near, wide = self._near(place), self.pools.everything
        if word in _PRONOUNS:
            if near is not None and place.occurrence is not None and _REMAINS.search(worded.text):
                near = self._with_locals(near, place.occurrence)
            held = near is not None and near.has(value)
            return (CONFIRMED, value) if held else UNKNOWN
        if _FINAL.search(prefix) or word in ("output", "answer"):
            final = self.run.trace.result
            if final is not None and compare(value, final) == CONFIRMED:
                return CONFIRMED, final
            if place.occurrence is None and final is not None:
                return UNKNOWN if word in _MEASURES else (CONTRADICTED, final)
            wide = self.pools.computed
        elif prefix or word in _RESULTS:
            wide = self.pools.computed
        if word in _RESULTS and _REMAINS.search(worded.text):
            pass  # "the result is still 'ab'": an input that is no result does not bear it out
        elif (near is not None and place.occurrence is not None and not place.sure) or (
            near is not None and place.occurrence is not None and not prefix
        ):
            near = self._with_locals(near, place.occurrence)
        judged = self._look_up(value, near, wide, place)
        if judged[0] == CONFIRMED and near is None and word in _RESULTS and not prefix:
            final = self.run.trace.result  # "the result" of no known line
            same = final is not None and compare(value, final) == CONFIRMED
            return judged if same else UNKNOWN
        return judged

    def _with_locals(self, pool: Pool, here: Occurrence) -> Pool:
        wider = Pool(dict(pool.texts), pool.complete)
        wider.add(self.pools.locals(here).texts)
        return wider

    def _fits_type(self, word: str, value: str) -> bool:
        wanted = _TYPES.get(word)
        try:
            return wanted is None or isinstance(parse_literal(value), wanted)
        except (LiteralError, ValueError):
            return True

    def _element(self, index: str, value: str, place: Place) -> Verdict:
        """Judges "the character at index 2 is 'x'" of any container in sight."""
        frame, points = self._points(place)
        names = [name for name in self.run.names if self.run.value(frame, name, points[-1])]
        seen: list[str] = []
        for name in names:
            for at in points[:20]:
                text = self._item(name, index, frame, at)
                if text is not None:
                    seen.append(text)
                    if compare(value, text) == CONFIRMED:
                        return CONFIRMED, f"{name}[{index}] = {text}"
        return (CONTRADICTED, ", ".join(dict.fromkeys(seen))) if seen else UNKNOWN

    def _of_result(self, index: str, value: str) -> Verdict:
        """Judges "the second element of the output list is 3" by what the call returns."""
        final = self.run.trace.result
        if final is None or final[:1] not in ("[", "(", "'", '"'):
            return UNKNOWN
        try:
            text = render(evaluate(f"({final})[{index}]", None))
        except Unknown:
            return UNKNOWN
        return (CONFIRMED if compare(value, text) == CONFIRMED else CONTRADICTED), text

    def _item(self, name: str, index: str, frame: int, at: int) -> str | None:
        """Returns the element at an index; of a dictionary the key at that position."""
        text = self.run.value(frame, name, at) or ""
        if text.startswith("{") and (
            key := self.values.text_at(f"list({name})[{index}]", frame, at)
        ):
            return key
        return self.values.text_at(f"{name}[{index}]", frame, at)

    def _points(self, place: Place) -> tuple[int, list[int]]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            return place.frame, self.values.points(place.frame, place.window)
        if here is not None:
            return here.event.frame, [here.at - 1, here.at, here.end - 1]
        return 0, [len(self.run.events) - 1]

    def _refer_test(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "the list is empty" of the variables of that type: only confirms.

        A test that no variable of the type passes is contradicted where the place is certain.
        """
        assert worded.noun is not None
        word = worded.noun.word
        wanted = _TYPES.get(word)
        if _INPUT.search(worded.noun.prefix):
            return self._input_test(worded, word)
        frame, points = self._points(place)
        outcomes: set[bool] = set()
        at_index = f"[{word.removeprefix('at ')}]" if word.startswith("at ") else ""
        targets = self._turn_variables(place)
        for name in sorted(self.run.names):
            text = self.run.value(frame, name, points[-1])
            if text is None or not self._fits_type(word, text):
                continue
            if wanted is None and name not in targets and not at_index:
                continue
            test = (worded.subject or "").replace("{s}", name + at_index)
            judged = self.values.test(test, worded.value == "True", frame, points)
            if judged is not None:
                outcomes.add(judged[0] == CONFIRMED)
            if worded.value == "False" and self._is_so(worded, test, frame, points):
                return UNKNOWN
        if outcomes == {True} and not self._is_in_result(worded, word):
            return CONFIRMED, worded.value
        return UNKNOWN

    def _is_so(self, worded: WordedClaim, test: str, frame: int, points: list[int]) -> bool:
        """Returns whether what is denied holds: a value at any time, a state now."""
        if not (worded.subject or "").startswith("{s} =="):
            points = points[-1:] if _NOW.search(worded.text) else []
        judged = self.values.test(test, True, frame, points)
        return judged is not None and judged[0] == CONFIRMED

    def _is_in_result(self, worded: WordedClaim, word: str) -> bool:
        """Returns whether the result has the element that "is not 1" says it has not."""
        final = self.run.trace.result
        if worded.value != "False" or final is None or not word.startswith("at "):
            return False
        test = (worded.subject or "").replace("{s}", f"({final})[{word.removeprefix('at ')}]")
        judged = self.values.test(test, True, 0, [0])
        return judged is not None and judged[0] == CONFIRMED

    def _input_test(self, worded: WordedClaim, word: str) -> Verdict:
        """Judges "the input string starts with 'a'" if one argument alone can be meant."""
        given = self.run.events[0].changed if self.run.events else {}
        told = (worded.subject or "").replace('"', "'")
        meant = [
            text for text in given.values() if self._fits_type(word, text) and text not in told
        ]
        if len(meant) != 1:
            return UNKNOWN
        test = (worded.subject or "").replace("{s}", meant[0])
        judged = self.values.test(test, worded.value == "True", 0, [0])
        return UNKNOWN if judged is None else judged

    def _turn_variables(self, place: Place) -> set[str]:
        """Returns what the loop of a turn binds: "it" and "the character" of that turn."""
        if place.window is None:
            return set()
        header = self.run.events[place.window[0]].line
        return {node.id for node in _target_names(self.run.statements.get(header))}

    # ---- changes

    def _same(self, worded: WordedClaim, place: Place) -> Verdict:
        span = self._span(place)
        if span is None:
            return self._same_in_run(worded)
        frame, first, last = span
        if (made := self._made(place)) is not None:
            return made
        names = self._changing(worded.subject, frame, first, last)
        if names is None:
            return UNKNOWN
        changed = [
            name
            for name in names
            if self.run.value(frame, name, first) != self.run.value(frame, name, last)
        ]
        if not changed:
            return CONFIRMED, "unchanged"
        return CONTRADICTED, f"{changed[0]}={self.run.value(frame, changed[0], last)}"

    def _made(self, place: Place) -> Verdict | None:
        """Judges a line that makes a new value: confirmed if it is one that was there before."""
        here = place.occurrence
        if here is None or (place.window is not None and not place.sure):
            return None
        statement, before = self.run.statement_of(here.event), self.pools.locals(here).texts
        end = self.run.line_end(here)
        if isinstance(statement, ast.Return) and end is not None:
            known = self._earlier(here)
            return (CONFIRMED, end.value) if end.value in known else UNKNOWN
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            old = self.run.value(here.event.frame, name, here.at - 1)
            new = self.run.value(here.event.frame, name, here.at)
            if old is None and new in before:
                return (CONFIRMED, new) if new in self._earlier(here) else UNKNOWN
        return None

    def _earlier(self, here: Occurrence) -> set[str]:
        """Returns the values of the variables before a line."""
        frame, at = here.event.frame, here.at - 1
        texts = (self.run.value(frame, name, at) for name in self.run.names)
        return {text for text in texts if text is not None}

    def _same_in_run(self, worded: WordedClaim) -> Verdict:
        """Confirms "no characters are removed" of a whole run that returns what it was given."""
        if _OF_INPUT.search(worded.text):
            return self._input_kept()
        final = self.run.trace.result
        if worded.subject is None and final is not None and final in self.pools.arguments.texts:
            return CONFIRMED, final
        return UNKNOWN

    def _input_kept(self) -> Verdict:
        """Judges "does not modify the original list" by the arguments at the end of the call."""
        first = self.run.events[0] if self.run.events else None
        given = {n: t for n, t in (first.changed if first else {}).items() if t[:1] in ("[", "{")}
        last = self.run.frames[0][1] if self.run.frames else 0
        texts = self.run.history
        if not given or self.run.trace.truncated or any(len(texts(0, n)[0]) > 2 for n in given):
            return UNKNOWN
        changed = [n for n, text in given.items() if self.run.value(0, n, last) != text]
        if changed:
            return CONTRADICTED, f"{changed[0]}={self.run.value(0, changed[0], last)}"
        return CONFIRMED, "it is not modified"

    def _span(self, place: Place) -> tuple[int, int, int] | None:
        """Returns (frame, event before, last event) of the part of the run that is meant."""
        if place.window is not None and not place.sure:
            return place.frame, place.window[0] - 1, place.window[1]
        here = place.occurrence
        if here is None:
            return None
        return here.event.frame, here.at - 1, here.end - 1

    def _changing(self, subject: str | None, frame: int, first: int, last: int):
        """Returns the variables that are said not to change; None if that is not known."""
        if subject is not None:
            name = re.match(r"[A-Za-z_]\w*", subject)
            if name is None or self.run.value(frame, name[0], first) is None:
                return None
            return [name[0]]
        targets = {
            node.id
            for line in self.run.loops
            for node in _target_names(self.run.statements.get(line))
        }
        return [
            name
            for name in sorted(self.run.names - targets)
            if self.run.value(frame, name, first) is not None
        ]

    def _put(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "appends V": V is an element, or a part, of what the place changes."""
        span = self._span(place)
        if span is None:
            return self._put_anywhere(worded.value)
        frame, first, last = span
        grown = False
        for name in sorted(self.run.names):
            after = self.run.value(frame, name, last)
            if after is None or after == self.run.value(frame, name, first):
                continue
            grown = True
            if self._is_inside(worded.value, after):
                return CONFIRMED, f"{name}={after}"
        wide = self.pools.everything
        if not wide.has(worded.value) and wide.complete:
            return CONTRADICTED, self._truth(place) if grown else "nothing is added here"
        return UNKNOWN

    def moved_otherwise(self, worded: WordedClaim, here: Occurrence) -> Verdict | None:
        """Judges "appends V", "removes V" where the line moves one other element; else None.

        Contradicts what no execution of the line moves.
        """
        if self.run.trace.truncated or not is_literal(worded.value):
            return None
        own = self._moved(here, worded.kind)
        if own is None or not self._is_other(worded.value, own):
            return None
        moved = [self._moved(o, worded.kind) for o in self.run.by_line.get(here.event.line, ())]
        never = all(text is not None and self._is_other(worded.value, text) for text in moved)
        return (CONTRADICTED if never else NOT_CHECKABLE), f"it is {own}"

    def _is_other(self, value: str, moved: str) -> bool:
        return compare(value, moved) == CONTRADICTED and not self._is_inside(value, moved)

    def _moved(self, here: Occurrence, kind: str) -> str | None:
        """Returns the one element that a line puts into, or takes out of, the one list it changes.

        None if it changes more, or nothing.
        """
        frame, found = here.event.frame, []
        for name in sorted(self.run.names):
            ends = here.at - 1, here.end - 1
            texts = [self.run.value(frame, name, at) for at in ends]
            if None in texts or texts[0] == texts[1]:
                continue
            before, after = (value_or_none(text or "") for text in texts)
            if not isinstance(before, list) or not isinstance(after, list):
                continue
            fewer, more = (before, list(after)) if kind == "put" else (after, list(before))
            for item in fewer:
                if item not in more:
                    return None
                more.remove(item)
            if len(more) != 1:
                return None
            found.append(render(more[0]))
        return found[0] if len(set(found)) == 1 else None

    def _put_anywhere(self, value: str) -> Verdict:
        """Judges "inserts V" of no known line: some line of the run adds it to something."""
        for here in self.run.occurrences[:200]:
            if isinstance(self.run.statement_of(here.event), ast.For | ast.AsyncFor):
                continue  # what a loop takes up is not added to
            frame = here.event.frame
            for name, after in here.event.changed.items():
                before = self.run.value(frame, name, here.at - 1)
                was = before is None or self._is_inside(value, before)
                if not was and self._is_inside(value, after):
                    return CONFIRMED, f"{name}={after}"
        wide = self.pools.everything
        return UNKNOWN if wide.has(value) or not wide.complete else (CONTRADICTED, None)

    def _taken(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "removes V": V is no longer in what the place changes."""
        span = self._span(place)
        if span is None:
            return self._taken_anywhere(worded.value)
        frame, first, last = span
        for name in sorted(self.run.names):
            before, after = self.run.value(frame, name, first), self.run.value(frame, name, last)
            if before is None or after is None or before == after:
                continue
            if (left := self._is_fewer(worded.value, before, after)) is not None:
                return (CONFIRMED if left else CONTRADICTED), f"{name}={after}"
        return UNKNOWN

    def _taken_anywhere(self, value: str) -> Verdict:
        """Judges "removes V" of no known line: an argument has more of it than the result."""
        final = self.run.trace.result
        for given in self.pools.arguments.texts:
            if final is not None and self._is_fewer(value, given, final):
                return CONFIRMED, final
        return UNKNOWN

    def _is_fewer(self, value: str, before: str, after: str) -> bool | None:
        """Returns whether a container has fewer of a value than before; None if it had none."""
        try:
            part, old, new = parse_literal(value), parse_literal(before), parse_literal(after)
            if isinstance(old, str | list | tuple) and type(old) is type(new):
                had = old.count(part)  # type: ignore[arg-type]
                return None if not had else new.count(part) < had  # type: ignore[union-attr, arg-type]
            return part not in new if part in old else None  # type: ignore[operator]
        except (LiteralError, ValueError, TypeError):
            return None

    def _is_inside(self, value: str, container: str) -> bool:
        try:
            part, whole = parse_literal(value), parse_literal(container)
        except (LiteralError, ValueError):
            return False
        parts = whole.values() if isinstance(whole, dict) else ()
        try:
            if part in whole or part == whole:
                return True
            return any(part in one for one in parts if isinstance(one, list | set | tuple))
        except TypeError:
            return False


def _target_names(statement):
    if isinstance(statement, ast.For):
        return [node for node in ast.walk(statement.target) if isinstance(node, ast.Name)]
    return []
