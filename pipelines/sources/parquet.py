"""Images in Parquet files: a column of `struct<bytes, path>` (Hugging Face) or of binary.

Rows are streamed in small batches, so that a row group of large images is never held whole.
Ascending reads cost one pass over the column; a read that goes back starts its row group again.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bapps_gen.errors import SourceError
from bapps_gen.pipelines.sources.listing import unreadable
from bapps_gen.storage.locations import open_file
from bapps_gen.storage.url import is_url, redacted

_BATCH_ROWS = 8
_BUFFER_BYTES = 1 << 18
_REQUEST_BYTES = 1 << 22  # read at a time from a URL, where every request waits for its answer
_DAMAGE = (pa.ArrowException, OSError, ValueError)  # what pyarrow raises for bad content


@dataclass(frozen=True, slots=True)
class ParquetIndex:
    """What reading a file needs: the leaf column of the bytes, and where row groups begin.

    `starts` has one more element than there are row groups: the number of rows.
    """

    path: str
    column: str
    starts: tuple[int, ...]
    metadata: Any = field(repr=False, compare=False)


def index_parquet(path: str) -> ParquetIndex:
    """Find the image column and the row groups.

    Raises:
        SourceError: when the file cannot be read, is damaged, or has no clear image column.
    """
    try:
        with open_file(path, 0) as opened, pq.ParquetFile(opened if is_url(path) else path) as file:
            metadata = file.metadata
            column = find_image_column(file.schema_arrow, path)
    except SourceError:
        raise
    except OSError as error:
        if error.errno is None:
            raise damaged_parquet(path, error) from error
        raise unreadable(path, error) from error
    except _DAMAGE as error:
        raise damaged_parquet(path, error) from error
    counts = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    return ParquetIndex(path, column, tuple(accumulate(counts, initial=0)), metadata)


def find_image_column(schema: Any, path: str) -> str:
    """Path of the leaf column with encoded images, such as "image.bytes".

    A column named "image" comes first, then the only struct with a `bytes` field, then the only
    binary column.

    Raises:
        SourceError: when there is none, or it is not clear which.
    """
    structs = [field.name for field in schema if _has_bytes(field.type)]
    binaries = [field.name for field in schema if _is_binary(field.type)]
    for names in (structs, binaries):
        if "image" in names:
            names[:] = ["image"]
            break
    else:
        names = structs or binaries
    if len(names) == 1:
        return f"{names[0]}.bytes" if names is structs else names[0]
    if names:
        raise SourceError(
            f"{redacted(path)} has several image columns ({', '.join(names)}); "
            "name the one to use 'image'"
        )
    raise SourceError(
        f"{redacted(path)} has no image column among {', '.join(schema.names) or 'none at all'}; "
        "it must be binary or a struct with a binary field 'bytes'"
    )


def _is_binary(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _has_bytes(kind: Any) -> bool:
    if not pa.types.is_struct(kind):
        return False
    index = kind.get_field_index("bytes")
    return index >= 0 and _is_binary(kind.field(index).type)


def hash_group(index: ParquetIndex, group: int) -> list[bytes]:
    """SHA-256 of every row's bytes in one row group; a null counts as no bytes.

    Raises:
        SourceError: when the file is damaged.
    """
    try:
        with _open(index.path, index.metadata) as file:
            return [
                hashlib.sha256(value.as_buffer() if value.is_valid else b"").digest()
                for values in _batches(file, index.column, group)
                for value in values
            ]
    except _DAMAGE as error:
        raise damaged_parquet(index.path, error) from error


class RowReader:
    """Reads single rows; keeps the last file open and its position there.

    It travels to another process without them.
    """

    def __init__(self) -> None:
        self._index: ParquetIndex | None = None
        self._file: Any = None
        self._seek(0, 0, iter(()))

    def __reduce__(self) -> tuple[type[RowReader], tuple[()]]:
        return RowReader, ()

    def _seek(self, first: int, end: int, batches: Iterator[Any]) -> None:
        self._first = first  # row of the first of `_values`
        self._end = end  # row where the current row group ends
        self._batches = batches
        self._values: Any = ()

    def read(self, index: ParquetIndex, row: int) -> bytes:
        """The bytes in a row; none for a null.

        Raises:
            OSError, ValueError: when the file has gone or is damaged.
        """
        try:
            return self._read(index, row)
        except BaseException:
            self.close()  # an interrupted pass cannot be taken up again
            raise

    def _read(self, index: ParquetIndex, row: int) -> bytes:
        if self._index != index:
            self.close()
            self._file, self._index = _open(index.path, index.metadata), index
        if not self._first <= row < self._end:
            group = bisect_right(index.starts, row) - 1
            batches = _batches(self._file, index.column, group)
            self._seek(index.starts[group], index.starts[group + 1], batches)
        while row >= self._first + len(self._values):
            self._first += len(self._values)
            self._values = ()  # let go of it before the next is read
            values = next(self._batches, None)
            if values is None:
                raise ValueError(f"row {row} is missing")
            self._values = values
        value = self._values[row - self._first]
        return bytes(value.as_buffer()) if value.is_valid else b""

    def close(self) -> None:
        """Let go of the open file."""
        if self._file is not None:
            self._file.close()
        self._file = self._index = None
        self._seek(0, 0, iter(()))


def _open(path: str, metadata: Any) -> Any:
    file = open_file(path, _REQUEST_BYTES) if is_url(path) else path
    return pq.ParquetFile(file, metadata=metadata, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _batches(file: Any, column: str, group: int) -> Iterator[Any]:
    """Arrays of encoded images, a few rows each."""
    for batch in file.iter_batches(
        _BATCH_ROWS, row_groups=[group], columns=[column], use_threads=False
    ):
        values = batch.column(0)
        yield values.flatten()[0] if pa.types.is_struct(values.type) else values


def damaged_parquet(path: str, error: Exception) -> SourceError:
    """One line for a Parquet file that cannot be used."""
    return SourceError(
        f"{redacted(path)} is damaged or not a Parquet file ({' '.join(str(error).split())}); "
        "restore it or take it out"
    )
