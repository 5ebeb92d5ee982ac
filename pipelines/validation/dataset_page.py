"""The report of a dataset as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.imaging.encode import decode_png, encode_png
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.pipelines.datasets.overlap import MEASURES, overlap_text
from bapps_gen.pipelines.datasets.sheet import describe_steps
from bapps_gen.pipelines.validation.dataset import SetReport
from bapps_gen.pipelines.validation.facts import UNKNOWN, describe_metric
from bapps_gen.pipelines.validation.figures import (
    box_plot,
    composition_table,
    curves,
    histogram,
    parameter_cards,
)
from bapps_gen.pipelines.validation.html import render

_CELL = 98
"""Width in px at which patches are shown, in page.css; larger patches are shown as they are."""

_LARGEST = 256
"""Width in px at which they are shown at most."""


def set_page(report: SetReport) -> str:
    """The report of one set as HTML."""
    return render("dataset.html.j2", view=set_view(report))


def set_view(report: SetReport) -> dict[str, Any]:
    """What the template of a set shows: its numbers, and positions in its figures."""
    result, info = report.result, report.dataset.info
    atoms = _known(result["atoms"])
    families = result["families"] if _known(result["families"]) else {}
    limits, against, label = result["limits"], result["against"], result["label"]
    histograms = [
        histogram(
            f"{label} of a side",
            result["histogram"],
            against and against["histogram"],
            _known_limits(limits, "invisible", "destroyed"),
        )
    ]
    if "gap" in result:
        gap = histogram(
            "|d0 − d1| of a triplet", result["gap_histogram"], None, _known_limits(limits, "near")
        )
        histograms.append(gap)
    if "judgments" in result:
        share = "prefer p1" if info.unit == "triplets" else "say same"
        people = "simulated observers" if result["judgments_simulated"] else "people"
        title = f"share of {people} who {share}, {result['judgments']:,} {info.unit}"
        histograms.append(histogram(title, result["judgment_histogram"], None, ()))
    return {
        "name": report.name,
        "facts": {
            "kind": info.kind,
            "rows": f"{info.rows:,}",
            "patches": f"{info.patch_size}×{info.patch_size} px",
            **_photos(info),
            "spec digest": info.digest,
            "made with": f"bapps-gen {info.version}",
            "source": ", ".join(info.sources) or "built-in photographs",
            **({"judged by": result["judged_by"]} if result.get("judged_by") else {}),
            "distance": describe_metric(report.metric, report.settings),
        },
        "other": report.other.folder.resolve().name if report.other else None,
        "overlap": [
            (what, *(overlap_text(against["overlap"][name], side) for side in ("", "_other")))
            for name, what in MEASURES.items()
        ]
        if against
        else [],
        "missed": report.missed,
        "has_thresholds": report.thresholds.any_set,
        "unit": info.unit,
        "cell": min(info.patch_size, _LARGEST) if info.patch_size > _CELL else None,
        "result": result,
        "histograms": histograms,
        "families": box_plot(families) if families else None,
        "atoms": box_plot(atoms) if atoms else None,
        "severity": curves(result["severity"]) if result["severity"] else None,
        "parameters": parameter_cards(result["parameters"], info.units),
        "compositions": _compositions(result),
        "extremes": {
            key: [_row(entry, *report.pictures[entry["row"]]) for entry in entries]
            for key, entries in result["extremes"].items()
        },
    }


def _known_limits(limits: Mapping[str, float | None], *names: str) -> tuple[float, ...]:
    return tuple(limit for name in names if (limit := limits[name]) is not None)


def _photos(info: DatasetInfo) -> dict[str, str]:
    """How many photos rows were cut from, and how many of a photo on average."""
    if not info.source_images:
        return {}
    count = len(info.source_images)
    return {"photos": f"{count:,}", "rows per photo": f"{info.rows / count:,.1f}"}


def _known(groups: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in groups.items() if name != UNKNOWN}


def _compositions(result: Mapping[str, Any]) -> dict[str, Any] | None:
    pairs, singles = result["compositions"], result["atoms"]
    if not pairs:
        return None
    names = {part for pair in pairs for part in pair.split("+")} | set(singles)
    names.discard(UNKNOWN)
    table = [atom.name for atom in ATOMS]
    axis = [name for name in table if name in names] + sorted(names - set(table))
    return composition_table(pairs, singles, axis)


def _row(entry: Mapping[str, Any], row: ManifestRow, pngs: tuple[bytes, ...]) -> dict[str, Any]:
    """A row among the extremes: its reference, and each side with its distance and steps."""
    reference, *pictures = pngs
    sides = []
    for picture, distance, steps in zip(pictures, entry["distances"], row.steps, strict=True):
        lines = describe_steps(steps)  # a name and its parameters in turn
        named = list(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))
        sides.append({"picture": reduced(picture), "distance": distance, "steps": named})
    return {"row": entry["row"], "reference": reduced(reference), "sides": sides}


def reduced(png: bytes) -> bytes:
    """A picture as a page shows it: at most _LARGEST px a side, so that pages stay small."""
    patch = decode_png(png)
    if max(patch.shape) <= _LARGEST:
        return png
    size = (_LARGEST, _LARGEST)
    return encode_png(cv2.resize(patch, size, interpolation=cv2.INTER_AREA).astype(np.uint8))
