"""`bapps-gen score`: distances of every row by metrics."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import over_sets
from bapps_gen.cli._options import (
    add_dataset,
    add_options,
    add_workers,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bapps_gen.execution.jobs import Workers
    from bapps_gen.pipelines.scoring.options import MetricOptions
    from bapps_gen.storage.locations import Location


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.scoring.options import ScoreOptions

    add_dataset(
        parser,
        "folder or URL of a dataset, folder of a collection for all its sets, or of a benchmark",
    )
    add_options(parser, ScoreOptions)
    add_metric_options(parser)
    add_workers(parser)


def add_metric_options(parser: argparse.ArgumentParser) -> None:
    """Add --device, --dtype and --weights."""
    from bapps_gen.pipelines.scoring.options import MetricOptions

    add_options(
        parser.add_argument_group("metrics with a network"),
        MetricOptions,
    )


def metric_options(options: argparse.Namespace) -> MetricOptions:
    """What `add_metric_options` declared."""
    from bapps_gen.pipelines.scoring.options import MetricOptions

    return record_of(options, MetricOptions)


def run(options: argparse.Namespace) -> int:
    """Score."""
    from bapps_gen.pipelines.scoring.options import ScoreOptions

    workers = workers_of(options)
    metrics = record_of(options, ScoreOptions).metrics
    return over_sets(options.dataset, lambda folder: _score(folder, metrics, options, workers))


def _score(
    folder: Location, metrics: Sequence[str], options: argparse.Namespace, workers: Workers
) -> int:
    from bapps_gen.api.scoring import open_scored
    from bapps_gen.pipelines.scoring.score import score

    dataset = open_scored(folder)
    began = time.monotonic()
    with resumable("finished distances"), progress_bar(options.quiet, "score", "rows") as progress:
        report = score(dataset, metrics, metric_options(options), workers, progress)
    if not options.quiet:
        seconds = time.monotonic() - began
        print(f"{dataset.info.rows} rows of {folder} have distances by {', '.join(report.metrics)}")
        print(
            f"made for {report.made} rows now in {seconds:.1f} s "
            f"({report.made / max(seconds, 1e-9):.0f} rows/s)"
            + (f", kept for {report.kept}" if report.kept else "")
        )
    return 0
