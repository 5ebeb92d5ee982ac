"""Collections of datasets: made, and opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    names,
    open_photos,
    plain,
    reporting,
    resolve_options,
    resolve_workers,
)
from bapps_gen.api.datasets import Dataset, open_dataset
from bapps_gen.errors import WorkError, unknown_name
from bapps_gen.manifests import collection as stored
from bapps_gen.storage.locations import location_of


class Collection(stored.Collection):
    """An open collection of datasets; `open_collection` and `make_collection` give it.

    `collection["2afc/train/traditional"]` is a dataset, `len(collection)` the number of sets, and
    iterating gives the paths of all sets, made or not. `collection.info.sets` has a record for
    each: `path`, `kind`, `rows`, `made`, and `state` ("complete", "incomplete", "not made" or
    "failed: …").
    """

    def __len__(self) -> int:
        return len(self.info.sets)

    def __iter__(self) -> Iterator[str]:
        return (record.path for record in self.info.sets)

    def __getitem__(self, path: str) -> Dataset:
        """The dataset at a path; it may be incomplete.

        Raises:
            UserError: when the collection has no such set, or nothing of it was made.
        """
        if path not in set(self):
            raise unknown_name("set", path, set(self), f"sets are {', '.join(self)}")
        return open_dataset(self.folder / path, incomplete=True)

    def __repr__(self) -> str:
        return f"<Collection '{self.folder}': {len(self)} sets>"


def open_collection(folder: AnyPath) -> Collection:
    """Open a collection of datasets.

    Args:
        folder: its folder (with `collection.json`), or its URL.

    Returns:
        The collection: datasets by path, and a record of each with what is on disk now.

    Raises:
        UserError: when the folder is not a collection.
        WorkError: when `collection.json` is damaged.

    Example:
        >>> import bapps_gen
        >>> made = bapps_gen.make_collection(
        ...     only="jnd/val/traditional", scale=0.001, val="photos", out="bapps", workers=1
        ... )
        >>> collection = bapps_gen.open_collection("bapps")
        >>> [record.path for record in collection.info.sets if record.complete]
        ['jnd/val/traditional']
        >>> collection["jnd/val/traditional"].info.unit
        'pairs'
    """
    opened = stored.open_collection(location_of(folder)).refreshed()
    return Collection(opened.folder, opened.info)


def make_collection(
    *,
    out: LocalPath,
    preset: str = "bapps",
    spec: LocalPath | None = None,
    scale: float = 1.0,
    only: str | Sequence[str] = (),
    seed: int | None = None,
    source: Photos = (),
    train: Photos = (),
    val: Photos = (),
    val_fraction: float = 0.1,
    allow_shared_photos: bool = False,
    real: Mapping[str, Mapping[str, Any]] | None = None,
    zoo: LocalPath | None = None,
    patch_size: int | None = None,
    shard_size: int | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
) -> Collection:
    """Make a whole collection of datasets, or what is missing of it.

    Every set is a dataset at OUT/TASK/SPLIT/NAME, such as "2afc/train/traditional", with a seed
    that follows from `seed` and that path. The same call goes on after an interruption; with a
    larger `scale` it adds rows. A set that cannot be made stops no other.

    Args:
        out: folder of the collection, to create or resume.
        preset: "bapps" has every set of the paper's table 3 with its counts.
        spec: TOML file that describes a collection, in place of the preset.
        scale: factor on every count, above 0; counts are rounded, and at least 1.
        only: sets to make: paths or parts of paths, such as "2afc/val"; all where none is given.
        seed: of the collection, 0 to 2^63 - 1; None for 0, or the TOML file's.
        source: photos of all sets, divided into train and val by their content.
        train, val: photos of the train and of the val sets, in place of `source`.
        val_fraction: share of `source` in val, between 0 and 1.
        allow_shared_photos: let the same photo be in train and in val.
        real: by the name of a set ("superres", "frameinterp", "deblur" or "color"), its
            `reference` and `outputs`, as in `make_dataset`, or `{"demo": True}`; sets without are
            left out.
        zoo: folder of the CNN distorters; None for the zoo that comes with this package.
        patch_size: height and width of the patches in px, 16 to 512; None for 64, or the TOML
            file's.
        shard_size: rows in a Parquet file, 1 to 100,000; None for 1000, fewer of patches larger
            than 128 px.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for a bar, or a function of (rows done, rows in all), over all sets.
        check: how closely existing files are checked; see `make_dataset`.

    Returns:
        The collection, open.

    Raises:
        UserError: for a bad option, photos that are missing or in train and val alike, or a
            folder that holds something else.
        WorkError: when sets could not be made, once all others are; it names them. Also when the
            folder cannot be written.

    Example:
        >>> import bapps_gen
        >>> collection = bapps_gen.make_collection(
        ...     only="jnd/val/traditional", scale=0.001, val="photos", out="bapps", workers=1
        ... )
        >>> collection.info.name, len(collection["jnd/val/traditional"])
        ('bapps', 5)
    """
    from bapps_gen.pipelines.collections.make import make_collection as make_sets
    from bapps_gen.pipelines.collections.plan import plan_collection
    from bapps_gen.pipelines.collections.request import CollectionRequest

    sets = {name: plain(options) for name, options in (real or {}).items()}
    request = resolve_options(CollectionRequest, locals(), real=sets)
    processes, described = resolve_workers(workers), request.resolve()
    plan = plan_collection(
        described,
        Path(out),
        names(only),
        allow_shared_photos=allow_shared_photos,
        opener=lambda paths: open_photos(paths, progress),
    )
    if len(plan.problems) < len(plan.sets):
        with reporting(progress, described.name, "rows") as report:
            problems = make_sets(plan, processes, report, check=check).problems
    else:
        problems = plan.problems
    if problems:
        path = next(iter(problems))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WorkError(f"{path}{more} is not finished: {problems[path]}")
    return open_collection(out)
