"""Compares statistics with their definitions: by enumeration, exact sums and a plain loop."""

import itertools
import math
import random
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from semcoder_jax.evaluation.statistics import (
    StatisticsError,
    compare,
    estimate,
    mcnemar,
    pass_at_k,
    wilson_interval,
)


@pytest.mark.parametrize("samples", [1, 3, 6])
def test_pass_at_k_is_the_share_of_draws_with_a_right_sample(samples):
    for right in range(samples + 1):
        outcomes = [True] * right + [False] * (samples - right)
        for k in range(1, samples + 1):
            draws = list(itertools.combinations(outcomes, k))
            assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_equals_the_papers_product_form():
    """1 - prod(1 - k / i, i = n-c+1 .. n), as Chen et al. print it."""
    for n, c, k in [(200, 1, 100), (200, 60, 10), (100, 100, 5), (200, 150, 100)]:
        product = 1.0 if n - c < k else 1 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))
        assert pass_at_k(n, c, k) == pytest.approx(product, abs=1e-12)


def test_pass_at_k_is_unbiased():
    """Its mean over binomial counts is what it estimates: 1 - (1 - p)^k."""
    n, p, k = 12, 0.3, 4
    mean = sum(binom.pmf(c, n, p) * pass_at_k(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_of_impossible_counts_is_an_error(n, c, k):
    with pytest.raises(StatisticsError, match="not defined"):
        pass_at_k(n, c, k)


def resampled_bounds(values, resamples=4000):
    """The percentile bootstrap as its definition reads: draw tasks, average, sort, cut."""
    generator = random.Random(2)
    means = sorted(
        statistics.fmean(generator.choices(values, k=len(values))) for _ in range(resamples)
    )
    return means[round(0.025 * resamples)], means[round(0.975 * resamples) - 1]


def test_the_interval_is_the_percentile_bootstrap_over_tasks():
    values = np.random.default_rng(1).choice([0, 0.2, 0.4, 1.0], 300)
    ours = estimate(values)
    assert ours.value == pytest.approx(values.mean()) and ours.tasks == 300
    assert (ours.low, ours.high) == pytest.approx(resampled_bounds(values.tolist()), abs=0.004)
    assert estimate(values) == ours  # the same digits again


@pytest.mark.parametrize(("right", "total"), [(1, 4), (60, 164), (390, 400)])
def test_the_interval_of_a_share_is_cut_from_the_binomial_distribution(right, total):
    """How many right tasks a resample draws is binomial; a bound may miss by one task."""
    share = Fraction(right, total)
    summed, shares = Fraction(0), []
    for count in range(total + 1):
        summed += math.comb(total, count) * share**count * (1 - share) ** (total - count)
        shares.append((float(summed), count / total))
    exact = tuple(
        next(value for below, value in shares if below >= tail) for tail in (0.025, 0.975)
    )
    found = estimate([1] * right + [0] * (total - right))
    assert (found.low, found.high) == pytest.approx(exact, abs=1 / total + 1e-9)


def test_one_task_has_no_spread():
    found = estimate([0.25])
    assert (found.value, found.low, found.high, found.tasks) == (0.25, 0.25, 0.25, 1)


def test_the_interval_covers_what_it_should():
    """Of the true share in 95 of 100 repetitions: with 600 of them between 92 and 98 %."""
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        found = estimate(generator.random(164) < 0.6, resamples=1000)
        inside += found.low <= 0.6 <= found.high
    assert 0.92 <= inside / 600 <= 0.98


def test_all_wrong_or_all_right_is_no_certainty():
    nothing, everything = estimate([0] * 20), estimate([1] * 20)
    assert (nothing.low, nothing.high) == pytest.approx(wilson_interval(0, 20))
    assert (everything.low, everything.high) == pytest.approx(wilson_interval(20, 20))
    assert nothing.high > 0.1 and everything.low < 0.9
    with pytest.raises(StatisticsError, match="no tasks"):
        estimate([])


@given(st.data(), st.integers(1, 400))
def test_wilson_bounds_lie_where_the_score_test_just_rejects(data, total):
    """Both solve (share - p)^2 = z^2 p (1 - p) / n, one on each side of the share."""
    right = data.draw(st.integers(0, total))
    z = statistics.NormalDist().inv_cdf(0.975)
    bounds, share = wilson_interval(right, total), right / total
    assert 0 <= bounds[0] <= share + 1e-12 and share - 1e-12 <= bounds[1] <= 1
    for p in bounds:
        assert (share - p) ** 2 == pytest.approx(z * z * p * (1 - p) / total, abs=1e-12)
    assert bounds[1] - bounds[0] > z * z / (total + z * z) - 1e-12  # at its narrowest, of 0 or n


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_sums_the_throws_of_a_coin_that_are_no_likelier(only_a, only_b):
    pairs = only_a + only_b
    throws = [math.comb(pairs, heads) for heads in range(pairs + 1)]
    exact = Fraction(sum(n for n in throws if n <= throws[only_a]), 2**pairs)
    assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a) == pytest.approx(float(exact))


def test_mcnemar_by_hand():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 6) == pytest.approx(2 * (1 + 7) / 2**7)  # 0.125


def test_two_runs_are_compared_on_the_tasks_of_both():
    a = {"t0": [True], "t1": [False], "t2": [True], "only a": [True]}
    b = {"t0": [True], "t1": [True], "t2": [False], "only b": [False]}
    found = compare(a, b)
    assert (found.tasks, found.only_a, found.only_b, found.p_value) == (3, 1, 1, 1.0)
    assert found.difference == 0 and found.low < 0 < found.high and not found.differ
    with pytest.raises(StatisticsError, match="no task in common"):
        compare({"x": [True]}, {"y": [True]})
    with pytest.raises(StatisticsError, match="'x' has no samples"):
        compare({"x": []}, {"x": [True]})


def test_noise_is_not_a_difference_and_a_difference_is():
    """Two runs of one model on 164 tasks; then one that is right on 30 more of them."""
    generator = np.random.default_rng(3)
    chance = generator.random(164)
    first = {f"t{i}": [bool(generator.random() < p)] for i, p in enumerate(chance)}
    second = {f"t{i}": [bool(generator.random() < p)] for i, p in enumerate(chance)}
    assert not compare(first, second).differ
    wrong = [task for task, samples in first.items() if not samples[0]]
    better = first | {task: [True] for task in wrong[:30]}
    found = compare(first, better)
    assert found.differ and found.only_b == 30 and found.only_a == 0
    assert found.low < 30 / 164 < found.high and found.p_value == pytest.approx(2**-29)
    same = compare(first, first)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_the_paired_interval_resamples_the_differences():
    generator = np.random.default_rng(5)
    a = {f"t{i}": list(generator.random(5) < 0.5) for i in range(200)}
    b = {f"t{i}": list(generator.random(5) < 0.6) for i in range(200)}
    found = compare(a, b)
    differences = [statistics.fmean(b[task]) - statistics.fmean(a[task]) for task in a]
    assert found.difference == pytest.approx(statistics.fmean(differences))
    assert (found.low, found.high) == pytest.approx(resampled_bounds(differences), abs=0.004)
