"""Tests which programs share a fingerprint and which do not."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from data_pipeline.source.fingerprints import function_fingerprint, normalize_loosely, tree_digest
from data_pipeline.source.tree_text import tree_text
from tests.support.fingerprint_values import VALUES

REPO = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def loose_fingerprint(code):
    return tree_digest(normalize_loosely(code))


ORIGINAL = '''
def total(items, start=0):
    """Adds them up."""
    seen = {"a": 1, "b": 2}
    for item in items:
        if item in [1, 2, 3]:
            start += sum(x * item for x in (4, 5))
    return start + helper(items)

def helper(values):
    return len(values) if values else total(values)
'''

RENAMED = '''
# Somebody else's.
def g(a: list,b:int = 0)->int:
    c = {"a" : 1,
         "b" : 2}
    for d in a:
        if d in [1,2,3]: b += sum(q*d for q in (4,5))
    return (b+h(a))
def h(z):
    """Another docstring."""
    return len(z) if z else g(z)
'''


# Written down before the function moved here: the split of the embedded corpus rests on them.
@pytest.mark.parametrize(
    ("code", "digest"),
    [
        (
            "def f(a, b):\n    if a > 3:\n        b = b - 3\n    b = a + 5\n    n = a % 2\n"
            "    return n > 7",
            "76ce8073dfbef1557d42050b9163d93e740a5d25a642cd81cf7d311f7517c475",
        ),
        (
            "def f(s, xs, t):\n    s = s + 'a'\n    b = max(xs)\n    if b % 2 == 1:\n"
            "        b = b + 3\n    d = b % 3\n    for x in xs:\n        d = d + x\n"
            "    s = t[::-1]\n    return s",
            "16418d27b75a670bee7f83c7d6922087ade632f913e3e1380068d373e27ae858",
        ),
    ],
)
def test_the_split_of_the_embedded_corpus_stands(code, digest):
    assert function_fingerprint(code) == digest


def test_renamed_and_reformatted_is_the_same():
    assert function_fingerprint(ORIGINAL) == function_fingerprint(RENAMED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("start=0", "start=1"),
        ("item in [1, 2, 3]", "item in [1, 2, 4]"),
        ("x * item", "x + item"),
        ("x * item", "item * x"),
        ("helper(items)", "helper(start)"),
        ("len(values)", "sum(values)"),
        ('"b": 2', '"c": 2'),
        ("return len(values) if values", "return len(values) if not values"),
    ],
)
def test_another_computation_is_another(old, new):
    changed = ORIGINAL.replace(old, new)
    assert changed != ORIGINAL
    assert function_fingerprint(changed) != function_fingerprint(ORIGINAL)
    assert loose_fingerprint(changed) != loose_fingerprint(ORIGINAL)


def test_names_of_different_scopes_are_renamed_apart():
    one = "def f(x):\n    return [x for x in x]\n\ndef g(x):\n    return x\n"
    other = "def f(x):\n    return [y for y in x]\n\ndef g(z):\n    return z\n"
    captured = "def f(x):\n    return [x for y in x]\n\ndef g(z):\n    return z\n"
    assert function_fingerprint(one) == function_fingerprint(other)
    assert function_fingerprint(one) != function_fingerprint(captured)


def test_names_that_scopes_share_keep_being_shared():
    one = "g = 1\ndef f(x):\n    global g, h\n    g = h = x\n    return g + h\n"
    other = "a = 1\ndef f(y):\n    global a, b\n    a = b = y\n    return a + b\n"
    local = "a = 1\ndef f(y):\n    global b\n    a = b = y\n    return a + b\n"
    assert function_fingerprint(one) == function_fingerprint(other)
    assert function_fingerprint(one) != function_fingerprint(local)


def test_order_of_literals_counts_only_strictly():
    one = "def f(c):\n    return c in ['a', 'b'] or {'x': 1, 'y': 2}[c]\n"
    other = "def f(c):\n    return c in ['b', 'a'] or {'y': 2, 'x': 1}[c]\n"
    assert function_fingerprint(one) != function_fingerprint(other)
    assert loose_fingerprint(one) == loose_fingerprint(other)
    # A value stays with its key.
    crossed = "def f(c):\n    return c in ['b', 'a'] or {'y': 1, 'x': 2}[c]\n"
    assert loose_fingerprint(one) != loose_fingerprint(crossed)


def test_no_python_is_a_syntax_error():
    with pytest.raises(SyntaxError):
        function_fingerprint("def f(:")


# ---- every Python version -----------------------------------------------------------------------

WITHOUT_OTHERS = """
import json, sys
from data_pipeline.source.fingerprints import function_fingerprint
print(json.dumps([function_fingerprint(code) for code in json.load(sys.stdin)]))
"""
STDLIB_FILES = ("ast.py", "argparse.py", "dataclasses.py", "typing.py", "html/entities.py")


def _interpreter(version: str) -> str | None:
    """Finds a Python of a version that runs: on the path, else among pyenv's."""
    roots = [os.environ.get("PYENV_ROOT"), "~/.pyenv"]
    folders = [Path(root).expanduser() / "versions" for root in roots if root]
    installed = [path for folder in folders for path in folder.glob(f"{version}*/bin/python")]
    for candidate in [shutil.which(f"python{version}"), *map(str, sorted(installed))]:
        if candidate is None:
            continue
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        ran = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        if ran.returncode == 0 and ran.stdout.strip() == version:
            return candidate
    return None


@pytest.mark.parametrize(("value", "code"), VALUES)
def test_the_values_of_python_3_11_hold_on_this_python(value, code):
    assert function_fingerprint(code) == value


@pytest.mark.parametrize("version", VERSIONS)
def test_another_python_gives_the_same_values(version):
    """Runs a bare interpreter, because the module needs only the standard library."""
    interpreter = _interpreter(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} that runs here")
    ran = subprocess.run(
        [interpreter, "-S", "-W", "ignore", "-c", WITHOUT_OTHERS],
        input=json.dumps([code for _, code in VALUES]),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [value for value, _ in VALUES]


def test_the_programs_have_every_kind_of_node():
    parsed = (ast.parse(code) for _, code in VALUES)
    seen = {type(node).__name__ for tree in parsed for node in ast.walk(tree)}
    roots = (ast.stmt, ast.expr, ast.pattern, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
    kinds = {kind.__name__ for root in roots for kind in root.__subclasses__()}
    # Newer than Python 3.11.
    assert kinds - seen <= {"TypeAlias", "TemplateStr", "Interpolation"}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="ast.dump of Python 3.11 is the truth")
@pytest.mark.parametrize("name", STDLIB_FILES)
def test_a_tree_as_text_is_what_python_3_11_dumps(name):
    path = Path(sysconfig.get_path("stdlib")) / name
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert tree_text(tree) == ast.dump(tree)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are newer than 3.11")
def test_type_parameters_count():
    plain = "class C:\n    x: int\n"
    assert function_fingerprint(plain) != function_fingerprint(plain.replace("C:", "C[T]:"))


def test_a_deep_tree_needs_no_recursion():
    tree = ast.Constant(1)
    for _ in range(5 * sys.getrecursionlimit()):
        tree = ast.UnaryOp(ast.Not(), tree)
    assert tree_text(tree).count("Not()") == 5 * sys.getrecursionlimit()


def test_a_constant_of_no_source_is_refused():
    with pytest.raises(TypeError, match="got a set"):
        tree_text(ast.Constant({1}))
