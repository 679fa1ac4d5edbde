"""Reads the names of the parts that a text is split into: "three parts: `a`, `sep` and `b`"."""

import ast
import re

from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.reading import JudgedClaim

_NUMBERS = {"two": 2, "three": 3, "four": 4}
_LISTED = re.compile(
    r"\binto (?P<n>two|three|four) (?:parts|variables|pieces|strings|substrings)"
    r"(?P<told>(?::|,| called| named) (?P<names>`\w+`(?:,? (?:and )?`\w+`)+))(?=$|[ .,;])",
    re.I,
)
_SPLITS = frozenset(("split", "rsplit", "partition", "rpartition"))


def read_parts(code: Code, text: str) -> tuple[JudgedClaim, str] | None:
    """Returns the claim that a sentence makes of names in order, and the sentence without it."""
    found = _LISTED.search(text)
    if found is None:
        return None
    names = re.findall(r"`(\w+)`", found["names"])
    if len(names) != _NUMBERS[found["n"].lower()] or names not in _targets(code):
        return None
    rest = text[: found.start("told")] + text[found.end("told") :]
    return JudgedClaim("code", found["told"].strip(" ,:"), CONFIRMED), rest


def _targets(code: Code) -> list[list[str]]:
    """Returns the names that each split of a text is assigned to."""
    found = []
    for node in ast.walk(code.tree):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=parts) | ast.List(elts=parts)],
                value=ast.Call(func=ast.Attribute(attr=method)),
            ) if method in _SPLITS:
                found.append([ast.unparse(part) for part in parts])
    return found
