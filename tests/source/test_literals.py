import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.source.literals import LiteralError, literal_end, parse_literal, same_value
from tests.support.python_values import atoms, near_misses, nested, write_literal


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("3.", "3"),
        ("-3 + b", "-3"),
        ("2.5e3, and", "2.5e3"),
        ("[1, '],', (2,)][0]", "[1, '],', (2,)]"),
        ("'it\\'s'.upper()", "'it\\'s'"),
        ('b"x" z', 'b"x"'),
        ("{'a': [1]}.get(x)", "{'a': [1]}"),
        ("True.", "True"),
        ("set() is", "set()"),
    ],
)
def test_a_literal_ends_before_the_prose(text, literal):
    assert text[: literal_end(text, 0)] == literal


@given(nested(atoms), st.sampled_from(["", ".", ". Then", ", and", " is", ")", "\n", "[0]", " 'x"]))
def test_a_value_is_read_back_from_prose(value, prose):
    text = repr(value)
    end = literal_end(text + prose, 0)
    assert end == len(text)
    assert write_literal(parse_literal(text)) == write_literal(value)


@pytest.mark.parametrize("text", ["", "x", "Truely", "[1, 2", "[1)", "'open", "3x", "??"])
def test_no_literal_begins_here(text):
    assert literal_end(text, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        *("f(3)", "__import__('os')", "10**9", "8 or True", "", "{[]}", "x=3", "'\0"),
        *("[" * 5000, "-" * 15000 + "1", "1" * 30000),
    ],
)
def test_what_is_no_literal_is_never_run(text):
    with pytest.raises(LiteralError):
        parse_literal(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1, True),
        (1, True, False),
        (2, 2.0, False),
        (0.0, -0.0, False),
        (float("nan"), float("nan"), True),
        ([1, (2, "a")], [1, (2, "a")], True),
        ([1], (1,), False),
        ([1, [0]], [1, [False]], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1: "a"}, {True: "a"}, False),
        ({1, 2}, {2, 1}, True),
        ("1", 1, False),
        (b"a", "a", False),
        ([], [[]], False),
    ],
)
def test_values_are_the_same_type_for_type(one, other, same):
    assert same_value(one, other) is same
    assert same_value(other, one) is same


@given(st.data())
def test_lists_and_tuples_are_the_same_where_their_literals_are(data):
    values = st.recursive(
        near_misses,
        lambda values: st.lists(values, max_size=2) | st.lists(values, max_size=2).map(tuple),
        max_leaves=3,
    )
    one, other = data.draw(values), data.draw(values)
    assert same_value(one, other) is (repr(one) == repr(other))


@given(nested(atoms))
def test_a_value_is_the_same_as_its_literals_value(value):
    assert same_value(value, ast.literal_eval(repr(value)))


@pytest.mark.parametrize(
    "text", ["[1, [2]]", "{'a': [1]}", "{8, 0, 16}", "([], -0.0, 1e999, 2j, b'x')"]
)
def test_a_text_that_is_read_again_gives_a_value_of_its_own(text):
    for _ in range(2):
        value = parse_literal(text)
        assert repr(value) == repr(ast.literal_eval(text))  # also the order of a set
        part = value[0] if isinstance(value, tuple) else value
        part.clear()
