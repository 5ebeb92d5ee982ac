"""`bapps-gen simulate`: votes of simulated observers."""

from __future__ import annotations

import argparse
from functools import partial

from bapps_gen.cli._options import (
    add_local_out,
    add_options,
    add_several,
    add_workers,
    progress_bar,
    record_of,
    workers_of,
)
from bapps_gen.cli.score import add_metric_options, metric_options
from bapps_gen.storage.locations import location_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.judging.options import ObserverOptions

    parser.epilog = "Every vote says that it is simulated, and so does all that is made of them."
    parser.add_argument(
        "study",
        type=location_of,
        metavar="DATASET",
        help="dataset whose rows are judged, or study whose sessions are taken",
    )
    add_several(parser, "--datasets", "the datasets of the study, for their distances")
    parser.add_argument(
        "--metric",
        default="lpips-alex",
        help="metric by which they judge: a name, or any text that `score --metric` takes "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--judgments",
        type=int,
        metavar="J",
        help="votes on each row of a dataset (default: 2 of sets for training, 5 of others, 3 of "
        "pairs)",
    )
    add_local_out(parser, "votes.parquet", "FILE", "file to write, Parquet or CSV by its ending")
    add_options(parser.add_argument_group("observers"), ObserverOptions)
    add_metric_options(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Simulate."""
    from bapps_gen.api.planning import observed_votes
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.manifests.votes import write_votes
    from bapps_gen.pipelines.judging.options import ObserverOptions

    votes = observed_votes(
        options.study,
        [open_dataset(folder) for folder in options.datasets],
        options.metric,
        options.judgments,
        record_of(options, ObserverOptions),
        metric_options(options),
        workers_of(options),
        partial(progress_bar, options.quiet),
    )
    write_votes(options.out, votes)
    if not options.quiet:
        people = len(set(votes["person"].to_pylist()))
        print(f"{votes.num_rows} simulated votes of {people} people are in {options.out}")
    return 0
