"""Parquet files read from a local path or a URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from bapps_gen.errors import UserError
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.locations import Location, require_regular
from bapps_gen.storage.records import Record, parse_record
from bapps_gen.storage.url import Url

_GROUPS_AHEAD = 10
"""Row groups that are fetched together at a URL: about 25 MB of pictures."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What the metadata of a Parquet file say: its format, and the spec that its rows are of.

    `patch_size` is the height and width of its patches in px, left out at 64.
    """

    format_version: int
    spec_digest: str
    patch_size: int = PATCH_SIZE


def open_parquet(path: Location, *, verified: bool = True) -> pq.ParquetFile:
    """A Parquet file with its footer read; at a URL nothing else is read before it is asked for.

    Args:
        verified: whether pages are compared with their checksums as they are read, so that damage
            is an error and never data. Files of other programs may have none.

    Raises:
        FileNotFoundError: when it is missing.
        OSError, pa.ArrowInvalid: when it is damaged.
        UserError, WorkError: when a URL cannot be read.
    """
    if isinstance(path, Url):
        # Neighboring column chunks in one request each instead of one for every chunk.
        opened = path.open()
        return pq.ParquetFile(opened, pre_buffer=True, page_checksum_verification=verified)
    require_regular(path)
    return pq.ParquetFile(path, page_checksum_verification=verified)


def read_metadata(schema: pa.Schema, name: bytes, record: type[Record]) -> Record | None:
    """What a file's schema says under a name, as JSON; None where it says nothing usable."""
    stored = (schema.metadata or {}).get(name)
    if stored is None:
        return None
    try:
        return parse_record(record, parse_json(stored))
    except (ValueError, UserError):
        return None


def file_batches(
    path: Location, size: int, columns: Sequence[str] | None = None, *, verified: bool = True
) -> Iterator[pa.RecordBatch]:
    """A file's rows in order as batches of at most `size` rows.

    Args:
        verified: see `open_parquet`.

    Raises:
        As `open_parquet`; OSError also where a page is not as its checksum says.
    """
    with open_parquet(path, verified=verified) as file:
        if not isinstance(path, Url):
            yield from file.iter_batches(size, columns=columns)
            return
        groups = range(file.num_row_groups)
        for start in range(0, len(groups), _GROUPS_AHEAD):
            ahead = list(groups[start : start + _GROUPS_AHEAD])
            yield from file.iter_batches(size, row_groups=ahead, columns=columns)
