"""`bapps-gen evaluate`: metrics against people's judgements."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bapps_gen.cli._options import add_workers, print_resume, progress_bar, workers_of
from bapps_gen.cli.score import add_metrics, metric_options
from bapps_gen.errors import UserError
from bapps_gen.storage.locations import location_of

if TYPE_CHECKING:
    from bapps_gen.pipelines.scoring.evaluate import Estimate, Evaluation

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
    from bapps_gen.checks import check_range
    from bapps_gen.manifests.dataset import Dataset
    from bapps_gen.pipelines.scoring.evaluate import (
        MAX_RESAMPLES,
        as_values,
        evaluate,
        find_judged,
        judged_dataset,
        judged_original,
        mean_scores,
    )
    from bapps_gen.pipelines.scoring.score import check_metrics
    from bapps_gen.seeding import MAX_SEED

    workers = workers_of(options)
    metric = metric_options(options)
    check_metrics(options.metric, metric)
    check_range("resamples", options.resamples, 10, MAX_RESAMPLES, whole=True)
    check_range("seed", options.seed, 0, MAX_SEED, whole=True)
    found = find_judged(options.folder)
    if options.bilinear and any(isinstance(entry, Dataset) for entry in found):
        raise UserError("bilinear goes with the original layout alone; leave it out")
    evaluations = []
    try:
        for entry in found:
            with progress_bar(options.quiet, "score", "rows") as progress:
                if isinstance(entry, Dataset):
                    judged = judged_dataset(entry, options.metric, metric, workers, progress)
                else:
                    judged = judged_original(
                        entry,
                        options.metric,
                        metric,
                        workers,
                        bilinear=options.bilinear,
                        progress=progress,
                    )
            evaluations.append(evaluate(judged, options.resamples, options.seed))
            if not options.json:
                print_table(evaluations[-1])
    except KeyboardInterrupt:
        print_resume("finished distances")
        raise
    if options.json:
        values = as_values(evaluations, options.resamples, options.seed)
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return 0
    for task, means in mean_scores(evaluations):
        print(f"\nmean of {task} sets, {_TITLES[task]}")
        width = max(map(len, means))
        for name, value in means.items():
            print(f"  {name.ljust(width)}  {100 * value:6.2f} %")
    return 0


def print_table(entry: Evaluation) -> None:
    """One set's scores, for people."""
    left_out = f"; {entry.left_out} rows without judgement left out" if entry.left_out else ""
    print(f"\n{entry.name}: {entry.rows} judged rows{left_out}")
    rows: list[tuple[str, Estimate]] = [("human", entry.human)] if entry.human else []
    rows += entry.metrics.items()
    width = max(len(name) for name, _ in rows)
    print(f"  {'metric'.ljust(width)}    {_TITLES[entry.task]}     95 % interval")
    for name, found in rows:
        print(
            f"  {name.ljust(width)}  {100 * found.value:6.2f} %  "
            f"{100 * found.low:.2f} – {100 * found.high:.2f} %"
        )
