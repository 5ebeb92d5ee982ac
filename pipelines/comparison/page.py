"""The comparison of metrics as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bapps_gen.pipelines.comparison.compare import SCORES, Comparison
from bapps_gen.pipelines.comparison.correlation import PAPER
from bapps_gen.pipelines.comparison.figures import bars, matrix, scatter
from bapps_gen.pipelines.comparison.paired import LEVEL
from bapps_gen.pipelines.comparison.sections import Section
from bapps_gen.pipelines.comparison.tables import percent_text, table_rows, tasks_of
from bapps_gen.pipelines.scoring.evaluate import HUMAN, MIN_PHOTOS, UNBIASED, Estimate
from bapps_gen.pipelines.validation.html import render
from bapps_gen.version import __version__

_MANY_TIES = 0.01


def comparison_page(comparison: Comparison, sections: Sequence[Section] = ()) -> str:
    """The page of a comparison with further sections."""
    result = comparison.correlation
    return render(
        "comparison.html.j2",
        comparison=comparison,
        facts=_facts(comparison),
        tiles=_tiles(comparison),
        tasks=[_task(comparison, task) for task in tasks_of(comparison)],
        correlation=result,
        scatter=scatter(comparison, result) if result and result.pearson else None,
        pearson=_signed(result.pearson) if result else "",
        spearman=_signed(result.spearman) if result else "",
        paper=PAPER,
        notes=_notes(comparison),
        sections=sections,
    )


def _facts(comparison: Comparison) -> dict[str, str]:
    judged = sum(entry.rows for entry in comparison.sets)
    return {
        "sets": str(len(comparison.sets)),
        "judged rows": f"{judged:,}",
        "judged by": "simulated observers" if comparison.simulated else "people",
        "metrics": str(len(comparison.metrics)),
        "intervals": f"95 % of {comparison.options.resamples:,} resamples",
        "made with": f"bapps-gen {__version__}",
    }


def _tiles(comparison: Comparison) -> list[tuple[str, str]]:
    tiles = []
    for task in tasks_of(comparison):
        first = comparison.task_columns(task)[0]
        where = f"{SCORES[task]}, {first.title[0].lower()}{first.title[1:]}"
        if HUMAN in first.scores:
            tiles.append((_percent(first.scores[HUMAN]), "human ceiling, as in the paper"))
        if UNBIASED in first.scores:
            tiles.append((_percent(first.scores[UNBIASED]), "human ceiling without bias"))
        best = max(
            comparison.names, key=lambda name: np.nan_to_num(first.scores[name].value, nan=-1)
        )
        tiles.append((_percent(first.scores[best]), f"{best}, the best: {where}"))
    result = comparison.correlation
    if result and result.pearson:
        tiles.append((_signed(result.pearson).split(" ")[0], "correlation of 2AFC and mAP"))
    return tiles


def _task(comparison: Comparison, task: str) -> dict[str, Any]:
    columns = comparison.task_columns(task)
    panels = bars(comparison, task)
    means = [panel for panel in panels if panel["is_mean"]]
    matrices = [matrix(column) for column in columns if column.is_mean or len(columns) == 1]
    return {
        "task": task,
        "score": SCORES[task],
        "means": means or panels,
        "sets": [panel for panel in panels if not panel["is_mean"]] if means else [],
        "titles": [column.title for column in columns],
        "families": list(table_rows(comparison, task)),
        "matrices": [each for each in matrices if each],
        "level": LEVEL,
    }


def _percent(estimate: Estimate) -> str:
    return f"{percent_text(estimate, False)} %"


def _signed(estimate: Estimate | None) -> str:
    """A correlation with its interval; a dash where it is undefined."""
    if estimate is None or np.isnan(estimate.value):
        return "–"
    text = f"{estimate.value:.3f}"
    if not np.isnan(estimate.low):
        text += f" ({estimate.low:.3f} to {estimate.high:.3f})"
    return text.replace("-", "−")


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    over = {entry.resampled for entry in comparison.sets}
    if "photos" in over:
        notes.append(
            "Intervals are from resamples of photos, since rows cut from one photo are not "
            "independent; sets that share photos have the same draws."
        )
    if "rows" in over:
        notes.append(
            f"Sets with fewer than {MIN_PHOTOS} photos, or unknown ones, are resampled row by "
            "row, which makes intervals too narrow where rows of a photo are alike."
        )
    for entry in comparison.sets:
        many = [name for name, share in entry.ties.items() if share > _MANY_TIES]
        if many:
            shares = ", ".join(f"{name} {100 * entry.ties[name]:.1f} %" for name in many)
            notes.append(
                f"{entry.name}: rows with both patches equally far, which count ½: {shares}."
            )
        if entry.left_out:
            notes.append(f"{entry.name}: {entry.left_out:,} rows without judgment are left out.")
    return notes
