"""What is said of metrics as plain values for JSON; what is undefined or infinite is None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from bapps_gen.pipelines.benchmarks.evaluate import curve_values
from bapps_gen.pipelines.comparison.insight import Disagreement, Insight, Psychometric
from bapps_gen.pipelines.comparison.psychometric import Curve
from bapps_gen.pipelines.comparison.rows import Rows
from bapps_gen.pipelines.comparison.sensitivity import Sensitivity


def insight_values(insight: Insight) -> dict[str, Any]:
    """All of one task, with the ids and sets of examples."""
    rows = insight.rows
    return {
        "task": rows.task,
        "sets": [entry.name for entry in rows.sets],
        "rows": len(rows.chosen),
        "simulated": rows.simulated,
        "by_distortion": _plain(insight.distortions),
        "by_family": _plain(insight.families),
        "by_severity": _plain(insight.severities),
        "by_difference": _plain(insight.gaps),
        "psychometric": {
            name: _psychometric(entry) for name, entry in insight.psychometric.items()
        },
        "calibration": _plain(insight.calibration),
        "calibration_of_networks": _plain(insight.networks),
        "opposed": [
            {"metrics": list(pair), "share": share} for pair, share in insight.opposed.items()
        ],
        "disagreement": [_disagreement(rows, entry) for entry in insight.disagreements],
    }


def _psychometric(entry: Psychometric) -> dict[str, Any]:
    return {
        "curve": _curve(entry.curve),
        "scale_interval": _plain(entry.interval),
        "points": _plain(entry.points),
        "decided": entry.decided,
        "sets": {name: _curve(curve) for name, curve in entry.sets.items()},
    }


def _curve(curve: Curve | None) -> dict[str, Any] | None:
    return None if curve is None else {**_plain(curve), "jnd": curve.jnd}


def _disagreement(rows: Rows, entry: Disagreement) -> dict[str, Any]:
    return {
        "first": entry.first,
        "second": entry.second or "people",
        "share": entry.share,
        "by_distortion": {
            name: {"share": share, "rows": count}
            for name, (share, count) in entry.by_distortion.items()
        },
        "examples": [
            {
                "distortion": example.distortion or None,
                "set": rows.sets[rows.part[example.row]].name,
                "row": rows.number(example.row),
                "distorted_by": list(rows.distorted_by(example.row)),
                "amount": example.amount,
                "judgment": float(rows.judgment[example.row]),
                "votes": float(rows.votes[example.row]) if rows.counted else None,
                "distances": {
                    name: _plain([float(side[example.row]) for side in sides])
                    for name, sides in rows.distances.items()
                },
            }
            for example in entry.examples
        ],
    }


def sensitivity_values(result: Mapping[str, Sensitivity]) -> dict[str, Any]:
    """By metric, how distances rise with severity."""
    return {
        name: {
            "references": entry.references,
            "monotone": entry.monotone,
            "srcc": entry.srcc,
            "levels": _plain(entry.levels),
            "common": _plain(entry.common),
            "distortions": {
                curve.distortion: {
                    **curve_values(curve),
                    "rising_steps": entry.rising_steps[curve.distortion],
                    "severity_for_common": entry.needed[curve.distortion],
                }
                for curve in entry.curves
            },
        }
        for name, entry in result.items()
    }


def _plain(value: Any) -> Any:
    """Records as dictionaries, and what is not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(each) for name, each in asdict(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
