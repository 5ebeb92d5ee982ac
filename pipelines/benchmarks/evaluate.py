"""Metrics against severity: how distances of a benchmark's pictures rise from level to level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.scores import read_scores
from bapps_gen.pipelines.scoring.options import MetricOptions, check_metrics
from bapps_gen.pipelines.scoring.score import score

Values = NDArray[np.float64]

CORRELATIONS = ("srcc", "plcc", "krcc")
"""Spearman's ρ, Pearson's r and Kendall's τ-b."""


@dataclass(frozen=True, slots=True)
class SeverityCurve:
    """How one metric sees one distortion.

    Args:
        distortion: its id.
        pictures: distorted pictures.
        severities: of the levels, rising.
        median, low, high: median and quartiles of the distances of each level.
        srcc, plcc, krcc: Spearman's, Pearson's and Kendall's (τ-b) correlations of distances and
            severities over all pictures, -1 to 1; None where they are undefined.
        rising: share of references of which no level is nearer than the one before.
    """

    distortion: str
    pictures: int
    severities: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    srcc: float | None
    plcc: float | None
    krcc: float | None
    rising: float


@dataclass(frozen=True, slots=True)
class SeverityEvaluation:
    """How metrics see a benchmark.

    Args:
        name: of the benchmark.
        pictures: distorted pictures that have a severity.
        left_out: those that have none.
        curves: of every distortion, by metric.
        settings: of each metric.

    Example:
        >>> import bapps_gen
        >>> bench = bapps_gen.make_benchmark(
        ...     source="photos", atoms=["gaussian_white"], patches=1, out="bench-white", workers=1
        ... )
        >>> found = bapps_gen.evaluate(bench, "l2", workers=1)
        >>> found.curves["l2"][0].distortion, found.mean("l2", "srcc") > 0.5
        ('gaussian_white', True)
    """

    name: str
    pictures: int
    left_out: int
    curves: Mapping[str, tuple[SeverityCurve, ...]]
    settings: Mapping[str, Mapping[str, str]]

    def mean(self, metric: str, correlation: str) -> float | None:
        """The mean of "srcc", "plcc" or "krcc" over the distortions that have one."""
        values = [getattr(curve, correlation) for curve in self.curves[metric]]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    def values(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is None."""
        return {
            "benchmark": self.name,
            "pictures": self.pictures,
            "pictures_without_severity": self.left_out,
            "metrics": {
                metric: {
                    "settings": dict(self.settings[metric]),
                    "mean": {name: self.mean(metric, name) for name in CORRELATIONS},
                    "distortions": [curve_values(curve) for curve in curves],
                }
                for metric, curves in self.curves.items()
            },
        }


def curve_values(curve: SeverityCurve) -> dict[str, Any]:
    """A curve as plain values for JSON; what is undefined is None."""
    return {
        "distortion": curve.distortion,
        "pictures": curve.pictures,
        **{name: getattr(curve, name) for name in CORRELATIONS},
        "rising": curve.rising,
        "levels": [
            {"severity": severity, "low": _finite(low), "median": _finite(mid), "high": _finite(up)}
            for severity, low, mid, up in zip(
                curve.severities, curve.low, curve.median, curve.high, strict=True
            )
        ],
    }


def evaluate_benchmark(
    benchmark: Benchmark,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
    *,
    reuse: bool = False,
) -> SeverityEvaluation:
    """Correlate metrics with severity; distances that are lacking are computed and stored.

    Args:
        benchmark: open.
        metrics: names of metrics, or texts that name open ones.
        options: device, and dtype and weights of LPIPS.
        workers: worker processes, or a Ray cluster.
        progress: called with rows done and rows in all.
        reuse: take distances of any settings; see `score`.

    Raises:
        UserError: for bad options.
        WorkError: when the benchmark is damaged.
    """
    specs = check_metrics(metrics, options)
    score(benchmark, metrics, options, workers, progress, reuse=reuse)
    columns = benchmark.table(0, benchmark.info.rows, ["distortion", "severity", "reference"])
    distortion = np.array(columns["distortion"].to_pylist(), object)
    reference = np.array(columns["reference"].to_pylist(), object)
    severity = columns["severity"].to_numpy().astype(np.float64)
    graded = ~np.isnan(severity)
    names = dict.fromkeys(distortion[graded].tolist())
    curves, settings = {}, {}
    for spec in specs:
        scores = read_scores(benchmark, spec.name)
        settings[spec.name] = scores.info.settings
        curves[spec.name] = tuple(
            severity_curve(name, severity[mine], scores.d0[mine], reference[mine])
            for name in names
            for mine in [graded & (distortion == name)]
        )
    return SeverityEvaluation(
        benchmark.folder.resolve().name,
        int(graded.sum()),
        int((~graded).sum()),
        curves,
        settings,
    )


def severity_curve(
    name: str, severity: Values, distance: Values, reference: NDArray[np.object_]
) -> SeverityCurve:
    """How a metric sees a distortion.

    Args:
        name: of the distortion.
        severity, distance: of every picture, (N,).
        reference: what each was made from, (N,), each at every severity.
    """
    levels = np.unique(severity)
    parts = [distance[severity == level] for level in levels]
    # Of the distances of one reference, by level; an order that pictures of a level share.
    order = np.lexsort((severity, reference))
    grid = distance[order].reshape(-1, len(levels))
    quartiles = [np.percentile(part, (25, 50, 75), method="nearest") for part in parts]
    low, median, high = (tuple(map(float, values)) for values in zip(*quartiles, strict=True))
    srcc, plcc, krcc = correlations(distance, severity)
    return SeverityCurve(
        name,
        len(distance),
        tuple(levels.tolist()),
        median,
        low,
        high,
        srcc,
        plcc,
        krcc,
        float((grid[:, 1:] >= grid[:, :-1]).all(1).mean()),
    )


def correlations(distance: Values, severity: Values) -> tuple[float | None, ...]:
    """Spearman's ρ, Pearson's r and Kendall's τ-b of two arrays (N,); None where undefined."""
    from scipy.stats import kendalltau, pearsonr, spearmanr

    if len(distance) < 3 or len(np.unique(distance)) < 2 or len(np.unique(severity)) < 2:
        return None, None, None
    finite = bool(np.isfinite(distance).all())
    values = (
        spearmanr(distance, severity).statistic,
        pearsonr(distance, severity).statistic if finite else np.nan,
        kendalltau(distance, severity).statistic,
    )
    return tuple(_finite(value) for value in values)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
