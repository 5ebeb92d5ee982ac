"""Conditions on rows: in SQL, by DuckDB, which can read nothing but the rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bapps_gen.errors import UserError, first_line, nearest
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.manifests.schema import column_names
from bapps_gen.manifests.scores import (
    distance_names,
    joined_name,
    scored_batches,
    scored_metrics,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH_ROWS = 10_000
_INDEX = "_index"
_EXAMPLE = "distortion0 = 'jpeg' AND severity0 < 0.5"

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",  # no files, no network, no other databases
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # no variables of this program
    "threads": "1",
    "lock_configuration": "true",
}


def sql_filter(where: str) -> Callable[[Dataset], Iterator[NDArray[np.intp]]]:
    """A function that gives the numbers of the rows for which a condition in SQL holds.

    Columns are those of the rows without pictures; `severity0` and `severity1`, the highest
    severity among a side's steps; and, by each metric that the dataset was scored by, such as
    "d0_lpips_alex". Rows are seen one at a time: a condition is no query.

    Raises:
        UserError: when DuckDB is not installed; and, once it is used, for a condition that is none.
    """
    connection = _connect()

    def choose(dataset: Dataset) -> Iterator[NDArray[np.intp]]:
        metrics = scored_metrics(dataset.folder)
        # Asked of no rows first, so that a mistake is found before anything is read.
        _ask(connection, where, _with_severities(_empty(dataset, metrics)))
        plain = column_names(dataset.info.patches, pictures=False)
        for batch in scored_batches(dataset, metrics, plain, _BATCH_ROWS):
            yield _ask(connection, where, _with_severities(pa.Table.from_batches([batch])))

    return choose


def table_filter(where: str, example: str) -> Callable[[pa.Table], NDArray[np.intp]]:
    """A function that gives the indices of the rows of a table for which a condition in SQL holds.

    Args:
        where: the condition.
        example: another one on such a table, for errors.

    Raises:
        UserError: as `sql_filter`.
    """
    connection = _connect()

    def choose(table: pa.Table) -> NDArray[np.intp]:
        numbered = table.append_column(_INDEX, pa.array(range(len(table)), pa.int64()))
        return _ask(connection, where, numbered, _INDEX, example)

    return choose


def row_filter(keep: Callable[[ManifestRow], bool]) -> Callable[[Dataset], Iterator[Any]]:
    """A function that gives the numbers of the rows for which a function is true."""

    def choose(dataset: Dataset) -> Iterator[NDArray[np.intp]]:
        for shard in range(dataset.info.shards):
            rows = dataset.read_rows(shard)
            yield np.array([row.row for row in rows if keep(row)], np.intp)

    return choose


def _connect() -> DuckDBPyConnection:
    try:
        import duckdb
    except ImportError as error:
        raise UserError(
            f"conditions in SQL need {error.name}, which is not installed; "
            "run: pip install 'bapps-gen[sql]'"
        ) from error
    return duckdb.connect(":memory:", config=_CONFIG)


def _ask(
    connection: DuckDBPyConnection,
    where: str,
    table: pa.Table,
    number: str = "row",
    example: str = _EXAMPLE,
) -> NDArray[np.intp]:
    """The numbers of the rows of a table for which a condition holds, rising."""
    import duckdb

    try:
        # A filter is one expression: no statement, and no clause behind it.
        found = connection.from_arrow(table).filter(where).project(number).fetchall()
    except duckdb.Error as error:
        columns = [name for name in table.column_names if name != _INDEX]
        raise _not_a_condition(where, error, columns, example) from None
    return np.sort(np.array([row for (row,) in found], np.intp))


def _not_a_condition(
    where: str, error: Exception, columns: Sequence[str], example: str
) -> UserError:
    unknown = re.search(r'Referenced column "([^"]*)" not found', str(error))
    known = f"columns are {', '.join(columns)}"
    if unknown is not None:
        near = nearest(unknown[1], columns)
        guess = f"did you mean '{near}'? " if near else ""
        return UserError(f"where = {where}: unknown column '{unknown[1]}'; {guess}{known}")
    return UserError(
        f"where = {where} is not a condition on a row ({first_line(error)}); write one in SQL, "
        f'such as "{example}"; {known}'
    )


def _empty(dataset: Dataset, metrics: Sequence[str]) -> pa.Table:
    plain = column_names(dataset.info.patches, pictures=False)
    fields = [dataset.info.schema().field(name) for name in plain]
    fields += [
        pa.field(joined_name(metric, name), pa.float64())
        for metric in metrics
        for name in distance_names(dataset.info.patches)
    ]
    return pa.schema(fields).empty_table()


def _with_severities(table: pa.Table) -> pa.Table:
    """A table with the highest severity of each side's steps; null where none is known."""
    for side in range(2):
        if f"steps{side}" not in table.column_names:
            continue
        steps = table.column(f"steps{side}").combine_chunks()
        if isinstance(steps, pa.ChunkedArray):
            steps = steps.combine_chunks()
        severities = pc.list_flatten(steps).field("severity")
        parents = pc.list_parent_indices(steps)
        highest = pa.table({"row": parents, "severity": severities}).group_by("row")
        by_row = highest.aggregate([("severity", "max")])
        values = np.full(len(table), np.nan)
        values[by_row["row"].to_numpy()] = by_row["severity_max"].to_numpy()
        table = table.append_column(
            f"severity{side}", pa.array(values, pa.float64(), from_pandas=True)
        )
    return table
