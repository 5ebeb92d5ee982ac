"""Verifying a dataset: every row made again from the plan and the source, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from bapps_gen.distortions.catalogue import load_catalogue
from bapps_gen.errors import BappsGenError, WorkError
from bapps_gen.manifests.dataset import Dataset, shard_fault, shard_path
from bapps_gen.manifests.png import decode_png
from bapps_gen.manifests.rows import PATCHES, ManifestRow
from bapps_gen.manifests.schema import table_rows
from bapps_gen.pipelines.executors import run_jobs
from bapps_gen.pipelines.generate import Progress
from bapps_gen.pipelines.plan import Planner
from bapps_gen.pipelines.recorded import Images
from bapps_gen.pipelines.render import pixel_hash
from bapps_gen.pipelines.sources import ImageCache
from bapps_gen.pipelines.spec import spec_from_values
from bapps_gen.pipelines.triplets import TripletRenderer

PROBLEMS_A_SHARD = 20
"""Problems listed of one shard; more are only counted."""

_BATCH_ROWS = 100


@dataclass(frozen=True, slots=True)
class VerifyContext:
    """What every worker needs. Without a source, pixels are not made again."""

    dataset: Dataset
    source: Images | None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found: rows compared, problems in all, and the first of them, a line each."""

    rows: int
    count: int
    problems: tuple[str, ...]


def verify(
    dataset: Dataset, source: Images | None, workers: int, progress: Progress | None = None
) -> VerifyReport:
    """Compare a dataset with what its spec and source give.

    Checked are: every shard there and whole, its schema and counts; every row's id, plan and
    hashes; every stored picture against its hash; and every pixel, made again. Without a source
    the plan's distortions, the schema, counts, ids and stored pictures are still checked; of an
    imported dataset, which has no plan, all but the distortions.
    """
    rows = count = 0
    problems: list[str] = []
    context = VerifyContext(dataset, source)
    shards = range(dataset.info.shards)
    reports = run_jobs(prepare_verify, context, shards, min(workers, len(shards)))
    for done, report in enumerate(reports, 1):
        rows += report.rows
        count += report.count
        problems += report.problems
        if progress:
            progress(min(done * dataset.info.shard_rows, dataset.info.rows), dataset.info.rows)
    return VerifyReport(rows, count, tuple(sorted(problems)))


def prepare_verify(context: VerifyContext) -> Callable[[int], VerifyReport]:
    """A function that verifies one shard."""
    dataset, info = context.dataset, context.dataset.info
    planner, renderer = None, None
    if not info.imported:
        catalogue = load_catalogue(info.plugins)
        planner = Planner(spec_from_values(info.spec), catalogue)
        if context.source is not None:
            images = ImageCache(context.source)
            renderer = TripletRenderer(
                planner, catalogue.atoms, context.source, images, info.digest
            )

    def verify_shard(shard: int) -> VerifyReport:
        path = shard_path(dataset.folder, shard)
        fault = shard_fault(dataset.folder, info, shard)
        if fault is not None:
            return VerifyReport(0, 1, (f"{path} is {fault}",))
        found: list[str] = []
        rows = 0
        try:
            for row, pngs in stored_rows(dataset, shard):
                expected = info.shard_range(shard)[0] + rows
                rows += 1
                found += [f"{path.name} row {expected}: {what}" for what in _stored(row, pngs)]
                if row.row != expected:
                    found.append(f"{path.name} row {expected}: holds row {row.row}")
                    continue
                if row.id != f"{info.digest[:8]}-{expected:08d}":
                    found.append(f"{path.name} row {expected}: has the id {row.id}")
                if planner is not None:
                    found += [
                        f"{path.name} row {expected}: {what}"
                        for what in _remade(row, planner, renderer)
                    ]
        except WorkError as error:
            found.append(str(error))
        return VerifyReport(rows, len(found), tuple(found[:PROBLEMS_A_SHARD]))

    return verify_shard


def stored_rows(
    dataset: Dataset, shard: int
) -> Iterator[tuple[ManifestRow, tuple[bytes, ...] | None]]:
    """Rows of one shard, each with its PNG files (None in a recipe), in flat memory."""
    for batch in dataset.shard_batches(shard, size=_BATCH_ROWS):
        rows = table_rows(batch)
        if not dataset.info.pictures:
            yield from ((row, None) for row in rows)
            continue
        pictures = [batch.column(name).to_pylist() for name in dataset.info.patches]
        for row, images in zip(rows, zip(*pictures, strict=True), strict=True):
            yield row, tuple(image["bytes"] for image in images)


def _stored(row: ManifestRow, pngs: tuple[bytes, ...] | None) -> Iterator[str]:
    """What contradicts itself in a stored row."""
    names = PATCHES[: len(row.hashes)]
    for name, png, digest in zip(names, pngs or (), row.hashes, strict=False):
        try:
            if pixel_hash(decode_png(png)) != digest:
                yield f"the stored {name} is not the picture of its hash"
        except WorkError as error:
            yield f"{name}: {error}"


def _remade(row: ManifestRow, planner: Planner, renderer: TripletRenderer | None) -> Iterator[str]:
    """What differs between a stored row and the row that its plan gives."""
    plan = planner.row(row.row)
    if renderer is None:
        if plan.sides != row.steps:
            yield "its steps are not those of the plan"
        return
    try:
        fresh, _ = renderer.render(plan)
    except BappsGenError as error:
        yield str(error)
        return
    # What people said was added later and is no part of the plan.
    fresh = replace(fresh, judge=row.judge, judge_count=row.judge_count)
    for field in fields(ManifestRow):
        if getattr(fresh, field.name) != getattr(row, field.name):
            yield f"{field.name} differs from what the plan and the source give"
