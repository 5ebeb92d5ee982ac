"""`bapps-gen traditional`: triplets with traditional distortions."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distortions, add_set, make_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_set(parser)
    add_distortions(parser, "distortions (default: all 328 alike)")


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it."""
    return make_set("traditional", options)
