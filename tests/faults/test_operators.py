"""Tests mutation operators: one variant of each by hand, and properties of all."""

import ast
import io
import random
import tokenize
from difflib import unified_diff

import pytest

from data_pipeline.faults.operators import OPERATORS, PEOPLE_MAKE, shuffle_mutants
from tests.support.mutants import mutants

# operator -> (line of the program, line of the variant it must give); "" is a line that is gone.
ONE_LINE = {
    "comparison_boundary": ("    if a < b:", "    if a <= b:"),
    "comparison_direction": ("    if a not in b:", "    if a in b:"),
    "arithmetic_operator": ("    a = b % 2  # odd", "    a = b // 2  # odd"),
    "augmented_operator": ("    a += b", "    a = b"),
    "boolean_connective": ("    a = a and b and a", "    a = a or b or a"),
    "dropped_condition": ("    a = a > 1 and b", "    a = b"),
    "negated_condition": ("    a = 1 if not b else 2", "    a = 1 if b else 2"),
    "wrong_variable": ("    a = b[0]", "    a = a[0]"),
    "swapped_arguments": ("    a = pow(a, b )", "    a = pow(b, a )"),
    "swapped_operands": ("    a = b - (a + 1)", "    a = (a + 1) - b"),
    "wrong_index": ("    a = b[a - 1]", "    a = b[a]"),
    "slice_bound": ("    a = b[1:a]", "    a = b[:a]"),
    "range_bound": ("    a = list(range(1, a + 1))", "    a = list(range(1, a))"),
    "constant_change": ("    a = 'é' + str(7)", "    a = 'é' + str(8)"),
    "wrong_method": ("    b.append( a)", "    b.extend( a)"),
    "wrong_function": ("    a = max(b)", "    a = min(b)"),
    "dropped_call": ("    a = 'é' + abs(b)", "    a = 'é' + b"),
    "dropped_keyword": ("    a = sorted(b, reverse=True)", "    a = sorted(b)"),
    "dropped_sign": ("    a = -b", "    a = b"),
    "swapped_choice": ("    a = 1 if b else 2", "    a = 2 if b else 1"),
    "missing_return": ("    return max(a, b)  # the end", "    max(a, b)  # the end"),
}
BODY = {"    if a < b:": "\n        a = b", "    if a not in b:": "\n        a = b"}

BLOCKS = {
    "initializer_change": (
        "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\n",
        "def f(xs):\n    n = 1\n    for x in xs:\n        n += x\n    return n\n",
    ),
    "dropped_statement": (
        "def f(xs):\n    n = 0  # start\n    for x in xs:\n        n += x\n    return n\n",
        "def f(xs):\n    n = 0  # start\n    for x in xs:\n        pass\n    return n\n",
    ),
    "early_return": (
        "def f(xs):\n    for x in xs:\n        x += 1\n    return x\n",
        "def f(xs):\n    for x in xs:\n        x += 1\n        return x\n",
    ),
    "unindented_statement": (
        "def f(xs):\n    n = 0\n    for x in xs:\n        y = x\n        n += y\n    return n\n",
        "def f(xs):\n    n = 0\n    for x in xs:\n        y = x\n    n += y\n    return n\n",
    ),
    "dropped_else": (
        "def f(x):\n    if x:\n        y = 1\n    else:  # no\n        y = 2\n    return y\n",
        "def f(x):\n    if x:\n        y = 1\n    return y\n",
    ),
    "dropped_guard": (
        "def f(x):\n    if not x:\n        return 0\n    return 1 / x\n",
        "def f(x):\n    return 1 / x\n",
    ),
    "misplaced_initializer": (
        "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\n",
        "def f(xs):\n    for x in xs:\n        n = 0\n        n += x\n    return n\n",
    ),
    "break_continue": (
        "def f(xs):\n    for x in xs:\n        if x:\n            break\n    return x\n",
        "def f(xs):\n    for x in xs:\n        if x:\n            continue\n    return x\n",
    ),
    "swapped_statements": (
        "def f(x):\n    x = x + 1\n    x = x * 2\n    return x\n",
        "def f(x):\n    x = x * 2\n    x = x + 1\n    return x\n",
    ),
    "forgotten_copy": (
        "def f(xs):\n    ys = xs[:]  # keep xs\n    ys.sort()\n    return ys == xs\n",
        "def f(xs):\n    ys = xs  # keep xs\n    ys.sort()\n    return ys == xs\n",
    ),
    "sequential_assignment": (
        "def f(a, b):\n    a, b = b, a + b\n    return a\n",
        "def f(a, b):\n    a = b\n    b = a + b\n    return a\n",
    ),
}

PROGRAM = '''import math

LIMIT = 10  # é: a constant of the module


def helper(values, /, *, start: int = 0):
    """Doc with 1 < 2 and `not x`."""
    total = start
    for value in values:   # each one
        if value < 0 or (value >
                         LIMIT):
            continue
        total += value * 2  # twice
    return total


def f(xs, n: "int < 3" = 2):
    best, text = None, f"{n + 1} of {len(xs)!r}"
    for i in range(1, n + 1):
        while len(xs) > i and not best:
            xs = xs[1:-1]; best = -i
        else:
            best = min(best or 0, helper(xs, start=i))
    return [best, text.strip().lower(), math.floor(n / 2), xs[0] if xs else "é"]
'''


def program_of(line: str) -> str:
    return f"def f(a, b):\n{line}{BODY.get(line, '')}\n    return a, b\n"


@pytest.mark.parametrize("operator", sorted(ONE_LINE))
def test_operator_on_a_line(operator):
    line, changed = ONE_LINE[operator]
    program = program_of(line)
    wanted = program.replace(line, changed, 1)
    assert wanted in [mutant.text for mutant in mutants(program, (operator,))]


@pytest.mark.parametrize("operator", sorted(BLOCKS))
def test_operator_on_a_block(operator):
    program, wanted = BLOCKS[operator]
    assert wanted in [mutant.text for mutant in mutants(program, (operator,))]


def test_every_operator_has_its_example():
    assert set(ONE_LINE) | set(BLOCKS) == set(OPERATORS)
    assert len(OPERATORS) >= 12


def test_variants_parse_differ_and_leave_the_rest_alone():
    found = list(mutants(PROGRAM))
    assert {mutant.operator for mutant in found} >= {"wrong_variable", "dropped_condition"}
    texts = [mutant.text for mutant in found]
    assert len({ast.dump(ast.parse(text)) for text in [PROGRAM, *texts]}) == len(texts) + 1
    for mutant in found:
        changes = [
            line
            for line in unified_diff(PROGRAM.split("\n"), mutant.text.split("\n"), n=0, lineterm="")
            if line[0] in "+-" and line[:3] not in ("+++", "---")
        ]
        assert 1 <= len(changes) <= 7, mutant
        removed = [line[1:] for line in changes if line[0] == "-"]
        # Whatever stands on other lines is as it was: layout, comments, constants, docstrings.
        assert not any("LIMIT = 10" in line or "Doc with" in line for line in removed)
        comments = _comments(mutant.text)
        lost = [c for c in _comments(PROGRAM) if c not in comments]
        assert all(any(c in line for line in removed) for c in lost)


def _comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def test_annotations_docstrings_and_f_strings_are_left_alone():
    for mutant in mutants(PROGRAM):
        assert '"int < 3"' in mutant.text
        assert '"""Doc with 1 < 2 and `not x`."""' in mutant.text
        if mutant.operator not in ("dropped_statement", "swapped_statements"):
            assert 'f"{n + 1} of {len(xs)!r}"' in mutant.text


def test_the_order_is_the_seed_s():
    orders = [[m.text for m in shuffle_mutants(PROGRAM, random.Random(seed))] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    # What a person would write comes before swaps of tokens, within each turn of the operators.
    first = [m.operator for m in shuffle_mutants(PROGRAM, random.Random(3))]
    assert len(set(first[:10])) == 10
    made = {mutant.operator for mutant in mutants(PROGRAM)} & PEOPLE_MAKE
    assert set(first[: len(made)]) == made and set(OPERATORS) > PEOPLE_MAKE


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("xs[:]", "xs"), ("xs.copy()", "xs"), ("list(xs)", "xs"), ("dict(self.d)", "self.d"),
        ("copy.deepcopy(xs[0])", "xs[0]"), ("set(xs)", "xs"),
    ],
)  # fmt: skip
def test_forms_of_a_copy(value, plain):
    program = f"import copy\ndef f(self, xs):\n    ys = {value}\n    return ys\n"
    found = [mutant.text for mutant in mutants(program, ("forgotten_copy",))]
    assert found == [program.replace(value, plain)]


@pytest.mark.parametrize(
    "value", ["xs[1:]", "xs[::-1]", "list(map(f, xs))", "dict(a=1)", "xs.pop()"]
)
def test_what_is_no_copy(value):
    program = f"def f(xs):\n    ys = {value}\n    return ys\n"
    assert list(mutants(program, ("forgotten_copy",))) == []


@pytest.mark.parametrize("program", ["def f(:\n", "def f(x):\r    return x\r", "f(\n"])
def test_a_program_that_is_none(program):
    with pytest.raises(SyntaxError):
        list(mutants(program))
