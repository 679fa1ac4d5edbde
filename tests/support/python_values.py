"""Defines Hypothesis strategies for the values of Python programs."""

from hypothesis import strategies as st

numbers = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    # The literal of another complex number is a sum, which loses the sign of a zero.
    | st.floats(0, allow_infinity=False).map(lambda imaginary: complex(0, imaginary))
)
# Equal to each other across types, as 1 == True == 1.0 are.
near_misses = st.sampled_from([0, 0.0, -0.0, False, 1, 1.0, True, "1", b"1", 0j, None])
atoms = st.none() | st.booleans() | numbers | st.text() | st.binary() | near_misses


def nested(leaves, *, hashable=atoms):
    """Generates nested lists, tuples, sets and dicts with `leaves`; keys are `hashable`."""
    keys = st.recursive(hashable, lambda keys: st.lists(keys, max_size=3).map(tuple), max_leaves=4)
    return st.recursive(
        leaves,
        lambda values: (
            st.lists(values, max_size=4)
            | st.lists(values, max_size=4).map(tuple)
            | st.sets(keys, max_size=4)
            | st.dictionaries(keys, values, max_size=4)
        ),
        max_leaves=12,
    )


def write_literal(value) -> str:
    """Returns the value's literal, with the members of sets sorted."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(write_literal, value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[write_literal(item) for item in value]}"
    if isinstance(value, dict):
        return f"dict{[(write_literal(key), write_literal(item)) for key, item in value.items()]}"
    return repr(value)
