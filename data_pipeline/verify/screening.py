"""Patterns that first look for words without which they cannot match.

Readers search every sentence for hundreds of wordings, and nearly all of them are absent. Looking
for a few plain words takes a fraction of the time of a search that tries a pattern at every
character. `screened(r"\\b(?:splits?|splitting) ⟦", re.I)` searches only texts with "split".

The words are not written by hand: `needed_words` derives them from the syntax tree of the pattern,
so a screened pattern always finds what the pattern finds.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

try:
    from re import _constants as codes  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # another version of Python: patterns go unscreened
    parser = None

_MOST_WORDS = 32
_MOST_SPELLINGS = 64
_MOST_CHARACTERS = 4  # of a set such as [sz] that is spelled out
_COMMON = frozenset(
    "a an and are as at by for in is it of on or so that the this to was with".split()  # noqa: SIM905
)
_COST_OF_WORD = 0.02  # a look for a word, where a search takes 1
_MOST_COST = 0.8

_Tree = Iterable[tuple[Any, Any]]


def screened(pattern: str, flags: int = 0) -> "Pattern":
    """Compiles a pattern; screens it if it needs words that are rare."""
    compiled = re.compile(pattern, flags)
    words = needed_words(compiled)
    if not words:
        return compiled
    return (_ScreenedIgnoringCase if compiled.flags & re.IGNORECASE else Screened)(compiled, words)


class Screened:
    """A pattern with words of which each text that it matches has one."""

    __slots__ = ("pattern", "words")

    def __init__(self, pattern: re.Pattern[str], words: tuple[str, ...]):
        self.pattern, self.words = pattern, words

    def fits(self, text: str) -> bool:
        """Returns whether a text has one of the words."""
        for word in self.words:  # noqa: SIM110 (`any` takes twice the time)
            if word in text:
                return True
        return False

    def search(self, text: str) -> re.Match[str] | None:
        return self.pattern.search(text) if self.fits(text) else None

    def match(self, text: str) -> re.Match[str] | None:
        return self.pattern.match(text) if self.fits(text) else None

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(text) if self.fits(text) else None

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return self.pattern.finditer(text) if self.fits(text) else iter(())

    def findall(self, text: str) -> list[Any]:
        return self.pattern.findall(text) if self.fits(text) else []

    def sub(self, by: Any, text: str) -> str:
        return self.pattern.sub(by, text) if self.fits(text) else text


class _ScreenedIgnoringCase(Screened):
    __slots__ = ()

    def fits(self, text: str) -> bool:
        text = _fold(text)
        for word in self.words:  # noqa: SIM110 (`any` takes twice the time)
            if word in text:
                return True
        return False


Pattern = re.Pattern[str] | Screened


@functools.lru_cache(maxsize=4096)
def _fold(text: str) -> str:
    """Returns a text in lower case; three letters match "i" and "s" though their case differs."""
    return text.replace("İ", "i").replace("ı", "i").replace("ſ", "s").lower()


# ---- the words that a pattern needs


def needed_words(pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Returns words of which each text that the pattern matches has one; none if none pays.

    In lower case for a pattern that ignores case: see `_fold`.
    """
    if parser is None:
        return ()
    tree = parser.parse(pattern.pattern, pattern.flags)
    _, choices = _read(tree, bool(pattern.flags & re.IGNORECASE))
    return _rarest(choices)


def _read(
    tree: _Tree, folds: bool, before: Iterable[str] = ("",)
) -> tuple[set[str] | None, list[set[str]]]:
    """Returns (all texts that a tree matches, None if they are many; sets of needed words).

    Of each set of needed words, every text that the tree matches has one.

    before: texts of which one stands in front
    """
    spelled, is_whole, choices = set(before), True, []
    for code, argument in tree:
        own, needed = _read_node(code, argument, folds, spelled)
        choices += needed
        if own is None or len(own) > 1:
            choices.append(spelled)  # "split" alone, of "split(?:s|ting) ": one word, not two
        if own is not None and len(own) * len(spelled) <= _MOST_SPELLINGS:
            spelled = {front + behind for front in spelled for behind in own}
        else:
            spelled, is_whole = own or {""}, False
    return (spelled if is_whole else None), [*choices, spelled]


def _read_node(
    code: Any, argument: Any, folds: bool, before: set[str]
) -> tuple[set[str] | None, list[set[str]]]:
    if code is codes.LITERAL:
        return _read_characters([(code, argument)], folds), []
    if code is codes.IN:
        return _read_characters(argument, folds), []
    if code in (codes.AT, codes.ASSERT_NOT):
        return {""}, []
    if code is codes.ASSERT:
        direction, tree = argument
        return {""}, _read(tree, folds, before if direction > 0 else ("",))[1]
    if code is codes.SUBPATTERN:
        _, added, removed, tree = argument
        return (None, []) if added or removed else _read(tree, folds)
    if code is codes.BRANCH:
        return _read_branches([_read(tree, folds) for tree in argument[1]])
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, tree = argument
        spelled, choices = _read(tree, folds)
        if least == 0:
            return (spelled | {""} if spelled is not None and most == 1 else None), []
        return (spelled if least == most == 1 else None), choices
    return None, []


def _read_characters(items: list[tuple[Any, Any]], folds: bool) -> set[str] | None:
    """Returns the characters of a set, None if they are many or ignoring their case is unclear."""
    if len(items) > _MOST_CHARACTERS or any(code is not codes.LITERAL for code, _ in items):
        return None
    characters = {chr(argument) for _, argument in items}
    if not folds:
        return characters
    clear = all(character.isascii() or character in "⟦⟧" for character in characters)
    return {character.lower() for character in characters} if clear else None


def _read_branches(
    branches: list[tuple[set[str] | None, list[set[str]]]],
) -> tuple[set[str] | None, list[set[str]]]:
    spelled = [own for own, _ in branches]
    rarest = [_rarest(choices) for _, choices in branches]
    together = set().union(*rarest)
    whole = None if None in spelled else set().union(*(own for own in spelled if own is not None))
    return whole, [together] if all(rarest) else []


def _rarest(choices: list[set[str]]) -> tuple[str, ...]:
    """Returns the cheapest set of words to look for, shortest word first; none if none pays."""
    best: tuple[str, ...] = ()
    for words in choices:
        shortest: list[str] = []
        for word in sorted(words, key=lambda word: (len(word), word)):
            if not any(short in word for short in shortest):
                shortest.append(word)
        if len(shortest) <= _MOST_WORDS and _cost(shortest) < _cost(best):
            best = tuple(shortest)
    return best


def _cost(words: Sequence[str]) -> float:
    """Estimates the time that a sentence takes, where a search takes 1: the share of sentences
    that have one of the words, and the time to look for each."""
    return sum(map(_share, words)) + _COST_OF_WORD * len(words) if words else _MOST_COST


def _share(word: str) -> float:
    plain = word.strip("⟦⟧ ,.").lower()
    return 1.0 if plain in _COMMON or not plain else 2.5 ** -len(plain)
