"""Families of metrics, as the paper's Figure 4 groups them, by a literal rule."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bapps_gen.metrics.table import METRICS, MetricSpec


@dataclass(frozen=True, slots=True)
class Family:
    """A family of metrics.

    Args:
        name: short, for files.
        title: for figures.
        pattern: regular expression that the whole text of each of its metrics matches.
        mode: of training, of those that `train-metric` wrote; empty for others.
    """

    name: str
    title: str
    pattern: str
    mode: str = ""


FAMILIES: tuple[Family, ...] = (
    Family("low-level", "Low-level", "|".join(spec.name for spec in METRICS if spec.net is None)),
    Family("random", "Nets, random", r"random-.*"),
    Family("unsupervised", "Nets, unsupervised", r"kmeans-.*"),
    Family("self-supervised", "Nets, self-supervised", r"(puzzle|bigan|split-brain|video):.*"),
    Family("supervised", "Nets, supervised", r"(uncalibrated-|timm:).*"),
    Family("lpips-lin", "LPIPS, linear", r"lpips-.*"),
    Family("lpips-lin", "LPIPS, linear", r".*\.safetensors", "lin"),
    Family("lpips-lin", "LPIPS, linear", r".*\.safetensors", "imported"),
    Family("lpips-tune", "LPIPS, tuned", r".*\.safetensors", "tune"),
    Family("lpips-scratch", "LPIPS, from scratch", r".*\.safetensors", "scratch"),
    Family("other", "Others", r".*"),
)
"""The first family that fits is a metric's, in the order of the figures. Fixed nets come before
those that learned from judgments; "other" are own ones, those of other packages, distances from
files, and nets of unknown training."""


def family_of(spec: MetricSpec) -> Family:
    """The family of a metric."""
    return next(
        family
        for family in FAMILIES
        if re.fullmatch(family.pattern, spec.given) and family.mode in ("", spec.mode)
    )
