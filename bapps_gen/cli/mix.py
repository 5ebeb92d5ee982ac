"""`bapps-gen mix`: triplets with CNN distorters and traditional distortions."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distorters, add_distortions, add_set, make_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Half of the triplets set one CNN distorter against one traditional distortion, an atom "
        "or a composition, in either order. In the other half (--sequences) both sides are a CNN "
        "distorter followed by one atom, with two different distorters. Everything is drawn "
        "evenly."
    )
    add_set(parser)
    parser.add_argument(
        "--sequences",
        type=float,
        default=0.5,
        metavar="S",
        help="share of triplets whose sides are a CNN distorter followed by an atom; the others "
        "set a CNN distorter against a traditional distortion (default: %(default)s)",
    )
    add_distorters(parser)
    add_distortions(parser, "traditional distortions (default: all 328 alike)")


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_set("mix", options)
