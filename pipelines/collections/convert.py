"""Collections in other forms: every set exported, made again from recipes, or drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.collections.card import write_collection_card
from bapps_gen.pipelines.datasets.export import (
    check_upscale,
    export_bapps,
    export_recipe,
    export_webdataset,
    layout_split,
)
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.pipelines.datasets.replay import check_recipe, replay
from bapps_gen.pipelines.datasets.sheet import pick_rows, read_sheet_rows
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.workspace import (
    LOCK_NAME,
    claim,
    folder_lock,
    make_folder,
    remove_leftovers,
)


def export_collection(
    collection: Collection,
    out: Path,
    form: str,
    upscale: int | None,
    progress: Progress | None = None,
) -> Path:
    """Export every set of which something was made to TASK/SPLIT/NAME in a folder.

    Recipes keep `collection.json`, so that they are a collection again. An export that was
    interrupted is taken up again: until all is there, a hidden file says what is being written.

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
    wanted = {
        "form": form,
        "upscale": upscale,
        "sets": {record.path: [dataset.info.digest, dataset.info.rows] for record, dataset in sets},
    }
    resumed = _is_unfinished(out, wanted)
    for record, dataset in sets:
        target = out / record.path
        if target.exists() and not resumed:
            raise UserError(f"{target} exists already; choose another folder or remove it first")
        if form == "bapps":
            layout_split(dataset.info, record.path.split("/")[1])
            check_upscale(upscale or dataset.info.patch_size, dataset.info.patch_size)
    total, done = sum(dataset.info.rows for _, dataset in sets), 0
    make_folder(out)
    with folder_lock(out):
        write_json(out / _UNFINISHED, wanted)
        for record, dataset in sets:
            report = part_of(progress, done, total)
            if not (out / record.path).exists():  # each appears as a whole
                _export_set(dataset, out, record.path, form, upscale, report)
            done += dataset.info.rows
        if form == "recipe":
            write_collection(out, collection.info)
        remove_leftovers(out)
        (out / LOCK_NAME).unlink(missing_ok=True)
        (out / _UNFINISHED).unlink()
    return out


_UNFINISHED = ".export.json"


def _is_unfinished(out: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a folder holds a part of this export.

    Raises:
        UserError: when it holds a part of another one.
    """
    try:
        held = read_json(out / _UNFINISHED)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if held != wanted:
        raise UserError(
            f"{out} holds a part of another export that was interrupted; remove it or choose "
            "another --out"
        )
    return True


def _export_set(
    dataset: Dataset,
    out: Path,
    path: str,
    form: str,
    upscale: int | None,
    progress: Progress | None,
) -> None:
    if form == "bapps":
        _, split, name = path.split("/")
        export_bapps(dataset, out, split=split, name=name, upscale=upscale, progress=progress)
    elif form == "webdataset":
        export_webdataset(dataset, out / path, progress)
    else:
        export_recipe(dataset, out / path, progress)


def replay_collection(
    recipes: Collection,
    out: Path,
    where: Whereabouts,
    workers: Workers,
    *,
    allow_different: bool = False,
    progress: Progress | None = None,
    check: str | None = None,
) -> Collection:
    """Make every set of a collection of recipes again in a folder; resumed like any other.

    Args:
        recipes: exported as recipes, or any collection.
        out: folder of the new collection.
        where: photos, zoo and plugins are now; sets take of them what they need. Ground truth and
            outputs of real algorithms are taken from where the recipes say they were.
        workers: worker processes, or a Ray cluster.
        allow_different: see `replay`.
        progress: called with rows done and rows in all, over all sets.
        check: see `fill_shards`.

    Raises:
        UserError, WorkError: as `replay`; nothing is written when a distortion is missing or of
            another version. Also when the folder holds another collection.
    """
    if where.outputs:
        raise UserError("outputs are for one set of a collection; name its folder")
    where = replace(where, of_collection=True)
    sets = [(record, where.with_plugins(recipe)) for record, recipe in recipes.whole_datasets()]
    zoos = [where.open_zoo(recipe) for _, recipe in sets]
    for (_, recipe), zoo in zip(sets, zoos, strict=True):
        check_recipe(recipe, zoo)
    if is_collection(out):
        held = open_collection(out).info.digest
        COLLECTION.require_same(out, {"digest": held}, {"digest": recipes.info.digest})
    made = Collection(out, recipes.info)
    total, done = sum(recipe.info.rows for _, recipe in sets), 0
    with claim(out, COLLECTION):
        write_collection(out, made.refreshed().info)
        for (record, recipe), zoo in zip(sets, zoos, strict=True):
            replay(
                recipe,
                out / record.path,
                kind_of(recipe.info).relocate_images(recipe, where),
                workers,
                allow_different=allow_different,
                progress=part_of(progress, done, total),
                zoo=zoo,
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
