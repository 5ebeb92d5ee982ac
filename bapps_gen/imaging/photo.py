"""Decoded photos, at their own size or reduced by their decoder, and how they are turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

StepOf = Callable[[int], int]
"""The factor, 1, 2, 4 or 8, at which photos of a shorter side in px may be decoded."""

STRIP_PIXELS = 1 << 19
"""Pixels converted at a time, so that a decoded image is never held in a third copy."""

TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""


def whole_size(shorter: int) -> int:
    """1: photos of any size are decoded as they are."""
    return 1


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Args:
        pixels: uint8 (h, w, 3), RGB; of `step` × `step` px of the photo each. Last px that do not
            fill a pixel are left out.
        height, width: of the photo in px, turned by its EXIF.
        step: 1, 2, 4 or 8.
        left, top: px of the photo before the first pixel.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    step: int = 1
    left: int = 0
    top: int = 0


def whole_photo(pixels: NDArray[np.uint8]) -> Photo:
    """A photo from all of its pixels, uint8 (height, width, 3)."""
    height, width = pixels.shape[:2]
    return Photo(pixels, height, width)


def turned_photo(
    pixels: NDArray[np.uint8], height: int, width: int, step: int, orientation: int
) -> Photo:
    """A photo from pixels as they are stored.

    Args:
        pixels: uint8 (h, w, 3), where h and w are height / step and width / step or one more.
        height, width: as stored.
        step: of the decoder.
        orientation: EXIF's, 1 to 8; any other is taken for 1.
    """
    pixels = pixels[: height // step, : width // step]
    out, view = oriented(pixels.shape[0], pixels.shape[1], orientation)
    if view is out:
        out = pixels
    else:
        view[:] = pixels
    if orientation in TURNED:
        height, width = width, height
    # Px that fill no pixel come last as stored; turned to the other end they come first.
    top = height % step if orientation in _FLIPPED_DOWN else 0
    left = width % step if orientation in _FLIPPED_ACROSS else 0
    return Photo(out, height, width, step, left, top)


_FLIPPED_DOWN = (3, 4, 7, 8)
_FLIPPED_ACROSS = (2, 3, 6, 7)


def oriented(
    height: int, width: int, orientation: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An empty image, and a view of it that takes pixels as they are stored (EXIF 2.32, 4.6.4 A).

    Writing through the view turns the image without another copy of it.
    """
    if orientation in TURNED:
        out = np.empty((width, height, 3), np.uint8)
    else:
        out = np.empty((height, width, 3), np.uint8)
    view = out
    if orientation in _FLIPPED_DOWN:
        view = view[::-1]
    if orientation in _FLIPPED_ACROSS:
        view = view[:, ::-1]
    if orientation in TURNED:
        view = view.swapaxes(0, 1)
    return out, view


def strips(height: int, width: int) -> list[tuple[int, int]]:
    """First and last row, exclusive, of the parts in which images are converted."""
    rows = max(1, STRIP_PIXELS // width)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]
