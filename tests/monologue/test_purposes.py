"""Tests what narrators say a function does, and what they must not say; expected texts by hand."""

import pytest

from data_pipeline.monologue.backward import narrate_backward
from data_pipeline.monologue.forward import TARGET, narrate_forward, tokens
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, verify_trace


def narrated(program, call):
    return narrate_forward(trace_call(program, call)).text


def purpose(program, call):
    """Returns the purpose in one of its wordings."""
    text = narrated(program, call).split("\n")[1]
    for other, word in (("When ", "If "), (" when ", " if "), ("For every ", "For each "),
                        ("for every ", "for each "),
                        ("As long as ", "While "), ("puts", "adds"), ("computes", "sets"),
                        ("removes", "deletes"), ("In a `try`", "Inside a `try`")):  # fmt: skip
        text = text.replace(other, word)
    return text.replace(" as `", " to `").partition(". ")[2]


@pytest.mark.parametrize(
    ("body", "call", "said"),
    [
        (
            "    best = 0\n    for x in xs:\n        if x > best:\n            best = x\n"
            "    return best\n",
            "f([1, 3])",
            "It sets `best` to `0`. For each `x` in `xs`, if `x > best`, it sets `best` to `x`. "
            "Then it returns `best`.",
        ),
        (
            "    if not xs:\n        return None\n    return xs[0]\n",
            "f([1])",
            "If `not xs`, it returns `None`. Otherwise, it returns `xs[0]`.",
        ),
        (
            "    out = []\n    while xs:\n        out.append(xs.pop())\n        if len(out) > 5:\n"
            "            break\n    return out\n",
            "f([1])",
            "It sets `out` to `[]`. While `xs` is truthy, it adds `xs.pop()` to `out`; if"
            " `len(out) > 5`, it leaves the loop. Then it returns `out`.",
        ),
        (
            "    if xs:\n        for x in xs:\n            if x:\n                return x\n"
            "    else:\n        return 0\n    return 1\n",
            "f([1])",
            "If `xs` is truthy, for each `x` in `xs`, if `x` is truthy, it returns `x`. "
            "If `xs` is falsy, it returns `0`. Then it returns `1`.",
        ),
        (
            "    if xs:\n        if xs == 'a':\n            return 1\n        return 2\n"
            "    return 3\n",
            "f('a')",
            "If `xs` is truthy, if `xs == 'a'`, it returns `1`. Then it returns `3`.",
        ),
        (
            "    try:\n        return int(xs)\n    except ValueError:\n        return -1\n",
            "f('3')",
            "Inside a `try` block, it returns `int(xs)`; on `ValueError`, it returns `-1`.",
        ),
        (
            "    if xs:\n        n = 1\n    elif xs is None:\n        n = 2\n    else:\n"
            "        n = 3\n    return n\n",
            "f([])",
            "If `xs` is truthy, it sets `n` to `1`; otherwise, if `xs is None`, it sets `n` to "
            "`2`; otherwise, it sets `n` to `3`. Then it returns `n`.",
        ),
    ],
)
def test_a_purpose_tells_what_stands_in_each_block(body, call, said):
    assert purpose(f"def f(xs):\n{body}", call) == said


def test_a_line_whose_effect_is_hidden_is_not_called_quiet():
    """`put` adds to a list that no variable shows: the line changes something."""
    program = (
        "def f(xs):\n    put = [].append\n    for x in xs:\n        put(x)\n"
        "    return put.__self__\n"
    )
    assert "changes no variable" not in narrated(program, "f([1, 2])")
    plain = "def f(xs):\n    len(xs)\n    return xs\n"
    assert "changes no variable" in narrated(plain, "f([1])")


def test_an_argument_that_a_loop_changes_is_not_fixed_by_its_last_turn():
    program = (
        "def f(text, size):\n    for i in range(size):\n        text = '-' + text\n"
        "        if len(text) >= size:\n            return text\n"
    )
    told = narrate_backward(trace_call(program, "f('a', 3)"), "f('a', 3)").text
    assert "the argument `text` must be" not in told
    once = "def f(text):\n    text = '-' + text\n    return text\n"
    told = narrate_backward(trace_call(once, "f('a')"), "f('a')").text
    assert "the argument `text`" in told and "must be 'a'" in told


def test_variables_of_an_enclosing_function_are_no_arguments():
    program = (
        "def f(xs, key):\n    def pick(x):\n        return x + key\n"
        "    return [pick(x) for x in xs]\n"
    )
    steps = [line for line in narrated(program, "f([1], 4)").split("\n") if "`pick` " in line]
    assert any("`x` = 1" in line for line in steps)
    assert not any("`key`" in line for line in steps if "with" in line)


def test_calls_are_told_if_the_result_comes_from_them():
    """The class keeps a value that only its methods show; each is told although that is long."""
    fields = "".join(f"        self.field_{n} = name[{n}:] + 'x' * {n}\n" for n in range(12))
    program = (
        f"class Box:\n    def __init__(self, name):\n{fields}"
        "    def show(self):\n        joined = self.field_1 + '/' + self.field_2\n"
        "        return joined.upper()\n\n"
        "def f(name):\n    box = Box(name)\n    return box.show()\n"
    )
    told = narrate_forward(trace_call(program, "f('a rather long name for a box')"))
    assert [c.subject for c in told.claims if c.kind == "enters"] == ["f", "__init__", "show"]
    assert tokens(told.text) > TARGET


@pytest.mark.parametrize(
    ("program", "call"),
    [
        ("def f(n):\n    return [n * n for n in range(n)]\n", "f(4)"),
        ("def f(x):\n    y = {x: x + 1 for x in x if x + 1 > 2}\n    return y, x\n", "f([1, 2])"),
        ("def f(a, b):\n    return sum(a * b for a, b in zip(a, b))\n", "f([1, 2], [3, 4])"),
        (
            "def f(ds):\n    n = 0\n    for d in ds:\n        for k, v in d.items():\n"
            "            n += v\n    return n\n",
            "f([{'r': 5}, {'a': 6, 'd': 50, 'f': 1}, {'x': 1, 'y': 2, 'z': 3, 'w': 4, 'v': 5}])",
        ),
    ],
)
def test_the_verifier_denies_no_true_sentence(program, call):
    trace = trace_call(program, call)
    for seed in range(8):
        claims = verify_trace(trace, narrate_forward(trace, seed=seed).text)
        assert not [claim for claim in claims if claim.verdict == CONTRADICTED]


def test_a_result_that_no_literal_shows_is_told():
    program = (
        "class P:\n    def __init__(self, x):\n        self.x = x\n\ndef f(x):\n    return P(x)\n"
    )
    assert "an object of the class `P`" in narrated(program, "f(3)")
