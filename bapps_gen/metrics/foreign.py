"""Metrics computed by code from elsewhere: what it is given, and what it returns, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bapps_gen.errors import UserError
from bapps_gen.lpips.feature_net import require_torch
from bapps_gen.metrics.base import Distances, Metric, Patches, check_patches
from bapps_gen.plugins import reason


@dataclass(frozen=True, slots=True)
class ForeignMetric(Metric):
    """A metric from a user's file or from another package.

    Args:
        label: begins errors, such as "metric mine.py:MyMetric".
        compare: takes references and distorted patches as `convert` gives them, and returns N
            numbers.
        convert: uint8 patches (N, H, W, 3) to what `compare` takes.
        needs_torch: whether that is tensors.
        is_similarity: whether larger means more alike; then values are negated.
        settings: what the values depend on.
        smallest: least height and width in px.
        path: of the file, whose lines errors name.
    """

    label: str
    compare: Callable[[Any, Any], object]
    convert: Callable[[Patches], Any]
    needs_torch: bool
    is_similarity: bool
    settings: Mapping[str, str]
    smallest: int = 1
    path: Path | None = None

    def _distances(self, patches: Mapping[str, Patches]) -> Sequence[Distances]:
        check_patches(patches, self.smallest)
        ref, *others = patches.values()
        return [self._distance(ref, other) for other in others]

    def _distance(self, ref: Patches, dist: Patches) -> Distances:
        if not len(ref):
            return np.empty(0)
        try:
            with self._without_gradients():
                # Converted for every call, so that code that writes into them harms no other.
                returned = self.compare(self.convert(ref), self.convert(dist))
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.label}: {reason(error, self.path)}") from error
        distances = as_distances(returned, len(ref), self.label)
        return -distances if self.is_similarity else distances

    def _without_gradients(self) -> AbstractContextManager[None]:
        if not self.needs_torch:
            return nullcontext()
        import torch

        return torch.no_grad()


def planes(patches: Patches) -> Patches:
    """uint8 (N, H, W, 3) to a copy of shape (N, 3, H, W)."""
    return np.array(patches.transpose(0, 3, 1, 2), order="C")


def tensors_on(
    device: str, value_range: tuple[float, float], who: str
) -> tuple[Any, Callable[[Patches], Any]]:
    """A torch device, and a function from patches to float32 (N, 3, H, W) in a range on it.

    Args:
        device: its name, as users give it.
        value_range: what 0 and 255 become.
        who: needs torch, for errors.

    Raises:
        UserError: where torch or the device is missing.
    """
    require_torch(f"{who} needs")
    import torch

    from bapps_gen.lpips.metric import find_device

    target = find_device(device)
    low, high = value_range

    def tensors(patches: Patches) -> torch.Tensor:
        values = torch.from_numpy(planes(patches)).to(target, torch.float32)
        return values * ((high - low) / 255.0) + low

    return target, tensors


def as_distances(returned: object, count: int, label: str) -> Distances:
    """What code from elsewhere returned, as float64 (N,).

    Raises:
        UserError: for anything but N real numbers; NaN and infinity are left to callers, who know
            the row.
    """
    value: Any = returned
    if hasattr(value, "detach"):  # a tensor; NumPy has no bfloat16
        value = value.detach().cpu()
        value = value.double().numpy() if value.is_floating_point() else value.numpy()
    try:
        values = np.asarray(value)
    except (TypeError, ValueError):
        values = np.empty(0, object)
    if values.dtype.kind not in "fiu":
        raise UserError(
            f"{label}: it returned a value of type {type(returned).__name__} that is not an array "
            f"of numbers; return {count} distances, one for each pair"
        )
    if values.shape != (count,):
        raise UserError(
            f"{label}: it returned shape {values.shape} for {count} pairs; return ({count},), "
            "one distance for each pair"
        )
    return np.asarray(values, np.float64)
