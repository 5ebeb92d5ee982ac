"""Options of validation: what counts as what, and what is required. Light to import.

All defaults are our own choices; the paper publishes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bapps_gen.checks import MAX_SEED, Option, check_options, check_range
from bapps_gen.errors import UserError
from bapps_gen.pipelines.rows.options import MIN_CONTRAST
from bapps_gen.pipelines.scoring.options import MetricOptions

DISTORTIONS = 328
"""Traditional distortions: 20 single ones and 308 compositions."""


WIDTH = Option(
    "number",
    "width of the human ceiling's 95 % interval that the report plans votes for",
    default=0.02,
    low=0.0001,
    high=1.0,
    metavar="W",
)


LPIPS = "lpips-alex"
"""The metric that sets are validated by, where no other is asked for."""

_LIMITS = {"invisible": 0.01, "destroyed": 0.8, "near": 0.01}
"""In LPIPS; what counts in other metrics nobody knows, so that these have none of their own."""


def _limit(name: str, help: str) -> Any:
    return Option(
        "number",
        help,
        low=-1e6,
        high=1e6,
        metavar="X",
        default_text=f"{_LIMITS[name]:g} for {LPIPS}, none for others",
    ).field()


def _share(help: str) -> Any:
    return Option("number", f"largest share of {help}", low=0.0, high=1.0, metavar="F").field()


def _distance(help: str, high: float = 1.0) -> Any:
    help = f"largest {help} to the other set"
    return Option("number", help, low=0.0, high=high, metavar="D").field()


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as what.

    Args:
        invisible: distance below which a side is hardly distinguishable from its reference; None
            for 0.01 of lpips-alex, and for no limit of other metrics.
        destroyed: distance above which little of the reference is left; None likewise, for 0.8.
        near: |d0 − d1| below which the two sides of a triplet count as equally far; None likewise,
            for 0.01.
        flat: standard deviation of a reference's luma, of full scale, below which it is flat; the
            default of `bapps-gen traditional --min-contrast`.
    """

    invisible: float | None = _limit("invisible", "distance below which a side counts as invisible")
    destroyed: float | None = _limit("destroyed", "distance above which a side counts as destroyed")
    near: float | None = _limit(
        "near", "|d0 - d1| below which the sides of a triplet count as near-equal"
    )
    flat: float = Option(
        "number",
        "standard deviation of luma, of full scale, below which a reference is flat",
        default=MIN_CONTRAST.default,
        low=0.0,
        high=0.5,
        metavar="X",
    ).field()

    def __post_init__(self) -> None:
        check_options(self)

    def of(self, metric: str) -> Limits:
        """With the defaults of a metric where none was given."""
        defaults = _LIMITS if metric == LPIPS else {}
        lacking = [name for name in defaults if getattr(self, name) is None]
        return replace(self, **{name: defaults[name] for name in lacking})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is required of a set; None requires nothing.

    Raises:
        UserError: for a threshold out of range.
    """

    max_invisible: float | None = _share("invisible sides")
    max_destroyed: float | None = _share("destroyed sides")
    max_near_equal: float | None = _share("triplets with near-equal sides")
    max_duplicates: float | None = _share("rows that repeat another")
    max_flat: float | None = _share("flat references")
    min_coverage: int | None = Option(
        "integer",
        f"smallest number of the {DISTORTIONS} traditional distortions that occur",
        low=0,
        high=DISTORTIONS,
        metavar="N",
    ).field()
    min_spearman: float | None = Option(
        "number",
        "smallest Spearman's rho of severity and distance, of every distortion",
        low=-1.0,
        high=1.0,
        metavar="R",
    ).field()
    max_ks: float | None = _distance("Kolmogorov-Smirnov distance of the metric's values")
    max_wasserstein: float | None = _distance("Wasserstein distance of the metric's values", 10.0)
    max_use: float | None = _distance("total variation distance of distortions")

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def any_set(self) -> bool:
        """Whether anything is required."""
        return self != Thresholds()

    def without(self, *names: str) -> Thresholds:
        """With nothing required by some."""
        return replace(self, **dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class ValidationOptions:
    """How a dataset, or every set of a collection, is validated.

    Args:
        extremes: rows shown of each extreme.
        limits: what counts as invisible, destroyed and so on.
        thresholds: what is required.
        metric: name of the metric, or a text that names an open one.
        metric_options: how it is computed.
    """

    extremes: int = Option(
        "integer",
        "rows shown of each extreme",
        default=9,
        low=1,
        high=100,
        metavar="N",
        remedy="show fewer",
    ).field()
    limits: Limits = field(default_factory=Limits)
    thresholds: Thresholds = field(default_factory=Thresholds)
    metric: str = Option(
        "text",
        "metric of the distances: a name, or any text that `score --metric` takes",
        default=LPIPS,
        metavar="NAME",
    ).field()
    metric_options: MetricOptions = field(default_factory=MetricOptions)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True)
class ZooOptions:
    """How a zoo is validated.

    Args:
        patches: how many patches pass every distorter. With 256 the standard error of a
            distorter's median LPIPS is 3.5 % of it, on average over the distorters (7 % with 64
            patches), and as much for the median between two.
        seed: of the patches.
    """

    patches: int = Option(
        "integer", "patches to measure, 8 to 4096", default=256, low=8, high=4096, metavar="N"
    ).field()
    seed: int = Option(
        "integer", "seed of the patches", default=0, low=0, high=MAX_SEED, metavar="S"
    ).field()

    def __post_init__(self) -> None:
        check_options(self)


_COMPARED = {
    "max_ks": ("ks", "the Kolmogorov-Smirnov distance of {label}"),
    "max_wasserstein": ("wasserstein", "the Wasserstein distance of {label}"),
    "max_use": ("use", "the total variation distance of distortions"),
}
_SHARES = {
    "max_invisible": ("invisible", "of sides are invisible"),
    "max_destroyed": ("destroyed", "of sides are destroyed"),
    "max_near_equal": ("near_equal", "of triplets have near-equal sides"),
    "max_duplicates": ("duplicate_rows", "of rows repeat another"),
    "max_flat": ("flat_references", "of references are flat"),
}


_LIMITED = {"max_invisible": "invisible", "max_destroyed": "destroyed", "max_near_equal": "near"}


def label_of(metric: str) -> str:
    """What captions call the distances by a metric."""
    return "LPIPS" if metric == LPIPS else metric


def check_limited(thresholds: Thresholds, limits: Limits, metric: str) -> None:
    """Raise UserError, before anything is computed, for a limit or share that a metric has not.

    LPIPS lies in 0 to 10; shares need a limit of what counts.
    """
    if metric == LPIPS:
        for name in _LIMITS:
            if (limit := getattr(limits, name)) is not None:
                check_range(name, limit, 0.0, 10.0)
    for name, limit in _LIMITED.items():
        if getattr(thresholds, name) is not None and getattr(limits.of(metric), limit) is None:
            raise UserError(
                f"{name.replace('_', '-')} needs a limit in {metric}; give --{limit} X, or leave "
                "--metric out"
            )


def check_applicable(thresholds: Thresholds, unit: str, *, compared: bool) -> None:
    """Raise UserError, before anything is computed, for a threshold that cannot be applied.

    Args:
        thresholds: of the user.
        unit: of the set, "triplets" or "pairs".
        compared: whether there is another set to compare with.
    """
    for name in _COMPARED:
        limit = getattr(thresholds, name)
        if limit is not None and not compared:
            raise UserError(
                f"{name.replace('_', '-')} = {limit:g} needs another set; add --against DATASET"
            )
    if thresholds.max_near_equal is not None and unit != "triplets":
        raise UserError("max-near-equal applies to triplets only; this is a set of JND pairs")


def missed(result: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """One line for each threshold that a set misses.

    Args:
        result: of `describe`.
        thresholds: that can be applied to the set.

    Raises:
        UserError: when there are no severities for `min_spearman`.
    """
    shares, against = result["shares"], result["against"]
    required = {entry.name: getattr(thresholds, entry.name) for entry in fields(thresholds)}
    lines = [
        f"{_percent(shares[key])} {what}, more than {_percent(required[name])}"
        for name, (key, what) in _SHARES.items()
        if required[name] is not None and shares[key] > required[name]
    ]
    used, least = result["coverage"]["used"], thresholds.min_coverage
    if least is not None and used < least:
        lines.append(f"{used} distortions occur, fewer than {least}")
    if thresholds.min_spearman is not None:
        lines += _missed_spearman(result["severity"], thresholds.min_spearman)
    lines += [
        f"{what.format(**result)} is {against[key]:.4f}, more than {required[name]:g}"
        for name, (key, what) in _COMPARED.items()
        if required[name] is not None and against[key] > required[name]
    ]
    return lines


def measured(result: Mapping[str, Any], thresholds: Thresholds) -> list[str]:
    """One line for each threshold, met or missed: what was measured, and what is required.

    Args:
        result: of `describe`.
        thresholds: that can be applied to the set.
    """
    required = {entry.name: getattr(thresholds, entry.name) for entry in fields(thresholds)}
    lines = [
        f"{_percent(result['shares'][key])} {what}, at most {_percent(required[name])} required"
        for name, (key, what) in _SHARES.items()
        if required[name] is not None
    ]
    if thresholds.min_coverage is not None:
        used = result["coverage"]["used"]
        lines.append(f"{used} distortions occur, at least {thresholds.min_coverage} required")
    known = {name: entry["spearman"] for name, entry in result["severity"].items()}
    if thresholds.min_spearman is not None and known:
        name = min(known, key=lambda name: -2.0 if known[name] is None else known[name])
        rho = "undefined" if known[name] is None else f"{known[name]:.3f}"
        least = thresholds.min_spearman
        lines.append(f"the smallest Spearman's rho is {rho} ({name}), at least {least:g} required")
    lines += [
        f"{what.format(**result)} is {result['against'][key]:.4f}, at most {required[name]:g} "
        "required"
        for name, (key, what) in _COMPARED.items()
        if required[name] is not None
    ]
    return lines


def _missed_spearman(severity: Mapping[str, Any], least: float) -> list[str]:
    if not severity:
        raise UserError("min-spearman applies to sets with severities only; this has none")
    lines = []
    for name, entry in severity.items():
        rho = entry["spearman"]
        if rho is None or rho < least:
            text = "undefined" if rho is None else f"{rho:.3f}"
            lines.append(f"Spearman's rho of {name} is {text}, less than {least:g}")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
