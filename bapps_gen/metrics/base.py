"""What a metric is: something computed once for each patch, and a comparison of two of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError, out_of_range

Patches = NDArray[np.uint8]
"""uint8 (N, H, W, 3), RGB, 0 to 255."""

Distances = NDArray[np.float64]
"""float64 (N,); larger is more different, and no distance is smaller than that of equal patches."""


class Metric(ABC):
    """A distance between patches; make it with `load_metric`."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """What the values depend on besides the metric's name and version, such as the dtype."""

    def distance(self, ref: Patches, dist: Patches) -> Distances:
        """d(ref, dist), float64 (N,), of uint8 patches (N, H, W, 3).

        Raises:
            UserError: for arrays of another kind, or of sizes that differ or are too small.
        """
        (distance,) = self._distances({"ref": ref, "dist": dist})
        return distance

    def triplet(self, ref: Patches, p0: Patches, p1: Patches) -> tuple[Distances, Distances]:
        """d(ref, p0) and d(ref, p1); what the reference needs is computed once.

        Raises:
            UserError: as `distance`.
        """
        d0, d1 = self._distances({"ref": ref, "p0": p0, "p1": p1})
        return d0, d1

    @abstractmethod
    def _distances(self, patches: Mapping[str, Patches]) -> Sequence[Distances]:
        """Of each of the patches, by name for errors, from the first; checked here."""


@dataclass(frozen=True, slots=True)
class PatchMetric(Metric):
    """A metric on the CPU in NumPy.

    Args:
        prepare: uint8 patches (N, H, W, 3) to whatever `compare` needs of them.
        compare: what was prepared of the references and of the distorted patches to float64 (N,).
        smallest: least height and width in px.
    """

    prepare: Callable[[Patches], Any]
    compare: Callable[[Any, Any], Distances]
    smallest: int = 1

    @property
    def settings(self) -> Mapping[str, str]:
        return {}

    def _distances(self, patches: Mapping[str, Patches]) -> Sequence[Distances]:
        check_patches(patches, self.smallest)
        ref, *others = patches.values()
        prepared = self.prepare(ref)
        return [self.compare(prepared, self.prepare(other)) for other in others]


def check_patches(patches: Mapping[str, Patches], smallest: int) -> None:
    """Raise UserError unless all are uint8 (N, H, W, 3) of one shape, at least `smallest` px."""
    for name, each in patches.items():
        if not isinstance(each, np.ndarray):
            raise UserError(
                f"{name} is a {type(each).__name__}; give NumPy arrays of uint8 (N, H, W, 3)"
            )
    (first, reference), *others = patches.items()
    if reference.dtype != np.uint8 or reference.ndim != 4 or reference.shape[3] != 3:
        raise UserError(
            f"{first} is {reference.dtype} {reference.shape}; "
            "give uint8 patches of shape (N, H, W, 3)"
        )
    for name, other in others:
        if other.dtype != reference.dtype or other.shape != reference.shape:
            raise UserError(
                f"{name} is {other.dtype} {other.shape}, but {first} is {reference.dtype} "
                f"{reference.shape}; give both in the same shape"
            )
    height, width = reference.shape[1:3]
    if min(height, width) < smallest:
        raise out_of_range(
            "patch size",
            f"{height}×{width}",
            f"at least {smallest}×{smallest} px for this metric",
            "give larger patches",
        )
