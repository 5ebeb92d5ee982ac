"""Benchmarks: every chosen distortion at every level, made and opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bapps_gen.api._arguments import (
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    open_photos,
    reporting,
    resolve_options,
    resolve_workers,
)
from bapps_gen.manifests import benchmark_reader as stored
from bapps_gen.manifests.benchmark import manifest_tables

_BATCH_ROWS = 1000


class Benchmark(stored.Benchmark):
    """An open benchmark; `open_benchmark` and `make_benchmark` give it.

    `len(benchmark)` is the number of distorted pictures, and iterating gives a dict for each, with
    the columns of the manifest: `path` and `reference` (PNG files, relative to the folder),
    `distortion`, `family`, `level`, `severity` from 0 to 2, `steps` with parameters and seeds,
    `source_path`, `width` and `height` in px.

    `benchmark.folder` is where it lies and `benchmark.info` what its `benchmark.json` holds.
    `score`, `evaluate`, `validate` and `verify` take a benchmark as they take a dataset.
    """

    def __len__(self) -> int:
        return self.info.rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for table in manifest_tables(self.folder, _BATCH_ROWS):
            yield from table.to_pylist()

    def __repr__(self) -> str:
        return f"<Benchmark '{self.folder}': {len(self)} distorted pictures>"


def open_benchmark(folder: LocalPath) -> Benchmark:
    """Open a benchmark.

    Args:
        folder: its folder (with `benchmark.json`).

    Returns:
        The benchmark: a row for each distorted picture.

    Raises:
        UserError: when there is no benchmark, or it is not complete.
        WorkError: when `benchmark.json` is damaged.

    Example:
        >>> import bapps_gen
        >>> made = bapps_gen.make_benchmark(
        ...     source="photos", atoms=["jpeg"], levels=2, max_side=64, out="bench", workers=1
        ... )
        >>> benchmark = bapps_gen.open_benchmark("bench")
        >>> row = next(iter(benchmark))
        >>> row["distortion"], row["level"], row["severity"]
        ('jpeg', 1, 0.5)
        >>> bapps_gen.read_image(benchmark.folder / row["path"]).shape[2]
        3
    """
    opened = stored.open_benchmark(Path(folder))
    return Benchmark(opened.folder, opened.info)


def make_benchmark(
    *,
    out: LocalPath,
    source: Photos = (),
    seed: int = 0,
    levels: int = 5,
    severities: Sequence[float] | None = None,
    max_side: int | None = None,
    patches: int | None = None,
    patch_size: int = 64,
    fixed_px: bool = False,
    crop_share: tuple[float, float] | None = None,
    scale_range: tuple[float, float] | None = None,
    min_contrast: float | None = None,
    families: str | Sequence[str] = (),
    atoms: str | Sequence[str] = (),
    compositions: str | Sequence[str] = (),
    distorters: str | Sequence[str] = (),
    zoo: LocalPath | None = None,
    plugins: Sequence[LocalPath] = (),
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    check: str | None = None,
) -> Benchmark:
    """Make every chosen distortion at every level, on whole images or on patches.

    Directions, angles and noise are drawn once for each picture and distortion, so that levels
    differ in severity alone. The same call goes on after an interruption.

    Args:
        out: folder of the benchmark, to create or resume.
        source: photos: folders of images, images, Parquet files or tar shards, or their URLs; ()
            for the color photographs that come with scikit-image.
        seed: 0 to 2^63 - 1.
        levels: severities 1/levels, 2/levels … 1; 1 to 100.
        severities: these instead, rising, each from 0 to 2; 0.2 is mild, 1 is strong.
        max_side: reduce whole images whose longer side is more, in px, 8 or more.
        patches: cut so many patches from each image, in place of whole images.
        patch_size: height and width of patches in px, 16 to 512.
        fixed_px: whether lengths of distortions stay in px as at 64 px, rather than grow and
            shrink with the patch; whole images keep them in any case.
        crop_share: of patches: side of the crop as a share of the image's shorter side, within
            [0, 1]; (0.15, 1) by default.
        scale_range: of patches, in its place: patch pixels per image pixel, within (0, 1].
        min_contrast: of patches: least standard deviation of luma, of full scale; 0.02 by default.
        families, atoms, compositions: distortions by name; "all" atoms or compositions; the 20
            atoms where nothing is chosen.
        distorters: CNN distorters: ids, and ranges such as "010-020", or "all".
        zoo: folder of the CNN distorters; None for the zoo that comes with this package.
        plugins: Python files with distortions of your own, or names of installed entry points.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for a bar, or a function of (pictures done, pictures in all).
        check: how closely existing files are checked; see `make_dataset`.

    Returns:
        The benchmark, open; its folder has `pairs.csv` for IQA toolboxes, too.

    Raises:
        UserError: for an unknown name, a value out of range, or a folder that holds something
            else.
        SourceError: for photos that are missing or cannot be used.
        WorkError: when the folder cannot be written, or a worker is killed.

    Example:
        >>> import bapps_gen
        >>> benchmark = bapps_gen.make_benchmark(
        ...     source="photos", atoms=["jpeg"], levels=2, max_side=64, out="bench", workers=1
        ... )
        >>> len(benchmark), sorted({row["severity"] for row in benchmark})
        (10, [0.5, 1.0])
    """
    from bapps_gen.pipelines.benchmarks.make import make_benchmark as make_pictures
    from bapps_gen.pipelines.benchmarks.request import BenchmarkRequest

    request = resolve_options(BenchmarkRequest, locals())
    processes, folder = resolve_workers(workers), Path(out)
    plan = request.resolve(partial(open_photos, source, progress))
    with reporting(progress, "benchmark", "pictures") as report:
        make_pictures(folder, plan, processes, report, check)
    return open_benchmark(folder)
