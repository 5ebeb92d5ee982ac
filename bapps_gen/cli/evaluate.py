"""`bapps-gen evaluate`: metrics against human judgments."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._options import add_workers, print_resume, progress_bar, workers_of
from bapps_gen.cli.score import add_metrics, metric_options
from bapps_gen.storage.locations import location_of

if TYPE_CHECKING:
    from bapps_gen.pipelines.scoring.evaluate import Evaluation

_TITLES = {"2afc": "2AFC", "jnd": "mAP"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "folder",
        type=location_of,
        metavar="DATASET",
        help="judged dataset (or its URL), set in the original layout, or a folder above several",
    )
    add_metrics(parser, "l2,ssim,ms-ssim,fsimc,lpips-alex")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="resamples of the bootstrap intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the bootstrap (default: %(default)s)"
    )
    parser.add_argument(
        "--bilinear",
        action="store_true",
        help="original layout: reduce 256 px pictures as the original loader does, which blurs "
        "them a little, for its published scores (default: bring the 64 px patches back exactly)",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate every set found."""
    from bapps_gen.pipelines.scoring.evaluate import (
        EvaluationOptions,
        as_values,
        evaluate_folder,
        mean_scores,
    )

    workers = workers_of(options)
    asked = EvaluationOptions(options.metric, options.resamples, options.seed, options.bilinear)
    progress = partial(progress_bar, options.quiet, "score", "rows")
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
