"""Making a benchmark: every distortion at every level, image after image."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import ImageError, SourceError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.decode import image_size
from bapps_gen.manifests.benchmark import (
    BENCHMARK,
    BENCHMARK_NAME,
    MANIFEST_NAME,
    PAIRS_NAME,
    ROWS_FOLDER,
    TABLE_NAME,
    BenchmarkInfo,
    benchmark_schema,
    damaged_file,
    manifest_tables,
    pending_images,
    read_benchmark_info,
    read_image_rows,
    write_benchmark_info,
    write_manifest,
)
from bapps_gen.manifests.integrity import resolve_check
from bapps_gen.pipelines.benchmarks.images import (
    BenchmarkContext,
    prepare_images,
)
from bapps_gen.pipelines.benchmarks.names import default_name, picture_names
from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
from bapps_gen.pipelines.datasets.zoo import plugins_of, recipe_files
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.storage.workspace import claim, make_folder

logger = logging.getLogger(__name__)

_BYTES_PER_PIXEL = 2.0
_SAMPLED_IMAGES = 8


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """What a run did: images made now and kept from before, rows in all, unusable images."""

    made: int
    kept: int
    rows: int
    references: int
    failures: dict[str, str]


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """What will be made, with nothing left to ask; `BenchmarkRequest.resolve` gives it.

    Args:
        spec: of the benchmark.
        info: its `benchmark.json`.
        source: photos.
        registry: everything that is applied.
        zoo: that the CNN distorters come from, if there are any.
    """

    spec: BenchmarkSpec
    info: BenchmarkInfo
    source: Source
    registry: Registry
    zoo: Zoo | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much a benchmark will be, were every image usable; `bytes` is rough."""

    pictures: int
    references: int
    bytes: int


def estimate(plan: BenchmarkPlan) -> Estimate:
    """How many pictures a benchmark will have, and about what size.

    The size of whole images is estimated from the headers of a few, spread over the source.
    """
    spec, source = plan.spec, plan.source
    planner = BenchmarkPlanner(spec, plan.registry)
    pictures = len(source) * planner.rows_per_image
    references = len(source) * planner.references_per_image
    pixels = float(spec.patch_size**2)
    if spec.patches is None:
        sizes = []
        count = min(len(source), _SAMPLED_IMAGES)
        for number in range(count):
            try:
                height, width = image_size(source.read(number * len(source) // count))
            except ImageError:
                continue
            longest = max(width, height)
            factor = min(1.0, (spec.max_side or longest) / longest)
            sizes.append(width * height * factor**2)
        pixels = sum(sizes) / max(1, len(sizes))
    return Estimate(
        pictures, references, round((pictures + references) * pixels * _BYTES_PER_PIXEL)
    )


def make_benchmark(
    folder: Path,
    plan: BenchmarkPlan,
    workers: Workers,
    progress: Progress | None = None,
    check: str | None = None,
) -> BenchmarkReport:
    """Make a benchmark as planned, or what is missing of it.

    Whole images of the same spec are kept. Images that cannot be used are left out and named in
    the log and in `benchmark.json`.

    Args:
        progress: called with (distorted pictures done, in all).
        check: how closely whole images are looked at before they are kept, one of CHECKS; None for
            their checksums.

    Raises:
        UserError: when the folder holds something else, or a benchmark of another spec.
        SourceError: when no image can be used.
        WorkError: when a picture cannot be written, or a worker dies.
    """
    spec, info, source, zoo = plan.spec, plan.info, plan.source, plan.zoo
    with claim(folder, BENCHMARK):
        _check_spec(folder, info)
        planner = BenchmarkPlanner(spec, plan.registry)
        names = [entry.name for entry in source.entries]
        pictures = picture_names(names)
        _warn_of_clashes(names, pictures)
        make_folder(folder / ROWS_FOLDER)
        write_benchmark_info(folder, info)
        kept = _kept_images(folder, names, planner.rows_per_image, resolve_check(folder, check))
        todo = [image for image in range(len(source)) if image not in kept]
        context = BenchmarkContext(folder, spec, info, source, tuple(pictures), zoo)
        failures = _make_images(context, planner, len(kept), todo, workers, progress)
        used = [image for image in range(len(source)) if names[image] not in failures]
        if not used:
            name, reason = next(iter(failures.items()))
            raise SourceError(
                f"no usable image among {len(source)} in the source; the first: {name}: "
                f"{reason}; use --source with whole images"
            )
        _finish(folder, info, used, names, planner.rows_per_image)
        info = replace(
            info,
            source_failures=dict(sorted(failures.items())),
            images=len(used),
            pictures=len(used) * planner.rows_per_image,
        )
        write_benchmark_info(folder, info)
    return BenchmarkReport(
        made=len(used) - len(kept),
        kept=len(kept),
        rows=len(used) * planner.rows_per_image,
        references=len(used) * planner.references_per_image,
        failures=failures,
    )


def _make_images(
    context: BenchmarkContext,
    planner: BenchmarkPlanner,
    done: int,
    todo: Sequence[int],
    workers: Workers,
    progress: Progress | None,
) -> dict[str, str]:
    """Have workers make images; gives the reasons by name of those that cannot be used."""
    failures: dict[int, str] = {}
    rows, total = planner.rows_per_image, done + len(todo)
    if progress:
        progress(done * rows, total * rows)
    if todo:
        shared: tuple[str | Path, ...] = (
            context.folder / BENCHMARK_NAME,
            *context.source.roots,
            *recipe_files(plugins_of(context.info), context.zoo),
        )
        for report in run_jobs(prepare_images, context, todo, workers, shared):
            if report.failure is not None:
                failures[report.image] = report.failure
                name = context.source.entries[report.image].name
                logger.warning("left out %s: %s", name, report.failure)
                total -= 1
            else:
                done += 1
            if progress:
                progress(done * rows, total * rows)
    return {context.source.entries[image].name: failures[image] for image in sorted(failures)}


def _warn_of_clashes(names: Sequence[str], pictures: Sequence[str]) -> None:
    """Warn of images whose pictures have other names than the default."""
    defaults = list(map(default_name, names))
    renamed = [index for index in range(len(names)) if defaults[index] != pictures[index]]
    if renamed:
        first = renamed[0]
        more = f", and {len(renamed) - 1} more are renamed" if len(renamed) > 1 else ""
        logger.warning(
            "%s is not the only image whose pictures would be %s.png; its own are %s.png%s",
            names[first],
            defaults[first],
            pictures[first],
            more,
        )


def _check_spec(folder: Path, wanted: BenchmarkInfo) -> None:
    """Raise UserError when a folder holds a benchmark of another spec."""
    if (folder / BENCHMARK_NAME).exists():
        BENCHMARK.require_same(folder, read_benchmark_info(folder).spec, wanted.spec)


def _kept_images(folder: Path, names: Sequence[str], rows: int, check: str) -> set[int]:
    """Images whose rows and pictures are all there; a damaged manifest is removed."""
    kept = set()
    try:
        for image, table in _stored_tables(folder, names, rows):
            damaged = damaged_file(folder, table, check)
            if damaged is None:
                kept.add(image)
            else:
                logger.warning("%s is missing or damaged; made again", folder / damaged)
    except (OSError, pa.ArrowException, KeyError, IndexError):
        path = folder / MANIFEST_NAME
        logger.warning("%s is damaged; its images are made again", path)
        path.unlink(missing_ok=True)
        return _kept_images(folder, names, rows, check)
    return kept


def _stored_tables(folder: Path, names: Sequence[str], rows: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows of every image that has them, in order: of the manifest, and of images made since.

    Raises:
        OSError, pa.ArrowException, KeyError, IndexError: when the manifest is damaged.
    """
    listed = _listed_tables(folder, names, rows)
    upcoming = next(listed, None)
    for image in pending_images(folder):
        while upcoming is not None and upcoming[0] <= image:
            if upcoming[0] < image:
                yield upcoming
            upcoming = next(listed, None)
        table = read_image_rows(folder, image)
        if table is not None:
            yield image, table
    while upcoming is not None:
        yield upcoming
        upcoming = next(listed, None)


def _listed_tables(folder: Path, names: Sequence[str], rows: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows of every image in the manifest, in order; none where there is no manifest."""
    if not (folder / MANIFEST_NAME).exists():
        return
    indices = {name: index for index, name in enumerate(names)}
    for table in manifest_tables(folder, rows):
        yield indices[table["source_path"][0].as_py()], table


def _finish(
    folder: Path, info: BenchmarkInfo, used: Sequence[int], names: Sequence[str], rows: int
) -> None:
    """Write the manifest from the rows of all images, and remove the files that these were in."""
    manifests = [folder / name for name in (MANIFEST_NAME, TABLE_NAME, PAIRS_NAME)]
    wanted = set(used)
    if pending_images(folder) or not all(path.exists() for path in manifests):
        tables = (table for image, table in _stored_tables(folder, names, rows) if image in wanted)
        write_manifest(folder, benchmark_schema(info), tables)
    shutil.rmtree(folder / ROWS_FOLDER, ignore_errors=True)
