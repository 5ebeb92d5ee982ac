"""ICC profiles to sRGB, by Little CMS through Pillow.

Conversion is relative colorimetric with black-point compensation: colors that sRGB has stay as
they were meant, and the few beyond its gamut are clipped. The perceptual intent would move colors
within the gamut, too, by tables that every maker of profiles fills as they like; profiles of
cameras and displays have none, and give the same under either.

A profile that is broken, or not for the image's kind of samples, is ignored, as by web browsers:
the image counts as sRGB. So does one with a profile that changes no color by more than one level.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from bapps_gen.imaging.photo import strips

GRAY_MODES = frozenset(("1", "L", "LA", "La", "I;16", "I;16B"))

_STEP = 32  # between the levels of a channel at which a profile is tried


@dataclass(frozen=True, slots=True)
class Conversion:
    """From a profile's colors to sRGB; `mode` is "RGB", "L" or "CMYK", what it takes."""

    transform: Any
    mode: str

    def apply(self, image: Image.Image) -> Image.Image:
        """An image of that mode, in sRGB."""
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None
        return converted

    def convert(self, pixels: NDArray[np.uint8]) -> None:
        """Convert pixels in place, uint8 (H, W, 3): RGB, or gray three times. Not for CMYK."""
        for top, bottom in strips(*pixels.shape[:2]):
            strip = pixels[top:bottom]
            samples = strip[..., 0] if self.mode == "L" else strip
            image = Image.fromarray(np.ascontiguousarray(samples))
            strip[:] = np.asarray(self.apply(image))


def conversion_of(profile: bytes | None, mode: str) -> Conversion | None:
    """How to convert an image to sRGB; None where there is nothing to convert.

    Args:
        profile: of the image, if it has one.
        mode: of the image, as Pillow names it.
    """
    if not profile:
        return None
    samples = "CMYK" if mode == "CMYK" else "L" if mode in GRAY_MODES else "RGB"
    return _conversion(bytes(profile), samples)


@lru_cache(maxsize=32)
def _conversion(profile: bytes, samples: str) -> Conversion | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        # Gray samples may have an RGB profile, which makes them gray in its colors.
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if mode is None or (mode != samples and (mode, samples) != ("RGB", "L")):
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception:  # Little CMS raises several types for what it cannot read
        return None
    conversion = Conversion(transform, mode)
    return conversion if mode == "CMYK" or _has_effect(conversion) else None


def _has_effect(conversion: Conversion) -> bool:
    """Whether any of some colors changes by more than a level."""
    levels = np.append(np.arange(0, 255, _STEP), 255).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    if conversion.mode == "L":
        colors = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    converted = colors.copy()
    conversion.convert(converted)
    return bool(np.abs(converted.astype(int) - colors).max() > 1)
