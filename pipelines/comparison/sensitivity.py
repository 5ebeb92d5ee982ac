"""Sensitivity: how a metric's distance rises with the severity of every traditional distortion.

Reference patches of the set are distorted at increasing severities, as in benchmarks: all else that
a distortion draws is drawn once for each patch. A metric is *monotone* where no higher severity is
nearer, and its distortions are *comparable* where equal severities are equally far. Severities were
calibrated with LPIPS (explanation/calibration.md), which favors it here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.registry import load_registry
from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import pixel_hash
from bapps_gen.metrics import MetricSpec
from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.base import Metric, Patches
from bapps_gen.pipelines.benchmarks.evaluate import SeverityCurve, severity_curve
from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
from bapps_gen.pipelines.rows.render import apply_steps
from bapps_gen.pipelines.scoring.options import (
    MetricOptions,
    check_metrics,
    check_patch_size,
)
from bapps_gen.pipelines.scoring.score import (
    files_of,
    kept_threads,
    one_dtype,
    resolve_workers,
    share_threads,
)
from bapps_gen.seeding import Streams

logger = logging.getLogger(__name__)

SEVERITIES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Of the levels (own choice): from half of what is just noticeable to strong."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Level:
    """How far apart distortions are at one severity.

    Args:
        severity: of the level.
        low, median, high: smallest, median and largest of the distortions' median distances.
        spread: share of the variance of ranks of all distances at this severity that lies between
            distortions, 0 to 1: 0 where all distortions are equally far, 1 where they do not
            overlap. Ranks, so that it does not depend on the metric's unit; None where all
            distances are equal.
    """

    severity: float
    low: float
    median: float
    high: float
    spread: float | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How a metric sees traditional distortions.

    Args:
        references: patches that were distorted.
        curves: of every distortion; `rising` is the share of patches of which no level is nearer
            than the one before.
        rising_steps: share of steps from one level to the next, of one patch, that are not nearer,
            by distortion.
        levels: how far apart distortions are at equal severity.
        common: distance that severities are compared at: the median over distortions of their
            median distances at severity 0.4.
        needed: by distortion, the severity at which its median distance reaches `common`, between
            levels by straight lines; None where no level does. A distortion that is beyond it at
            the lowest level has that level.
    """

    references: int
    curves: tuple[SeverityCurve, ...]
    rising_steps: Mapping[str, float]
    levels: tuple[Level, ...]
    common: float
    needed: Mapping[str, float | None]

    @property
    def monotone(self) -> float:
        """Share of all steps that are not nearer."""
        return float(np.mean([*self.rising_steps.values()]))

    @property
    def srcc(self) -> float | None:
        """Mean of Spearman's ρ over distortions that have one."""
        known = [curve.srcc for curve in self.curves if curve.srcc is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True, slots=True)
class _Context:
    spec: BenchmarkSpec
    references: Patches
    metrics: tuple[MetricSpec, ...]
    options: MetricOptions
    threads: int


def measure(
    references: Patches,
    texts: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
) -> dict[str, Sensitivity]:
    """Distort patches with every traditional distortion, and measure how far that is.

    Args:
        references: uint8 (N, S, S, 3).
        texts: names of metrics, or texts that name open ones. Those whose distances come by row,
            take no such patches, or need what is not here are left out; a warning says so.
        options: device, dtype and weights of networks.
        workers: worker processes, or a Ray cluster.
        progress: called with distortions done and distortions in all.
    """
    metrics, options = _usable(check_metrics(texts, options), options, references, workers)
    if not metrics:
        return {}
    registry = load_registry()
    names = tuple(registry.atoms)
    spec = BenchmarkSpec(
        seed=_SEED,
        images=1,
        source_digest="",
        choices=names,
        versions=tuple((name, atom.version) for name, atom in registry.atoms.items()),
        severities=SEVERITIES,
        patches=1,
        crop_share=(1.0, 1.0),  # nothing is cut
        min_contrast=0.0,
        patch_size=references.shape[1],
    )
    resolved, processes, threads = resolve_workers(metrics, options, workers, len(names))
    context = _Context(spec, references, metrics, resolved, threads)
    result: dict[str, dict[str, Values]] = {metric.name: {} for metric in metrics}
    files = files_of(metrics, options)
    done = 0
    with kept_threads(metrics):
        jobs = range(len(names))
        for index, distances in run_jobs(_prepare, context, jobs, processes, files):
            for metric, values in distances.items():
                result[metric][names[index]] = values
            done += 1
            if progress:
                progress(done, len(names))
    measured = {}
    for metric, by_name in result.items():
        if any((np.isnan(values) | np.isposinf(values)).any() for values in by_name.values()):
            _leave_out(metric, "a distance is not a number or infinite")
        else:
            measured[metric] = sensitivity({name: by_name[name] for name in names})
    return measured


def _usable(
    metrics: Sequence[MetricSpec], options: MetricOptions, references: Patches, workers: Workers
) -> tuple[tuple[MetricSpec, ...], MetricOptions]:
    """The metrics that can be computed here, and options with the dtype of their networks.

    Distances of rows may have been computed elsewhere, with weights that are not here.
    """
    here, options = one_dtype(metrics, options, workers)
    usable = []
    for metric in metrics:
        if metric.by_row:
            continue
        try:
            check_patch_size([metric], references.shape[1])
            here.load(metric).distance(references[:1], references[:1])
        except UserError as error:
            _leave_out(metric.name, str(error))
        else:
            usable.append(metric)
    return tuple(usable), options


def _leave_out(metric: str, reason: str) -> None:
    logger.warning("%s is left out of sensitivity: %s", metric, reason)


def _prepare(context: _Context) -> Callable[[int], tuple[int, dict[str, Values]]]:
    share_threads(context.metrics, context.threads)
    metrics = {spec.name: context.options.load(spec) for spec in context.metrics}
    registry = load_registry()
    planner = BenchmarkPlanner(context.spec, registry)
    streams = Streams()
    hashes = [pixel_hash(reference) for reference in context.references]

    def distances(index: int) -> tuple[int, dict[str, Values]]:
        variant = planner.variants[index]
        distorted = [
            [
                apply_steps(reference, steps, registry.atoms, streams)
                for steps in planner.steps(digest, 0, variant)
            ]
            for reference, digest in zip(context.references, hashes, strict=True)
        ]
        levels = np.stack([np.stack(pictures) for pictures in distorted], 1)
        return index, {
            name: np.stack(_by_level(metric, context.references, levels), 1)
            for name, metric in metrics.items()
        }

    return distances


def _by_level(metric: Metric, references: Patches, levels: Patches) -> list[Values]:
    """Distances of each level; two at a time, for which a network sees the references once."""
    pairs = zip(levels[::2], levels[1::2], strict=True)
    return [values for pair in pairs for values in metric.triplet(references, *pair)]


def sensitivity(distances: Mapping[str, Values]) -> Sensitivity:
    """How a metric sees distortions.

    Args:
        distances: of each, (patches, levels) at SEVERITIES.
    """
    patches = len(next(iter(distances.values())))
    reference: NDArray[np.object_] = np.repeat(np.arange(patches), len(SEVERITIES)).astype(object)
    severity = np.tile(SEVERITIES, patches)
    curves = tuple(
        severity_curve(name, severity, values.ravel(), reference)
        for name, values in distances.items()
    )
    medians = np.array([curve.median for curve in curves])
    common = float(np.median(medians[:, SEVERITIES.index(0.4)]))
    return Sensitivity(
        patches,
        curves,
        {
            name: float((values[:, 1:] >= values[:, :-1]).mean())
            for name, values in distances.items()
        },
        tuple(
            Level(
                value,
                float(column.min()),
                float(np.median(column)),
                float(column.max()),
                _spread([values[:, index] for values in distances.values()]),
            )
            for index, (value, column) in enumerate(zip(SEVERITIES, medians.T, strict=True))
        ),
        common,
        {curve.distortion: _needed(curve.median, common) for curve in curves},
    )


def _spread(groups: Sequence[Values]) -> float | None:
    """Share of the variance of ranks that lies between groups."""
    from scipy.stats import rankdata

    ranks = np.array([*rankdata(np.concatenate(groups))]).reshape(len(groups), -1)
    whole = float(ranks.var())
    return float(ranks.mean(1).var()) / whole if whole > 0 else None


def _needed(medians: Sequence[float], common: float) -> float | None:
    """The severity at which medians first reach a distance."""
    index = next((k for k, value in enumerate(medians) if value >= common), None)
    if index is None:
        return None
    value = medians[index]
    before = medians[index - 1] if index else value
    if not index or not np.isfinite(before) or value == before:
        return SEVERITIES[index]
    low, high = SEVERITIES[index - 1 : index + 1]
    return float(low + (high - low) * (common - before) / (value - before))
