"""Validation of a zoo: what every distorter does to the same patches, and which are alike."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.color_shift import color_shift
from bapps_gen.cnn_distorters.spec import CORRUPTIONS, DistorterSpec
from bapps_gen.cnn_distorters.verdict import DEFAULT_LIMITS, VERDICTS, ZooLimits, classify
from bapps_gen.cnn_distorters.zoo import SHIPPED, Zoo
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.manifests.origin import public_name
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.validation.options import ZooOptions
from bapps_gen.pipelines.validation.zoo_likeness import compare_pairs
from bapps_gen.pipelines.validation.zoo_measures import (
    ZooMeasures,
    check_distorters,
    measure_zoo,
    pick_shown,
    rounded,
    sample_patches,
)
from bapps_gen.version import __version__

_EXAMPLES = 5
_QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class ZooReport:
    """All that a report says of a zoo.

    Args:
        name: of the zoo.
        result: what `judge_zoo` returned.
        inputs: patches shown, uint8 (K, 64, 64, 3).
        outputs: for them, uint8 (N, K, 64, 64, 3), in the order of result["distorters"].
    """

    name: str
    result: Mapping[str, Any]
    inputs: NDArray[np.uint8]
    outputs: NDArray[np.uint8]

    @property
    def missed(self) -> tuple[str, ...]:
        """A line for each rule that is broken."""
        return tuple(self.result["missed"])

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""
        return dict(self.result)

    def summary(self) -> str:
        """The main numbers on one line."""
        medians, pairs = self.result["summary"]["median_lpips"], self.result["pairs"]
        text = (
            f"{self.result['summary']['measured']} distorters on {self.result['patches']} patches: "
            f"median LPIPS {medians['min']:.3f} to {medians['max']:.3f}"
        )
        if pairs is None:
            return text
        closest = pairs["closest"][0]
        return (
            f"{text}; between two distorters {pairs['median']:.3f} (median) and at least "
            f"{closest['lpips']:.3f} ({' and '.join(closest['ids'])}), {len(pairs['near'])} pairs "
            "of near duplicates"
        )


def validate_zoo(
    zoo: Zoo,
    options: ZooOptions,
    source: Source,
    workers: Workers,
    progress: ProgressBars = no_progress,
) -> ZooReport:
    """Validate a zoo: the same patches pass every distorter.

    Args:
        zoo: opened.
        options: number of patches, and their seed.
        source: of the patches.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar for a step of the work.

    Raises:
        UserError: when the zoo is empty.
        SourceError: when the photos give too few patches.
        WorkError: when none of its distorters can be used.
    """
    failures = check_distorters(zoo)
    cut = sample_patches(source, options)
    shown = pick_shown(cut, _EXAMPLES)
    ids = [name for name in zoo.ids if name not in failures]
    with progress(f"{len(ids)} distorters", "patches") as report:
        measures = measure_zoo(zoo, ids, cut.patches, shown, workers, report)
    result = judge_zoo(zoo, measures, source, options.seed, failures=failures)
    shipped = zoo.folder == SHIPPED
    name = f"the zoo of bapps-gen {__version__}" if shipped else zoo.folder.resolve().name
    return ZooReport(name, result, cut.patches[list(shown)], measures.shown)


def judge_zoo(
    zoo: Zoo,
    measures: ZooMeasures,
    source: Source,
    seed: int = 0,
    limits: ZooLimits = DEFAULT_LIMITS,
    failures: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that the report says, as plain values for JSON.

    Args:
        zoo: that was measured.
        measures: of `measure_zoo`.
        source: of the patches.
        seed: of the patches.
        limits: what counts as useless, as the same function, and as near duplicates.
        failures: of `check_distorters`.
    """
    failures = dict(failures or {})
    pairs = compare_pairs(measures, limits)
    listed = [_entry(zoo, measures, index, pairs, limits) for index in range(len(measures.ids))]
    medians = np.median(measures.lpips, 0)
    return {
        "kind": "bapps-gen zoo validation",
        "zoo": None if zoo.folder == SHIPPED else zoo.folder.resolve().name,
        "fingerprint": zoo.fingerprint,
        "table_version": zoo.table_version,
        "bapps_gen": __version__,
        "torch": _torch_version(),
        "machine": platform.machine(),
        "metric": "lpips-alex",
        "source": {
            "roots": list(map(public_name, source.roots)),
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
        "notes": [*_seen_in_training(zoo, source), *_notes(pairs, limits)],
    }


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


def _entry(
    zoo: Zoo, measures: ZooMeasures, index: int, pairs: Mapping[str, Any] | None, limits: ZooLimits
) -> dict[str, Any]:
    name = measures.ids[index]
    spec = zoo.spec(name)
    distances = measures.lpips[:, index]
    quantiles = np.percentile(distances, _QUANTILES)
    error = float(measures.squared[:, index].mean())
    shift = color_shift(measures.color_sums[index])
    flat = min(measures.flatness[:, index].mean(), measures.sameness[:, index].mean())
    return {
        "id": name,
        "task": spec.task,
        "spec": asdict(spec),
        "digest": zoo.digest(name),
        "verdict": classify(distances, flat, limits, shift, keeps_color=spec.keeps_color),
        "lpips": {
            **{f"p{q:02d}": rounded(end) for q, end in zip(_QUANTILES, quantiles, strict=True)},
            "mean": rounded(distances.mean()),
            "min": rounded(distances.min()),
            "max": rounded(distances.max()),
        },
        # Of the mean over all patches; None where nothing differs.
        "psnr": rounded(10 * np.log10(255**2 / error)) if error else None,
        "absolute": rounded(measures.absolute[:, index].mean()),
        "color_shift": shift.values(),
        "clipped": rounded(measures.clipped[:, 1 + index].mean()),
        "clipped_input": rounded(measures.clipped[:, 0].mean()),
        "nearest": None if pairs is None else pairs["nearest"][name],
        "record": dict(zoo.record(name)),
    }


_AXES = tuple(
    field.name for field in fields(DistorterSpec) if field.name not in ("id", "strength", "seed")
)


def axes_of(specs: Sequence[DistorterSpec]) -> dict[str, list[dict[str, Any]]]:
    """By axis of a spec, the values that occur and how many distorters have each."""
    axes = {}
    for axis in _AXES:
        values = [getattr(spec, axis) for spec in specs]
        if axis == "corruption":
            order = [name for name in CORRUPTIONS if name in values]
        else:
            order = sorted(set(values))
        axes[axis] = [{"value": value, "distorters": values.count(value)} for value in order]
        if axis == "corruption":
            strengths = sorted({(spec.corruption, spec.strength) for spec in specs})
            axes["strength"] = [
                {
                    "value": f"{name} {strength:g}",
                    "distorters": sum(
                        (s.corruption, s.strength) == (name, strength) for s in specs
                    ),
                }
                for name, strength in strengths
                if strength
            ]
    return axes


def _missed(
    listed: Sequence[Mapping[str, Any]],
    pairs: Mapping[str, Any] | None,
    limits: ZooLimits,
    failures: Mapping[str, str],
) -> list[str]:
    lines = [f"distorter {name} cannot be used: {why}" for name, why in failures.items()]
    for entry in listed:
        lpips = entry["lpips"]
        message = {
            "identity": f"is the identity: median LPIPS {lpips['p50']:.4f}, "
            f"less than {limits.identity:g}",
            "ruin": f"is a ruin: mean LPIPS {lpips['mean']:.3f}, more than {limits.ruin:g}",
            "collapsed": "collapsed: its outputs are flat, or the same for every patch",
            "off-color": f"changes {shift_words(entry)}, more than {limits.shift:g}",
        }.get(entry["verdict"])
        if message:
            lines.append(f"distorter {entry['id']} {message}")
    lines += [
        f"distorters {enumerated(group['ids'])} are the same function: median LPIPS "
        f"{group['lpips']:.4f} between them, less than {limits.same:g}"
        for group in (pairs["same"] if pairs else ())
    ]
    return lines


def shift_words(entry: Mapping[str, Any]) -> str:
    """What a distorter does to lightness by band, and to color, of its entry in the report."""
    shift = entry["color_shift"]
    changes = [f"L* of {band} squares by {by:+.1f}" for band, by in shift["lightness"].items()]
    if entry["spec"]["corruption"] != "color_removal":
        changes.append(f"a* and b* of gray squares by {shift['cast']:.1f}")
    return enumerated(changes)


def _seen_in_training(zoo: Zoo, source: Source) -> list[str]:
    seen = [name for name in zoo.ids if zoo.record(name).get("source") == source.digest]
    if not seen:
        return []
    return [
        f"{len(seen)} of {len(zoo.ids)} distorters were trained on these photos; others, given "
        "with --source, show better what they do"
    ]


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
