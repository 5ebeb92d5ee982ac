"""Positions of what the figures on metrics' scores show, in percent; templates draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bapps_gen.pipelines.comparison.compare import SCORES, Column, Comparison
from bapps_gen.pipelines.comparison.correlation import Correlation
from bapps_gen.pipelines.comparison.paired import Difference
from bapps_gen.pipelines.comparison.tables import best_score, percent_text
from bapps_gen.pipelines.scoring.evaluate import HUMAN, UNBIASED, Estimate, Evaluation
from bapps_gen.pipelines.validation.figures import Figure, ticks

CHANCE = {"2afc": 0.5, "jnd": 0.0}
"""Where bars begin: what guessing scores of 2AFC; of mAP that differs between sets."""

_STEPS = (0.05, 0.1, 0.2, 0.5)
"""Between labels, of which there are at most seven."""

_LINES = ((HUMAN, "human"), (UNBIASED, "human, unbiased"))


def bars(comparison: Comparison, task: str) -> list[Figure]:
    """Figure 4: of each column of a task a panel of bars, all on one scale."""
    columns = comparison.task_columns(task)
    base = CHANCE[task]
    estimates = [entry for column in columns for entry in column.scores.values()]
    position_of, labels = _scale(estimates, base, base + 0.2)
    panels = []
    for column in columns:
        scores = column.scores
        rows: list[Figure] = []
        for spec, family in comparison.metrics:
            heading = family.title if not rows or rows[-1]["family"] != family.name else ""
            rows.append(
                {
                    "name": spec.name,
                    "family": family.name,
                    "heading": heading,
                    "text": percent_text(scores[spec.name], False),
                    "title": percent_text(scores[spec.name], True),
                    **_bar(scores[spec.name], position_of, base),
                }
            )
        best = best_score(column, comparison.names)
        for row in rows:
            row["is_best"] = scores[row["name"]].value == best
        panels.append(
            {
                "title": column.title,
                "is_mean": column.is_mean,
                "rows": rows,
                "count": _rows_of(column, comparison),
                "lines": [
                    {
                        "name": name,
                        "label": f"{label} {percent_text(scores[name], False)}",
                        "title": percent_text(scores[name], True),
                        "left": position_of(scores[name].value),
                    }
                    for name, label in _LINES
                    if name in scores
                ],
                "base": position_of(base),
                "ticks": labels,
                "score": SCORES[task],
                "simulated": comparison.simulated,
            }
        )
    return panels


def _rows_of(column: Column, comparison: Comparison) -> str:
    if isinstance(column.of, Evaluation):
        photos = f" of {column.of.units:,} photos" if column.of.resampled == "photos" else ""
        return f"{column.of.rows:,} rows{photos}"
    return f"mean of {len(column.of.sets)} sets"


def _scale(
    scores: Iterable[Estimate], *also: float
) -> tuple[Callable[[float], float], list[tuple[float, float]]]:
    """The position of a value, and labels as (percent, position), with room for some values.

    Args:
        scores: that are shown, with their intervals.
        also: other values.
    """
    values = [end for entry in scores for end in (entry.low, entry.value, entry.high)]
    values = [value for value in (*values, *also) if not np.isnan(value)]
    least, most = min(values), max(values)
    step = next(step for step in _STEPS if most - least < 6 * step)
    low = step * math.floor(least / step + 1e-9)
    high = max(step * math.ceil(most / step - 1e-9), low + step)

    def position_of(value: float) -> float:
        return 100.0 * (value - low) / (high - low)

    return position_of, [(100 * value, percent) for value, percent in ticks(step, high, low)]


def _bar(estimate: Estimate, position_of: Any, base: float) -> Figure:
    """A bar as (left, width) and its error bar; None where the score is undefined."""
    if np.isnan(estimate.value):
        return {"bar": None, "error": None}
    ends = sorted((position_of(base), position_of(estimate.value)))
    error = None
    if not np.isnan(estimate.low):
        left, right = position_of(estimate.low), position_of(estimate.high)
        error = (left, right - left)
    return {"bar": (ends[0], ends[1] - ends[0]), "error": error}


def matrix(column: Column) -> Figure | None:
    """The differences of each two metrics, the best metric first; None of fewer than two."""
    result = {(entry.first, entry.second): entry for entry in column.differences}
    if not result:
        return None
    scores = column.scores
    names = sorted({name for pair in result for name in pair}, key=lambda n: -scores[n].value)

    def cell(row: str, other: str) -> Figure | None:
        if row == other:
            return None
        sign = 1 if (row, other) in result else -1
        entry = result[(row, other) if sign > 0 else (other, row)]
        return _difference(entry, sign, f"{row} less {other}")

    return {
        "title": column.title,
        "names": names,
        "rows": [(name, [cell(name, other) for other in names]) for name in names],
        "real": sum(entry.is_real for entry in result.values()),
        "pairs": len(result),
    }


def _difference(entry: Difference, sign: int, name: str) -> Figure:
    low, high = sorted((sign * entry.low, sign * entry.high))
    value = sign * entry.value
    return {
        "text": f"{100 * value:+.1f}".replace("-", "−") if abs(value) >= 0.0005 else "0.0",
        "kind": ("better" if value > 0 else "worse") if entry.is_real else "",
        "title": f"{name}: {100 * value:+.2f} ({100 * low:+.2f} to {100 * high:+.2f}), "
        f"p = {entry.p:.2g}, {entry.adjusted:.2g} of all pairs together",
    }


def scatter(comparison: Comparison, result: Correlation) -> Figure:
    """Figure 5: a numbered point for each metric, 2AFC to the right and mAP upward."""
    families = {spec.name: family.name for spec, family in comparison.metrics}
    (x_at, x_ticks), (y_at, y_ticks) = (
        _scale(scores.values()) for scores in (result.two_afc, result.jnd)
    )
    points = []
    for number, name in enumerate((n for n in comparison.names if n in result.two_afc), 1):
        x, y = result.two_afc[name], result.jnd[name]
        points.append(
            {
                "number": number,
                "name": name,
                "family": families[name],
                "x": x_at(x.value),
                "y": y_at(y.value),
                "across": (x_at(x.low), x_at(x.high) - x_at(x.low)),
                "upward": (y_at(y.low), y_at(y.high) - y_at(y.low)),
                "two_afc": percent_text(x, False),
                "jnd": percent_text(y, False),
            }
        )
    return {
        "points": points,
        "x_ticks": x_ticks,
        "y_ticks": y_ticks,
        "simulated": comparison.simulated,
    }
