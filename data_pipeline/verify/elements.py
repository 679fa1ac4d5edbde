"""Reads which element a line is about: "- For the first character 's':", "- `c = 's'`: …"."""

import dataclasses
import re
from collections.abc import Sequence

from data_pipeline.verify.clause_parts import equations
from data_pipeline.verify.clause_patterns import LABEL
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.ordinals import ANY_ORDINAL, ORDINALS

_OPENS = re.compile(
    r"^(?:(?:for|when|at|with|processing|next|now|then|the|checking|if) )*"
    rf"(?:(?P<o>{ANY_ORDINAL}) )?(?:[a-z]+,? )?(?P<x>⟦\d+⟧)(?: (?:=|is) (?P<v>⟦\d+⟧))?"
    r"(?: \([^)]*\))?(?=\s*(?:[:,]|→|->|=>|$)| (?:is|does|has|returns|passes|becomes)\b)",
    re.I,
)
_LABEL = re.compile(rf"^\W*(?:(?:at|in|on) )?(?:line )?{LABEL}[:,]?\s*", re.I)


@dataclasses.dataclass(frozen=True)
class Element:
    """Holds the element that a line is about.

    name:  the variable that has it, None if none is named
    value: the element as it is written
    nth:   its number from 1, None if none is told
    """

    name: str | None
    value: str
    nth: int | None


def read_element(text: str, atoms: Sequence[Atom]) -> Element | None:
    """Returns the element that a masked line opens with."""
    match = _OPENS.match(_LABEL.sub("", text))
    if match is None:
        return None
    nth = ORDINALS.get((match["o"] or "").lower())
    nth = nth if nth != -1 else None
    atom = atoms[int(match["x"][1:-1])]
    if match["v"] is not None:
        value = atoms[int(match["v"][1:-1])]
        if atom.text.isidentifier() and value.literal:
            return Element(atom.text, value.text, nth)
        return None
    if atom.literal:
        return Element(None, atom.text, nth)
    told = [claim for claim in equations(atom) if (claim.subject or "").isidentifier()]
    return Element(told[0].subject, told[0].value, nth) if len(told) == 1 else None
