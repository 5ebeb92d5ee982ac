"""Distances computed elsewhere, from a Parquet or CSV file with the rows' ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import UserError, first_line
from bapps_gen.metrics.base import Distances, Metric, Patches
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.plugins import file_digest

_SIDES = ("d0", "d1")
_ROW_ID = re.compile(r"[0-9a-f]{8}-[0-9]{8,}")
"""The first digits of a dataset's digest, and the row."""


@dataclass(frozen=True, slots=True)
class DistanceFile(Metric):
    """Distances of a dataset's rows, by their ids; it has none of pixels.

    Args:
        label: begins errors, such as "metric distances.csv".
        index: of each row, by id.
        columns: d0, and d1 where the file has one.
        settings: digest of the file.
    """

    label: str
    index: Mapping[str, int]
    columns: tuple[Distances, ...]
    settings: Mapping[str, str]

    def of_rows(self, ids: Sequence[str], sides: int) -> tuple[Distances, ...]:
        """(d0, d1) of triplets, or (d0,) of pairs, each (N,), of rows with those ids.

        Raises:
            UserError: for a row that the file lacks, a distance that is not finite, or a set of
                triplets where it has no d1.
        """
        if len(self.columns) < sides:
            raise UserError(
                f"{self.label}: it has no column d1; triplets need d0, between ref and p0, and d1, "
                "between ref and p1"
            )
        missing = [row for row in ids if row not in self.index]
        if missing:
            raise UserError(
                f"{self.label}: it lacks {_rows(missing[0], len(missing))}; add their distances"
            )
        rows = [self.index[row] for row in ids]
        distances = tuple(column[rows] for column in self.columns[:sides])
        for name, values in zip(_SIDES, distances, strict=False):
            bad = np.flatnonzero(np.isnan(values) | np.isposinf(values))
            if len(bad):
                raise UserError(
                    f"{self.label}: {name} = {values[bad[0]]:g} of {_rows(ids[bad[0]], len(bad))} "
                    "is not finite; give finite distances"
                )
        return distances

    def check_rows(self, ids: Sequence[str], sides: int, digests: Collection[str] = ()) -> None:
        """Raise UserError unless the file has finite distances of exactly the rows of a set.

        Args:
            ids: of the set's rows.
            sides: of each row.
            digests: with which these begin, where the file may have rows of other datasets, too.
        """
        unknown = self.index.keys() - set(ids)
        if digests:
            unknown = {row for row in unknown if not _is_of_others(row, digests)}
        if unknown:
            first = min(unknown, key=self.index.__getitem__)
            raise UserError(
                f"{self.label}: it has {_rows(first, len(unknown))}, which the set lacks; give the "
                "file of this set, with its ids"
            )
        self.of_rows(ids, sides)

    def _distances(self, patches: Mapping[str, Patches]) -> NoReturn:
        raise UserError(
            f"{self.label} has distances of rows, not of pixels; use it with score or evaluate"
        )


def describe(text: str) -> MetricSpec:
    """The metric that a file of distances is; its name is the file's without the ending.

    Raises:
        UserError: for a file that is missing.
    """
    path = Path(text).absolute()
    digest = _digest(path, text)
    return MetricSpec(
        path.stem,
        1,
        "as the file has it; larger must mean more different",
        f"{path.name}, SHA-256 {digest}…",
        given=str(path),
        files=(str(path),),
        settings=(("file", digest),),
        by_row=True,
    )


def load(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> DistanceFile:
    """The distances that a file has.

    Raises:
        UserError: for a file that is damaged or lacks a column, or an id that is empty or there
            twice.
    """
    label = f"metric {spec.given}"
    path = Path(spec.given)
    digest = _digest(path, spec.given)
    table = _read(path, label)
    for name in ("id", "d0"):
        if name not in table.column_names:
            raise UserError(
                f"{label}: it has no column {name} (but {', '.join(table.column_names) or 'none'})"
                "; give columns id and d0, and d1 for triplets"
            )
    ids = _ids(table, label)
    columns = tuple(_numbers(table, name, label) for name in _SIDES if name in table.column_names)
    index = {row: number for number, row in enumerate(ids)}
    if len(index) < len(ids):
        twice = next(row for number, row in enumerate(ids) if index[row] != number)
        raise UserError(f"{label}: row {twice} is there twice; give each row once")
    return DistanceFile(label, index, columns, {"file": digest})


def _is_of_others(row: str, digests: Collection[str]) -> bool:
    """Whether an id is that of a row of a dataset, but of none with those digests."""
    return bool(_ROW_ID.fullmatch(row)) and not any(each.startswith(row[:8]) for each in digests)


def _rows(first: str, count: int) -> str:
    """The first of some rows, and how many others there are."""
    others = count - 1
    return f"row {first}" + (f" and {others} other{'s' * (others > 1)}" if others else "")


def _digest(path: Path, given: str) -> str:
    try:
        return file_digest(path)
    except FileNotFoundError:
        raise UserError(f"metric {given}: no such file; give a file of distances") from None
    except OSError as error:
        raise UserError(f"metric {given}: it cannot be read ({error.strerror})") from None


def _read(path: Path, label: str) -> pa.Table:
    """The columns id, d0 and d1 of a file, as far as it has them."""
    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            types = {"id": pa.string(), "d0": pa.float64(), "d1": pa.float64()}
            table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
            table.column_names  # noqa: B018 - decoded here, where what is no text is an error
            return table
        from pyarrow import parquet

        names = parquet.read_schema(path).names
        return parquet.read_table(path, columns=[n for n in names if n in ("id", *_SIDES)] or names)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UserError(f"{label}: it cannot be read ({first_line(error)}); correct it") from None


def _ids(table: pa.Table, label: str) -> list[str]:
    ids = [str(value) if value is not None else "" for value in table.column("id").to_pylist()]
    if "" in ids:
        raise UserError(f"{label}: the id of its row {ids.index('')} is empty; correct it")
    return ids


def _numbers(table: pa.Table, name: str, label: str) -> NDArray[np.float64]:
    """A column of distances; NaN where it is empty, as d1 of pairs is."""
    try:
        column = table.column(name).cast(pa.float64())
    except pa.ArrowException as error:
        raise UserError(f"{label}: {name} holds no numbers ({first_line(error)})") from None
    return np.asarray(column.to_numpy(), np.float64)
