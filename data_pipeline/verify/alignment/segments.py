"""Cuts a sentence into conditions, places and the segments between them.

"If `x` is empty, it returns `y` and stops" is a condition and a piece with two places at which a
segment may begin. Which of these do begin one is decided by what can be aligned.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from data_pipeline.verify.alignment.lexicon import FILLER_STEMS, stem
from data_pipeline.verify.lexicon import Token, read_tokens
from data_pipeline.verify.wordlists import word_set

_CONDITIONS = word_set("if whether when whenever unless while until once since because")
_BEGINNERS = word_set("and or then to which that by before after so thereby thus but while where")
_LOOPS = word_set("loop loops iteration iterations")
_PLACES = word_set("in inside within during after before at through")
_ENDERS = word_set("then otherwise else")
_INSIDE = word_set("and or if than in of that")
_BRACKETS = frozenset("()[]*")
_SUBJECTS = ("it", "the function", "this function", "the loop", "the program", "the method", "we")


@dataclasses.dataclass(frozen=True)
class Piece:
    """Holds a run of tokens.

    Attributes:
      kind: "condition", "otherwise", "each" ("for each `x`"), "place" ("after the loop") or "told".
      marker: the word that begins it, such as "unless"; "" for what is told.
      tokens: its tokens without the marker.
      leads: whether what it says holds for what follows it, not for what stands before it.
    """

    kind: str
    marker: str
    tokens: tuple[Token, ...]
    leads: bool = True


@functools.lru_cache(maxsize=1024)  # placed first, then aligned, and again by other readers
def read_pieces(sentence: str) -> tuple[Piece, ...]:
    """Returns the pieces of a sentence in order; brackets are read as part of what is told."""
    tokens = [token for token in read_tokens(sentence) if token.text not in _BRACKETS]
    return tuple(_pieces(tokens))


def _pieces(tokens: Sequence[Token]) -> Iterator[Piece]:
    at, told = 0, []
    while at < len(tokens):
        kind = _opens(tokens, at)
        if kind is None:
            told.append(tokens[at])
            at += 1
            continue
        leads = not _says_something(told)
        after_break = bool(told) and told[-1].lower in (",", "and", ".", ";", "but")
        if told:
            yield Piece("told", "", tuple(told))
            told = []
        first = at + 1
        end = first if kind == "otherwise" else _end(tokens, first)
        yield Piece(kind, tokens[at].lower, tuple(tokens[first:end]), leads or after_break)
        at = end
    if told:
        yield Piece("told", "", tuple(told))


def _says_something(told: Sequence[Token]) -> bool:
    return any(t.kind in ("code", "text") or stem(t.lower) not in FILLER_STEMS
               for t in told if t.kind != "mark" and t.lower not in _BEGINNERS)  # fmt: skip


def _opens(tokens: Sequence[Token], at: int) -> str | None:
    word = tokens[at].lower
    following = [token.lower for token in tokens[at + 1 : at + 3]]
    if word in ("otherwise", "else"):
        return "otherwise"
    if word == "for" and following[:1] in (["each"], ["every"]):
        return "each"
    if word in _PLACES and at + 2 < len(tokens) and _is_place(tokens, at):
        return "place"
    if word in _CONDITIONS and not (word == "once" and not following):
        return "condition"
    return None


def _is_place(tokens: Sequence[Token], at: int) -> bool:
    """Tells whether "after the loop," begins here: words alone, up to a comma."""
    words = []
    for token in tokens[at + 1 : at + 8]:
        if token.lower == ",":
            break
        if token.kind != "word":
            return False
        words.append(token.lower)
    else:
        return False
    starts = at == 0 or tokens[at - 1].lower in (",", ".", ";", "then", "and", ":")
    return starts and bool(_LOOPS & set(words))


def _end(tokens: Sequence[Token], at: int) -> int:
    """Returns where a condition ends: at a comma, "then", or the subject of what follows."""
    for place in range(at, len(tokens)):
        word = tokens[place].lower
        if (tokens[place].kind == "mark" and word in ",.;:") or word in _ENDERS:
            return place
        two = f"{word} {tokens[place + 1].lower}" if place + 1 < len(tokens) else word
        begins = place > at + 1 and (word in _SUBJECTS[:1] or two in _SUBJECTS)
        if begins and tokens[place - 1].lower not in _INSIDE:
            return place
    return len(tokens)


def boundaries(tokens: Sequence[Token]) -> list[int]:
    """Returns the places at which a segment may begin, 0 first."""
    found = [0]
    for at, token in enumerate(tokens):
        if at and (token.lower in _BEGINNERS or (token.kind == "mark" and token.text in ",.;:-")):
            found.append(at)
    return found


def strip_beginning(tokens: Sequence[Token]) -> tuple[str, tuple[Token, ...]]:
    """Returns the words that joined a segment to the one before it, and the rest."""
    at = 0
    joined = []
    while at < len(tokens) and (
        tokens[at].lower in _BEGINNERS or (tokens[at].kind == "mark" and tokens[at].text in ",.;:-")
    ):
        joined.append(tokens[at].lower)
        at += 1
    return " ".join(joined), tuple(tokens[at:])
