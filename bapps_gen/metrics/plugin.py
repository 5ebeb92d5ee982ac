"""A user's own metric, from a Python file: `mine.py:MyMetric`.

A function of (a, b), or a class that is made without arguments and then called with (a, b), or
whose `distance(a, b)` is. Patches come as (N, 3, H, W), RGB: NumPy uint8, or, where it declares a
`value_range`, torch float32 tensors in that range on the device asked for. It returns N distances.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast

import numpy as np

from bapps_gen.errors import UserError
from bapps_gen.metrics.base import Distances, Metric, Patches, check_patches
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.plugins import Plugin, load_plugin, reason


@dataclass(frozen=True, slots=True)
class PluginMetric(Metric):
    """A metric from a Python file.

    Args:
        label: begins errors, such as "metric mine.py:MyMetric".
        plugin: the class or function.
        compare: takes two batches of patches and returns whatever the plugin does.
        convert: uint8 patches (N, H, W, 3) to what `compare` takes.
        sign: −1 where larger values mean more alike.
        smallest: least height and width in px.
        settings: digest of the file.
    """

    label: str
    plugin: Plugin
    compare: Callable[[Any, Any], object]
    convert: Callable[[Patches], Any]
    sign: float
    smallest: int
    settings: Mapping[str, str]

    def distance(self, ref: Patches, dist: Patches) -> Distances:
        check_patches({"ref": ref, "dist": dist}, self.smallest)
        return self._distance(ref, dist)

    def triplet(self, ref: Patches, p0: Patches, p1: Patches) -> tuple[Distances, Distances]:
        check_patches({"ref": ref, "p0": p0, "p1": p1}, self.smallest)
        return self._distance(ref, p0), self._distance(ref, p1)

    def _distance(self, ref: Patches, dist: Patches) -> Distances:
        # Converted anew for every call, so that a plugin that writes into them harms no other.
        try:
            with _without_gradients(self.convert):
                returned = self.compare(self.convert(ref), self.convert(dist))
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.label}: {reason(error, self.plugin.path)}") from error
        return self.sign * _as_distances(returned, len(ref), self.label)


def describe(text: str) -> MetricSpec:
    """The metric that a text such as "mine.py:MyMetric" names.

    Raises:
        UserError: for anything wrong with the file or with what it declares.
    """
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
) -> PluginMetric:
    """The metric that `describe` described, made."""
    label = _label(spec.given)
    plugin = load_plugin(spec.given, label)
    made, declared = _declared(plugin, label)
    convert = _planes
    if declared.value_range is not None:
        made, convert = _on_device(made, device, declared.value_range)
    return PluginMetric(
        label,
        plugin,
        _comparison(made, plugin, label),
        convert,
        -1.0 if declared.higher_is_better else 1.0,
        declared.smallest,
        {"file": plugin.digest},
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
    try:
        low, high = map(float, cast(Any, value_range))
    except (TypeError, ValueError):
        low = high = 0.0
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(
            f"{label}: value_range = {value_range!r} must be (low, high) with low < high, such as "
            "(0, 1) or (-1, 1); correct it"
        )
    return low, high


def _planes(patches: Patches) -> Patches:
    """uint8 (N, H, W, 3) to a copy of (N, 3, H, W)."""
    return np.array(patches.transpose(0, 3, 1, 2), order="C")


def _on_device(
    made: Any, device: str, value_range: tuple[float, float]
) -> tuple[Any, Callable[[Patches], Any]]:
    """What compares, moved there where it is a module; and what makes its tensors."""
    from bapps_gen.lpips import require_torch

    require_torch("metrics with a value_range need")
    import torch

    from bapps_gen.lpips.metric import find_device

    target = find_device(device)
    low, high = value_range
    if isinstance(made, torch.nn.Module):
        made = made.to(target).eval()

    def tensors(patches: Patches) -> torch.Tensor:
        values = torch.from_numpy(_planes(patches)).to(target, torch.float32)
        return values * ((high - low) / 255.0) + low

    return made, tensors


def _without_gradients(convert: Callable[[Patches], Any]) -> Any:
    if convert is _planes:
        return nullcontext()
    import torch

    return torch.no_grad()


def _as_distances(returned: object, count: int, label: str) -> Distances:
    """What a plugin returned as float64 (N,).

    Raises:
        UserError: for anything but N real numbers.
    """
    value: Any = returned
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    try:
        values = np.asarray(value)
        distances = np.asarray(values, np.float64) if values.dtype.kind in "fiu" else None
    except (TypeError, ValueError):
        distances = None
    if distances is None:
        raise UserError(
            f"{label}: it returned a value of type {type(returned).__name__}; return an array of "
            f"{count} distances, one for each pair"
        )
    if distances.shape != (count,):
        raise UserError(
            f"{label}: it returned shape {distances.shape} for {count} pairs; return ({count},), "
            "one distance for each pair"
        )
    return distances
