"""Exports: the original folder layout, WebDataset tar shards, and recipes without pixels."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from bapps_gen.errors import UserError, out_of_range
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.encode import decode_png, encode_png
from bapps_gen.manifests.dataset import Dataset, DatasetInfo, write_info
from bapps_gen.manifests.judgements import write_exported_info
from bapps_gen.manifests.listing import list_rows, listed_columns
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.manifests.shard_judgements import write_judged_shard
from bapps_gen.pipelines.datasets.card import write_dataset_card
from bapps_gen.pipelines.datasets.judged import copy_judgements
from bapps_gen.pipelines.datasets.kinds import kind_of
from bapps_gen.storage.workspace import whole_folder

MAX_UPSCALE = 4096

# For triplets and for pairs: the layout's folder, the splits that it has, the first by default,
# the name of each patch's folder, and the column of judgments, which is their folder's name.
_LAYOUTS = {
    PATCHES: ("2afc", ("train", "val"), PATCHES, "judge"),
    PAIR_PATCHES: ("jnd", ("val",), ("p0", "p1"), "same"),
}


def export_bapps(
    dataset: Dataset,
    out: Path,
    *,
    split: str | None = None,
    name: str | None = None,
    upscale: int | None = None,
    judged_only: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write `2afc/<split>/<name>/{ref,p0,p1}/NNNNNN.png` and `judge/NNNNNN.npy`, or of pairs,
    `jnd/val/<name>/{p0,p1}/NNNNNN.png` and `same/NNNNNN.npy`.

    The layout of the released BAPPS. A judge file holds one float32, the fraction preferring p1; a
    same file, the fraction that call the two the same. Without judgments there is no such folder.
    In jnd, p0 is the reference and p1 the distorted patch. `manifest.csv` says what was done to
    each of them, and `judgements.json` who judged them.

    Args:
        split: "train" or "val"; of pairs, which the layout has for validation alone, "val". By
            default the dataset's own, and where it has none, "train" for triplets.
        name: the set's name; the dataset's kind by default, less "jnd-".
        upscale: height and width written in px, a multiple of the patches' own, to which they are
            enlarged by nearest neighbor, 256 being the released form; None for their own.
        judged_only: leave out rows that nobody judged; files keep the numbers of their rows.

    Returns:
        The set's folder.

    Raises:
        UserError: for a recipe, when it exists already, only some rows have judgments, or the
            layout has no such split.
        WorkError: when it cannot be written, or the dataset is incomplete.
    """
    size = dataset.info.patch_size
    upscale = size if upscale is None else upscale
    check_upscale(upscale, size)
    if name is not None and (not name or name[0] == "." or set(name) & set("/\\")):
        raise UserError(f"name = '{name}' is not a folder's name; use letters, digits, _")
    dataset.require_pictures()
    dataset.require_whole()
    patches = tuple(dataset.info.patches)
    task, _, parts, judgment = _LAYOUTS[patches]
    split = layout_split(dataset.info, split)
    judged = judged_only or _judged(dataset, judgment)
    if judged_only:
        _require_judged(dataset, judgment)
    target = out / task / split / (name or dataset.info.kind.removeprefix("jnd-"))
    digits = max(6, len(str(dataset.info.rows - 1)))
    with whole_folder(target) as folder, list_rows(folder, patches) as list_row:
        write_exported_info(folder, dataset.folder, dataset.info.digest)
        for part in (*parts, *((judgment,) if judged else ())):
            (folder / part).mkdir()
        columns = [*listed_columns(patches), *patches]
        for batch in dataset.batches(columns):
            for stored in batch.to_pylist():
                if judged_only and stored[judgment] is None:
                    continue
                stem = f"{stored['row']:0{digits}d}"
                for patch, part in zip(patches, parts, strict=True):
                    picture: bytes = stored[patch]["bytes"]
                    if upscale != size:
                        picture = _enlarged(picture, upscale)
                    (folder / part / f"{stem}.png").write_bytes(picture)
                if judged:
                    np.save(
                        folder / judgment / f"{stem}.npy",
                        np.array([stored[judgment]], np.float32),
                    )
                list_row(stored, f"{stem}.png")
            if progress:
                progress(stored["row"] + 1, dataset.info.rows)
    return target


def layout_split(info: DatasetInfo, split: str | None = None) -> str:
    """The split that a dataset has in the original layout: `split` if given, or its own.

    Raises:
        UserError: when the layout has no such split.
    """
    _, splits, _, _ = _LAYOUTS[tuple(info.patches)]
    split = split or info.split or splits[0]
    if split not in splits:
        raise UserError(
            f"split = {split}, but the original layout has {info.unit} in "
            f"{' and '.join(splits)} alone; export as {' or '.join(splits)}"
        )
    return split


def _judged(dataset: Dataset, judgment: str) -> bool:
    rows = missing = 0
    for batch in dataset.batches([judgment], size=10_000):
        rows += batch.num_rows
        missing += batch.column(judgment).null_count
    if 0 < missing < rows:
        raise UserError(
            f"{missing} of {rows} rows of {dataset.folder} have no {judgment}, and the original "
            "layout needs all or none; judge the rest first, or leave them out with --judged-only"
        )
    return missing == 0


def _require_judged(dataset: Dataset, judgment: str) -> None:
    for batch in dataset.batches([judgment], size=10_000):
        if batch.column(judgment).null_count < batch.num_rows:
            return
    raise UserError(f"no row of {dataset.folder} has a {judgment}; leave out --judged-only")


def check_upscale(upscale: int, size: int) -> None:
    """Raise UserError unless patches of a size can be enlarged to `upscale` px without loss."""
    if upscale % size or not size <= upscale <= MAX_UPSCALE:
        known = " or 256 (the released form)" if size < 256 and 256 % size == 0 else ""
        raise out_of_range(
            "upscale",
            upscale,
            f"a multiple of {size} up to {MAX_UPSCALE}",
            f"use {size} (as stored){known}",
        )


def _enlarged(png: bytes, size: int) -> bytes:
    patch = decode_png(png)
    large = cv2.resize(patch, (size, size), interpolation=cv2.INTER_NEAREST)
    return encode_png(large.astype(np.uint8, copy=False))


def export_webdataset(
    dataset: Dataset, out: Path, progress: Progress | None = None, *, judged_only: bool = False
) -> Path:
    """Write one tar file a shard, `<kind>-000000.tar`, for the webdataset library.

    Each row has `NNNNNNNN.ref.png`, `.p0.png`, `.p1.png` (in triplets) and `.json` with all other
    columns. `manifest.csv` lists the rows of all files, and `judgements.json` says who judged. With
    `judged_only`, rows that nobody judged are left out.

    Raises:
        UserError: for a recipe, or when `out` exists already; or no row is judged.
        WorkError: when it cannot be written, or the dataset is incomplete.
    """
    dataset.require_pictures()
    dataset.require_whole()
    patches = dataset.info.patches
    judgment = _LAYOUTS[tuple(patches)][3]
    if judged_only:
        _require_judged(dataset, judgment)
    with whole_folder(out) as folder, list_rows(folder, patches) as list_row:
        write_exported_info(folder, dataset.folder, dataset.info.digest)
        for shard in range(dataset.info.shards):
            path = folder / f"{dataset.info.kind}-{shard:06d}.tar"
            with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
                for batch in dataset.shard_batches(shard):
                    for stored in batch.to_pylist():
                        if judged_only and stored[judgment] is None:
                            continue
                        list_row(stored, path.name)
                        _add_sample(tar, stored, patches)
            if progress:
                progress(dataset.info.shard_range(shard)[1], dataset.info.rows)
    return out


def _add_sample(tar: tarfile.TarFile, stored: dict[str, object], parts: Sequence[str]) -> None:
    key = f"{stored['row']:08d}"
    for part in parts:
        picture = stored.pop(part)
        assert isinstance(picture, dict)
        _add_member(tar, f"{key}.{part}.png", picture["bytes"])
    _add_member(tar, f"{key}.json", json.dumps(stored, ensure_ascii=False).encode())


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # its zero time and owner make equal sets equal files
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def export_recipe(dataset: Dataset, out: Path, progress: Progress | None = None) -> Path:
    """Write the manifest without its pictures; `replay` makes them again from the sources.

    Raises:
        UserError: when `out` exists already.
        WorkError: when it cannot be written, or the dataset is incomplete.
    """
    dataset.require_whole()
    info = replace(dataset.info, pictures=False, origin=None)
    with whole_folder(out) as folder:
        (folder / "data").mkdir()
        copy_judgements(dataset, folder)
        for shard in range(info.shards):
            write_judged_shard(folder, info, shard, dataset.read_rows(shard), None)
            if progress:
                progress(info.shard_range(shard)[1], info.rows)
        write_info(folder, info)
        kind_of(info).copy_extra_files(dataset, folder)
        write_dataset_card(folder, info, complete=True)
    return out
