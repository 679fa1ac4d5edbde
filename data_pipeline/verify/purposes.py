"""Judges what a parameter is said to be for: "a character that will be removed from `text`"."""

import ast
import re

from data_pipeline.verify.actions import Action
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.concepts import STRICT, tags_of
from data_pipeline.verify.lexicon import Token, lemma_of, read_tokens
from data_pipeline.verify.phrases import PLAIN_WORDS, Code, atom_in
from data_pipeline.verify.wordlists import word_set

_WISHES = word_set(
    "use give contain include expect want process perform put make set handle generate keep"
)
_HEDGES = word_set(
    """
    we want need that will be to should must may can might where which whose at used for
    specified expected represents representing containing contain contains us has its used it
    into manipulate manipulated search operate operated desired not modify determines indicates
    integer prefix suffix english alphabet special
    """
)
_PLACES = word_set("index position location")


_DONE = re.compile(
    r"^.*?\b(?:element|item|value|character|substring|string|number|integer|key|letter|word|list)"
    r" (?:(?:that|which) )?(?:(?:is|needs|has|will|should|must) )?(?:to )?be (?P<d>\w+ed\b.*)$",
    re.I | re.S,
)
_AT = re.compile(
    r"^.*?\b(?:specif\w+|represent\w+|determin\w+|indicat\w+) the (?:index|position) "
    r"(?:at which|where) (?P<x>.+?) (?:should|will|is to|must) be (?P<d>\w+ed)\b(?P<r>.*)$",
    re.I | re.S,
)


def purpose_sentence(name: str, said: str) -> str | None:
    """Returns what a purpose says as a sentence: "an element to be removed" of `x`, "`x` is …"."""
    if found := _AT.match(said):
        return f"{found['x']} is {found['d']} at the index `{name}`{found['r']}"
    if found := _DONE.match(said):
        return f"`{name}` is {found['d']}"
    return None


def judge_purpose(code: Code, name: str, said: str) -> str | None:
    """Returns CONFIRMED if an action uses the parameter so, "" for empty words, else None."""
    tokens = [token for token in read_tokens(said) if token.text != name]
    verbs = {lemma_of(token.lower) for token in tokens if token.kind == "word"}
    verbs -= {None, *_WISHES}
    if not name:
        return None
    if not verbs:
        return "" if _says_nothing(tokens, code) else None
    for verb in verbs:
        if not any(
            verb in action.verbs
            and _plays(code, name, tokens, action)
            and _explains(tokens, action)
            for action in code.actions
        ):
            return None
    return CONFIRMED


def _says_nothing(tokens: list[Token], code: Code) -> bool:
    return all(
        token.kind != "text" and (token.kind != "code" or token.text in code.names)
        and (token.kind != "word" or token.lower in PLAIN_WORDS or token.lower in _HEDGES)
        for token in tokens
    )  # fmt: skip


def _plays(code: Code, name: str, tokens: list[Token], action: Action) -> bool:
    """Tells whether the parameter plays the role that the words give it."""
    words = [token.lower for token in tokens]
    at = bool(_PLACES & set(words[:4]))
    roles = ("at",) if at else ("object", "with") if "replace" in action.verbs else ("object",)
    for role in roles:
        value = action.roles.get(role)
        if isinstance(value, ast.AST) and (
            atom_in(name, value) or any(_is_name(name, part) for part in code.expanded(value))
        ):
            return True
    return False


def _is_name(name: str, node: ast.AST) -> bool:
    """Tells whether an expression is the parameter itself, as where a loop goes over it."""
    return isinstance(node, ast.Name) and node.id == name


def _explains(tokens: list[Token], action: Action) -> bool:
    for token in tokens:
        if token.kind in ("code", "text"):
            if not atom_in(token.text, action.node):
                return False
        elif token.kind == "mark" or _is_plain(token.lower):
            continue
        elif token.lower not in tags_of(action.node):
            return False
    return True


def _is_plain(word: str) -> bool:
    if word in STRICT and word not in PLAIN_WORDS:
        return False
    return word in PLAIN_WORDS or word in _HEDGES or lemma_of(word) is not None
