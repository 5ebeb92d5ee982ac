"""Lossless PNG for small patches, several times faster than general encoders.

The Sub filter (PNG specification, section 9.2) is taken for every line and the stream is
compressed by ISA-L at its level 1: no search over filters, which costs more than it saves here.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bapps_gen.errors import WorkError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUB_FILTER = 1
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


@lru_cache(maxsize=64)
def _head(height: int, width: int) -> bytes:
    """Signature and IHDR chunk of an 8-bit RGB image without interlacing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", isal_zlib.crc32(header))
    return _SIGNATURE + struct.pack(">I", len(header) - 4) + header + crc


def encode_png(patch: NDArray[np.uint8]) -> bytes:
    """The PNG file of a uint8 RGB image of shape (H, W, 3)."""
    height, width, _ = patch.shape
    lines = patch.reshape(height, width * 3)
    filtered = np.empty((height, width * 3 + 1), np.uint8)
    filtered[:, 0] = _SUB_FILTER
    filtered[:, 1:4] = lines[:, :3]
    np.subtract(lines[:, 3:], lines[:, :-3], out=filtered[:, 4:])
    data = b"IDAT" + isal_zlib.compress(filtered, 1)
    crc = struct.pack(">I", isal_zlib.crc32(data))
    return b"".join((_head(height, width), struct.pack(">I", len(data) - 4), data, crc, _END))


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """The uint8 RGB image of shape (H, W, 3) in a PNG file.

    Raises:
        WorkError: where the bytes are not a PNG image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise WorkError(f"a stored picture of {len(data)} bytes is not a PNG image; run `verify`")
    return image.astype(np.uint8, copy=False)
