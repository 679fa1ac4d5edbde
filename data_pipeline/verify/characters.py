"""Knows characters by their English names: "a dot", "newlines"."""

import re

_CHARACTERS = {
    name: character
    for character, names in (
        (".", "dot period full stop"), (",", "comma"), ("\n", "newline"), ("\t", "tab"),
        ("-", "hyphen dash"), ("_", "underscore"), (":", "colon"), (";", "semicolon"),
        ("*", "asterisk star"), ("+", "plus"), ("/", "slash"), ("#", "hash"), ("@", "at"),
        ("!", "exclamation"), ("?", "question"), (" ", "space"),
    )
    for name in names.split()
}  # fmt: skip
_CHARACTER = re.compile(
    rf"(?:an? |the )?(?:single )?(?P<c>{'|'.join(_CHARACTERS)})"
    r"(?: (?:character|mark|sign|symbol))?s?",
    re.I,
)


def character_of(name: str) -> str | None:
    """Returns the character that a word names: "dots" is "."."""
    return _CHARACTERS.get(name.lower()) or _CHARACTERS.get(name.lower().removesuffix("s"))


def character_in(phrase: str) -> str | None:
    """Returns the character that a whole phrase means: "a dot", "the exclamation mark"."""
    match = _CHARACTER.fullmatch(phrase)
    return None if match is None else character_of(match["c"])
