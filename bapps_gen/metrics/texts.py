"""Texts that name metrics: those of the table, and open ones, from files and other packages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from bapps_gen.errors import UserError, unknown_name
from bapps_gen.lpips.net_names import NET_KINDS
from bapps_gen.metrics import table
from bapps_gen.metrics.table import MetricSpec, load_builtin

if TYPE_CHECKING:  # it needs NumPy, which help does without
    from bapps_gen.metrics.base import Metric

MAX_NAME = 100
_CEILINGS = ("human", "human_unbiased")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


@dataclass(frozen=True, slots=True)
class TextKind:
    """One kind of texts that name open metrics.

    Args:
        form: of the text, as help shows it.
        meaning: what it names.
        own_name: of the metric, in words or by an example.
        pattern: regular expression that the whole of every such text matches.
        module: in this package; it has `describe(text) -> MetricSpec` and
            `load(spec, device, dtype, weights) -> Metric`.
    """

    form: str
    meaning: str
    own_name: str
    pattern: str
    module: str


# Those named alone, "alex" and so on, have metrics of the table.
_NETS = [kind for kind in NET_KINDS if kind.name != kind.form]

KINDS: tuple[TextKind, ...] = (
    TextKind(
        ", ".join(kind.form for kind in _NETS),
        "LPIPS with the features of any network, all weighted 1",
        "such as random-alex-1 or timm-resnet18",
        "|".join(f"{kind.form[: len(kind.name) + 1]}.*" for kind in _NETS),
        "uncalibrated",
    ),
    TextKind(
        "pyiqa:NAME",
        "a full-reference metric of pyiqa, where that is installed",
        "such as pyiqa-vif",
        r"pyiqa:.*",
        "pyiqa_metrics",
    ),
    TextKind(
        "FILE.safetensors[@NET]",
        "a metric that `train-metric` wrote, with its net where that is a Python file's",
        "that of the file",
        r".*\.safetensors(@.*)?",
        "trained",
    ),
    TextKind(
        "FILE.py:NAME",
        "a class or function in your own Python file",
        "the class's or function's, or what it says",
        r".*\.py(:.*)?",
        "plugin",
    ),
    TextKind(
        "FILE.csv, FILE.parquet",
        "distances computed elsewhere, by id of the row",
        "that of the file",
        r".*\.(csv|parquet)",
        "distance_file",
    ),
)
"""The first kind that a text matches is the one that it is of."""


def metric_spec(text: str | PathLike[str]) -> MetricSpec:
    """The metric that a text names.

    Raises:
        UserError: for an unknown name, with the nearest known one, and for whatever is wrong with
            a file or package that it names.
    """
    text = fspath(text)
    known = {spec.name: spec for spec in table.METRICS}
    if text in known:
        return known[text]
    kind = _kind_of(text)
    if kind is None:
        remedy = f"choose one of {', '.join(known)}, or name one of your own, such as mine.py:NAME"
        raise unknown_name("metric", text, known, remedy)
    spec: MetricSpec = _module(kind).describe(text)
    check_name(spec.name, text)
    return spec


def load_metric(
    name: str | PathLike[str],
    *,
    device: str = "cpu",
    dtype: str = "float32",
    weights: str | PathLike[str] | None = None,
) -> Metric:
    """A metric that is ready for use.

    Args:
        name: of a metric (`list_metrics` has them all); or a text that names another one, such as
            "mine.py:MyMetric", "pyiqa:vif", "uncalibrated-vgg" or "trained.safetensors".
        device: "cpu", "cuda", "mps" or "auto"; used by metrics that compute with torch.
        dtype: "float32" or "bfloat16", of LPIPS's network.
        weights: file of the weights of LPIPS's trunk, instead of one from the default locations.

    Returns:
        The metric: `distance(ref, dist)` and `triplet(ref, p0, p1)` take uint8 patches of shape
        (N, H, W, 3) and give float64 distances of shape (N,); larger is more different. With a
        network (LPIPS, feature nets, trained metrics) its `model` is what `load_lpips` returns: it
        takes tensors, and carries gradients to them.

    Raises:
        UserError: for an unknown name, a missing device, torch or another package missing, or
            files that are missing or damaged; also where `weights` is given for a metric without
            a network.

    Example:
        >>> import bapps_gen
        >>> from skimage import data
        >>> ref = data.astronaut()[None, :64, :64]  # uint8 (N, H, W, 3)
        >>> blurred = bapps_gen.distort(ref, "gaussian_blur:sigma=2")
        >>> metric = bapps_gen.load_metric("ssim")
        >>> metric.distance(ref, blurred).shape, bool(metric.distance(ref, ref)[0] < 1e-6)
        ((1,), True)
    """
    return load_spec(metric_spec(name), device=device, dtype=dtype, weights=weights)


def load_spec(
    spec: MetricSpec,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    weights: str | PathLike[str] | None = None,
) -> Metric:
    """The metric that a record describes; see `load_metric`."""
    if weights is not None and spec.net is None:
        raise UserError(
            f"weights = {weights} applies to LPIPS; {spec.name} has no network, leave it out"
        )
    kind = None if spec.given in {each.name for each in table.METRICS} else _kind_of(spec.given)
    if kind is None:
        return load_builtin(spec, device, dtype, weights)
    metric: Metric = _module(kind).load(spec, device, dtype, weights)
    return metric


def check_name(name: str, given: str) -> None:
    """Raise UserError unless a metric can have a name of its own for its column and its folder.

    Args:
        name: its own.
        given: the text that named it.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise UserError(
            f"metric {given}: name = {name!r} cannot name a folder and a column; use at most "
            f"{MAX_NAME} letters, digits and _ . + -, a letter, digit or _ first"
        )
    if column_name(name) in _CEILINGS:
        raise UserError(
            f"metric {given}: name = {name!r} is that of people's scores; give it another name"
        )
    taken = {column_name(spec.name): spec.name for spec in table.METRICS}
    if column_name(name) in taken:
        raise UserError(
            f"metric {given}: name = {name!r} is that of {taken[column_name(name)]}, which comes "
            "with the package; give it another name"
        )


def check_names(specs: Iterable[MetricSpec]) -> None:
    """Raise UserError where two metrics would share a column or a folder."""
    seen: dict[str, MetricSpec] = {}
    for spec in specs:
        other = seen.setdefault(column_name(spec.name), spec)
        if other.given != spec.given:
            raise UserError(
                f"metrics {other.given} and {spec.given} share the name {other.name!r}; "
                "give one of them another"
            )


def column_name(metric: str) -> str:
    """What tells columns of metrics apart: "-" is written as "_", and letters' case is ignored."""
    return metric.replace("-", "_").casefold()


def _kind_of(text: str) -> TextKind | None:
    return next((kind for kind in KINDS if re.fullmatch(kind.pattern, text)), None)


def _module(kind: TextKind) -> Any:
    return import_module(f"bapps_gen.metrics.{kind.module}")
