"""Compares mixtures with hand-computed counts; tests evenness over epochs and refused inputs."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.tokens.mixture import MixtureError, epoch_records, groups, mixture_table

# Two datasets: a has records 0 to 9 (6 nl, 4 forward), b has 10 to 13 (3 instruction, 1 nl).
NL, FORWARD, INSTRUCTION = 1, 2, 5
KINDS = np.array([NL] * 6 + [FORWARD] * 4 + [INSTRUCTION] * 3 + [NL])
DATASETS = np.array([0] * 10 + [1] * 4)


def mixed(weights: dict, records: np.ndarray | None = None):
    records = np.arange(14) if records is None else records
    return groups(records, DATASETS, KINDS, ("a", "b"), weights)


def epoch(weights: dict, number: int, seed: int = 0) -> Counter:
    return Counter(epoch_records(mixed(weights), seed, number).tolist())


def test_without_weights_an_epoch_is_every_record_once():
    for number in range(3):
        assert epoch({}, number) == Counter(range(14))


def test_counts_by_hand():
    # a record's weight is its dataset's times its kind's:
    # a/nl 1, a/forward 2, b/instruction 0.5 * 1.5 = 0.75, b/nl 0.5
    weights = {"forward": 2, "instruction": 1.5, "b": 0.5}
    assert [group.weight for group in mixed(weights)] == [1, 2, Fraction(1, 2), Fraction(3, 4)]
    # instruction: 3 * 0.75 = 2.25 an epoch: 2, 2, 2, 3; b/nl: 0.5 an epoch: 0, 1, 0, 1
    for number, (instructions, of_b) in enumerate([(2, 0), (2, 1), (2, 0), (3, 1)]):
        counts = epoch(weights, number)
        assert [counts[record] for record in range(6)] == [1] * 6
        assert [counts[record] for record in range(6, 10)] == [2] * 4
        assert sum(counts[record] for record in (10, 11, 12)) == instructions
        assert counts[13] == of_b


def test_weight_zero_leaves_out_and_a_tenth_is_a_tenth():
    counts = epoch({"nl": 0, "b": 0}, 0)
    assert counts == Counter([6, 7, 8, 9])
    # 0.1 is no binary fraction: added up 10 times as floats it falls short of 1.
    taken = sum((epoch({"a": 0.1, "b": 0}, number) for number in range(10)), Counter())
    assert taken == Counter(range(10))


@given(st.decimals("0.01", 4, places=2).map(float), st.integers(0, 2**32))
def test_records_of_a_group_come_equally_often(weight, seed):
    seen = Counter()
    for number in range(20):
        seen += epoch({"forward": weight}, number, seed)
        often = [seen[record] for record in range(6, 10)]
        assert max(often) - min(often) <= 1
        assert sum(often) == (number + 1) * 4 * Fraction(repr(weight)) // 1


def test_the_seed_decides_which_records_are_left_for_later():
    half = {"nl": 0.5}
    chosen = {tuple(epoch(half, 0, seed)) for seed in range(20)}
    assert len(chosen) > 5
    assert epoch(half, 0, 3) == epoch(half, 0, 3)
    # Together two halves are all; the halves of the next pass are cut elsewhere.
    halves = [frozenset(epoch({"nl": 0.5, "b": 0, "forward": 0}, n, 1)) for n in range(8)]
    assert all(halves[n] | halves[n + 1] == set(range(6)) for n in range(0, 8, 2))
    assert len(set(halves)) > 2


def test_records_that_are_not_packed_are_in_no_group():
    drawn = epoch_records(mixed({"a": 2}, np.array([1, 3, 7, 11])), 0, 0)
    assert drawn.tolist() == [1, 1, 3, 3, 7, 7, 11]


def test_the_table_tells_shares():
    # 100 input tokens each, but 300 in instruction data: 6 + 8 + 3 * 2 + 1 = 21 records,
    # 600 + 800 + 1800 + 100 = 3300 tokens.
    lengths = np.where(KINDS == INSTRUCTION, 300, 100)
    lines = mixture_table(mixed({"forward": 2, "instruction": 2}), lengths).splitlines()
    cells = {tuple(line.split()[:2]): line.split()[2:] for line in lines[2:]}
    assert cells["a", "forward"] == ["4", "2", "8", "38.1", "%", "24.2", "%"]
    assert cells["b", "instruction"] == ["3", "2", "6", "28.6", "%", "54.5", "%"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"forwards": 1}, "'forwards' is neither a kind nor a dataset; did you mean forward"),
        ({"nl": -1}, "nl: expected a weight of 0 to 1000; got -1"),
        ({"nl": float("nan")}, "nl: expected a weight"),
        ({"nl": True}, "nl: expected a weight"),
        (
            {"refine": 1},
            "refine: expected the name of records in the data; got only a, b, forward, instr",
        ),
        ({"a": 0, "b": 0}, "expected a weight above 0"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(MixtureError, match=message):
        mixed(weights)
    with pytest.raises(MixtureError, match="datasets: nl: expected a name that is not a kind"):
        groups(np.arange(14), DATASETS, KINDS, ("a", "nl"), {})
