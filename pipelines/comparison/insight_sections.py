"""The sections of the comparison's page that look closer at metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.base import Patches
from bapps_gen.pipelines.comparison.compared import Compared, Result
from bapps_gen.pipelines.comparison.insight import RESAMPLES, Insight, describe
from bapps_gen.pipelines.comparison.insight_page import insight_view, sensitivity_view
from bapps_gen.pipelines.comparison.network import network_predictions
from bapps_gen.pipelines.comparison.rows import rows_of
from bapps_gen.pipelines.comparison.sensitivity import Sensitivity, measure
from bapps_gen.pipelines.comparison.values import insight_values, sensitivity_values
from bapps_gen.pipelines.scoring.evaluate import Evaluation
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.sides import row_pictures


@dataclass(frozen=True)
class TaskResult:
    """A closer look at metrics on the sets of a task."""

    insight: Insight
    shown: int
    titles: Mapping[str, str]

    def values(self) -> dict[str, Any]:
        """All numbers as plain values for JSON."""
        return insight_values(self.insight)

    def view(self) -> dict[str, Any]:
        """What the template shows."""
        return insight_view(self.insight, self.shown, self.titles)


@dataclass(frozen=True)
class SensitivityResult:
    """How sensitive metrics are to severities."""

    found: Mapping[str, Sensitivity]

    def values(self) -> dict[str, Any]:
        """All numbers as plain values for JSON."""
        return sensitivity_values(self.found)

    def view(self) -> dict[str, Any]:
        """What the template shows."""
        return sensitivity_view(self.found)


def closer_at_triplets(compared: Compared) -> Result | None:
    """A closer look at metrics on triplets; None where no set has any."""
    return _closer(compared, "2afc")


def closer_at_pairs(compared: Compared) -> Result | None:
    """A closer look at metrics on JND pairs; None where no set has any."""
    return _closer(compared, "jnd")


def _closer(compared: Compared, task: str) -> Result | None:
    rows = rows_of(task, compared.judged, [spec.name for spec in compared.specs])
    if rows is None:
        return None
    predictions = {}
    for spec in compared.specs if task == "2afc" else ():
        predicted = network_predictions(spec, *rows.distances[spec.name])
        if predicted is not None:
            predictions[spec.name] = predicted
    options = compared.comparison.options
    insight = describe(
        rows,
        examples=compared.shown.examples,
        predictions=predictions,
        resamples=min(options.resamples, RESAMPLES),
        seed=options.seed,
    )
    columns = compared.comparison.task_columns(task)
    titles = {
        column.of.name: column.title for column in columns if isinstance(column.of, Evaluation)
    }
    return TaskResult(insight, compared.shown.examples, titles)


def sensitivity_of_metrics(compared: Compared) -> Result | None:
    """How sensitive metrics are on some references of the sets; None where that is left out."""
    references = _references(compared.judged, compared.shown.references)
    if references is None:
        return None
    with compared.progress("sensitivity", "distortions") as progress:
        found = measure(
            references,
            [spec.given for spec in compared.specs],
            compared.metric,
            compared.workers,
            progress,
        )
    return SensitivityResult(found) if found else None


def _references(sets: Sequence[Judged], count: int) -> Patches | None:
    """Distinct references at equal distances among the rows of all sets, uint8 (N, S, S, 3).

    Of sets with patches of other sizes than the first's, none is taken.
    """
    usable = [
        judged
        for judged in sets
        if judged.source is not None and judged.patch_size == sets[0].patch_size
    ]
    ends = np.cumsum([0, *(len(judged.index) for judged in usable)])
    total = int(ends[-1])
    if not count or not total:
        return None
    chosen = sorted({number * total // count for number in range(count)})
    found: dict[bytes, NDArray[np.uint8]] = {}
    for judged, first, end in zip(usable, ends, ends[1:], strict=False):
        rows = [row - int(first) for row in chosen if first <= row < end]
        for reference, *_ in row_pictures(judged, rows):
            found.setdefault(reference.tobytes(), reference)
    return np.stack([*found.values()])
