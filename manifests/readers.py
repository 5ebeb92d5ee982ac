"""Rows for programs: iterators of NumPy arrays, and PyTorch map-style datasets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bapps_gen.checks import check_range
from bapps_gen.errors import UserError, WorkError
from bapps_gen.imaging.encode import decode_png
from bapps_gen.lpips import require_torch
from bapps_gen.manifests.collection import Collection, find_collection
from bapps_gen.manifests.dataset import (
    ROW_GROUP_ROWS,
    AnyDataset,
    Dataset,
    open_dataset,
)
from bapps_gen.manifests.row_reader import RowReader
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.manifests.scores import Scores, joined_name, read_scores, scored_batches


class Triplet(NamedTuple):
    """A row of a set of triplets with its pictures.

    Args:
        id: of the row.
        ref: the reference, uint8 RGB of shape (S, S, 3), where S is the set's size of patches, 64
            unless it was made with another.
        p0: the reference distorted one way, uint8 (S, S, 3).
        p1: the reference distorted another way, uint8 (S, S, 3).
        judge: fraction of people that prefer p1 over p0, 0 to 1; None where nobody was asked.
        distances: (d(ref, p0), d(ref, p1)) by each metric that was asked for.
    """

    id: str
    ref: NDArray[np.uint8]
    p0: NDArray[np.uint8]
    p1: NDArray[np.uint8]
    judge: float | None
    distances: dict[str, tuple[float, float]]


class Pair(NamedTuple):
    """A row of a set of JND pairs with its pictures.

    Args:
        id: of the row.
        ref: the reference, uint8 RGB of shape (S, S, 3), where S is the set's size of patches, 64
            unless it was made with another.
        p0: the reference slightly distorted, uint8 (S, S, 3).
        same: fraction of people that call the two the same, 0 to 1; None where nobody was asked.
        distances: d(ref, p0) by each metric that was asked for.
    """

    id: str
    ref: NDArray[np.uint8]
    p0: NDArray[np.uint8]
    same: float | None
    distances: dict[str, float]


Row = TypeVar("Row", Triplet, Pair)

_COMMANDS = {"triplets": "iter_triplets or TripletDataset", "pairs": "iter_pairs or PairDataset"}


def iter_triplets(
    dataset: AnyDataset | Collection, scores: Sequence[str] = (), sets: str | Sequence[str] = ()
) -> Iterator[Triplet]:
    """Every triplet of a dataset in row order, in constant memory.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, of which all sets of
            the kind are read, one after another.
        scores: names of metrics that it was scored by (see `score`), to join their distances.
        sets: of a collection, those to read: paths, or parts of paths such as "2afc/val".

    Yields:
        One `Triplet` for each row, with uint8 patches of shape (64, 64, 3), or of the set's size.

    Raises:
        UserError: when it is not a dataset of triplets with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> for triplet in bapps_gen.iter_triplets("train"):
        ...     assert triplet.ref.shape == triplet.p0.shape == triplet.p1.shape
        >>> triplet.ref.shape, triplet.ref.dtype
        ((64, 64, 3), dtype('uint8'))
    """
    for opened in _open(dataset, "triplets", sets):
        for row in _rows(opened, ("id", *PATCHES, "judge"), scores):
            yield _triplet(row, _joined(row, scores))


def iter_pairs(
    dataset: AnyDataset | Collection, scores: Sequence[str] = (), sets: str | Sequence[str] = ()
) -> Iterator[Pair]:
    """Every JND pair of a dataset in row order, in constant memory.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, of which all sets of
            the kind are read, one after another.
        scores: names of metrics that it was scored by (see `score`), to join their distances.
        sets: of a collection, those to read: paths, or parts of paths such as "2afc/val".

    Yields:
        One `Pair` for each row, with uint8 patches of shape (64, 64, 3), or of the set's size.

    Raises:
        UserError: when it is not a dataset of pairs with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.

    Example:
        >>> import bapps_gen
        >>> jnd = bapps_gen.make_dataset("jnd-traditional", rows=4, out="jnd", workers=1)
        >>> [pair.p0.shape for pair in bapps_gen.iter_pairs("jnd")]
        [(64, 64, 3), (64, 64, 3), (64, 64, 3), (64, 64, 3)]
    """
    for opened in _open(dataset, "pairs", sets):
        for row in _rows(opened, ("id", *PAIR_PATCHES, "same"), scores):
            yield _pair(row, _joined(row, scores))


def _triplet(stored: Mapping[str, Any], distances: dict[str, tuple[float, ...]]) -> Triplet:
    ref, p0, p1 = (decode_png(stored[name]["bytes"]) for name in PATCHES)
    both = {metric: (d0, d1) for metric, (d0, d1) in distances.items()}
    return Triplet(stored["id"], ref, p0, p1, stored["judge"], both)


def _pair(stored: Mapping[str, Any], distances: dict[str, tuple[float, ...]]) -> Pair:
    ref, p0 = (decode_png(stored[name]["bytes"]) for name in PAIR_PATCHES)
    return Pair(
        stored["id"], ref, p0, stored["same"], {metric: d0 for metric, (d0,) in distances.items()}
    )


@dataclass(frozen=True)
class _SetReader:
    """The rows of one dataset by index, with their distances by metric."""

    dataset: Dataset
    rows: RowReader
    scores: Mapping[str, Scores]

    def read(self, index: int) -> tuple[dict[str, Any], dict[str, tuple[float, ...]]]:
        """A row's columns, and its distances."""
        stored = self.rows.read(index)
        distances = {}
        for metric, scores in self.scores.items():
            if scores.ids[index] != stored["id"]:
                folder = self.dataset.folder
                raise WorkError(
                    f"the {metric} distances of {folder} are of rows with other ids; make "
                    f"them again with `bapps-gen score {folder} --metric {metric}`"
                )
            columns = (scores.d0,) if scores.d1 is None else (scores.d0, scores.d1)
            distances[metric] = tuple(float(column[index]) for column in columns)
        return stored, distances


class _MapDataset(Generic[Row]):
    """Rows by index."""

    _unit: str
    _patches: tuple[str, ...]
    _judgment: str
    _row: Callable[[Mapping[str, Any], dict[str, tuple[float, ...]]], Row]
    """A row from its columns and its distances by metric."""

    def __init__(
        self,
        dataset: AnyDataset | Collection,
        cache_mb: int = 1000,
        scores: Sequence[str] = (),
        sets: str | Sequence[str] = (),
    ) -> None:
        check_range("cache_mb", cache_mb, 1, 10**9, whole=True)
        self.datasets = _open(dataset, self._unit, sets)
        columns = ("id", *self._patches, self._judgment)
        capacity = cache_mb * 1_000_000 // len(self.datasets)
        self._readers = [
            _SetReader(
                opened,
                RowReader(opened, columns, capacity),
                {metric: read_scores(opened, metric) for metric in scores},
            )
            for opened in self.datasets
        ]
        self._ends = list(accumulate(opened.info.rows for opened in self.datasets))

    @property
    def dataset(self) -> Dataset:
        """That rows are read from; of a collection, its first set."""
        return self.datasets[0]

    def __len__(self) -> int:
        return self._ends[-1]

    def row(self, index: int) -> Row:
        """A row with its pictures as NumPy arrays; negative indices count from the end.

        Raises:
            IndexError: when there is no such row.
            WorkError: when its shard is missing or damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)} rows")
        index %= len(self)
        number = bisect_right(self._ends, index)
        first = self._ends[number - 1] if number else 0
        return self._row(*self._readers[number].read(index - first))

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            import torch
        except ImportError:
            require_torch(f"{type(self).__name__} gives tensors and needs")
            raise

        row = self.row(index)
        patches = np.stack([getattr(row, name) for name in self._patches])
        scaled = torch.from_numpy(patches).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        judgment = getattr(row, self._judgment)
        item: dict[str, Any] = {
            "id": row.id,
            self._judgment: torch.tensor(float("nan") if judgment is None else judgment),
        }
        item |= zip(self._patches, scaled, strict=True)
        for metric, distances in row.distances.items():
            for name, distance in zip(("d0", "d1"), np.atleast_1d(distances), strict=False):
                item[joined_name(metric, name)] = torch.tensor(distance, dtype=torch.float64)
        return item


class TripletDataset(_MapDataset[Triplet]):
    """A dataset's triplets by index, for `torch.utils.data.DataLoader` (map style).

    `data[i]` is a dict with "id", "ref", "p0", "p1" (float32 tensors of shape (3, 64, 64), or of
    the set's size, in [-1, 1], what LPIPS takes), "judge" (float32, NaN where nobody was asked)
    and, for each metric in `scores`, "d0_<metric>" and "d1_<metric>" (float64, "-" written as "_").
    `data.row(i)` is a `Triplet` of NumPy arrays. Only the row's own pictures
    are read, in any order, by any number of loader workers, forked or spawned.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, of which all sets of
            the kind are read, one after another.
        cache_mb: most memory that each process keeps, in MB. Of a local set it keeps where pictures
            lie (80 bytes a row), of one at a URL the row groups read last (2.4 MB each).
        scores: names of metrics that it was scored by (see `score`), to join their distances.
        sets: of a collection, those to read: paths, or parts of paths such as "2afc/val".

    Raises:
        UserError: when it is not a dataset of triplets with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> data = bapps_gen.TripletDataset("train")
        >>> len(data), data[0]["ref"].shape, data.row(0).ref.shape
        (6, torch.Size([3, 64, 64]), (64, 64, 3))
        >>> from torch.utils.data import DataLoader
        >>> next(iter(DataLoader(data, batch_size=4, shuffle=True)))["p1"].shape
        torch.Size([4, 3, 64, 64])
    """

    _unit = "triplets"
    _patches = PATCHES
    _judgment = "judge"
    _row = staticmethod(_triplet)


class PairDataset(_MapDataset[Pair]):
    """A dataset's JND pairs by index, for `torch.utils.data.DataLoader` (map style).

    `data[i]` is a dict with "id", "ref", "p0" (float32 tensors of shape (3, 64, 64), or of the
    set's size, in [-1, 1], what LPIPS takes), "same" (float32, NaN where nobody was asked) and, for
    each metric in `scores`, "d0_<metric>" (float64, "-" written as "_"). `data.row(i)` is a `Pair`
    of NumPy arrays. Speed and workers are as with `TripletDataset`.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, of which all sets of
            the kind are read, one after another.
        cache_mb: most memory that each process keeps, in MB; see `TripletDataset`.
        scores: names of metrics that it was scored by (see `score`), to join their distances.
        sets: of a collection, those to read: paths, or parts of paths such as "2afc/val".

    Raises:
        UserError: when it is not a dataset of pairs with pictures, or was not scored.
        WorkError: when it is incomplete or damaged.

    Example:
        >>> import bapps_gen
        >>> jnd = bapps_gen.make_dataset("jnd-traditional", rows=4, out="jnd", workers=1)
        >>> data = bapps_gen.PairDataset("jnd")
        >>> len(data), data[0]["p0"].shape, data.row(-1).same
        (4, torch.Size([3, 64, 64]), None)
    """

    _unit = "pairs"
    _patches = PAIR_PATCHES
    _judgment = "same"
    _row = staticmethod(_pair)


def _open(
    dataset: AnyDataset | Collection, unit: str, sets: str | Sequence[str] = ()
) -> list[Dataset]:
    """The dataset, or the sets of a collection, that have rows of that unit, with pictures."""
    collection = find_collection(dataset)
    if collection is not None:
        named = [sets] if isinstance(sets, str) else sets
        chosen = [opened for _, opened in collection.chosen_datasets(named)]
        found = [opened for opened in chosen if opened.info.unit == unit]
        if not found:
            where = f" in {', '.join(named)}" if named else ""
            raise UserError(
                f"{collection.folder} has no {unit}{where}; read the others with "
                f"{_COMMANDS['pairs' if unit == 'triplets' else 'triplets']}"
            )
        for opened in found:
            opened.require_pictures()
        return found
    assert not isinstance(dataset, Collection)
    opened = open_dataset(dataset)
    if sets:
        raise UserError(f"sets are chosen from collections, and {opened.folder} is one dataset")
    held = opened.info.unit
    if held != unit:
        raise UserError(
            f"{opened.folder} holds {held}, not {unit}; read them with {_COMMANDS[held]}"
        )
    opened.require_pictures()
    return [opened]


def _rows(
    dataset: Dataset, columns: Sequence[str], scores: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for batch in scored_batches(dataset, scores, columns, ROW_GROUP_ROWS):
        yield from batch.to_pylist()


def _joined(stored: Mapping[str, Any], scores: Sequence[str]) -> dict[str, tuple[float, ...]]:
    names = {metric: (joined_name(metric, "d0"), joined_name(metric, "d1")) for metric in scores}
    return {
        metric: tuple(stored[name] for name in both if name in stored)
        for metric, both in names.items()
    }
