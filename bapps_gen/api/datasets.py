"""Datasets that are there: opened, looked at, verified, exported, and imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    check_writable,
    reporting,
    resolve_options,
    resolve_workers,
    stage,
)
from bapps_gen.errors import UserError
from bapps_gen.manifests import dataset as stored
from bapps_gen.manifests.collection import Collection, find_collection
from bapps_gen.manifests.readers import (
    Pair,
    PairDataset,
    Triplet,
    TripletDataset,
    iter_pairs,
    iter_triplets,
)
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.storage.locations import location_of

AnyDataset = stored.AnyDataset


class Dataset(stored.Dataset):
    """An open dataset of triplets or JND pairs; `open_dataset` and `make_dataset` give it.

    `len(dataset)` is the number of rows, `dataset[i]` a `Triplet` or `Pair` with its pictures
    (uint8 of shape (64, 64, 3)), and iterating gives all of them in order, in constant memory.

    `dataset.folder` is where it lies and `dataset.info` what its `dataset.json` holds: `kind`,
    `unit` ("triplets" or "pairs"), `rows`, `spec` with all options, `digest`, versions of
    distortions, units of parameters, and the photos it was made from.

    Example:
        >>> import bapps_gen
        >>> dataset = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> dataset
        <Dataset 'train': 6 triplets of kind traditional>
        >>> len(dataset), dataset[0].ref.shape, dataset[-1].p1.dtype
        (6, (64, 64, 3), dtype('uint8'))
        >>> row = next(dataset.rows())
        >>> row.row, len(row.steps), 0 <= row.steps[0][0].severity <= 1
        (0, 2, True)
    """

    def __len__(self) -> int:
        return self.info.rows

    def __getitem__(self, index: int) -> Triplet | Pair:
        """A row with its pictures; negative indices count from the end.

        Raises:
            IndexError: when there is no such row.
            UserError: when the dataset is a recipe without pictures.
            WorkError: when its shard is missing or damaged.
        """
        return self._reader.row(index)

    def __iter__(self) -> Iterator[Triplet | Pair]:
        return self.triplets() if self.info.unit == "triplets" else self.pairs()

    def __repr__(self) -> str:
        info = self.info
        recipe = "" if info.pictures else ", without pictures"
        return f"<Dataset '{self.folder}': {info.rows} {info.unit} of kind {info.kind}{recipe}>"

    @cached_property
    def _reader(self) -> TripletDataset | PairDataset:
        return (TripletDataset if self.info.unit == "triplets" else PairDataset)(self)

    def rows(self) -> Iterator[ManifestRow]:
        """Every row in order without its pictures: photo, crop, steps with parameters, judgment.

        Raises:
            WorkError: when a shard is missing or damaged.
        """
        for shard in range(self.info.shards):
            yield from self.read_rows(shard)

    def triplets(self, scores: Sequence[str] = ()) -> Iterator[Triplet]:
        """Every triplet in order with its pictures; see `iter_triplets`."""
        return iter_triplets(self, scores)

    def pairs(self, scores: Sequence[str] = ()) -> Iterator[Pair]:
        """Every JND pair in order with its pictures; see `iter_pairs`."""
        return iter_pairs(self, scores)

    def summary(self) -> dict[str, Any]:
        """Counts and origin as plain values, of an incomplete dataset too; `bapps-gen info`."""
        from bapps_gen.pipelines.datasets.inspect import summarize

        return summarize(self)

    def overlap(self, other: AnyDataset) -> dict[str, Any]:
        """What this dataset has in common with another; `bapps-gen info --against`.

        Args:
            other: its folder, its URL, or the open dataset; complete or not.

        Returns:
            For "references" and "sides" (with the same pixels), "photos" (with the same content)
            and "crops" (that overlap in a photo): `count` and `share` of those here that are found
            in the other, `count_other` and `share_other` the other way round. `warnings` has a
            line where one is of train and the other of val, and they share photos.

        Raises:
            UserError: when the other is not a dataset.
            WorkError: when a shard is damaged.

        Example:
            >>> import bapps_gen
            >>> few = bapps_gen.make_dataset("traditional", rows=6, out="few", workers=1)
            >>> more = bapps_gen.make_dataset("traditional", rows=8, out="more", workers=1)
            >>> found = few.overlap(more)["references"]
            >>> found["count"], found["share"], found["share_other"]
            (6, 1.0, 0.75)
        """
        from bapps_gen.pipelines.datasets.overlap import overlap, read_contents

        opened = stored.open_dataset(other, incomplete=True)
        return overlap(read_contents(self), read_contents(opened))


def as_dataset(dataset: stored.Dataset) -> Dataset:
    """An open dataset as the public class."""
    return dataset if isinstance(dataset, Dataset) else Dataset(dataset.folder, dataset.info)


def open_dataset(dataset: AnyDataset, *, incomplete: bool = False) -> Dataset:
    """Open a dataset, or a recipe.

    Args:
        dataset: its folder (with `dataset.json`), or its URL, such as "s3://bucket/train".
        incomplete: whether one with missing or damaged shards may be opened.

    Returns:
        The dataset: rows by index and in order, as NumPy arrays.

    Raises:
        UserError: when there is no dataset.
        WorkError: when it is incomplete and `incomplete` is False, or is damaged.

    Example:
        >>> import bapps_gen
        >>> made = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> dataset = bapps_gen.open_dataset("train")
        >>> dataset.info.kind, dataset.info.unit, len(dataset)
        ('traditional', 'triplets', 6)
        >>> [triplet.ref.shape for triplet in dataset][:2]
        [(64, 64, 3), (64, 64, 3)]
        >>> dataset.summary()["rows"]
        6
    """
    return as_dataset(stored.open_dataset(dataset, incomplete=incomplete))


_CELL = 128
"""Width in px to which contact sheets enlarge patches at most, where nothing else is asked for."""


def contact_sheet(
    dataset: AnyDataset | Collection,
    *,
    rows: Sequence[int] | None = None,
    count: int = 12,
    zoom: int | None = None,
) -> NDArray[np.uint8]:
    """Draw rows of a dataset with what was done to them.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, for rows of every set.
        rows: the rows to draw, at most 400; None for `count` rows at equal steps.
        count: how many, 1 to 400.
        zoom: times to enlarge a patch, 1 to 16; None for about 128 px, 2 at 64 px.

    Returns:
        uint8 RGB of shape (height, width, 3); `write_image` keeps it.

    Raises:
        UserError: when a row is not in the dataset, it has no pictures, or the sheet would be huge.
        WorkError: when a shard is missing or damaged.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> sheet = bapps_gen.contact_sheet(train, count=4)
        >>> bapps_gen.write_image("sheet.png", sheet)
    """
    from bapps_gen.checks import check_range
    from bapps_gen.imaging.sheet import check_sheet, draw_sheet
    from bapps_gen.pipelines.collections.convert import read_collection_rows
    from bapps_gen.pipelines.datasets.sheet import pick_rows, read_sheet_rows

    if zoom is not None:
        check_range("zoom", zoom, 1, 16, whole=True)
    collection = find_collection(dataset)
    if collection is not None:
        if rows is not None:
            raise UserError("rows are those of one set; name the folder of a set in the collection")
        size = max((held.info.patch_size for _, held in collection.datasets()), default=_CELL)
        zoom = zoom or max(1, _CELL // size)
        check_sheet(3 * count, size * zoom)
        return draw_sheet(read_collection_rows(collection, count), zoom=zoom)
    assert not isinstance(dataset, Collection)
    opened = stored.open_dataset(dataset)
    chosen = pick_rows(opened.info.rows, count) if rows is None else list(rows)
    zoom = zoom or max(1, _CELL // opened.info.patch_size)
    check_sheet(len(chosen) * len(opened.info.patches), opened.info.patch_size * zoom)
    return draw_sheet(read_sheet_rows(opened, chosen), zoom=zoom)


@overload
def export(
    dataset: AnyDataset | Collection,
    out: LocalPath,
    *,
    format: Literal["bapps"],
    split: Literal["train", "val"] | None = None,
    name: str | None = None,
    upscale: int | None = None,
    judged_only: bool = False,
    progress: AnyProgress = False,
) -> Path: ...
@overload
def export(
    dataset: AnyDataset | Collection,
    out: LocalPath,
    *,
    format: Literal["webdataset", "recipe"],
    judged_only: bool = False,
    progress: AnyProgress = False,
) -> Path: ...
def export(
    dataset: AnyDataset | Collection,
    out: LocalPath,
    *,
    format: Literal["bapps", "webdataset", "recipe"],
    split: Literal["train", "val"] | None = None,
    name: str | None = None,
    upscale: int | None = None,
    judged_only: bool = False,
    progress: AnyProgress = False,
) -> Path:
    """Write a dataset in another form.

    Args:
        dataset: its folder, its URL, or the open dataset; or a collection, each set of which goes
            to TASK/SPLIT/NAME in `out`.
        out: folder to write.
        format: "bapps" for the original folder layout, "webdataset" for tar shards, "recipe" for
            everything but the pixels, which `replay` makes again.
        split: of the original layout: "train" or "val"; pairs have "val" alone. By default the
            one that the photos were, and "train" where they were not divided.
        name: of the set in the original layout; its kind by default.
        upscale: of the original layout: height and width to write in px, a multiple of the
            patches' own, which is the default; 256 is the released form.
        judged_only: leave out rows that nobody judged; of one dataset, and of no recipe.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        The folder with what was written.

    Raises:
        UserError: for an unknown format, an option of another one, or a folder that is in use.
        WorkError: when the dataset is incomplete or damaged, or the disk is full.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> folder = bapps_gen.export(train, "folders", format="bapps", upscale=256)
        >>> folder.as_posix(), sorted(path.name for path in folder.iterdir())
        ('folders/2afc/train/traditional', ['manifest.csv', 'p0', 'p1', 'ref'])
        >>> bapps_gen.export(train, "recipe", format="recipe").as_posix()
        'recipe'
    """
    from bapps_gen.pipelines.collections.convert import export_collection
    from bapps_gen.pipelines.datasets.export import export_bapps, export_recipe, export_webdataset

    if format not in ("bapps", "webdataset", "recipe"):
        raise UserError(f"format = {format} is not one of bapps, webdataset, recipe")
    layout = {"split": split, "name": name, "upscale": upscale}
    for option, value in layout.items():
        if format != "bapps" and value is not None:
            raise UserError(f"{option} = {value} goes with the format bapps alone; leave it out")
    folder, collection = Path(out), find_collection(dataset)
    if judged_only and (collection is not None or format == "recipe"):
        raise UserError(
            "judged-only is for one dataset with pictures; take `bapps-gen subset` for others"
        )
    if collection is not None:
        if split is not None or name is not None:
            raise UserError(
                "split and name are for one set, and those of a collection have theirs; leave them "
                "out"
            )
        with reporting(progress, "export", "rows") as report:
            return export_collection(collection, folder, format, upscale, report)
    assert not isinstance(dataset, Collection)
    opened = stored.open_dataset(dataset)
    with reporting(progress, "export", "rows") as report:
        if format == "bapps":
            return export_bapps(
                opened,
                folder,
                split=split,
                name=name,
                upscale=upscale,
                judged_only=judged_only,
                progress=report,
            )
        if format == "webdataset":
            return export_webdataset(opened, folder, report, judged_only=judged_only)
        return export_recipe(opened, folder, report)


def import_original(
    folder: LocalPath,
    out: AnyPath,
    *,
    shard_size: int | None = None,
    patch_size: int = 64,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> tuple[Dataset, ...]:
    """Turn sets in the original folder layout into datasets.

    Args:
        folder: of one set, such as "dataset/2afc/val/traditional", or one above several.
        out: folder of the dataset, or its URL; of several sets, each goes to its path below.
        shard_size: rows in a Parquet file, 1 to 100,000; None for 1000, fewer of patches larger
            than 128 px.
        patch_size: height and width of the patches in px, 16 to 512; pictures may be
            nearest-neighbor enlargements of that, as the released ones are.
        workers: parallel worker processes; None for all cores.
        progress: True for a bar, or a function of (rows done, rows in all), called for each set.

    Returns:
        The datasets, in the order of their paths.

    Raises:
        UserError: when there is no such set, or a file of it cannot be used.
        WorkError: when the folder cannot be written.

    Example:
        >>> import bapps_gen, numpy
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> folder = bapps_gen.export(train, "original", format="bapps", upscale=256)
        >>> (folder / "judge").mkdir()
        >>> for row in range(6):  # a fraction of 0.8 prefers p1
        ...     numpy.save(folder / "judge" / f"{row:06d}.npy", numpy.float32([0.8]))
        >>> (dataset,) = bapps_gen.import_original(folder, "imported", workers=1)
        >>> dataset.info.kind, round(dataset[0].judge, 2)
        ('2afc-traditional', 0.8)
    """
    from bapps_gen.pipelines.datasets.import_options import ImportOptions
    from bapps_gen.pipelines.datasets.import_set import import_sets

    processes, target = resolve_workers(workers), location_of(out)
    check_writable(target)
    imported = import_sets(
        Path(folder),
        target,
        processes,
        resolve_options(ImportOptions, locals()),
        hashing=partial(stage, progress),
        importing=partial(reporting, progress),
    )
    return tuple(open_dataset(set_folder) for _, set_folder, _ in imported)
