"""Guesses the kinds of a parameter from its name."""

import re
from collections.abc import Sequence

from data_pipeline.testcases.value_kind import (
    BOOL,
    BYTES,
    DICT,
    FLOAT,
    INT,
    INTS,
    LIST,
    STR,
    ValueKind,
)

_NAMES: Sequence[tuple[str, Sequence[ValueKind]]] = (
    (r"(?:.*_)?(?:n|k|i|j|m|p|q|r|num|count|size|length|width|depth|index|idx|limit|start|stop"
     r"|step|pos|offset|year|month|day|base|power|exp|digits|times|level|low|high|lo|hi)\d*",
     [INT]),
    (r"(?:.*_)?(?:x|y|z|a|b|c|val|value|number|v)\d*", [INT, FLOAT]),
    (r"(?:.*_)?(?:rate|ratio|fraction|threshold|tolerance|eps|alpha|beta|mean|sigma|mu)", [FLOAT]),
    (r"(?:.*_)?(?:s|t|str|string|text|txt|word|line|name|sentence|char|ch|prefix|suffix|sep|delim"
     r"|delimiter|separator|pattern|token|url|path|title|label|msg|message|fmt|format|html)\d*",
     [STR]),
    (r"(?:.*_)?(?:words|strings|lines|names|tokens)", [ValueKind("list", (STR,))]),
    (r"(?:.*_)?(?:nums|numbers|ints|xs|ys|arr|array|data|values|weights|points|counts)", [INTS]),
    (r"(?:.*_)?(?:lst|list|seq|sequence|iterable|iterables|items|collection|elements|it|src"
     r"|iterator)\d*", [INTS, LIST]),
    (r"(?:.*_)?(?:matrix|grid|board|table|rows)", [ValueKind("list", (INTS,))]),
    (r"(?:.*_)?(?:d|dict|dic|mapping|map|lookup|kwargs|counts|graph|dct)\d*", [DICT]),
    (r"(?:is_|has_|use_|with_|allow_|strict|reverse|verbose|ignore|flag|inclusive).*", [BOOL]),
    (r"(?:.*_)?(?:bytes|buf|buffer|blob)", [BYTES]),
)  # fmt: skip
_NAME_PATTERNS = [(re.compile(pattern), kinds) for pattern, kinds in _NAMES]


def kinds_of_name(name: str) -> Sequence[ValueKind]:
    """Returns the kinds that a name suggests, the likeliest first; none for other names."""
    for pattern, kinds in _NAME_PATTERNS:
        if pattern.fullmatch(name.strip("_").lower()):
            return kinds
    return []
