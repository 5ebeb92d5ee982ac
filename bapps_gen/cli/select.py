"""`bapps-gen select`: rows of a dataset that are worth judging, as a dataset of their own."""

from __future__ import annotations

import argparse
from functools import partial

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
        help="metrics whose distances count: names, or any texts that `score --metric` takes "
        "(default: lpips-alex,ssim)",
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
    from bapps_gen.api.planning import selected_rows
    from bapps_gen.manifests.dataset import open_dataset

    dataset = open_dataset(options.dataset)
    info = selected_rows(
        dataset,
        options.rows,
        options.by,
        options.metrics,
        options.seed,
        options.out,
        metric_options(options),
        workers_of(options),
        partial(progress_bar, options.quiet),
    )
    if not options.quiet:
        print(f"{info.rows} of {dataset.info.rows} {dataset.info.unit} in {options.out}")
    return 0
