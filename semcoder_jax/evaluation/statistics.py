"""Computes pass@k, its confidence interval, and the comparison of two runs.

The unit is the task: samples of one task share a prompt and are not independent, so intervals and
tests resample tasks, never samples. All randomness is seeded: the same counts give the same
digits on every machine.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from semcoder_jax.errors import UserError

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 1 << 20  # resampled values held at once


class StatisticsError(UserError):
    """Raised for counts for which the statistic is undefined."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over tasks with the bounds of its 95 % interval, all between 0 and 1."""

    value: float
    low: float
    high: float
    tasks: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Compares run B with run A on their common tasks.

    Attributes:
      tasks: number of common tasks.
      difference: mean of B minus mean of A; `low` and `high` bound it (paired bootstrap).
      only_a, only_b: tasks whose first sample is right in only one of the runs.
      p_value: exact two-sided McNemar test on `only_a` and `only_b`.
    """

    tasks: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p_value: float

    @property
    def differ(self) -> bool:
        """Whether both tests find the difference significant at 5 %."""
        return self.p_value < 1 - LEVEL and (self.low > 0 or self.high < 0)


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Estimates, without bias, the chance that one of `k` samples is right (Chen et al., 2021).

    `right` of the `samples` drawn are right. Raises StatisticsError if k exceeds samples.
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise StatisticsError(f"pass@{k} of {right} right out of {samples} samples is not defined")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def estimate(values_T: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Returns the mean of one value per task, with its percentile bootstrap interval.

    If all values are 0, or all are 1, the bootstrap shows no spread, so the bounds are Wilson's.
    Raises StatisticsError without tasks.
    """
    values_T = np.asarray(values_T, np.float64)
    if not values_T.size:
        raise StatisticsError("a mean over no tasks")
    mean = float(values_T.mean())
    if np.all(values_T == 0) or np.all(values_T == 1):
        low, high = wilson_interval(round(values_T.sum()), values_T.size)
    else:
        low, high = _bootstrap(values_T, seed, resamples)
    return Estimate(mean, low, high, values_T.size)


def compare(
    a: Mapping[str, Sequence[bool]],
    b: Mapping[str, Sequence[bool]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two runs task by task; each maps a task id to whether its samples are right.

    Only common tasks count. Raises StatisticsError if there are none, or one has no samples.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise StatisticsError("the two runs have no task in common")
    if empty := [task for task in shared if not a[task] or not b[task]]:
        raise StatisticsError(f"task {empty[0]!r} has no samples")
    a_T = np.array([np.mean(a[task]) for task in shared])
    b_T = np.array([np.mean(b[task]) for task in shared])
    difference_T = b_T - a_T
    low = high = 0.0
    if np.any(difference_T):
        low, high = _bootstrap(difference_T, seed, resamples)
    only_a = sum(bool(a[task][0]) and not b[task][0] for task in shared)
    only_b = sum(bool(b[task][0]) and not a[task][0] for task in shared)
    return Comparison(
        tasks=len(shared),
        a=float(a_T.mean()),
        b=float(b_T.mean()),
        difference=float(difference_T.mean()),
        low=low,
        high=high,
        only_a=only_a,
        only_b=only_b,
        p_value=mcnemar(only_a, only_b),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Returns the exact two-sided p-value of McNemar's test."""
    pairs = only_a + only_b
    return float(stats.binomtest(only_a, pairs).pvalue) if pairs else 1.0


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Returns the bounds of the 95 % score interval of a share (Wilson, 1927)."""
    low, high = stats.binomtest(right, total).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


def _bootstrap(values_T: np.ndarray, seed: int, resamples: int) -> tuple[float, float]:
    """Returns the percentile interval of the mean; a single task has no spread to resample."""
    if values_T.size == 1:
        return float(values_T[0]), float(values_T[0])
    found = stats.bootstrap(
        (values_T,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _CHUNK // values_T.size),
        confidence_level=LEVEL,
        method="percentile",
        rng=seed,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
