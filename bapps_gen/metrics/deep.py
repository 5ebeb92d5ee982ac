"""LPIPS as a metric among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, cast

import numpy as np

from bapps_gen.errors import unknown_name
from bapps_gen.lpips import load_lpips
from bapps_gen.metrics.base import Distances, Metric, Patches, check_patches

if TYPE_CHECKING:
    from typing import Literal

    from torch import Tensor

    from bapps_gen.lpips.feature_net import FeatureNet
    from bapps_gen.lpips.metric import Lpips

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class LpipsMetric(Metric):
    """LPIPS on one device.

    Args:
        model: the distance.
        extra: settings that its values depend on, besides its net's weights and dtype.
    """

    model: Lpips
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, str]:
        """The net's dtype, its digest, which is that of float32 weights for all dtypes, and
        `extra`."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"dtype": dtype, "trunk": self.model.net.digest, **self.extra}

    def _distances(self, patches: Mapping[str, Patches]) -> Sequence[Distances]:
        distances: tuple[Tensor, ...]
        check_patches(patches, 1)  # the model knows its least size
        if len(patches) == 3:
            distances = self.model.triplet(*patches.values())
        else:
            distances = (self.model.distance(*patches.values()),)
        return [np.asarray(each.cpu().numpy(), np.float64) for each in distances]


def metric_over(
    net: FeatureNet,
    device: str,
    dtype: str,
    linear: Sequence[Tensor] | None = None,
    extra: Mapping[str, str] | None = None,
) -> LpipsMetric:
    """LPIPS with a feature net.

    Args:
        net: from `bapps_gen.lpips.nets.load_net`; its module is moved and cast.
        device, dtype: as `load_metric` takes them.
        linear: weights of the channels of each map, all 1 by default.
        extra: settings that the values depend on besides.
    """
    check_dtype(dtype)
    from bapps_gen.lpips.metric import Lpips, find_device

    return LpipsMetric(Lpips(net, linear, device=find_device(device), dtype=dtype), extra or {})


def load_lpips_metric(
    net: str,
    device: str,
    dtype: str,
    weights: str | PathLike[str] | None,
    version: str = "0.1",
) -> LpipsMetric:
    """LPIPS of a version with a network; see `bapps_gen.lpips.load_lpips`."""
    check_dtype(dtype)
    kind = cast("Literal['float32', 'bfloat16']", dtype)
    return LpipsMetric(load_lpips(net, version, weights=weights, device=device, dtype=kind))


def check_dtype(dtype: str) -> None:
    """Raise UserError for a dtype that no network of a metric computes in."""
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES, f"choose one of {', '.join(DTYPES)}")
