"""Making a dataset: shards rendered by workers, resumed where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress, Rows
from bapps_gen.imaging.encode import encode_png
from bapps_gen.manifests.dataset import (
    DATA_FOLDER,
    DATASET,
    INFO_NAME,
    DatasetInfo,
    read_info,
    shard_path,
    shard_problems,
    write_info,
)
from bapps_gen.manifests.integrity import resolve_check, shard_damage
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.manifests.shard_judgements import write_judged_shard
from bapps_gen.pipelines.datasets.card import write_dataset_card
from bapps_gen.pipelines.datasets.failures import (
    record_failures,
    recorded_failures,
    remove_failures,
)
from bapps_gen.pipelines.datasets.held_judgments import refuse_loss
from bapps_gen.pipelines.datasets.inputs import DatasetPlan
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.runs import Run, shard_runs
from bapps_gen.pipelines.datasets.selected_rows import SelectionRenderer
from bapps_gen.pipelines.datasets.zoo import plugins_of, recipe_files
from bapps_gen.pipelines.rows.renderer import grouped
from bapps_gen.storage.locations import Location, map_remote
from bapps_gen.storage.url import Url
from bapps_gen.storage.workspace import check_landed, claim, make_folder

logger = logging.getLogger(__name__)

Context = TypeVar("Context")


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What every worker needs; sent once to each."""

    folder: Location
    plan: DatasetPlan


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a worker says of the shards that it made together.

    `failures` has the reasons by name of unusable images, `differing` the number of rows
    whose pixels are not those of the recipe (always 0, except in a replay that allows it).
    """

    rows: int
    failures: dict[str, str] = field(default_factory=dict)
    differing: int = 0


@dataclass(frozen=True, slots=True)
class GenerateReport:
    """What a run did: rows made now, rows that were there, and the sums over RunReports."""

    made: int
    kept: int
    failures: dict[str, str]
    differing: int


def prepare_shards(context: ShardContext) -> Callable[[Run], RunReport]:
    """A function that renders and writes some shards, with caches of its own."""
    info, kind = context.plan.info, kind_of(context.plan.info)
    renderer = kind.renderer(info, context.plan.images, context.plan.zoo)
    assert not isinstance(renderer, SelectionRenderer)  # chosen rows are not made from a plan
    planner = renderer.planner
    recorded: set[str] = set()

    def make_shards(run: Run) -> RunReport:
        rows = [row for shard in run for row in range(*info.shard_range(shard))]
        plans = sorted(map(planner.row, rows), key=lambda plan: plan.image)
        renderer.expect(plans)
        made = []
        for group in grouped(plans, kind.has_distorters, info.patch_size):
            for row, patches in renderer.render_many(group):
                made.append((row, tuple(map(encode_png, patches))))
        failures = dict(renderer.failures)
        new = {name: why for name, why in failures.items() if name not in recorded}
        record_failures(context.folder, info.digest, new)
        recorded.update(new)
        write_run(context.folder, info, run, made)
        return RunReport(len(made), failures)

    return make_shards


def write_run(
    folder: Location,
    info: DatasetInfo,
    run: Run,
    made: Sequence[tuple[ManifestRow, tuple[bytes, ...]]],
) -> None:
    """Write the shards of a run, each whole or not at all; `made` has their rows in any order."""
    waiting = iter(sorted(made, key=lambda item: item[0].row))
    for shard in run:
        first, end = info.shard_range(shard)
        rows, pngs = zip(*islice(waiting, end - first), strict=True)
        write_judged_shard(folder, info, shard, rows, pngs)


def generate(
    folder: Location,
    plan: DatasetPlan,
    workers: Workers,
    progress: Progress | None = None,
    check: str | None = None,
) -> GenerateReport:
    """Make a dataset as planned, or what is missing of it; see `fill_shards`."""
    info, images, zoo = plan.info, plan.images, plan.zoo

    def context(resolved: DatasetInfo) -> ShardContext:
        return ShardContext(folder, DatasetPlan(resolved, images, zoo))

    def write_extra_files() -> None:
        kind_of(info).write_extra_files(folder, info, images)

    shared = (*images.roots, *recipe_files(plugins_of(info), zoo))
    return fill_shards(
        folder, info, prepare_shards, context, workers, progress, write_extra_files, shared, check
    )


def fill_shards(
    folder: Location,
    info: DatasetInfo,
    prepare: Callable[[Context], Callable[[Run], RunReport]],
    context: Callable[[DatasetInfo], Context],
    workers: Workers,
    progress: Progress | None = None,
    write_extra_files: Callable[[], None] | None = None,
    shared: Iterable[str | Location] = (),
    check: str | None = None,
    *,
    brings_judgments: bool = False,
) -> GenerateReport:
    """Have workers write the shards that a dataset's folder lacks.

    `prepare(context(info))` gives each worker its function that writes a run of shards. Whole
    shards of the same spec are kept; a longer dataset begins with the rows of a shorter one, so
    asking for more rows adds to it. Nothing that a reader could take for whole is written before
    it is.
    `write_extra_files` is called before the work, to write what is not in the shards. The data card
    promises counts only once all shards are there.

    Args:
        shared: files and folders that are read in addition to the dataset's own; see `run_jobs`.
        check: how closely whole shards are looked at before they are kept, one of CHECKS; None
            for the default of `resolve_check`.
        brings_judgments: whether rows are made with their judgments, so that a damaged shard
            loses none when it is made again.

    Raises:
        UserError: when the folder holds something else, or a dataset of another spec.
        WorkError: when a shard cannot be written, or a worker dies; when a shard that has to be
            made again holds judgments that would be lost.
    """
    with claim(folder, DATASET):
        info = resolve_info(folder, info)
        write_info(folder, info)
        make_folder(folder / DATA_FOLDER)
        if write_extra_files is not None:
            write_extra_files()
        problems = _shards_to_make(folder, info, resolve_check(folder, check))
        if not brings_judgments:
            refuse_loss(folder, info, problems)
        for shard, problem in problems.items():
            if problem != "missing":
                logger.warning("%s is %s; made again", shard_path(folder, shard), problem)
        todo = list(problems)
        kept = info.rows - sum(map(info.rows_in, todo))
        made, differing, failures = 0, 0, dict(info.source_failures)
        done = Rows(info.rows, progress, kept)
        if todo:
            write_dataset_card(folder, info, complete=False)
            seen = (folder / INFO_NAME, *shared)
            runs = shard_runs(kind_of(info), info, todo, workers)
            for report in run_jobs(prepare, context(info), runs, workers, seen, done.reach):
                made += report.rows
                done.reach(made)
                differing += report.differing
                for name, reason in report.failures.items():
                    if name not in failures:
                        logger.warning("skipped %s: %s", name, reason)
                failures |= report.failures
        failures |= recorded_failures(folder, info.digest)
        if failures != info.source_failures:
            info = replace(info, source_failures=dict(sorted(failures.items())))
            write_info(folder, info)
        write_dataset_card(folder, info, complete=True)
        remove_failures(folder)
        if isinstance(folder, Url):
            _check_landed(folder, info)
    return GenerateReport(info.rows - kept, kept, failures, differing)


def _shards_to_make(folder: Location, info: DatasetInfo, check: str) -> dict[int, str]:
    """The shards that are missing or not whole, in order, with what is wrong."""
    problems = dict(shard_problems(folder, info))
    patches = info.patches if info.pictures else ()

    def damage(shard: int) -> str | None:
        first, path = info.shard_range(shard)[0], shard_path(folder, shard)
        return shard_damage(path, info.schema(), first, patches, full=check == "full")

    if check != "footers":
        whole = [shard for shard in range(info.shards) if shard not in problems]
        found_damage = map_remote(damage, whole, isinstance(folder, Url))
        for shard, found in zip(whole, found_damage, strict=True):
            if found is not None:
                problems[shard] = f"damaged ({found})"
    return dict(sorted(problems.items()))


def _check_landed(folder: Url, info: DatasetInfo) -> None:
    """What stands in for a lock at a URL: all is there, and no other run has taken the folder.

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
