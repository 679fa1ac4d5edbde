"""Tests intervals over functions and seeds by simulation and by bounds known in closed form."""

import numpy as np
import pytest

from semcoder_jax.studies.intervals import difference_interval, mean_interval


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    """Right answers are drawn from a known chance for each function and seed."""
    rng, covered, rounds = np.random.default_rng(0), 0, 200
    for number in range(rounds):
        easiness_N = rng.normal(0.0, 0.15, 80)
        luck_S = rng.normal(0.0, 0.02, 5)
        chances_SxN = np.clip(0.5 + easiness_N + luck_S[:, None], 0, 1)
        found = mean_interval(rng.random((5, 80)) < chances_SxN, seed=number, resamples=500)
        covered += found.low <= 0.5 <= found.high
    assert 0.90 <= covered / rounds <= 1.0


def test_seeds_that_differ_widen_the_interval():
    right_SxN = np.tile(np.arange(100) % 2, (3, 1))
    apart_SxN = np.array([[0] * 100, [0, 1] * 50, [1] * 100])
    equal, apart = mean_interval(right_SxN), mean_interval(apart_SxN)
    assert equal.value == apart.value == 0.5
    assert apart.high - apart.low > 2 * (equal.high - equal.low)


def test_no_spread_gives_the_bounds_of_a_score_interval():
    # Wilson's bound for 0 of 10: z² / (n + z²) with z = 1.96.
    found = mean_interval(np.zeros((3, 10)))
    assert found.low == 0 and found.high == pytest.approx(3.8415 / 13.8415, abs=1e-3)


def test_a_constant_difference_is_exact_and_tables_must_match():
    a_SxN = np.random.default_rng(1).random((3, 20)) / 2
    found = difference_interval(a_SxN, a_SxN + 0.25)
    assert (found.low, found.value, found.high) == pytest.approx((0.25, 0.25, 0.25))
    with pytest.raises(ValueError, match="cannot be paired"):
        difference_interval(a_SxN, a_SxN[:2])
    with pytest.raises(ValueError, match="table"):
        mean_interval([])
