"""Validation: what a generated set is like, in numbers, from its rows and their LPIPS distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.as_distortions import CNN_FAMILY
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.compositions import COMPOSITIONS
from bapps_gen.distortions.steps import CNN_PREFIX
from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import INFO_NAME, Dataset
from bapps_gen.manifests.scores import read_scores
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.render import luma_contrast
from bapps_gen.pipelines.scoring.score import MetricOptions, score

Values = NDArray[np.float64]

METRIC = "lpips-alex"
QUANTILES = (5, 25, 50, 75, 95)
HISTOGRAM_BINS = 50
HISTOGRAM_TOP = 1.25
"""LPIPS has no upper bound; what lies above is counted in the last bin."""
SEVERITY_BINS = 5

_EVERY = (*(atom.name for atom in ATOMS), *(f"{first}+{second}" for first, second in COMPOSITIONS))
_FAMILY = {atom.name: atom.family for atom in ATOMS}
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as what; our own choices, the paper publishes none.

    Args:
        invisible: LPIPS (alex) below which a side can hardly be told from its reference.
        destroyed: LPIPS above which little of the reference is left.
        near: |d0 − d1| below which the two sides of a triplet count as equally far.
        flat: standard deviation of a reference's luma, of full scale, below which it is flat; the
            default of `bapps-gen traditional --min-contrast`.
    """

    invisible: float = 0.01
    destroyed: float = 0.8
    near: float = 0.01
    flat: float = 0.02

    def __post_init__(self) -> None:
        check_range("invisible", self.invisible, 0.0, 10.0)
        check_range("destroyed", self.destroyed, 0.0, 10.0)
        check_range("near", self.near, 0.0, 10.0)
        check_range("flat", self.flat, 0.0, 0.5)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the user demands of a set; None demands nothing.

    Args:
        max_invisible: largest share of invisible sides.
        max_destroyed: largest share of destroyed sides.
        max_near_equal: largest share of triplets with near-equal sides.
        max_duplicates: largest share of rows that repeat another.
        max_flat: largest share of flat references.
        min_coverage: least number of the 328 distortions that occur.
        min_spearman: least Spearman ρ of severity and LPIPS, of every atom.
        max_ks: largest Kolmogorov-Smirnov distance of LPIPS to the other set.
        max_wasserstein: largest Wasserstein distance of LPIPS to the other set.
        max_use: largest total variation distance of the use of distortions to the other set.
    """

    max_invisible: float | None = None
    max_destroyed: float | None = None
    max_near_equal: float | None = None
    max_duplicates: float | None = None
    max_flat: float | None = None
    min_coverage: int | None = None
    min_spearman: float | None = None
    max_ks: float | None = None
    max_wasserstein: float | None = None
    max_use: float | None = None

    def __post_init__(self) -> None:
        ends = {"min_coverage": (0, len(_EVERY)), "max_wasserstein": (0.0, 10.0)}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                low, high = ends.get(field.name, (-1.0 if "spearman" in field.name else 0.0, 1.0))
                whole = field.name == "min_coverage"
                check_range(field.name.replace("_", "-"), value, low, high, whole=whole)


@dataclass(frozen=True, slots=True)
class Facts:
    """What validation needs of a set's rows; sides are rows, or rows twice in triplets.

    Args:
        distances: LPIPS, (rows, sides).
        choice: index into `choices` of each side's distortion, (rows, sides).
        choices: ids of the distortions that occur, such as "jpeg" or "gaussian_blur+jpeg".
        severity: severity of sides with a single step, NaN elsewhere, (rows, sides).
        contrast: standard deviation of each reference's luma, of full scale, (rows,).
        hashes: 128-bit pixel hashes of each row's pictures, void of 16 bytes, (rows, pictures).
    """

    distances: Values
    choice: NDArray[np.intp]
    choices: tuple[str, ...]
    severity: Values
    contrast: NDArray[np.float64]
    hashes: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class _ShardFacts:
    shard: int
    choice: tuple[tuple[str, ...], ...]
    severity: Values
    contrast: Values
    hashes: NDArray[np.void]


def gather(
    dataset: Dataset,
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
    score_progress: Progress | None = None,
) -> tuple[Facts, Mapping[str, str]]:
    """The facts of a set, and the settings of its distances, which are made where they lack.

    Raises:
        UserError: for a recipe, which has no pictures, or bad options.
        WorkError: when the set or its distances are damaged.
    """
    score(dataset, [METRIC], options, workers, score_progress, reuse=True)
    stored = read_scores(dataset, METRIC)
    shards = range(dataset.info.shards)
    parts: dict[int, _ShardFacts] = {}
    done = 0
    shared = (dataset.folder / INFO_NAME,)
    for part in run_jobs(_prepare_gather, dataset, shards, workers, shared):
        parts[part.shard] = part
        done += len(part.contrast)
        if progress:
            progress(done, dataset.info.rows)
    ordered = [parts[shard] for shard in shards]
    names = sorted({name for part in ordered for side in part.choice for name in side})
    places = {name: place for place, name in enumerate(names)}
    choice = np.concatenate(
        [np.array([[places[name] for name in side] for side in part.choice]).T for part in ordered]
    )
    sides = (stored.d0,) if stored.d1 is None else (stored.d0, stored.d1)
    facts = Facts(
        distances=np.stack(sides, 1),
        choice=choice,
        choices=tuple(names),
        severity=np.concatenate([part.severity for part in ordered]),
        contrast=np.concatenate([part.contrast for part in ordered]),
        hashes=np.concatenate([part.hashes for part in ordered]),
    )
    return facts, stored.info.settings


def _prepare_gather(dataset: Dataset) -> Callable[[int], _ShardFacts]:
    patches = dataset.info.patches
    sides = len(patches) - 1
    columns = [f"{kind}{side}" for side in range(sides) for kind in ("distortion", "steps")]
    columns += ["ref", *(f"{name}_hash" for name in patches)]

    def gather_shard(shard: int) -> _ShardFacts:
        choice: list[list[str]] = [[] for _ in range(sides)]
        severity: list[list[float]] = [[] for _ in range(sides)]
        contrast: list[float] = []
        hashes: list[list[bytes]] = [[] for _ in patches]
        for batch in dataset.shard_batches(shard, columns):
            for side in range(sides):
                choice[side] += batch.column(f"distortion{side}").to_pylist()
                for steps in batch.column(f"steps{side}").to_pylist():
                    single = steps[0]["severity"] if len(steps) == 1 else None
                    severity[side].append(np.nan if single is None else single)
            pictures = batch.column("ref").to_pylist()
            contrast += [luma_contrast(decode_png(picture["bytes"])) for picture in pictures]
            for place, name in enumerate(patches):
                hashes[place] += map(bytes.fromhex, batch.column(f"{name}_hash").to_pylist())
        return _ShardFacts(
            shard,
            tuple(tuple(name or UNKNOWN for name in names) for names in choice),
            np.array(severity, np.float64).T,
            np.array(contrast),
            np.stack([np.array(column, "V16") for column in hashes], 1),
        )

    return gather_shard


def kind_of(step: str) -> str:
    """The kind of a step: itself, but "cnn" for every CNN distorter such as "cnn:017"."""
    return CNN_FAMILY if step.startswith(CNN_PREFIX) else step


def family_of(step: str) -> str:
    """The family of a step: of the table, "cnn", "own" for a plugin's, "unknown" for none.

    That of a real algorithm, such as "superres:bicubic", is its task.
    """
    kind = kind_of(step)
    task = kind.split(":", 1)[0]
    return _FAMILY.get(kind, task if task in (CNN_FAMILY, UNKNOWN, *TASKS) else "own")


def families_of(choice: str) -> str:
    """The families of a distortion in the order of the alphabet, such as "blur + noise"."""
    return " + ".join(sorted(family_of(step) for step in choice.split("+")))


def summarise(values: Values) -> dict[str, Any]:
    """Count, mean and quantiles of distances."""
    found = {"sides": len(values), "mean": float(values.mean()) if len(values) else None}
    ends = np.percentile(values, QUANTILES) if len(values) else [None] * len(QUANTILES)
    return {**found, **{f"p{q:02d}": _plain(end) for q, end in zip(QUANTILES, ends, strict=True)}}


def _plain(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def validate(
    facts: Facts, limits: Limits, other: Facts | None = None, extremes: int = 9
) -> dict[str, Any]:
    """Everything the report says, as plain values for JSON.

    Args:
        facts: of the set.
        limits: what counts as invisible, destroyed and so on.
        other: of another set to compare with.
        extremes: rows listed at each end.
    """
    rows, sides = facts.distances.shape
    flat = facts.distances.ravel()
    choice = facts.choice.ravel()
    names = np.array(facts.choices, object)
    found: dict[str, Any] = {
        "rows": rows,
        "sides": rows * sides,
        "limits": asdict(limits),
        "lpips": summarise(flat),
        "histogram": histogram(flat),
        "shares": {
            "invisible": float((flat < limits.invisible).mean()),
            "destroyed": float((flat > limits.destroyed).mean()),
            "near_equal": None,
            "flat_references": float((facts.contrast < limits.flat).mean()),
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
        found["gap"] = summarise(gap)
        found["gap_histogram"] = histogram(gap, 0.8, 40)
        found["shares"]["near_equal"] = float((gap < limits.near).mean())
        identical = facts.hashes[:, 1] == facts.hashes[:, 2]
        found["shares"]["identical_sides"] = float(identical.mean())
    single = np.array(["+" not in name for name in names], bool)[choice]
    atoms = np.array([kind_of(name) for name in names], object)[choice]
    families = np.array([families_of(name) for name in names], object)[choice]
    found["atoms"] = _grouped(flat[single], atoms[single], _atom_order)
    found["families"] = _grouped(flat, families, lambda name: (name.count("+"), name))
    found["compositions"] = _compositions(flat, choice, facts.choices)
    found["severity"] = _severity(flat, facts.severity.ravel(), atoms, single)
    found["coverage"] = coverage(facts)
    found["extremes"] = _extremes(facts, extremes)
    found["against"] = None if other is None else compare(facts, other)
    return found


def histogram(
    values: Values, top: float = HISTOGRAM_TOP, bins: int = HISTOGRAM_BINS
) -> dict[str, Any]:
    """Counts in bins of equal width from 0 to `top`; the last takes what lies above too."""
    counts, _ = np.histogram(np.minimum(values, np.nextafter(top, 0)), bins, (0.0, top))
    return {"top": top, "counts": counts.tolist()}


def _repeated(hashes: NDArray[np.void]) -> int:
    """How many rows repeat an earlier one in all the pictures given."""
    joined = np.ascontiguousarray(hashes).view(f"V{16 * hashes.shape[1]}")
    return len(hashes) - len(np.unique(joined))


def _atom_order(name: str) -> tuple[int, str]:
    order = list(_FAMILY)
    return (order.index(name) if name in _FAMILY else len(order), name)


def _grouped(
    values: Values, labels: NDArray[np.object_], order: Callable[[str], Any]
) -> dict[str, Any]:
    return {
        name: summarise(values[labels == name]) for name in sorted(set(labels.tolist()), key=order)
    }


def _compositions(
    flat: Values, choice: NDArray[np.intp], choices: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Sides and median LPIPS by "first+second"; CNN distorters stand together."""
    labels = {
        place: "+".join(map(kind_of, name.split("+")))
        for place, name in enumerate(choices)
        if name.count("+") == 1
    }
    grouped: dict[str, list[Values]] = {}
    order = np.argsort(choice, kind="stable")
    starts = np.searchsorted(choice[order], np.arange(len(choices) + 1))
    for place, label in labels.items():
        grouped.setdefault(label, []).append(flat[order[starts[place] : starts[place + 1]]])
    found = {}
    for label, parts in sorted(grouped.items()):
        joined = np.concatenate(parts)
        found[label] = {"sides": len(joined), "median": float(np.median(joined))}
    return found


def _severity(
    flat: Values, severity: Values, atoms: NDArray[np.object_], single: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Spearman ρ of severity and LPIPS, and medians in bins of severity, of sides with one step."""
    from scipy.stats import spearmanr

    known = single & ~np.isnan(severity)
    found = {}
    for name in sorted(set(atoms[known].tolist()), key=_atom_order):
        mine = known & (atoms == name)
        s, d = severity[mine], flat[mine]
        defined = len(s) > 2 and np.ptp(s) > 0 and np.ptp(d) > 0
        place = np.minimum((s * SEVERITY_BINS).astype(int), SEVERITY_BINS - 1)
        bins = [d[place == k] for k in range(SEVERITY_BINS)]
        found[name] = {
            "sides": len(s),
            "spearman": _plain(spearmanr(s, d).statistic) if defined else None,
            "bin_medians": [float(np.median(part)) if len(part) else None for part in bins],
            "bin_sides": [len(part) for part in bins],
        }
    return found


def coverage(facts: Facts, listed: int = 8) -> dict[str, Any]:
    """How many of the 328 distortions occur, and the least and the most used."""
    counts = np.bincount(facts.choice.ravel(), minlength=len(facts.choices))
    used = Counter(dict(zip(facts.choices, counts.tolist(), strict=True)))
    used.pop(UNKNOWN, None)
    ranked = sorted(
        ((name, used.get(name, 0)) for name in _EVERY), key=lambda item: (item[1], item[0])
    )
    present = [count for _, count in ranked if count]
    return {
        "of": len(_EVERY),
        "used": len(present),
        "others_used": len([name for name in used if name not in _EVERY]),
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


def _extremes(facts: Facts, count: int) -> dict[str, list[dict[str, Any]]]:
    """Rows with the lowest and highest distances, and the nearest pairs; ties by row."""
    rows, sides = facts.distances.shape
    count = min(count, rows)

    def listed(keys: Values) -> list[dict[str, Any]]:
        return [
            {"row": int(row), "distances": [float(d) for d in facts.distances[row]]}
            for row in np.argsort(keys, kind="stable")[:count]
        ]

    found = {
        "lowest": listed(facts.distances.min(1)),
        "highest": listed(-facts.distances.max(1)),
    }
    if sides == 2:
        gap = np.abs(facts.distances[:, 0] - facts.distances[:, 1])
        # Two invisible sides are near each other too, and are among the lowest already.
        found["nearest"] = listed(np.where(facts.distances.min(1) >= 0.1, gap, np.inf))
    return found


def compare(facts: Facts, other: Facts) -> dict[str, Any]:
    """How two sets differ: distances of the distributions of LPIPS and of the use of distortions.

    Kolmogorov-Smirnov is the largest difference of the two distribution functions (0 to 1),
    Wasserstein the mean shift between them (in LPIPS), total variation half the summed difference
    of shares (0 to 1).
    """
    from scipy.stats import wasserstein_distance

    mine, theirs = facts.distances.ravel(), other.distances.ravel()
    found: dict[str, Any] = {
        "rows": len(other.distances),
        "lpips": summarise(theirs),
        "histogram": histogram(theirs),
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
    found["families"] = sorted(groups, key=lambda group: -group["ks"])
    return found


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
    return 0.5 * sum(abs(a.get(name, 0.0) - b.get(name, 0.0)) for name in {*a, *b})


def _of_family(facts: Facts, name: str) -> Values:
    mine = np.array([families_of(choice) == name for choice in facts.choices], bool)
    return np.asarray(facts.distances[mine[facts.choice]])


def missed(found: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """One line for each threshold that a set misses.

    Raises:
        UserError: when a threshold asks for what the set does not have.
    """
    lines = []
    shares, against = found["shares"], found["against"]
    for name, share, what in (
        ("max_invisible", "invisible", "of sides are invisible"),
        ("max_destroyed", "destroyed", "of sides are destroyed"),
        ("max_near_equal", "near_equal", "of triplets have near-equal sides"),
        ("max_duplicates", "duplicate_rows", "of rows repeat another"),
        ("max_flat", "flat_references", "of references are flat"),
    ):
        limit = getattr(thresholds, name)
        if limit is None:
            continue
        if shares[share] is None:
            raise UserError(f"{_option(name)} goes with triplets; this is a set of JND pairs")
        if shares[share] > limit:
            lines.append(f"{_percent(shares[share])} {what}, more than {_percent(limit)}")
    least = thresholds.min_coverage
    if least is not None and found["coverage"]["used"] < least:
        lines.append(f"{found['coverage']['used']} distortions occur, fewer than {least}")
    if thresholds.min_spearman is not None:
        if not found["severity"]:
            raise UserError("min-spearman goes with sets that have severities; this has none")
        for name, entry in found["severity"].items():
            rho = entry["spearman"]
            if rho is None or rho < thresholds.min_spearman:
                told = "undefined" if rho is None else f"{rho:.3f}"
                lines.append(
                    f"Spearman's rho of {name} is {told}, less than {thresholds.min_spearman:g}"
                )
    for name, key, what in (
        ("max_ks", "ks", "the Kolmogorov-Smirnov distance of LPIPS"),
        ("max_wasserstein", "wasserstein", "the Wasserstein distance of LPIPS"),
        ("max_use", "use", "the total variation distance of distortions"),
    ):
        limit = getattr(thresholds, name)
        if limit is None:
            continue
        if against is None:
            raise UserError(f"{_option(name)} = {limit:g} needs another set; add --against DATASET")
        if against[key] > limit:
            lines.append(f"{what} is {against[key]:.4f}, more than {limit:g}")
    return lines


def _option(name: str) -> str:
    return name.replace("_", "-")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def read_patches(dataset: Dataset, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """PNG files and steps of a few rows, by row: "pictures" (one each) and "steps" (each side).

    Raises:
        WorkError: when a shard is damaged.
    """
    from bapps_gen.manifests.schema import table_rows

    found = {}
    size = dataset.info.shard_rows
    for shard in sorted({row // size for row in rows}):
        wanted = {row for row in rows if row // size == shard}
        for batch in dataset.shard_batches(shard):
            numbers = batch.column("row").to_pylist()
            for place in (place for place, row in enumerate(numbers) if row in wanted):
                part = batch.slice(place, 1)
                (row,) = table_rows(part)
                (stored,) = part.select(list(dataset.info.patches)).to_pylist()
                pictures = [stored[name]["bytes"] for name in dataset.info.patches]
                found[row.row] = {"pictures": pictures, "steps": row.steps}
    return found
