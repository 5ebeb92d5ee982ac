"""What the template shows of the closer look at metrics and of their sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bapps_gen.imaging.encode import encode_png
from bapps_gen.pipelines.comparison.breakdown import Part, worst_first
from bapps_gen.pipelines.comparison.calibration import Calibration
from bapps_gen.pipelines.comparison.insight import Disagreement, Example, Insight, Psychometric
from bapps_gen.pipelines.comparison.insight_figures import (
    calibration_card,
    gap_card,
    heat,
    needed_table,
    opposed_table,
    psychometric_card,
    sensitivity_card,
)
from bapps_gen.pipelines.comparison.psychometric import JND, LAPSES
from bapps_gen.pipelines.comparison.rows import Rows
from bapps_gen.pipelines.comparison.sensitivity import SEVERITIES, Sensitivity
from bapps_gen.pipelines.scoring.sides import row_pictures
from bapps_gen.pipelines.validation.dataset_page import reduced
from bapps_gen.pipelines.validation.facts import FAMILIES

_WORST = 3
"""Distortions named of each metric, and of each disagreement (own choice)."""

_TASKS = {"2afc": "triplets", "jnd": "JND pairs"}


def insight_view(
    insight: Insight, limit: int, titles: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What the template shows of one task.

    Args:
        insight: of the task.
        limit: rows of each sheet at most; 0 for no sheets.
        titles: of sets by name; None for the names themselves.

    Raises:
        UserError: naming a file of the original layout that cannot be read.
        WorkError: when a shard is missing or damaged.
    """
    rows = insight.rows
    metrics = list(rows.distances)
    is_pairs = rows.task == "jnd"
    return {
        "task": rows.task,
        "unit": _TASKS[rows.task],
        "score": "mAP" if is_pairs else "2AFC",
        "rows": len(rows.chosen),
        "simulated": rows.simulated,
        "metrics": metrics,
        "distortions": heat(insight.distortions, metrics, ranked=True),
        "families": heat(insight.families, metrics, ranked=True),
        "severities": heat(insight.severities, metrics, ranked=False),
        "worst": [(name, _worst(insight.distortions, name)) for name in metrics],
        "gaps": [gap_card(name, parts) for name, parts in insight.gaps.items()],
        "curves": [
            {
                **psychometric_card(
                    name, entry.curve, entry.points, rows.axis(name), locate=is_pairs
                ),
                "fit": entry,
                "interval": entry.interval and [JND * end for end in entry.interval],
            }
            for name, entry in insight.psychometric.items()
        ],
        "most_lapses": LAPSES[1],
        "by_set": _by_set(insight.psychometric, titles or {}),
        "calibration": [
            calibration_card(name, entry) for name, entry in _calibrations(insight).items()
        ],
        "scores": _calibrations(insight),
        "opposed": opposed_table(insight.opposed, metrics) if len(metrics) > 1 else None,
        "sheets": _sheets(insight, limit),
        "people": "simulated observers" if rows.simulated else "people",
    }


def _calibrations(insight: Insight) -> dict[str, Calibration]:
    """Of psychometric functions, then of ranking networks."""
    networks = {f"{name}, its network": result for name, result in insight.networks.items()}
    return {**insight.calibration, **networks}


def _worst(parts: Sequence[Part], metric: str) -> list[Part]:
    return [part for part in worst_first(parts, metric) if not part.few][:_WORST]


def _by_set(result: Mapping[str, Psychometric], titles: Mapping[str, str]) -> dict[str, Any] | None:
    """The JND of each metric by set; None for one set."""
    names = list(next(iter(result.values())).sets)
    if not names:
        return None
    return {
        "metrics": list(result),
        "rows": [
            (titles.get(name, name), [entry.sets[name] for entry in result.values()])
            for name in names
        ],
    }


def _sheets(insight: Insight, limit: int) -> list[dict[str, Any]]:
    """Sheets of disagreements that have rows with pictures."""
    if not limit:
        return []
    rows = insight.rows
    chosen = [(entry, _with_pictures(rows, entry, limit)) for entry in insight.disagreements]
    pictures = _pictures(rows, {example.row for _, examples in chosen for example in examples})
    return [
        {
            "first": entry.first,
            "second": entry.second,
            "share": entry.share,
            "most": sorted(
                (
                    (name, share)
                    for name, (share, count) in entry.by_distortion.items()
                    if share and not _is_few(insight, name)
                ),
                key=lambda item: (-item[1], item[0]),
            )[:_WORST],
            "rows": [_row(rows, entry, example, pictures[example.row]) for example in examples],
        }
        for entry, examples in chosen
        if examples
    ]


def _is_few(insight: Insight, distortion: str) -> bool:
    return any(part.few for part in insight.distortions if part.name == distortion)


def _with_pictures(rows: Rows, entry: Disagreement, limit: int) -> tuple[Example, ...]:
    known = (
        example
        for example in entry.examples
        if rows.sets[rows.part[example.row]].source is not None
    )
    return tuple(known)[:limit]


def _pictures(rows: Rows, wanted: set[int]) -> dict[int, tuple[bytes, ...]]:
    """PNG files of some rows, each set read once."""
    result = {}
    for index, entry in enumerate(rows.sets):
        own = sorted(row for row in wanted if rows.part[row] == index)
        if not own:
            continue
        read = row_pictures(entry, [int(rows.index[row]) for row in own])
        for row, patches in zip(own, read, strict=True):
            result[row] = tuple(reduced(encode_png(patch)) for patch in patches)
    return result


def _row(
    rows: Rows, entry: Disagreement, example: Example, pictures: tuple[bytes, ...]
) -> dict[str, Any]:
    """A row of a sheet: its pictures, what metrics say of each side, and how many chose it."""
    row = example.row
    chosen, votes = float(rows.chosen[row]), float(rows.votes[row])
    shares = (1 - chosen, chosen) if rows.task == "2afc" else (1 - chosen,)
    metrics = [entry.first] if entry.second is None else [entry.first, entry.second]
    sides = [
        {
            "picture": picture,
            "votes": f"{share * votes:.0f} of {votes:.0f}" if rows.counted else f"{share:.0%}",
            "distances": [(name, float(rows.distances[name][side][row])) for name in metrics],
            "distortion": name,
        }
        for side, (picture, share, name) in enumerate(
            zip(pictures[1:], shares, rows.distorted_by(row), strict=True)
        )
    ]
    return {
        "reference": pictures[0],
        "distortion": example.distortion,
        "row": rows.number(row),
        "set": rows.sets[rows.part[row]].kind if len(rows.sets) > 1 else "",
        "sides": sides,
    }


def sensitivity_view(result: Mapping[str, Sensitivity]) -> dict[str, Any]:
    """What the template shows of severities, of one metric or more."""
    level = SEVERITIES.index(0.4)
    return {
        "references": next(iter(result.values())).references,
        "severities": SEVERITIES,
        "cards": [sensitivity_card(name, entry) for name, entry in result.items()],
        "families": dict.fromkeys(FAMILIES.values()),
        "needed": needed_table(result),
        "table": [
            (name, entry.monotone, entry.srcc, entry.levels[level].spread, entry.common)
            for name, entry in result.items()
        ],
        "level": SEVERITIES[level],
    }
