"""Single rows of a dataset in any order, in bounded memory."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bapps_gen.errors import WorkError
from bapps_gen.manifests.dataset import Dataset, shard_path
from bapps_gen.manifests.judgements import judged_reader
from bapps_gen.manifests.pages import picture_spans
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.manifests.shard_columns import conform, row_group_starts


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: its columns, of which those with pictures may stay in the file."""

    columns: pa.Table
    pictures: tuple[str, ...] = ()
    spans: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        return int(self.columns.nbytes) + (0 if self.spans is None else self.spans.nbytes)


class RowReader:
    """Reads rows by index.

    Of local shards it keeps where each picture lies and reads only a row's own. Of shards at URLs,
    where every request takes long, it keeps whole row groups.

    Args:
        dataset: the dataset, whole.
        columns: that rows have.
        capacity: most bytes to keep; what was used last stays.
    """

    def __init__(self, dataset: Dataset, columns: Sequence[str], capacity: int) -> None:
        self._dataset = dataset
        self._columns = tuple(columns)
        self._capacity = capacity
        self._groups: OrderedDict[tuple[int, int], _Group] = OrderedDict()
        self._groups_of: dict[int, list[int]] = {}
        self.nbytes = 0
        """Bytes that are kept."""

    def read(self, index: int) -> dict[str, Any]:
        """The columns of a row, as Arrow gives them; pictures have their "bytes" alone.

        Raises:
            WorkError: when its shard is missing or damaged.
        """
        shard, within = divmod(index, self._dataset.info.shard_rows)
        starts = self._starts(shard)
        number = bisect_right(starts, within) - 1
        group, offset = self._group(shard, number), within - starts[number]
        row: dict[str, Any]
        (row,) = group.columns.slice(offset, 1).to_pylist()
        if group.spans is not None:
            path = shard_path(self._dataset.folder, shard)
            assert isinstance(path, Path)
            with self._dataset.readable(shard):
                pngs = _read_spans(path, group.spans[:, offset])
            row |= {name: {"bytes": png} for name, png in zip(group.pictures, pngs, strict=True)}
        return row

    def _starts(self, shard: int) -> list[int]:
        """First rows of a shard's row groups, which are of any size where others wrote it."""
        starts = self._groups_of.get(shard)
        if starts is None:
            path = shard_path(self._dataset.folder, shard)
            with self._dataset.readable(shard), open_parquet(path) as file:
                starts = self._groups_of[shard] = row_group_starts(file)
        return starts

    def _group(self, shard: int, number: int) -> _Group:
        key = (shard, number)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._load(shard, number)
            self.nbytes += group.nbytes
            while self.nbytes > self._capacity and len(self._groups) > 1:
                _, dropped = self._groups.popitem(last=False)
                self.nbytes -= dropped.nbytes
        self._groups.move_to_end(key)
        return group

    def _load(self, shard: int, number: int) -> _Group:
        path = shard_path(self._dataset.folder, shard)
        pictures = tuple(name for name in self._columns if name in PATCHES)
        with self._dataset.readable(shard), open_parquet(path) as file:
            if pictures and isinstance(path, Path):
                spans = picture_spans(path, file, number, pictures)
                if spans is not None:
                    plain = [name for name in self._columns if name not in pictures]
                    return _Group(self._read(file, shard, number, plain), pictures, spans)
            return _Group(self._read(file, shard, number, list(self._columns)))

    def _read(self, file: pq.ParquetFile, shard: int, number: int, names: list[str]) -> pa.Table:
        """A row group with the judgments beside it."""
        info = self._dataset.info
        read, complete = judged_reader(self._dataset.folder, info.digest, shard, names)
        table = file.read_row_group(number, columns=read).combine_chunks()
        first, schema = self._starts(shard)[number], info.schema()
        where = str(shard_path(self._dataset.folder, shard))
        batches = (conform(batch, schema, where) for batch in table.to_batches())
        return pa.Table.from_batches([complete(batch, first) for batch in batches])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_groups": OrderedDict(), "_groups_of": {}, "nbytes": 0}


def _read_spans(path: Path, spans: NDArray[np.int64]) -> list[bytes]:
    """Parts of a file, (count, 2): first byte and length of each."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.pread(file, length, first) for first, length in spans.tolist()]
    finally:
        os.close(file)
    if any(len(part) != length for part, length in zip(parts, spans[:, 1], strict=True)):
        raise WorkError(f"{path} is shorter than it was; verify the dataset")
    return parts
