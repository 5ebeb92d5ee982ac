"""TensorBoard's event files: scalars as records of protocol buffers, written without TensorBoard.

A file is a sequence of records, each with its length and masked CRC-32C sums of both (TFRecord);
each is an `Event` of tensorflow/core/util/event.proto, of which five fields are needed here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache

from bapps_gen.pipelines.metric_training.logs import Scalar

_FILE_VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reversed
_MASK = 0xA282EAD8


def event_file(scalars: Iterable[Scalar]) -> bytes:
    """The content of an event file with some scalars, in their order."""
    parts: list[bytes] = []
    for scalar in scalars:
        if not parts:
            version = _double(1, scalar.wall_time) + _bytes(3, _FILE_VERSION)
            parts.append(_record(version))
        value = _bytes(1, scalar.tag.encode()) + _float(2, scalar.value)
        summary = _bytes(1, value)
        event = _double(1, scalar.wall_time) + _integer(2, scalar.step) + _bytes(5, summary)
        parts.append(_record(event))
    return b"".join(parts)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = _crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _table()[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
