"""Validation of a zoo: what every distorter does to the same patches, and which are alike."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from bapps_gen.cnn_distorters.spec import CORRUPTIONS, DistorterSpec
from bapps_gen.cnn_distorters.verdict import DEFAULT_LIMITS, VERDICTS, ZooLimits, classify
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.pipelines.datasets.zoo import zoo_place
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.validation.zoo_measures import ZooMeasures, rounded
from bapps_gen.pipelines.validation.zoo_pairs import compare_pairs
from bapps_gen.version import __version__

_QUANTILES = (5, 25, 50, 75, 95)


def judge_zoo(
    zoo: Zoo,
    measures: ZooMeasures,
    source: Source,
    seed: int = 0,
    limits: ZooLimits = DEFAULT_LIMITS,
    failures: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything the page says, as plain values for JSON.

    Args:
        zoo: that was measured.
        measures: of `measure_zoo`.
        source: of the patches.
        seed: of the patches.
        limits: what counts as a fault.
        failures: of `check_distorters`.
    """
    failures = dict(failures or {})
    pairs = compare_pairs(measures, limits)
    listed = [_entry(zoo, measures, place, pairs, limits) for place in range(len(measures.ids))]
    medians = np.median(measures.lpips, 0)
    return {
        "kind": "bapps-gen zoo validation",
        "zoo": zoo_place(zoo),
        "fingerprint": zoo.fingerprint,
        "table_version": zoo.table_version,
        "bapps_gen": __version__,
        "torch": _torch_version(),
        "machine": platform.machine(),
        "metric": "lpips-alex",
        "source": {
            "roots": list(source.roots),
            "digest": source.digest,
            "images": len(source),
        },
        "seed": seed,
        "patches": len(measures.lpips),
        "limits": asdict(limits),
        "summary": {
            "distorters": len(zoo.ids),
            "measured": len(measures.ids),
            "verdicts": {
                name: sum(entry["verdict"] == name for entry in listed) for name in VERDICTS
            },
            "median_lpips": {
                "min": rounded(medians.min()),
                "median": rounded(np.median(medians)),
                "max": rounded(medians.max()),
            },
        },
        "distorters": listed,
        "pairs": pairs,
        "axes": axes_of([zoo.spec(name) for name in measures.ids]),
        "failures": failures,
        "missed": _missed(listed, pairs, limits, failures),
        "notes": _notes(pairs, limits),
    }


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


def _entry(
    zoo: Zoo, measures: ZooMeasures, place: int, pairs: Mapping[str, Any] | None, limits: ZooLimits
) -> dict[str, Any]:
    name = measures.ids[place]
    spec = zoo.spec(name)
    distances = measures.lpips[:, place]
    quantiles = np.percentile(distances, _QUANTILES)
    error = float(measures.squared[:, place].mean())
    flat = min(measures.flatness[:, place].mean(), measures.sameness[:, place].mean())
    return {
        "id": name,
        "task": spec.task,
        "spec": asdict(spec),
        "digest": zoo.digest(name),
        "verdict": classify(distances, flat, limits),
        "lpips": {
            **{f"p{q:02d}": rounded(end) for q, end in zip(_QUANTILES, quantiles, strict=True)},
            "mean": rounded(distances.mean()),
            "min": rounded(distances.min()),
            "max": rounded(distances.max()),
        },
        # Of the mean over all patches; None where nothing differs.
        "psnr": rounded(10 * np.log10(255**2 / error)) if error else None,
        "absolute": rounded(measures.absolute[:, place].mean()),
        "clipped": rounded(measures.clipped[:, 1 + place].mean()),
        "clipped_input": rounded(measures.clipped[:, 0].mean()),
        "nearest": None if pairs is None else pairs["nearest"][name],
        "record": dict(zoo.record(name)),
    }


_AXES = tuple(
    field.name for field in fields(DistorterSpec) if field.name not in ("id", "strength", "seed")
)


def axes_of(specs: Sequence[DistorterSpec]) -> dict[str, list[dict[str, Any]]]:
    """By axis of a spec, the values that occur and how many distorters have each."""
    found = {}
    for axis in _AXES:
        values = [getattr(spec, axis) for spec in specs]
        if axis == "corruption":
            order = [name for name in CORRUPTIONS if name in values]
        else:
            order = sorted(set(values))
        found[axis] = [{"value": value, "distorters": values.count(value)} for value in order]
        if axis == "corruption":
            strengths = sorted({(spec.corruption, spec.strength) for spec in specs})
            found["strength"] = [
                {
                    "value": f"{name} {strength:g}",
                    "distorters": sum(
                        (s.corruption, s.strength) == (name, strength) for s in specs
                    ),
                }
                for name, strength in strengths
                if strength
            ]
    return found


def _missed(
    listed: Sequence[Mapping[str, Any]],
    pairs: Mapping[str, Any] | None,
    limits: ZooLimits,
    failures: Mapping[str, str],
) -> list[str]:
    lines = [f"distorter {name} cannot be used: {why}" for name, why in failures.items()]
    for entry in listed:
        lpips = entry["lpips"]
        told = {
            "identity": f"is the identity: median LPIPS {lpips['p50']:.4f}, "
            f"less than {limits.identity:g}",
            "ruin": f"is a ruin: mean LPIPS {lpips['mean']:.3f}, more than {limits.ruin:g}",
            "collapsed": "collapsed: its outputs are flat, or the same for every patch",
        }.get(entry["verdict"])
        if told:
            lines.append(f"distorter {entry['id']} {told}")
    lines += [
        f"distorters {enumerated(group['ids'])} are the same function: median LPIPS "
        f"{group['lpips']:.4f} between them, less than {limits.same:g}"
        for group in (pairs["same"] if pairs else ())
    ]
    return lines


def _notes(pairs: Mapping[str, Any] | None, limits: ZooLimits) -> list[str]:
    if pairs is None:
        return ["a single distorter has nothing to be compared with"]
    return [
        f"distorters {pair['ids'][0]} and {pair['ids'][1]} are near duplicates: median LPIPS "
        f"{pair['lpips']:.4f} between them, {100 * pair['share']:.0f} % of the nearer one's to "
        f"the input, less than {100 * limits.near:g} %"
        for pair in pairs["near"]
    ]


def enumerated(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
