"""Positions of what the reports' figures show, in percent of the figure; templates draw them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bapps_gen.pipelines.benchmarks.evaluate import SeverityCurve

Figure = dict[str, Any]
Groups = Mapping[str, Mapping[str, Any]]


FEW_SIDES = 20
"""Of fewer sides a correlation says little, and is not shown (own choice)."""


def histogram(
    title: str,
    mine: Mapping[str, Any],
    theirs: Mapping[str, Any] | None = None,
    marks: Sequence[float] = (),
    step: float | None = None,
) -> Figure:
    """Bars as shares of all, a stepped line for another set, and dashed marks.

    Args:
        title: of the figure.
        mine, theirs: what `statistics.histogram` returned; bins begin at "low", or at 0.
        marks: values to mark.
        step: between labels of the axis; None for what suits its length.
    """
    shares = _shares(mine["counts"])
    others = _shares(theirs["counts"]) if theirs else []
    tallest = max([*shares, *others, 1e-9])
    bins, low, top = len(shares), mine.get("low", 0.0), mine["top"]
    step = step or _step(low, top, (0.25 if top > 1 else 0.2))
    width = (top - low) / bins
    return {
        "title": title,
        "bins": bins,
        "bars": [
            {
                "height": 100 * share / tallest,
                "from": low + index * width,
                "to": low + (index + 1) * width,
                "share": share,
            }
            for index, share in enumerate(shares)
        ],
        "line": [100 - 100 * share / tallest for share in others],
        "marks": [(mark - low) / width for mark in marks if low <= mark < top],
        "ticks": ticks(step, top, low),
    }


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def ticks(step: float, top: float, low: float = 0.0) -> list[tuple[float, float]]:
    """(value, position) of labels along a scale from `low` to `top`."""
    length = top - low
    steps = range(math.floor(length / step + 1e-9) + 1)
    return [(low + step * k, 100 * step * k / length) for k in steps]


def _step(low: float, top: float, usual: float) -> float:
    """Between labels: what is usual for shares and LPIPS, otherwise what suits the length."""
    return usual if low == 0 and 0.1 < top <= 2 else round_step(top - low)


def round_step(length: float) -> float:
    """1, 2 or 5 times a power of ten of which 4 to 10 make up a length."""
    if not length > 0:
        return 0.2
    power = 10.0 ** math.floor(math.log10(length))
    return power * next(part for part in (0.1, 0.2, 0.5, 1) if length / (power * part) <= 10)


def box(entry: Mapping[str, Any], top: float, low: float = 0.0) -> Figure:
    """A box plot of quantiles: whisker and half as (left, width), and the median's position."""
    length = top - low
    begin, left, middle, right, end = (
        100 * (entry[f"p{q:02d}"] - low) / length for q in (5, 25, 50, 75, 95)
    )
    return {"whisker": (begin, end - begin), "half": (left, right - left), "median": middle}


def box_plot(groups: Groups) -> Figure:
    """Box plots in rows on one scale, by name."""
    highest = max(entry["p95"] for entry in groups.values())
    lowest = min(0.0, *(entry["p05"] for entry in groups.values()))
    step = 0.2 if highest > 0.4 else 0.1 if highest > 0.2 else 0.05
    step = _step(lowest, highest, step)
    low, top = step * math.floor(lowest / step), step * math.ceil(highest / step)
    top = max(top, low + step)
    rows = [{"name": name, **entry, "box": box(entry, top, low)} for name, entry in groups.items()]
    return {"rows": rows, "ticks": ticks(step, top, low)}


def curves(severity: Groups) -> Figure:
    """Median distance by severity, a small curve of 100 × 50 for each distortion, on one scale."""
    medians = [value for entry in severity.values() for value in entry["bin_medians"] if value]
    highest, lowest = max(medians, default=1), min(0, *medians, 0)
    length = (highest - lowest) or 1
    cards = []
    for name, entry in severity.items():
        width = 100 / len(entry["bin_medians"])
        points = [
            (width * (index + 0.5), 46 - 42 * (value - lowest) / length)
            for index, value in enumerate(entry["bin_medians"])
            if value is not None
        ]
        few = entry["sides"] < FEW_SIDES
        cards.append({"name": name, "points": points, "few": few, **entry})
    return {"lowest": lowest, "highest": highest, "cards": cards}


def parameter_cards(parameters: Groups, units: Mapping[str, str]) -> list[Figure]:
    """A small histogram of each parameter, over the range of its values."""
    return [
        {
            "name": name,
            "unit": units.get(name, ""),
            "bars": [100 * count / max(entry["counts"]) for count in entry["counts"]],
            **entry,
        }
        for name, entry in parameters.items()
    ]


def level_curves(found: Sequence[SeverityCurve]) -> Figure:
    """Median distance of each level, and the band of its quartiles, as `curves` draws them."""
    highest = max((value for curve in found for value in curve.high), default=0)
    held = [value for curve in found for value in curve.low if math.isfinite(value)]
    lowest = min(0, *held, 0)
    length = (highest - lowest) or 1
    last = max((curve.severities[-1] for curve in found), default=1.0) or 1.0

    def points(curve: SeverityCurve, values: Sequence[float]) -> list[tuple[float, float]]:
        return [
            (4 + 92 * severity / last, 46 - 42 * (max(value, lowest) - lowest) / length)
            for severity, value in zip(curve.severities, values, strict=True)
        ]

    cards = [
        {
            "name": curve.distortion,
            "points": points(curve, curve.median),
            "band": points(curve, curve.low) + points(curve, curve.high)[::-1],
            "srcc": curve.srcc,
            "pictures": curve.pictures,
        }
        for curve in found
    ]
    return {"lowest": lowest, "highest": highest, "last": last, "cards": cards}


def composition_table(
    pairs: Mapping[str, Mapping[str, Any]],
    singles: Mapping[str, Mapping[str, Any]],
    axis: list[str],
) -> Figure:
    """Rows of a heat map: the first distortion, then a cell for each second; None for none.

    Values from 0 to 2 are shown in hundredths, others with three digits.

    Args:
        pairs: sides and median distance by "first+second".
        singles: of single distortions, shown on the diagonal.
        axis: names of the rows and columns.
    """
    medians = [entry["median"] for entry in pairs.values()]
    medians += [entry["p50"] for entry in singles.values()]
    lowest, highest = min(0.0, *medians), max(0.0, *medians)
    in_hundredths = lowest == 0 and highest <= 2

    def cell(first: str, second: str) -> Figure | None:
        pair = pairs.get(f"{first}+{second}")
        if pair is not None:
            drawn = {"value": pair["median"], "title": f"{first}, then {second}", **pair}
        elif first == second and first in singles:
            single = singles[first]
            drawn = {"value": single["p50"], "title": f"{first} only", **single}
        else:
            return None
        value = drawn["value"]
        return {
            **drawn,
            "is_single": pair is None,
            "share": 100 * (value - lowest) / ((highest - lowest) or 1),
            "text": f"{100 * value:.0f}" if in_hundredths else f"{value:.3g}",
        }

    rows = [(first, [cell(first, second) for second in axis]) for first in axis]
    return {"axis": axis, "rows": rows, "in_hundredths": in_hundredths}
