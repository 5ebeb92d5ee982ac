"""Calibration: whether votes come as often as a metric's psychometric function predicts.

Predictions are cross-fitted: each row's comes from a function that was fitted to the rows of other
folds, so that nothing is tested on what it was fitted to; rows of one photo are in one fold. A
trained metric's ranking network gives predictions without any fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import Keys
from bapps_gen.pipelines.comparison.psychometric import Curve, fit_curve, vote_share
from bapps_gen.pipelines.comparison.resampling import Resampling
from bapps_gen.pipelines.scoring.evaluate import Estimate

FOLDS = 5
"""Parts of the rows of which each is predicted from the others (own choice)."""

BINS = 10
"""Parts of predictions from 0 to 1 of equal width, as is usual (Guo et al., ICML 2017)."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of similar predictions.

    Args:
        predicted: mean prediction over votes.
        observed: share of votes.
        rows, votes: how many.
    """

    predicted: float
    observed: Estimate
    rows: int
    votes: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well votes agree with predictions.

    Args:
        bins: the reliability curve, by increasing prediction; parts without rows are left out.
        error: expected calibration error: mean over votes of |observed − predicted| of the bins.
        error_by_chance: the same on average where predictions are right on average, which few
            photos keep above 0: votes on a row, and rows of a photo, are alike.
        brier: mean over votes of (vote − prediction)²; ¼ for predictions of ½.
        brier_floor: the least that predictions of each row's probability can have, from rows of
            two votes or more: k(n − k) / (n(n − 1)) of k among n, without bias; None without any.
        log_loss: mean over votes of −ln of the probability given to them; ln 2 for ½.
        log_loss_floor: the entropy of each row's votes, below what any prediction can have where
            votes are few.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    error_by_chance: float
    brier: float
    brier_floor: float | None
    log_loss: float
    log_loss_floor: float


def cross_fitted(
    x: Values,
    chosen: Values,
    votes: Values,
    folds: NDArray[np.intp],
    *,
    locate: bool = False,
    start: Curve | None = None,
) -> Values:
    """Predictions of every row by the function fitted to rows of the other folds, float64 (N,).

    Fits begin at `start`. Where no function fits, the prediction is the share of those rows'
    votes; of triplets, ½.
    """
    predicted = np.full(len(x), 0.5)
    for fold in np.unique(folds):
        mine = folds == fold
        others = votes * ~mine
        curve = fit_curve(x, chosen, others, locate=locate, start=start)
        if curve is not None:
            predicted[mine] = curve.probability(x[mine])
        elif locate and others.any():
            predicted[mine] = np.clip(chosen @ others / others.sum(), 0.001, 0.999)
    return predicted


def calibration(
    predicted: Values,
    chosen: Values,
    votes: Values,
    resampling: Resampling,
    *,
    counted: bool,
    bins: int = BINS,
) -> Calibration:
    """Compare predictions with votes.

    Args:
        predicted: probabilities inside (0, 1), (N,).
        chosen: share of votes, (N,).
        votes: number of votes, (N,).
        resampling: of the rows.
        counted: whether numbers of votes are known.
        bins: parts of the predictions.
    """
    part = np.minimum((predicted * bins).astype(np.intp), bins - 1)
    share = votes / votes.sum()
    curve = []
    for number in np.unique(part):
        mine = part == number
        rows, count = int(mine.sum()), float(votes[mine].sum())
        mean = float(predicted[mine] @ votes[mine] / count)
        observed = vote_share(chosen[mine], votes[mine], resampling.of(mine))
        curve.append(ReliabilityBin(mean, observed, rows, count))
    error, by_chance = _errors(share * (chosen - predicted), part, resampling.keys)
    brier = share @ (chosen * (1 - predicted) ** 2 + (1 - chosen) * predicted**2)
    loss = -share @ (chosen * np.log(predicted) + (1 - chosen) * np.log1p(-predicted))
    return Calibration(
        tuple(curve),
        error,
        by_chance,
        float(brier),
        _brier_floor(chosen, votes) if counted else None,
        float(loss),
        float(share @ _entropy(chosen)),
    )


def _errors(excess: Values, part: NDArray[np.intp], keys: Keys) -> tuple[float, float]:
    """The calibration error, and its mean by chance, each bin's sum over photos taken for normal.

    Args:
        excess: share of all votes times what predictions lack, (N,).
        part: bin of each row, (N,).
        keys: of the photos, (N,).
    """
    distinct, photo = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(distinct), part.max() + 1))
    np.add.at(sums, (photo, part), excess)
    by_chance = np.sqrt(2 / np.pi) * np.sqrt((sums**2).sum(0)).sum()
    return float(np.abs(sums.sum(0)).sum()), float(by_chance)


def _brier_floor(chosen: Values, votes: Values) -> float | None:
    several = votes >= 2
    if not several.any():
        return None
    p, n = chosen[several], votes[several]
    return float((n * p * (1 - p) * n / (n - 1)).sum() / n.sum())


def _entropy(p: Values) -> Values:
    from scipy.special import entr

    return np.asarray(entr(p) + entr(1 - p))
