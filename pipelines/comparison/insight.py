"""What metrics get right and wrong, beyond one score: by distortion, by distance, on which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bapps_gen.metrics.agreement import Values, jnd_map, two_afc_agreement
from bapps_gen.pipelines.comparison.breakdown import GapPart, Part, gap_parts, parts_of
from bapps_gen.pipelines.comparison.calibration import (
    Calibration,
    calibration,
    cross_fitted,
)
from bapps_gen.pipelines.comparison.disagreement import (
    between_metrics,
    shares,
    strongest,
    with_people,
)
from bapps_gen.pipelines.comparison.psychometric import (
    Curve,
    Point,
    fit_curve,
    points,
    scale_interval,
)
from bapps_gen.pipelines.comparison.resampling import Resampling
from bapps_gen.pipelines.comparison.rows import Rows

RESAMPLES = 200
"""Of each interval, of which there are many (own choice)."""

_SCALE_RESAMPLES = 60
"""Of the interval of σ, whose every resample is a fit (own choice)."""


@dataclass(frozen=True, slots=True)
class Psychometric:
    """A metric's psychometric function on some rows.

    Args:
        curve: None where votes do not follow the metric.
        interval: of 95 % of the curve's σ; None without a curve.
        points: shares of votes by x.
        decided: mean |2P − 1| of the curve over the rows, 0 to 1: the larger, the steeper it is
            for these rows, lapses included and whatever the metric's unit; 0 without a curve.
        sets: curves of each set alone, by name; empty for one set.
    """

    curve: Curve | None
    interval: tuple[float, float] | None
    points: tuple[Point, ...]
    decided: float
    sets: Mapping[str, Curve | None]


@dataclass(frozen=True, slots=True)
class Example:
    """A row of a sheet.

    Args:
        row: its index among the rows.
        distortion: that it stands for; "" where distortions are unknown.
        amount: of disagreement, 0 to 1.
    """

    row: int
    distortion: str
    amount: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Where two metrics disagree, or a metric and people.

    Args:
        first: a metric.
        second: another, or None for people.
        share: of rows on which there is a disagreement.
        by_distortion: that share and the number of rows, by distortion.
        examples: of each distortion the row of the strongest disagreement, the strongest first.
    """

    first: str
    second: str | None
    share: float
    by_distortion: Mapping[str, tuple[float, int]]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Insight:
    """All of one task.

    Args:
        rows: that it is about.
        distortions, families, severities: agreement on parts of the rows.
        gaps: agreement by |d0 − d1|, by metric; empty for pairs.
        psychometric, calibration: by metric.
        networks: calibration of the ranking networks of trained metrics, by metric.
        opposed: share of rows on which two metrics prefer different patches, for each two.
        disagreements: of the metric of the best score with each other, then of each with people.
    """

    rows: Rows
    distortions: tuple[Part, ...]
    families: tuple[Part, ...]
    severities: tuple[Part, ...]
    gaps: Mapping[str, tuple[GapPart, ...]]
    psychometric: Mapping[str, Psychometric]
    calibration: Mapping[str, Calibration]
    networks: Mapping[str, Calibration]
    opposed: Mapping[tuple[str, str], float]
    disagreements: tuple[Disagreement, ...]


def describe(
    rows: Rows,
    *,
    examples: int,
    predictions: Mapping[str, Values] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Insight:
    """Look closer at metrics on some rows.

    Args:
        rows: of one task.
        examples: rows of each disagreement where distortions are unknown.
        predictions: of trained metrics' own networks, by metric, (N,).
        resamples, seed: of the bootstrap.
    """
    resampling = Resampling(rows.keys, resamples, seed)
    locate = rows.task == "jnd"
    judgment = rows.judgment

    def parts(masks: Mapping[str, np.ndarray]) -> tuple[Part, ...]:
        return parts_of(rows.task, judgment, rows.distances, masks, resampling)

    def calibrated(predicted: Mapping[str, Values]) -> dict[str, Calibration]:
        return {
            name: calibration(values, rows.chosen, rows.votes, resampling, counted=rows.counted)
            for name, values in predicted.items()
        }

    fitted, predicted = {}, {}
    for name in rows.distances:
        x = rows.axis(name)
        fitted[name] = _psychometric(rows, x, locate, resampling)
        predicted[name] = cross_fitted(
            x, rows.chosen, rows.votes, rows.folds, locate=locate, start=fitted[name].curve
        )
    margins = {
        name: _margin(rows.axis(name), fitted[name].curve, locate) for name in rows.distances
    }
    return Insight(
        rows,
        parts(rows.distortions),
        parts(rows.families),
        parts(rows.severities),
        {
            name: gap_parts(distances[0], distances[1], judgment, resampling)
            for name, distances in rows.distances.items()
            if not locate
        },
        fitted,
        calibrated(predicted),
        calibrated(predictions or {}),
        _opposed(margins),
        tuple(_disagreements(rows, margins, examples)),
    )


def _psychometric(rows: Rows, x: Values, locate: bool, resampling: Resampling) -> Psychometric:
    curve = fit_curve(x, rows.chosen, rows.votes, locate=locate)
    interval, decided = None, 0.0
    if curve is not None:
        few = replace(resampling, resamples=min(resampling.resamples, _SCALE_RESAMPLES))
        interval = scale_interval(curve, x, rows.chosen, rows.votes, few, locate=locate)
        decided = float(np.abs(2 * curve.probability(x) - 1).mean())
    sets = {
        entry.name: fit_curve(
            x,
            rows.chosen,
            np.where(rows.part == index, rows.votes, 0.0),
            locate=locate,
            start=curve,
        )
        for index, entry in enumerate(rows.sets if len(rows.sets) > 1 else ())
    }
    drawn = points(x, rows.chosen, rows.votes, resampling)
    return Psychometric(curve, interval, drawn, decided, sets)


def _margin(x: Values, curve: Curve | None, locate: bool) -> Values:
    """What a metric prefers and how surely: x, of pairs from what half call different on."""
    if not locate:
        return x
    return np.asarray(x - (np.median(x) if curve is None else curve.location))


def _opposed(margins: Mapping[str, Values]) -> dict[tuple[str, str], float]:
    names = list(margins)
    return {
        (one, other): float((margins[one] * margins[other] < 0).mean())
        for index, one in enumerate(names)
        for other in names[index + 1 :]
    }


def _disagreements(rows: Rows, margins: Mapping[str, Values], examples: int) -> list[Disagreement]:
    best = max(margins, key=lambda name: _score(rows, name))

    def entry(first: str, second: str | None, amount: Values) -> Disagreement:
        by_distortion = shares(amount, rows.distortions)
        often = sorted(by_distortion, key=lambda name: -by_distortion[name][0])
        masks = {name: rows.distortions[name] for name in often}
        return Disagreement(
            first,
            second,
            float((amount > 0).mean()),
            by_distortion,
            tuple(
                Example(row, name, float(amount[row]))
                for name, row in strongest(amount, masks, examples)
            ),
        )

    return [
        *(
            entry(best, name, between_metrics(margins[best], margins[name]))
            for name in margins
            if name != best
        ),
        *(
            entry(name, None, with_people(margin, rows.chosen, rows.votes))
            for name, margin in margins.items()
        ),
    ]


def _score(rows: Rows, metric: str) -> float:
    """The mean over sets of 2AFC or mAP; an undefined one counts as 0."""
    scores = []
    for part in range(len(rows.sets)):
        mine = rows.part == part
        d0, *others = (side[mine] for side in rows.distances[metric])
        judgment = rows.judgment[mine]
        agreement = [two_afc_agreement(d0, d1, judgment).mean() for d1 in others]
        scores += agreement or [jnd_map(d0, judgment)]
    return float(np.nan_to_num(scores).mean())
