"""Triplets for programs: a PyTorch map-style dataset and an iterator of NumPy arrays."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import UserError, WorkError
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import ROW_GROUP_ROWS, Dataset, open_dataset, shard_path
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.manifests.rows import PATCHES
from bapps_gen.manifests.scores import joined_name, read_scores, scored_batches
from bapps_gen.storage.locations import Url


class Triplet(NamedTuple):
    """Three uint8 RGB patches of shape (64, 64, 3); `judge` prefers p1 in [0, 1], or None.

    `distances` has d(ref, p0) and d(ref, p1) by each metric that was asked for.
    """

    id: str
    ref: NDArray[np.uint8]
    p0: NDArray[np.uint8]
    p1: NDArray[np.uint8]
    judge: float | None
    distances: dict[str, tuple[float, float]]


Folder = str | os.PathLike[str] | Url
"""A folder's path or its URL."""

_TRIPLET_COLUMNS = ("id", *PATCHES, "judge")


def iter_triplets(folder: Folder, scores: Sequence[str] = ()) -> Iterator[Triplet]:
    """Every triplet of a dataset in row order, in flat memory.

    Args:
        folder: the dataset's folder.
        scores: metrics that it was scored by (`bapps-gen score`), to join their distances.

    Raises:
        UserError: when the folder is not a dataset of triplets with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.
    """
    dataset = _open_triplets(folder)
    if scores:
        batches = scored_batches(dataset, scores, _TRIPLET_COLUMNS, ROW_GROUP_ROWS)
    else:
        batches = dataset.batches(_TRIPLET_COLUMNS)
    for batch in batches:
        for stored in batch.to_pylist():
            distances = {
                metric: (stored[joined_name(metric, "d0")], stored[joined_name(metric, "d1")])
                for metric in scores
            }
            yield _triplet(stored, distances)


class BappsDataset:
    """A dataset's triplets by index, for `torch.utils.data.DataLoader` (map style).

    `dataset[i]` is a dict with "id", "ref", "p0", "p1" (float32 tensors of shape (3, 64, 64) in
    [-1, 1], what LPIPS takes), "judge" (float32, NaN where nobody was asked) and, for each metric
    in `scores`, "d0_<metric>" and "d1_<metric>" (float64, "-" written as "_"). Reads one row
    group of about 100 rows at a time and keeps the last few, so a shuffled read costs about
    2 ms; works with any number of loader workers, forked or spawned.

    Args:
        folder: the dataset's folder.
        row_groups: how many row groups to keep in memory (about 2.4 MB each).
        scores: metrics that it was scored by (`bapps-gen score`), to join their distances.

    Raises:
        UserError: when the folder is not a dataset of triplets with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.
    """

    def __init__(self, folder: Folder, row_groups: int = 32, scores: Sequence[str] = ()) -> None:
        dataset = _open_triplets(folder)
        self._scores = {metric: read_scores(dataset, metric) for metric in scores}
        self._folder = dataset.folder
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
        stored = self._row_group(shard, group).slice(place, 1).to_pylist()[0]
        return _triplet(stored, self._distances(index % len(self), stored["id"]))

    def _distances(self, row: int, identity: str) -> dict[str, tuple[float, float]]:
        found = {}
        for metric, scores in self._scores.items():
            assert scores.d1 is not None  # as it has in every set of triplets
            if scores.ids[row] != identity:
                raise WorkError(
                    f"the {metric} distances of {self._folder} are of rows with other ids; make "
                    f"them again with `bapps-gen score {self._folder} --metric {metric}`"
                )
            found[metric] = (float(scores.d0[row]), float(scores.d1[row]))
        return found

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        found = self.triplet(index)
        patches = torch.from_numpy(np.stack([found.ref, found.p0, found.p1]))
        scaled = patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        judge = torch.tensor(float("nan") if found.judge is None else found.judge)
        item: dict[str, Any] = {"id": found.id, "judge": judge}
        item |= zip(PATCHES, scaled, strict=True)
        for metric, pair in found.distances.items():
            for name, distance in zip(("d0", "d1"), pair, strict=True):
                item[joined_name(metric, name)] = torch.tensor(distance, dtype=torch.float64)
        return item

    def _row_group(self, shard: int, group: int) -> pa.Table:
        key = (shard, group)
        table = self._kept.get(key)
        if table is None:
            with open_parquet(shard_path(self._folder, shard)) as file:
                table = file.read_row_group(group, columns=list(_TRIPLET_COLUMNS))
            self._kept[key] = table
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}


def _open_triplets(folder: Folder) -> Dataset:
    dataset = open_dataset(folder)
    if dataset.info.unit != "triplets":
        raise UserError(
            f"{dataset.folder} holds {dataset.info.unit}, not triplets; read its Parquet files"
        )
    if not dataset.info.pictures:
        raise UserError(
            f"{dataset.folder} is a recipe without pictures; make them with `bapps-gen replay`"
        )
    return dataset


def _triplet(stored: dict[str, Any], distances: dict[str, tuple[float, float]]) -> Triplet:
    ref, p0, p1 = (decode_png(stored[name]["bytes"]) for name in PATCHES)
    return Triplet(stored["id"], ref, p0, p1, stored["judge"], distances)
