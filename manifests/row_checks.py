"""Whether the rows that a shard holds can be worked with, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from bapps_gen.errors import WorkError

_OPTIONAL = ("judge", "judge_count", "same", "same_count", "severity", "path")
"""Columns and entries of steps that may be empty; "path" is that of a picture."""

_HASH = "^[0-9a-f]{32}$"


def row_problem(batch: pa.RecordBatch, first: int, *, numbered: bool = True) -> str | None:
    """The first thing wrong with rows, such as "row 17 has no ref", or None where all are sound.

    Args:
        batch: rows with any of the columns of a shard.
        first: number that the first of them must have.
        numbered: whether their numbers are checked.
    """
    if next(_problems(batch, first, numbered), None) is None:
        return None
    rows = (batch.slice(index, 1) for index in range(batch.num_rows))
    for index, row in enumerate(rows, first):
        for problem in _problems(row, index, numbered):
            return f"row {index} {problem}"
    return None


def check_rows(batch: pa.RecordBatch, first: int, where: str, *, numbered: bool = True) -> None:
    """Raise WorkError, naming the first row with something wrong; see `row_problem`."""
    problem = row_problem(batch, first, numbered=numbered)
    if problem is not None:
        raise WorkError(f"{where} is damaged: {problem}; make it again or restore it from a copy")


def _problems(batch: pa.RecordBatch, first: int, numbered: bool) -> Iterator[str]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name not in _OPTIONAL and _has_gaps(column):
            yield f"has no {name}, or a part of it is missing"
        elif name == "row" and numbered:
            end = first + len(column)
            expected = pa.array(range(first, end), pa.int64())
            if not column.equals(expected):
                yield f"holds row {column[0].as_py()}"
        elif name.endswith("_hash") and not pc.all(pc.match_substring_regex(column, _HASH)).as_py():
            yield f"has a {name} that is no hash"
        elif name in ("judge", "same") and not _lie_within(column, 0, 1):
            yield f"has a {name} that is no fraction from 0 to 1"
        elif name in ("judge_count", "same_count") and not _lie_within(column, 0, 2**31 - 1):
            yield f"has a {name} below 0"


def _lie_within(column: pa.Array, low: float, high: float) -> bool:
    held = pc.min_max(column).as_py()
    return held["min"] is None or bool(low <= held["min"] and held["max"] <= high)


def _has_gaps(array: pa.Array) -> bool:
    if array.null_count:
        return True
    if pa.types.is_struct(array.type):
        parts = (array.type.field(index) for index in range(array.type.num_fields))
        return any(
            part.name not in _OPTIONAL and _has_gaps(array.field(index))
            for index, part in enumerate(parts)
        )
    return pa.types.is_list(array.type) and _has_gaps(array.flatten())
