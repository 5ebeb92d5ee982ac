"""Conversions and filters that the algorithms of several demo tasks share."""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.pipelines.real.demos.records import Image

Plane = NDArray[np.float32]

Pixels = TypeVar("Pixels", Image, Plane)


def to_levels(values: NDArray[Any]) -> Image:
    """Values in [0, 1] to uint8 levels, rounded and clipped."""
    return np.clip(np.rint(values * 255.0), 0, 255).astype(np.uint8)


def to_unit(image: Image) -> Plane:
    """uint8 levels to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def split_luma(image: Image) -> tuple[Plane, Plane]:
    """Luma in [0, 1], float32 (H, W), and chroma Cr, Cb about 0, float32 (H, W, 2) (BT.601)."""
    planes = cv2.cvtColor(to_unit(image), cv2.COLOR_RGB2YCrCb)
    return np.ascontiguousarray(planes[..., 0]), planes[..., 1:] - np.float32(0.5)


def join_luma(luma: NDArray[Any], chroma: NDArray[Any]) -> Image:
    """The inverse of `split_luma`, clipped to what RGB has, uint8 (H, W, 3)."""
    planes = np.dstack([luma, chroma + 0.5]).astype(np.float32)
    return to_levels(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number between low and high."""
    return low + (high - low) * float(rng.random())


def reduced(image: Pixels, side: int) -> Pixels:
    """An image or plane with at most so many px a side, by area means."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, image.dtype)


def sharpen(image: Plane, radius: float, amount: float) -> Image:
    """An unsharp mask on every channel: float32 (H, W, 3) in [0, 1] to uint8.

    Args:
        radius: σ of the Gaussian in px.
        amount: how much of the difference from the blurred image is added.
    """
    from skimage.filters import unsharp_mask

    # Channel by channel: with channel_axis=-1, scikit-image 0.26 leaves most rows unset.
    planes = [unsharp_mask(image[..., part], radius, amount) for part in range(3)]
    return to_levels(np.dstack(planes))
