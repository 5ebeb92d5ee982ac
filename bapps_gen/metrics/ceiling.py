"""The human ceiling: the score that one person is expected to have against others.

Two forms of it: the paper's, which counts a person against themselves too, and one without that
bias, by which few votes and many give the same ceiling on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bapps_gen.metrics.agreement import Values, human_agreement, weighted_means
from bapps_gen.metrics.bootstrap import bootstrap_intervals

RESAMPLES = 1000


def pairwise_agreement(judge: ArrayLike, count: ArrayLike) -> Values:
    """How often two different people agree on each row, float64 (N,); NaN of rows with one vote.

    Of k votes for one answer among n, (k(k − 1) + (n − k)(n − k − 1)) / (n(n − 1)): the expected
    score of one person against the others, one left out at a time. Where people answer by chance it
    is ½ on average, whatever n. The paper's p² + (1 − p)² counts a person against themselves too,
    and by chance gives ¾, ⅔ and 0.6 for 2, 3 and 5 votes.

    Args:
        judge: fraction of votes for one answer, (N,).
        count: of votes, (N,).
    """
    votes = np.asarray(count, np.float64)
    one = np.rint(np.asarray(judge, np.float64) * votes)
    other = votes - one
    pairs = votes * (votes - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, (one * (one - 1) + other * (other - 1)) / pairs, np.nan)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The score that one person is expected to have, over rows with two votes or more.

    Args:
        rows: that have two votes or more.
        paper: mean of p² + (1 − p)², section 4.
        paper_interval: of 95 %, from rows drawn with replacement.
        pairwise: mean of `pairwise_agreement`, which has no bias at few votes.
        interval: of `pairwise`, of 95 %.
    """

    rows: int
    paper: float
    paper_interval: tuple[float, float]
    pairwise: float
    interval: tuple[float, float]

    def rows_for(self, width: float) -> int:
        """Rows that narrow the interval of `pairwise` to a width, judged as these are.

        The width falls with the square root of the number of rows.
        """
        low, high = self.interval
        return int(np.ceil(self.rows * ((high - low) / width) ** 2))


def human_ceiling(
    judge: ArrayLike, count: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Ceiling | None:
    """Both forms of the human ceiling; None where no row has two votes.

    Args:
        judge: fraction of votes for one answer, (N,); NaN of rows without votes.
        count: of votes, (N,).
        resamples: of the bootstrap, for the intervals.
        seed: of the bootstrap.
    """
    fraction, votes = np.asarray(judge, np.float64), np.asarray(count, np.float64)
    known = ~np.isnan(fraction) & (votes >= 2)
    if not known.any():
        return None
    fraction, votes = fraction[known], votes[known]
    values = np.stack([human_agreement(fraction), pairwise_agreement(fraction, votes)])
    statistics = weighted_means(values)
    (means,) = statistics(np.ones((1, len(fraction)), np.intp))
    intervals = bootstrap_intervals(statistics, len(fraction), resamples, seed).tolist()
    return Ceiling(
        len(fraction), float(means[0]), tuple(intervals[0]), float(means[1]), tuple(intervals[1])
    )
