"""Validation of a collection: every set of it by the thresholds that apply to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bapps_gen.errors import BappsGenError, UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.collection import Collection
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.metrics import MetricSpec
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.scoring.options import check_metrics
from bapps_gen.pipelines.validation.dataset import SetReport, validate_dataset
from bapps_gen.pipelines.validation.dataset_page import set_view
from bapps_gen.pipelines.validation.html import render
from bapps_gen.pipelines.validation.options import (
    Thresholds,
    ValidationOptions,
    check_applicable,
    check_limited,
    label_of,
)


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """All that a report says of a collection.

    Args:
        collection: with what is on disk.
        parts: reports of the sets that were validated, named by their paths.
        missed: a line for each threshold missed and each set that could not be validated.
        thresholds: of the user.
        metric: of the distances.
    """

    collection: Collection
    parts: tuple[SetReport, ...]
    missed: tuple[str, ...]
    thresholds: Thresholds
    metric: MetricSpec

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""
        info = self.collection.info
        return {
            "collection": str(self.collection.folder),
            "metric": self.metric.name,
            "left_out": dict(info.left_out),
            "states": {record.path: record.state for record in info.sets},
            "sets": [
                {key: value for key, value in part.values().items() if key != "metric"}
                for part in self.parts
            ],
            "problems": list(self.missed),
        }

    def summary(self) -> str:
        """The main numbers on one line."""
        return f"{len(self.parts)} of {len(self.collection.info.sets)} sets validated"


def applicable_thresholds(thresholds: Thresholds, dataset: Dataset) -> Thresholds:
    """Those that can be applied to a set: the others are for other sets of its collection.

    Near-equal sides need triplets, coverage and Spearman's ρ traditional distortions.
    """
    if dataset.info.unit != "triplets":
        thresholds = thresholds.without("max_near_equal")
    if not kind_of(dataset.info).has_atoms:
        thresholds = thresholds.without("min_coverage", "min_spearman")
    return thresholds


def validate_collection(
    collection: Collection,
    options: ValidationOptions,
    workers: Workers,
    *,
    against: Collection | None = None,
    progress: ProgressBars = no_progress,
    on_report: Callable[[SetReport], None] = lambda report: None,
) -> CollectionReport:
    """Validate every set of a collection of which something was made.

    Args:
        collection: opened.
        options: limits, thresholds, and rows to show of each set.
        workers: worker processes, or a Ray cluster.
        against: another collection, whose sets of the same paths are compared with.
        progress: opens a progress bar for a step of the work.
        on_report: called with each set's report.

    Raises:
        UserError: when `against` lacks a set, or a threshold cannot be applied.
    """
    (spec,) = check_metrics([options.metric], options.metric_options)
    check_limited(options.thresholds, options.limits, spec.name)
    collection = collection.refreshed()
    others = {record.path: dataset for record, dataset in against.datasets()} if against else {}
    made = collection.datasets()
    for record, dataset in made:
        if against and record.path not in others:
            raise UserError(
                f"{against.folder} has no set {record.path} to compare with; "
                "give a collection that has, or leave out --against"
            )
        check_applicable(
            applicable_thresholds(options.thresholds, dataset),
            dataset.info.unit,
            compared=record.path in others,
        )
    parts: list[SetReport] = []
    missed: list[str] = []
    for record, dataset in made:
        thresholds = applicable_thresholds(options.thresholds, dataset)
        other = others.get(record.path)
        try:
            for entry in filter(None, (dataset, other)):
                entry.require_whole()
            part = validate_dataset(
                dataset,
                replace(options, thresholds=thresholds),
                workers,
                other=other,
                name=record.path,
                progress=progress,
            )
        except BappsGenError as error:
            missed.append(f"{record.path}: {error}")
            continue
        parts.append(part)
        missed += [f"{record.path}: {line}" for line in part.missed]
        on_report(part)
    return CollectionReport(collection, tuple(parts), tuple(missed), options.thresholds, spec)


def collection_page(report: CollectionReport) -> str:
    """The report of a collection as HTML."""
    info = report.collection.info
    facts = {
        "sets": f"{sum(record.complete for record in info.sets)} of {len(info.sets)} complete",
        "rows": f"{sum(record.made for record in info.sets):,}",
        "seed": info.seed,
        "scale of the last run": f"{info.scale:g}",
        "made with": f"bapps-gen {info.version}",
        "photos both in train and in another split": f"{info.shared_photos:,}",
    }
    views = {part.name: set_view(part) for part in report.parts}
    return render(
        "collection.html.j2",
        name=info.name,
        facts=facts,
        info=info,
        parts_by_path={part.name: part for part in report.parts},
        views=views,
        missed=report.missed,
        has_thresholds=report.thresholds.any_set,
        label=label_of(report.metric.name),
    )
