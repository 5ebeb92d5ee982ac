"""Datasets made: new ones, recipes replayed, and rows made again to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    check_writable,
    local,
    locations,
    open_photos,
    plain,
    reporting,
    resolve_workers,
    stage,
)
from bapps_gen.api.collections import Collection, open_collection
from bapps_gen.api.datasets import AnyDataset, Dataset, open_dataset
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.manifests.benchmark_reader import Benchmark, find_benchmark
from bapps_gen.manifests.collection import Collection as StoredCollection
from bapps_gen.manifests.collection import find_collection
from bapps_gen.storage.locations import local_path, location_of

if TYPE_CHECKING:
    from bapps_gen.pipelines.datasets.verify import VerifyReport
    from bapps_gen.pipelines.datasets.whereabouts import Whereabouts


class SetOptions(TypedDict, total=False):
    """Options of `make_dataset`, named as those of the commands; each kind has some of them."""

    seed: int
    shard_size: int
    patch_size: int
    fixed_px: bool
    crop_share: tuple[float, float]
    scale_range: tuple[float, float]
    min_contrast: float
    rows_per_image: int
    families: Sequence[str]
    atoms: Sequence[str]
    compositions: Sequence[str]
    singles: float | Literal["types"]
    severity: tuple[float, float]
    near_threshold: bool
    folding: bool
    plugins: Sequence[LocalPath]
    zoo: LocalPath
    distorters: Sequence[str]
    sequences: float
    reference: AnyPath
    outputs: Mapping[str, AnyPath]
    skip_misaligned: bool
    min_difference: float
    demo: bool
    demo_images: int
    demo_factor: int


def make_dataset(
    kind: str,
    *,
    rows: int,
    out: AnyPath,
    source: Photos = (),
    split: str | None = None,
    val_fraction: float = 0.1,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
    **options: Unpack[SetOptions],
) -> Dataset:
    """Make a dataset, or what is missing of it.

    Rows depend on the options, the row's index and the photos, and on nothing else: not on
    workers, shards or interruptions. The same call goes on after an interruption; with more
    `rows`, it adds rows to those that are there.

    Args:
        kind: of triplets: "traditional", "cnn", "mix", or from the outputs of real algorithms
            "superres", "frameinterp", "deblur" or "color"; of JND pairs: "jnd-traditional" or
            "jnd-cnn".
        rows: how many triplets or pairs, 1 or more.
        out: folder of the dataset, to create or resume, or its URL.
        source: photos: folders of images, images, Parquet files or tar shards, or their URLs; ()
            for the color photographs that come with scikit-image.
        split: "train" or "val" takes that part of the photos, by their content; None all.
        val_fraction: share of the photos in val, between 0 and 1.
        workers: parallel worker processes, 1 for this process alone, None for all cores, or a
            `RayCluster`.
        progress: True for a bar, or a function of (rows done, rows in all).
        check: how closely existing files are checked before they are kept: "footers" (or
            sizes) alone, "pages" for checksums of all that they hold, or "full", which also decodes
            every picture and compares its hash; None for "pages", at a URL "footers".
        options: all kinds have `seed` (0), `shard_size` in rows (1000, fewer of patches larger
            than 128 px), `patch_size` in px (64), `scale_range`, patch pixels per image pixel,
            `min_contrast` of a patch's luma, of full scale (0.02), and `rows_per_image` (10). Sets
            from photos have `crop_share`, side of a crop as a share of the photo's shorter side
            ((0.15, 1)), unless `scale_range` is given. Traditional distortions have `families`,
            `atoms` and `compositions` to choose from them, `singles`, the share of sides with one
            distortion (0.5), or "types" for sides sampled uniformly from all that are chosen,
            `severity`, 0 to 2 ((0.2, 1)), `folding`, whether warps may fold over, `fixed_px` to
            keep lengths in px as at 64 px, which grow and shrink with the patch otherwise, and
            `plugins`, files with distortions of your own. Pairs have `near_threshold`, which keeps
            them near the threshold of noticing (`severity` is then (0.1, 0.4), also of CNN
            distorters, and shared by two distortions). CNN distorters have `zoo`, its folder, and
            `distorters`, ids and ranges such as "010-020"; a mix has `sequences`, the share of
            triplets in which an atom follows a CNN distorter (0.5). Sets from real algorithms have
            `reference`, the ground truth, `outputs`, a folder by algorithm,
            `skip_misaligned`, and `min_difference` of one side from the reference, as 1 − SSIM
            (0.08 for frameinterp, else 0); or `demo`, which makes both from photos, with
            `demo_images` (24) and, for superres, `demo_factor` (4).

    Returns:
        The dataset, open.

    Raises:
        UserError: for an unknown kind, name or option, or a value out of range; or when the
            folder holds something else, or a dataset with other options.
        SourceError: for photos that are missing or cannot be used.
        WorkError: when the folder cannot be written, or a worker is killed.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> len(train), train[0].ref.shape
        (6, (64, 64, 3))
        >>> jnd = bapps_gen.make_dataset(
        ...     "jnd-traditional", rows=4, out="noise", near_threshold=True, workers=1
        ... )
        >>> next(jnd.rows()).steps[0][0].severity < 0.4
        True
    """
    from bapps_gen.pipelines.datasets.generate import generate
    from bapps_gen.pipelines.datasets.inputs import Inputs, demo_folder_of
    from bapps_gen.pipelines.datasets.kinds import KINDS
    from bapps_gen.pipelines.datasets.request import Request

    known = ("seed", *KINDS[kind].options) if kind in KINDS else tuple(options)
    for name in options:
        if name not in known:
            raise unknown_name(f"option of kind '{kind}':", name, known, f"use {', '.join(known)}")
    given: dict[str, Any] = {n: plain(value) for n, value in options.items() if value is not None}
    request = Request(kind, rows=rows, **given)
    if locations(source) and not request.needs_photos:
        raise UserError("source is for demos; leave it out, or add demo=True")
    processes, folder = resolve_workers(workers), location_of(out)
    check_writable(folder)
    inputs = Inputs(
        partial(open_photos, source, progress, split=split, val_fraction=val_fraction),
        demo_folder_of(folder) if request.demo else None,
        processes,
        partial(stage, progress),
        split,
    )
    plan = request.resolve(inputs)
    with reporting(progress, kind, plan.info.unit) as report:
        generate(folder, plan, processes, report, check)
    return open_dataset(folder)


@overload
def replay(
    recipe: Collection,
    out: LocalPath,
    *,
    source: Photos = (),
    zoo: LocalPath | None = None,
    plugins: Sequence[LocalPath] = (),
    allow_different: bool = False,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
) -> Collection: ...
@overload
def replay(
    recipe: AnyDataset,
    out: AnyPath,
    *,
    source: Photos = (),
    outputs: Mapping[str, AnyPath] | None = None,
    zoo: LocalPath | None = None,
    plugins: Sequence[LocalPath] = (),
    allow_different: bool = False,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
) -> Dataset: ...
def replay(
    recipe: AnyDataset | Collection,
    out: AnyPath,
    *,
    source: Photos = (),
    outputs: Mapping[str, AnyPath] | None = None,
    zoo: LocalPath | None = None,
    plugins: Sequence[LocalPath] = (),
    allow_different: bool = False,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
) -> Dataset | Collection:
    """Make a dataset, or a collection, again from recipes and the photos.

    Args:
        recipe: folder or URL of a recipe or dataset, or one that is open; or an open collection of
            them (`open_collection`).
        out: folder of the dataset, to create or resume, or its URL; of a collection, a folder.
        source: where the photos are now; () for where `sources.local.json` says.
        outputs: where the outputs of algorithms are now, in a set from real algorithms.
        zoo: folder of the CNN distorters; None for where `sources.local.json` says.
        plugins: files with distortions of plugins that were used; they are run only when they are
            given, and have to be the same.
        allow_different: accept pixels that differ from the recipe's hashes, as they may under other
            versions of the libraries.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for a bar, or a function of (rows done, rows in all).
        check: how closely existing files are checked; see `make_dataset`.

    Returns:
        The dataset or collection, open.

    Raises:
        UserError: when there is no recipe, or it was imported, so that it cannot be made again.
        SourceError: for photos that are missing.
        WorkError: when photos or pixels differ, or the folder cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> recipe = bapps_gen.export(train, "small", format="recipe")
        >>> again = bapps_gen.replay(recipe, "again", workers=1)
        >>> (again[3].p1 == train[3].p1).all()
        np.True_
    """
    from bapps_gen.pipelines.datasets.again import replay_dataset

    processes, folder = resolve_workers(workers), location_of(out)
    check_writable(folder)
    where = _whereabouts(source, outputs, zoo, plugins, progress)
    if isinstance(recipe, StoredCollection):
        from bapps_gen.pipelines.collections.convert import replay_collection

        with reporting(progress, "replay", "rows") as report:
            replay_collection(
                recipe,
                local_path(str(folder)),
                where,
                processes,
                allow_different=allow_different,
                progress=report,
                check=check,
            )
        return open_collection(folder)
    if find_collection(recipe) is not None:
        raise UserError(f"{recipe} is a collection; give open_collection('{recipe}')")
    replay_dataset(
        open_dataset(recipe),
        folder,
        where,
        processes,
        partial(reporting, progress),
        allow_different=allow_different,
        check=check,
    )
    return open_dataset(folder)


def verify(
    dataset: AnyDataset | Benchmark,
    *,
    source: Photos = (),
    outputs: Mapping[str, AnyPath] | None = None,
    zoo: LocalPath | None = None,
    plugins: Sequence[LocalPath] = (),
    tolerance: int = 0,
    stored_only: bool = False,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> VerifyReport:
    """Make every row of a dataset, or picture of a benchmark, again and compare it.

    Of an imported dataset, which has no photos, the stored pictures are checked alone.

    Args:
        dataset: its folder, its URL, or the open dataset; it may be incomplete. Or a benchmark,
            which has to be complete.
        source: where the photos are now; () for where `sources.local.json` says.
        outputs: where the outputs of algorithms are now, in a set from real algorithms.
        zoo: folder of the CNN distorters; None for where `sources.local.json` says.
        plugins: files with distortions of plugins that were used; they are run only when they are
            given, and have to be the same.
        tolerance: levels of 255 that pictures may differ by, 0 to 255, as they may under other
            versions of the libraries or on another processor.
        stored_only: check what can be checked without the photos.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        `rows` compared, the `count` of differences, the first of them as `problems`, a line each,
        and how many rows were `tolerated`, with their `largest` difference in levels.

    Raises:
        UserError: when there is no dataset, or for a value out of range.
        WorkError: when photos are missing or have changed.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> report = bapps_gen.verify(train, workers=1)
        >>> report.rows, report.count, report.problems
        (6, 0, ())
    """
    from bapps_gen.pipelines.benchmarks.verify import verify_benchmark
    from bapps_gen.pipelines.datasets.again import verify_dataset

    processes, bars = resolve_workers(workers), partial(reporting, progress)
    where = _whereabouts(source, outputs, zoo, plugins, progress)
    given: dict[str, Any] = {"tolerance": tolerance, "stored_only": stored_only}
    benchmark = find_benchmark(dataset)
    if benchmark is not None:
        return verify_benchmark(benchmark, where, processes, bars, **given)
    assert not isinstance(dataset, Benchmark)
    opened = open_dataset(dataset, incomplete=True)
    return verify_dataset(opened, where, processes, bars, **given)


def _whereabouts(
    source: Photos,
    outputs: Mapping[str, AnyPath] | None,
    zoo: LocalPath | None,
    plugins: Sequence[LocalPath],
    progress: AnyProgress,
) -> Whereabouts:
    """Where things are now, from the arguments of `replay` and `verify`."""
    from bapps_gen.pipelines.datasets.whereabouts import Whereabouts

    return Whereabouts(
        cache(lambda paths: open_photos(paths, progress)),
        plain(locations(source)),
        plain(outputs or {}),
        local(zoo),
        plain(plugins),
    )
