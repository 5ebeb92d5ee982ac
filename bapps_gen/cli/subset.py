"""`bapps-gen subset`: the rows of a dataset for which a condition holds."""

from __future__ import annotations

import argparse

from bapps_gen.cli._options import add_dataset, add_new_out, progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Columns are those of the rows without pictures; severity0 and severity1, the highest "
        "severity of a side's steps; and distances by the metrics that the dataset was scored by, "
        "such as d0_lpips_alex. Rows are seen one at a time. The subset keeps ids, judgments and "
        "distances, and verify, replay and all other commands take it."
    )
    add_dataset(parser)
    parser.add_argument(
        "--where",
        required=True,
        metavar="SQL",
        help="condition on a row, such as \"distortion0 = 'jpeg' AND severity0 < 0.5\"",
    )
    add_new_out(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(options: argparse.Namespace) -> int:
    """Write the subset."""
    from bapps_gen.api.datasets import open_dataset
    from bapps_gen.api.selection import subset

    dataset = open_dataset(options.dataset)
    with progress_bar(options.quiet, "subset", "rows") as progress:
        made = subset(dataset, options.where, out=options.out, progress=progress or False)
    if not options.quiet:
        print(f"{len(made)} of {len(dataset)} {dataset.info.unit} in {options.out}")
    return 0
