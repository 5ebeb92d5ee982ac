"""Which differences between metrics are real: paired bootstrap over the same resamples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import percentile_intervals

LEVEL = 0.05
"""A difference is called real where its adjusted p is below this, the usual level."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The score of one metric less that of another.

    Args:
        first, second: the metrics.
        value: the difference.
        low, high: its 95 % interval, by itself.
        p: two-sided, by itself: twice the share of resamples in which the difference has the other
            sign or none, these counted as one more than they are.
        adjusted: p for all differences together (single-step max-T; Westfall and Young, 1993): the
            share of resamples in which any difference is as many of its standard errors from its
            center as this one is from 0.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def is_real(self) -> bool:
        """Whether it holds with all other differences looked at, too."""
        return self.adjusted < LEVEL


def paired_differences(
    values: Mapping[str, float], draws: Mapping[str, Values]
) -> tuple[Difference, ...]:
    """The difference of each two metrics; those whose score is undefined are left out.

    Args:
        values: scores by metric.
        draws: scores of the same resamples by metric, (R,) each.
    """
    names = [name for name, value in values.items() if not np.isnan(value)]
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return ()
    scores = np.array([values[name] for name in names])
    drawn = np.stack([draws[name] for name in names], 1)
    drawn = drawn[~np.isnan(drawn).any(1)]
    one, other = np.array(pairs).T
    difference = scores[one] - scores[other]
    resampled = drawn[:, one] - drawn[:, other]
    count = len(resampled) + 1
    against = [(resampled <= 0).sum(0), (resampled >= 0).sum(0)]
    p = np.minimum(1.0, 2.0 * (np.minimum(*against) + 1) / count)
    adjusted = _adjusted(difference, resampled)
    intervals = percentile_intervals(resampled)
    return tuple(
        Difference(
            names[i],
            names[j],
            float(difference[k]),
            float(intervals[k, 0]),
            float(intervals[k, 1]),
            float(p[k]),
            float(adjusted[k]),
        )
        for k, (i, j) in enumerate(pairs)
    )


def _adjusted(difference: Values, resampled: Values) -> Values:
    """p of each difference (M,) among all, from those of resamples (R, M)."""
    if not len(resampled):
        return np.ones(len(difference))
    error = resampled.std(0)
    known = error > 1e-12  # those of metrics that agree everywhere differ by rounding alone
    scale = np.where(known, error, 1.0)
    centered = np.where(known, np.abs(resampled - resampled.mean(0)) / scale, 0.0)
    largest = np.sort(centered.max(1))
    observed = np.where(known, np.abs(difference) / scale, 0.0)
    reached = len(largest) - np.searchsorted(largest, observed, "left")
    p = (reached + 1) / (len(largest) + 1)
    return np.where(known, p, 1.0)
