"""Making a dataset: shards rendered by workers, resumed where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bapps_gen.cnn_distorters.as_distortions import cnn_name
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import encode_png
from bapps_gen.manifests.dataset import (
    DATA_FOLDER,
    DATASET,
    INFO_NAME,
    DatasetInfo,
    read_info,
    shard_faults,
    shard_path,
    write_info,
    write_shard,
)
from bapps_gen.manifests.outputs import has_outputs, write_outputs
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.pipelines.datasets.kinds import row_renderer
from bapps_gen.pipelines.datasets.zoo import (
    open_dataset_zoo,
    pinned_distorters,
    recipe_files,
    zoo_location,
)
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.rows.options import ROWS, SHARD_SIZE
from bapps_gen.pipelines.rows.renderer import grouped
from bapps_gen.pipelines.rows.spec import TripletSpec
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url
from bapps_gen.storage.workspace import check_landed, claim, make_folder
from bapps_gen.version import __version__

logger = logging.getLogger(__name__)

Context = TypeVar("Context")


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What every worker needs; sent once to each. `zoo` is of a set with CNN distorters."""

    folder: Location
    info: DatasetInfo
    source: Source | AlignedImages
    zoo: Zoo | None = None


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What a worker says of a shard.

    `failures` has the reasons by name of images found unusable, `differing` the number of rows
    whose pixels are not those of the recipe (0 but in a replay that allows it).
    """

    shard: int
    rows: int
    failures: dict[str, str] = field(default_factory=dict)
    differing: int = 0


@dataclass(frozen=True, slots=True)
class GenerateReport:
    """What a run did: rows made now, rows that were there, and the sums over ShardReports."""

    made: int
    kept: int
    failures: dict[str, str]
    differing: int


def prepare_shards(context: ShardContext) -> Callable[[int], ShardReport]:
    """A function that renders and writes one shard, with caches of its own."""
    info = context.info
    renderer = row_renderer(info, context.source, context.zoo)
    planner = renderer.planner
    cnn = bool(pinned_distorters(info))

    def make_shard(shard: int) -> ShardReport:
        first, end = info.shard_range(shard)
        plans = sorted(map(planner.row, range(first, end)), key=lambda plan: plan.image)
        renderer.expect(plans)
        made = []
        for group in grouped(plans, cnn):
            for row, patches in renderer.render_many(group):
                made.append((row, tuple(map(encode_png, patches))))
        made.sort(key=lambda item: item[0].row)
        rows, pngs = zip(*made, strict=True)
        write_shard(context.folder, info, shard, rows, pngs)
        return ShardReport(shard, len(rows), dict(renderer.failures))

    return make_shard


def describe_dataset(
    kind: str,
    spec: TripletSpec,
    source: Source,
    registry: Registry,
    plugins: tuple[str, ...],
    rows: int,
    shard_rows: int,
    zoo: Zoo | None = None,
) -> DatasetInfo:
    """The `dataset.json` of a dataset that is about to be made.

    Args:
        zoo: that the spec's CNN distorters come from, if it has any.

    Raises:
        UserError: when `rows` or `shard_rows` is out of range.
    """
    ROWS.check("n", rows)
    SHARD_SIZE.check("shard-size", shard_rows)
    # In triplets CNN distorters distort as they were trained and have no parameters.
    bare = () if spec.is_jnd else {cnn_name(name) for name, _ in spec.distorters}
    return DatasetInfo(
        kind=kind,
        version=__version__,
        spec=spec.values(),
        digest=spec.digest,
        rows=rows,
        shard_rows=shard_rows,
        distortions=dict(spec.versions),
        units=parameter_units(registry, (name for name, _ in spec.versions if name not in bare)),
        plugins=plugins,
        source_roots=source.roots,
        source_digest=source.digest,
        source_images=tuple((entry.name, entry.sha256) for entry in source.entries),
        source_failures={},
        patches=PAIR_PATCHES if spec.is_jnd else PATCHES,
        zoo=None if zoo is None else zoo_location(zoo),
    )


def parameter_units(registry: Registry, names: Iterable[str]) -> dict[str, str]:
    """Unit of every "distortion.parameter" of some distortions."""
    return {
        f"{name}.{parameter.name}": parameter.unit
        for name in names
        for parameter in registry.atom(name).parameters
    }


def generate(
    folder: Location,
    info: DatasetInfo,
    source: Source | AlignedImages,
    workers: Workers,
    progress: Progress | None = None,
    *,
    zoo: Zoo | None = None,
) -> GenerateReport:
    """Make a dataset from its spec, or what is missing of it; see `fill_shards`.

    Args:
        zoo: of `open_dataset_zoo`; None opens it where `info` says it is, if it needs one.
    """
    zoo = zoo or open_dataset_zoo(info)

    def context(settled: DatasetInfo) -> ShardContext:
        return ShardContext(folder, settled, source, zoo)

    def list_outputs() -> None:
        if isinstance(source, AlignedImages):
            keep_outputs(folder, info, source)

    shared = (*source.roots, *recipe_files(info.plugins, zoo))
    return fill_shards(
        folder, info, prepare_shards, context, workers, progress, list_outputs, shared
    )


def keep_outputs(folder: Location, info: DatasetInfo, images: AlignedImages) -> None:
    """Write what a set from real algorithms was cut from, unless it is there."""
    if not has_outputs(folder, info.digest):
        names = [name for name, _ in info.source_images]
        files = ((name, images.files(place)) for place, name in enumerate(images.algorithms))
        write_outputs(folder, info.digest, names, files)


def fill_shards(
    folder: Location,
    info: DatasetInfo,
    prepare: Callable[[Context], Callable[[int], ShardReport]],
    context: Callable[[DatasetInfo], Context],
    workers: Workers,
    progress: Progress | None = None,
    beside: Callable[[], None] | None = None,
    shared: Iterable[str | Location] = (),
) -> GenerateReport:
    """Have workers write the shards that a dataset's folder lacks.

    `prepare(context(info))` gives each worker its function that writes one shard. Whole shards of
    the same spec are kept; a longer dataset begins with the rows of a shorter one, so asking for
    more rows adds to it. Nothing that a reader could take for whole is written before it is.
    `beside` is called before the work, to write what lies beside the shards.

    Args:
        shared: files and folders that are read beside the dataset's own; see `run_jobs`.

    Raises:
        UserError: when the folder holds something else, or a dataset of another spec.
        WorkError: when a shard cannot be written, or a worker dies.
    """
    with claim(folder, DATASET):
        info = resolve_info(folder, info)
        write_info(folder, info)
        make_folder(folder / DATA_FOLDER)
        if beside is not None:
            beside()
        todo = list(_missing_shards(folder, info))
        kept = info.rows - sum(_rows_in(info, shard) for shard in todo)
        done, differing, failures = kept, 0, dict(info.source_failures)
        if progress:
            progress(done, info.rows)
        if todo:
            seen = (folder / INFO_NAME, *shared)
            for report in run_jobs(prepare, context(info), todo, workers, seen):
                done += report.rows
                differing += report.differing
                for name, reason in report.failures.items():
                    if name not in failures:
                        logger.warning("skipped %s: %s", name, reason)
                failures |= report.failures
                if progress:
                    progress(done, info.rows)
        if failures != info.source_failures:
            write_info(folder, replace(info, source_failures=dict(sorted(failures.items()))))
        if isinstance(folder, Url):
            _check_landed(folder, info)
    return GenerateReport(info.rows - kept, kept, failures, differing)


def _rows_in(info: DatasetInfo, shard: int) -> int:
    first, end = info.shard_range(shard)
    return end - first


def _missing_shards(folder: Location, info: DatasetInfo) -> Iterator[int]:
    for shard, fault in shard_faults(folder, info):
        if fault != "missing":
            logger.warning("%s is %s; made again", shard_path(folder, shard), fault)
        yield shard


def _check_landed(folder: Url, info: DatasetInfo) -> None:
    """What stands in for a lock at a URL: all is there, and no other run has taken the place.

    Raises:
        WorkError: when a shard is missing, or `dataset.json` is of another run.
    """
    if read_info(folder).digest != info.digest:
        raise WorkError(
            f"{folder} was taken by another run meanwhile, with another spec; "
            "give each run an --out of its own"
        )
    shards = (shard_path(folder, shard).name for shard in range(info.shards))
    check_landed(folder / DATA_FOLDER, shards, folder)


def resolve_info(folder: Location, wanted: DatasetInfo) -> DatasetInfo:
    """What to make in a folder, given what it holds.

    A description without any shard, left by a run that failed at once, counts as nothing.

    Raises:
        UserError: when it holds something else, or a dataset of another spec, shard size or more
            rows.
    """
    if not (folder / INFO_NAME).exists():
        DATASET.refuse_foreign(folder)
        return wanted
    held = read_info(folder)
    try:
        _require_same(folder, held, wanted)
    except UserError:
        if any((folder / DATA_FOLDER).glob("*.parquet")):
            raise
        return wanted
    return replace(wanted, source_failures=held.source_failures)


def _require_same(folder: Location, held: DatasetInfo, wanted: DatasetInfo) -> None:
    """Raise UserError unless a dataset can go on as the one that is wanted."""
    DATASET.require_same(folder, _identity(held), _identity(wanted))
    if held.shard_rows != wanted.shard_rows:
        raise UserError(
            f"shard-size = {wanted.shard_rows} is not that of {folder}; "
            f"use --shard-size {held.shard_rows} or another --out"
        )
    if held.rows > wanted.rows:
        raise UserError(
            f"n = {wanted.rows} is less than the {held.rows} rows of {folder}; "
            f"use --n {held.rows} or more, or another --out"
        )


def _identity(info: DatasetInfo) -> dict[str, object]:
    return {**info.spec, "kind": info.kind, "pictures": info.pictures}
