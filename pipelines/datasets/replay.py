"""Replaying a recipe: the pixels of every row made again from its stored steps and the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import ImageError, UserError, WorkError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import encode_png
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, DatasetInfo, write_shard
from bapps_gen.manifests.outputs import copy_outputs
from bapps_gen.manifests.rows import PATCHES, ManifestRow
from bapps_gen.pipelines.datasets.generate import GenerateReport, ShardReport, fill_shards
from bapps_gen.pipelines.datasets.kinds import RowSource
from bapps_gen.pipelines.datasets.zoo import (
    dataset_registry,
    open_dataset_zoo,
    pinned_distorters,
    recipe_files,
    worker_registry,
    zoo_location,
)
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.renderer import replay_patches
from bapps_gen.pipelines.real.spec import STEP_VERSION, is_real
from bapps_gen.pipelines.rows.plan import check_version
from bapps_gen.pipelines.rows.render import Image, apply_many, cut_reference, pixel_hash
from bapps_gen.pipelines.rows.renderer import grouped
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.relocate import Images
from bapps_gen.seeding import Streams
from bapps_gen.storage.locations import Location


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What every worker needs. `zoo` is of a recipe with CNN distorters."""

    recipe: Dataset
    folder: Location
    info: DatasetInfo
    source: RowSource
    allow_different: bool
    zoo: Zoo | None = None


def replay(
    recipe: Dataset,
    folder: Location,
    source: RowSource,
    workers: Workers,
    *,
    allow_different: bool = False,
    progress: Progress | None = None,
    zoo: Zoo | None = None,
) -> GenerateReport:
    """Make the dataset of a recipe in `folder`; resumed like any other.

    Works from the stored steps, not from the spec, so that any selection of rows replays.

    Args:
        allow_different: take pixels that differ from the recipe's hashes, as they may under
            other library versions or processors, and store their own hashes.
        zoo: of `open_dataset_zoo`; None opens it where the recipe says it was, if it needs one.

    Raises:
        WorkError: when a row's pixels differ and that is not allowed, or an image is unusable.
        UserError: when a distortion is unknown or of another version here, or the zoo another.
    """
    zoo = zoo or open_dataset_zoo(recipe.info)
    check_recipe(recipe, zoo)

    def context(info: DatasetInfo) -> ReplayContext:
        return ReplayContext(recipe, folder, info, source, allow_different, zoo)

    info = _as_found(recipe.info, source, zoo)
    beside = partial(copy_outputs, recipe, folder)
    shared: tuple[str | Location, ...] = (
        recipe.folder / INFO_NAME,
        *source.roots,
        *recipe_files(info.plugins, zoo),
    )
    return fill_shards(folder, info, prepare_replay, context, workers, progress, beside, shared)


def _as_found(info: DatasetInfo, source: RowSource, zoo: Zoo | None) -> DatasetInfo:
    """A recipe's description as a dataset's, with where photos, outputs and zoo are now.

    `verify` then finds them without being told.
    """
    info = replace(info, pictures=True, zoo=None if zoo is None else zoo_location(zoo))
    if isinstance(source, AlignedImages):
        parts = zip(source.algorithms, source.outputs, strict=True)
        outputs = {name: part.roots[0] for name, part in parts}
        return replace(info, source_roots=source.reference.roots, outputs=outputs)
    return replace(info, source_roots=source.roots)


def check_recipe(recipe: Dataset, zoo: Zoo | None = None) -> None:
    """Raise UserError when a recipe cannot be replayed with the distortions at hand."""
    if recipe.info.imported:
        raise UserError(
            f"{recipe.folder} was imported, so nothing says how to make it again; import it anew"
        )
    if is_real(recipe.info):
        for name, version in recipe.info.distortions.items():
            if version != STEP_VERSION:
                raise UserError(
                    f"{name} is version {STEP_VERSION} here, but the dataset was made with version "
                    f"{version}; use the bapps-gen that made it"
                )
        return
    registry = dataset_registry(recipe.info, zoo)
    for name, version in recipe.info.distortions.items():
        check_version(registry.atom(name), version)


def _nothing_ahead(rows: Sequence[ManifestRow]) -> None:
    """Outputs of algorithms are read as they come."""


PatchesOf = Callable[[Sequence[ManifestRow]], Iterator[tuple[Image, ...]]]
"""Makes the patches of stored rows again."""


def prepare_replay(context: ReplayContext) -> Callable[[int], ShardReport]:
    """A function that replays one shard."""
    source, info = context.source, context.info
    cnn = bool(pinned_distorters(info))
    expect: Callable[[Sequence[ManifestRow]], None]
    patches_of: PatchesOf
    if isinstance(source, AlignedImages):
        expect, patches_of = _nothing_ahead, replay_patches(source, info.kind)
    else:
        expect, patches_of = _distorted_patches(worker_registry(info, context.zoo), source)

    def replay_shard(shard: int) -> ShardReport:
        differing = 0
        made = []
        stored = sorted(context.recipe.read_rows(shard), key=lambda row: row.source_path)
        expect(stored)
        for group in grouped(stored, cnn):
            for row, patches in zip(group, patches_of(group), strict=True):
                hashes = tuple(map(pixel_hash, patches))
                if hashes != row.hashes:
                    if not context.allow_different:
                        raise _different(row, hashes)
                    differing += 1
                    row = replace(row, hashes=hashes)
                made.append((row, tuple(map(encode_png, patches))))
        made.sort(key=lambda item: item[0].row)
        rows, pngs = zip(*made, strict=True)
        write_shard(context.folder, context.info, shard, rows, pngs)
        return ShardReport(shard, len(rows), differing=differing)

    return replay_shard


def _distorted_patches(
    registry: Registry, source: Images
) -> tuple[Callable[[Sequence[ManifestRow]], None], PatchesOf]:
    """What is told of the rows to come, so that their images are fetched; and their patches."""
    images, streams = ImageCache(source), Streams()
    places = {entry.sha256: index for index, entry in enumerate(source.entries)}

    def reference_of(row: ManifestRow) -> Image:
        for steps in row.steps:
            for step in steps:
                registry.atom(step.distortion)
        if row.source_sha256 not in places:
            raise WorkError(
                f"row {row.row}: its image {row.source_path} is not in the source; "
                "give --source with the images that the recipe was made from"
            )
        try:
            image = images.get(places[row.source_sha256])
        except ImageError as error:
            raise WorkError(f"row {row.row}: {row.source_path}: {error}") from None
        return cut_reference(image, row.crop)

    def expect(rows: Sequence[ManifestRow]) -> None:
        images.expect(places[row.source_sha256] for row in rows if row.source_sha256 in places)

    def patches_of(rows: Sequence[ManifestRow]) -> Iterator[tuple[Image, ...]]:
        references = [reference_of(row) for row in rows]
        counts = [len(row.steps) for row in rows]
        repeated = [
            reference
            for reference, count in zip(references, counts, strict=True)
            for _ in range(count)
        ]
        steps = [steps for row in rows for steps in row.steps]
        sides = iter(apply_many(repeated, steps, registry.atoms, streams))
        for reference, count in zip(references, counts, strict=True):
            yield reference, *islice(sides, count)

    return expect, patches_of


def _different(row: ManifestRow, hashes: tuple[str, ...]) -> WorkError:
    patches = PATCHES[: len(hashes)]
    names = [name for name, old, new in zip(patches, row.hashes, hashes, strict=True) if old != new]
    return WorkError(
        f"row {row.row}: {', '.join(names)} came out with other pixels than the recipe's; use the "
        "library versions it was made with, or --allow-different to take them as they are"
    )
