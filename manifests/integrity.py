"""Damage within shards that still read as Parquet files: found by checksums, or by decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from bapps_gen.errors import BappsGenError, WorkError, first_line, unknown_name
from bapps_gen.imaging.encode import MAX_PATCH_SIDE, decode_png, is_whole_png, pixel_hash
from bapps_gen.manifests.parquet import FileInfo, file_batches, open_parquet, read_metadata
from bapps_gen.manifests.row_checks import row_problem
from bapps_gen.manifests.shard_columns import conform
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

CHECKS = ("footers", "pages", "full")
"""How closely kept files are looked at: the footers of shards alone; also the checksums of all
their pages; also every picture, decoded and compared with its hash."""

_BATCH_ROWS = 25


def resolve_check(folder: Location, check: str | None) -> str:
    """One of CHECKS as asked for, or by default.

    By default it is checksums of local files, and footers at a URL, where stores check what they
    hold themselves and everything would have to be fetched.

    Raises:
        UserError: for another name.
    """
    if check is None:
        return "footers" if isinstance(folder, Url) else "pages"
    if check not in CHECKS:
        raise unknown_name("check", check, CHECKS, f"use {', '.join(CHECKS)}")
    return check


def shard_damage(
    path: Location, schema: pa.Schema, first: int, patches: Sequence[str], *, full: bool
) -> str | None:
    """What is damaged in a shard whose footer is sound, or None.

    Args:
        path: of the shard.
        schema: of the dataset's shards.
        first: number of its first row.
        patches: names of its pictures; empty in a recipe.
        full: whether pictures are decoded and compared with their hashes, as those in files of
            other programs always are, which may have no checksums.
    """
    try:
        with open_parquet(path) as file:
            full = full or read_metadata(file.schema_arrow, b"bapps_gen", FileInfo) is None
        for held in file_batches(path, _BATCH_ROWS):
            batch = conform(held, schema, str(path))
            if full:
                problem = row_problem(batch, first) or next(_odd_pictures(batch, patches), None)
                if problem is not None:
                    return problem
            first += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        return first_line(error)
    except WorkError as error:
        return str(error).removeprefix(f"{path} is damaged: ").partition(";")[0]
    return None


def damaged_row(
    path: Location, schema: pa.Schema, first: int, patches: Sequence[str]
) -> str | None:
    """The first row of a damaged shard whose pictures are not those of their hashes.

    Args:
        path, schema, first, patches: see `shard_damage`.

    Returns:
        Such as "row 17: the stored p0 is not the picture of its hash"; None where the damage lies
        elsewhere, or nothing can be read.
    """
    columns = [name for patch in patches for name in (patch, f"{patch}_hash")]
    try:
        for held in file_batches(path, _BATCH_ROWS, ["row", *columns], verified=False):
            batch = conform(held, schema, str(path))
            problem = row_problem(batch, first) or next(_odd_pictures(batch, patches), None)
            if problem is not None:
                return problem
            first += batch.num_rows
    except (OSError, ValueError, pa.ArrowException, BappsGenError):
        pass
    return None


def _odd_pictures(batch: pa.RecordBatch, patches: Sequence[str]) -> Iterator[str]:
    numbers = batch.column("row").to_pylist()
    for name in patches:
        pictures = batch.column(name).field("bytes").to_pylist()
        hashes = batch.column(f"{name}_hash").to_pylist()
        for row, png, digest in zip(numbers, pictures, hashes, strict=True):
            problem = picture_problem(png, digest)
            if problem is not None:
                yield f"row {row}: the stored {name} {problem}"


def picture_problem(png: bytes, digest: str, max_side: int = MAX_PATCH_SIDE) -> str | None:
    """Why a PNG file is not the picture of a hash, such as "is not …"; None where it is."""
    problem = f"of {len(png)} bytes is not a whole PNG image"
    if not is_whole_png(png):  # first, since libpng prints what is wrong with it
        return problem
    try:
        held = pixel_hash(decode_png(png, max_side))
    except WorkError:
        return problem
    return None if held == digest else "is not the picture of its hash"
