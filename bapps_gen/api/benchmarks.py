"""Benchmarks: every chosen distortion at every level, made and opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.api._arguments import (
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    local,
    names,
    open_photos,
    reporting,
    resolve_workers,
)
from bapps_gen.distortions.registry import load_registry
from bapps_gen.errors import UserError
from bapps_gen.manifests.benchmark import BenchmarkInfo, manifest_tables, read_benchmark_info

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.distortions.registry import Registry

_SCALE_RANGE = (0.25, 1.0)
_MIN_CONTRAST = 0.02
_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Benchmark:
    """An open benchmark; `open_benchmark` and `make_benchmark` give it.

    `len(benchmark)` is the number of distorted pictures, and iterating gives a dict for each, with
    the columns of the manifest: `path` and `reference` (PNG files, relative to the folder),
    `distortion`, `family`, `level`, `severity` from 0 to 1, `steps` with parameters and seeds,
    `source_path`, `width` and `height` in px.

    Args:
        folder: where it lies.
        info: what its `benchmark.json` holds.
    """

    folder: Path
    info: BenchmarkInfo

    def __len__(self) -> int:
        return self.info.pictures or 0

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
    place = Path(folder)
    info = read_benchmark_info(place)
    if info.pictures is None:
        raise UserError(f"the benchmark in {place} is not complete; make it again to go on")
    return Benchmark(place, info)


def make_benchmark(
    *,
    out: LocalPath,
    source: Photos = (),
    seed: int = 0,
    levels: int = 5,
    severities: Sequence[float] | None = None,
    max_side: int | None = None,
    patches: int | None = None,
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
) -> Benchmark:
    """Make every chosen distortion at every level, on whole images or on patches.

    Directions, angles and noise are drawn once for each picture and distortion, so that levels
    differ in severity alone. The same call goes on after an interruption.

    Args:
        out: folder of the benchmark, to make or to go on with.
        source: photos: folders of images, images, Parquet files or tar shards, or their URLs; ()
            for the color photographs that come with scikit-image.
        seed: 0 to 2^63 - 1.
        levels: severities 1/levels, 2/levels … 1; 1 to 100.
        severities: these instead, rising, each from 0 to 1; 0.2 is just noticeable, 1 is strong.
        max_side: reduce whole images whose longer side is more, in px, 8 or more.
        patches: cut so many patches of 64×64 px from each image, in place of whole images.
        scale_range: of patches: patch pixels per image pixel, within (0, 1]; (0.25, 1) by default.
        min_contrast: of patches: least standard deviation of luma, of full scale; 0.02 by default.
        families, atoms, compositions: distortions by name; "all" atoms or compositions; the 20
            atoms where nothing is chosen.
        distorters: CNN distorters: ids, and ranges such as "010-020", or "all".
        zoo: folder of the CNN distorters; None for the zoo that comes with this package.
        plugins: Python files with distortions of your own, or names of installed entry points.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for a bar, or a function of (pictures done, pictures in all).

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
    from bapps_gen.cnn_distorters.as_distortions import with_zoo
    from bapps_gen.pipelines.benchmarks.make import describe_benchmark
    from bapps_gen.pipelines.benchmarks.make import make_benchmark as make_pictures
    from bapps_gen.pipelines.benchmarks.plan import (
        BenchmarkPlanner,
        BenchmarkSpec,
        even_severities,
    )

    processes, folder = resolve_workers(workers), Path(out)
    records = tuple(map(str, plugins))
    registry = load_registry(records)
    values: dict[str, Any] = {
        "seed": seed,
        "severities": even_severities(levels) if severities is None else tuple(severities),
        "patches": patches,
        "max_side": max_side,
        "scale": scale_range,
        "min_contrast": min_contrast,
    }
    if patches is not None:
        values["scale"] = scale_range or _SCALE_RANGE
        values["min_contrast"] = _MIN_CONTRAST if min_contrast is None else min_contrast
    traditional = names(families), names(atoms), names(compositions)
    chosen, opened, ids = _choose(registry, traditional, names(distorters), local(zoo))
    values |= chosen
    if opened is not None:
        registry = with_zoo(registry, opened, ids)
    # Raises what can be told before the photos are read.
    BenchmarkPlanner(BenchmarkSpec(images=1, source_digest="", **values), registry)
    photos = open_photos(source, progress)
    spec = BenchmarkSpec(images=len(photos), source_digest=photos.digest, **values)
    info = describe_benchmark(spec, photos, registry, records, opened)
    with reporting(progress, "benchmark", "pictures") as report:
        make_pictures(folder, spec, info, photos, processes, report, zoo=opened)
    return open_benchmark(folder)


def _choose(
    registry: Registry,
    traditional: tuple[tuple[str, ...], ...],
    distorters: tuple[str, ...],
    folder: Path | None,
) -> tuple[dict[str, Any], Zoo | None, tuple[str, ...]]:
    """The choice as arguments of `BenchmarkSpec`, and the zoo and ids of its CNN distorters."""
    from bapps_gen.cnn_distorters.as_distortions import (
        cnn_name,
        distorter_versions,
        pin_distorters,
    )
    from bapps_gen.pipelines.benchmarks.plan import ALL, choose_variants
    from bapps_gen.pipelines.datasets.zoo import choose_distorters
    from bapps_gen.pipelines.rows.spec import atom_versions

    choices: tuple[str, ...] = ()
    if any(traditional) or not distorters:
        families, atoms, compositions = traditional
        choices = choose_variants(
            registry, families=families, atoms=atoms, compositions=compositions
        )
    versions = atom_versions(registry, choices)
    if not distorters:
        if folder is not None:
            raise UserError(
                f"zoo = {folder} has no effect without distorters; add distorters='all', or leave "
                "it out"
            )
        return {"choices": choices, "versions": versions}, None, ()
    zoo, ids = choose_distorters(folder, () if ALL in distorters else distorters)
    values = {
        "choices": (*choices, *map(cnn_name, ids)),
        "versions": tuple(sorted((*versions, *distorter_versions(ids)))),
        "distorters": pin_distorters(zoo, ids),
    }
    return values, zoo, ids
