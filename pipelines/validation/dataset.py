"""Validation of a dataset: its numbers, the thresholds that it misses, and rows to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.metrics import MetricSpec
from bapps_gen.pipelines.datasets.judged import judged_by
from bapps_gen.pipelines.datasets.overlap import (
    MEASURES,
    overlap,
    overlap_text,
    read_contents,
)
from bapps_gen.pipelines.datasets.sheet import pictured_rows
from bapps_gen.pipelines.scoring.options import check_metrics
from bapps_gen.pipelines.validation.facts import gather
from bapps_gen.pipelines.validation.options import (
    Thresholds,
    ValidationOptions,
    check_applicable,
    check_limited,
    measured,
    missed,
)
from bapps_gen.pipelines.validation.statistics import describe


@dataclass(frozen=True, slots=True)
class SetReport:
    """All that a report says of one set.

    Args:
        name: of the set.
        dataset: that was validated.
        other: that it was compared with, or None.
        metric: of the distances.
        thresholds: of the user.
        result: what `describe` returned.
        missed: a line for each threshold that the set misses.
        pictures: by row, those among the extremes with their PNG files.
        settings: of the distances.
    """

    name: str
    dataset: Dataset
    other: Dataset | None
    metric: MetricSpec
    thresholds: Thresholds
    result: Mapping[str, Any]
    missed: tuple[str, ...]
    pictures: Mapping[int, tuple[ManifestRow, tuple[bytes, ...]]]
    settings: Mapping[str, str]

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""
        return {
            "metric": self.metric.name,
            "dataset": str(self.dataset.folder),
            "against_dataset": str(self.other.folder) if self.other else None,
            "spec_digest": self.dataset.info.digest,
            "settings": dict(self.settings),
            **self.result,
            "missed": list(self.missed),
        }

    def measured(self) -> list[str]:
        """A line for each threshold: what was measured, and what is required."""
        return measured(self.result, self.thresholds)

    def in_common(self) -> list[str]:
        """What the set has in common with the other, a line, and a line for each warning."""
        if self.other is None:
            return []
        found = self.result["against"]["overlap"]
        parts = (f"{what} {overlap_text(found[name])}" for name, what in MEASURES.items())
        warnings = (f"warning: {line}" for line in found["warnings"])
        return [f"in common with {self.other.folder}: {', '.join(parts)}", *warnings]

    def summary(self) -> str:
        """The main numbers on one line."""
        shares, cover = self.result["shares"], self.result["coverage"]
        parts = [
            f"median {self.result['label']} {self.result['distance']['p50']:.3f}",
            *(
                f"{key.replace('_', '-')} {100 * shares[key]:.2f} %"
                for key in ("invisible", "destroyed", "near_equal")
                if shares[key] is not None
            ),
        ]
        if self.result.get("judgments_simulated"):
            parts.append("simulated judgments")
        if cover["used"]:
            parts.append(f"{cover['used']} of {cover['of']} distortions")
        return f"{self.result['rows']} rows: {', '.join(parts)}"


def validate_dataset(
    dataset: Dataset,
    options: ValidationOptions,
    workers: Workers,
    *,
    other: Dataset | None = None,
    name: str | None = None,
    progress: ProgressBars = no_progress,
) -> SetReport:
    """Validate a set; distances that it lacks are computed and stored beside it.

    Args:
        dataset: whole, with pictures.
        options: limits, thresholds, and rows to show.
        workers: worker processes, or a Ray cluster.
        other: another set to compare with.
        name: in the report; by default that of the folder.
        progress: opens a progress bar for a step of the work.

    Raises:
        UserError: for a recipe, or a threshold that cannot be applied.
        WorkError: when a set or its distances are damaged.
    """
    check_applicable(options.thresholds, dataset.info.unit, compared=other is not None)
    (spec,) = check_metrics([options.metric], options.metric_options)
    check_limited(options.thresholds, options.limits, spec.name)
    gathered = []
    for entry in (dataset, other):
        if entry is not None:
            with progress("score", "rows") as scored, progress("read", "rows") as read:
                gathered.append(gather(entry, spec, options.metric_options, workers, read, scored))
    (facts, settings), *others = gathered
    result = describe(facts, options.limits, others[0][0] if others else None, options.extremes)
    if other is not None:
        result["against"]["overlap"] = overlap(read_contents(dataset), read_contents(other))
    if "judgments" in result:
        held = judgements_info(dataset.folder, dataset.info.digest)
        result["judged_by"] = held and judged_by(held)
        result["judgments_simulated"] = held is not None and held.simulated
    rows = {entry["row"] for entries in result["extremes"].values() for entry in entries}
    return SetReport(
        name=name or dataset.folder.resolve().name,
        dataset=dataset,
        other=other,
        metric=spec,
        thresholds=options.thresholds,
        result=result,
        missed=tuple(missed(result, options.thresholds)),
        pictures={row.row: (row, pngs) for row, pngs in pictured_rows(dataset, rows)},
        settings=dict(settings),
    )
