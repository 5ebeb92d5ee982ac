"""`bapps-gen evaluate`: metrics against human judgments."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_options,
    add_workers,
    print_resume,
    progress_bar,
    values_of,
    workers_of,
)
from bapps_gen.cli.score import add_metric_options, metric_options
from bapps_gen.storage.locations import location_of

if TYPE_CHECKING:
    from bapps_gen.pipelines.scoring.evaluate import Evaluation

_TITLES = {"2afc": "2AFC", "jnd": "mAP"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    parser.add_argument(
        "folder",
        type=location_of,
        metavar="DATASET",
        help="judged dataset (or its URL), set in the original layout, or a folder that "
        "contains several",
    )
    add_options(parser, EvaluationOptions, "metrics")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_options(parser, EvaluationOptions, "resamples", "seed", "bilinear")
    add_metric_options(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate every set found."""
    from bapps_gen.pipelines.scoring.evaluate import as_values, evaluate_folder, mean_scores
    from bapps_gen.pipelines.scoring.options import EvaluationOptions

    workers = workers_of(options)
    asked = EvaluationOptions(**values_of(options, EvaluationOptions))
    progress = partial(progress_bar, options.quiet)
    evaluations = []
    try:
        for entry in evaluate_folder(
            options.folder, asked, metric_options(options), workers, progress
        ):
            evaluations.append(entry)
            if not options.json:
                print_table(entry)
    except KeyboardInterrupt:
        print_resume("finished distances")
        raise
    if options.json:
        print(json.dumps(as_values(evaluations, asked), indent=1, ensure_ascii=False))
        return 0
    for task, means in mean_scores(evaluations):
        print(f"\nmean of {task} sets, {_TITLES[task]}")
        width = max(map(len, means))
        for name, value in means.items():
            print(f"  {name.ljust(width)}  {100 * value:6.2f} %")
    return 0


def print_table(entry: Evaluation) -> None:
    """One set's scores as a table."""
    left_out = f"; {entry.left_out} rows without judgment left out" if entry.left_out else ""
    print(f"\n{entry.name}: {entry.rows} judged rows{left_out}")
    rows = ({"human": entry.human} if entry.human else {}) | dict(entry.metrics)
    width = max(map(len, rows))
    print(f"  {'metric'.ljust(width)}    {_TITLES[entry.task]}     95 % interval")
    for name, estimate in rows.items():
        print(
            f"  {name.ljust(width)}  {100 * estimate.value:6.2f} %  "
            f"{100 * estimate.low:.2f} – {100 * estimate.high:.2f} %"
        )
