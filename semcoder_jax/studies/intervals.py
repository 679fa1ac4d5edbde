"""Computes means over functions and seeds, and their intervals.

All seeds are asked about the same functions, so a table has a row per seed (S) and a column per
function (N). The bootstrap draws rows and columns, independently: its intervals hold for other
functions and for other seeds. With three seeds the spread among seeds is a rough guess.
"""

import numpy as np

from semcoder_jax.evaluation.statistics import LEVEL, RESAMPLES, Estimate, wilson_interval

_CHUNK = 1 << 24  # drawn numbers held at once


def mean_interval(values_SxN, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Returns the mean with its percentile interval; all values lie between 0 and 1.

    If all values are 0, or all are 1, the bootstrap shows no spread, so the bounds are Wilson's for
    N functions. Raises ValueError for an empty table.
    """
    values_SxN = _table(values_SxN)
    if np.all(values_SxN == 0) or np.all(values_SxN == 1):
        functions = values_SxN.shape[1]
        low, high = wilson_interval(functions * int(values_SxN[0, 0]), functions)
    else:
        low, high = _bootstrap(values_SxN, seed, resamples)
    return Estimate(float(values_SxN.mean()), low, high, values_SxN.shape[1])


def difference_interval(a_SxN, b_SxN, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Returns the mean of B minus A with its interval, paired by seed and function.

    The bounds lie between -1 and 1. Raises ValueError for tables of different shapes.
    """
    a_SxN, b_SxN = _table(a_SxN), _table(b_SxN)
    if a_SxN.shape != b_SxN.shape:
        raise ValueError(f"tables of shapes {a_SxN.shape} and {b_SxN.shape} cannot be paired")
    difference_SxN = b_SxN - a_SxN
    low, high = _bootstrap(difference_SxN, seed, resamples)
    return Estimate(float(difference_SxN.mean()), low, high, difference_SxN.shape[1])


def _table(values) -> np.ndarray:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected a table of seeds by functions, not shape {table.shape}")
    return table


def _bootstrap(values_SxN: np.ndarray, seed: int, resamples: int) -> tuple[float, float]:
    """Returns the percentile interval of the mean of drawn rows and drawn columns."""
    seeds, functions = values_SxN.shape
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, chunk := max(1, _CHUNK // functions)):
        count = min(chunk, resamples - start)
        rows_RxS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), count) / seeds
        columns_RxN = rng.multinomial(functions, np.full(functions, 1 / functions), count)
        means.append(np.einsum("rs,sn,rn->r", rows_RxS, values_SxN, columns_RxN / functions))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
