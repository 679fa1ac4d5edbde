"""Compares a result with the expected value, outside the sandbox.

Each oracle takes a `Result` and the expected Python value, and returns False unless the run
returned a value. Opaque values equal nothing, so an object cannot cheat with its own `__eq__`.
"""

import math
from typing import Any

from data_pipeline.execution.guest.values import Malformed, encode, has_opaque
from data_pipeline.execution.outcomes import Result, Value
from data_pipeline.source.calls import parse_value
from data_pipeline.source.constructed import with_collections
from data_pipeline.source.literals import LiteralError, same_value


def is_exact(result: Result, expected: Any) -> bool:
    """Returns whether all types and values are the same, including the order of dicts.

    2 is not 2.0, 1 is not True, 0.0 is not -0.0, NaN is NaN.
    """
    if not isinstance(result.outcome, Value):
        return False
    tree = encode(expected)
    return (
        not has_opaque(tree) and result.outcome.tree == tree and _is_same(result.outcome.tree, tree)
    )


def is_equal(result: Result, expected: Any) -> bool:
    """Compares with Python's `==`: 2 == 2.0, dicts in any order, NaN unequal to itself."""
    found, value = _decode_value(result)
    return found and _is_equal(value, with_collections(expected))


def is_close(
    result: Result, expected: Any, *, absolute: float = 1e-6, relative: float = 0.0
) -> bool:
    """Compares with `==`, but floats, also in containers, may differ by a tolerance.

    The tolerance is absolute + relative * |expected|.
    """
    found, value = _decode_value(result)
    return found and _is_close(value, expected, absolute, relative)


def returns_literal(result: Result, output: str) -> bool:
    """Tells whether a run returned the value of the literal `output`, type included."""
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        return False
    try:
        return same_value(result.outcome.python(), parse_value(output))
    except (Malformed, LiteralError):
        return False


def _decode_value(result: Result) -> tuple[bool, Any]:
    if not isinstance(result.outcome, Value) or not result.outcome.exact:
        return False, None
    try:
        return True, result.outcome.python()
    except Malformed:
        return False, None


def _is_same(one: Any, other: Any) -> bool:
    """Compares JSON trees and distinguishes true from 1, unlike Python's `==`."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except RecursionError:
        return False


def _is_close(one: Any, other: Any, absolute: float, relative: float) -> bool:
    if isinstance(other, float) or isinstance(one, float):
        if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
            return False
        try:
            if math.isnan(one) or math.isnan(other):
                return math.isnan(one) and math.isnan(other)
            if math.isinf(one) or math.isinf(other):
                return one == other
            return abs(one - other) <= absolute + relative * abs(other)
        except OverflowError:  # an int past the range of floats
            return one == other
    if isinstance(other, (list, tuple)) and type(one) is type(other):
        return len(one) == len(other) and all(
            _is_close(a, b, absolute, relative) for a, b in zip(one, other, strict=True)
        )
    if isinstance(other, dict) and isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _is_close(one[key], other[key], absolute, relative) for key in other
        )
    return _is_equal(one, other)
