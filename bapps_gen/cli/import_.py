"""`bapps-gen import`: the original folder layout as datasets."""

from __future__ import annotations

import argparse
from functools import partial

from bapps_gen.cli._options import (
    add_check,
    add_options,
    add_workers,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)
from bapps_gen.storage.locations import local_path, location_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.datasets.import_options import ImportOptions

    parser.add_argument(
        "folder",
        type=local_path,
        metavar="FOLDER",
        help="a set's folder, such as 2afc/val/traditional, or any folder that contains several",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--out",
        type=location_of,
        metavar="DIR",
        help="the dataset's folder or URL; for several sets, the folder to put them in",
    )
    target.add_argument(
        "--dataset",
        type=location_of,
        metavar="DATASET",
        help="dataset that was exported to FOLDER, to judge its rows by the judgments there: rows "
        "are found by the hashes of their pixels, and keep ids, steps and severities",
    )
    add_options(parser, ImportOptions)
    add_check(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Import every set, or its judgments."""
    if options.dataset is not None:
        return _judge(options)
    from bapps_gen.api._arguments import check_writable
    from bapps_gen.pipelines.datasets.import_options import ImportOptions
    from bapps_gen.pipelines.datasets.import_set import import_sets

    asked = record_of(options, ImportOptions)
    workers, bars = workers_of(options), partial(progress_bar, options.quiet)
    check_writable(options.out)
    with resumable("whole shards", options.out):
        for original, out, report in import_sets(
            options.folder,
            options.out,
            workers,
            asked,
            hashing=bars,
            importing=bars,
            check=options.check,
        ):
            if not options.quiet:
                kept = f", {report.kept} of them kept from before" if report.kept else ""
                print(f"{len(original.stems)} rows of {original.label} in {out}{kept}")
    return 0


def _judge(options: argparse.Namespace) -> int:
    from bapps_gen.api.judging import judge
    from bapps_gen.manifests.dataset import open_dataset

    dataset = open_dataset(options.dataset)
    with progress_bar(options.quiet, "reading", "rows") as progress:
        info = judge(
            dataset,
            original=options.folder,
            workers=workers_of(options),
            progress=progress or False,
        )
    if not options.quiet:
        print(f"{info.rows} of {dataset.info.rows} rows of {dataset.folder} are judged")
    return 0
