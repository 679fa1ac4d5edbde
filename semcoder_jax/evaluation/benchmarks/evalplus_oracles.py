"""Compares results with expected values by EvalPlus's rules, outside the sandbox.

Source of the rules: EvalPlus 0.3.1, evalplus/eval (Apache-2.0). EvalPlus wrongly passes an object
that equals everything, and a solution that reaches the verdict or the expected value through stack
frames. Neither passes here: values are compared by type, and the sandbox holds no expected value.
`compat` keeps the other lax rules of EvalPlus, LAX_RULES; `fixed` does not.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_pipeline.execution.guest.values import Malformed, decode, has_opaque
from semcoder_jax.evaluation.numpy_sandbox import ARRAY, SCALAR

LAX_RULES = {
    "Mbpp/164 (are_equivalent)": "any answer passes",
    "Mbpp/295 (sum_div)": "0 passes for any input",
    "tolerance": (
        "np.allclose broadcasts, so a value of another shape passes where a tolerance applies: "
        "[[]] for [3.0], [[1.0, 1.0], [1.0, 1.0]] for [1.0, 1.0]"
    ),
}
"""Rules by which wrong answers pass in `compat`, as in EvalPlus.

Data of v0.2.0 has neither of the two tasks.
"""

# MBPP+ functions whose results are compared as sets.
SETS = frozenset(
    [
        "similar_elements",
        "find_char_long",
        "common_in_nested_lists",
        "extract_singly",
        "larg_nnum",
        "intersection_array",
        "find_dissimilar",
        "Diff",
    ]
)
# MBPP+ functions judged only by whether they return None.
NOT_NONE = frozenset(["check_str", "text_match_three", "text_starta_endb"])
_OWN_RULES = frozenset(["are_equivalent", "sum_div", "surface_Area", "digit_distance_nums"])
_FLOAT_TOLERANCE = 1e-6


class EvalPlusOracle:
    """Compares the results of one series in order.

    A tolerance set by an expected float holds for the rest of the series.
    family: "humaneval" or "mbpp"; tolerance: "atol" of the task; mode: "compat" or "fixed".
    """

    def __init__(self, family: str, entry: str, tolerance: float, mode: str = "compat"):
        self.family, self.entry, self.tolerance = family, entry, tolerance
        self._is_lax = mode == "compat"
        self._is_find_zero = family == "humaneval" and entry == "find_zero"

    def passes(self, arguments: Sequence[Any], tree: Any, expected: Any) -> bool:
        """Whether the solution's result `tree` passes for the reference's result `expected`.

        Both are tagged trees. Digests of large values must be equal: no tolerance applies.
        """
        if isinstance(tree, dict) or isinstance(expected, dict):
            return tree == expected
        if isinstance(tree, list) and tree[:1] == ["t"] and len(tree) == 3:
            if tree[1] == SCALAR:
                return self._passes_scalar(arguments, tree[2], expected)
            if tree[1] == ARRAY:
                return self._is_lax and _equals_single(tree[2], expected)
        if self.tolerance == 0 and not self._is_find_zero and _all_floats(expected):
            self.tolerance = _FLOAT_TOLERANCE
        if tree == expected and not has_opaque(tree) and not self._is_find_zero:
            return True
        try:
            return self._passes(arguments, decode(tree), has_opaque(tree), decode(expected))
        except (ArithmeticError, TypeError, ValueError, RecursionError, Malformed):
            return False

    def _passes_scalar(self, arguments: Sequence[Any], tree: Any, expected: Any) -> bool:
        """As `passes`, for a number of numpy: EvalPlus gives it no tolerance, for its type."""
        if not self._is_lax:
            return self.passes(arguments, tree, expected)
        if self.tolerance == 0 and not self._is_find_zero and _all_floats(expected):
            self.tolerance = _FLOAT_TOLERANCE  # of later results
        if self._is_find_zero or self.entry in _OWN_RULES:
            return self.passes(arguments, tree, expected)
        try:
            right = decode(expected)
            return bool(right) if self.entry in NOT_NONE else bool(decode(tree) == right)
        except (TypeError, ValueError, RecursionError, Malformed):
            return False

    def _passes(self, arguments: Sequence[Any], value: Any, opaque: bool, expected: Any) -> bool:
        if self._is_find_zero:
            return not opaque and abs(_polynomial(arguments[0], value)) <= self.tolerance
        equal = not opaque and bool(value == expected)
        if self.family == "mbpp":
            equal = self._special(arguments, value, opaque, expected, equal)
        if equal or self.tolerance == 0 or opaque or type(value) is not type(expected):
            return equal
        if isinstance(expected, (list, tuple)) and len(value) != len(expected):
            return False
        if not self._is_lax and not _same_shape(value, expected):
            return False
        # Accepts complex and boolean arrays too; rtol is the default of numpy.testing.
        return bool(np.allclose(value, expected, rtol=1e-7, atol=self.tolerance))

    def _special(
        self, arguments: Sequence[Any], value: Any, opaque: bool, expected: Any, equal: bool
    ) -> bool:
        entry = self.entry
        if entry == "are_equivalent" and self._is_lax:
            return True
        if entry in NOT_NONE:
            there = expected is not None
            return value is there if isinstance(value, bool) else (value is not None) is there
        if opaque:
            return False
        if entry == "sum_div" and self._is_lax:
            return equal or value == 0
        if entry == "surface_Area":
            return equal or abs(value - _pyramid_surface(*arguments)) <= self.tolerance
        if entry == "digit_distance_nums":
            return equal or value == _digit_distance(*arguments)
        return equal


def _equals_single(tree: Any, expected: Any) -> bool:
    """Whether an array has one item, equal to the only item of `expected`, as EvalPlus has it."""
    try:
        one, other = _only_item(decode(tree)), _only_item(decode(expected))
        return bool(one == other) and not isinstance(one, (list, tuple))
    except (TypeError, ValueError, RecursionError, Malformed):
        return False


def _only_item(value: Any) -> Any:
    while isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return value


def _same_shape(one: Any, other: Any) -> bool:
    """Whether lists and tuples are nested alike and have the same lengths."""
    if not isinstance(one, (list, tuple)) or not isinstance(other, (list, tuple)):
        return not isinstance(one, (list, tuple)) and not isinstance(other, (list, tuple))
    return len(one) == len(other) and all(map(_same_shape, one, other))


def _all_floats(tree: Any) -> bool:
    """Whether `tree` is a float, or a list or tuple of only floats."""
    if not isinstance(tree, list):
        return False
    if tree[0] in ("l", "t"):
        return len(tree) > 1 and all(isinstance(i, list) and i[0] == "f" for i in tree[1:])
    return tree[0] == "f"


def _polynomial(coefficients: Sequence[float], x: float) -> float:
    return sum(factor * math.pow(x, power) for power, factor in enumerate(coefficients))


def _pyramid_surface(base: float, height: float) -> int:
    """Takes `height` from base to apex; the reference takes the slant height."""
    return round(base**2 + 2 * base * math.hypot(base / 2, height))


def _digit_distance(one: int, other: int) -> int:
    """Sums the differences of the digits; pads the shorter number with zeros."""
    width = max(len(str(one)), len(str(other)))
    digits = zip(str(one).zfill(width), str(other).zfill(width), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in digits)


# ==== Arguments of MBPP+ that JSON cannot represent


def mbpp_arguments(task: str, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Converts the JSON inputs of a task to the tuples, sets or complex numbers that it takes.

    Source of the rules: EvalPlus 0.3.1, evalplus/data/mbpp.py.
    """
    shape = _SHAPE_OF.get(int(task.rpartition("/")[2]), list)
    return [list(shape(row)) for row in rows]


def has_json_arguments(task: str) -> bool:
    """Whether `mbpp_arguments` leaves the inputs of a task as JSON has them."""
    return int(task.rpartition("/")[2]) not in _SHAPE_OF


def _tuples(row):
    return [tuple(value) for value in row]


def _lists_of_tuples(row):
    return [_tuples(value) for value in row]


def _tuples_of_tuples(row):
    return [tuple(_tuples(value)) for value in row]


def _first_list_of_tuples(row):
    return [_tuples(row[0]), row[1]]


def _first_tuple(row):
    return [tuple(row[0]), *row[1:]]


def _second_tuple(row):
    return [row[0], tuple(row[1])]


def _sets(row):
    return [[set(item) if isinstance(item, list) and item else {} for item in row[0]]]


def _tuple_of_mixed(row):
    return [tuple(tuple(item) if isinstance(item, list) else item for item in row[0])]


def _dict_of_tuples(row):
    return [{key: tuple(value) for key, value in row[0].items()}, *row[1:]]


def _all_tuples(value):
    return tuple(map(_all_tuples, value)) if isinstance(value, list) else value


_SHAPES = (
    (_tuples, "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 "
              "809"),
    (_lists_of_tuples, "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780"),
    (_first_list_of_tuples, "75 413 444 753"),
    (_second_tuple, "106 750"),
    (_sets, "115"),
    (lambda row: [float(row[0]), complex(row[1])], "124"),
    (_first_tuple, "250 307 405 446 617 720 763 808"),
    (_tuples_of_tuples, "259 401 445"),
    (_tuple_of_mixed, "278"),
    (_dict_of_tuples, "722"),
    (lambda row: [complex(row[0])], "252"),
    (_all_tuples, "580 615 791"),
)  # fmt: skip
_SHAPE_OF = {int(number): shape for shape, tasks in _SHAPES for number in tasks.split()}
