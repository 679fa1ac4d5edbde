"""Statistics held against scipy, the definition by enumeration, and values by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, bootstrap

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


def test_the_interval_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(1).choice([0, 0.2, 0.4, 1.0], 300)
    ours = estimate(values)
    theirs = bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean()) and ours.tasks == 300
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)
    assert estimate(values) == ours  # the same digits again


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


def test_wilson_interval_equals_scipys():
    for right, total in [(0, 5), (3, 7), (86, 100), (400, 400)]:
        expected = binomtest(right, total).proportion_ci(method="wilson")
        assert wilson_interval(right, total) == pytest.approx(tuple(expected), abs=1e-12)


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 6) == pytest.approx(2 * (1 + 7) / 2**7)  # by hand: 0.125
    for a, b in [(3, 3), (0, 5), (10, 25), (40, 12), (700, 800)]:
        assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(binomtest(a, a + b).pvalue)


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


def test_the_paired_interval_is_scipys_on_the_differences():
    generator = np.random.default_rng(5)
    a = {f"t{i}": list(generator.random(5) < 0.5) for i in range(200)}
    b = {f"t{i}": list(generator.random(5) < 0.6) for i in range(200)}
    found = compare(a, b)
    differences = np.array([np.mean(b[task]) - np.mean(a[task]) for task in a])
    theirs = bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert found.difference == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)
