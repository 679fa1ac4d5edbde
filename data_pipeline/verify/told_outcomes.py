"""Judges what a step says an operation gives, in words of its own: "sorting them gives [1, 2]".

Such a clause is confirmed if an operation that people call by its verb really gives the value
there, and contradicted only if nothing that the run computes or holds is like it.
"""

import ast
import contextlib
import functools
import re
from collections.abc import Iterator

from data_pipeline.source.literals import LiteralError, parse_literal, value_or_none
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.actions import Action, list_actions
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, UNREAD, Claim
from data_pipeline.verify.clause_cutting import is_hypothetical
from data_pipeline.verify.clause_patterns import FILLER
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.layout import variable_names
from data_pipeline.verify.lexicon import lemma_of
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, mask_code
from data_pipeline.verify.places import Place
from data_pipeline.verify.plain_words import PLAIN
from data_pipeline.verify.pools import canonical
from data_pipeline.verify.screening import screened
from data_pipeline.verify.value_verdicts import ValueVerdicts, dump_expression, dump_node
from data_pipeline.verify.wordlists import word_set

_GIVES = (
    r"(?:gives?|giving|yields?|yielding|gets?|getting|produces?|producing|leaves?|leaving|makes?|"
    r"making|forms?|forming|becomes?|results? in|resulting in|obtains?|"
    r"turns? (?:it|that|this|them) into|that to|it to|them to|this to|into|=)"
)
_OUTCOME = screened(
    rf"^(?P<head>.*?),? ?(?:(?:and|to|we|which|that|it|us|then) )*\b{_GIVES}(?: us| to)? {FILLER}"
    r"⟦(?P<v>\d+)⟧$",
    re.I,
)
_DENIED = re.compile(r"\b(?:not|never|no|without|instead|nor|neither|only|except)\b|n't\b", re.I)
_OTHER_VERBS = {"flip": "reverse", "flips": "reverse", "flipping": "reverse", "invert": "reverse",
                "inverts": "reverse", "ordering": "sort", "gluing": "join"}  # fmt: skip
_SILENT = word_set("everything all them these those both together the a an us we of in and result")
_MOST_PLACES = 200
_LEAST_TEXT = 3  # a shorter text may be meant as a piece of something


class ToldOutcomes:
    """Judges clauses that tell what an operation gives."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return variable_names(self.run)

    @functools.cached_property
    def _actions(self) -> list[Action]:
        return list_actions(self.run.tree) if isinstance(self.run.tree, ast.Module) else []

    def judged(self, claims: list[Claim], place: Place) -> list[Claim]:
        """Returns claims with a verdict on those unread pieces that tell what is given."""
        told = []
        for claim in claims:
            if claim.kind == UNREAD and claim.verdict == NOT_CHECKABLE:
                claim = self._judge(claim, place) or claim
            told.append(claim)
        return told

    def never_given(self, text: str) -> bool:
        """Returns whether a value is surely none that the run computes or holds a part of."""
        pool = self.values.pools.everything
        if not pool.complete or pool.has(text) or "…" in text or "..." in text:
            return False
        try:
            value = parse_literal(text)
        except (LiteralError, ValueError, RecursionError):
            return False
        if not isinstance(value, str | list | tuple | dict | set):
            return False
        if len(value) < (_LEAST_TEXT if isinstance(value, str) else 1):
            return False
        return canonical(text) not in self._variants

    @functools.cached_property
    def _variants(self) -> "_Variants":
        return _Variants(self.values.pools.everything.texts)

    def _judge(self, claim: Claim, place: Place) -> Claim | None:
        text, atoms = mask_code(claim.text, self._names)
        found = _OUTCOME.match(text.strip(" .,;:"))
        if found is None or is_hypothetical(text) or _DENIED.search(text):
            return None
        value = atoms[int(found["v"])]
        if not value.literal:
            return None
        if self._is_given(found["head"], value.text, atoms, place):
            return Claim(claim.line, "expression", claim.text, CONFIRMED, value.text)
        if self.never_given(value.text):
            truth = "no step gives it"
            return Claim(claim.line, "expression", claim.text, CONTRADICTED, truth)
        return None

    def _is_given(self, head: str, value: str, atoms: list[Atom], place: Place) -> bool:
        """Returns whether an operation that the words name gives a value from what they name."""
        words = re.findall(r"[a-z]+(?:-[a-z]+)*", head.lower())
        lemmas = {_OTHER_VERBS.get(word) or lemma_of(word) for word in words} - {None}
        lemmas -= {"get", "give", "make", "take", "go"}
        known = PLAIN | _SILENT | self._nouns
        if not lemmas or not all(
            word in known or lemma_of(word) in lemmas or word in _OTHER_VERBS for word in words
        ):
            return False
        named = [atoms[int(number)] for number in ATOM_NUMBER.findall(head)]
        wanted = canonical(value)
        for action in self._actions:
            if len(lemmas & action.verbs) < len(lemmas):
                continue
            for here in self._places(action.statement, place):
                if wanted in self._results(action, here) and self._takes(action, named, here):
                    return True
        return False

    @functools.cached_property
    def _nouns(self) -> frozenset[str]:
        """Returns the names of variables, as words of a sentence."""
        return frozenset(name.lower() for name in self.run.names)

    def _places(self, statement: ast.stmt, place: Place) -> list[Occurrence]:
        runs = self.run.by_line.get(statement.lineno, ())[:_MOST_PLACES]
        if place.window is not None and not place.sure:
            return [here for here in runs if place.window[0] <= here.at <= place.window[1]]
        if place.occurrence is not None and place.sure:
            return [here for here in runs if here.at == place.occurrence.at]
        return list(runs)

    def _results(self, action: Action, here: Occurrence) -> set[str]:
        before = self.run.state(here.event.frame, here.at - 1)
        found = set()
        node = action.node
        if isinstance(node, ast.expr):
            with contextlib.suppress(Unknown, ValueError, RecursionError):
                found.add(render(evaluate_node(node, before)))
        whole = getattr(action.statement, "value", None)
        if not isinstance(node, ast.expr) or node is whole:
            found |= set(here.event.changed.values())
            end = self.run.line_end(here)
            if end is not None and end.value is not None:
                found.add(end.value)
        return found

    def _takes(self, action: Action, named: list[Atom], here: Occurrence) -> bool:
        """Returns whether an operation has all that a clause names among its operands."""
        if not named:
            return True
        parts = [part for part in ast.walk(action.node) if isinstance(part, ast.expr)]
        dumps = {dump_node(part) for part in parts}
        state = self.run.state(here.event.frame, here.at - 1)
        texts = set()
        for part in parts:
            if part is action.node:
                continue
            try:
                texts.add(render(evaluate_node(part, state)))
            except (Unknown, ValueError, RecursionError):
                continue
        return all(
            canonical(atom.text) in texts if atom.literal else dump_expression(atom.text) in dumps
            for atom in named
        )


class _Variants:
    """Knows plain variants of known values: parts, the reverse, the sorted form, another case."""

    def __init__(self, texts):
        self.known = [value for text in texts if (value := _parsed(text)) is not None]

    def __contains__(self, text: str) -> bool:
        value = _parsed(text)
        return value is None or any(self._is_variant(value, other) for other in self.known)

    def _is_variant(self, value, other) -> bool:
        if isinstance(value, str):
            other = "".join(other) if _is_texts(other) else other
            if not isinstance(other, str):
                return False
            low, base = value.lower(), other.lower()
            return low in base or low[::-1] in base or sorted(low) == sorted(base)
        if isinstance(value, dict):
            return isinstance(other, dict) and value.items() <= other.items()
        if isinstance(value, set) or isinstance(other, set | dict):
            return set(map(repr, value)) <= set(map(repr, other))
        if isinstance(other, str):
            return "".join(map(str, value)) in other and _is_texts(value)
        return any(_is_run(list(value), list(row)) for row in _orders(list(other)))


def _orders(row: list) -> Iterator[list]:
    yield row
    yield row[::-1]
    try:
        yield sorted(row)
        yield sorted(row, reverse=True)
    except TypeError:
        return


def _is_run(part: list, whole: list) -> bool:
    width = len(part)
    return any(whole[at : at + width] == part for at in range(len(whole) - width + 1))


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)


def _parsed(text: str):
    value = value_or_none(text)
    return value if isinstance(value, str | list | tuple | dict | set) else None
