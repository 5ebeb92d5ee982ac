"""ICC profiles (ICC.1:2001-04), written by hand."""

from __future__ import annotations

import itertools
import struct

from PIL import ImageCms


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """sRGB with red and green in each other's place."""
    data = bytearray(srgb())
    for number in range(struct.unpack(">I", data[128:132])[0]):
        at = 132 + 12 * number
        name = bytes(data[at : at + 4])
        data[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
    return bytes(data)


def gray(gamma: float) -> bytes:
    """Gray of a gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    return _profile(b"scnr", b"GRAY", b"XYZ ", {b"wtpt": _WHITE, b"kTRC": curve})


def cmyk() -> bytes:
    """Inks of which cyan prints as a green, black as black, and the others not at all."""
    clut = b""
    for cyan, _, _, black in itertools.product((0, 1), repeat=4):
        lab = (0, 128, 128) if black else (150, 60, 190) if cyan else (255, 128, 128)
        clut += bytes(lab)
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + 4 * identity + clut + 3 * identity
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _WHITE, b"A2B0": table})


_WHITE = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # D50


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"text" + bytes(4) + b"none\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name, b"cprt": text, **tags}
    table, bodies = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, body in tags.items():
        table += key + struct.pack(">II", start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = start + len(bodies)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, device, space, connection)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + bodies
