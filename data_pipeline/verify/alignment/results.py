"""Holds what is said of a returned or assigned value to that very value, not to its origin."""

import ast
from collections.abc import Sequence
from typing import Protocol

from data_pipeline.verify.alignment.evidence import Evidence
from data_pipeline.verify.alignment.lexicon import TYPES, stem
from data_pipeline.verify.lexicon import Token
from data_pipeline.verify.phrases import atom_in
from data_pipeline.verify.returned import BARE_WORDS, ORDERED, in_order, is_empty
from data_pipeline.verify.wordlists import word_set

_ORIGINAL = word_set("original unchanged")
_CHANGED = word_set("modified updated changed altered transformed")
_CHANGED_NOUNS = word_set("string list dictionary text value version word array")
_FRESH = word_set("new empty")
_COUNTS = {"two": 2, "both": 2, "three": 3, "four": 4}


class Phrase(Protocol):
    """Has the tokens of a phrase, and the role that its preposition names."""

    @property
    def role(self) -> str | None: ...
    @property
    def preposition(self) -> str: ...
    @property
    def tokens(self) -> tuple[Token, ...]: ...


def fits_result(groups: Sequence[Phrase], evidence: Evidence) -> bool:
    """Tells whether the words about a value fit it; True for operations that give none back."""
    values = _values(evidence)
    told = [token for group in groups for token in group.tokens]
    if not _follow_in_order(groups, evidence):
        return False
    if "empty" in {token.lower for token in told} and not any(map(is_empty, values)):
        return False
    if not isinstance(evidence.action.statement, ast.Return) or "return" not in (
        evidence.action.verbs
    ):
        return True
    value = values[0]
    return (
        all(_fits_type(group.tokens, value, evidence) for group in groups if _is_object(group))
        and all(
            _is_whole(token, value, alone=_is_alone(g.tokens))
            for g in groups
            if _is_object(g)
            for token in g.tokens
        )
        and _fits_words(told, value, evidence)
    )


def _is_alone(tokens: Sequence[Token]) -> bool:
    """Tells whether a phrase is a name with words that claim nothing of it."""
    words = {token.lower for token in tokens if token.kind == "word"}
    return not words - BARE_WORDS


def _follow_in_order(groups: Sequence[Phrase], evidence: Evidence) -> bool:
    """Tells whether "`a` followed by `b`" has the order of the code."""
    at = next(
        (i for i, g in enumerate(groups) if ORDERED & {t.lower for t in g.tokens}), None
    )  # fmt: skip
    if at is None:
        return True
    told = [t.text for g in groups[at:] for t in g.tokens if t.kind in ("code", "text")]
    return all(in_order(told, node) for node in _values(evidence))


def _values(evidence: Evidence) -> list[ast.AST]:
    roles = evidence.action.roles
    return [node for name in ("object", "to", "with", "from", "in") if
            isinstance(node := roles.get(name), ast.AST)]  # fmt: skip


def _is_object(group: Phrase) -> bool:
    return group.preposition == "" and group.role == "object"


def _fits_type(tokens: Sequence[Token], value: ast.AST, evidence: Evidence) -> bool:
    """Tells whether the type that a phrase names is surely that of the value."""
    values = value.elts if isinstance(value, ast.Tuple) and _counts(tokens) else [value]
    known = {evidence.code.type_of(one) or _type_by_run(one, evidence) for one in values}
    for at, token in enumerate(tokens):
        kind = TYPES.get(stem(token.lower)) if token.kind == "word" else None
        if kind is not None and known != {kind}:
            return False
        if token.lower in _FRESH and at + 1 < len(tokens) and _is_parameter(value, evidence):
            return False
    return True


def _counts(tokens: Sequence[Token]) -> bool:
    """Tells whether a phrase is of several values: "both lists"."""
    return bool(set(_COUNTS) & {token.lower for token in tokens})


def _is_parameter(value: ast.AST, evidence: Evidence) -> bool:
    return isinstance(value, ast.Name) and value.id in evidence.code.parameters


def _type_by_run(value: ast.AST, evidence: Evidence) -> str | None:
    found = evidence.code.returned.get(value, frozenset())
    return next(iter(found)) if len(found) == 1 else None


def _is_whole(token: Token, value: ast.AST, *, alone: bool) -> bool:
    """Tells whether code that is told to be returned is the value, or a name in it."""
    if token.kind not in ("code", "text"):
        return True
    try:
        said = ast.parse(token.text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        said = None
    if isinstance(value, ast.Constant | ast.UnaryOp | ast.Name | ast.Tuple | ast.List | ast.Dict):
        whole = said is not None and ast.dump(said) == ast.dump(value)
        return whole or (isinstance(value, ast.Tuple) and any(
            said is not None and ast.dump(said) == ast.dump(one) for one in value.elts
        )) or (isinstance(value, ast.Constant) and value.value == token.text)  # fmt: skip
    if alone and token.text.isidentifier():
        return False  # `a` alone is not what `b.join(a)` gives
    return atom_in(token.text, value)


def _fits_words(tokens: Sequence[Token], value: ast.AST, evidence: Evidence) -> bool:
    code = evidence.code
    for at, token in enumerate(tokens):
        behind = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.lower in _COUNTS:
            count = len(value.elts) if isinstance(value, ast.Tuple) else -1
            if count != _COUNTS[token.lower]:
                return False
        if token.lower in _ORIGINAL:
            kept = isinstance(value, ast.Name) and value.id in code.parameters
            if not kept or value.id in code.writes or value.id in code.changes:
                return False
        if token.lower in _CHANGED:
            fits = behind is not None and (behind.kind == "code" or behind.lower in _CHANGED_NOUNS)
            if not fits or "containing" in {t.lower for t in tokens}:
                return False
    return True
