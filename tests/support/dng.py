"""Camera raw files, written by hand: DNG 1.4 with an uncompressed RGGB mosaic of 16 bits."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, RATIONAL, SRATIONAL, BYTE, ASCII = 3, 4, 5, 10, 1, 2
_FORMATS = {SHORT: "H", LONG: "I", RATIONAL: "II", SRATIONAL: "ii", BYTE: "B", ASCII: "s"}
WHITE = 60_000


def dng(colors: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """A DNG of what a camera whose primaries are those of sRGB would record.

    Args:
        colors: uint8 sRGB (H, W, 3), both even.
        orientation: EXIF's.
    """
    linear = (np.asarray(colors) / 255.0) ** 2.2 * WHITE
    mosaic = np.empty(colors.shape[:2], "<u2")
    mosaic[0::2, 0::2] = linear[0::2, 0::2, 0]
    mosaic[0::2, 1::2] = linear[0::2, 1::2, 1]
    mosaic[1::2, 0::2] = linear[1::2, 0::2, 1]
    mosaic[1::2, 1::2] = linear[1::2, 1::2, 2]
    height, width = mosaic.shape
    # From XYZ (D65) to linear sRGB, IEC 61966-2-1.
    matrix = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)
    model = b"Test camera\0"
    tags = [
        (254, LONG, (0,)),
        (256, LONG, (width,)),
        (257, LONG, (height,)),
        (258, SHORT, (16,)),
        (259, SHORT, (1,)),
        (262, SHORT, (32803,)),
        (271, ASCII, b"Test\0"),
        (272, ASCII, model),
        (273, LONG, (0,)),  # filled in below
        (274, SHORT, (orientation,)),
        (277, SHORT, (1,)),
        (278, LONG, (height,)),
        (279, LONG, (mosaic.nbytes,)),
        (284, SHORT, (1,)),
        (33421, SHORT, (2, 2)),
        (33422, BYTE, (0, 1, 1, 2)),
        (50706, BYTE, (1, 4, 0, 0)),
        (50708, ASCII, model),
        (50717, LONG, (WHITE,)),
        (50721, SRATIONAL, tuple((value, 10_000) for value in matrix)),
        (50728, RATIONAL, ((1, 1), (1, 1), (1, 1))),
        (50778, SHORT, (21,)),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    bodies, extra = [], b""
    for tag, kind, value in tags:
        if isinstance(value, bytes):
            body, count = value, len(value)
        else:
            numbers = [n for part in value for n in (part if isinstance(part, tuple) else (part,))]
            code = _FORMATS[kind] * (len(numbers) // len(_FORMATS[kind]))
            body, count = struct.pack("<" + code, *numbers), len(value)
        bodies.append((tag, kind, count, body))
        if len(body) > 4:
            extra += body + b"\0" * (len(body) % 2)
    pixels_at = start + len(extra)
    entries, placed = b"", b""
    for tag, kind, count, body in bodies:
        if tag == 273:
            body = struct.pack("<I", pixels_at)
        if len(body) > 4:
            entry = struct.pack("<I", start + len(placed))
            placed += body + b"\0" * (len(body) % 2)
        else:
            entry = body.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + entry
    header = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return header + entries + bytes(4) + placed + mosaic.tobytes()
