"""Replaying a recipe: the pixels of every row made again from its stored steps and the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import WorkError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import encode_png, pixel_hash
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo
from bapps_gen.manifests.origin import Origin, published
from bapps_gen.manifests.rows import PATCHES, ManifestRow
from bapps_gen.pipelines.datasets.generate import GenerateReport, RunReport, fill_shards, write_run
from bapps_gen.pipelines.datasets.judged import copy_judgements
from bapps_gen.pipelines.datasets.kind import RowImages
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.runs import Run
from bapps_gen.pipelines.datasets.zoo import (
    open_dataset_zoo,
    plugins_of,
    recipe_files,
    zoo_location,
)
from bapps_gen.pipelines.rows.renderer import grouped
from bapps_gen.storage.locations import Location


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What every worker needs. `zoo` is of a recipe with CNN distorters."""

    recipe: Dataset
    folder: Location
    info: DatasetInfo
    images: RowImages
    allow_different: bool
    zoo: Zoo | None = None


def replay(
    recipe: Dataset,
    folder: Location,
    images: RowImages,
    workers: Workers,
    *,
    allow_different: bool = False,
    progress: Progress | None = None,
    zoo: Zoo | None = None,
    check: str | None = None,
) -> GenerateReport:
    """Make the dataset of a recipe in `folder`; resumed like any other.

    Works from the stored steps, not from the spec, so that any selection of rows replays.

    Args:
        allow_different: accept pixels that differ from the recipe's hashes, as they may under
            other library versions or processors, and store their own hashes.
        zoo: of `open_dataset_zoo`; None opens it where the recipe says it was, if it needs one.
        check: see `fill_shards`.

    Raises:
        WorkError: when a row's pixels differ and that is not allowed, or an image is unusable.
        UserError: when a distortion is unknown or of another version here, or the zoo another.
    """
    zoo = zoo or open_dataset_zoo(recipe.info)
    check_recipe(recipe, zoo)

    def context(info: DatasetInfo) -> ReplayContext:
        return ReplayContext(recipe, folder, info, images, allow_different, zoo)

    kind = kind_of(recipe.info)
    location = None if zoo is None else zoo_location(zoo)
    origin = Origin(zoo=location)
    named = published(origin)["zoo"]
    info = kind.relocated(replace(recipe.info, pictures=True, zoo=named, origin=origin), images)

    def extra_files() -> None:
        kind.copy_extra_files(recipe, folder)
        copy_judgements(recipe, folder)

    shared: tuple[str | Location, ...] = (
        recipe.folder / INFO_NAME,
        *images.roots,
        *recipe_files(plugins_of(info), zoo),
    )
    return fill_shards(
        folder,
        info,
        prepare_replay,
        context,
        workers,
        progress,
        extra_files,
        shared,
        check,
        brings_judgments=True,
    )


def check_recipe(recipe: Dataset, zoo: Zoo | None = None) -> None:
    """Raise UserError when a recipe cannot be replayed with the distortions at hand."""
    kind_of(recipe.info).check_versions(recipe.info, zoo)


def prepare_replay(context: ReplayContext) -> Callable[[Run], RunReport]:
    """A function that replays some shards."""
    info, kind = context.info, kind_of(context.info)
    replayer = kind.replayer(info, context.images, context.zoo)

    def replay_shards(run: Run) -> RunReport:
        differing = 0
        made = []
        rows = (row for shard in run for row in context.recipe.read_rows(shard))
        stored = sorted(rows, key=lambda row: row.source_path)
        replayer.expect(stored)
        for group in grouped(stored, kind.has_distorters, info.patch_size):
            for row, patches in zip(group, replayer.patches(group), strict=True):
                hashes = tuple(map(pixel_hash, patches))
                if hashes != row.hashes:
                    if not context.allow_different:
                        raise _different(row, hashes)
                    differing += 1
                    row = replace(row, hashes=hashes)
                made.append((row, tuple(map(encode_png, patches))))
        write_run(context.folder, context.info, run, made)
        return RunReport(len(made), differing=differing)

    return replay_shards


def _different(row: ManifestRow, hashes: tuple[str, ...]) -> WorkError:
    patches = PATCHES[: len(hashes)]
    names = [name for name, old, new in zip(patches, row.hashes, hashes, strict=True) if old != new]
    return WorkError(
        f"row {row.row}: {', '.join(names)} came out with other pixels than the recipe's; use the "
        "library versions it was made with, or --allow-different to take them as they are"
    )
