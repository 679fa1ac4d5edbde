"""Parses values in sentences: "x = [1, 2], y = 'a, b = c' and no value of z"."""

import re
from collections.abc import Iterator

_PAIR = re.compile(r"(?<![\w.])([A-Za-z_]\w*) = ")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_FOLLOWS = re.compile(
    r"(?:, | and )(?:[A-Za-z_]\w* = |no value of |where )|, \w+ is deleted|\.$|\. "
)
_LENGTH = re.compile(r"a value of (\d+) characters")


def pairs(told: str) -> Iterator[tuple[str, str]]:
    """Yields name and value of each "name = value"."""
    at = 0
    while match := _PAIR.search(told, at):
        at = _value_end(told, match.end())
        yield match[1], told[match.end() : at]


def _value_end(text: str, start: int) -> int:
    """Returns the end of a value: the end of the text, or where words or another pair follow.

    Skips strings and brackets.
    """
    depth, at = 0, start
    while at < len(text):
        if string := _STRING.match(text, at):
            at = string.end()
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth <= 0 and _FOLLOWS.match(text, at):
            return at
        at += 1
    return at


def is_shown(told: str, text: str) -> bool:
    """Returns whether a sentence shows a value, or at least its length."""
    length = _LENGTH.fullmatch(told)
    return int(length[1]) == len(text) if length else told == text


def outside_strings(text: str) -> str:
    """Empties the strings in a text."""
    return _STRING.sub("''", text)


def partition_outside_strings(text: str, separator: str) -> tuple[str, str, str]:
    """Works as `partition` at the first separator outside strings."""
    masked = _STRING.sub(lambda match: "'" + "_" * (len(match[0]) - 2) + "'", text)
    at = masked.find(separator)
    return (text, "", "") if at < 0 else (text[:at], separator, text[at + len(separator) :])
