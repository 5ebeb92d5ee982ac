"""`bapps-gen jnd`: pairs of a reference and a distorted patch, near the threshold of noticing."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import (
    add_distorters,
    add_distortions,
    add_photos,
    add_size,
    make_dataset,
)
from bapps_gen.cli._options import add_options, add_workers
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.rows.options import JND_SEVERITY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each pair is a reference and one distorted patch; people say whether the two are the "
        "same. Severities are sampled uniformly from half to twice 0.2, at which a change is just "
        "noticeable; the median LPIPS goes from 0.01 to 0.06 over that range. A composition's "
        "severity is shared by its two distortions, since their effects add up. A CNN distorter's "
        "severity sets the strength of its change: all of it at 1, 0.4 of it at 0.2. The "
        "page 'JND severities' of the documentation has the measurements."
    )
    parser.add_argument(
        "--family",
        required=True,
        choices=("traditional", "cnn"),
        help="traditional distortions or CNN distorters",
    )
    add_size(parser, "pairs")
    add_photos(parser)
    add_options(
        parser,
        Request,
        "severity",
        severity={"help": JND_SEVERITY.help, "default": JND_SEVERITY.default},
    )
    add_distortions(
        parser,
        "distortions, with --family traditional (default: sampled uniformly from all 328)",
    )
    add_distorters(
        parser,
        "CNN distorters, with --family cnn (default: sampled uniformly from all of the zoo)",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset(f"jnd-{options.family}", options)
