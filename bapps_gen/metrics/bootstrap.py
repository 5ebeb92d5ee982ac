"""Intervals of statistics by resampling.

Rows that hang together, such as those cut from one photo, share a *key* and are drawn together. How
often a key is drawn in a resample depends on the key, the resample and the seed alone: sets that
have photos in common draw the same ones together, and neither the order of sets nor which others
there are changes an interval.

Each key is drawn a Poisson-distributed number of times with mean 1, which for ratios such as means
is what drawing with replacement comes to (Hanley and MacGibbon, "Creating non-parametric bootstrap
samples using Poisson frequencies", 2006).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Counts = NDArray[np.intp]
Statistics = Callable[[Counts], NDArray[np.float64]]
"""Gives (B, K) statistics from how often each of N rows was drawn in B resamples, (B, N)."""

CONFIDENCE = 0.95

_TABLE_BITS = 16
_BLOCK = 500_000
"""Rows times resamples that are counted at once, in some 12 MB."""


def _poisson_table() -> NDArray[np.uint8]:
    """Quantiles of the Poisson distribution with mean 1, at 2^16 places between 0 and 1."""
    chances = [exp(-1.0)]
    while len(chances) < 12:
        chances.append(chances[-1] / len(chances))
    points = (np.arange(2**_TABLE_BITS) + 0.5) / 2**_TABLE_BITS
    return np.asarray(np.searchsorted(np.cumsum(chances), points), np.uint8)


_POISSON = _poisson_table()


def mixed(values: Keys) -> Keys:
    """Values whose bits each depend on all bits, uint64 of the same shape.

    The last step of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014).
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def bootstrap_draws(
    statistics: Statistics, keys: Keys, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Statistics of resamples, float64 (resamples, K); NaN where one is undefined.

    All statistics, such as `weighted_means`, see the same rows, so that they can be compared.

    Args:
        statistics: of rows by how often they were drawn.
        keys: of the rows, (N,).
        resamples: how many.
        seed: of the resamples.
    """
    distinct, rows = np.unique(keys, return_inverse=True)
    numbers = np.arange(1, resamples + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    starts = mixed(mixed(np.array([seed], np.uint64)) + numbers)
    spread = mixed(distinct)
    shift = np.uint64(64 - _TABLE_BITS)
    block = max(1, _BLOCK // max(1, len(keys)))
    draws = []
    for first in range(0, resamples, block):
        points = mixed(spread ^ starts[first : first + block, None]) >> shift
        draws.append(statistics(_POISSON[points][:, rows].astype(np.intp)))
    return np.concatenate(draws)


def percentile_intervals(draws: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Intervals of 95 % of draws (R, K): float64 (K, 2), low and high.

    Draws that are NaN do not count; the interval is NaN where all are. Resamples of few units vary
    less than other samples would, so fewer draws are cut off at the ends than 2.5 %: 0.9 % for 10
    units, 1.8 % for 25 (expanded percentile intervals; Hesterberg, "What teachers should know about
    the bootstrap", 2015).

    Args:
        draws: of the statistics.
        units: number of different keys that were drawn.
    """
    from scipy.special import ndtr, stdtrit

    free = max(units, 2) - 1
    reach = np.sqrt(1 + 1 / free) * stdtrit(free, (1.0 + CONFIDENCE) / 2)
    tail = 100.0 * float(ndtr(-reach))
    intervals = np.full((draws.shape[1], 2), np.nan)
    for index, values in enumerate(draws.T):
        defined = values[~np.isnan(values)]
        if len(defined):
            intervals[index] = np.percentile(defined, (tail, 100.0 - tail))
    return intervals


def bootstrap_intervals(
    statistics: Statistics, rows: int, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Intervals of 95 % from rows that are drawn one by one: float64 (K, 2), low and high."""
    keys = np.arange(rows, dtype=np.uint64)
    return percentile_intervals(bootstrap_draws(statistics, keys, resamples, seed), rows)


def student_p(errors: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Two-sided p of values that lie so many standard errors of a bootstrap from 0.

    By Student's t, for the reason that `percentile_intervals` gives.

    Args:
        errors: 0 or more.
        units: number of different keys that were drawn.
    """
    from scipy.special import stdtr

    free = max(units, 2) - 1
    return np.asarray(2.0 * stdtr(free, -errors / np.sqrt(1 + 1 / free)))
