"""`bapps-gen verify`: rows made again and compared with what is stored."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import over_sets
from bapps_gen.cli._options import (
    add_dataset,
    add_options,
    add_plugins,
    add_source,
    add_workers,
    image_opener,
    progress_bar,
    values_of,
    workers_of,
)
from bapps_gen.errors import UserError
from bapps_gen.pipelines.datasets.request import Request

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.pipelines.datasets.kind import Opener
    from bapps_gen.pipelines.datasets.verify import VerifyReport
    from bapps_gen.storage.locations import Location

_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(
        parser,
        "folder or URL of a dataset, folder of a collection for all its sets, or of a benchmark",
    )
    add_source(parser, "where sources.local.json says they were")
    add_options(
        parser,
        Request,
        *("outputs", "zoo"),
        outputs={
            "help": "where the outputs of an algorithm are now, in a set from real algorithms",
            "default_text": "where sources.local.json says they were",
        },
        zoo={"default_text": "where sources.local.json says it was, if there are CNN distorters"},
    )
    parser.add_argument(
        "--tolerance",
        type=int,
        default=0,
        metavar="LEVELS",
        help="allow pictures to differ from the re-rendered ones by this many levels of 255, "
        "as they may under other versions of the libraries or on another processor "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--stored-only",
        action="store_true",
        help="check what can be checked without the photos",
    )
    add_plugins(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Verify; 1 when anything differs."""
    from bapps_gen.manifests.benchmark_reader import is_benchmark
    from bapps_gen.manifests.collection import is_collection

    workers = workers_of(options)
    if is_benchmark(options.dataset):
        return _verify_benchmark(options, workers)
    if options.outputs and is_collection(options.dataset):
        raise UserError("--outputs is for one set of a collection; name its folder")
    opener = image_opener(options.quiet)
    return over_sets(options.dataset, lambda folder: _verify(folder, options, workers, opener))


def _verify(
    folder: Location,
    options: argparse.Namespace,
    workers: Workers,
    opener: Opener,
) -> int:
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.kinds import kind_of
    from bapps_gen.pipelines.datasets.verify import verify
    from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo, with_plugins

    outputs = dict(values_of(options, Request).get("outputs", ()))
    dataset = open_dataset(folder, incomplete=True)
    one = folder == options.dataset
    info = with_plugins(dataset.info, options.plugins, is_collection=not one)
    dataset = replace(dataset, info=info)
    kind = kind_of(info)
    # The photos of a collection are no ground truth of its sets from real algorithms.
    photos = options.source if one or not kind.has_outputs else []
    source = zoo = None
    if not (kind.is_reproducible or options.quiet):
        print(f"{folder} was imported: its pictures are checked, but cannot be made again")
    if kind.is_reproducible and not options.stored_only:
        # Of a collection, a zoo is for its sets with CNN distorters.
        is_for_it = one or kind.has_distorters
        zoo = open_dataset_zoo(dataset.info, options.zoo if is_for_it else None)
        source = kind.relocate_images(dataset, photos, outputs, opener)
    with progress_bar(options.quiet, "verify", "rows") as progress:
        report = verify(dataset, source, workers, progress, zoo=zoo, tolerance=options.tolerance)
    return _print_report(folder, report, options, again=source is not None)


def _verify_benchmark(options: argparse.Namespace, workers: Workers) -> int:
    from bapps_gen.manifests.benchmark_reader import open_benchmark
    from bapps_gen.pipelines.benchmarks.verify import verify_benchmark
    from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo, roots_of, with_plugins
    from bapps_gen.storage.locations import local_path

    if options.outputs:
        raise UserError("--outputs is for sets from real algorithms; leave it out")
    benchmark = open_benchmark(local_path(str(options.dataset)))
    benchmark = replace(benchmark, info=with_plugins(benchmark.info, options.plugins))
    zoo = source = None
    if not options.stored_only:
        zoo = open_dataset_zoo(benchmark.info, options.zoo)
        source = image_opener(options.quiet)(tuple(options.source) or roots_of(benchmark.info))
    with progress_bar(options.quiet, "verify", "pictures") as progress:
        report = verify_benchmark(
            benchmark, source, workers, progress, zoo=zoo, tolerance=options.tolerance
        )
    return _print_report(benchmark.folder, report, options, again=source is not None)


def _print_report(
    folder: Location, report: VerifyReport, options: argparse.Namespace, *, again: bool
) -> int:
    """Print what was found; 1 when anything differs."""
    for problem in report.problems[:_LISTED]:
        print(problem)
    if report.count > _LISTED:
        print(f"… and {report.count - _LISTED} more")
    if report.count:
        print(f"{folder}: {report.count} differences in {report.rows} rows compared")
        return 1
    if not options.quiet:
        what = "every pixel made again" if again else "the stored pictures"
        print(f"{folder}: {report.rows} rows are as planned, {what}")
        if report.tolerated:
            print(
                f"{report.tolerated} of them differ by up to {report.largest} levels, within "
                f"the tolerance of {options.tolerance}"
            )
    return 0
