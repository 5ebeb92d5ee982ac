"""Metrics against human judgments: scores of sets with intervals, and their means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.metrics.agreement import (
    Values,
    human_agreement,
    two_afc_agreement,
    weighted_maps,
    weighted_means,
)
from bapps_gen.metrics.bootstrap import CONFIDENCE, Keys, bootstrap_draws, percentile_intervals
from bapps_gen.metrics.ceiling import pairwise_agreement
from bapps_gen.pipelines.datasets.original import OriginalSet
from bapps_gen.pipelines.rows.options import PATCH_SIZE
from bapps_gen.pipelines.scoring.judged import (
    Judged,
    find_judged,
    judged_dataset,
    judged_original,
)
from bapps_gen.pipelines.scoring.options import (
    EvaluationOptions,
    MetricOptions,
    check_metrics,
    check_patch_size,
)
from bapps_gen.storage.locations import Location

MIN_PHOTOS = 10
"""Of fewer photos, rows are resampled one by one: so few photos say little about others (own
choice)."""

HUMAN, UNBIASED = "human", "human_unbiased"
"""Names of the ceilings among scores; no metric has them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One set's scores.

    Args:
        name: of the set.
        task: "2afc" or "jnd".
        rows: that were judged.
        left_out: rows without judgment.
        human: the human ceiling as the paper has it; None for JND, whose score has no such ceiling.
        metrics: scores by metric.
        settings: of each metric.
        human_unbiased: the human ceiling without the bias of few votes, over the rows that are
            known to have two votes or more; None where there are none.
        simulated: whether any judgment came from simulated observers.
        kind: what distorted the patches, such as "traditional".
        group: of the kind: "distortions", "real", or None for another.
        split: "train", "val" or "test", or None.
        resampled: what intervals are over: "photos" that rows were cut from, or "rows" one by one
            where the photos are unknown or too few.
        units: how many of these there are.
        ties: share of rows on which a metric finds both patches equally far, which counts ½, by
            metric; empty for JND.
        draws: scores of the resamples by name, ceilings included, float64 (resamples,) each.
    """

    name: str
    task: str
    rows: int
    left_out: int
    human: Estimate | None
    metrics: Mapping[str, Estimate]
    settings: Mapping[str, Mapping[str, str]]
    human_unbiased: Estimate | None = None
    simulated: bool = False
    kind: str = ""
    group: str | None = None
    split: str | None = None
    resampled: str = "rows"
    units: int = 0
    ties: Mapping[str, float] = field(default_factory=dict)
    draws: Mapping[str, Values] = field(default_factory=dict, compare=False, repr=False)

    @property
    def scores(self) -> dict[str, Estimate]:
        """All scores by name, ceilings first."""
        ceilings = {HUMAN: self.human, UNBIASED: self.human_unbiased}
        return {name: each for name, each in ceilings.items() if each} | dict(self.metrics)


@dataclass(frozen=True, slots=True)
class Mean:
    """Scores averaged over sets, each of which counts once.

    Args:
        task: "2afc" or "jnd".
        group: "all", or "distortions" or "real" of 2AFC sets.
        sets: names of the sets.
        scores: by name, ceilings first where all sets have them.
        units: photos or rows of the set that has the fewest.
        draws: of the resamples, by name.
    """

    task: str
    group: str
    sets: tuple[str, ...]
    scores: Mapping[str, Estimate]
    units: int
    draws: Mapping[str, Values] = field(default_factory=dict, compare=False, repr=False)


def judged_sets(
    folders: Sequence[Location],
    options: EvaluationOptions,
    metric_options: MetricOptions,
    workers: Workers,
    progress: ProgressBars = no_progress,
) -> Iterator[Judged]:
    """Every judged set in some folders, with distances: datasets, or sets in the original layout.

    Args:
        folders: datasets, sets in the original layout, or folders that contain several.
        options: metrics, and how pictures are read.
        metric_options: device, dtype and weights of LPIPS.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar for each set.

    Raises:
        UserError: for bad options, or when no row is judged.
        WorkError: when a set is damaged.
    """
    metrics = options.metrics
    specs = check_metrics(metrics, metric_options)
    found: dict[Location, Dataset | OriginalSet] = {}
    for folder in folders:
        found |= {entry.folder: entry for entry in find_judged(folder)}
    for entry in found.values():
        if isinstance(entry, Dataset):
            _check_dataset(options)
            check_patch_size(specs, entry.info.patch_size)
    for entry in found.values():
        with progress("score", "rows") as report:
            if isinstance(entry, Dataset):
                yield judged_dataset(entry, metrics, metric_options, workers, report)
            else:
                yield judged_original(
                    entry,
                    metrics,
                    metric_options,
                    workers,
                    patch_size=options.patch_size,
                    bilinear=options.bilinear,
                    progress=report,
                )


def _check_dataset(options: EvaluationOptions) -> None:
    if options.bilinear:
        raise UserError("bilinear applies to the original layout only; leave it out")
    if options.patch_size != PATCH_SIZE.default:
        raise UserError(
            "patch-size applies to the original layout only; a dataset has its own; leave it out"
        )


def evaluate(judged: Judged, options: EvaluationOptions | None = None) -> Evaluation:
    """Score every metric of a set, 2AFC or mAP by its task."""
    options = options or EvaluationOptions()
    rows = len(judged.judgment)
    names = list(judged.distances)
    if judged.task == "2afc":
        names = [HUMAN, UNBIASED, *names]
        agreement = [
            two_afc_agreement(d0, d1, judged.judgment) for d0, d1 in judged.distances.values()
        ]
        ceilings = [human_agreement(judged.judgment), _pairwise(judged)]
        statistics = weighted_means(np.stack([*ceilings, *agreement]))
    else:
        statistics = weighted_maps([d for (d,) in judged.distances.values()], judged.judgment)
    (values,) = statistics(np.ones((1, rows), np.intp))
    keys, resampled = resampling_keys(judged)
    drawn = bootstrap_draws(statistics, keys, options.resamples, options.seed)
    draws = dict(zip(names, drawn.T, strict=True))
    units = len(np.unique(keys))
    estimates = _estimates(names, values, drawn, units)
    human, unbiased = estimates.pop(HUMAN, None), estimates.pop(UNBIASED, None)
    if unbiased and np.isnan(unbiased.value):
        unbiased = None
        del draws[UNBIASED]
    return Evaluation(
        judged.name,
        judged.task,
        rows,
        judged.left_out,
        human,
        estimates,
        judged.settings,
        unbiased,
        judged.simulated,
        judged.kind,
        judged.group,
        judged.split,
        resampled,
        units,
        {
            name: float((sides[0] == sides[1]).mean())
            for name, sides in judged.distances.items()
            if judged.task == "2afc"
        },
        draws,
    )


def _pairwise(judged: Judged) -> Values:
    """How often two different observers agree on each row, NaN where that is not known."""
    if judged.counts is None:
        return np.full(len(judged.judgment), np.nan)
    return np.where(judged.counts >= 2, pairwise_agreement(judged.judgment, judged.counts), np.nan)


def _estimates(
    names: Sequence[str], values: Values, drawn: Values, units: int
) -> dict[str, Estimate]:
    intervals = percentile_intervals(drawn, units)
    return {
        name: Estimate(float(value), float(low), float(high))
        for name, value, (low, high) in zip(names, values, intervals, strict=True)
    }


def resampling_keys(judged: Judged) -> tuple[Keys, str]:
    """Keys by which a set's rows are resampled together, and what they stand for.

    Rows of one photo are not independent: on sets of 13 or 14 photos, intervals over photos were
    0.6 to 1.9 times as wide as over rows, 1.2 times at the median. So photos are drawn, where they
    are known and not too few. Otherwise rows are drawn one by one, independently of those of other
    sets.

    Returns:
        the keys, (N,), and "photos" or "rows".
    """
    rows = len(judged.judgment)
    photos = judged.photos
    if photos is not None and len(np.unique(photos)) >= MIN_PHOTOS:
        return photos, "photos"
    name = f"{judged.task}/{judged.split}/{judged.kind}"
    own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    held = np.zeros(rows, np.uint64) if photos is None else photos
    return held ^ np.uint64(own) ^ _occurrence(held), "rows"


def _occurrence(keys: Keys) -> NDArray[np.uint64]:
    """How many equal keys come before each."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])) if len(keys) else order
    lengths = np.diff(np.append(starts, len(keys)))
    occurrence = np.empty(len(keys), np.uint64)
    occurrence[order] = np.arange(len(keys)) - np.repeat(starts, lengths)
    return occurrence


def means_over_sets(evaluations: Sequence[Evaluation]) -> list[Mean]:
    """Means of each task over all its sets, and over groups, where there are several sets.

    Resamples of the sets are averaged one by one, so that sets with photos in common are drawn
    together.
    """
    found = []
    for task in ("2afc", "jnd"):
        sets = [entry for entry in evaluations if entry.task == task]
        groups = {"all": sets}
        if task == "2afc":
            for group in ("distortions", "real"):
                groups[group] = [entry for entry in sets if entry.group == group]
        found += [
            mean_of(group, held)
            for group, held in groups.items()
            if len(held) > 1 and (group == "all" or len(held) < len(sets))
        ]
    return found


def mean_of(group: str, evaluations: Sequence[Evaluation]) -> Mean:
    """The mean over some sets of one task; their order plays no part."""
    first, *others = evaluations = sorted(evaluations, key=lambda entry: entry.name)
    names = [name for name in first.scores if all(name in each.scores for each in others)]
    values = np.array([[each.scores[name].value for name in names] for each in evaluations])
    drawn = np.mean([[each.draws[name] for name in names] for each in evaluations], 0).T
    units = min(each.units for each in evaluations)
    return Mean(
        first.task,
        group,
        tuple(entry.name for entry in evaluations),
        _estimates(names, values.mean(0), drawn, units),
        units,
        dict(zip(names, drawn.T, strict=True)),
    )


def as_values(evaluations: Sequence[Evaluation], options: EvaluationOptions) -> dict[str, Any]:
    """Evaluations as plain values for JSON; what is undefined is None."""
    return {
        "confidence": CONFIDENCE,
        "resamples": options.resamples,
        "seed": options.seed,
        "sets": [_set_values(entry) for entry in evaluations],
        "means": [_mean_values(entry) for entry in means_over_sets(evaluations)],
    }


def _set_values(entry: Evaluation) -> dict[str, Any]:
    metrics = {
        name: {
            **estimate_values(estimate),
            "ties": entry.ties.get(name),
            "settings": dict(entry.settings.get(name, {})),
        }
        for name, estimate in entry.metrics.items()
    }
    return {
        "set": entry.name,
        "task": entry.task,
        "kind": entry.kind,
        "group": entry.group,
        "split": entry.split,
        "score": "2AFC" if entry.task == "2afc" else "mAP",
        "rows": entry.rows,
        "rows_without_judgment": entry.left_out,
        "simulated": entry.simulated,
        "resampled": entry.resampled,
        "units": entry.units,
        "human": estimate_values(entry.human) if entry.human else None,
        "human_unbiased": estimate_values(entry.human_unbiased) if entry.human_unbiased else None,
        "metrics": metrics,
    }


def _mean_values(mean: Mean) -> dict[str, Any]:
    scores = {name: estimate_values(estimate) for name, estimate in mean.scores.items()}
    return {
        "task": mean.task,
        "group": mean.group,
        "sets": list(mean.sets),
        "human": scores.pop(HUMAN, None),
        "human_unbiased": scores.pop(UNBIASED, None),
        "metrics": scores,
    }


def estimate_values(estimate: Estimate) -> dict[str, float | None]:
    """An estimate as plain values; what is undefined is None."""
    values = {"score": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: None if np.isnan(value) else value for name, value in values.items()}
