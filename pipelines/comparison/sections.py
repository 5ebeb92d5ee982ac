"""Further sections of the comparison's page, which look closer at metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars
from bapps_gen.metrics.base import Patches
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.pipelines.comparison.compare import Comparison
from bapps_gen.pipelines.comparison.insight import RESAMPLES, describe
from bapps_gen.pipelines.comparison.insight_page import insight_view, sensitivity_view
from bapps_gen.pipelines.comparison.network import network_predictions
from bapps_gen.pipelines.comparison.options import SectionOptions
from bapps_gen.pipelines.comparison.rows import rows_of
from bapps_gen.pipelines.comparison.sensitivity import measure
from bapps_gen.pipelines.comparison.values import insight_values, sensitivity_values
from bapps_gen.pipelines.scoring.evaluate import Evaluation
from bapps_gen.pipelines.scoring.judged import Judged
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.pipelines.scoring.sides import row_pictures


@dataclass(frozen=True, slots=True)
class Compared:
    """What sections are made from.

    Args:
        judged: the sets, with the distances of all metrics, in the order of the figures.
        comparison: scores and differences.
        metric: how metrics are computed, where a section computes distances of its own.
        options: of sections.
        workers: to compute with.
        progress: opens a progress bar.
    """

    judged: Sequence[Judged]
    comparison: Comparison
    metric: MetricOptions
    options: SectionOptions
    workers: Workers
    progress: ProgressBars

    @property
    def specs(self) -> list[MetricSpec]:
        """The metrics, in the order of the figures."""
        return [spec for spec, _ in self.comparison.metrics]


@dataclass(frozen=True, slots=True)
class Section:
    """A section.

    Args:
        name: its key in the JSON file.
        title: among the page's contents.
        template: its file among the templates.
        values: all numbers as plain values for JSON, without pictures.
        view: what the template shows.
    """

    name: str
    title: str
    template: str
    values: Any
    view: Mapping[str, Any]


def closer_at_triplets(compared: Compared) -> Section | None:
    """A closer look at metrics on triplets; None where no set has any."""
    return _closer(compared, "2afc", "triplets", "Triplets closer up")


def closer_at_pairs(compared: Compared) -> Section | None:
    """A closer look at metrics on JND pairs; None where no set has any."""
    return _closer(compared, "jnd", "pairs", "JND pairs closer up")


def _closer(compared: Compared, task: str, name: str, title: str) -> Section | None:
    rows = rows_of(task, compared.judged, compared.comparison.names)
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
        examples=compared.options.examples,
        predictions=predictions,
        resamples=min(options.resamples, RESAMPLES),
        seed=options.seed,
    )
    columns = compared.comparison.task_columns(task)
    titles = {
        column.of.name: column.title for column in columns if isinstance(column.of, Evaluation)
    }
    view = insight_view(insight, compared.options.examples, titles)
    return Section(name, title, "insight_task.html.j2", insight_values(insight), view)


def sensitivity_of_metrics(compared: Compared) -> Section | None:
    """How sensitive metrics are on some references of the sets; None where that is left out."""
    references = _references(compared.judged, compared.options.references)
    if references is None:
        return None
    with compared.progress("sensitivity", "distortions") as progress:
        result = measure(
            references,
            [spec.given for spec in compared.specs],
            compared.metric,
            compared.workers,
            progress,
        )
    if not result:
        return None
    template, values = "insight_sensitivity.html.j2", sensitivity_values(result)
    return Section("sensitivity", "Sensitivity", template, values, sensitivity_view(result))


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
    result: dict[bytes, NDArray[np.uint8]] = {}
    for judged, first, end in zip(usable, ends, ends[1:], strict=False):
        rows = [row - int(first) for row in chosen if first <= row < end]
        for reference, *_ in row_pictures(judged, rows):
            result.setdefault(reference.tobytes(), reference)
    return np.stack([*result.values()])


SECTIONS: tuple[Callable[[Compared], Section | None], ...] = (
    closer_at_triplets,
    closer_at_pairs,
    sensitivity_of_metrics,
)
"""In the order of the page, after the paper's figures; None where the sets have nothing for it."""
