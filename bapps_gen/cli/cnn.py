"""`bapps-gen cnn`: triplets with CNN distorters."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distorters, add_photos, add_size, make_dataset
from bapps_gen.cli._options import add_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each side of a triplet is one CNN distorter, sampled uniformly; the two are different. "
        "Each distorts as it was trained."
    )
    add_size(parser)
    add_photos(parser)
    add_distorters(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset("cnn", options)
