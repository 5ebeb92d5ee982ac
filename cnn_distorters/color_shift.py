"""What a distorter does to brightness and color where its task gives it no reason to change them.

Colors are those of squares of SQUARE pixels, so that noise and blur do not count: CIE L*a*b* (D65)
of their mean levels. L* runs from 0 (black) to 100 (white); a difference of 2 to 3 is just seen
between two areas side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

SQUARE = 8
BANDS = {"dark": (0.0, 30.0), "middle": (30.0, 70.0), "light": (70.0, 101.0)}
"""Ranges of L* of what is given, the upper end excluded: a network that turns light areas gray may
leave the mean brightness of its outputs as it was. Own choice."""
GRAY = 12.0
"""Length of (a*, b*) below which a square counts as gray. Tints are measured there, since paler
colors, which denoisers and colorizers give where they cannot know better, are no tint."""
MIN_SQUARES = 32
"""Squares of a kind below which it is not judged."""

COLOR_SUMS = 2 * len(BANDS) + 3
"""Length of what `sum_shifts` returns."""


@dataclass(frozen=True, slots=True)
class ColorShift:
    """Mean changes of color.

    Args:
        lightness: change of L* by band, signed; without bands that have too few squares.
        cast: length of the mean change of (a*, b*) over gray squares; 0 with too few of them.
    """

    lightness: dict[str, float]
    cast: float

    @property
    def largest(self) -> tuple[str, float]:
        """The band whose lightness changes most, and by how much; ("", 0.0) without any."""
        return max(self.lightness.items(), key=lambda item: abs(item[1]), default=("", 0.0))

    def values(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {
            "lightness": {name: round(change, 3) for name, change in self.lightness.items()},
            "cast": round(self.cast, 3),
        }


def sum_shifts(patches: NDArray[np.uint8], outputs: NDArray[np.uint8]) -> Values:
    """Sums over patches from which `color_shift` makes means; those of parts may be added.

    Args:
        patches: what was given, uint8 (N, H, W, 3), RGB, N at least 1, H and W at least SQUARE.
        outputs: what a distorter made of it, of the same shape.

    Returns:
        float64 (COLOR_SUMS,): squares, and sums of changes of L*, for each band; then squares,
        and sums of changes of a* and b*, of gray ones.
    """
    before = _square_colors(patches)
    change = _square_colors(outputs) - before
    sums: list[float] = []
    for low, high in BANDS.values():
        inside = (before[:, 0] >= low) & (before[:, 0] < high)
        sums += [inside.sum(), change[inside, 0].sum()]
    gray = np.hypot(before[:, 1], before[:, 2]) < GRAY
    return np.array([*sums, gray.sum(), *change[gray, 1:].sum(0)], np.float64)


def color_shift(sums: Values) -> ColorShift:
    """The mean changes of what `sum_shifts` summed."""
    lightness = {
        name: float(sums[2 * band + 1] / sums[2 * band])
        for band, name in enumerate(BANDS)
        if sums[2 * band] >= MIN_SQUARES
    }
    grays, *color = sums[2 * len(BANDS) :]
    return ColorShift(lightness, float(np.hypot(*color) / grays) if grays >= MIN_SQUARES else 0.0)


def _square_colors(images: NDArray[np.uint8]) -> Values:
    """L*, a* and b* of all whole squares of images, (N · squares, 3)."""
    import cv2

    count, height, width, _ = images.shape
    down, across = height // SQUARE, width // SQUARE
    whole = images[:, : down * SQUARE, : across * SQUARE]
    squares = whole.reshape(count, down, SQUARE, across, SQUARE, 3)
    levels = squares.mean((2, 4), dtype=np.float64).reshape(-1, 1, 3) / 255
    colors = cv2.cvtColor(levels.astype(np.float32), cv2.COLOR_RGB2LAB)
    rows: NDArray[np.float64] = colors.reshape(-1, 3).astype(np.float64)
    return rows
