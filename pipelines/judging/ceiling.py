"""Agreement between people: the human ceiling with and without its bias, and alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from bapps_gen.metrics.agreement import Values, bootstrap_intervals, human_agreement, weighted_means

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


def human_ceiling(judge: ArrayLike, count: ArrayLike, seed: int = 0) -> Ceiling | None:
    """Both forms of the human ceiling; None where no row has two votes.

    Args:
        judge: fraction of votes for one answer, (N,); NaN of rows without votes.
        count: of votes, (N,).
        seed: of the intervals.
    """
    fraction, votes = np.asarray(judge, np.float64), np.asarray(count, np.float64)
    known = ~np.isnan(fraction) & (votes >= 2)
    if not known.any():
        return None
    fraction, votes = fraction[known], votes[known]
    values = np.stack([human_agreement(fraction), pairwise_agreement(fraction, votes)])
    statistics = weighted_means(values)
    means = statistics(np.ones(len(fraction), np.intp))
    intervals = bootstrap_intervals(statistics, len(fraction), RESAMPLES, seed).tolist()
    return Ceiling(
        len(fraction), float(means[0]), tuple(intervals[0]), float(means[1]), tuple(intervals[1])
    )


def krippendorff_alpha(votes: pa.Table, answers: Sequence[str]) -> float | None:
    """Krippendorff's alpha of nominal answers: 1 is full agreement, 0 what chance gives.

    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), by the library of that name.

    Args:
        votes: that count, with VOTES_SCHEMA, of one task.
        answers: of the task.

    Returns:
        None where no row has two votes, or all answers are the same.
    """
    import krippendorff

    counted = (
        pa.table({"id": votes["id"], "first": pc.equal(votes["answer"], answers[0])})
        .group_by("id", use_threads=False)
        .aggregate([("first", "sum"), ("first", "count")])
    )
    first = counted["first_sum"].to_numpy().astype(np.int64)
    table = np.stack([first, counted["first_count"].to_numpy() - first], axis=1)
    table = table[table.sum(axis=1) >= 2]
    if not len(table) or (table.sum(axis=0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))
