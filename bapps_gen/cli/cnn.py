"""`bapps-gen cnn`: triplets with CNN distorters."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distorters, add_set, make_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each side of a triplet is one CNN distorter, drawn evenly; the two are different. Each "
        "distorts as it was trained."
    )
    add_set(parser)
    add_distorters(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_set("cnn", options)
