"""Verifying a dataset: every row made again from the plan and the source, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import BappsGenError, UserError, WorkError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress, Rows
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import (
    INFO_NAME,
    Dataset,
    DatasetInfo,
    SelectionInfo,
    shard_path,
    shard_problem,
    shards_on_disk,
)
from bapps_gen.manifests.integrity import picture_problem
from bapps_gen.manifests.rows import PATCHES, ManifestRow, row_id
from bapps_gen.manifests.schema import table_rows
from bapps_gen.pipelines.datasets.kind import RowImages, RowPlanner, RowRenderer
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.runs import Run, shard_runs
from bapps_gen.pipelines.datasets.selected_rows import (
    SelectionPlanner,
    digest_of_ids,
    origin_of,
)
from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo, plugins_of, recipe_files
from bapps_gen.pipelines.rows.renderer import Patches, grouped
from bapps_gen.storage.locations import Location

PROBLEMS_A_SHARD = 20
"""Problems listed of one shard; more are only counted."""

_BATCH_ROWS = 100


Stored = tuple[ManifestRow, tuple[bytes, ...] | None]
"""A row with its PNG files, None in a recipe."""


@dataclass(frozen=True, slots=True)
class VerifyContext:
    """What every worker needs. Without images, pixels are not made again."""

    dataset: Dataset
    images: RowImages | None
    zoo: Zoo | None = None
    tolerance: int = 0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of a verification.

    Args:
        rows: how many were compared.
        count: problems in all.
        problems: the first of them, a line each.
        tolerated: rows that differ, but by no more than the tolerance.
        largest: greatest difference among those, in levels of 255.
    """

    rows: int
    count: int
    problems: tuple[str, ...]
    tolerated: int = 0
    largest: int = 0


def verify(
    dataset: Dataset,
    images: RowImages | None,
    workers: Workers,
    progress: Progress | None = None,
    *,
    zoo: Zoo | None = None,
    tolerance: int = 0,
) -> VerifyReport:
    """Compare a dataset with what its spec and source give.

    Checked are: every shard there and whole, its schema and counts; every row's id, plan and
    hashes; every stored picture against its hash; and every pixel, made again. Without a source
    the plan's distortions, the schema, counts, ids and stored pictures are still checked; of an
    imported dataset, which has no plan, all but the distortions.

    Args:
        zoo: of `open_dataset_zoo`; None opens it where the dataset says it was, if it needs one.
        tolerance: greatest difference allowed between a stored picture and the one made again,
            in levels of 255. 0 asks for equal hashes.

    Raises:
        UserError: when the tolerance is not from 0 to 255 or there are no pictures for it.
    """
    check_range("tolerance", tolerance, 0, 255, whole=True)
    if tolerance and not dataset.info.pictures:
        raise UserError(
            f"tolerance = {tolerance}, but {dataset.folder} is a recipe without pictures to "
            "compare; leave it out, or verify a dataset"
        )
    if images is not None:
        zoo = zoo or open_dataset_zoo(dataset.info)
    rows = tolerated = largest = 0
    context = VerifyContext(dataset, images, zoo, tolerance)
    kind = kind_of(dataset.info)
    there = shards_on_disk(dataset.folder, dataset.info)
    missing = (shard for shard in range(dataset.info.shards) if shard not in there)
    listed = islice(missing, PROBLEMS_A_SHARD)
    problems = [f"{shard_path(dataset.folder, shard)} is missing" for shard in listed]
    count = dataset.info.shards - len(there)
    runs = shard_runs(kind, dataset.info, list(there), workers)
    shared: tuple[str | Location, ...] = (
        dataset.folder / INFO_NAME,
        *(() if images is None else images.roots),
        *recipe_files(plugins_of(dataset.info), zoo),
    )
    done, seen = Rows(dataset.info.rows, progress), 0
    for run, report in run_jobs(prepare_verify, context, runs, workers, shared, done.reach):
        rows += report.rows
        count += report.count
        problems += report.problems
        tolerated += report.tolerated
        largest = max(largest, report.largest)
        seen += len(run) * dataset.info.shard_rows
        done.reach(seen)
    if isinstance(dataset.info, SelectionInfo) and not count:
        ids = (
            name for batch in dataset.batches(["id"], 10_000) for name in batch["id"].to_pylist()
        )
        if digest_of_ids(ids) != dataset.info.spec.get("ids"):
            count = 1
            problems = ["the rows are not those that were chosen, or in another order"]
    return VerifyReport(rows, count, tuple(sorted(problems)), tolerated, largest)


def prepare_verify(context: VerifyContext) -> Callable[[Run], tuple[Run, VerifyReport]]:
    """A function that verifies some shards."""
    dataset, info, kind = context.dataset, context.dataset.info, kind_of(context.dataset.info)
    planner: RowPlanner | None = None
    renderer: RowRenderer | None = None
    if kind.is_reproducible and context.images is not None:
        renderer = kind.renderer(info, context.images, context.zoo)
        planner = renderer.planner
    elif kind.is_reproducible:
        planner = kind.planner(info)
    # The rows of an image lie apart: in large groups, it and its outputs are decoded once.
    together = kind.has_distorters or kind.has_outputs

    def verify_shards(run: Run) -> tuple[Run, VerifyReport]:
        problems: dict[int, list[str]] = {shard: [] for shard in run}
        damage: dict[int, str] = {}
        rows = tolerated = largest = 0

        def read() -> Iterator[tuple[int, int, Stored]]:
            for shard in run:
                done = 0
                for verified in (True, False):
                    try:
                        for row in islice(_shard_rows(dataset, shard, verified), done, None):
                            yield shard, *row
                            done += 1
                        break
                    except WorkError as error:  # read on without checksums to name all rows
                        damage[shard] = str(error)
                        if not verified:
                            problems[shard].append(str(error))

        for group in grouped(read(), together, info.patch_size):
            sound = []
            rows += len(group)
            for shard, expected, (row, pngs) in group:
                found = list(_stored(row, pngs))
                if row.row != expected:
                    found.append(f"holds row {row.row}")
                else:
                    if not _has_own_id(info, row):
                        found.append(f"has the id {row.id}")
                    if not isinstance(info, SelectionInfo) or _has_own_id(info, row):
                        sound.append((shard, (row, pngs)))
                problems[shard] += [_of_row(dataset, shard, expected, what) for what in found]
            if planner is None:
                continue
            stored = [row for _, row in sound]
            compared = _compare(stored, planner, renderer, context.tolerance)
            for (shard, (row, _)), (found, levels) in zip(sound, compared, strict=True):
                problems[shard] += [_of_row(dataset, shard, row.row, what) for what in found]
                tolerated += levels > 0
                largest = max(largest, levels)
        for shard, problem in damage.items():  # outside of what was compared
            problems[shard] = problems[shard] or [problem]
        count = sum(map(len, problems.values()))
        first = [line for lines in problems.values() for line in lines[:PROBLEMS_A_SHARD]]
        return run, VerifyReport(rows, count, tuple(first), tolerated, largest)

    return verify_shards


def _has_own_id(info: DatasetInfo, row: ManifestRow) -> bool:
    """Whether a row's id is that of its number, or of a row of the datasets it was chosen from."""
    if not isinstance(info, SelectionInfo):
        return row.id == row_id(info.digest, row.row)
    origin = origin_of(row)
    return origin is not None and any(
        origin[0] == part.digest and origin[1] < part.rows for part in info.parts
    )


def _of_row(dataset: Dataset, shard: int, row: int, problem: str) -> str:
    return f"{shard_path(dataset.folder, shard).name} row {row}: {problem}"


def _shard_rows(dataset: Dataset, shard: int, verified: bool) -> Iterator[tuple[int, Stored]]:
    """Rows of one shard, each with the number that it has to have.

    Raises:
        WorkError: when the shard is not one of the dataset's, or is damaged.
    """
    path = shard_path(dataset.folder, shard)
    problem = shard_problem(path, dataset.info, shard)
    if problem is not None:
        raise WorkError(f"{path} is {problem}")
    yield from enumerate(stored_rows(dataset, shard, verified), dataset.info.shard_range(shard)[0])


def stored_rows(dataset: Dataset, shard: int, verified: bool = True) -> Iterator[Stored]:
    """Rows of one shard, each with its PNG files (None in a recipe), in flat memory."""
    batches = dataset.shard_batches(shard, size=_BATCH_ROWS, numbered=False, verified=verified)
    for batch in batches:
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
        problem = picture_problem(png, digest)
        if problem is not None:
            yield f"the stored {name} {problem}"


def _compare(
    stored: Sequence[Stored], planner: RowPlanner, renderer: RowRenderer | None, tolerance: int
) -> Iterator[tuple[list[str], int]]:
    """For each stored row, what differs from the row that its plan gives, and levels tolerated."""
    plans = [_plan_of(planner, row) for row, _ in stored]
    if renderer is None:
        for (row, _), plan in zip(stored, plans, strict=True):
            yield ["its steps are not those of the plan"] if plan.sides != row.steps else [], 0
        return
    for (row, pngs), fresh in zip(stored, _remade(plans, renderer), strict=True):
        if isinstance(fresh, BappsGenError):
            yield [str(fresh)], 0
        else:
            yield _differences(row, pngs, *fresh, tolerance)


def _plan_of(planner: RowPlanner, row: ManifestRow) -> Any:
    if isinstance(planner, SelectionPlanner):
        return planner.plan_of(row)
    return planner.row(row.row)


def _remade(
    plans: list[Any], renderer: RowRenderer
) -> Sequence[tuple[ManifestRow, Patches] | BappsGenError]:
    """Rows made again; for each that cannot be, why."""
    # In the order of images, so that each is decoded once.
    order = sorted(range(len(plans)), key=lambda index: plans[index].image)
    made: dict[int, tuple[ManifestRow, Patches] | BappsGenError] = {}
    try:
        fresh = renderer.render_many([plans[index] for index in order])
        made = dict(zip(order, fresh, strict=True))
    except BappsGenError:
        for index in order:
            try:
                made[index] = renderer.render(plans[index])
            except BappsGenError as error:
                made[index] = error
    return [made[index] for index in range(len(plans))]


def _differences(
    row: ManifestRow,
    pngs: tuple[bytes, ...] | None,
    fresh: ManifestRow,
    patches: Patches,
    tolerance: int,
) -> tuple[list[str], int]:
    """Names of what differs, and the levels by which pictures differ within the tolerance."""
    # What people said was added later and is no part of the plan.
    said = ("judge", "judge_count", "same", "same_count")
    fresh = replace(fresh, **{name: getattr(row, name) for name in said})
    names = [
        field.name
        for field in fields(ManifestRow)
        if getattr(fresh, field.name) != getattr(row, field.name)
    ]
    levels = 0
    if "hashes" in names and tolerance and pngs is not None:
        names.remove("hashes")
        try:
            levels = max(
                int(np.abs(decode_png(png).astype(np.int16) - patch).max())
                for png, patch in zip(pngs, patches, strict=True)
            )
        except WorkError:  # reported already: not a picture
            return [_differs(name) for name in names], 0
        if levels > tolerance:
            problem = f"its pictures differ from those made again by up to {levels} levels"
            return [problem, *map(_differs, names)], 0
    return [_differs(name) for name in names], levels


def _differs(name: str) -> str:
    return f"{name} differs from what the plan and the source give"
