"""16-bit PNG and TIFF files to 8 bits: a sample v becomes round(v / 257).

Decoded by OpenCV, since Pillow cuts 16-bit color to its high byte.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from bapps_gen.errors import ImageError
from bapps_gen.imaging.photo import oriented, strips

PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""Chunks of a PNG that may hold its orientation."""

WHITE_IS_ZERO = 0
"""A photometric interpretation of TIFF 6.0."""

_FULL = 65535
_ORIENTATION, _PHOTOMETRIC, _EXTRA = 0x0112, 262, 338
_PREMULTIPLIED, _ALPHA = 1, 2


def decode_deep(data: bytes, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """A 16-bit PNG or TIFF whose structure has been checked; its ICC profile is not looked at.

    Args:
        data: content of the file.
        image: Pillow's, of which only the header has been read.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)  # OpenCV would print what is raised here
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError("damaged, or compressed in a way that is not supported with 16 bits")
    if pixels.ndim == 2:
        pixels = pixels[..., None]

    orientation = 1  # OpenCV has turned a TIFF already
    invert, alpha = False, _ALPHA
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        invert = image.tag_v2.get(_PHOTOMETRIC) == WHITE_IS_ZERO
        alpha = (*image.tag_v2.get(_EXTRA, ()), 0)[0]
    elif any(mark in data for mark in PNG_EXIF):  # asking Pillow would decode all of it
        orientation = image.getexif().get(_ORIENTATION, 1)
    clear = image.info.get("transparency") if pixels.shape[2] == 1 else None

    height, width = pixels.shape[:2]
    out, view = oriented(height, width, orientation)
    for top, bottom in strips(height, width):
        strip = pixels[top:bottom]
        color = strip[..., 2::-1] if strip.shape[2] >= 3 else strip
        if invert:
            color = _FULL - color
        if strip.shape[2] == 4 and alpha in (_ALPHA, _PREMULTIPLIED):
            view[top:bottom] = _over_white(color, strip[..., 3:], alpha == _PREMULTIPLIED)
        else:
            view[top:bottom] = _EIGHT_BITS[color]
        if clear is not None:
            view[top:bottom][strip[..., 0] == clear] = 255
    return out


_EIGHT_BITS: NDArray[np.uint8] = ((np.arange(_FULL + 1) + 128) // 257).astype(np.uint8)
"""round(v / 257) for every 16-bit v."""


def _over_white(
    color: NDArray[np.uint16], alpha: NDArray[np.uint16], premultiplied: bool
) -> NDArray[np.uint8]:
    """16-bit color and opacity over white, rounded once to 8 bits."""
    opacity = alpha.astype(np.float64) / _FULL
    lit = color.astype(np.float64) if premultiplied else color * opacity
    mixed = (lit + _FULL * (1.0 - opacity)) / 257.0
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
