"""Photometric distortions: lightness, color, contrast, saturation.

Lightness, color and saturation act in CIELAB (D65 white, sRGB gamma), in float32, so that small
changes are not lost to 8-bit rounding. Colors outside sRGB are clipped channel by channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.definition import Patch

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601 weights of R, G and B."""

_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
"""Linear light of each sRGB level (IEC 61966-2-1)."""


def shift_lightness(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add `delta` to L* at every pixel; a* and b* stay."""
    delta = params["delta"]
    if delta == 0:
        return patch.copy()
    return _from_lab(cv2.add(_to_lab(patch), np.array((delta, 0.0, 0.0, 0.0))))


def shift_color(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Move every pixel by `distance` in the a*b* plane, in the direction `hue` (degrees)."""
    distance, hue = params["distance"], math.radians(params["hue"])
    if distance == 0:
        return patch.copy()
    step = np.array((0.0, distance * math.cos(hue), distance * math.sin(hue), 0.0))
    return _from_lab(cv2.add(_to_lab(patch), step))


def scale_contrast(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Multiply sRGB values by `gain` about the image's mean luma."""
    gain = params["gain"]
    if gain == 1:
        return patch.copy()
    mean = sum(weight * level for weight, level in zip(_LUMA, cv2.mean(patch), strict=False))
    return _uint8(cv2.addWeighted(patch, gain, patch, 0.0, (1 - gain) * mean))


def scale_saturation(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Multiply the chroma (a* and b*) of every pixel by `gain`; L* stays."""
    gain = params["gain"]
    if gain == 1:
        return patch.copy()
    return _from_lab(cv2.multiply(_to_lab(patch), np.array((1.0, gain, gain, 1.0))))


def _to_lab(patch: Patch) -> NDArray[np.float32]:
    lab: NDArray[np.float32] = cv2.cvtColor(cv2.LUT(patch, _LINEAR), cv2.COLOR_LRGB2Lab)  # type: ignore[assignment]
    return lab


def _from_lab(lab: cv2.typing.MatLike) -> Patch:
    # cvtColor returns values in [0, 1], so the absolute value in the fast conversion does nothing.
    return _uint8(cv2.convertScaleAbs(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), alpha=255))


def _uint8(image: cv2.typing.MatLike) -> Patch:
    """OpenCV's stubs do not carry the depth that was asked for."""
    return image  # type: ignore[return-value]
