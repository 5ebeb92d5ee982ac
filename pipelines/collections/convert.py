"""Collections in other forms: every set exported, and made again from recipes."""

from __future__ import annotations

from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.execution.progress import Progress, part_of
from bapps_gen.manifests.collection import Collection, write_collection
from bapps_gen.pipelines.datasets.export import (
    export_bapps,
    export_recipe,
    export_webdataset,
    layout_split,
)


def export_collection(
    collection: Collection,
    out: Path,
    form: str,
    upscale: int,
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
