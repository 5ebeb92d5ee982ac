"""`bapps-gen validate`: a report on a dataset, a collection, a benchmark, or a zoo."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_dataset,
    add_options,
    add_workers,
    image_opener,
    progress_bar,
    record_of,
    resumable,
    values_of,
    workers_of,
)
from bapps_gen.cli.score import add_metric_options, metric_options
from bapps_gen.cli.validate_zoo import add_zoo_arguments, names_zoo
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.pipelines.validation.options import ValidationOptions, ZooOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.validation.options import Limits, Thresholds, ValidationOptions

    add_dataset(
        parser,
        "folder or URL of a dataset, folder of a collection for all its sets, of a benchmark, or "
        "of a zoo",
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
        metavar="FILE",
        help="report to write or replace (default: report.html, or report-2.html "
        "and so on where there is one)",
    )
    parser.add_argument("--json", type=local_path, metavar="FILE", help="numbers to write as JSON")
    add_options(parser, ValidationOptions, "metric", "extremes")
    for title, record in (
        ("what counts", Limits),
        ("thresholds; exit code 1 where one is missed", Thresholds),
    ):
        add_options(parser.add_argument_group(title), record)
    add_metric_options(parser)
    add_zoo_arguments(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Validate; 1 when a threshold is missed or a rule broken."""
    is_zoo = names_zoo(options)
    workers = workers_of(options)
    requested = _zoo_options(options) if is_zoo else _dataset_options(options)

    from bapps_gen.api.validation import check_parent, open_any, run_validation
    from bapps_gen.manifests.collection import Collection
    from bapps_gen.pipelines.validation.benchmark import BenchmarkReport
    from bapps_gen.pipelines.validation.dataset import SetReport

    opened = _open_zoo(options) if is_zoo else open_any(options.dataset)
    if options.json is not None:
        check_parent(options.json)

    out = options.out or _free_name()

    def print_set(report: SetReport) -> None:
        if not options.quiet:
            print(f"{report.name}: {report.summary()}")
            print_measured(report)

    def print_measured(report: SetReport | BenchmarkReport) -> None:
        name = report.name if isinstance(report, SetReport) else report.found.name
        in_common = report.in_common() if isinstance(report, SetReport) else []
        for line in (*report.measured(), *in_common):
            print(f"{name}: {line}")

    with nullcontext() if is_zoo else resumable("finished distances"):
        report = run_validation(
            opened,
            requested,
            workers,
            partial(progress_bar, options.quiet),
            photos=lambda: image_opener(options.quiet)(tuple(options.source)),
            other=None if options.against is None else open_any(options.against),
            out=out,
            sheet=options.sheet,
            on_report=print_set,
        )
    if options.json is not None:
        write_json(options.json, report.values())
    if isinstance(opened, Collection) and not options.quiet:
        for record in opened.refreshed().info.sets:
            if not record.made:
                print(f"{record.path}: {record.state}")
    for line in report.missed:
        print(f"{opened.folder}{'/' if isinstance(opened, Collection) else ': '}{line}")
    if not options.quiet:
        if isinstance(report, SetReport | BenchmarkReport):
            print_measured(report)
        print(report.summary())
        print(f"report: {out}")
    return 1 if report.missed else 0


def _free_name() -> Path:
    """The first of report.html, report-2.html and so on that is not there."""
    names = chain(["report.html"], (f"report-{number}.html" for number in count(2)))
    return next(path for path in map(Path, names) if not path.exists())


def _dataset_options(options: argparse.Namespace) -> ValidationOptions:
    from bapps_gen.pipelines.validation.options import Limits, Thresholds, ValidationOptions

    return ValidationOptions(
        **values_of(options, ValidationOptions),
        limits=record_of(options, Limits),
        thresholds=record_of(options, Thresholds),
        metric_options=metric_options(options),
    )


def _zoo_options(options: argparse.Namespace) -> ZooOptions:
    from bapps_gen.pipelines.validation.options import ZooOptions

    return record_of(options, ZooOptions)


def _open_zoo(options: argparse.Namespace) -> Zoo:
    from bapps_gen.cnn_distorters.zoo import open_zoo

    folder = options.dataset if options.zoo is None else options.zoo
    return open_zoo(None if folder is True else folder)
