"""Psychometric functions of a metric: how often people choose a patch, by what the metric says.

Of triplets, x = d0 − d1 and the choice is p1: where x is positive, p1 is nearer, and a metric that
sees as people do has it chosen. Of JND pairs, x = d0 and the choice is "different". The function is

    P(x) = λ/2 + (1 − λ) Φ((x − m) / σ)

with Φ the normal distribution function, which is signal detection with normal noise (Thurstone's
case V) and lapses: a share λ of choices does not follow the metric and falls either way. Of
triplets m is 0, since p0 and p1 may be exchanged; of pairs it is the distance that half of the
others call different. λ is fitted from 0.001 to 0.5: beside lapses of people it takes in what the
metric gets wrong however sure it is, which grows large for bad metrics (own choice; for lapses
alone Wichmann and Hill, Perception & Psychophysics 63 (2001), have 0 to 0.06).

Votes count one by one: a row weighs as many as it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import Counts
from bapps_gen.pipelines.comparison.resampling import Resampling
from bapps_gen.pipelines.scoring.evaluate import Estimate

LAPSES = (0.001, 0.5)
"""Bounds of λ (own choice); above 0, so that no vote is impossible."""

STEEPEST = 30.0
"""The smallest σ is the median |x − m| divided by this (own choice). Votes that a metric separates
without an error have no steepest function; they get this one, and are said to be separated."""

JND = 0.6744897501960817
"""Φ⁻¹(0.75): so many σ apart, three of four choices that follow the metric are of the nearer."""

GROUPS = 1000
"""Twice as many rows or more are fitted as so many groups, which takes less time."""

BINS = 10
"""Parts of equally many rows that points are means of (own choice)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted psychometric function.

    Args:
        location: m, in the metric's unit; 0 for triplets.
        scale: σ, in the metric's unit.
        lapse: λ.
        separated: whether the metric separates the votes, so that the curve is as steep as it may
            be and not fitted.
    """

    location: float
    scale: float
    lapse: float
    separated: bool = False

    @property
    def jnd(self) -> float:
        """The difference of distances at which 75 % choose the nearer patch, lapses apart."""
        return JND * self.scale

    def probability(self, x: ArrayLike) -> Values:
        """P(x), float64 of the shape of x, from λ/2 to 1 − λ/2."""
        from scipy.special import ndtr

        z = (np.asarray(x, np.float64) - self.location) / self.scale
        return np.asarray(self.lapse / 2 + (1 - self.lapse) * ndtr(z))


@dataclass(frozen=True, slots=True)
class Point:
    """Rows of similar x.

    Args:
        x: their mean.
        rows, votes: how many; `votes` is that of rows where numbers of votes are unknown.
        observed: share of votes.
    """

    x: float
    rows: int
    votes: float
    observed: Estimate


def margins(d0: ArrayLike, d1: ArrayLike) -> Values:
    """x = d0 − d1, float64 (N,), positive where p1 is nearer; 0 where both are equally far.

    Infinite differences, as of −PSNR where one patch equals the reference, become the largest
    finite one (1 where there is none), with their sign.
    """
    first, second = np.asarray(d0, np.float64), np.asarray(d1, np.float64)
    same = first == second  # also of two infinite distances, whose difference is undefined
    return finite_values(np.where(same, 0.0, first - np.where(same, 0.0, second)))


def finite_values(values: ArrayLike) -> Values:
    """Values with infinite ones replaced by the largest or smallest finite one, float64 (N,)."""
    x = np.asarray(values, np.float64)
    finite = np.isfinite(x)
    if finite.all():
        return x
    known = x[finite]
    if not known.any():  # there are only infinite ones, and zeros
        return np.asarray(np.clip(x, -1.0, 1.0))
    if known.min() < 0 < known.max():  # differences: both ends alike
        top = float(np.abs(known).max())
        return np.asarray(np.clip(x, -top, top))
    return np.asarray(np.clip(x, known.min(), known.max()))


def fit_curve(
    x: Values,
    chosen: Values,
    votes: Values,
    *,
    locate: bool = False,
    start: Curve | None = None,
) -> Curve | None:
    """The function of most likelihood.

    Args:
        x: finite, (N,).
        chosen: share of votes for p1, or for "different", (N,).
        votes: of each row, (N,); rows of 0 votes play no part.
        locate: whether m is fitted, too.
        start: where to begin, for fits of resamples.

    Returns:
        None where x is the same everywhere, or where votes do not rise with x at all.
    """
    from scipy.optimize import minimize

    used = votes > 0
    x, chosen, votes = x[used], chosen[used], votes[used]
    if not len(x) or (x.min() == x.max() if locate else not x.any()):
        return None
    center = float(np.median(x)) if locate else 0.0
    distance = np.abs(x - center)
    unit = float(np.median(distance[distance > 0]))
    location = _separating(x, chosen, locate)
    if location is not None:
        return Curve(location, unit / STEEPEST, LAPSES[0], separated=True)
    x, chosen, votes = _grouped(x, chosen, votes)
    scaled = (x - center) / unit
    share = votes / votes.sum()

    def loss(params: Values) -> tuple[float, Values]:
        return _loss(params, scaled, chosen, share, locate)

    # Over rises of 1/σ in the units of `scaled`; the likelihood may have more than one peak.
    starts = [(rise, 0.05) for rise in (0.3, 1.5, 8.0)]
    if start is not None:
        starts = [(min(unit / start.scale, STEEPEST), start.lapse)]
    locations = [0.0] if start is None else [(start.location - center) / unit]
    bounds = [(0.0, STEEPEST), LAPSES]
    if locate:
        bounds.append((float(scaled.min()), float(scaled.max())))
        if start is None:
            locations = np.quantile(scaled, (0.2, 0.5, 0.8)).tolist()
    fits = [
        minimize(
            loss,
            np.array([*first, location] if locate else first),
            jac=True,
            method="SLSQP",  # L-BFGS-B gave the same in ten times the time
            options={"ftol": 1e-12, "maxiter": 200},
            bounds=bounds,
        )
        for first in starts
        for location in locations
    ]
    best = min(fits, key=lambda entry: float(entry.fun)).x
    rise, lapse = float(best[0]), float(best[1])
    if rise < 1e-6:
        return None
    location = float(best[2]) if locate else 0.0
    return Curve(center + unit * location, unit / rise, lapse)


def _grouped(x: Values, chosen: Values, votes: Values) -> tuple[Values, Values, Values]:
    """Many rows as GROUPS groups of neighboring x, with the means of their votes; few as they are.

    Within a group x differs by so little of σ that fits are the same to three digits.
    """
    if len(x) <= 2 * GROUPS:
        return x, chosen, votes
    order = np.argsort(x, kind="stable")
    starts = np.arange(GROUPS) * len(x) // GROUPS
    weights = votes[order]
    sums = [np.add.reduceat(each[order] * weights, starts) for each in (x, chosen)]
    whole = np.add.reduceat(weights, starts)
    return sums[0] / whole, sums[1] / whole, whole


def _separating(x: Values, chosen: Values, locate: bool) -> float | None:
    """Where all votes on smaller x are one way and on larger x the other; None for nowhere."""
    against, favor = x[chosen < 1], x[chosen > 0]
    if locate:
        if not len(against) or not len(favor) or against.max() >= favor.min():
            return None
        return float(against.max() + favor.min()) / 2
    return None if (against > 0).any() or (favor < 0).any() else 0.0


def _loss(
    params: Values, x: Values, chosen: Values, share: Values, locate: bool
) -> tuple[float, Values]:
    """Mean log loss of a vote, and its gradient by (1/σ, λ) and by m where that is fitted."""
    from scipy.special import ndtr

    rise, lapse = params[0], params[1]
    location = params[2] if locate else 0.0
    z = rise * (x - location)
    normal = ndtr(z)
    p = lapse / 2 + (1 - lapse) * normal
    value = -(share * (chosen * np.log(p) + (1 - chosen) * np.log1p(-p))).sum()
    by_p = -share * (chosen / p - (1 - chosen) / (1 - p))
    by_z = by_p * (1 - lapse) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    gradient = [(by_z * (x - location)).sum(), (by_p * (0.5 - normal)).sum()]
    if locate:
        gradient.append(-rise * by_z.sum())
    return float(value), np.array(gradient)


def scale_interval(
    curve: Curve,
    x: Values,
    chosen: Values,
    votes: Values,
    resampling: Resampling,
    *,
    locate: bool = False,
) -> tuple[float, float]:
    """Bootstrap interval of 95 % of σ; resamples in which votes do not rise with x are left out."""

    def scales(drawn: Counts) -> Values:
        fits = [fit_curve(x, chosen, votes * each, locate=locate, start=curve) for each in drawn]
        return np.array([[np.nan if fitted is None else fitted.scale] for fitted in fits])

    (estimate,) = resampling.estimates(scales)
    return (curve.scale, curve.scale) if estimate is None else (estimate.low, estimate.high)


def points(
    x: Values, chosen: Values, votes: Values, resampling: Resampling, *, bins: int = BINS
) -> tuple[Point, ...]:
    """Shares of votes in parts of about equally many rows, by increasing x.

    Rows of equal x are in one part.
    """
    return tuple(
        Point(
            float(x[mine].mean()),
            len(mine),
            float(votes[mine].sum()),
            vote_share(chosen[mine], votes[mine], resampling.of(mine)),
        )
        for mine in quantile_groups(x, bins)
    )


def quantile_groups(values: Values, bins: int) -> list[NDArray[np.intp]]:
    """Indices of about equally many values each, by value; equal values share a group."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = set()
    for cut in (len(values) * k // bins for k in range(1, bins)):
        run = [int(np.searchsorted(ranked, ranked[cut], side)) for side in ("left", "right")]
        starts.add(min(run, key=lambda end: abs(end - cut)))  # a run of equal values is not cut
    groups = np.split(order, sorted(starts - {0, len(values)}))
    return [group for group in groups if len(group)]


def vote_share(chosen: Values, votes: Values, resampling: Resampling) -> Estimate:
    """The share of votes with its interval."""
    sums = np.stack([chosen * votes, votes], 1)

    def share(drawn: Counts) -> Values:
        counted, whole = (drawn.astype(np.float64) @ sums).T
        with np.errstate(invalid="ignore"):
            return np.asarray(counted / whole)[:, None]

    (estimate,) = resampling.estimates(share)
    assert estimate is not None  # of one row or more
    return estimate
