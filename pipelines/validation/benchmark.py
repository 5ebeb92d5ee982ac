"""Validation of a benchmark: whether a metric rises with severity, in numbers and pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.scores import read_scores
from bapps_gen.metrics import MetricSpec
from bapps_gen.pipelines.benchmarks.evaluate import SeverityEvaluation, evaluate_benchmark
from bapps_gen.pipelines.scoring.options import check_metrics
from bapps_gen.pipelines.validation.facts import describe_metric, finite
from bapps_gen.pipelines.validation.figures import FEW_SIDES, level_curves
from bapps_gen.pipelines.validation.html import render
from bapps_gen.pipelines.validation.options import (
    Thresholds,
    ValidationOptions,
    check_limited,
    label_of,
    measured,
    missed,
)
from bapps_gen.pipelines.validation.statistics import shares_beyond, summarize

_APPLICABLE = ("max_invisible", "max_destroyed", "min_spearman")
_SHOWN = ("rows", "label", "limits", "distance", "shares")
_STRIPS = 40
"""Distortions shown in pictures (own choice)."""
_THUMBNAIL = 96
"""Longest side of a thumbnail in px."""

Strip = tuple[str, tuple[tuple[str, bytes], ...]]
"""A distortion, and captions and WebP files of a reference and its levels."""


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """All that a report says of a benchmark.

    Args:
        benchmark: that was validated.
        metric: of the distances.
        found: its severity curves.
        result: numbers, in the form of those of a set.
        thresholds: of the user.
        missed: a line for each threshold that is missed.
        strips: pictures of each distortion.
    """

    benchmark: Benchmark
    metric: MetricSpec
    found: SeverityEvaluation
    result: dict[str, Any]
    thresholds: Thresholds
    missed: tuple[str, ...]
    strips: tuple[Strip, ...]

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""
        return {
            "metric": self.metric.name,
            "spec_digest": self.benchmark.info.digest,
            **self.found.values(),
            **{
                name: self.result[name]
                for name in ("rows", "label", "limits", "distance", "shares")
            },
            "missed": list(self.missed),
        }

    def measured(self) -> list[str]:
        """A line for each threshold: what was measured, and what is required."""
        return measured(self.result, self.thresholds)

    def summary(self) -> str:
        """The main numbers on one line."""
        mean = self.found.mean(self.metric.name, "srcc")
        curves = self.found.curves[self.metric.name]
        return (
            f"{self.found.name}: {self.result['rows']} distorted pictures, median "
            f"{self.result['label']} {self.result['distance']['p50']:.3f}, mean SRCC "
            f"{'undefined' if mean is None else f'{mean:.3f}'} of {len(curves)} distortions"
        )


def check_benchmark_thresholds(thresholds: Thresholds, *, compared: bool) -> None:
    """Raise UserError, before anything is computed, for a threshold that cannot be applied."""
    if compared:
        raise UserError("against compares datasets; leave it out with a benchmark")
    for entry in fields(thresholds):
        if getattr(thresholds, entry.name) is not None and entry.name not in _APPLICABLE:
            raise UserError(
                f"{entry.name.replace('_', '-')} applies to datasets; of a benchmark, require "
                f"{', '.join(name.replace('_', '-') for name in _APPLICABLE)}"
            )


def validate_benchmark(
    benchmark: Benchmark,
    options: ValidationOptions,
    workers: Workers,
    *,
    progress: ProgressBars = no_progress,
) -> BenchmarkReport:
    """Validate a benchmark; distances that it lacks are computed and stored beside it.

    Args:
        benchmark: open.
        options: limits and thresholds.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar for a step of the work.

    Raises:
        UserError: for a threshold that cannot be applied.
        WorkError: when the benchmark or its distances are damaged.
    """
    check_benchmark_thresholds(options.thresholds, compared=False)
    (spec,) = check_metrics([options.metric], options.metric_options)
    check_limited(options.thresholds, options.limits, spec.name)
    limits = options.limits.of(spec.name)
    with progress("score", "pictures") as report:
        found = evaluate_benchmark(
            benchmark, [options.metric], options.metric_options, workers, report, reuse=True
        )
    distances = finite(read_scores(benchmark, spec.name).d0)
    curves = found.curves[spec.name]
    result: dict[str, Any] = {
        "rows": len(distances),
        "label": label_of(spec.name),
        "limits": asdict(limits),
        "distance": summarize(distances),
        "shares": shares_beyond(distances, limits),
        "severity": {curve.distortion: {"spearman": curve.srcc} for curve in curves},
        "coverage": {"used": len(curves)},
        "against": None,
    }
    return BenchmarkReport(
        benchmark,
        spec,
        found,
        result,
        options.thresholds,
        tuple(missed(result, options.thresholds)),
        tuple(_strips(benchmark)),
    )


def _strips(benchmark: Benchmark) -> list[Strip]:
    """The first reference under each of the first distortions, at every level."""
    columns = ["distortion", "reference", "path", "severity"]
    strips: dict[str, list[tuple[str, bytes]]] = {}
    first: dict[str, str] = {}
    per_image = benchmark.info.rows // max(1, benchmark.info.images or 0)
    for row in benchmark.table(0, per_image, columns).to_pylist():
        name = row["distortion"]
        if first.setdefault(name, row["reference"]) != row["reference"]:
            continue
        if name not in strips and len(strips) == _STRIPS:
            continue
        if name not in strips:
            strips[name] = [("reference", _thumbnail(benchmark, row["reference"]))]
        severity = "" if row["severity"] is None else f"{row['severity']:.3g}"
        strips[name].append((severity, _thumbnail(benchmark, row["path"])))
    return [(name, tuple(pictures)) for name, pictures in strips.items()]


def _thumbnail(benchmark: Benchmark, path: str) -> bytes:
    """A picture of the manifest, small, as WebP."""
    picture = benchmark.picture(path)
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".webp", small[..., ::-1], (cv2.IMWRITE_WEBP_QUALITY, 90))
    return np.asarray(data).tobytes()


def benchmark_page(report: BenchmarkReport) -> str:
    """The report of a benchmark as HTML."""
    info, found = report.benchmark.info, report.found
    curves = found.curves[report.metric.name]
    settings = found.settings[report.metric.name]
    references = "patches of 64×64" if info.spec.get("patches") else "whole images"
    return render(
        "benchmark.html.j2",
        name=found.name,
        facts={
            "pictures": f"{info.rows:,}",
            "photos": f"{info.images or 0:,}, {references}",
            "spec digest": info.digest,
            "made with": f"bapps-gen {info.version}",
            "distance": describe_metric(report.metric, settings),
        },
        result=report.result,
        missed=report.missed,
        has_thresholds=report.thresholds.any_set,
        mean={name: found.mean(report.metric.name, name) for name in ("srcc", "plcc", "krcc")},
        curves=curves,
        few=FEW_SIDES,
        figure=level_curves(curves),
        strips=report.strips,
        left_out=found.left_out,
    )
