"""Masks the code and values in a line of prose so that the words can be matched as words.

`mask_code("`x` is set to [1, 2].")` returns the text "⟦0⟧ is set to ⟦1⟧." and two atoms. Every scan
step moves forward and each unclosed bracket is abandoned only once, so malformed text costs linear
time.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Sequence

from data_pipeline.source.literals import LiteralError, literal_end, parse_literal

MAX_LINE = 20_000
_MOST_CODE = 2000  # characters of bare code in prose
ATOM_NUMBER = re.compile(r"⟦(\d+)⟧")  # in a masked text: the place of an atom
_LABEL = re.compile(r"[\[(]?\bL\d+\b[\])]?")
_NONE_OF = re.compile(r"None of (?:the|these|those|them)\b")
_WORD = re.compile(r"[A-Za-z_][\w]*")
# A word that only its name can make code: a letter, or a mark that joins nothing, comes after it.
_PLAIN_WORD = re.compile(r"(?!L\d)[A-Za-z_]\w*(?= +[A-Za-z_]|[,;:?`]|\.(?:\s|$)|$)")
_CONSTANTS = frozenset(("True", "False", "None", "set"))
_TRAILER = re.compile(r"\.[A-Za-z_]\w*")
_OPERATOR = re.compile(r"\s*(\*\*|//|<=|>=|==|!=|<<|>>|[-+*/%<>&|^])\s*(?=[\w'\"\[({-])")
_ASSIGNED = re.compile(r"\s*=\s*[-\w'\"\[({]")
_GAP = re.compile(r",?\s*(?:\.\.\.|…)")
_ELIDED = re.compile(r"""(['"])(?:[^'"\\\n]|\\.)*(?:…|\.\.\.)""")


@dataclasses.dataclass(frozen=True)
class Atom:
    """Holds a piece of code or a literal. literal: whether `text` is a value (gaps allowed)."""

    text: str
    literal: bool
    start: int


@functools.lru_cache(maxsize=2048)
def is_literal(text: str) -> bool:
    try:
        parse_literal(text)
        return True
    except LiteralError:
        pass
    if text[:1] not in tuple("[({'\"") or not _GAP.search(text):
        return False
    try:  # "{1: 2, ...}", "[1, …, 3]"
        parse_literal(_GAP.sub("", text))
        return True
    except LiteralError:
        return False


def spell(text: str, atoms: Sequence[Atom]) -> str:
    """Returns a masked text with its code written out again."""
    return ATOM_NUMBER.sub(lambda match: atoms[int(match[1])].text, text)


def mask_code(line: str, names: frozenset[str]) -> tuple[str, list[Atom]]:
    """Returns (the text with ⟦i⟧ for its i-th atom, the atoms). Labels such as [L7] stay.

    names: words to treat as code even without backticks.
    """
    text, atoms = _mask_code(line, names)
    return text, list(atoms)


@functools.lru_cache(maxsize=1024)
def _mask_code(line: str, names: frozenset[str]) -> tuple[str, tuple[Atom, ...]]:
    line = line[:MAX_LINE].replace("⟦", "[").replace("⟧", "]")
    parts, atoms, at = [], [], 0
    budget = [8 * len(line) + 4096]
    code = names | _CONSTANTS

    def put(text: str, start: int) -> None:
        parts.append(f"⟦{len(atoms)}⟧")
        atoms.append(Atom(text.strip(), is_literal(text.strip()), start))

    while at < len(line):
        character = line[at]
        if character == " ":
            parts.append(character)
            at += 1
            continue
        if (word := _PLAIN_WORD.match(line, at)) and word[0] not in code:
            parts.append(word[0])
            at = word.end()
            continue
        if character == "`":
            end = line.find("`", at + 1)
            if end > at + 1:
                put(line[at + 1 : end], at)
                at = end + 1
                continue
        if character in "[(L" and (label := _LABEL.match(line, at)):
            parts.append(label[0])
            at = label.end()
            continue
        before = line[at - 1] if at else " "
        if not (before.isalnum() or before in "_."):
            end = _bytes_end(line, at) or _code_end(line, at, names, budget)
            if end is not None:
                put(line[at:end], at)
                at = end
                continue
        if word := _WORD.match(line, at):
            parts.append(word[0])
            at = word.end()
            continue
        parts.append(character)
        at += 1
    return "".join(parts), tuple(atoms)


def _bytes_end(line: str, at: int) -> int | None:
    """Returns the end of a bytes literal at `at`."""
    if line[at] != "b" or line[at + 1 : at + 2] not in ("'", '"'):
        return None
    end = literal_end(line, at + 1)
    return end if end is not None and is_literal(line[at:end]) else None


def _code_end(line: str, at: int, names: frozenset[str], budget: list[int]) -> int | None:
    """Returns the end of the literal or bare expression at `at`; None if none begins there."""
    end, known = _operand_end(line, at, names, budget)
    if end is None:
        return None
    best = end if known else None
    while (
        end - at < _MOST_CODE and budget[0] > 0 and (operator := _OPERATOR.match(line, end))
    ):  # past either, nothing more parses
        if operator[1] in "-*" and operator[0] != operator[0].strip() and not known:
            break
        following, _ = _operand_end(line, operator.end(), names, budget)
        if following is None:
            break
        end = following
        if _parses(line[at:end], budget):
            best, known = end, True
    return best


def _operand_end(
    line: str, at: int, names: frozenset[str], budget: list[int]
) -> tuple[int | None, bool]:
    """Returns (end of an operand at `at`, whether it is surely code)."""
    if at >= len(line):
        return None, False
    if _NONE_OF.match(line, at):
        return None, False
    if (word := _WORD.match(line, at)) and word[0] not in _CONSTANTS:
        end, sure = word.end(), word[0] in names and (len(word[0]) > 1 or word[0] not in "aAI")
        sure = sure or _ASSIGNED.match(line, end) is not None
        while end < len(line):
            if line[end] in "([":
                if _LABEL.match(line, end):
                    break
                close = _bracket_end(line, end, budget)
                if close is None:
                    break
                end, sure = close, True
            elif trailer := _TRAILER.match(line, end):
                rest = line[trailer.end() : trailer.end() + 1]
                if not sure and rest != "(":
                    break
                end = trailer.end()
            else:
                break
        if sure and not _parses(line[at:end], budget):
            return word.end(), word[0] in names
        return (end, sure) if sure or word[0] in names or end == word.end() else (None, False)
    if line[at] in "[({":
        end = _bracket_end(line, at, budget)
        if end is None or not (is_literal(line[at:end]) if end - at < 20_000 else False):
            return None, False
        if line[at] == "(" and "," not in line[at:end] and line[end - 2] != "j":
            return None, False  # (3): an aside
        return end, True
    if line[at] in "'\"":
        end = literal_end(line, at)
        if end is None:
            elided = _ELIDED.match(line, at)
            return (elided.end(), True) if elided else (None, False)
        if end < len(line) and line[end].isalnum():
            return None, False
        return end, True
    end = literal_end(line, at)
    if end is None:
        return None, False
    return end, True


def _bracket_end(line: str, at: int, budget: list[int]) -> int | None:
    if budget[0] <= 0:
        return None
    end = literal_end(line[: at + 4000], at)
    budget[0] -= (end or min(len(line), at + 4000)) - at
    return end


@functools.lru_cache(maxsize=4096)
def _syntax_fits(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
        return True
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _parses(text: str, budget: list[int]) -> bool:
    budget[0] -= len(text)
    return budget[0] > 0 and len(text) < _MOST_CODE and _syntax_fits(text)
