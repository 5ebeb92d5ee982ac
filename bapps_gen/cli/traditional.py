"""`bapps-gen traditional`: triplets with traditional distortions."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distortions, add_photos, add_size, make_dataset
from bapps_gen.cli._options import add_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_size(parser)
    add_photos(parser)
    add_distortions(parser, "distortions (default: all 20, and their 308 compositions)", "severity")
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_dataset("traditional", options)
