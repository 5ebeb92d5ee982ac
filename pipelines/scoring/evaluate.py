"""Metrics against human judgments: scores of sets with intervals, and their means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.metrics.agreement import (
    CONFIDENCE,
    bootstrap_intervals,
    human_agreement,
    two_afc_agreement,
    weighted_maps,
    weighted_means,
)
from bapps_gen.metrics.ceiling import human_ceiling
from bapps_gen.pipelines.rows.options import PATCH_SIZE
from bapps_gen.pipelines.scoring.judged import (
    Judged,
    find_judged,
    judged_dataset,
    judged_original,
)
from bapps_gen.pipelines.scoring.options import EvaluationOptions, MetricOptions, check_metrics
from bapps_gen.storage.locations import Location


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its 95 % interval."""

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


def evaluate_folder(
    folder: Location,
    options: EvaluationOptions,
    metric_options: MetricOptions,
    workers: Workers,
    progress: ProgressBars = no_progress,
) -> Iterator[Evaluation]:
    """Evaluate every judged set in a folder: datasets, or sets in the original layout.

    Args:
        folder: a dataset, a set in the original layout, or a folder that contains several.
        options: metrics, bootstrap, and how pictures are read.
        metric_options: device, dtype and weights of LPIPS.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar for each set.

    Raises:
        UserError: for bad options, or when no row is judged.
        WorkError: when a set is damaged.
    """
    check_metrics(options.metrics, metric_options)
    metrics = options.metrics
    sets = find_judged(folder)
    if any(isinstance(entry, Dataset) for entry in sets):
        if options.bilinear:
            raise UserError("bilinear applies to the original layout only; leave it out")
        if options.patch_size != PATCH_SIZE.default:
            raise UserError(
                "patch-size applies to the original layout only; a dataset has its own; leave it "
                "out"
            )
    for entry in sets:
        with progress("score", "rows") as report:
            if isinstance(entry, Dataset):
                judged = judged_dataset(entry, metrics, metric_options, workers, report)
            else:
                judged = judged_original(
                    entry,
                    metrics,
                    metric_options,
                    workers,
                    patch_size=options.patch_size,
                    bilinear=options.bilinear,
                    progress=report,
                )
        yield evaluate(judged, options)


def evaluate(judged: Judged, options: EvaluationOptions | None = None) -> Evaluation:
    """Score every metric of a set, 2AFC or mAP by its task."""
    options = options or EvaluationOptions()
    rows = len(judged.judgment)
    names = list(judged.distances)
    if judged.task == "2afc":
        names = ["human", *names]
        agreement = [
            two_afc_agreement(d0, d1, judged.judgment) for d0, d1 in judged.distances.values()
        ]
        statistics = weighted_means(np.stack([human_agreement(judged.judgment), *agreement]))
    else:
        statistics = weighted_maps([d for (d,) in judged.distances.values()], judged.judgment)
    values = statistics(np.ones(rows, np.intp))
    intervals = bootstrap_intervals(statistics, rows, options.resamples, options.seed)
    estimates = {
        name: Estimate(float(value), float(low), float(high))
        for name, value, (low, high) in zip(names, values, intervals, strict=True)
    }
    human = estimates.pop("human", None)
    return Evaluation(
        judged.name,
        judged.task,
        rows,
        judged.left_out,
        human,
        estimates,
        judged.settings,
        _unbiased_ceiling(judged, options) if human else None,
        judged.simulated,
    )


def _unbiased_ceiling(judged: Judged, options: EvaluationOptions) -> Estimate | None:
    if judged.counts is None:
        return None
    ceiling = human_ceiling(
        judged.judgment, judged.counts, resamples=options.resamples, seed=options.seed
    )
    return None if ceiling is None else Estimate(ceiling.pairwise, *ceiling.interval)


def mean_scores(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, dict[str, float]]]:
    """For each task with several sets, the mean over sets of every score, ceilings included."""
    for task in ("2afc", "jnd"):
        sets = [entry for entry in evaluations if entry.task == task]
        if len(sets) < 2:
            continue
        means = {}
        for name in ("human", "human_unbiased"):
            ceilings = [getattr(entry, name) for entry in sets]
            if all(ceilings):
                means[name] = float(np.mean([ceiling.value for ceiling in ceilings]))
        for name in sets[0].metrics:
            means[name] = float(np.mean([entry.metrics[name].value for entry in sets]))
        yield task, means


def as_values(evaluations: Sequence[Evaluation], options: EvaluationOptions) -> dict[str, Any]:
    """Evaluations as plain values for JSON; what is undefined is None."""
    return {
        "confidence": CONFIDENCE,
        "resamples": options.resamples,
        "seed": options.seed,
        "sets": [_set_values(entry) for entry in evaluations],
        "means": dict(mean_scores(evaluations)),
    }


def _set_values(entry: Evaluation) -> dict[str, Any]:
    metrics = {
        name: {**_estimate_values(estimate), "settings": dict(entry.settings.get(name, {}))}
        for name, estimate in entry.metrics.items()
    }
    return {
        "set": entry.name,
        "task": entry.task,
        "score": "2AFC" if entry.task == "2afc" else "mAP",
        "rows": entry.rows,
        "rows_without_judgment": entry.left_out,
        "simulated": entry.simulated,
        "human": _estimate_values(entry.human) if entry.human else None,
        "human_unbiased": _estimate_values(entry.human_unbiased) if entry.human_unbiased else None,
        "metrics": metrics,
    }


def _estimate_values(estimate: Estimate) -> dict[str, float | None]:
    values = {"score": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: None if np.isnan(value) else value for name, value in values.items()}
