"""Collections in other forms: every set exported, made again from recipes, or drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import Progress, part_of
from bapps_gen.imaging.sheet import SheetRow
from bapps_gen.manifests.collection import (
    COLLECTION,
    Collection,
    is_collection,
    open_collection,
    write_collection,
)
from bapps_gen.pipelines.collections.card import write_collection_card
from bapps_gen.pipelines.datasets.export import (
    check_upscale,
    export_bapps,
    export_recipe,
    export_webdataset,
    layout_split,
)
from bapps_gen.pipelines.datasets.kinds import Opener, kind_of
from bapps_gen.pipelines.datasets.replay import check_recipe, replay
from bapps_gen.pipelines.datasets.sheet import pick_rows, read_sheet_rows
from bapps_gen.pipelines.datasets.zoo import open_dataset_zoo
from bapps_gen.storage.workspace import claim


def export_collection(
    collection: Collection,
    out: Path,
    form: str,
    upscale: int | None,
    progress: Progress | None = None,
) -> Path:
    """Export every set of which something was made to TASK/SPLIT/NAME in a folder.

    Recipes keep `collection.json`, so that they are a collection again.

    Args:
        form: "bapps", "webdataset" or "recipe".
        upscale: see `export_bapps`.
        progress: called with rows done and rows in all, over all sets.

    Returns:
        The folder.

    Raises:
        UserError, WorkError: as the exports of datasets; nothing is written when a set is
            incomplete, its place is in use or the original layout has no place for it.
    """
    sets = collection.whole_datasets()
    for record, dataset in sets:
        target = out / record.path
        if target.exists():
            raise UserError(f"{target} exists already; choose another folder or remove it first")
        if form == "bapps":
            layout_split(dataset.info, record.path.split("/")[1])
            check_upscale(upscale or dataset.info.patch_size, dataset.info.patch_size)
    total, done = sum(dataset.info.rows for _, dataset in sets), 0
    for record, dataset in sets:
        report = part_of(progress, done, total)
        if form == "bapps":
            _, split, name = record.path.split("/")
            export_bapps(dataset, out, split=split, name=name, upscale=upscale, progress=report)
        elif form == "webdataset":
            export_webdataset(dataset, out / record.path, report)
        else:
            export_recipe(dataset, out / record.path, report)
        done += dataset.info.rows
    if form == "recipe":
        write_collection(out, collection.info)
    return out


def replay_collection(
    recipes: Collection,
    out: Path,
    photos: Sequence[str],
    opener: Opener,
    workers: Workers,
    *,
    zoo: Path | None = None,
    allow_different: bool = False,
    progress: Progress | None = None,
    check: str | None = None,
) -> Collection:
    """Make every set of a collection of recipes again in a folder; resumed like any other.

    Args:
        recipes: exported as recipes, or any collection.
        out: folder of the new collection.
        photos: where they are now; where the recipes say they were if empty. Ground truth and
            outputs of real algorithms are taken from there in any case.
        opener: opens them.
        workers: worker processes, or a Ray cluster.
        zoo: folder of the CNN distorters; None for where the recipes say it was.
        allow_different: see `replay`.
        progress: called with rows done and rows in all, over all sets.
        check: see `fill_shards`.

    Raises:
        UserError, WorkError: as `replay`; nothing is written when a distortion is missing or of
            another version. Also when the folder holds another collection.
    """
    sets = recipes.whole_datasets()
    zoos = []
    for _, recipe in sets:
        given = zoo if kind_of(recipe.info).has_distorters else None
        zoos.append(open_dataset_zoo(recipe.info, given))
        check_recipe(recipe, zoos[-1])
    if is_collection(out):
        held = open_collection(out).info.digest
        COLLECTION.require_same(out, {"digest": held}, {"digest": recipes.info.digest})
    made = Collection(out, recipes.info)
    total, done = sum(recipe.info.rows for _, recipe in sets), 0
    with claim(out, COLLECTION):
        write_collection(out, made.refreshed().info)
        for (record, recipe), distorters in zip(sets, zoos, strict=True):
            kind = kind_of(recipe.info)
            roots = () if kind.has_outputs else photos
            replay(
                recipe,
                out / record.path,
                kind.relocate_images(recipe, roots, {}, opener),
                workers,
                allow_different=allow_different,
                progress=part_of(progress, done, total),
                zoo=distorters,
                check=check,
            )
            done += recipe.info.rows
        made = made.refreshed()
        write_collection(out, made.info)
        write_collection_card(out, made.info)
    return made


def read_collection_rows(collection: Collection, count: int) -> list[SheetRow]:
    """Rows of a collection, ready to be drawn: as many of each set as there is room for.

    Args:
        count: rows in all; with fewer than there are sets, some sets have none.

    Raises:
        UserError: when nothing was made yet, or there are no pictures.
        WorkError: when a set is incomplete.
    """
    sets = collection.whole_datasets()
    numbers = Counter(place % len(sets) for place in pick_rows(max(count, len(sets)), count))
    rows = []
    for index, (record, dataset) in enumerate(sets):
        if numbers[index]:
            chosen = pick_rows(dataset.info.rows, numbers[index])
            for row in read_sheet_rows(dataset, chosen):
                first, *others = row.captions
                rows.append(replace(row, captions=((record.path, *first), *others)))
    return rows
