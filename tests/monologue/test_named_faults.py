"""Tests kinds of false or empty sentences that narrators wrote, each on a program of its own."""

import re

import pytest

from data_pipeline.monologue.backward import narrate_backward
from data_pipeline.monologue.forward import forward_monologue, narrate_forward
from data_pipeline.monologue.introduction import quotable
from data_pipeline.tracing import trace_call


def told(program, call, seed=0):
    return forward_monologue(trace_call(program, call), seed=seed)


def told_steps(program, call, seed=0):
    text = told(program, call, seed).split("### Execution Simulation\n")[1]
    return [step.partition(". ")[2] for step in text.split("\n\n")[0].split("\n")]


def told_back(program, call, seed=0):
    return narrate_backward(trace_call(program, call), call, seed=seed).text


SHAPES = [
    "def f(x):\n    return x\n",
    "def f(x):\n    if x:\n        return 1\n    return 2\n",
    "def f(x):\n    return [y for y in range(x) if y]\n",
    "def f(x):\n    return 'big' if x > 3 else 'small'\n",
    "def f(x):\n    y = x\n    del y\n",
]


@pytest.mark.parametrize("program", SHAPES)
def test_the_introduction_says_nothing_empty(program):
    for seed in range(6):
        text = told(program, "f(4)", seed)
        for phrase in ("single statement of work", "without loops", "or branches"):
            assert phrase not in text
        properties = text.split("### Key Properties and Constraints\n")[1].split("\n\n")[0]
        assert properties.startswith("- ")


def test_variables_of_comprehensions_and_lambdas_are_not_taken_from_outside():
    program = (
        "def f(xs):\n    x = 100\n    k = 7\n    ys = [x + 1 for x in xs]\n"
        "    zs = sorted(ys, key=lambda k: -k)\n    return zs, x, k\n"
    )
    for seed in range(8):
        steps = told_steps(program, "f([1, 2])", seed)
        assert not any("100" in step for step in steps if step.startswith(("[L8]", "[L9]")))
        assert not any("`k` = 7" in step for step in steps if step.startswith("[L9]"))
        assert "for `x` = 1, `x + 1` is 2" in " ".join(steps).replace("For", "for")


def test_leaving_a_with_block_is_told_as_leaving():
    program = (
        "class Box:\n    def __enter__(self):\n        return 5\n"
        "    def __exit__(self, *error):\n        return False\n\n"
        "def f(n):\n    for i in range(n):\n        with Box() as b:\n            n += b\n"
        "    return n\n"
    )
    steps = [s for s in told_steps(program, "f(2)") if "`with` block" in s]
    assert [("entered" in s, "left" in s) for s in steps] == [(True, False), (False, True)] * 2


def test_a_return_that_waits_for_finally_returns_once():
    program = (
        "def f(x):\n    try:\n        return x + 1\n    finally:\n        if x > 2:\n"
        "            return 'late'\n"
    )
    steps = told_steps(program, "f(3)")
    assert any("`x + 1` is 4, but the `finally` block runs" in s for s in steps)
    assert [s for s in steps if "returns" in s and "can return" not in s] == [steps[-1]]
    assert "'late'" in steps[-1]
    calm = told_steps(program, "f(1)")
    assert "returns 2" in calm[-1] or "2 is returned" in calm[-1]


def test_calls_of_a_loops_iterable_are_told_before_its_first_turn():
    program = (
        "def double(n):\n    return n * 2\n\ndef f(n):\n    t = 0\n"
        "    for x in range(double(n)):\n        t += x\n    return t\n"
    )
    steps = told_steps(program, "f(2)")
    call = next(i for i, s in enumerate(steps) if "calls `double`" in s)
    turn = next(i for i, s in enumerate(steps) if "Iteration 1" in s)
    assert call < turn


def test_bodies_of_generators_are_told():
    program = (
        "def squares(n):\n    for i in range(n):\n        yield i * i\n\n"
        "def f(n):\n    return list(squares(n))\n"
    )
    steps = told_steps(program, "f(2)")
    assert [s for s in steps if s.startswith("[L7]") and " 1" in s]  # yields 1 * 1
    assert sum("Iteration" in s for s in steps) == 2


def test_a_matched_case_and_its_captures_are_told():
    program = (
        "def f(x):\n    match x:\n        case {'a': v} if v > 5:\n            return v\n"
        "        case {'a': v, **rest}:\n            return v, rest\n"
    )
    steps = told_steps(program, "f({'a': 3, 'b': 4})")
    first = next(s for s in steps if s.startswith("[L7]"))
    assert "is not taken" in first
    assert "`v` = 3" in first
    assert "`v > 5` is False" in first
    second = next(s for s in steps if s.startswith("[L9]"))
    assert "`rest` = {'b': 4}" in second


def test_globals_that_are_read_are_shown():
    program = "RATE = 3\nTABLE = {'a': 1}\ndef f(x):\n    return x * RATE + TABLE['a']\n"
    text = told(program, "f(2)")
    assert "`RATE` = 3" in text
    assert "`TABLE` = {'a': 1}" in text
    assert "`x * RATE` is `2 * 3`" in text


def test_a_formula_is_told_in_its_parts():
    steps = told_steps("def f(a, b):\n    return a * b + a\n", "f(2, 3)")
    assert "`a * b` is `2 * 3`" in steps[-1]
    assert re.search(r"`a \* b \+ a` (?:is|becomes) `6 \+ 2`", steps[-1])
    assert "8" in steps[-1]


def test_an_operand_that_is_not_evaluated_is_not_told():
    steps = told_steps(
        "def f(xs):\n    if xs and xs[0] > 1:\n        return 1\n    return 0\n", "f([])"
    )
    assert any(s.startswith("[L6]") for s in steps)
    assert not any(re.search(r"`xs\[0\](?: > 1)?`", s) for s in steps)


def test_a_test_that_is_no_truth_value_is_not_called_true():
    for seed in range(5):
        steps = told_steps(
            "def f(xs):\n    if xs:\n        return 1\n    return 0\n", "f([0])", seed
        )
        assert not any("`xs` is True" in s for s in steps)
        assert any("[0]" in s and "true" in s for s in steps if s.startswith("[L6]"))


def test_code_reads_as_in_the_source():
    program = 'def f(d):\n    return d["k"]+len( d )\n'
    text = told(program, "f({'k': 2})")
    assert '`d["k"]+len( d )`' in text
    assert "d['k']" not in text


def test_a_test_over_two_lines_is_told_once():
    program = "def f(a):\n    if (a > 1 and\n            a < 10):\n        a = 1\n    return a\n"
    steps = told_steps(program, "f(4)")
    assert sum("a > 1 and a < 10` is True" in s for s in steps) == 1
    assert steps[1].startswith("[L6]")


def test_calls_of_a_recursion_name_their_arguments():
    program = "def f(n):\n    if n < 2:\n        return n\n    return f(n - 1) + f(n - 2)\n"
    steps = told_steps(program, "f(3)")
    assert any("`f(n=2)` returns 1" in s for s in steps)
    assert not any(re.search(r"`f` returns", s) for s in steps[:-1])


def test_what_is_left_out_is_summarized_with_the_state_after_it():
    program = (
        "def f(n):\n    a, b = 0, 1\n    for i in range(n):\n        a, b = b, a + b\n"
        "    return a\n"
    )
    claims = narrate_forward(trace_call(program, "f(40)")).claims
    spans = [c.value for c in claims if c.kind == "range"]
    assert spans
    assert all(span.endswith("-40") for span in spans)
    final = {c.subject: c.value for c in claims if c.kind == "after"}
    assert final["a"] == "102334155"


def test_a_program_line_that_cannot_be_shown_is_not_told_as_running():
    program = (
        "def f(xs):\n    it = iter(xs)\n    big = dict.fromkeys(range(90))\n    return next(it)\n"
    )
    text = told(program, "f([4])")
    assert "list_iterator" not in text
    assert " runs." not in text
    assert "90 items" in text


@pytest.mark.parametrize(
    "docstring",
    [
        "See https://example.org/page for how this is done in full.",
        "Adds `a` to :class:`Box`, and returns the ``result`` of it.",
        "Add two.",
        "x -> y",
        "<b>Adds</b> the numbers to the list and returns the list.",
        "@param x the number that is added to all of the others",
    ],
)
def test_docstrings_with_markup_or_few_words_are_not_quoted(docstring):
    assert quotable(docstring) == ""
    program = f'def f(x):\n    """{docstring}"""\n    return x + 1\n'
    assert "docstring" not in told(program, "f(1)")
    assert "returns `x + 1`" in told(program, "f(1)").replace("gives back", "returns")


def test_a_plain_docstring_is_quoted():
    sentence = "Return the sum of all even numbers in the list."
    assert quotable(f"{sentence} More follows.\n\nArgs: none") == sentence


# ---- backward


def test_backward_takes_no_name_inside_a_subscript_for_what_is_stored():
    program = "def f(xs, j):\n    xs[j] = 9\n    return xs\n"
    text = told_back(program, "f([1, 2], 1)")
    assert not re.search(r"`j` (?:must|has to)", text)
    assert re.search(r"`return` of `xs`.* value must be \[1, 9\]", text)


def test_backward_states_no_number_of_turns_that_another_input_does_not_make():
    program = "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"
    for seed in range(6):
        text = told_back(program, "f([1, 2, 3, 4])", seed)
        for line in text.split("\n"):
            if "must" in line or "has to" in line:
                assert not re.search(r"\bturn", line)
                assert "4" not in line
        assert "see to it" not in text
        assert re.search(r"(?:choice|choose|can take).*`xs` = \[1, 2, 3, 4\]", text)


def test_backward_gives_turns_that_every_input_makes():
    program = (
        "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x * x)\n    return out\n"
    )
    text = told_back(program, "f([1, -2])")
    assert "must make exactly 2 turns" in text
    assert not re.search(r"`xs` must be", text)  # [-1, 2] gives the same


def test_backward_gives_a_variable_its_value_at_the_line_not_its_last():
    program = "def f(d, k):\n    d[k] = 1\n    n = len(d)\n    d[n] = 0\n    return d\n"
    text = told_back(program, "f({'a': 5}, 'b')")
    assert "`d` becomes {'a': 5, 'b': 1}" in text or "`d` is now {'a': 5, 'b': 1}" in text


def test_backward_tells_one_start_value_of_an_if_in_one_line():
    program = "def f(n):\n    if n > 3: n = 3\n    return n + 1\n"
    text = told_back(program, "f(9)")
    assert re.search(r"`n` (?:must be|is) 3", text)
    assert not re.search(r"argument `n`.* must be", text)  # any n above 2 does
    assert "`n` = 9" in text


def test_backward_shows_no_values_that_cannot_be_written():
    program = (
        "def f(xs):\n    it = iter(xs)\n    big = list(xs) * 300\n    return next(it) + len(big)\n"
    )
    text = told_back(program, "f([4])")
    assert "list_iterator" not in text
    assert "too long to write" not in text


def test_backward_marks_a_way_of_several_as_a_choice():
    program = "def f(d, k):\n    if k in d:\n        return d[k]\n    return k\n"
    text = told_back(program, "f({'a': 3}, 'a')")
    assert re.search(r"(?:One way|We choose).*`return`", text)
    assert "must" not in text.split("### Reverse Deduction")[1]


def test_turns_with_a_test_over_two_lines_are_summarized():
    program = (
        "def f(s):\n    n = 0\n    for i in range(len(s)):\n        if (i == 2 or\n"
        "                s[i] == 'x'):\n            n += 1\n    return n\n"
    )
    claims = narrate_forward(trace_call(program, "f('xbcefghx')")).claims
    assert [c.value for c in claims if c.kind == "alike"]


def test_statements_on_one_line_are_told_one_by_one():
    program = (
        "def f(n):\n    if n > 3: n = 3\n    while n > 1: n -= 1\n"
        "    a = n + 1; b = a * 2; a = b\n    for x in range(3): a += x\n    return a\n"
    )
    steps = told_steps(program, "f(6)")
    several = [s for s in steps if s.startswith("[L8]")]
    assert [s for s in several if "`a` " in s and "2" in s] and len(several) == 3
    assert any("after 2 iterations" in s for s in steps if s.startswith("[L7]"))
    assert any("after 3 iterations" in s for s in steps if s.startswith("[L9]"))
    assert not any("exception" in s for s in steps)


def test_a_return_held_back_is_told_where_its_finally_block_ends():
    program = (
        "def f(a, b):\n    try:\n        return a // b\n    except ZeroDivisionError:\n"
        "        return None\n    finally:\n        a = 0\n"
    )
    for seed in range(6):
        steps = told_steps(program, "f(7, 2)", seed)
        assert steps[-1].startswith("[L11] ")
        assert steps[-1].endswith(
            "The `finally` block is over, and the function returns 3, the value of `a // b`."
        )
        assert "ends here" not in " ".join(steps)


def test_what_a_finally_block_returns_itself_is_not_held_back():
    program = "def f(a):\n    try:\n        a = a + 1\n    finally:\n        a = a * 2\n"
    for seed in range(4):
        [last] = told_steps(program, "f(1)", seed)[-1:]
        assert "The function ends here and returns None" in last and "`finally`" not in last


@pytest.mark.parametrize(
    ("body", "call", "state"),
    [
        ("    i, j = 0, 2\n    xs[i], xs[j] = xs[j], xs[i]\n", "f([1, 2, 3])", "[3, 2, 1]"),
        ("    xs[0], k = 9, 1\n", "f([1, 2])", "[9, 2]"),
        ("    (xs[0], xs[1]) = (xs[1], xs[0])\n", "f([4, 5])", "[5, 4]"),
        ("    [xs[-1], *rest] = [7, 8]\n", "f([4, 5])", "[4, 7]"),
    ],
)
def test_a_swap_of_items_is_told_with_the_list_after_it(body, call, state):
    program = f"def f(xs):\n{body}    return xs\n"
    for seed in range(4):
        step = told_steps(program, call, seed)[-2]
        assert re.search(rf"`xs` (is now|becomes|is) {re.escape(state)}", step), step


def test_an_update_that_changes_nothing_says_what_stays():
    program = (
        "class A:\n    def __init__(self):\n        self.n = 2\n    def add(self, i):\n"
        "        self.n += i\n        return self.n\n\n"
        "def f(i):\n    a = A()\n    return a.add(i)\n"
    )
    for seed in range(4):
        steps = told_steps(program, "f(0)", seed)
        assert any("`self` stays A(n=2)" in step for step in steps if "`+= i`" in step)


def test_a_value_is_told_once_in_a_sentence():
    program = "def f(out):\n    out[-1][1] = max(out[-1][1], 3)\n    return out\n"
    for seed in range(6):
        step = told_steps(program, "f([[1, 2]])", seed)[1]
        assert len(re.findall(r"`out\[-1\]` (?:is|gives)", step)) == 1, step


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def f(x):\n    return {x: 1}\n", "a dict with one key."),
        ("def f(x):\n    return {x: 1, x + 1: 1}\n", "a dict with 2 keys."),
        (
            "def f(x):\n    match x:\n        case 4:\n            return 1\n    return 2\n",
            "against 1 pattern and",
        ),
    ],
)
def test_one_is_no_plural(program, said):
    assert said in told(program, "f(4)")


def test_an_update_of_a_value_that_cannot_be_shown_is_no_assignment():
    program = (
        "class Bag:\n    def __init__(self):\n        self.items = [object()] * 60\n"
        "    def __iadd__(self, other):\n        return self\n\n"
        "def f(x):\n    bag = Bag()\n    bag += x\n    return x\n"
    )
    steps = told_steps(program, "f(2)")
    assert not any("is set to `x`" in step for step in steps)
    assert any("`bag` is updated by `+= x`" in step for step in steps)


def test_members_of_an_enum_are_shown():
    program = (
        "import enum\n\nclass P(enum.Flag):\n    R = 1\n    W = 2\n\n"
        "def f(x):\n    p = P.R\n    p |= P.W\n    return [p, x]\n"
    )
    text = " ".join(told_steps(program, "f(2)"))
    assert "P.R|P.W" in text and "[P.R|P.W, 2]" in text


def test_a_line_that_makes_an_object_does_not_call_a_name_it_does_not_hold():
    program = (
        "class P:\n    def __init__(self, x):\n        self.x = x\n\n"
        "def g(p):\n    return p.x\n\ndef f(x):\n    return g(P(x))\n"
    )
    steps = told_steps(program, "f(2)")
    assert not any("calls `__init__`" in step for step in steps)
    assert any("calls `g`" in step for step in steps)
