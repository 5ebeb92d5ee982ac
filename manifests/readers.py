"""Triplets for programs: a PyTorch map-style dataset and an iterator of NumPy arrays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import ROW_GROUP_ROWS, open_dataset, shard_path
from bapps_gen.manifests.png import decode_png
from bapps_gen.manifests.rows import PATCHES


class Triplet(NamedTuple):
    """Three uint8 RGB patches of shape (64, 64, 3); `judge` prefers p1 in [0, 1], or None."""

    id: str
    ref: NDArray[np.uint8]
    p0: NDArray[np.uint8]
    p1: NDArray[np.uint8]
    judge: float | None


_TRIPLET_COLUMNS = ("id", *PATCHES, "judge")


def iter_triplets(folder: str | Path) -> Iterator[Triplet]:
    """Every triplet of a dataset in row order, in flat memory.

    Raises:
        UserError: when the folder is not a dataset, or is a recipe (which has no pictures).
        WorkError: when it is incomplete or damaged.
    """
    dataset = open_dataset(folder)
    _require_pictures(folder, dataset.info.pictures)
    for batch in dataset.batches(_TRIPLET_COLUMNS):
        for stored in batch.to_pylist():
            yield _triplet(stored)


class BappsDataset:
    """A dataset's triplets by index, for `torch.utils.data.DataLoader` (map style).

    `dataset[i]` is a dict with "id", "ref", "p0", "p1" (float32 tensors of shape (3, 64, 64) in
    [-1, 1], what LPIPS takes) and "judge" (float32, NaN where nobody was asked). Reads one row
    group of about 100 rows at a time and keeps the last few, so a shuffled read costs about
    2 ms; works with any number of loader workers, forked or spawned.

    Args:
        folder: the dataset's folder.
        row_groups: how many row groups to keep in memory (about 2.4 MB each).

    Raises:
        UserError: when the folder is not a dataset, or is a recipe.
        WorkError: when it is incomplete or damaged.
    """

    def __init__(self, folder: str | Path, row_groups: int = 32) -> None:
        dataset = open_dataset(folder)
        _require_pictures(folder, dataset.info.pictures)
        self._folder = Path(folder)
        self._info = dataset.info
        self._kept: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._room = row_groups

    def __len__(self) -> int:
        return self._info.rows

    def triplet(self, index: int) -> Triplet:
        """The triplet of a row as NumPy arrays; negative indices count from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)} rows")
        shard, within = divmod(index % len(self), self._info.shard_rows)
        group, place = divmod(within, ROW_GROUP_ROWS)
        return _triplet(self._row_group(shard, group).slice(place, 1).to_pylist()[0])

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        found = self.triplet(index)
        patches = torch.from_numpy(np.stack([found.ref, found.p0, found.p1]))
        scaled = patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        judge = torch.tensor(float("nan") if found.judge is None else found.judge)
        return {"id": found.id, **dict(zip(PATCHES, scaled, strict=True)), "judge": judge}

    def _row_group(self, shard: int, group: int) -> pa.Table:
        key = (shard, group)
        table = self._kept.get(key)
        if table is None:
            with pq.ParquetFile(shard_path(self._folder, shard)) as file:
                table = file.read_row_group(group, columns=list(_TRIPLET_COLUMNS))
            self._kept[key] = table
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}


def _require_pictures(folder: str | Path, pictures: bool) -> None:
    if not pictures:
        raise UserError(f"{folder} is a recipe without pictures; make them with `bapps-gen replay`")


def _triplet(stored: dict[str, Any]) -> Triplet:
    ref, p0, p1 = (decode_png(stored[name]["bytes"]) for name in PATCHES)
    return Triplet(stored["id"], ref, p0, p1, stored["judge"])
