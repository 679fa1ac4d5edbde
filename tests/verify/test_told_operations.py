"""Lines on operations, positions and code with values put in: true ones, and false ones.

Truth is worked out by hand from the programs.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

STRIP = """\
def f(s, ends):
    for end in ends:
        s = s.rstrip(end)
    return s
"""  # f('ab!1', ('1', '2')): 'ab!1' becomes 'ab!' and stays so
CUT = """\
def f(text, at):
    left, _, right = text.partition(at)
    table = str.maketrans("b", "x")
    return right.translate(table) + left.title()
"""  # f('difk j', 'k'): ('dif', 'k', ' j'); ' j' + 'Dif'
SUM = """\
def f(s):
    n = s.count("0") + s.count("1")
    return len(s) == n
"""  # f('102'): 1 + 1, so 3 == 2
POP = """\
def f(xs):
    xs.reverse()
    last = xs.pop()
    return [last, xs[0]]
"""  # f([7, 8, 2]): [2, 8, 7], then 7 is taken
FILL = """\
def f(text, gap):
    wide = text.replace(gap, ", ")
    same = text.replace("z", "-")
    return wide, same
"""  # f('ab', ''): ', a, b, ' and 'ab'
BACK = """\
def f(s):
    t = s[::-1]
    return t.find("c", 1)
"""  # f('abc'): 'cba', so -1
JOIN = """\
def f(s, n):
    return ".".join(s[n:].split(".")[1:] + s[:n].split(".")[:-1])
"""  # f('ab.cd', 1): ['b', 'cd'][1:] + ['a'][:-1] is ['cd'], so 'cd'
WALK = """\
def f(words):
    out = []
    for word in words:
        if word[0].isupper() is False:
            out.append(word)
    return out
"""  # f(['b', 'c']): ['b', 'c']
RUNS = {
    "strip": (STRIP, "f('ab!1', ('1', '2'))"),
    "cut": (CUT, "f('difk j', 'k')"),
    "sum": (SUM, "f('102')"),
    "pop": (POP, "f([7, 8, 2])"),
    "fill": (FILL, "f('ab', '')"),
    "back": (BACK, "f('abc')"),
    "join": (JOIN, "f('ab.cd', 1)"),
    "walk": (WALK, "f(['b', 'c'])"),
}
FALSE = [
    ("strip", "The string `'ab'` is stripped of the character `'2'` from the end."),
    ("strip", "`s.rstrip('1')` is called. The string `'ab'` is stripped of the character `'1'`."),
    ("strip", "The `rstrip()` method is called on the string `'ab'`."),
    ("cut", "It finds `'k'` at index 4."),
    ("cut", "The character at index 2 (`'k'`) is where the text is cut."),
    ("cut", "The part before `'k'` is `'di'`."),
    ("cut", "The table maps `'k'` to `'x'`."),
    ("cut", "`.title()` results in `'DIF'`."),
    ("cut", "The `partition` method looks for the separator `'j'`."),
    ("sum", '`len(s) == s.count("0") + s.count("1")` translates to `3 == 0 + 1`.'),
    ("sum", '`s.count("0") + s.count("1")` is `2 + 1`.'),
    ("pop", "`xs.pop()` removes the last element, which is `2`."),
    ("pop", "This reverses the list from `[7, 8, 2]` to `[8, 2, 7]`."),
    ("fill", "`text.replace('', ', ')` is called, which does not change the string."),
    ("fill", "`text.replace('', ', ')` does not find any occurrences of `''`, so it stays."),
    ("back", "The string `'cb'` is reversed back to `'bc'`."),
    ("back", "`t.find('c', 0)` returns `0`."),
    ("join", "`'.'.join(['b', 'cd'] + ['a'])` results in `'b.cd.a'`."),
    ("walk", "`word[0].isupper() is False` is `False` for the word `'c'`."),
]
TRUE = [
    ("strip", "The string `'ab!'` is stripped of the character `'2'` from the end."),
    ("strip", "The string `'ab!1'` is stripped of the character `'1'`, giving `'ab!'`."),
    ("strip", "The `rstrip()` method is called on the string `'ab!'`."),
    ("strip", "If `rstrip()` is called on the string `'xx'`, nothing is removed."),
    ("cut", "It finds `'k'` at index 3."),
    ("cut", "The character at index 3 (`'k'`) is where the text is cut."),
    ("cut", "`'k'` is not found at index 4."),
    ("cut", "The part before `'k'` is `'dif'`."),
    ("cut", "The table maps `'b'` to `'x'`."),
    ("cut", "`.title()` results in `'Dif'`."),
    ("cut", "The `partition` method looks for the separator `'k'`."),
    ("sum", '`len(s) == s.count("0") + s.count("1")` translates to `3 == 1 + 1`.'),
    ("sum", '`len(s) == s.count("0") + s.count("1")` becomes `3 == 2`.'),
    ("pop", "`xs.pop()` removes the last element, which is `7`."),
    ("pop", "This reverses the list from `[7, 8, 2]` to `[2, 8, 7]`."),
    ("fill", "`text.replace('z', '-')` is called, which does not change the string."),
    ("fill", "`text.replace('z', '-')` does not find any occurrences of `'z'`."),
    ("back", "The string `'abc'` is reversed to `'cba'`."),
    ("back", "`t.find('c', 1)` returns `-1`."),
    ("join", "`'.'.join(['cd'] + [])` results in `'cd'`."),
    ("walk", "`word[0].isupper() is False` is `True` for the word `'c'`."),
    ("walk", "The length of `words` is 2, and index 1 holds `'c'`."),
]


def verdict_of(run, line):
    program, call = RUNS[run]
    text = f"### Execution Simulation\n- {line}"
    return line_verdicts(verify_trace(trace_call(program, call), text)).get(2)


@pytest.mark.parametrize(("run", "line"), FALSE)
def test_what_no_call_does_is_contradicted(run, line):
    assert verdict_of(run, line) == "contradicted"


@pytest.mark.parametrize(("run", "line"), TRUE)
def test_what_some_call_does_is_not_contradicted(run, line):
    assert verdict_of(run, line) != "contradicted"


COUNT = """\
def f(xs, n):
    last = xs.pop(n)
    if last != 4:
        xs.append(n)
    return xs
"""  # f([5, 6, 4], 1): 6 is taken, [5, 4], then [5, 4, 1]


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("- `xs.pop(n)` takes the second element, which is not `6`.", False),
        ("- The third element of the output list is not `1`.", False),
        ("- The third element of the output list is `1`.", True),
        ("- The element at index `0` is not `5`.", False),
        ("- `last` is not `6`.", False),
        ("[L7] `last` is not `4`, so the condition is `True`.", True),
        ("[L7] `n` is not `1`.", False),
        ("[L7] `last != 4` is `True` (6 != 4).", True),
        ("[L7] `4 != 4` is checked.", False),
    ],
)
def test_what_is_denied_though_it_holds_is_not_confirmed(line, holds):
    text = f"### Execution Simulation\n{line}"
    claims = verify_trace(trace_call(COUNT, "f([5, 6, 4], 1)"), text)
    assert (line_verdicts(claims).get(2) == "confirmed") is holds
