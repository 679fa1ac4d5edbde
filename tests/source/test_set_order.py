"""Tests that runs which depend on a set's order are found; compares with several hash seeds."""

import os
import subprocess
import sys

import pytest

from data_pipeline.source.set_order import may_depend_on_set_order

WORDS = "'pear', 'fig', 'plum', 'kiwi', 'lime', 'date'"
FIRST = f"a = dict.fromkeys([{WORDS}])\nb = dict(a)\n"
DEPENDS = {
    "a display": f"print(list({{{WORDS}}}))",
    "a comprehension": f"print(list({{w for w in [{WORDS}]}}))",
    "by name": f"print(list(set([{WORDS}])))",
    "frozen": f"print(list(frozenset([{WORDS}])))",
    "by the module's name": f"import builtins\nprint(list(builtins.set([{WORDS}])))",
    "views": f"{FIRST}print(list(a.keys() & b.keys()))",
    "items": f"{FIRST}print(list(a.items() | b.items()))",
    "a view with a name": f"{FIRST}k = a.keys()\nprint(list(k & b.keys()))",
    "a view changed in place": f"{FIRST}k = a.keys()\nk &= b.keys()\nprint(list(k))",
    "a view's difference": f"{FIRST}k = a.keys()\nprint(list(k - {{}}.keys()))",
}
KEEPS = {
    "keys gone through": f"{FIRST}print([k for k in a.keys()])",
    "items gone through": f"{FIRST}print([k for k, v in a.items()])",
    "a method called set": "class C:\n    def set(self, x):\n        return x\nprint(C().set(3))",
    "bits": "print(6 & 3, 6 | 3, 6 ^ 3, 6 - 3)",
}


def printed(program):
    """Returns the outputs of a program under five hash seeds."""
    return {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(1, 6)
    }


@pytest.mark.parametrize("name", DEPENDS)
def test_what_depends_on_the_seed_is_found(name):
    assert len(printed(DEPENDS[name])) > 1
    assert may_depend_on_set_order(DEPENDS[name])


@pytest.mark.parametrize("name", KEEPS)
def test_what_builds_no_set_is_left_alone(name):
    assert len(printed(KEEPS[name])) == 1
    assert not may_depend_on_set_order(KEEPS[name])


def test_a_call_is_judged_by_its_arguments():
    assert may_depend_on_set_order("f({'a', 'b'})")
    assert not may_depend_on_set_order("f({'a': 1}, ['b'])")
