"""`bapps-gen jnd`: pairs of a reference and a distorted patch."""

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
from bapps_gen.pipelines.rows.options import NEAR_SEVERITY, SEVERITY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each pair is a reference and one distorted patch; people say whether the two are the "
        "same. Patches are distorted as in triplets. With --near-threshold, severities are sampled "
        "uniformly from half to twice 0.2, our stand-in for just noticeable; a composition's "
        "severity is shared by its two distortions, since their effects add up, and a CNN "
        "distorter's sets the strength of its change: all of it at 1, 0.4 of it at 0.2. The page "
        "'JND pairs' of the documentation has the measurements. Identical pairs, pairs with strong "
        "noise, and pairs for practice, which check and train the people asked, belong to a study "
        "and not to a set: none are made."
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
        "near_threshold",
        "severity",
        severity={
            "help": f"{SEVERITY.help}; of CNN distorters, with --near-threshold alone, 1 is as "
            "trained. Below 0.1 some change nothing at all, which is an error",
            "default_text": "{:g} {:g}, with --near-threshold {:g} {:g}".format(
                *SEVERITY.default, *NEAR_SEVERITY
            ),
        },
    )
    add_distortions(
        parser,
        "distortions, with --family traditional (default: all 20, and their 308 compositions)",
    )
    add_distorters(
        parser,
        "CNN distorters, with --family cnn (default: sampled uniformly from all of the zoo)",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset(f"jnd-{options.family}", options)
