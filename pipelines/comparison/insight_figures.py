"""Positions of what the figures on metrics show, in percent of the figure; templates draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bapps_gen.metrics.agreement import Values
from bapps_gen.pipelines.comparison.breakdown import FEW_ROWS, GapPart, Part
from bapps_gen.pipelines.comparison.calibration import Calibration
from bapps_gen.pipelines.comparison.psychometric import Curve, Point
from bapps_gen.pipelines.comparison.sensitivity import Sensitivity
from bapps_gen.pipelines.scoring.evaluate import Estimate
from bapps_gen.pipelines.validation.facts import family_of

Figure = dict[str, Any]
Line = list[tuple[float, float]]

WIDTH, HEIGHT = 100.0, 60.0
_LEFT, _TOP = 4.0, 4.0
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - 2 * _LEFT, HEIGHT - 2 * _TOP

_STRONGEST = 0.4
"""Shortfall that has the strongest color (own choice)."""


def x_at(share: float) -> float:
    """Where a share of the width lies."""
    return _LEFT + _PLOT_WIDTH * share


def y_at(share: float) -> float:
    """Where a share of the height lies, from the bottom."""
    return HEIGHT - _TOP - _PLOT_HEIGHT * min(1.0, max(0.0, share))


def _ends(estimate: Estimate) -> tuple[float, float]:
    """Where an interval begins and ends."""
    return y_at(estimate.low), y_at(estimate.high)


def heat(parts: Sequence[Part], metrics: Sequence[str], *, ranked: bool) -> Figure | None:
    """Agreement on parts of the rows: a row for each part, a column for each metric; None of none.

    Args:
        parts: rows of the table.
        metrics: columns.
        ranked: whether parts are sorted by their mean shortfall (pairs by mean mAP), the worst
            first and those with few rows last; otherwise they keep their order.
    """

    def badness(part: Part) -> float:
        if part.human is not None:
            return float(np.mean([entry.value for entry in part.shortfall.values()]))
        known = [entry.value for entry in part.metrics.values() if entry is not None]
        return 1 - float(np.mean(known)) if known else 0.0

    if not parts:
        return None
    if ranked:
        parts = sorted(parts, key=lambda part: (part.few, -badness(part), part.name))
    return {
        "metrics": metrics,
        "rows": [
            {
                "name": part.name,
                "rows": part.rows,
                "few": part.few,
                "human": part.human,
                "cells": [_cell(part, metric) for metric in metrics],
            }
            for part in parts
        ],
    }


def _cell(part: Part, metric: str) -> Figure | None:
    score = part.metrics[metric]
    if score is None:
        return None
    wrong = part.shortfall[metric].value if part.human is not None else 1 - score.value
    strongest = _STRONGEST if part.human is not None else 1.0
    return {
        "value": score,
        "shortfall": part.shortfall.get(metric),
        "share": 100 * min(1.0, max(0.0, wrong / strongest)),
    }


def gap_card(name: str, parts: Sequence[GapPart]) -> Figure:
    """Agreement and ceiling by |d0 − d1|, in parts of equal width."""
    width = 1 / len(parts)
    xs = [x_at(width * (index + 0.5)) for index in range(len(parts))]

    def height(value: float) -> float:
        return y_at(2 * value - 1)  # from ½ at the bottom to 1

    return {
        "name": name,
        "points": [(x, height(part.agreement.value)) for x, part in zip(xs, parts, strict=True)],
        "whiskers": [
            (x, height(part.agreement.low), height(part.agreement.high))
            for x, part in zip(xs, parts, strict=True)
        ],
        "human": [(x, height(part.human.value)) for x, part in zip(xs, parts, strict=True)],
        "low": parts[0].low,
        "high": parts[-1].high,
    }


def psychometric_card(
    name: str, curve: Curve | None, points: Sequence[Point], x: Values, *, locate: bool
) -> Figure:
    """Points with intervals and the fitted function, over the middle 98 % of x."""
    low, high = np.percentile(x, (1, 99)).tolist()
    if not locate:
        low, high = -max(-low, high), max(-low, high)
    if not high > low:
        low, high = low - 1, high + 1

    def x_of(value: float) -> float:
        return x_at((value - low) / (high - low))

    drawn = [point for point in points if low <= point.x <= high]
    axis = np.linspace(low, high, 49)
    line: Line = []
    if curve is not None:
        heights = curve.probability(axis).tolist()
        line = [(x_of(at), y_at(p)) for at, p in zip(axis.tolist(), heights, strict=True)]
    middle = 0.0 if not locate else curve.location if curve is not None else None
    return {
        "name": name,
        "line": line,
        "points": [(x_of(point.x), y_at(point.observed.value)) for point in drawn],
        "whiskers": [(x_of(point.x), *_ends(point.observed)) for point in drawn],
        "middle": x_of(middle) if middle is not None and low <= middle <= high else None,
        "half": y_at(0.5),
        "low": low,
        "high": high,
    }


def calibration_card(name: str, result: Calibration) -> Figure:
    """The reliability curve beside the diagonal; the area of a point is its share of votes."""
    votes = sum(part.votes for part in result.bins)
    return {
        "name": name,
        "diagonal": ((x_at(0), y_at(0)), (x_at(1), y_at(1))),
        "points": [
            (
                x_at(part.predicted),
                y_at(part.observed.value),
                1 + 4 * (part.votes / votes) ** 0.5,
                part.rows < FEW_ROWS,
            )
            for part in result.bins
        ],
        "whiskers": [(x_at(part.predicted), *_ends(part.observed)) for part in result.bins],
        "error": result.error,
    }


def sensitivity_card(name: str, result: Sensitivity) -> Figure:
    """Median distances of all distortions by severity, on one scale, and each for itself."""
    severities = result.curves[0].severities
    last = severities[-1]
    known = [
        value
        for curve in result.curves
        for value in (*curve.low, *curve.high)
        if np.isfinite(value)
    ]
    low = min(0.0, *known) if known else 0.0
    high = max(known, default=0.0)
    scale = high - low or 1.0

    def line(values: Sequence[float]) -> Line:
        return [
            (x_at(severity / last), y_at((value - low) / scale if np.isfinite(value) else 0.0))
            for severity, value in zip(severities, values, strict=True)
        ]

    return {
        "name": name,
        "highest": high,
        "lowest": low,
        "lines": [
            {
                "name": curve.distortion,
                "family": family_of(curve.distortion),
                "points": line(curve.median),
                "band": line(curve.low) + line(curve.high)[::-1],
                "srcc": curve.srcc,
                "rising": result.rising_steps[curve.distortion],
            }
            for curve in result.curves
        ],
        "common": y_at((result.common - low) / scale) if np.isfinite(result.common) else None,
    }


def needed_table(result: Mapping[str, Sensitivity]) -> Figure:
    """Severity that each distortion needs for the common distance, by metric, as a heat map."""
    names = list(next(iter(result.values())).needed)
    return {
        "metrics": list(result),
        "rows": [
            {
                "name": name,
                "cells": [
                    {"value": entry.needed[name], "share": 100 * (entry.needed[name] or 1.0)}
                    for entry in result.values()
                ],
            }
            for name in names
        ],
    }


def opposed_table(opposed: Mapping[tuple[str, str], float], metrics: Sequence[str]) -> Figure:
    """Share of rows on which two metrics prefer different patches, as a heat map."""
    return {
        "metrics": metrics,
        "rows": [
            {
                "name": one,
                "cells": [
                    opposed.get((one, other), opposed.get((other, one))) for other in metrics
                ],
            }
            for one in metrics
        ],
    }
