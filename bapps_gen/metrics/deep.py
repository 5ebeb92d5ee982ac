"""LPIPS as a metric among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, cast

import numpy as np

from bapps_gen.errors import unknown_name
from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.nets import load_net, weights_digest
from bapps_gen.metrics.base import Distances, Metric, Patches, check_patches

if TYPE_CHECKING:
    from typing import Literal

    from torch import Tensor

    from bapps_gen.lpips.metric import Lpips

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class LpipsMetric(Metric):
    """LPIPS on one device."""

    model: Lpips
    dtype: str
    weights: str
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, str]:
        """The network's dtype, the first digits of the SHA-256 of its weights, and `extra`."""
        return {"dtype": self.dtype, "trunk": self.weights, **self.extra}

    def distance(self, ref: Patches, dist: Patches) -> Distances:
        check_patches({"ref": ref, "dist": dist}, 1)
        distances = self.model.distance(ref, dist)
        return np.asarray(distances.cpu().numpy(), np.float64)

    def triplet(self, ref: Patches, p0: Patches, p1: Patches) -> tuple[Distances, Distances]:
        check_patches({"ref": ref, "p0": p0, "p1": p1}, 1)
        first, second = (
            np.asarray(each.cpu().numpy(), np.float64) for each in self.model.triplet(ref, p0, p1)
        )
        return first, second


def load_net_metric(
    net: str,
    device: str,
    dtype: str,
    weights: str | PathLike[str] | None,
    linear: Sequence[Tensor] | None = None,
    extra: Mapping[str, str] | None = None,
) -> LpipsMetric:
    """LPIPS with any feature net (`bapps_gen.lpips.nets.load_net`).

    Args:
        net: text that names it.
        linear: weights of the channels of each map, all 1 by default.
        extra: settings that the values depend on besides.
    """
    check_dtype(dtype)
    loaded = load_net(net, weights)
    from bapps_gen.lpips.metric import Lpips, find_device

    model = Lpips(loaded, linear, device=find_device(device), dtype=dtype)
    return LpipsMetric(model, dtype, loaded.digest, extra or {})


def check_dtype(dtype: str) -> None:
    """Raise UserError for a dtype that no network of a metric computes in."""
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES, f"choose one of {', '.join(DTYPES)}")


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
    model = load_lpips(net, version, weights=weights, device=device, dtype=kind)
    return LpipsMetric(model, dtype, weights_digest(model.trunk))
