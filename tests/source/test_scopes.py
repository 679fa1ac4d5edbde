"""Compares the scopes of names with Python's own symbol tables."""

import ast
import importlib.util
import symtable
import sys
from pathlib import Path

import pytest
from hypothesis import given

from data_pipeline.source.scopes import find_needed_names, find_uses
from tests.support.scoped_programs import functions

MODULES = ("argparse", "dataclasses", "difflib", "functools", "statistics", "textwrap", "typing")

TRICKY = """
def f(a, /, b: A = B, *c, d=D, **e) -> R:
    x = [a for a in b if (w := a)]
    y = {k: v for k, v in zip(a, G) for k in H(v)}
    z = lambda a=a, *q: (a, q, I, f)
    global J
    J = 3
    def inner():
        nonlocal x
        x = w
        return y, b, K
    class C(L):
        a = 1
        def m(self):
            return a, C, __class__
    try:
        import m.n, o as p
        from s import t as u, v2
    except M as error:
        raise N(error) from error
    match x:
        case [first, *rest] | P(first, rest=rest):
            return first
        case {"k": val, **others} if Q:
            return val
    with S() as (g1, *g2), T as g3.attribute:
        del g1
    for i, j[0] in U:
        print(i, m, p, u, v2)
    return (yield z), inner, error
"""

GENERIC = """
def f[T: (A, B), *Ts, **P](x: T, y=T2, *z: *Ts) -> C[T]:
    return T, x, f, g
class K[U](L[U], metaclass=M):
    here = 1
    def m[V: (here, W)](self, v: V = here) -> U:
        return V, U, K, __class__
    type inside[X] = dict[X, here, Y, U]
type pair[S] = tuple[S, pair[S], R]
"""


def global_names(code):
    """Returns the names that Python looks up outside of `code`, which is inside one module.

    The table also counts each `super` as a use of `__class__`, even outside of classes.
    """
    top = symtable.symtable(code, "here", "exec")
    found, waiting = set(), [top]
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    bound |= {child.get_name() for child in top.get_children()}
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            outside = symbol.is_global() if table is not top else True
            binds = symbol.is_assigned() or symbol.is_imported()
            if outside and symbol.is_declared_global() and binds:
                bound.add(symbol.get_name())
            if outside and (symbol.is_referenced() or symbol.is_assigned()):
                found.add(symbol.get_name())
    if "__class__" not in code:
        bound.add("__class__")
    return {name for name in found - bound if not name.startswith(".")}


@pytest.mark.parametrize("name", MODULES)
def test_needed_names_are_those_of_the_symbol_table(name):
    source = Path(importlib.util.find_spec(name).origin).read_text()
    checked = 0
    for statement in ast.parse(source).body:
        code = ast.unparse(statement)
        run, told = find_needed_names([statement])
        assert run | told == global_names(code), code
        checked += 1
    assert checked > 10


def test_the_tricky_ones():
    run, told = find_needed_names(ast.parse(TRICKY).body)
    assert run | told == global_names(TRICKY)
    assert told == {"A", "R"}


def compiles(code):
    try:
        compile(code, "here", "exec")
    except SyntaxError:
        return False
    return True


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the table mixes comprehensions' names with their class's"
)
@given(functions.filter(compiles))
def test_needed_names_of_any_function_are_those_of_the_symbol_table(code):
    run, told = find_needed_names(ast.parse(code).body)
    assert run | told == global_names(code)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with Python 3.12")
def test_type_parameters_are_bound_and_annotations_see_the_class():
    run, told = find_needed_names(ast.parse(GENERIC).body)
    # The table leaves the class's names to the run, which finds `here` in the class.
    assert run | told == global_names(GENERIC) - {"here"}
    assert run == {"T2", "g", "L", "M"}


def test_each_name_is_resolved_to_its_own_scope():
    tree = ast.parse("def f(x):\n    g = [x for x in x]\n    return lambda x: x + g\n")
    scopes = [use.scope.kind for use in find_uses(tree) if use.name == "x"]
    # The parameter, the iterable, the comprehension's target and item, the lambda's two.
    assert scopes == ["function", "function", *["comprehension"] * 2, *["function"] * 2]
    owners = [use.scope for use in find_uses(tree) if use.name == "x"]
    assert owners[0] is owners[1] and owners[2] is owners[3] and owners[4] is owners[5]
    assert len({id(owner) for owner in owners}) == 3
