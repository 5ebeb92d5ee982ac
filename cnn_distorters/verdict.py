"""Which distorters are of no use: identities, ruins, collapsed or off-color ones, and twins.

Training applies these rules to held-out patches, validation of a zoo to patches of its own. All
limits are our own choices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.color_shift import ColorShift

CONSTANT_LEVELS = 1.0
"""Of 255: an output that varies less, over pixels or from patch to patch, is a constant."""

VERDICTS = ("ok", "identity", "ruin", "collapsed", "off-color")


@dataclass(frozen=True, slots=True)
class ZooLimits:
    """What no distorter, and no two, may fall below or exceed; LPIPS (AlexNet), but for `shift`.

    Two weak distorters lie close to each other whatever they do, so two are the same function
    only where both `same` and `same_share` say so. LPIPS is a squared Euclidean distance of
    features, so half of it leaves 41° between changes of one size.

    Args:
        identity: median LPIPS to the input below which a distorter changes nothing.
        ruin: mean LPIPS to the input above which it leaves nothing.
        shift: units of CIE L*a*b* beyond which it may change neither the mean lightness of dark,
            middle or light areas, nor the mean color of gray ones: three times a difference that
            is just seen. Colorizers do not know the color, so only lightness counts for them.
        same: median LPIPS between two below which they are the same function, if it is at most
        same_share: of the LPIPS to the input of the one nearer to it.
        near: share of that LPIPS below which two are near duplicates; a note, not a failure.
        group: mean LPIPS between two below which they are shown as one group.

    Raises:
        UserError: for a limit outside [0, 100].
    """

    identity: float = 0.01
    ruin: float = 0.8
    shift: float = 8.0
    same: float = 0.01
    same_share: float = 0.5
    near: float = 0.25
    group: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            check_range(field.name, getattr(self, field.name), 0.0, 100.0)


DEFAULT_LIMITS = ZooLimits()


def classify(
    distances: NDArray[np.float64],
    variation: float = np.inf,
    limits: ZooLimits = DEFAULT_LIMITS,
    shift: ColorShift | None = None,
    *,
    keeps_color: bool = True,
) -> str:
    """What a distorter is: one of `VERDICTS`.

    Args:
        distances: LPIPS between inputs and outputs, (N,).
        variation: the lesser deviation of its outputs, over pixels or from patch to patch, in
            levels of 255.
        shift: of its outputs' colors; None does not judge them.
        keeps_color: False for colorizers.
    """
    if np.median(distances) < limits.identity:
        return "identity"
    if variation < CONSTANT_LEVELS:
        return "collapsed"
    if distances.mean() > limits.ruin:
        return "ruin"
    if shift is None:
        return "ok"
    changes = [abs(shift.largest[1]), shift.cast if keeps_color else 0.0]
    return "off-color" if max(changes) > limits.shift else "ok"


def collapse_of(outputs: NDArray[np.uint8]) -> str | None:
    """How outputs, uint8 (N, H, W, 3), have collapsed to a constant; None where they have not."""
    if outputs.std(axis=(1, 2)).mean() < CONSTANT_LEVELS:
        return "flat"
    if outputs.std(axis=0).mean() < CONSTANT_LEVELS:
        return "the same for every patch"
    return None


def find_twins(
    between: NDArray[np.float64], own: NDArray[np.float64], limits: ZooLimits = DEFAULT_LIMITS
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs of distorters are the same function, and which others near duplicates.

    Args:
        between: median LPIPS between the outputs of each pair, (P,).
        own: median LPIPS to the input of the pair's member nearer to it, (P,).

    Returns:
        two masks, (P,); no pair is in both.
    """
    same = (between < limits.same) & (between <= limits.same_share * own)
    near = (shares_of(between, own) < limits.near) & ~same
    return same, near


def shares_of(between: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances as shares of others; infinite where there is nothing to have a share of."""
    return np.divide(between, own, out=np.full_like(between, np.inf), where=own > 0)
