"""Replaying a recipe: the pixels of every row made again from its stored steps and the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bapps_gen.distortions.catalogue import load_catalogue
from bapps_gen.errors import ImageError, UserError, WorkError
from bapps_gen.manifests.dataset import Dataset, DatasetInfo, write_shard
from bapps_gen.manifests.png import encode_png
from bapps_gen.manifests.rows import PATCHES, ManifestRow
from bapps_gen.pipelines.generate import GenerateReport, Progress, ShardReport, fill_shards
from bapps_gen.pipelines.plan import check_version
from bapps_gen.pipelines.recorded import Images
from bapps_gen.pipelines.render import cut_reference, pixel_hash
from bapps_gen.pipelines.sources import ImageCache
from bapps_gen.pipelines.triplets import Patches, render_sides
from bapps_gen.seeding import Streams


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """What every worker needs."""

    recipe: Dataset
    folder: Path
    info: DatasetInfo
    source: Images
    allow_different: bool


def replay(
    recipe: Dataset,
    folder: Path,
    source: Images,
    workers: int,
    *,
    allow_different: bool = False,
    progress: Progress | None = None,
) -> GenerateReport:
    """Make the dataset of a recipe in `folder`; resumed like any other.

    Works from the stored steps, not from the spec, so that any selection of rows replays.

    Args:
        allow_different: take pixels that differ from the recipe's hashes, as they may under
            other library versions or processors, and store their own hashes.

    Raises:
        WorkError: when a row's pixels differ and that is not allowed, or an image is unusable.
        UserError: when a distortion is unknown or of another version here.
    """
    check_recipe(recipe)

    def context(info: DatasetInfo) -> ReplayContext:
        return ReplayContext(recipe, folder, info, source, allow_different)

    info = replace(recipe.info, pictures=True)
    return fill_shards(folder, info, prepare_replay, context, workers, progress)


def check_recipe(recipe: Dataset) -> None:
    """Raise UserError when a recipe cannot be replayed with the distortions at hand."""
    if recipe.info.imported:
        raise UserError(
            f"{recipe.folder} was imported, so nothing says how to make it again; import it anew"
        )
    catalogue = load_catalogue(recipe.info.plugins)
    for name, version in recipe.info.distortions.items():
        check_version(catalogue.atom(name), version)


def prepare_replay(context: ReplayContext) -> Callable[[int], ShardReport]:
    """A function that replays one shard."""
    atoms = load_catalogue(context.info.plugins).atoms
    images, streams = ImageCache(context.source), Streams()
    places = {entry.sha256: index for index, entry in enumerate(context.source.entries)}

    def patches_of(row: ManifestRow) -> Patches:
        if row.source_sha256 not in places:
            raise WorkError(
                f"row {row.row}: its image {row.source_path} is not in the source; "
                "give --source with the images that the recipe was made from"
            )
        try:
            image = images.get(places[row.source_sha256])
        except ImageError as error:
            raise WorkError(f"row {row.row}: {row.source_path}: {error}") from None
        reference = cut_reference(image, row.crop)
        return reference, *render_sides(reference, row.steps, atoms, streams)

    def replay_shard(shard: int) -> ShardReport:
        differing = 0
        made = []
        stored = sorted(context.recipe.read_rows(shard), key=lambda row: row.source_path)
        for row in stored:
            patches = patches_of(row)
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


def _different(row: ManifestRow, hashes: tuple[str, ...]) -> WorkError:
    names = [name for name, old, new in zip(PATCHES, row.hashes, hashes, strict=True) if old != new]
    return WorkError(
        f"row {row.row}: {', '.join(names)} came out with other pixels than the recipe's; use the "
        "library versions it was made with, or --allow-different to take them as they are"
    )
