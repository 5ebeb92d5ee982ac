"""Where single pictures lie in a shard's file, so that one can be read without its row group.

A shard stores its pictures uncompressed: the PNG files of a row group follow each other, each with
its length before it, behind the header of their page. What is stored in another way, as another
program may do that rewrote the shard, is left to Arrow, which reads whole row groups.

Source: https://github.com/apache/parquet-format (PageHeader, PLAIN) and Thrift's compact protocol.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_DATA_PAGE, _PLAIN, _RLE = 0, 0, 3  # PageType, Encoding
_HEADER_BYTES = 4096
"""Most that a page's header may take; those of pictures take about 20."""


def picture_spans(
    path: Path, file: pq.ParquetFile, group: int, columns: Sequence[str]
) -> NDArray[np.int64] | None:
    """First byte and length in the file of every picture of a row group.

    Args:
        path: of the file.
        file: the same, open.
        group: index of the row group.
        columns: of pictures.

    Returns:
        int64 of shape (columns, rows, 2), or None where the pictures are stored in another way.

    Raises:
        pa.ArrowInvalid: when a page is not as its checksum says.
    """
    metadata = file.metadata.row_group(group)
    names = [file.metadata.schema.column(index).path for index in range(metadata.num_columns)]
    spans = []
    for name in columns:
        index = names.index(f"{name}.bytes")
        chunk, levels = metadata.column(index), file.metadata.schema.column(index)
        if chunk.compression != "UNCOMPRESSED" or levels.max_repetition_level:
            return None
        first = chunk.data_page_offset
        with path.open("rb") as opened:
            opened.seek(first)
            data = opened.read(chunk.total_compressed_size)
        try:
            found = np.array(list(_values(data, levels.max_definition_level > 0)), np.int64)
        except pa.ArrowInvalid:  # a ValueError, too
            raise
        except (ValueError, LookupError, TypeError, struct.error):
            return None
        if found.shape != (metadata.num_rows, 2):
            return None
        found[:, 0] += first
        spans.append(found)
    return np.stack(spans)


def _values(data: bytes, has_levels: bool) -> Iterator[tuple[int, int]]:
    """First byte and length of every value of a column chunk, in its bytes."""
    position = 0
    while position < len(data):
        header, start = _struct(data[position : position + _HEADER_BYTES], 0)
        start += position
        size, page = header[3], header.get(5)
        position = start + size
        if header[1] != _DATA_PAGE or header[2] != size or not isinstance(page, dict):
            raise ValueError("not a plain page")
        if page[2] != _PLAIN or page[3] != _RLE or not 0 <= size <= len(data) - start:
            raise ValueError("not a plain page")
        if 4 in header and zlib.crc32(data[start:position]) != header[4] & 0xFFFFFFFF:
            raise pa.ArrowInvalid("the checksum of a page of pictures does not match")
        if has_levels:
            start += 4 + int.from_bytes(data[start : start + 4], "little")
        for _ in range(page[1]):
            (length,) = struct.unpack_from("<I", data, start)
            start += 4
            yield start, length
            start += length
        if start != position:  # fewer values than rows: some are null
            raise ValueError("pictures are missing")


def _struct(data: bytes, position: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """A struct in Thrift's compact protocol, by numbers of fields, and the byte after it."""
    if depth > 4:
        raise ValueError("not a page header")
    fields: dict[int, Any] = {}
    number = 0
    while data[position]:
        delta, kind = divmod(data[position], 16)
        position += 1
        if delta == 0:
            raise ValueError("not a page header")
        number += delta
        if kind in (1, 2):  # true, false
            fields[number] = int(kind == 1)
        elif kind in (4, 5, 6):  # integers, zigzag
            value, position = _varint(data, position)
            fields[number] = (value >> 1) ^ -(value & 1)
        elif kind == 8:  # bytes
            length, position = _varint(data, position)
            fields[number] = data[position : position + length]
            position += length
        elif kind == 12:
            fields[number], position = _struct(data, position, depth + 1)
        else:
            raise ValueError("not a page header")
    return fields, position + 1


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("not a page header")
