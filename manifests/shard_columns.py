"""Shards as other programs wrote them: the same rows, in columns of other types or another order.

People fill in judgments with pandas, pyarrow or `datasets` and write the shard back, without this
package's metadata, with numbers as wide as those programs have them. What counts is what the rows
say of themselves.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bapps_gen.errors import WorkError, first_line
from bapps_gen.manifests.parquet import FileInfo, file_batches, open_parquet, read_metadata
from bapps_gen.storage.locations import Location

_BATCH_ROWS = 10_000
_FRACTIONS = ("judge", "same")
_IDENTITY = ["id", "row", "spec_digest"]


def conform(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """A batch with the types of a dataset's schema, without columns that this does not have.

    Fractions that are no numbers are missing ones, as pandas has them.

    Raises:
        WorkError: naming the column, when its values do not fit.
    """
    names = [name for name in batch.schema.names if name in schema.names]
    if names != batch.schema.names:
        batch = batch.select(names)
    for index, name in enumerate(names):
        column, field = batch.column(index), schema.field(name)
        fitting = _without_nan(column) if pa.types.is_floating(column.type) else column
        if fitting.type != field.type:
            try:
                fitting = fitting.cast(field.type, safe=name not in _FRACTIONS)
            except pa.ArrowException as error:
                problem = f"its column '{name}' does not fit ({first_line(error)})"
                raise WorkError(
                    f"{where} is damaged: {problem}; write it as {field.type}, or restore the "
                    "shard from a copy"
                ) from None
        if fitting is not column:
            batch = batch.set_column(index, field, fitting)
    return batch


def _without_nan(column: pa.Array) -> pa.Array:
    is_nan = pc.is_nan(column)
    if not pc.any(is_nan).as_py():
        return column
    return pc.if_else(is_nan, pa.scalar(None, column.type), column)


def shard_fault(
    path: Location,
    schema: pa.Schema,
    expected: FileInfo,
    digests: Collection[str],
    rows: range,
    *,
    partial: bool = False,
) -> str | None:
    """Why a file is not a shard of a dataset, completing "… is", or None where it is, and whole.

    Of files that this package wrote, the footer alone is read; of others also what rows they hold.

    Args:
        path: of the file.
        schema: of the dataset's shards.
        expected: what the metadata of its shards say.
        digests: of the specs that rows may be of.
        rows: that the shard has.
        partial: whether it may also end earlier, as it did before the dataset grew.
    """
    try:
        with open_parquet(path) as file:
            number, held = file.metadata.num_rows, file.schema_arrow
        own = read_metadata(held, b"bapps_gen", FileInfo)
        if own is not None and own.spec_digest != expected.spec_digest:
            return "of another spec"
        if own is not None and own.format_version != expected.format_version:
            return f"of format version {own.format_version}"
        if own is None or not held.equals(schema, check_metadata=False):
            problem = _schema_fault(held, schema) or _rows_fault(path, digests, rows.start)
            if problem is not None:
                return problem
    except FileNotFoundError:
        return "missing"
    except (OSError, pa.ArrowException) as error:
        return f"damaged ({first_line(error)})"
    if number != len(rows) and not (partial and number < len(rows)):
        return f"of {number} rows where {len(rows)} are expected"
    return None


def _schema_fault(held: pa.Schema, wanted: pa.Schema) -> str | None:
    """Why columns cannot be read as those of a schema."""
    for field in wanted:
        if held.names.count(field.name) != 1:
            if "spec_digest" not in held.names:
                return "of another spec"
            return f"of another schema (it has no column '{field.name}')"
        try:
            pa.nulls(0, held.field(field.name).type).cast(field.type)
        except pa.ArrowException:
            kind = str(held.field(field.name).type)[:40]
            return f"of another schema (its column '{field.name}' is {kind})"
    return None


def _rows_fault(path: Location, digests: Collection[str], first: int) -> str | None:
    """What is wrong with the ids and numbers of rows, and the specs that they say they are of."""
    known = pa.array(list(digests), pa.string())
    for batch in file_batches(path, _BATCH_ROWS, _IDENTITY):
        specs = batch.column("spec_digest").cast(pa.string())
        if not pc.all(pc.is_in(specs, known), min_count=0).as_py():
            return "of another spec"
        starts = pc.binary_join_element_wise(pc.utf8_slice_codeunits(specs, 0, 8), "", "-")
        ids = pc.utf8_slice_codeunits(batch.column("id").cast(pa.string()), 0, 9)
        if not pc.all(pc.equal(ids, starts), min_count=0).as_py():
            return "of another spec (ids of rows are of another dataset)"
        numbers = batch.column("row").cast(pa.int64())
        if not numbers.equals(pa.array(range(first, first + len(numbers)), pa.int64())):
            return "in another order of rows (sort it by the column 'row')"
        first += len(numbers)
    return None


def row_group_starts(file: pq.ParquetFile) -> list[int]:
    """Index of the first row of every row group, and the number of rows."""
    starts = [0]
    for group in range(file.num_row_groups):
        starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
    return starts
