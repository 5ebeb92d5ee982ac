"""How well distances agree with human judgments: 2AFC agreement and JND mAP.

Pure functions of arrays: N values in any shape, such as (N,) or (N, 1, 1, 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bapps_gen.errors import UserError
from bapps_gen.metrics.bootstrap import Counts, Statistics

Values = NDArray[np.float64]


def two_afc_agreement(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> Values:
    """How far a metric agrees with observers on each triplet, float64 (N,), from 0 to 1.

    The fraction of observers who prefer the patch that the metric finds closer; ½ where both are
    equally far. The score is that of the paper's section 4; that ties count ½ is the original
    program's rule.

    Args:
        d0, d1: distances of the two patches from their reference.
        judge: fraction of observers who prefer p1.

    Raises:
        UserError: for different numbers of values, a distance that is NaN, or a judgment outside
            [0, 1].
    """
    first, second = _distances(d0), _distances(d1)
    prefer = _fractions("judge", judge, first, second)
    return np.where(first < second, 1.0 - prefer, np.where(second < first, prefer, 0.5))


def human_agreement(judge: ArrayLike) -> Values:
    """How far one observer agrees with another on each triplet: p² + (1 − p)², float64 (N,).

    Its mean is the human ceiling of the paper's section 4: the expected score of one observer.
    """
    prefer = _fractions("judge", judge)
    return np.asarray(prefer**2 + (1.0 - prefer) ** 2)


def jnd_map(distance: ArrayLike, same: ArrayLike) -> float:
    """Mean average precision of a metric at predicting which pairs observers call the same.

    Pairs are ordered by distance; `same` counts as that fraction of a true positive, the rest as
    a false one; the score is the area under the interpolated precision-recall curve, as in PASCAL
    VOC 2010 and in the original program. Each of the pairs at equal distance counts as their mean,
    so that the score does not depend on their order; it lies between the original program's scores
    for the worst order of these and the best.

    Returns:
        From 0 to 1; NaN where nobody called any pair the same.

    Raises:
        UserError: as `two_afc_agreement`.
    """
    return float(weighted_maps([distance], same)(np.ones((1, np.size(distance)), np.intp))[0, 0])


def weighted_means(values: Values) -> Statistics:
    """The mean of each row of (K, N) values, each value taken as often as it was drawn.

    NaN does not count; a mean is NaN where nothing that counts was drawn.
    """
    known = ~np.isnan(values)
    totals = np.where(known, values, 0.0)
    partly = np.flatnonzero(~known.all(1))

    def means(counts: Counts) -> Values:
        weights = counts.astype(np.float64)
        taken = np.repeat(weights.sum(1, keepdims=True), len(values), 1)
        taken[:, partly] = weights @ known[partly].T
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ totals.T) / taken)

    return means


def weighted_maps(distances: Sequence[ArrayLike], same: ArrayLike) -> Statistics:
    """`jnd_map` of each of K metrics, each pair taken as often as it was drawn."""
    ranked = []
    for distance in distances:
        values = _distances(distance)
        ranked.append(_ranked(values, _fractions("same", same, values)))
    return lambda counts: np.array([[_area(*entry, each) for entry in ranked] for each in counts])


def _ranked(values: Values, fractions: Values) -> tuple[Values, NDArray[np.intp], NDArray[np.intp]]:
    """Fractions by distance, the order, and where runs of equal distance begin."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    first = np.ones(len(ranked), np.bool_)
    first[1:] = ranked[1:] != ranked[:-1]
    return fractions[order], order, np.flatnonzero(first)


def _area(
    fractions: Values, order: NDArray[np.intp], starts: NDArray[np.intp], counts: Counts
) -> float:
    """The area for ranked fractions, each taken `counts` times (of the unranked rows)."""
    taken = counts[order]
    seen = np.add.reduceat(taken, starts)
    positives = np.add.reduceat(fractions * taken, starts)
    total = positives.sum()
    if not total > 0.0:
        return float("nan")
    each = np.repeat(positives / np.maximum(seen, 1), seen)
    precision = np.cumsum(each) / np.arange(1, len(each) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((each * envelope).sum() / total)


def _distances(values: ArrayLike) -> Values:
    distances = np.asarray(values, np.float64).reshape(-1)
    if np.isnan(distances).any():
        raise UserError("a distance is not a number; score the rows again")
    return distances


def _fractions(name: str, values: ArrayLike, *distances: Values) -> Values:
    fractions = np.asarray(values, np.float64).reshape(-1)
    for other in distances:
        if len(other) != len(fractions):
            raise UserError(f"{len(other)} distances for {len(fractions)} values of {name}")
    bad = fractions[~((fractions >= 0.0) & (fractions <= 1.0))]
    if len(bad):
        raise UserError(f"{name} = {bad[0]:g} is not a fraction from 0 to 1; correct it")
    return fractions
