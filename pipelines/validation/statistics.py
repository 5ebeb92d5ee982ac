"""What a set is like, in numbers: distances by distortion, coverage, extremes, comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.as_distortions import CNN_FAMILY
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.validation.facts import (
    FAMILIES,
    TRADITIONAL,
    UNKNOWN,
    Facts,
    Values,
    families_of,
    family_of,
    step_kind,
)
from bapps_gen.pipelines.validation.figures import round_step
from bapps_gen.pipelines.validation.options import LPIPS, Limits, label_of

QUANTILES = (5, 25, 50, 75, 95)
HISTOGRAM_BINS = 50
LPIPS_TOPS = (1.25, 0.8)
"""Of the histograms of LPIPS and of |d0 − d1|; what lies above is counted in the last bin."""
GAP_BINS = 40
LPIPS_VISIBLE = 0.1
"""LPIPS from which a side differs visibly (own choice)."""
SEVERITY_BINS = 5
JUDGMENT_BINS = 10
PARAMETER_BINS = 20


def summarize(values: Values) -> dict[str, Any]:
    """Count, mean and quantiles of distances."""
    mean = _plain(values.mean()) if len(values) else None
    cuts = np.percentile(values, QUANTILES) if len(values) else [None] * len(QUANTILES)
    quantiles = {f"p{q:02d}": _plain(cut) for q, cut in zip(QUANTILES, cuts, strict=True)}
    return {"sides": len(values), "mean": mean, **quantiles}


def _plain(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def describe(
    facts: Facts, limits: Limits, other: Facts | None = None, extremes: int = 9
) -> dict[str, Any]:
    """Everything the report says, as plain values for JSON.

    Args:
        facts: of the set.
        limits: what counts as what.
        other: of another set to compare with.
        extremes: rows listed of each extreme.
    """
    limits = limits.of(facts.metric)
    rows, sides = facts.distances.shape
    flat = facts.distances.ravel()
    shown = flat if other is None else np.append(flat, other.distances)
    ends = (0.0, LPIPS_TOPS[0]) if facts.metric == LPIPS else scale(shown)
    choice = facts.choice.ravel()
    names = np.array(facts.choices, object)
    result: dict[str, Any] = {
        "rows": rows,
        "sides": rows * sides,
        "label": label_of(facts.metric),
        "limits": asdict(limits),
        "distance": summarize(flat),
        "histogram": histogram(flat, ends[1], low=ends[0]),
        "shares": {
            **shares_beyond(flat, limits),
            "near_equal": None,
            "flat_references": share(facts.contrast < limits.flat),
            "duplicate_rows": _repeated(facts.hashes) / rows,
            "identical_sides": None,
        },
        "counts": {
            "duplicate_rows": _repeated(facts.hashes),
            "duplicate_references": _repeated(facts.hashes[:, :1]),
        },
    }
    if sides == 2:
        gap = np.abs(facts.distances[:, 0] - facts.distances[:, 1])
        result["gap"] = summarize(gap)
        top = LPIPS_TOPS[1] if facts.metric == LPIPS else scale(gap)[1]
        result["gap_histogram"] = histogram(gap, top, GAP_BINS)
        if limits.near is not None:
            result["shares"]["near_equal"] = share(gap < limits.near)
        identical = facts.hashes[:, 1] == facts.hashes[:, 2]
        result["shares"]["identical_sides"] = share(identical)
    if facts.judgment is not None:
        judged = facts.judgment[~np.isnan(facts.judgment)]
        if len(judged):
            result["judgments"] = len(judged)
            result["judgment_histogram"] = histogram(judged, 1.0, JUDGMENT_BINS)
    single = np.array(["+" not in name for name in names], bool)[choice]
    atoms = np.array([step_kind(name) for name in names], object)[choice]
    families = np.array([families_of(name) for name in names], object)[choice]
    result["atoms"] = _grouped(flat[single], atoms[single], _atom_order)
    result["families"] = _grouped(flat, families, lambda name: (name.count("+"), name))
    result["compositions"] = _compositions(flat, choice, facts.choices)
    result["severity"] = _severity(flat, facts.severity.ravel(), atoms, single)
    result["parameters"] = {name: _spread(values) for name, values in facts.parameters.items()}
    result["coverage"] = coverage(facts)
    result["visible"] = LPIPS_VISIBLE if facts.metric == LPIPS else float(np.percentile(flat, 25))
    result["extremes"] = _extremes(facts, extremes, result["visible"])
    result["against"] = None if other is None else compare(facts, other)
    if other is not None:
        result["against"]["histogram"] = histogram(other.distances.ravel(), ends[1], low=ends[0])
    return result


def shares_beyond(distances: Values, limits: Limits) -> dict[str, float | None]:
    """Shares of sides that are invisible and destroyed; None where there is no limit."""
    low, high = limits.invisible, limits.destroyed
    return {
        "invisible": None if low is None else share(distances < low),
        "destroyed": None if high is None else share(distances > high),
    }


def share(holds: NDArray[np.bool_]) -> float:
    """Of the values for which something holds."""
    return float(holds.mean())


def scale(values: Values) -> tuple[float, float]:
    """Round ends of an axis on which all values lie; it begins at 0 where none is below."""
    low, high = min(0.0, float(values.min())), float(values.max())
    step = round_step(high - low)
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return low, high if high > low else low + step


def histogram(
    values: Values, top: float, bins: int = HISTOGRAM_BINS, low: float = 0.0
) -> dict[str, Any]:
    """Counts in bins of equal width from `low` to `top`; the last takes what lies above."""
    counts, _ = np.histogram(np.minimum(values, np.nextafter(top, low)), bins, (low, top))
    return {"low": low, "top": top, "counts": counts.tolist()}


def _spread(values: Values) -> dict[str, Any]:
    """Range, median and histogram of a parameter's values."""
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, PARAMETER_BINS, (low, high if high > low else low + 1))
    return {
        "steps": len(values),
        "low": low,
        "median": float(np.median(values)),
        "high": high,
        "counts": counts.tolist(),
    }


def _repeated(hashes: NDArray[np.void]) -> int:
    """How many rows repeat an earlier one in all the pictures given."""
    joined = np.ascontiguousarray(hashes).view(f"V{16 * hashes.shape[1]}")
    return len(hashes) - len(np.unique(joined))


def _atom_order(name: str) -> tuple[int, str]:
    order = list(FAMILIES)
    return (order.index(name) if name in FAMILIES else len(order), name)


def _grouped(
    values: Values, labels: NDArray[np.object_], order: Callable[[str], Any]
) -> dict[str, Any]:
    return {
        name: summarize(values[labels == name]) for name in sorted(set(labels.tolist()), key=order)
    }


def _compositions(
    flat: Values, choice: NDArray[np.intp], choices: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Sides and median distance by "first+second"; all CNN distorters count as one."""
    labels = {
        index: "+".join(map(step_kind, name.split("+")))
        for index, name in enumerate(choices)
        if name.count("+") == 1
    }
    grouped: dict[str, list[Values]] = {}
    order = np.argsort(choice, kind="stable")
    starts = np.searchsorted(choice[order], np.arange(len(choices) + 1))
    for index, label in labels.items():
        grouped.setdefault(label, []).append(flat[order[starts[index] : starts[index + 1]]])
    joined = {label: np.concatenate(parts) for label, parts in sorted(grouped.items())}
    return {
        label: {"sides": len(values), "median": float(np.median(values))}
        for label, values in joined.items()
    }


def _severity(
    flat: Values, severity: Values, atoms: NDArray[np.object_], single: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Spearman ρ of severity and distance, and medians in bins of severity, of single steps."""
    from scipy.stats import spearmanr

    known = single & ~np.isnan(severity)
    result = {}
    for name in sorted(set(atoms[known].tolist()), key=_atom_order):
        mine = known & (atoms == name)
        s, d = severity[mine], flat[mine]
        defined = len(s) > 2 and np.ptp(s) > 0 and np.ptp(d) > 0
        index = np.minimum((s * SEVERITY_BINS).astype(int), SEVERITY_BINS - 1)
        bins = [d[index == k] for k in range(SEVERITY_BINS)]
        result[name] = {
            "sides": len(s),
            "spearman": _plain(spearmanr(s, d).statistic) if defined else None,
            "bin_medians": [float(np.median(part)) if len(part) else None for part in bins],
            "bin_sides": [len(part) for part in bins],
        }
    return result


def coverage(facts: Facts, listed: int = 8) -> dict[str, Any]:
    """How many of the 328 distortions and of a plugin's occur, and the least and the most used."""
    counts = np.bincount(facts.choice.ravel(), minlength=len(facts.choices))
    used = Counter(dict(zip(facts.choices, counts.tolist(), strict=True)))
    used.pop(UNKNOWN, None)
    ranked = sorted(
        ((name, used.get(name, 0)) for name in TRADITIONAL), key=lambda item: (item[1], item[0])
    )
    # Nobody knows how many a plugin has; those that occur belong to the whole.
    own = sorted(name for name in used if "own" in map(family_of, name.split("+")))
    own = [name for name in own if not {CNN_FAMILY, *TASKS} & set(map(family_of, name.split("+")))]
    present = [count for _, count in ranked if count] + [used[name] for name in own]
    return {
        "of": len(TRADITIONAL) + len(own),
        "used": len(present),
        "others_used": len([name for name in used if name not in {*TRADITIONAL, *own}]),
        "share_of_singles": _plain(
            sum(count for name, count in used.items() if "+" not in name)
            / max(1, sum(used.values()))
        ),
        "least": [{"distortion": name, "sides": count} for name, count in ranked[:listed]],
        "most": [
            {"distortion": name, "sides": count}
            for name, count in sorted(used.items(), key=lambda item: (-item[1], item[0]))[:listed]
        ],
        "median_sides": float(np.median(present)) if present else None,
    }


def _extremes(facts: Facts, count: int, visible: float) -> dict[str, list[dict[str, Any]]]:
    """Rows with the lowest and highest distances, and the nearest pairs; ties by row."""
    rows, sides = facts.distances.shape
    count = min(count, rows)

    def listed(keys: Values) -> list[dict[str, Any]]:
        return [
            {"row": int(row), "distances": [float(d) for d in facts.distances[row]]}
            for row in np.argsort(keys, kind="stable")[:count]
        ]

    result = {
        "lowest": listed(facts.distances.min(1)),
        "highest": listed(-facts.distances.max(1)),
    }
    if sides == 2:
        gap = np.abs(facts.distances[:, 0] - facts.distances[:, 1])
        # Two invisible sides are near each other too, and are already among the lowest.
        result["nearest"] = listed(np.where(facts.distances.min(1) >= visible, gap, np.inf))
    return result


def compare(facts: Facts, other: Facts) -> dict[str, Any]:
    """How two sets differ: in the distributions of distances and in the use of distortions.

    Kolmogorov-Smirnov is the largest difference of the two distribution functions (0 to 1),
    Wasserstein the mean shift between them (in the metric's unit), total variation half the summed
    difference of shares (0 to 1).
    """
    from scipy.stats import wasserstein_distance

    mine, theirs = facts.distances.ravel(), other.distances.ravel()
    result: dict[str, Any] = {
        "rows": len(other.distances),
        "distance": summarize(theirs),
        "ks": _kolmogorov_smirnov(mine, theirs),
        "wasserstein": float(wasserstein_distance(mine, theirs)),
        "use": _total_variation(_use(facts, str), _use(other, str)),
        "use_families": _total_variation(_use(facts, families_of), _use(other, families_of)),
    }
    groups = []
    for name in sorted(set(_use(facts, families_of)) & set(_use(other, families_of))):
        a, b = _of_family(facts, name), _of_family(other, name)
        groups.append(
            {
                "family": name,
                "ks": _kolmogorov_smirnov(a, b),
                "wasserstein": float(wasserstein_distance(a, b)),
                "median": float(np.median(a)),
                "median_other": float(np.median(b)),
                "sides": len(a),
                "sides_other": len(b),
            }
        )
    result["families"] = sorted(groups, key=lambda group: -group["ks"])
    return result


def _kolmogorov_smirnov(a: Values, b: Values) -> float:
    from scipy.stats import ks_2samp

    with np.errstate(divide="ignore"):  # in its p-value, which is not used, where each has one side
        return float(ks_2samp(a, b, method="asymp").statistic)


def _use(facts: Facts, label: Callable[[str], str]) -> dict[str, float]:
    counts = np.bincount(facts.choice.ravel(), minlength=len(facts.choices))
    shares: Counter[str] = Counter()
    for name, count in zip(facts.choices, counts.tolist(), strict=True):
        shares[label(name)] += count
    return {name: count / facts.choice.size for name, count in shares.items()}


def _total_variation(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    return 0.5 * math.fsum(abs(a.get(name, 0.0) - b.get(name, 0.0)) for name in {*a, *b})


def _of_family(facts: Facts, name: str) -> Values:
    mine = np.array([families_of(choice) == name for choice in facts.choices], bool)
    return np.asarray(facts.distances[mine[facts.choice]])
