"""`bapps-gen validate`: a report that says whether a dataset, or a zoo, is good."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._options import add_dataset, add_workers, print_resume, progress_bar, workers_of
from bapps_gen.cli.score import add_metrics, metric_options
from bapps_gen.cli.validate_zoo import add_zoo_arguments, names_zoo, run_zoo
from bapps_gen.errors import BappsGenError, UserError, out_of_range
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bapps_gen.execution.jobs import Workers
    from bapps_gen.manifests.dataset import Dataset
    from bapps_gen.pipelines.scoring.score import MetricOptions
    from bapps_gen.pipelines.validation.dataset import Limits, Thresholds
    from bapps_gen.pipelines.validation.dataset_page import ReportPart

MAX_EXTREMES = 100

_LIMITS = (
    ("invisible", 0.01, "LPIPS below which a side counts as invisible"),
    ("destroyed", 0.8, "LPIPS above which a side counts as destroyed"),
    ("near", 0.01, "|d0 - d1| below which the sides of a triplet count as near-equal"),
    ("flat", 0.02, "standard deviation of luma, of full scale, below which a reference is flat"),
)

_THRESHOLDS = (
    ("max-invisible", float, "F", "largest share of invisible sides"),
    ("max-destroyed", float, "F", "largest share of destroyed sides"),
    ("max-near-equal", float, "F", "largest share of triplets with near-equal sides"),
    ("max-duplicates", float, "F", "largest share of rows that repeat another"),
    ("max-flat", float, "F", "largest share of flat references"),
    ("min-coverage", int, "N", "least number of the 328 distortions that occur"),
    ("min-spearman", float, "R", "least Spearman rho of severity and LPIPS, of every distortion"),
    ("max-ks", float, "D", "largest Kolmogorov-Smirnov distance of LPIPS to the other set"),
    ("max-wasserstein", float, "D", "largest Wasserstein distance of LPIPS to the other set"),
    ("max-use", float, "D", "largest total variation distance of distortions to the other set"),
)

# What says nothing of a zoo, with its default.
_DATASET_ONLY = (
    ("against", None),
    ("extremes", 9),
    *((name, default) for name, default, _ in _LIMITS),
    *((name, None) for name, *_ in _THRESHOLDS),
    ("device", "auto"),
    ("dtype", "float32"),
    ("weights", None),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
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
    parser.add_argument(
        "--extremes",
        type=int,
        default=9,
        metavar="N",
        help="rows shown of each extreme (default: %(default)s)",
    )
    limits = parser.add_argument_group("what counts")
    for name, default, told in _LIMITS:
        limits.add_argument(
            f"--{name}",
            type=float,
            default=default,
            metavar="X",
            help=f"{told} (default: {default})",
        )
    demands = parser.add_argument_group("thresholds; exit code 1 where one is missed")
    for name, kind, letter, told in _THRESHOLDS:
        demands.add_argument(f"--{name}", type=kind, metavar=letter, help=told)
    add_metrics(parser, None)
    add_zoo_arguments(parser)
    add_workers(parser)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of every set."""

    metric: MetricOptions
    limits: Limits
    thresholds: Thresholds
    demands: bool
    extremes: int
    workers: Workers
    quiet: bool


def run(options: argparse.Namespace) -> int:
    """Validate; 1 when a threshold is missed."""
    if names_zoo(options):
        return run_zoo(options, _DATASET_ONLY)
    from bapps_gen.manifests.collection import is_collection
    from bapps_gen.manifests.dataset import open_dataset
    from bapps_gen.pipelines.validation.dataset import METRIC, Limits, Thresholds
    from bapps_gen.pipelines.validation.dataset_page import render_report

    workers = workers_of(options)
    metric = metric_options(options)
    limits = Limits(options.invisible, options.destroyed, options.near, options.flat)
    names = [name.replace("-", "_") for name, *_ in _THRESHOLDS]
    thresholds = Thresholds(**{name: getattr(options, name) for name in names})
    demands = any(getattr(options, name) is not None for name in names)
    if not 1 <= options.extremes <= MAX_EXTREMES:
        raise out_of_range(
            "extremes", options.extremes, f"a whole number from 1 to {MAX_EXTREMES}", "show fewer"
        )
    for path in (options.out, options.json):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} does not exist; create it first")
    asked = _Asked(metric, limits, thresholds, demands, options.extremes, workers, options.quiet)
    if is_collection(options.dataset):
        return _validate_collection(options, asked)
    dataset = open_dataset(options.dataset)
    other = open_dataset(options.against) if options.against else None
    _check_demands(thresholds, dataset, other)
    part = _validate(dataset, other, asked, dataset.folder.resolve().name)
    page = render_report(part.head, part.found, part.pictures)
    _write(options, page, {"metric": METRIC, **_values(part, dataset, other)})
    for line in part.head.missed:
        print(f"{options.dataset}: {line}")
    if not options.quiet:
        print(_summary(part.found))
        print(f"look at it: {options.out}")
    return 1 if part.head.missed else 0


def _validate(dataset: Dataset, other: Dataset | None, asked: _Asked, name: str) -> ReportPart:
    """The numbers of one set, and what the report shows of it."""
    from bapps_gen.pipelines.validation.dataset import gather, missed, read_patches, validate
    from bapps_gen.pipelines.validation.dataset_page import ReportHead, ReportPart

    gathered = []
    try:
        for entry in (dataset, other):
            if entry is None:
                continue
            with (
                progress_bar(asked.quiet, "score", "rows") as scored,
                progress_bar(asked.quiet, "read", "rows") as read,
            ):
                gathered.append(gather(entry, asked.metric, asked.workers, read, scored))
    except KeyboardInterrupt:
        print_resume("finished distances")
        raise
    (facts, settings), *others = gathered
    found = validate(facts, asked.limits, others[0][0] if others else None, asked.extremes)
    rows = {entry["row"] for listed in found["extremes"].values() for entry in listed}
    head = ReportHead(
        name=name,
        facts=_facts(dataset, settings),
        other=other.folder.resolve().name if other else None,
        demands=asked.demands,
        missed=tuple(missed(found, asked.thresholds)),
    )
    return ReportPart(head, found, read_patches(dataset, sorted(rows)), dict(settings))


def _validate_collection(options: argparse.Namespace, asked: _Asked) -> int:
    """Validate every set of a collection; 1 when one misses a threshold or is not whole."""
    from dataclasses import replace

    from bapps_gen.manifests.collection import open_collection
    from bapps_gen.pipelines.validation.collection import (
        collection_facts,
        fitting_thresholds,
        render_collection,
    )
    from bapps_gen.pipelines.validation.dataset import METRIC

    collection = open_collection(options.dataset).refreshed()
    others = {}
    if options.against:
        others = {
            record.path: dataset for record, dataset in open_collection(options.against).datasets()
        }
    made = collection.datasets()
    for record, dataset in made:
        if options.against and record.path not in others:
            raise UserError(
                f"{options.against} has no set {record.path} to compare with; "
                "give a collection that has, or leave out --against"
            )
        _check_demands(
            fitting_thresholds(asked.thresholds, dataset), dataset, others.get(record.path)
        )
    parts, problems, values = [], [], []
    for record, dataset in made:
        fitting = replace(asked, thresholds=fitting_thresholds(asked.thresholds, dataset))
        other = others.get(record.path)
        try:
            dataset.require_whole()
            if other is not None:
                other.require_whole()
            part = _validate(dataset, other, fitting, record.path)
        except BappsGenError as error:
            problems.append(f"{record.path}: {error}")
            continue
        parts.append(part)
        values.append(_values(part, dataset, other))
        problems += [f"{record.path}: {line}" for line in part.head.missed]
        if not options.quiet:
            print(f"{record.path}: {_summary(part.found)}")
    facts = collection_facts(collection)
    shown = problems if asked.demands or problems else None
    page = render_collection(collection.info.name, facts, collection.info, parts, shown)
    _write(
        options,
        page,
        {
            "collection": str(options.dataset),
            "metric": METRIC,
            "left_out": dict(collection.info.left_out),
            "states": {record.path: record.state for record in collection.info.sets},
            "sets": values,
            "problems": problems,
        },
    )
    for line in problems:
        print(f"{options.dataset}/{line}")
    if not options.quiet:
        for record in collection.info.sets:
            if not record.made:
                print(f"{record.path}: {record.state}")
        print(f"{len(parts)} of {len(collection.info.sets)} sets validated")
        print(f"look at it: {options.out}")
    return 1 if problems else 0


def _values(part: ReportPart, dataset: Dataset, other: Dataset | None) -> dict[str, Any]:
    """The numbers of one set for JSON."""
    return {
        "dataset": str(dataset.folder),
        "against_dataset": str(other.folder) if other else None,
        "spec_digest": dataset.info.digest,
        "settings": dict(part.settings),
        **part.found,
        "missed": list(part.head.missed),
    }


def _write(options: argparse.Namespace, page: str, values: Mapping[str, Any]) -> None:
    """Write the report, and the numbers where they are asked for."""
    from bapps_gen.storage.atomic import whole_file
    from bapps_gen.storage.documents import write_json

    with whole_file(options.out) as path:
        path.write_text(page, encoding="utf-8")
    if options.json is not None:
        write_json(options.json, values)


def _check_demands(thresholds: Thresholds, dataset: Dataset, other: Dataset | None) -> None:
    """Tell before anything is computed that a threshold has nothing to be held against."""
    from bapps_gen.manifests.rows import PAIR_PATCHES

    for name in ("max_ks", "max_wasserstein", "max_use"):
        limit = getattr(thresholds, name)
        if limit is not None and other is None:
            raise UserError(
                f"{name.replace('_', '-')} = {limit:g} needs another set; add --against DATASET"
            )
    if thresholds.max_near_equal is not None and tuple(dataset.info.patches) == PAIR_PATCHES:
        raise UserError("max-near-equal goes with triplets; this is a set of JND pairs")


def _facts(dataset: Dataset, settings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    info = dataset.info
    return (
        ("kind", info.kind),
        ("rows", f"{info.rows:,}"),
        ("spec digest", info.digest),
        ("made with", f"bapps-gen {info.version}"),
        ("source", ", ".join(info.source_roots) or "built-in photographs"),
        ("distance", "LPIPS v0.1 alex, " + settings.get("dtype", "float32")),
    )


def _summary(found: Mapping[str, Any]) -> str:
    shares = found["shares"]
    parts = [
        f"median LPIPS {found['lpips']['p50']:.3f}",
        f"invisible {100 * shares['invisible']:.2f} %",
        f"destroyed {100 * shares['destroyed']:.2f} %",
    ]
    if shares["near_equal"] is not None:
        parts.append(f"near-equal {100 * shares['near_equal']:.2f} %")
    cover = found["coverage"]
    if cover["used"]:
        parts.append(f"{cover['used']} of {cover['of']} distortions")
    return f"{found['rows']} rows: " + ", ".join(parts)
