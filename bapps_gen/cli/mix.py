"""`bapps-gen mix`: triplets with CNN distorters and traditional distortions."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Half of the triplets pair one CNN distorter with one traditional distortion, an atom or "
        "a composition, in either order. In the other half (--sequences) both sides are a CNN "
        "distorter followed by one atom, with two different distorters. Everything is sampled "
        "uniformly."
    )
    add_size(parser)
    add_photos(parser)
    add_options(parser, Request, "sequences")
    add_distorters(parser)
    add_distortions(
        parser, "traditional distortions (default: all 20, and their 308 compositions)", "severity"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset("mix", options)
