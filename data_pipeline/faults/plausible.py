"""Refuses variants that no person would hand in: another type's variable, an error of every run."""

import ast
import re
from collections.abc import Mapping, Sequence

from data_pipeline.execution.outcomes import Outcome, Raised
from data_pipeline.faults.mutant import Mutant
from data_pipeline.testcases import Case

_MOST_EVENTS = 400  # of a run, to see the types of its variables
_NO_SUCH_NAME = frozenset({"AttributeError", "NameError", "UnboundLocalError"})
_FORGOTTEN = frozenset({"dropped_guard", "dropped_else", "dropped_condition", "model"})
"""Operators that forget a case, in which a wrong type may turn up late."""
_OPENINGS = {"[": "list", "(": "tuple", "{": "dict or set", "'": "str", '"': "str"}
_NUMBER = re.compile(r"-?(?:\d|inf|nan)|True\b|False\b")


def types_of(cases: Sequence[Case]) -> Mapping[str, frozenset[str]]:
    """Returns the types that each variable has in the right program's runs."""
    found: dict[str, set[str]] = {}
    for case in cases:
        for event in case.trace.events[:_MOST_EVENTS]:
            for name, text in event.changed.items():
                found.setdefault(name, set()).add(_type(text))
    return {name: frozenset(types) for name, types in found.items()}


def _type(text: str) -> str:
    if _NUMBER.match(text):
        return "number"
    return _OPENINGS.get(text[:1]) or text.partition("(")[0]


def mistakes_type(right: str, variant: Mutant, types: Mapping[str, frozenset[str]]) -> bool:
    """Returns whether a variant reads a variable of another type than the right program."""
    if variant.operator != "wrong_variable":
        return False
    names, others = (
        [node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
        for text in (right, variant.text)
    )
    changed = [(a, b) for a, b in zip(names, others, strict=True) if a != b]
    return any(a in types and b in types and not types[a] & types[b] for a, b in changed)


def is_obvious(variant: Mutant, failed: Outcome, outcomes: Sequence[Outcome]) -> bool:
    """Returns whether an exception is one that the first run of the program shows to its author.

    A name or an attribute that does not exist is one. So is a wrong type, unless it turns up in
    some runs only, in a case that was forgotten.
    """
    if not isinstance(failed, Raised):
        return False
    if failed.type in _NO_SUCH_NAME:
        return True
    if failed.type != "TypeError":
        return False
    everywhere = all(isinstance(one, Raised) and one.type == failed.type for one in outcomes)
    return everywhere or variant.operator not in _FORGOTTEN
