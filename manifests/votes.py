"""Votes: every answer that a person gave in a study, one row each, kept as it came.

Files are Parquet with VOTES_SCHEMA, or CSV with the same columns. What becomes of votes, which are
left out and how the rest is counted, is decided later and changes none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location, require_regular
from bapps_gen.storage.records import shown

VOTES_FORMAT = 1
"""Raised when columns change their meaning."""

ANSWERS: Mapping[str, tuple[str, str]] = {"2afc": ("p0", "p1"), "jnd": ("same", "different")}
"""The answers of each task: which patch is more similar to the reference, or whether the two are
the same (paper, section 2.2)."""

PHASES = ("test", "sentinel", "practice")

# name, type, meaning; the order of the columns in every file
_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("study", pa.string(), "digest of the study; empty where there was none"),
    ("session", pa.string(), "one person's sitting"),
    ("person", pa.string(), "salted hash of who answered; empty where unknown"),
    ("trial", pa.string(), "id of the trial, as the browser knew it"),
    ("dataset", pa.string(), "digest of the dataset's spec; empty for pictures of no dataset"),
    ("row", pa.int64(), "row index in the dataset; -1 for pictures of no dataset"),
    ("id", pa.string(), "id of the row; empty for pictures of no dataset"),
    ("task", pa.string(), "2afc or jnd"),
    ("phase", pa.string(), "test, sentinel or practice"),
    ("left", pa.string(), "side shown left, p0 or p1; empty in JND trials"),
    ("answer", pa.string(), "p0 or p1, the more similar one; same or different in JND trials"),
    ("expected", pa.string(), "the right answer of a sentinel or practice trial; otherwise empty"),
    ("rt_ms", pa.float64(), "reaction time, ms; null where unknown"),
    ("reference_ms", pa.float64(), "time the reference was seen in a JND trial, ms"),
    ("gap_ms", pa.float64(), "time of the gap in a JND trial, ms"),
    ("distorted_ms", pa.float64(), "time the distorted patch was seen in a JND trial, ms"),
    ("timing_ok", pa.bool_(), "whether these times were right; null where unknown"),
    ("time", pa.timestamp("us", "UTC"), "when the answer was given"),
    ("simulated", pa.bool_(), "whether a simulated observer answered, not a person"),
)

VOTES_SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, kind, text in _COLUMNS],
    metadata={"bapps_gen_votes": str(VOTES_FORMAT)},
)

TIMES = ("rt_ms", "reference_ms", "gap_ms", "distorted_ms")
"""Columns of times in ms."""

_OPTIONAL = (*TIMES, "timing_ok", "time")
"""Columns that may have no value."""


def write_votes(path: Location, votes: pa.Table) -> None:
    """Write votes with VOTES_SCHEMA as Parquet, or as CSV by the ending; whole or not at all."""
    with whole_file(path) as temporary:
        if path.name.lower().endswith(".csv"):
            pa_csv.write_csv(votes, temporary)
            return
        pq.write_table(votes, temporary, compression="zstd", write_page_checksum=True)


def read_votes(paths: Sequence[Location]) -> pa.Table:
    """The votes of some Parquet or CSV files, in the order given.

    Raises:
        UserError: when a file is not one of votes, naming file, column and row.
        WorkError: when one is damaged.
    """
    return pa.concat_tables([_read_file(path) for path in paths])


def _read_file(path: Location) -> pa.Table:
    try:
        if path.name.lower().endswith(".csv"):
            table = _read_csv(path)
        else:
            with open_parquet(path) as file:
                table = file.read()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; name a file of votes") from None
    except (OSError, pa.ArrowException) as error:
        raise WorkError(
            f"{path} is damaged or no file of votes ({first_line(error)}); restore it from a copy"
        ) from None
    return votes_table(table, str(path))


def _read_csv(path: Location) -> pa.Table:
    if isinstance(path, Path):
        require_regular(path)
    kinds = {name: kind for name, kind, _ in _COLUMNS}
    convert = pa_csv.ConvertOptions(column_types=kinds, strings_can_be_null=False)
    return pa_csv.read_csv(pa.BufferReader(path.read_bytes()), convert_options=convert)


def votes_table(table: pa.Table, where: str) -> pa.Table:
    """A table with VOTES_SCHEMA from one with at least its columns.

    Args:
        table: in any order of columns; further ones are dropped.
        where: what has them, for errors.

    Raises:
        UserError: when a column is missing or of another type, or a value is not allowed.
    """
    missing = [name for name in VOTES_SCHEMA.names if name not in table.column_names]
    if missing:
        raise UserError(
            f"{where} has no column '{missing[0]}'; votes have {', '.join(VOTES_SCHEMA.names)}"
        )
    columns = []
    for field in VOTES_SCHEMA:
        column = table.column(field.name)
        try:
            column = column.cast(field.type)
        except pa.ArrowException:
            raise UserError(
                f"{where}: column '{field.name}' is {column.type}, not {field.type}; convert it"
            ) from None
        if field.name not in _OPTIONAL and column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise UserError(f"{where}: row {row} has no {field.name}; give one")
        columns.append(column)
    votes = pa.Table.from_arrays(columns, schema=VOTES_SCHEMA)
    _check_values(votes, where)
    return votes


def _check_values(votes: pa.Table, where: str) -> None:
    allowed = {
        "task": tuple(ANSWERS),
        "phase": PHASES,
        "left": ("p0", "p1", ""),
        "expected": ("", *(answer for pair in ANSWERS.values() for answer in pair)),
    }
    for name, values in allowed.items():
        _refuse_others(votes, name, pc.is_in(votes[name], pa.array(values)), values, where)
    for task, answers in ANSWERS.items():
        fits = pc.or_(
            pc.not_equal(votes["task"], task), pc.is_in(votes["answer"], pa.array(answers))
        )
        _refuse_others(votes, "answer", fits, answers, where)
    for name in TIMES:
        fits = pc.fill_null(pc.or_(pc.is_nan(votes[name]), pc.greater_equal(votes[name], 0)), True)
        _refuse_others(votes, name, fits, ("at least 0 ms",), where)


def _refuse_others(
    votes: pa.Table, name: str, fits: pa.ChunkedArray, allowed: Sequence[str], where: str
) -> None:
    row = pc.index(fits, False).as_py()
    if row >= 0:
        value = shown(votes[name][row].as_py())
        texts = ", ".join(text or "empty" for text in allowed)
        raise UserError(f"{where}: row {row} has {name} = {value}; it must be {texts}")
