"""`bapps-gen judge`: votes turned into the judgments of a dataset's rows."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import add_dataset, add_options, values_of
from bapps_gen.storage.locations import location_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.checks import options_of
    from bapps_gen.pipelines.judging.filters import VoteFilter

    add_dataset(parser)
    parser.add_argument(
        "--votes",
        type=location_of,
        nargs="+",
        required=True,
        metavar="FILE",
        help="votes, as `bapps-gen study votes` writes them: Parquet or CSV",
    )
    names = [entry.name for entry, _ in options_of(VoteFilter)]
    add_options(parser.add_argument_group("which votes count"), VoteFilter, *names)


def run(options: argparse.Namespace) -> int:
    """Judge."""
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.manifests.votes import read_votes, votes_digests
    from bapps_gen.pipelines.judging.filters import VoteFilter
    from bapps_gen.pipelines.judging.judge import judge_dataset

    dataset = open_dataset(options.dataset)
    chosen = VoteFilter(**values_of(options, VoteFilter))
    votes = read_votes(options.votes)
    info = judge_dataset(dataset, votes, chosen, votes_digests(options.votes))
    made_up = ", simulated" if info.simulated else ""
    print(
        f"{info.rows} of {dataset.info.rows} rows of {dataset.folder} are judged, by {info.votes} "
        f"votes of {info.people} people{made_up}"
    )
    for reason, number in info.left_out.items():
        print(f"left out: {number} votes ({reason})")
    return 0
