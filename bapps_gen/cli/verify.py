"""`bapps-gen verify`: rows made again and compared with what is stored."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._collections import over_sets
from bapps_gen.cli._make import add_whereabouts, whereabouts
from bapps_gen.cli._options import add_dataset, add_plugins, add_workers, progress_bar, workers_of
from bapps_gen.errors import UserError

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.pipelines.datasets.verify import VerifyReport
    from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
    from bapps_gen.storage.locations import Location

_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_dataset(
        parser,
        "folder or URL of a dataset, folder of a collection for all its sets, or of a benchmark",
    )
    add_whereabouts(parser)
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
    where = whereabouts(options)
    if is_benchmark(options.dataset):
        return _verify_benchmark(where, options, workers)
    if is_collection(options.dataset):
        if where.outputs:
            raise UserError("--outputs is for one set of a collection; name its folder")
        where = replace(where, of_collection=True)
    return over_sets(options.dataset, lambda folder: _verify(folder, where, options, workers))


def _verify(
    folder: Location, where: Whereabouts, options: argparse.Namespace, workers: Workers
) -> int:
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.datasets.again import verify_dataset
    from bapps_gen.pipelines.datasets.kinds import kind_of

    dataset = open_dataset(folder, incomplete=True)
    is_reproducible = kind_of(dataset.info).is_reproducible
    if not (is_reproducible or options.quiet):
        print(f"{folder} was imported: its pictures are checked, but cannot be made again")
    report = verify_dataset(
        dataset,
        where,
        workers,
        partial(progress_bar, options.quiet),
        tolerance=options.tolerance,
        stored_only=options.stored_only,
    )
    again = is_reproducible and not options.stored_only
    return _print_report(folder, report, options, again=again)


def _verify_benchmark(where: Whereabouts, options: argparse.Namespace, workers: Workers) -> int:
    from bapps_gen.manifests.benchmark_reader import open_benchmark
    from bapps_gen.pipelines.benchmarks.verify import verify_benchmark
    from bapps_gen.storage.locations import local_path

    benchmark = open_benchmark(local_path(str(options.dataset)))
    report = verify_benchmark(
        benchmark,
        where,
        workers,
        partial(progress_bar, options.quiet),
        tolerance=options.tolerance,
        stored_only=options.stored_only,
    )
    return _print_report(benchmark.folder, report, options, again=not options.stored_only)


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
