"""Normal forms: what counts as the same program, and what does not."""

import pytest

from data_pipeline.fingerprints import function_fingerprint, loose_fingerprint

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
