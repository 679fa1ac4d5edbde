"""Tests the values that leave the sandbox and the oracles that compare them outside."""

import collections
import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.execution import oracles
from data_pipeline.execution.guest import series, values
from data_pipeline.execution.outcomes import Raised, Result, Value
from tests.support.python_values import atoms, nested, write_literal

# ---- values

SAMPLES = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, -(10**50), 1.5, -0.0, math.inf, -math.inf,
    1e-320, "", "text", "\ud800 \x00 \U0001f600", b"", b"\x00\xff", bytearray(b"a"), 2 - 3j, [], (),
    set(), frozenset(), {}, [1, [2, (3, {4})]], {"b": 1, "a": [None]},
    {(1, 2): {3: frozenset({4})}}, range(1, 10, 3), ..., [True, 1, 1.0], {1.0: "float key"},
    {True: "bool key"}, collections.Counter("abca"), collections.deque([1, {2}]),
    collections.OrderedDict([("z", 1), ("a", [2])]), collections.defaultdict(None, {1: [2]}),
]  # fmt: skip


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: repr(value)[:30])
def test_values_survive_exactly(value):
    tree = json.loads(json.dumps(values.encode(value)))
    back = values.decode(tree)
    assert type(back) is type(value) and repr(back) == repr(value)


CARRIED = nested(
    atoms | st.floats() | st.complex_numbers() | st.binary().map(bytearray) | st.just(...),
    hashable=atoms | st.frozensets(st.integers(), max_size=3),
)


@given(CARRIED)
def test_any_value_survives_exactly(value):
    back = values.decode(json.loads(json.dumps(values.encode(value))))
    assert write_literal(back) == write_literal(value)


def test_nan_cycles_and_opaque():
    assert math.isnan(values.decode(values.encode(math.nan)))
    loop = [1]
    loop.append({"self": loop})
    assert values.encode(loop) == ["l", 1, ["d", "self", ["~", 0]]]
    shared = [1]
    assert values.encode([shared, shared]) == ["l", ["l", 1], ["l", 1]]

    class Int(int):
        pass

    tree = values.encode([Int(3), object(), len])
    assert [part[0] for part in tree[1:]] == ["o", "o", "o"]
    opaque = values.decode(["o", "Thing"])
    assert opaque != opaque and opaque != 1 and opaque.type == "Thing"


def posing(kind: type) -> type:
    """Returns a class whose metaclass makes it hash as, and equal, another type."""

    class Meta(type):
        def __hash__(cls):
            return hash(kind)

        def __eq__(cls, other):
            return other is kind

        def __instancecheck__(cls, instance):
            raise AssertionError("code of the program ran")

    def ran(*unused: object, **named: object) -> None:
        raise AssertionError("code of the program ran")

    methods = ("__iter__", "__len__", "__repr__", "__hash__", "__eq__", "items", "keys", "__str__")
    return Meta(kind.__name__, (), dict.fromkeys(methods, ran) | {"__class__": property(ran)})


BUILTIN = (list, tuple, dict, set, frozenset, str, int, float, bool, bytes, bytearray, complex,
           range, type(None), type(...), collections.deque, collections.Counter,
           collections.OrderedDict, collections.defaultdict)  # fmt: skip


@pytest.mark.parametrize("kind", BUILTIN, ids=lambda kind: kind.__name__)
def test_no_type_passes_for_another(kind):
    """Neither a metaclass nor a subclass runs its code, or is encoded as what it poses as."""
    imposter = posing(kind)
    made = object.__new__(imposter)
    assert values.encode([made])[1][0] == "o"
    assert values.encode({1: made})[2][0] == values.encode((made,))[1][0] == "o"
    if kind not in (bool, range, type(None), type(...)):
        methods = {name: vars(imposter)[name] for name in ("__iter__", "__len__", "items")}
        derived = type("Derived", (kind,), methods)
        assert values.encode([derived()])[1][0] == "o"


@pytest.mark.parametrize("kind", [str, list])
def test_no_type_passes_for_another_in_a_digest(kind):
    made, ordinary = object.__new__(posing(kind)), type(kind.__name__, (), {})()
    many = series.LARGE + 1
    for long in (lambda one: [one] * many, lambda one: [[one]] * many):
        assert series._encode_answer(long(made)) == series._encode_answer(long(ordinary))


NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [-0.0, 0.5, -5e-324, 2**49 - 1, -(2**49), 2**53, 2.0**53, 2**53 + 1, -(2**53) - 1, 10**400]
)


@settings(max_examples=30)
@given(st.lists(NUMBERS | st.booleans(), min_size=1, max_size=6), st.data())
def test_digests_are_equal_if_and_only_if_the_numbers_are(numbers, data):
    times = series.LARGE // len(numbers) + 1
    other = [data.draw(st.sampled_from(_equals(number))) for number in numbers]
    changed = [*other[:-1], data.draw(NUMBERS)]
    kind, digest = series._encode_answer(numbers * times)
    assert kind == "digest" and (kind, digest) == series._encode_answer(other * times)
    assert (series._encode_answer(changed * times)[1] == digest) == (changed == numbers)
    assert series._encode_answer(tuple(numbers * times))[1] != digest


def _equals(number):
    """Returns the values of other types that equal a number."""
    found = [number, int(number)] if number == int(number) else [number]
    return [*found, float(number)] if -(2**53) <= number <= 2**53 else found


def test_a_long_text_has_another_digest_than_its_list():
    many = series.LARGE + 1
    texts = ["a" * many, ["a"] * many, "a" * (many + 1), "\ud800" * many]
    assert len({series._encode_answer(text) for text in texts}) == len(texts)


def test_patched_modules_change_no_encoding(monkeypatch):
    whole = {
        3: {frozenset({2, 1}), "b"},
        "a": collections.OrderedDict(z=1, a=collections.Counter("ab")),
    }
    expected = values.encode(whole)
    for owner, name in (
        (json, "dumps"), (json.JSONEncoder, "encode"), (json.JSONEncoder, "iterencode"),
        (collections, "OrderedDict"), (collections.Counter, "__iter__"),
        (collections.Counter, "items"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, None, raising=False)
    assert values.encode(whole) == expected


def test_an_ordered_dict_keeps_its_order():
    ordered = collections.OrderedDict([("a", 1), ("b", 2)])
    ordered.move_to_end("a")
    assert values.encode(ordered) == ["m", "OrderedDict", "b", 2, "a", 1]


@pytest.mark.parametrize(
    "tree",
    [[], ["x"], {}, ["f", 1], ["f", "one"], ["i", "zz"], ["b", "0"], ["s", ["l"]], ["d", 1], [1],
     ["r", 1, 2], ["r", 1, 2, 0], ["o"], 1.5, ["c", "1"]],
)  # fmt: skip
def test_forged_trees_are_refused(tree):
    with pytest.raises(values.Malformed):
        values.decode(tree)


def test_colliding_keys_are_refused_quickly():
    prime = (1 << 61) - 1
    tree = ["s", *(["i", hex(prime * k)] for k in range(1, 20_000))]
    start = time.process_time()
    with pytest.raises(values.Malformed):
        values.decode(tree)
    assert time.process_time() - start < 1


# ---- oracles


def valued(value) -> Result:
    return Result(Value(json.loads(json.dumps(values.encode(value)))))


@pytest.mark.parametrize(
    ("value", "expected", "exact", "equal"),
    [
        (2, 2, True, True),
        (2, 2.0, False, True),
        (1, True, False, True),
        ([1], [True], False, True),
        (0.0, -0.0, False, True),
        (math.nan, math.nan, True, False),
        ((1, 2), [1, 2], False, False),
        ({1, 2}, {2, 1}, True, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False, True),
        ("1", 1, False, False),
        (b"a", bytearray(b"a"), False, True),
    ],
)
def test_exact_and_equal(value, expected, exact, equal):
    assert oracles.is_exact(valued(value), expected) is exact
    assert oracles.is_equal(valued(value), expected) is equal


def test_close():
    assert oracles.is_close(valued([1.0, {"a": (2.0,)}]), [1.0 + 1e-9, {"a": (2.0 - 1e-9,)}])
    assert not oracles.is_close(valued([1.0]), [1.1])
    assert not oracles.is_close(valued([1.0]), [1.0, 1.0])
    assert oracles.is_close(valued(3), 3.0)
    assert not oracles.is_close(valued("3"), 3.0)
    assert oracles.is_close(valued(math.nan), math.nan) and not oracles.is_close(
        valued(math.inf), 1.0
    )
    assert oracles.is_close(valued(100.0), 101.0, absolute=0.0, relative=0.01)
    for oracle in (oracles.is_exact, oracles.is_equal, oracles.is_close):
        assert not oracle(Result(Raised("ValueError", "", 1)), None)
        assert not oracle(Result(Value(["o", "Equal"])), 1)
        assert not oracle(Result(Value(["l", ["o", "Equal"]])), [1])
