"""Metrics compared on judged sets: scores, means, differences and correlations, as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bapps_gen.metrics.table import MetricSpec
from bapps_gen.pipelines.comparison.correlation import Correlation, correlate
from bapps_gen.pipelines.comparison.families import FAMILIES, Family, family_of
from bapps_gen.pipelines.comparison.paired import Difference, paired_differences
from bapps_gen.pipelines.scoring.evaluate import (
    Estimate,
    Evaluation,
    Mean,
    as_values,
    estimate_values,
    means_over_sets,
)
from bapps_gen.pipelines.scoring.options import EvaluationOptions

SET_TITLES = {
    "traditional": "Traditional",
    "cnn": "CNN-based",
    "mix": "Mixed",
    "superres": "Super-resolution",
    "frameinterp": "Frame interpolation",
    "deblur": "Deblurring",
    "color": "Colorization",
}
"""Titles of kinds of sets, in the order of tables and figures; other kinds come after them."""

MEAN_TITLES = {"all": "All sets", "distortions": "Distortions", "real": "Real algorithms"}
"""Titles of means over sets."""

SCORES = {"2afc": "2AFC", "jnd": "mAP"}


@dataclass(frozen=True, slots=True)
class Column:
    """The scores of a set, or means over sets, and the differences between metrics on them.

    Args:
        task: "2afc" or "jnd".
        title: of figures and tables.
        of: where the numbers are from.
        differences: of each two metrics.
    """

    task: str
    title: str
    of: Evaluation | Mean
    differences: tuple[Difference, ...]

    @property
    def scores(self) -> dict[str, Estimate]:
        """By name, ceilings first."""
        return dict(self.of.scores)

    @property
    def is_mean(self) -> bool:
        """Whether it is of several sets."""
        return isinstance(self.of, Mean)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Metrics compared on judged sets.

    Args:
        metrics: in the order of families, then as given, with their families.
        sets: what each set says.
        columns: of each task: means first, then sets.
        correlation: of the two tests; None where one is missing.
        options: of the evaluation.
    """

    metrics: tuple[tuple[MetricSpec, Family], ...]
    sets: tuple[Evaluation, ...]
    columns: tuple[Column, ...]
    correlation: Correlation | None
    options: EvaluationOptions

    @property
    def simulated(self) -> bool:
        """Whether any judgment came from simulated observers."""
        return any(entry.simulated for entry in self.sets)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(spec.name for spec, _ in self.metrics)

    @property
    def families(self) -> tuple[tuple[str, str], ...]:
        """Name and title of each family that there is."""
        return tuple(dict.fromkeys((family.name, family.title) for _, family in self.metrics))

    def task_columns(self, task: str) -> tuple[Column, ...]:
        """The columns of a task."""
        return tuple(column for column in self.columns if column.task == task)

    def values(self) -> dict[str, Any]:
        """All numbers as plain values for JSON; what is undefined is None."""
        return {
            **as_values(self.sets, self.options),
            "simulated": self.simulated,
            "metrics": [
                {
                    "name": spec.name,
                    "given": spec.given,
                    "version": spec.version,
                    "family": family.name,
                }
                for spec, family in self.metrics
            ],
            "differences": [_difference_values(column) for column in self.columns],
            "correlation": None if self.correlation is None else _correlation(self.correlation),
        }


def compare(
    specs: Sequence[MetricSpec], evaluations: Sequence[Evaluation], options: EvaluationOptions
) -> Comparison:
    """Compare metrics on sets that were evaluated.

    Args:
        specs: of the metrics.
        evaluations: of the sets, of all these metrics each.
        options: of the evaluation.
    """
    families = [(spec, family_of(spec)) for spec in specs]
    order = {family.name: index for index, family in reversed(list(enumerate(FAMILIES)))}
    families.sort(key=lambda entry: order[entry[1].name])
    ranked = sorted(evaluations, key=set_order)
    titles = dict(zip((entry.name for entry in ranked), _titles(ranked), strict=True))
    columns = []
    for task in SCORES:
        means = [mean for mean in means_over_sets(ranked) if mean.task == task]
        entries: list[tuple[str, Evaluation | Mean]] = [(MEAN_TITLES[m.group], m) for m in means]
        entries += [(titles[entry.name], entry) for entry in ranked if entry.task == task]
        columns += [Column(task, title, of, _differences(families, of)) for title, of in entries]
    return Comparison(tuple(families), tuple(ranked), tuple(columns), correlate(ranked), options)


def _differences(
    metrics: Sequence[tuple[MetricSpec, Family]], of: Evaluation | Mean
) -> tuple[Difference, ...]:
    values = {spec.name: of.scores[spec.name].value for spec, _ in metrics}
    return paired_differences(values, of.draws, of.units)


def set_order(entry: Evaluation) -> tuple[int, int, str, str]:
    """Sorts sets as figures and tables show them: triplets first, kinds in the paper's order."""
    kinds = list(SET_TITLES)
    place = kinds.index(entry.kind) if entry.kind in kinds else len(kinds)
    return list(SCORES).index(entry.task), place, entry.kind, entry.name


def _titles(evaluations: Sequence[Evaluation]) -> list[str]:
    """Of each set the shortest title that no other set of its task has."""

    def candidates(entry: Evaluation) -> list[str]:
        kind = SET_TITLES.get(entry.kind, entry.kind)
        return [kind, ", ".join(filter(None, (kind, entry.split))), entry.name]

    counts = Counter(
        (entry.task, *title) for entry in evaluations for title in enumerate(candidates(entry))
    )
    return [
        next(
            (title for title in enumerate(candidates(entry)) if counts[entry.task, *title] == 1),
            (2, entry.name),
        )[1]
        for entry in evaluations
    ]


def _difference_values(column: Column) -> dict[str, Any]:
    return {
        "task": column.task,
        "of": column.of.group if isinstance(column.of, Mean) else column.of.name,
        "is_mean": column.is_mean,
        "pairs": [{**asdict(entry), "real": entry.is_real} for entry in column.differences],
    }


def _correlation(found: Correlation) -> dict[str, Any]:
    def plain(estimate: Estimate | None) -> dict[str, float | None] | None:
        if estimate is None or np.isnan(estimate.value):
            return None
        values = estimate_values(estimate)
        return {"value": values["score"], "low": values["low"], "high": values["high"]}

    return {
        "pearson": plain(found.pearson),
        "spearman": plain(found.spearman),
        "kinds": list(found.shared_kinds),
        "sets": list(found.sets),
        "metrics": {
            name: {
                "2afc": estimate_values(found.two_afc[name]),
                "jnd": estimate_values(found.jnd[name]),
            }
            for name in found.two_afc
        },
    }
