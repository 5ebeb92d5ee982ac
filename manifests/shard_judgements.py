"""Judgments that shards hold themselves: a person's or an import's, or those of `judge`.

Those of `judge` are copies of what lies in `judgements/`, for programs that read shards alone. A
shard whose judgments are such copies says so in its metadata, with a digest over them, so that
later ones may replace them. All others belong to whoever put them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from bapps_gen.errors import WorkError
from bapps_gen.manifests.dataset import DatasetInfo, shard_path
from bapps_gen.manifests.judgements import JUDGMENT_COLUMNS, judgements_info, shard_judgements
from bapps_gen.manifests.parquet import file_batches, open_parquet
from bapps_gen.manifests.rows import ManifestRow, task_of_patches
from bapps_gen.manifests.shard_columns import conform
from bapps_gen.manifests.shards import shard_writer, write_shard
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location

COPIED = b"bapps_gen_judgements"
"""Key of a shard's metadata: digest over judgments that are copies."""

_BATCH_ROWS = 10_000

Judgment = tuple[float, int | None]
"""The fraction of people, and how many people; None where that is unknown."""


@dataclass(frozen=True, slots=True)
class HeldJudgments:
    """The judgments that a shard holds.

    Args:
        rows: by id; the others have none.
        copied: whether they are copies of those beside the shards.
    """

    rows: Mapping[str, Judgment] = field(default_factory=dict)
    copied: bool = False


def judgment_columns(info: DatasetInfo) -> tuple[str, str]:
    """The columns of a dataset's judgments: fraction and count."""
    return JUDGMENT_COLUMNS[task_of_patches(info.patches)]


def held_judgments(path: Location, info: DatasetInfo) -> HeldJudgments | None:
    """The judgments that the file of a shard holds, whatever else is wrong with it.

    Returns:
        None when they cannot be read; none at all where there is no file.
    """
    names = judgment_columns(info)
    rows: dict[str, Judgment] = {}
    ids: list[str] = []
    fractions: list[float | None] = []
    counts: list[int | None] = []
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
        if not {"id", names[0]} <= set(schema.names):
            return HeldJudgments()
        for batch in file_batches(path, _BATCH_ROWS, ["id", *names]):
            fitting = conform(batch, info.schema(), str(path))
            ids += fitting.column("id").to_pylist()
            fractions += fitting.column(names[0]).to_pylist()
            has_counts = names[1] in fitting.schema.names
            counts += fitting.column(names[1]).to_pylist() if has_counts else [None] * len(fitting)
    except FileNotFoundError:
        return HeldJudgments()
    except (OSError, pa.ArrowException, WorkError):
        return None
    for name, fraction, count in zip(ids, fractions, counts, strict=True):
        if name is not None and fraction is not None:
            rows[name] = fraction, count
    stored = (schema.metadata or {}).get(COPIED, b"").decode(errors="replace")
    return HeldJudgments(rows, bool(rows) and stored == judgments_digest(rows))


def judgments_digest(rows: Mapping[str, Judgment]) -> str:
    """32 hexadecimal digits that name judgments by id."""
    return digest_of([[name, *rows[name]] for name in sorted(rows)])


def judgments_beside(folder: Location, info: DatasetInfo, shard: int) -> dict[str, Judgment]:
    """The judgments beside a shard, by id; none where they are damaged, as reading them says."""
    try:
        table = shard_judgements(folder, info.digest, shard)
    except WorkError:
        return {}
    if table is None:
        return {}
    ids, fractions, counts = (column.to_pylist() for column in table.columns)
    entries = zip(ids, fractions, counts, strict=True)
    return {name: (part, count) for name, part, count in entries if part is not None}


def write_judged_shard(
    folder: Location,
    info: DatasetInfo,
    shard: int,
    rows: Sequence[ManifestRow],
    pngs: Sequence[Sequence[bytes]] | None,
) -> None:
    """Write a shard as `write_shard` does, with the judgments that it had or that lie beside it.

    These are known by their rows' ids, so that a dataset that has grown keeps them.
    """
    held = held_judgments(shard_path(folder, shard), info) or HeldJudgments()
    if not held.rows:
        beside = judgments_beside(folder, info, shard)
        # Rows that bring judgments, as those of an export do, have them from there.
        if beside and (rows_judgments(rows, info) or _are_copied(folder, info)):
            held = HeldJudgments(beside, copied=True)
    if not held.rows:
        write_shard(folder, info, shard, rows, pngs)
        return
    names = judgment_columns(info)
    kept = [
        replace(row, **dict[str, Any](zip(names, held.rows[row.id], strict=True)))
        if row.id in held.rows
        else row
        for row in rows
    ]
    judged = rows_judgments(kept, info)
    copied = held.copied and set(judged) <= set(held.rows)
    schema = marked_schema(info, judged) if copied else info.schema()
    write_shard(folder, info, shard, kept, pngs, schema)


def rows_judgments(rows: Sequence[ManifestRow], info: DatasetInfo) -> dict[str, Judgment]:
    """The judgments of rows by id, as a shard holds them."""
    fraction, count = judgment_columns(info)
    judged = (row for row in rows if getattr(row, fraction) is not None)
    return as_stored({row.id: (getattr(row, fraction), getattr(row, count)) for row in judged})


def as_stored(judgments: Mapping[str, Judgment]) -> dict[str, Judgment]:
    """Judgments with fractions rounded as the column has them, float32."""
    return {name: (float(np.float32(part)), count) for name, (part, count) in judgments.items()}


def marked_schema(info: DatasetInfo, judgments: Mapping[str, Judgment]) -> pa.Schema:
    """The schema of a shard whose judgments, by id, are copies of those beside the shards."""
    schema = info.schema()
    if not judgments:
        return schema
    return schema.with_metadata({**schema.metadata, COPIED: judgments_digest(judgments)})


def _are_copied(folder: Location, info: DatasetInfo) -> bool:
    try:
        described = judgements_info(folder, info.digest)
    except WorkError:
        return False
    return described is not None and described.in_shards


def copy_judgments(
    folder: Location, info: DatasetInfo, shard: int, judgments: Mapping[str, Judgment]
) -> bool:
    """Put judgments into a shard's columns, whole or not at all; all else stays as it is.

    A shard with judgments of its own, which are no copies, is left alone.

    Args:
        judgments: by id; the other rows have none.

    Returns:
        Whether the shard now holds them.

    Raises:
        WorkError: when it is damaged or cannot be written.
    """
    path, judgments = shard_path(folder, shard), as_stored(judgments)
    held = held_judgments(path, info)
    if held is None:
        raise WorkError(f"{path} is damaged; restore it from a copy, then run the command again")
    if held.rows == judgments and (held.copied or not judgments):
        return True
    if held.rows and not held.copied:
        return False
    schema, names = info.schema(), judgment_columns(info)
    with shard_writer(folder, info, shard, marked_schema(info, judgments)) as write:
        for batch in file_batches(path, info.row_group_rows):
            fitting = conform(batch, schema, str(path))
            ids = fitting.column("id").to_pylist()
            own = [judgments.get(name, (None, None)) for name in ids]
            for name, values in zip(names, zip(*own, strict=True), strict=True):
                index = fitting.schema.get_field_index(name)
                column = pa.array(values, schema.field(name).type)
                fitting = fitting.set_column(index, schema.field(name), column)
            write(pa.Table.from_batches([fitting.select(schema.names)]))
    return True
