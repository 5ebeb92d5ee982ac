"""`bapps-gen merge`: the rows of several datasets as one."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import add_new_out, add_several, progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Datasets may be of several kinds, but all of triplets or all of pairs. Rows keep their "
        "ids, which have to differ, their judgments, and distances that all of the datasets have; "
        "verify, replay and all other commands take the merged set."
    )
    add_several(parser, "datasets", "folder or URL of a dataset; two or more")
    add_new_out(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(options: argparse.Namespace) -> int:
    """Write the merged set."""
    from bapps_gen.api.selection import merge

    with progress_bar(options.quiet, "merge", "rows") as progress:
        made = merge(options.datasets, out=options.out, progress=progress or False)
    if not options.quiet:
        print(f"{len(made)} {made.info.unit} of {len(options.datasets)} sets in {options.out}")
    return 0
