import pytest

from data_pipeline.source.literals import LiteralError, literal_end, parse_literal, same_value


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
