"""`bapps-gen jnd`: pairs of a reference and a distorted patch, near the threshold of noticing."""

from __future__ import annotations

import argparse

from bapps_gen.cli._make import add_distorters, add_distortions, add_set, make_set
from bapps_gen.errors import UserError

# options by the family that they go with
_OF_FAMILY = {
    "traditional": ("families", "atoms", "compositions", "singles", "plugin"),
    "cnn": ("zoo", "distorters"),
}
_NOT_GIVEN: tuple[object, ...] = (None, (), [])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each pair is a reference and one distorted patch; people say whether the two are the "
        "same. Severities are sampled uniformly from half to twice 0.2, at which a change is just "
        "noticeable; the median LPIPS goes from 0.01 to 0.06 over that range. A composition's "
        "severity is shared by its two distortions, for their effects add up. A CNN distorter's "
        "severity sets the strength of its change: all of it at 1, 0.4 of it at 0.2. The "
        "page 'JND severities' of the documentation has the measurements."
    )
    parser.add_argument(
        "--family",
        required=True,
        choices=tuple(_OF_FAMILY),
        help="traditional distortions or CNN distorters",
    )
    add_set(parser, "pairs")
    parser.add_argument(
        "--severity",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="severities drawn: 0 changes nothing, 0.2 is just noticeable, 1 is strong, and for "
        "CNN distorters as trained; below 0.1 some change nothing at all, which is an error "
        "(default: 0.1 0.4)",
    )
    add_distortions(
        parser, "distortions, with --family traditional (default: all 328 alike)", severity=False
    )
    add_distorters(parser, "CNN distorters, with --family cnn (default: all of the zoo alike)")


def run(options: argparse.Namespace) -> int:
    """Make the dataset, or what is missing of it.

    Raises:
        UserError: for an option of the other family.
    """
    for family, names in _OF_FAMILY.items():
        for name in names:
            if family != options.family and getattr(options, name) not in _NOT_GIVEN:
                raise UserError(
                    f"--{name} goes with --family {family} alone, and this is --family "
                    f"{options.family}; leave it out"
                )
    return make_set(f"jnd-{options.family}", options)
