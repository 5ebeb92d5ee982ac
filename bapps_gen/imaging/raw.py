"""Camera raw files (DNG, NEF, CR2, ARW …) by LibRaw, with the extra `raw`.

Developed in one way for all cameras, so that the same file gives the same pixels: white balance as
the camera set it, LibRaw's own color matrices to sRGB with its transfer curve, brightened until one
percent is white (LibRaw's default), demosaiced by AHD, highlights clipped. At half the size and
less there is no demosaicing: every 2 × 2 px of the sensor make a pixel.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from bapps_gen.errors import ImageError, UserError
from bapps_gen.imaging.photo import TURNED, Photo, StepOf, turned_photo

RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2"),
    *(".pef", ".srw", ".3fr", ".iiq", ".erf", ".mrw", ".rwl"),
)
"""Endings of camera raw files, in lower case."""

INSTALL = "run pip install 'bapps-gen[raw]', or convert such photos to TIFF or JPEG"
"""What to do where rawpy is missing."""

_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM")
_TIFF = (b"II*\0", b"MM\0*")
_PHOTOMETRIC, _SUB_IFDS, _SEGMENTS = 262, 330, ((273, 279), (324, 325))
_SENSOR = (32803, 34892)  # color filter array, linear raw (TIFF/EP, DNG 1.4)
_MOST_IFDS = 16
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF's of LibRaw's flips: none, half a turn, a quarter counterclockwise, clockwise."""


def is_raw(data: bytes) -> bool:
    """Whether a file is a camera raw file, by its first bytes and its TIFF tags.

    Raises:
        ImageError: when its sensor data is cut short.
    """
    if data.startswith(_SIGNATURES) or data[4:12] == b"ftypcrx ":
        return True
    if data[:4] not in _TIFF:
        return False
    if data[8:10] == b"CR":
        return True
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    stream = io.BytesIO(data)
    pending, found = [tags.next], False
    for number in range(_MOST_IFDS):
        if number == len(pending):
            break
        stream.seek(pending[number])
        tags.load(stream)
        further = tags.get(_SUB_IFDS, ())
        pending += [further] if isinstance(further, int) else list(further)
        if tags.get(_PHOTOMETRIC) in _SENSOR:
            found = True
            for offsets, counts in _SEGMENTS:
                for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
                    if offset + count > len(data):
                        end = offset + count
                        raise ImageError(f"cut short: pixels up to byte {end} of {len(data)}")
    return found


def decode_raw(
    data: bytes,
    step_of: StepOf,
    reserve: Callable[[int], None] | None,
    check_pixels: Callable[[int, int], None],
) -> Photo:
    """The photo in a camera raw file, at its own size or at half of it.

    Raises:
        UserError: when rawpy is not installed.
    """
    rawpy = _rawpy()
    with _opened(data) as raw:
        sizes = raw.sizes
        height, width = sizes.height, sizes.width
        check_pixels(height, width)
        step = min(2, step_of(min(height, width))) if sizes.pixel_aspect == 1 else 1
        if reserve is not None:
            # LibRaw's sensor data and its image of four 16-bit samples, the result
            reserve(height * width * 2 + height * width * (8 + 8 + 3) // step**2)
        pixels = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
            half_size=step == 2,
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=8,
            gamma=(2.4, 12.92),
            no_auto_bright=False,
            auto_bright_thr=0.01,
            highlight_mode=rawpy.HighlightMode.Clip,
            user_flip=0,
        )
        if step == 1:
            height, width = pixels.shape[:2]
        return turned_photo(
            np.ascontiguousarray(pixels), height, width, step, _ORIENTATIONS.get(sizes.flip, 1)
        )


def raw_size(data: bytes) -> tuple[int, int]:
    """Height and width in px of the photo in a camera raw file, from its header.

    Raises:
        UserError: when rawpy is not installed.
    """
    with _opened(data) as raw:
        sizes = raw.sizes
        turned = _ORIENTATIONS.get(sizes.flip, 1) in TURNED
        return (sizes.width, sizes.height) if turned else (sizes.height, sizes.width)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    rawpy = _rawpy()
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ImageError(f"camera raw file damaged or not known to LibRaw ({text})") from None


def _rawpy() -> Any:
    try:
        import rawpy
    except ImportError:
        raise UserError(f"camera raw photos need further packages; {INSTALL}") from None
    return rawpy
