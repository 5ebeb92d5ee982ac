"""Judgments beside a dataset: `judgements/part-00000.parquet`, one file a shard, keyed by id.

They are made from votes (`judgements.json` says which, and which were left out) and joined to a
dataset's rows by every reader. Shards are never changed by them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bapps_gen.errors import WorkError, first_line
from bapps_gen.manifests.parquet import FileInfo, open_parquet, read_metadata
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import Location
from bapps_gen.storage.records import Count, Digest, OneOf, Sha256, read_record
from bapps_gen.storage.workspace import Layout

JUDGEMENTS_FORMAT = 1
JUDGEMENTS_FOLDER = "judgements"
JUDGEMENTS_NAME = "judgements.json"
VOTES_FOLDER = "votes"
# A run that was killed leaves parts and copies of votes without the description, written last.
JUDGEMENTS = Layout(
    "set of judgments", JUDGEMENTS_NAME, folders=(VOTES_FOLDER,), ignored=("part-", VOTES_FOLDER)
)
_METADATA = b"bapps_gen_judgements"

JUDGMENT_COLUMNS: Mapping[str, tuple[str, str]] = {
    "2afc": ("judge", "judge_count"),
    "jnd": ("same", "same_count"),
}
"""Columns by task: fraction of people who prefer p1, or who call the two the same; how many."""


@dataclass(frozen=True, slots=True)
class JudgementsInfo:
    """What `judgements.json` holds.

    Args:
        task: "2afc" or "jnd".
        spec_digest: digest of the dataset.
        digest: of the votes and the filter: names this set of judgments.
        filter: which votes were left out, as plain values; empty for answers that were given as
            fractions.
        votes: that count.
        left_out: numbers of votes by the reason for which they do not count.
        people: who gave the votes that count; 0 where unknown.
        rows: with at least one vote.
        simulated: whether any vote came from a simulated observer.
        files: (name, SHA-256) of the files of votes; copies lie in `judgements/votes/`.
        in_shards: whether the shards' columns have copies of the judgments.
        format_version: JUDGEMENTS_FORMAT.
    """

    task: Annotated[str, OneOf(tuple(JUDGMENT_COLUMNS))]
    spec_digest: Digest
    digest: Digest
    filter: Mapping[str, Any]
    votes: Count
    left_out: Mapping[str, int]
    people: Count
    rows: Count
    simulated: bool
    files: tuple[tuple[str, Sha256], ...]
    in_shards: bool = False
    format_version: int = JUDGEMENTS_FORMAT


def judgements_path(folder: Location, shard: int) -> Location:
    """Where the judgments of a shard lie."""
    return folder / JUDGEMENTS_FOLDER / f"part-{shard:05d}.parquet"


def write_judgements(
    folder: Location,
    info: JudgementsInfo,
    shard: int,
    ids: Sequence[str],
    fractions: Sequence[float | None],
    counts: Sequence[int | None],
) -> None:
    """Write the judgments of one shard's rows, whole or not at all.

    Args:
        ids: of all rows of the shard, in order.
        fractions: from 0 to 1; None where nobody was asked.
        counts: of votes; None where unknown.
    """
    fraction, count = JUDGMENT_COLUMNS[info.task]
    own = {"format_version": info.format_version, "spec_digest": info.spec_digest}
    fields = [("id", pa.string()), (fraction, pa.float32()), (count, pa.int32())]
    schema = pa.schema(fields, metadata={_METADATA: json.dumps(own)})
    columns = {"id": list(ids), fraction: list(fractions), count: list(counts)}
    with whole_file(judgements_path(folder, shard)) as path:
        table = pa.Table.from_pydict(columns, schema=schema)
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def write_judgements_info(folder: Location, info: JudgementsInfo) -> None:
    """Write `judgements.json`, whole or not at all; last, when all shards' judgments are there."""
    write_json(folder / JUDGEMENTS_FOLDER / JUDGEMENTS_NAME, asdict(info))


def write_exported_info(folder: Location, dataset: Location, spec_digest: str) -> None:
    """Copy the `judgements.json` of a dataset, where it has one, to the folder of an export."""
    info = judgements_info(dataset, spec_digest)
    if info is not None:
        write_json(folder / JUDGEMENTS_NAME, asdict(info))


def judgements_info(folder: Location, spec_digest: str) -> JudgementsInfo | None:
    """What `judgements.json` of a dataset says; None where there are no judgments.

    Raises:
        WorkError: when it is damaged, or of another dataset.
    """
    folder = folder / JUDGEMENTS_FOLDER
    info = read_judgements_info(folder)
    if info is not None and info.spec_digest != spec_digest:
        raise WorkError(
            f"{folder / JUDGEMENTS_NAME} is of another dataset; move {folder} to that one"
        )
    return info


def read_judgements_info(folder: Location) -> JudgementsInfo | None:
    """What the `judgements.json` in a folder says, of whichever dataset; None where there is none.

    Raises:
        WorkError: when it is damaged.
    """
    path = folder / JUDGEMENTS_NAME
    try:
        return read_record(path, JudgementsInfo, JUDGEMENTS_FORMAT, missing={"in_shards": False})
    except (FileNotFoundError, NotADirectoryError):
        return None


def shard_judgements(folder: Location, spec_digest: str, shard: int) -> pa.Table | None:
    """The judgments of a shard's rows: id, fraction and count; None where there are none.

    A dataset that has grown has rows after those in the table.

    Raises:
        WorkError: when they are damaged, or of another dataset.
    """
    path = judgements_path(folder, shard)
    try:
        with open_parquet(path) as file:
            table = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, pa.ArrowException) as error:
        raise _unusable(path, f"damaged ({first_line(error)})") from None
    stored = read_metadata(table.schema, _METADATA, FileInfo)
    names = [["id", *columns] for columns in JUDGMENT_COLUMNS.values()]
    if stored is None or stored.format_version != JUDGEMENTS_FORMAT:
        raise _unusable(path, "not of this format")
    if stored.spec_digest != spec_digest:
        raise _unusable(path, "of another dataset")
    if table.column_names not in names or table["id"].null_count:
        raise _unusable(path, "damaged (it has other columns)")
    return table


def join_judgements(
    batch: pa.RecordBatch, table: pa.Table, first: int, where: str
) -> pa.RecordBatch:
    """A batch of a shard's rows with their judgments in place of those that the shard has.

    Rows that nobody judged keep what the shard has.

    Args:
        batch: with the column "id".
        table: as `shard_judgements` gives it.
        first: place of the batch's first row in the shard.
        where: the shard, for errors.

    Raises:
        WorkError: when they are of rows with other ids.
    """
    part = table.slice(first, batch.num_rows).combine_chunks()
    known = part.num_rows
    if not part.column("id").combine_chunks().equals(batch.column("id").slice(0, known)):
        raise WorkError(
            f"{where}: the judgments are of rows with other ids; make them again with "
            "`bapps-gen judge`"
        )
    _, fraction, _ = names = table.column_names
    is_judged = pc.is_valid(part.column(fraction)).combine_chunks()
    for name in names[1:]:
        if name not in batch.schema.names:
            continue
        held = batch.column(name)
        joined = pc.if_else(is_judged, part.column(name).combine_chunks(), held.slice(0, known))
        joined = pa.concat_arrays([joined, held.slice(known)])
        index = batch.schema.get_field_index(name)
        batch = batch.set_column(index, batch.schema.field(index), joined)
    return batch


def judged_reader(
    folder: Location, spec_digest: str, shard: int, columns: Sequence[str] | None
) -> tuple[list[str] | None, Callable[[pa.RecordBatch, int], pa.RecordBatch]]:
    """How a shard's rows are read so that they have the judgments beside it.

    Args:
        folder: of the dataset.
        spec_digest: of the dataset.
        shard: its number.
        columns: that are wanted; None for all.

    Returns:
        The columns to read, and a function that completes a batch of them, given the place of its
        first row in the shard.

    Raises:
        WorkError: as `shard_judgements`, and from the function as `join_judgements`.
    """
    read = list(columns) if columns else None
    table = None
    if read is None or not {name for pair in JUDGMENT_COLUMNS.values() for name in pair}.isdisjoint(
        read
    ):
        table = shard_judgements(folder, spec_digest, shard)
    if table is None:
        return read, lambda batch, first: batch
    judged = table
    where = str(judgements_path(folder, shard))
    has_id = read is None or "id" in read

    def complete(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        joined = join_judgements(batch, judged, first, where)
        return joined if has_id else joined.drop_columns(["id"])

    return (read if has_id or read is None else ["id", *read]), complete


def _unusable(path: Location, problem: str) -> WorkError:
    return WorkError(f"{path} is {problem}; make it again with `bapps-gen judge`, from the votes")
