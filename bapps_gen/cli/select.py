"""`bapps-gen select`: rows of a dataset that are worth judging, as a dataset of their own."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import (
    add_dataset,
    add_new_out,
    add_workers,
    names_of,
    progress_bar,
    workers_of,
)
from bapps_gen.cli.score import add_metric_options, metric_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.judging.options import BY, SELECT_SEED, WAYS

    parser.epilog = (
        "The rows keep their ids and distances; verify, replay and other commands take them."
    )
    add_dataset(parser)
    parser.add_argument("--rows", type=int, required=True, metavar="N", help="number of rows")
    parser.add_argument(
        "--by", choices=WAYS, default=BY.default, help=f"{BY.help} (default: %(default)s)"
    )
    parser.add_argument(
        "--metrics",
        type=names_of,
        default=("lpips-alex", "ssim"),
        metavar="A,B",
        help="metrics whose distances count (default: lpips-alex,ssim)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SELECT_SEED.default,
        help=f"{SELECT_SEED.help} (default: %(default)s)",
    )
    add_new_out(parser)
    add_metric_options(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Select."""
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.manifests.scores import read_scores
    from bapps_gen.pipelines.datasets.selection import write_subset
    from bapps_gen.pipelines.judging.options import BY, SELECT_SEED
    from bapps_gen.pipelines.judging.select import select_rows
    from bapps_gen.pipelines.scoring.score import score

    BY.check("by", options.by)
    SELECT_SEED.check("seed", options.seed)
    dataset = open_dataset(options.dataset)
    metrics = () if options.by == "balanced" else options.metrics
    if metrics:
        with progress_bar(options.quiet, "score", "rows") as progress:
            score(dataset, metrics, metric_options(options), workers_of(options), progress)
    scores = {metric: read_scores(dataset, metric) for metric in metrics}
    chosen = select_rows(dataset, scores, options.rows, options.by, options.seed)
    described = f"selected by {options.by}" + (f" of {', '.join(metrics)}" if metrics else "")
    with progress_bar(options.quiet, "select", "rows") as progress:
        info = write_subset(dataset, lambda _: iter([chosen]), options.out, described, progress)
    if not options.quiet:
        print(f"{info.rows} of {dataset.info.rows} {dataset.info.unit} in {options.out}")
    return 0
