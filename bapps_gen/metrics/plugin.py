"""A user's own metric, from a Python file: `mine.py:MyMetric`.

A function of (a, b), or a class that is made without arguments and then called with (a, b), or
whose `distance(a, b)` is. Patches come as (N, 3, H, W), RGB: NumPy uint8, or, where it declares a
`value_range`, torch float32 tensors in that range on the device asked for. It returns N distances.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, cast

from bapps_gen.checks import parse_range
from bapps_gen.errors import UserError
from bapps_gen.metrics.base import Patches
from bapps_gen.metrics.foreign import ForeignMetric, planes, tensors_on
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.plugins import Plugin, file_digest, load_plugin, reason


def describe(text: str) -> MetricSpec:
    """The metric that a text such as "mine.py:MyMetric" names.

    Raises:
        UserError: for anything wrong with the file or with what it declares.
    """
    path = Path(text.rpartition(":")[0])
    digest = file_digest(path) if path.is_file() else ""
    return _described(text, str(path.absolute()), digest)


@cache
def _described(text: str, path: str, digest: str) -> MetricSpec:
    """As `describe`; a class may take long to make, so that each file is looked at once."""
    plugin = load_plugin(text, _label(text))
    _, declared = _declared(plugin, _label(text))
    note = (inspect.getdoc(plugin.value) or "").strip().splitlines() if _has_doc(plugin) else []
    return MetricSpec(
        declared.name,
        declared.version,
        note[0] if note else "the distance that it returns",
        f"{plugin.path.name}, SHA-256 {plugin.digest}…",
        needs_torch=declared.value_range is not None,
        smallest=declared.smallest,
        given=plugin.given,
        files=(str(plugin.path),),
        settings=(("file", plugin.digest),),
    )


def load(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> ForeignMetric:
    """The metric that `describe` described, made."""
    label = _label(spec.given)
    plugin = load_plugin(spec.given, label)
    made, declared = _declared(plugin, label)
    convert: Callable[[Patches], Any] = planes
    if declared.value_range is not None:
        target, convert = tensors_on(device, declared.value_range, label)
        if _is_torch_module(made):
            made = made.to(target).eval()
    return ForeignMetric(
        label,
        _comparison(made, plugin, label),
        convert,
        needs_torch=declared.value_range is not None,
        is_similarity=declared.higher_is_better,
        settings={"file": plugin.digest},
        smallest=declared.smallest,
        path=plugin.path,
    )


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a plugin says of itself by attributes, with defaults."""

    name: str
    version: int
    value_range: tuple[float, float] | None
    higher_is_better: bool
    smallest: int


def _label(text: str) -> str:
    return f"metric {text}"


def _has_doc(plugin: Plugin) -> bool:
    """Whether its docstring is its own rather than that of the class that it is an instance of."""
    return inspect.isclass(plugin.value) or inspect.isfunction(plugin.value)


def _declared(plugin: Plugin, label: str) -> tuple[Any, _Declared]:
    """What compares, and what it declares; attributes that a class sets when it is made count."""
    made = plugin.value
    if inspect.isclass(made):
        try:
            made = made()
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{label}: it cannot be made without arguments: {reason(error, plugin.path)}"
            ) from error
    _comparison(made, plugin, label)

    def attribute(name: str, default: object) -> object:
        return getattr(made, name, default)

    value_range = attribute("value_range", None)
    if value_range is None and _is_torch_module(made):
        raise UserError(
            f"{label}: it is a torch module, which takes tensors; declare their range, for example "
            "value_range = (0, 1)"
        )
    declared = _Declared(
        cast(str, attribute("name", plugin.name)),
        cast(int, attribute("version", 1)),
        None if value_range is None else _as_range(value_range, label),
        cast(bool, attribute("higher_is_better", False)),
        cast(int, attribute("smallest", 1)),
    )
    for name in ("version", "smallest"):
        value = getattr(declared, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{label}: {name} = {value!r} must be a whole number from 1")
    if not isinstance(declared.higher_is_better, bool):
        raise UserError(
            f"{label}: higher_is_better = {declared.higher_is_better!r} must be True or False; "
            "correct it"
        )
    return made, declared


def _comparison(made: Any, plugin: Plugin, label: str) -> Callable[[Any, Any], object]:
    method = getattr(made, "distance", None)
    if callable(method):
        return cast("Callable[[Any, Any], object]", method)
    if callable(made):
        return cast("Callable[[Any, Any], object]", made)
    raise UserError(
        f"{label}: {plugin.name} is of type {type(made).__name__}, which compares nothing; give a "
        "function of (a, b), or a class with distance(a, b)"
    )


def _is_torch_module(made: Any) -> bool:
    return any(
        kind.__module__.startswith("torch.nn.modules") and kind.__name__ == "Module"
        for kind in type(made).__mro__
    )


def _as_range(value_range: object, label: str) -> tuple[float, float]:
    span = parse_range(value_range)
    if span is None:
        raise UserError(
            f"{label}: value_range = {value_range!r} must be (low, high) with low < high, such as "
            "(0, 1) or (-1, 1); correct it"
        )
    return span
