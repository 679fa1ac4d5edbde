"""Lines without labels whose subject is another call, block, moment or attribute than read first.

Truth is worked out by hand from the programs.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

LAMP = """\
class Lamp:
    def __init__(self, power):
        self.power = power

    def dim(self, by):
        if by > self.power:
            return False
        self.power -= by
        return True

    def name(self):
        return "LAMP:" + str(self.power)

def f(power):
    lamp = Lamp(power)
    ok = lamp.dim(3)
    bad = lamp.dim(9)
    return [ok, bad, lamp.name()]
"""  # f(8): dim(3) is True, the power 5, dim(9) False, name() 'LAMP:5'
WALK = """\
def f(words):
    seen = {}
    left = 0
    for word in words:
        if not word:
            continue
        for letter in word:
            if letter == "z":
                break
            seen[letter] = left
        else:
            left += 10
    return seen
"""  # f(['ab', '', 'zc', 'd']): left 0, 10, then 20; seen {'a': 0, 'b': 0, 'd': 10}
BITS = """\
def f(a, b):
    x = a & b
    y = a | b
    z = a ^ b
    return x + y + z
"""  # f(12, 10): 8, 14, 6
RAISES = """\
def get(data, path):
    for part in path:
        if part not in data:
            raise KeyError(part)
        data = data[part]
    return data

def f(data, paths):
    found = []
    for path in paths:
        try:
            found.append(get(data, path))
        except KeyError:
            found.append(None)
    return found
"""  # f({'a': {'b': 1}}, [['a', 'b'], ['a', 'c'], ['q']]): KeyError('c'), KeyError('q')
HALF = """\
def half(n):
    return n // 2

def f(n):
    steps = 1
    while n > 3:
        n = half(n)
    if n < 0:
        return sorted([n])
    return [n, steps]
"""  # f(9): half(9), half(4); n is 9, 4, 2; steps stays 1
RUNS = {
    "lamp": (LAMP, "f(8)"),
    "walk": (WALK, "f(['ab', '', 'zc', 'd'])"),
    "bits": (BITS, "f(12, 10)"),
    "raises": (RAISES, "f({'a': {'b': 1}}, [['a', 'b'], ['a', 'c'], ['q']])"),
    "half": (HALF, "f(9)"),
}


def verdict_of(run: str, line: str, above: str = "") -> str | None:
    program, call = RUNS[run]
    text = f"{above}{line}"
    return line_verdicts(verify_trace(trace_call(program, call), text)).get(text.count("\n") + 1)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("lamp", "dim(3) succeeds and returns True."),
        ("lamp", "dim(9) fails because 9 is more than the power, so it returns False."),
        ("lamp", "The method name returns 'LAMP:5'."),
        ("lamp", "The power is then 5."),
        ("walk", "The else branch runs 2 times."),
        ("walk", "continue is executed once, for the empty word."),
        ("walk", "Then left becomes 10."),
        ("walk", "seen has 3 entries at the end."),
        ("walk", "letter takes the values 'a', 'b', 'z' and 'd'."),
        ("bits", "x, y and z are 8, 14 and 6."),
        ("half", "half(9) returns 4."),
    ],
)
def test_a_true_line_that_nothing_places_is_not_called_wrong(run, line):
    assert verdict_of(run, line) != "contradicted"


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("bits", "x is 12 & 10 = 2."),
        ("bits", "y is 12 | 10 = 22."),
        ("bits", "z is 12 ^ 10 = 22."),
        ("raises", "KeyError('a') is raised."),
        ("raises", "KeyError is raised once."),
        ("raises", "For 'a', a KeyError is raised."),
        ("half", "half(3) is called."),
        ("half", "steps changes during the loop."),
        ("walk", "left is 10 at the end."),
    ],
)
def test_a_false_line_is_not_confirmed(run, line):
    assert verdict_of(run, line) != "confirmed"


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("bits", "x is 12 & 10 = 8."),
        ("bits", "y is 12 | 10 = 14."),
        ("raises", "KeyError('c') is raised."),
        ("half", "half(4) is called."),
        ("half", "n changes during the loop."),
        ("walk", "left is 20 at the end."),
    ],
)
def test_its_true_counterpart_is_confirmed(run, line):
    assert verdict_of(run, line) == "confirmed"


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("lamp", "f returns True."),
        ("lamp", "dim returns 'LAMP:5'."),
        ("walk", "The outer loop runs 3 times."),
        ("walk", "left is 30."),
        ("half", "n is 7."),
    ],
)
def test_what_holds_nowhere_is_still_contradicted(run, line):
    assert verdict_of(run, line) == "contradicted"
