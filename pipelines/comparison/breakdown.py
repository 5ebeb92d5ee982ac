"""Agreement of metrics with people on parts of the rows: which distortions a metric gets wrong.

Some rows are harder for people, too. What a metric gets wrong is therefore measured by its
*shortfall*: the human ceiling minus the metric's agreement on the same rows, with an interval from
resamples of these rows that both share. Pairs have no such ceiling; their parts are ranked by mAP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.agreement import (
    Values,
    human_agreement,
    two_afc_agreement,
    weighted_maps,
    weighted_means,
)
from bapps_gen.pipelines.comparison.psychometric import quantile_groups
from bapps_gen.pipelines.comparison.resampling import Resampling
from bapps_gen.pipelines.scoring.evaluate import Estimate
from bapps_gen.pipelines.scoring.sides import Sides
from bapps_gen.pipelines.validation.facts import family_of, step_kind

Mask = NDArray[np.bool_]

FEW_ROWS = 20
"""Of fewer rows an agreement says little: they are marked, and ranked last (own choice)."""

SEVERITY_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GAP_BINS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, and how metrics do on them.

    Args:
        name: such as "jpeg", "blur" or "0.2 – 0.4".
        rows: how many.
        few: whether these are too few to say much.
        human: the human ceiling p² + (1 − p)²; None for pairs.
        metrics: 2AFC agreement or mAP by metric; None where it is undefined.
        shortfall: human ceiling less agreement, by metric; empty for pairs.
    """

    name: str
    rows: int
    few: bool
    human: Estimate | None
    metrics: Mapping[str, Estimate | None]
    shortfall: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class GapPart:
    """Rows of similar |d0 − d1| by one metric.

    Args:
        low, high: smallest and largest |d0 − d1| among them, in the metric's unit.
        rows: how many.
        agreement: of the metric.
        human: ceiling on the same rows.
    """

    low: float
    high: float
    rows: int
    agreement: Estimate
    human: Estimate


def distortion_masks(sides: Sides) -> dict[str, Mask]:
    """Rows (N,) with each distortion on any side, by its name; CNN distorters are one, "cnn".

    A row counts for every distortion on its sides, once for each, whether it was applied alone or
    in a composition; so counts add up to more than there are rows. Rows of unknown distortions
    have none.
    """
    return _masks(sides, lambda name: {step_kind(step) for step in name.split("+")})


def family_masks(sides: Sides) -> dict[str, Mask]:
    """Rows (N,) with each family of distortions on any side; a real algorithm's is its task."""
    return _masks(sides, lambda name: {family_of(step) for step in name.split("+")})


def _masks(sides: Sides, labels_of: Callable[[str], set[str]]) -> dict[str, Mask]:
    having: dict[str, list[int]] = {}
    for index, name in enumerate(sides.names):
        for label in labels_of(name):
            having.setdefault(label, []).append(index)
    return {
        label: np.asarray(np.isin(sides.choice, indices).any(1))
        for label, indices in sorted(having.items())
    }


def severity_masks(sides: Sides) -> dict[str, Mask]:
    """Rows (N,) by severity: the mean of their sides', each that of its strongest step.

    Rows with a side of which no step has a severity are in none. The last part has what lies above
    1, too.
    """
    known = ~np.isnan(sides.severities)
    strongest = np.where(known, sides.severities, -1.0).max(-1, initial=-1.0)
    severity = np.where((strongest >= 0).all(1), strongest.mean(1), np.nan)
    *edges, _ = SEVERITY_EDGES
    part = np.searchsorted(edges, severity, "right") - 1
    return {
        f"{low:g} – {high:g}": (part == index) & ~np.isnan(severity)
        for index, (low, high) in enumerate(zip(edges, SEVERITY_EDGES[1:], strict=True))
    }


def parts_of(
    task: str,
    judgment: Values,
    distances: Mapping[str, tuple[Values, ...]],
    masks: Mapping[str, Mask],
    resampling: Resampling,
) -> tuple[Part, ...]:
    """How metrics do on the rows of each mask that has any.

    Args:
        task: "2afc" or "jnd".
        judgment: fraction of votes for p1, or for "same", (N,).
        distances: (d0, d1) or (d0,) by metric, each (N,).
        masks: by name, (N,).
        resampling: of the rows.
    """
    return tuple(
        _part(task, name, judgment, distances, np.flatnonzero(mask), resampling)
        for name, mask in masks.items()
        if mask.any()
    )


def _part(
    task: str,
    name: str,
    judgment: Values,
    distances: Mapping[str, tuple[Values, ...]],
    rows: NDArray[np.intp],
    resampling: Resampling,
) -> Part:
    mine = judgment[rows]
    metrics = list(distances)
    few = len(rows) < FEW_ROWS
    if task == "jnd":
        own = [d0[rows] for (d0,) in distances.values()]
        estimates = resampling.of(rows).estimates(weighted_maps(own, mine))
        return Part(name, len(rows), few, None, dict(zip(metrics, estimates, strict=True)), {})
    human = human_agreement(mine)
    agreement = [two_afc_agreement(d0[rows], d1[rows], mine) for d0, d1 in distances.values()]
    values = np.stack([human, *agreement, *(human - each for each in agreement)])
    ceiling, *estimates = resampling.of(rows).estimates(weighted_means(values))
    scores = dict(zip(metrics, estimates, strict=False))
    shortfall = {
        metric: estimate
        for metric, estimate in zip(metrics, estimates[len(metrics) :], strict=True)
        if estimate is not None
    }
    return Part(name, len(rows), few, ceiling, scores, shortfall)


def gap_parts(
    d0: Values,
    d1: Values,
    judgment: Values,
    resampling: Resampling,
    *,
    bins: int = GAP_BINS,
) -> tuple[GapPart, ...]:
    """A metric's agreement in parts of about equally many rows, by increasing |d0 − d1|.

    Rows of equal |d0 − d1| are in one part, so that there may be fewer.
    """
    with np.errstate(invalid="ignore"):
        gap = np.where(d0 == d1, 0.0, np.abs(d0 - d1))
    human = human_agreement(judgment)
    agreement = two_afc_agreement(d0, d1, judgment)
    parts = []
    for mine in quantile_groups(gap, bins):
        values = np.stack([agreement[mine], human[mine]])
        own, ceiling = resampling.of(mine).estimates(weighted_means(values))
        assert own is not None  # means of numbers
        assert ceiling is not None
        parts.append(
            GapPart(float(gap[mine].min()), float(gap[mine].max()), len(mine), own, ceiling)
        )
    return tuple(parts)


def worst_first(parts: Sequence[Part], metric: str) -> list[Part]:
    """Parts by what a metric gets wrong, those with few rows last.

    By the shortfall, the largest first; of pairs by mAP, the smallest first.
    """

    def key(part: Part) -> tuple[bool, float, str]:
        if part.human is not None:
            return part.few, -part.shortfall[metric].value, part.name
        score = part.metrics[metric]
        return part.few, 2.0 if score is None else score.value, part.name

    return sorted(parts, key=key)
