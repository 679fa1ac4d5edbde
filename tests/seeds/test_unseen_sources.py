"""Tests what real files have that a parser of tidy ones loses.

The oracle is plain Python: the source is imported as a module, the seed's program is run alone, and
both must give the same value.
"""

import ast
import importlib
import sys
import textwrap

import pytest

from data_pipeline.seeds import Refusal, Seed, read_unit, units


def read(folder):
    found = [one for unit in units(str(folder)) for one in read_unit(unit)]
    seeds = {one.name: one for one in found if isinstance(one, Seed)}
    return seeds, {one.name: one for one in found if isinstance(one, Refusal)}


def write(folder, text, name="a.py", encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(textwrap.dedent(text).encode(encoding))
    return folder


def in_program(seed, call):
    scope = {"__name__": "program"}
    exec(seed.code, scope)
    return eval(call, scope)


@pytest.fixture
def original(tmp_path, monkeypatch):
    """Imports a module of the source as Python does."""

    def load(name="a"):
        monkeypatch.syspath_prepend(str(tmp_path))
        for known in [*sys.modules]:
            if known.split(".")[0] in {path.stem for path in tmp_path.iterdir()}:
                monkeypatch.delitem(sys.modules, known)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return load


# ---- reading


def test_form_feeds_stand_before_statements_and_in_texts(tmp_path, original):
    write(
        tmp_path,
        "\fdef f(x):\n    return x + 1\n\f\n\f\ndef g(x):\n    return '''a\n\f\n  b''' * x\n"
        "class C:\n    n = 2\n\f\n    def m(self, x):\n        return x * self.n\n",
    )
    seeds, refusals = read(tmp_path)
    assert set(seeds) == {"f", "g", "c_m"} and not refusals
    assert in_program(seeds["f"], "f(1)") == 2
    assert in_program(seeds["g"], "g(2)") == original().g(2)
    assert in_program(seeds["c_m"], "c_m(4)") == 8


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8-sig", "koi8-r"])
def test_a_file_is_decoded_as_it_says(tmp_path, original, encoding):
    sign = "\u0416" if encoding == "koi8-r" else "\xe9"
    cookie = "" if encoding == "utf-8-sig" else f"# -*- coding: {encoding} -*-\n"
    write(tmp_path, f"{cookie}def f(s):\n    return s + '{sign}'\n", encoding=encoding)
    seeds, _ = read(tmp_path)
    assert in_program(seeds["f"], "f('x')") == original().f("x") == "x" + sign


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"# coding: no-such-code\ndef f(x): return x\n", "unknown encoding"),
        (b"def f(x): return x\ny = '\xff'\n", "line 2: bytes that are no utf-8"),
    ],
)
def test_a_file_that_cannot_be_decoded_says_why(tmp_path, data, cause):
    (tmp_path / "a.py").write_bytes(data)
    _, refusals = read(tmp_path)
    assert refusals[""].origin == f"{tmp_path.name}/a.py:1"
    assert cause in refusals[""].detail and "Python 3." in refusals[""].detail


BROKEN = {
    "a syntax error": "def broken(x:\n    return x\n",
    "Python 2": "def broken(x):\n    print x\n    return x\n",
    "a newer Python": "def broken(x):\n    return x ??= 3\n",
    "a decorated one": "@decorated\ndef broken(x):\n    retrun x\n",
    "a huge expression": "broken = " + "-" * 100_000 + "1\n",
    "many brackets": "broken = " + "(" * 5000 + ")" * 5000 + "\n",
    "a null byte": "broken = '\0'\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_one_part_that_cannot_be_parsed_costs_only_itself(tmp_path, text):
    write(
        tmp_path,
        "def before(x):\n    '''Text\nat the margin:\ndef no(x): it is none\n'''\n"
        "    return x + 1\n\n" + text + "\ndef after(x):\n    return before(x) * 2\n"
        "def needs(x):\n    return broken(x)\n",
    )
    seeds, refusals = read(tmp_path)
    assert set(seeds) == {"before", "after"}
    assert in_program(seeds["after"], "after(2)") == 6
    refused = refusals["broken"]
    assert refused.reason == "not readable by this Python"
    assert refused.origin == f"{tmp_path.name}/a.py:8"
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    assert "line" in refused.detail and version in refused.detail
    assert refusals["needs"].reason == "not readable by this Python"
    assert "`broken`" in refusals["needs"].detail


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="type parameters came with Python 3.12")
def test_type_parameters_cost_only_their_function(tmp_path):
    write(tmp_path, "def f[T](x: T):\n    return x\ntype P = int\ndef g(x):\n    return x\n")
    seeds, refusals = read(tmp_path)
    assert set(seeds) == {"g"} and set(refusals) == {"f", "P"}


# ---- branches

TESTS = [
    "sys.version_info[0] >= 3",
    "sys.version_info > (3, 8)",
    "sys.version_info >= (3,)",
    "sys.version_info[:2] != (2, 7)",
    "sys.version_info.major == 3",
    "sys.version_info < (3, 0) or not PY2",
    "not PY2 and version_info >= (3, 1)",
    "(3, 4) <= sys.version_info < (4,)",
    "sys.hexversion > 0x03000000",
    "hasattr(str, 'removeprefix')",
    "not hasattr(dict, 'iteritems')",
    "sys.platform.startswith('linux') or unknown()",
]


@pytest.mark.parametrize("test", TESTS)
def test_the_branch_for_this_python_is_taken(tmp_path, test):
    write(
        tmp_path,
        f"""
        import sys
        from sys import version_info
        PY2 = sys.version_info[0] == 2
        if {test}:
            def f(x):
                return x + 1
        else:
            def f(x):
                return x + 2
            def old(x):
                return x
        """,
    )
    seeds, refusals = read(tmp_path)
    assert in_program(seeds["f"], "f(1)") == 2
    assert refusals["old"].reason == "not for this Python"
    assert "Python 3." in refusals["old"].detail and refusals["old"].origin.endswith("a.py:11")


def test_definitions_in_try_and_unknown_branches(tmp_path):
    write(
        tmp_path,
        """
        import os
        try:
            from math import gcd
        except ImportError:
            def gcd(a, b):
                return b
        try:
            import numpy
            def first(x):
                return numpy.array(x)
        except ImportError:
            def first(x):
                return x[0]
        try:
            text = unicode
        except NameError:
            text = str
        def to_text(x):
            return text(x) + "!"
        def lcm(a, b):
            return a * b // gcd(a, b)
        if os.environ.get("X"):
            def hidden(x):
                return x
        def twice(x):
            return x
        def twice(x):
            return x * 2
        if __name__ == "__main__":
            def script(x):
                return x
        """,
    )
    seeds, refusals = read(tmp_path)
    assert in_program(seeds["first"], "first([3])") == 3
    assert in_program(seeds["to_text"], "to_text(3)") == "3!"
    assert in_program(seeds["lcm"], "lcm(4, 6)") == 12
    assert in_program(seeds["twice"], "twice(2)") == 4
    assert {name: one.reason for name, one in refusals.items()} == {
        "gcd": "replaced by an import",
        "first": "foreign import",
        "hidden": "defined under a condition",
        "twice": "defined again later",
        "script": "test or script",
    }


@pytest.mark.parametrize("name", ["textwrap", "fractions", "ipaddress", "calendar", "enum"])
def test_no_definition_vanishes(name):
    """Of each `def` at module level or in a class there is a seed or a refusal."""
    (unit,) = units(name)
    origins = {int(one.origin.rsplit(":", 1)[1]) for one in read_unit(unit)}
    tree = ast.parse(importlib.util.find_spec(name).loader.get_source(name))
    owners = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.If | ast.Try))]
    owners += [node for node in tree.body if isinstance(node, ast.ClassDef)]
    defined = {
        node.lineno
        for owner in owners
        for block in ("body", "orelse", "finalbody")
        for node in getattr(owner, block, ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.col_offset <= 4
    }
    assert defined - origins <= {
        inner.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.FunctionDef) and inner is not node
    }


# ---- doctests


def test_doctest_options_are_honoured(tmp_path):
    write(
        tmp_path,
        '''
        def f(x, y=0):
            """
            >>> f(1)  # doctest: +SKIP
            99
            >>> f(2)  # doctest: +ELLIPSIS
            [0, ...]
            >>> f(3)  # doctest: +NORMALIZE_WHITESPACE
            [3,
               0]
            >>> f('a b')  # doctest: +NORMALIZE_WHITESPACE, +ELLIPSIS
            ['a   b', 0]
            >>> f(5)  # doctest:+ELLIPSIS,+SKIP
            [7]
            >>> f(6) # doctest: -SKIP
            [6, 0]
            >>> f(7)
            [..., 0]
            """
            return [x, y]
        ''',
    )
    (seed,) = read(tmp_path)[0].values()
    assert seed.tests == ("assert f(3) == [3, 0]", "assert f(6) == [6, 0]")
    assert set(seed.calls) == {"f(1)", "f(2)", "f(3)", "f('a b')", "f(5)", "f(6)", "f(7)"}


# ---- siblings


def test_what_sibling_modules_define_comes_along_under_names_of_its_own(tmp_path, original):
    write(tmp_path, "", "pkg/__init__.py")
    write(
        tmp_path,
        """
        from . import tools, deep
        from .tools import scale as rescale
        import pkg.tools as other
        LIMIT = 1
        def total(xs):
            total = tools.total(xs)
            return total + LIMIT + tools.LIMIT
        def deepest(x):
            return deep.below.f(x) + other.scale(x, 2)
        def max(xs):
            return rescale(sorted(xs)[-1], 1)
        def range_of(xs):
            return tools.largest(xs) - max(xs)
        def state(x):
            tools.LIMIT = x
            return x
        def whole(x):
            return getattr(tools, x)
        """,
        "pkg/a.py",
    )
    write(
        tmp_path,
        """
        LIMIT = 40
        def total(xs):
            return sum(scale(x, 3) for x in xs)
        def scale(x, by):
            return x * by
        def largest(xs):
            return max(xs) + 1
        """,
        "pkg/tools.py",
    )
    write(tmp_path, "", "pkg/deep/__init__.py")
    write(tmp_path, "def f(x):\n    return x - 1\n", "pkg/deep/below.py")
    original("pkg.deep.below")
    module = original("pkg.a")
    import pkg.deep.below  # noqa: F401

    seeds, refusals = read(tmp_path)
    for name, call in (("deepest", "deepest(5)"), ("max", "max([3, 9])")):
        assert in_program(seeds[name], call) == eval(call, vars(module))
    found = [s for u in units(str(tmp_path)) for s in read_unit(u) if s.name == "total"]
    assert [in_program(seed, "total([1, 2])") for seed in found] == [50, 9]
    # The builtin `max` of one module and the function `max` of the other are two things.
    (ranged,) = [s for s in seeds.values() if "range_of" in s.code]
    assert in_program(ranged, "range_of([3, 9])") == module.range_of([3, 9]) == 1
    assert refusals["state"].reason == "module state"
    assert refusals["whole"].reason == "needs a whole module"


# ---- functions that were refused


def test_functions_that_need_a_wrapper_or_none(tmp_path, original):
    write(
        tmp_path,
        '''
        import heapq, queue, random
        from pprint import pformat
        def months():
            return [str(n) for n in range(1, 13)]
        def constant():
            return 3
        def noisy(x):
            print("got", x)
            return x + 1
        def prints(x):
            print(x)
        def drawn(seed):
            return random.Random(seed).randint(1, 6)
        def luck(x):
            return random.Random().random() * x
        def luckier(x):
            return random.random() * x
        def lined(xs):
            line = queue.PriorityQueue()
            for x in xs:
                line.put(x)
            return [line.get() for _ in xs]
        def shown(x):
            return pformat(x)
        def sort_it(xs, key=None, *, reverse=False):
            xs.sort(reverse=reverse)
        def both(xs, d):
            d["n"] = len(xs)
            _drop(xs)
        def _drop(xs):
            heapq.heappop(xs)
        def mapped(f, xs):
            """
            >>> mapped(lambda x: x * 2, [1, 2])
            [2, 4]
            >>> mapped(str, [3])
            ['3']
            >>> g = lambda x: x * 2
            >>> mapped(g, [5])
            [10]
            """
            return [f(x) for x in xs]
        def unknown(f, xs):
            return [f(x) for x in xs]
        ''',
    )
    module = original()
    seeds, refusals = read(tmp_path)
    for name, call in {
        "months": "months()", "noisy": "noisy(2)", "drawn": "drawn(7)", "lined": "lined([3, 1])",
        "shown": "shown({'a': [1]})",
    }.items():  # fmt: skip
        assert in_program(seeds[name], call) == eval(call, vars(module)), name
    xs, d = [2, 1], {}
    module.both(xs, d)
    assert in_program(seeds["both_result"], "both_result([2, 1], {})") == (xs, d)
    assert in_program(seeds["sort_it_result"], "sort_it_result([2, 1], reverse=True)") == [2, 1]
    assert in_program(seeds["mapped_of"], "mapped_of([4])") == [8]
    assert seeds["mapped_of"].tests == (
        "assert mapped_of([1, 2]) == [2, 4]",
        "assert mapped_of([5]) == [10]",
    )
    reasons = {name: one.reason for name, one in refusals.items()}
    assert reasons == {
        "constant": "computes nothing",
        "prints": "input or output",
        "luck": "differs between processes",
        "luckier": "foreign import",
        "unknown": "takes a function",
    }


def test_origins_name_the_source(tmp_path):
    write(tmp_path, "def f(x):\n    return x\n", "one/src/a.py")
    write(tmp_path, "def f(x):\n    return -x\n", "two/src/a.py")
    origins = [
        one.origin
        for part in ("one", "two")
        for unit in units(str(tmp_path / part / "src"))
        for one in read_unit(unit)
    ]
    assert origins == ["one/src/a.py:1", "two/src/a.py:1"]
