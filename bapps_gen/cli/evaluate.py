"""`bapps-gen evaluate`: metrics against human judgments, or against severities."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import table_text
from bapps_gen.cli._options import (
    add_options,
    add_several,
    add_workers,
    names_of,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)
from bapps_gen.cli.score import add_metric_options, metric_options
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import local_path

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.manifests.benchmark_reader import Benchmark
    from bapps_gen.pipelines.benchmarks.evaluate import SeverityCurve, SeverityEvaluation
    from bapps_gen.pipelines.scoring.evaluate import Estimate, Evaluation

_TITLES = {"2afc": "2AFC", "jnd": "mAP"}
_GROUPS = {"all": "", "distortions": " of distortions", "real": " of real algorithms"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.comparison.options import SectionOptions
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    add_several(
        parser,
        "sets",
        "judged datasets (or their URLs), sets in the original layout, or folders that "
        "contain several; or a benchmark, whose severities metrics are compared with",
    )
    add_options(parser, EvaluationOptions, "metrics")
    parser.add_argument(
        "--metrics",
        dest="metrics",
        action="extend",
        type=names_of,
        metavar="A,B",
        help="the same as --metric",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FILE.html",
        help="report to write or replace: a page with figures, and beside it the numbers as JSON "
        "and the tables as CSV, Markdown and LaTeX (default: none)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_options(parser, EvaluationOptions, "resamples", "seed", "bilinear", "patch_size")
    add_options(parser, SectionOptions)
    add_metric_options(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate every set found."""
    from bapps_gen.manifests.benchmark_reader import find_benchmark
    from bapps_gen.pipelines.comparison.options import SectionOptions
    from bapps_gen.pipelines.comparison.report import evaluate_sets
    from bapps_gen.pipelines.scoring.evaluate import as_values, means_over_sets
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    workers = workers_of(options)
    for folder in options.sets:
        benchmark = find_benchmark(folder)
        if benchmark is not None and len(options.sets) > 1:
            raise UserError(f"{folder} is a benchmark; evaluate it by itself")
        if benchmark is not None:
            return _evaluate_benchmark(benchmark, options, workers)
    asked = record_of(options, EvaluationOptions)
    section_options = record_of(options, SectionOptions)
    with resumable("finished distances"):
        evaluations = evaluate_sets(
            options.sets,
            asked,
            metric_options(options),
            workers,
            partial(progress_bar, options.quiet),
            out=options.out,
            section_options=section_options,
            on_set=(lambda entry: None) if options.json else print_table,
        )
    if options.json:
        print(json.dumps(as_values(evaluations, asked), indent=1, ensure_ascii=False))
        return 0
    for mean in means_over_sets(evaluations):
        group = _GROUPS[mean.group]
        simulated = any(each.simulated for each in evaluations if each.name in mean.sets)
        by = ", by simulated observers" if simulated else ""
        print(f"\n{mean.task.upper()}: mean over {len(mean.sets)} sets{group}{by}")
        _print_scores(mean.task, mean.scores)
    if options.out is not None:
        print(f"\nreport: {options.out}")
    return 0


def print_table(entry: Evaluation) -> None:
    """One set's scores as a table."""
    left_out = f"; {entry.left_out} rows without judgment left out" if entry.left_out else ""
    simulated = ", by simulated observers" if entry.simulated else ""
    print(f"\n{entry.name}: {entry.rows} judged rows{simulated}{left_out}")
    _print_scores(entry.task, entry.scores)


def _print_scores(task: str, scores: Mapping[str, Estimate]) -> None:
    named = {name.replace("human_", "human, "): score for name, score in scores.items()}
    width = max(map(len, named))
    print(f"  {'metric'.ljust(width)}  {_TITLES[task]:>6}    95 % interval")
    for name, estimate in named.items():
        print(
            f"  {name.ljust(width)}  {100 * estimate.value:6.2f} %  "
            f"{100 * estimate.low:.2f} – {100 * estimate.high:.2f} %"
        )


def _evaluate_benchmark(benchmark: Benchmark, options: argparse.Namespace, workers: Workers) -> int:
    """Compare metrics with severities."""
    from bapps_gen.pipelines.benchmarks.evaluate import evaluate_benchmark
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    for name in ("out", "resamples", "seed", "bilinear", "examples", "references"):
        if getattr(options, name) is not None:
            raise UserError(f"{name} is for judged sets; leave it out with a benchmark")
    metrics = record_of(options, EvaluationOptions).metrics
    with (
        resumable("finished distances"),
        progress_bar(options.quiet, "score", "pictures") as progress,
    ):
        result = evaluate_benchmark(benchmark, metrics, metric_options(options), workers, progress)
    if options.json:
        print(json.dumps(result.values(), indent=1, ensure_ascii=False))
    else:
        print_curves(result)
    return 0


def print_curves(result: SeverityEvaluation) -> None:
    """A benchmark's severity curves and correlations, a table for each metric."""
    left_out = f"; {result.left_out} without severity left out" if result.left_out else ""
    print(f"\n{result.name}: {result.pictures} distorted pictures{left_out}")
    for metric, curves in result.curves.items():
        means = [result.mean(metric, name) for name in ("srcc", "plcc", "krcc")]
        rows = [_curve_row(curve) for curve in curves]
        rows.append(["mean", *map(_correlation, means), "", "", ""])
        head = (metric, "SRCC", "PLCC", "KRCC", "rising", "pictures", "median by severity")
        print()
        print(table_text(head, rows, right=range(1, 6)))


def _curve_row(curve: SeverityCurve) -> list[str]:
    steps = zip(curve.severities, curve.median, strict=True)
    return [
        curve.distortion,
        *(_correlation(getattr(curve, name)) for name in ("srcc", "plcc", "krcc")),
        f"{100 * curve.rising:.0f} %",
        str(curve.pictures),
        "  ".join(f"{severity:.3g}: {median:.3g}" for severity, median in steps),
    ]


def _correlation(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
