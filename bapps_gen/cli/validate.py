"""`bapps-gen validate`: a report on a dataset, a collection, or a zoo."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_dataset,
    add_options,
    add_workers,
    print_resume,
    progress_bar,
    values_of,
    workers_of,
)
from bapps_gen.cli._reports import check_report, finish
from bapps_gen.cli.score import add_metric_options, metric_options
from bapps_gen.cli.validate_zoo import add_zoo_arguments, names_zoo, run_zoo
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import ProgressBars
    from bapps_gen.pipelines.validation.dataset import SetReport
    from bapps_gen.pipelines.validation.options import ValidationOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.checks import options_of
    from bapps_gen.pipelines.validation.options import Limits, Thresholds, ValidationOptions

    add_dataset(
        parser,
        "folder or URL of a dataset, or folder of a collection for all its sets, or of a zoo",
        "?",
    )
    parser.add_argument(
        "--against",
        type=location_of,
        metavar="OTHER",
        help="another dataset to compare with; of a collection, another whose sets have the same "
        "paths",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("report.html"),
        metavar="FILE",
        help="report to write (default: %(default)s)",
    )
    parser.add_argument("--json", type=local_path, metavar="FILE", help="numbers to write as JSON")
    add_options(parser, ValidationOptions, "extremes")
    for title, record in (
        ("what counts", Limits),
        ("thresholds; exit code 1 where one is missed", Thresholds),
    ):
        names = [entry.name for entry, _ in options_of(record)]
        add_options(parser.add_argument_group(title), record, *names)
    add_metric_options(parser)
    add_zoo_arguments(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Validate; 1 when a threshold is missed."""
    if names_zoo(options):
        return run_zoo(options)
    from bapps_gen.manifests.collection import is_collection
    from bapps_gen.pipelines.validation.options import Limits, Thresholds, ValidationOptions

    workers = workers_of(options)
    requested = ValidationOptions(
        **values_of(options, ValidationOptions),
        limits=Limits(**values_of(options, Limits)),
        thresholds=Thresholds(**values_of(options, Thresholds)),
        metric=metric_options(options),
    )
    check_report(options)
    validate = _validate_collection if is_collection(options.dataset) else _validate_dataset
    try:
        return validate(options, requested, workers, partial(progress_bar, options.quiet))
    except KeyboardInterrupt:
        print_resume("finished distances")
        raise


def _validate_dataset(
    options: argparse.Namespace,
    requested: ValidationOptions,
    workers: Workers,
    progress: ProgressBars,
) -> int:
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.validation.dataset import validate_dataset
    from bapps_gen.pipelines.validation.dataset_page import set_page

    dataset = open_dataset(options.dataset)
    other = open_dataset(options.against) if options.against else None
    report = validate_dataset(dataset, requested, workers, other=other, progress=progress)
    return finish(options, report, set_page(report), f"{options.dataset}: ")


def _validate_collection(
    options: argparse.Namespace,
    requested: ValidationOptions,
    workers: Workers,
    progress: ProgressBars,
) -> int:
    """Validate every set of a collection; 1 when one misses a threshold or is not whole."""
    from bapps_gen.manifests.collection import open_collection
    from bapps_gen.pipelines.validation.collection import collection_page, validate_collection

    def print_summary(report: SetReport) -> None:
        if not options.quiet:
            print(f"{report.name}: {report.summary()}")

    report = validate_collection(
        open_collection(options.dataset),
        requested,
        workers,
        against=open_collection(options.against) if options.against else None,
        progress=progress,
        on_report=print_summary,
    )
    if not options.quiet:
        for record in report.collection.info.sets:
            if not record.made:
                print(f"{record.path}: {record.state}")
    return finish(options, report, collection_page(report), f"{options.dataset}/")
