"""A benchmark that is there: its rows by number, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.benchmark import (
    BENCHMARK_NAME,
    MANIFEST_NAME,
    BenchmarkInfo,
    manifest_problem,
    read_benchmark_info,
)
from bapps_gen.manifests.dataset import AnyDataset, Dataset
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.manifests.rows import MAX_SIDE
from bapps_gen.storage.locations import Location, location_of, open_regular

Pictures = NDArray[np.uint8]
"""uint8 (N, H, W, 3), RGB."""

_BATCH_PIXELS = 1_000_000
"""Pixels of distorted pictures that are read together: 250 patches, or about one photo."""

_REMEDY = "make the benchmark again to fill in what is missing"


def is_benchmark(folder: Location) -> bool:
    """Whether a folder holds a benchmark."""
    return isinstance(folder, Path) and (folder / BENCHMARK_NAME).is_file()


@dataclass(frozen=True)
class Benchmark:
    """An open benchmark that is complete.

    Args:
        folder: where it lies.
        info: what its `benchmark.json` holds.
    """

    folder: Path
    info: BenchmarkInfo

    def require_whole(self) -> None:
        """Raise WorkError unless its manifest is there with a row for each distorted picture."""
        with _readable(self.folder) as file:
            rows = file.metadata.num_rows
        if rows != self.info.rows:
            raise WorkError(
                f"{self.folder / MANIFEST_NAME} has {rows} rows where {self.info.rows} are "
                f"expected; {_REMEDY}"
            )

    def require_pictures(self) -> None:
        """A benchmark has its pictures."""

    def table(self, first: int, end: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of the manifest from one number to before another.

        Raises:
            WorkError: when the manifest is missing or damaged.
        """
        with _readable(self.folder) as file:
            parts, start = [], 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                low, high = max(first - start, 0), min(end - start, rows)
                if low < high:
                    whole = _group(file, group, tuple(columns) if columns else None)
                    parts.append(whole.slice(low, high - low))
                start += rows
            table = pa.concat_tables(parts)
        problem = manifest_problem(table, columns)
        if problem is not None:
            raise WorkError(f"{self.folder / MANIFEST_NAME} is damaged: {problem}; {_REMEDY}")
        return table

    def pictures(self, first: int, end: int) -> Iterator[tuple[list[str], Pictures, Pictures]]:
        """Paths, references and distorted pictures of some rows, those of one size together.

        Raises:
            WorkError: when a picture is missing or damaged.
        """
        rows = self.table(first, end, ["path", "reference", "width", "height"]).to_pylist()
        load = lru_cache(2)(self.picture)
        start = 0
        while start < len(rows):
            size = rows[start]["width"], rows[start]["height"]
            stop, most = start + 1, max(1, _BATCH_PIXELS // (size[0] * size[1]))
            while stop < min(len(rows), start + most) and size == (
                rows[stop]["width"],
                rows[stop]["height"],
            ):
                stop += 1
            batch = rows[start:stop]
            references = self._stack([row["reference"] for row in batch], size, load)
            distorted = self._stack([row["path"] for row in batch], size, self.picture)
            yield [row["path"] for row in batch], references, distorted
            start = stop

    def _stack(
        self,
        paths: Sequence[str],
        size: tuple[int, int],
        load: Callable[[str], NDArray[np.uint8]],
    ) -> Pictures:
        pictures = [load(path) for path in paths]
        for path, picture in zip(paths, pictures, strict=True):
            if picture.shape[1::-1] != size:
                raise WorkError(
                    f"{self.folder / path} has {picture.shape[1]}×{picture.shape[0]} px, not "
                    f"{size[0]}×{size[1]} as the manifest says; {_REMEDY}"
                )
        return np.stack(pictures)

    def read(self, path: str) -> bytes:
        """The file at a path of the manifest.

        Raises:
            WorkError: when it is missing, or no path within the benchmark.
        """
        if not _is_inside(path):
            raise WorkError(f"{self.folder / MANIFEST_NAME} is damaged: it names {path}")
        try:
            with open_regular(self.folder / path) as file:
                return file.read()
        except FileNotFoundError:
            raise WorkError(f"{self.folder / path} is missing; {_REMEDY}") from None
        except OSError as error:
            raise WorkError(
                f"{self.folder / path} cannot be read: {first_line(error)}; {_REMEDY}"
            ) from None

    def picture(self, path: str) -> NDArray[np.uint8]:
        """The picture at a path of the manifest, uint8 (H, W, 3), RGB.

        Raises:
            WorkError: as `read`, and when it is no PNG file.
        """
        try:
            return decode_png(self.read(path), MAX_SIDE)
        except WorkError as error:
            if str(self.folder) in str(error):
                raise
            raise WorkError(f"{self.folder / path}: {error}") from None


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return path.endswith(".png") and not path.startswith("/") and ".." not in parts


class _readable:
    """Opens a benchmark's manifest, and says in one line that it is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST_NAME

    def __enter__(self) -> pq.ParquetFile:
        try:
            self._file = open_parquet(self._path)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from None
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError | pa.ArrowException):
            raise self._damaged(error) from None

    def _damaged(self, error: BaseException) -> WorkError:
        what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        return WorkError(f"{self._path} is {what} ({first_line(error)}); {_REMEDY}")


def _group(file: pq.ParquetFile, group: int, columns: tuple[str, ...] | None) -> pa.Table:
    table = file.read_row_group(group, columns=None if columns is None else list(columns))
    if columns is not None and table.column_names != list(columns):
        table = table.select([name for name in columns if name in table.column_names])
    return table


def open_benchmark(folder: Path) -> Benchmark:
    """Open a benchmark.

    Raises:
        UserError: when there is none, or it is not complete.
        WorkError: when `benchmark.json` is damaged.
    """
    info = read_benchmark_info(folder)
    if info.pictures is None:
        raise UserError(f"the benchmark in {folder} is not complete; make it again to go on")
    return Benchmark(folder, info)


def find_benchmark(given: AnyDataset | Benchmark) -> Benchmark | None:
    """The benchmark that is in a folder, or None where it holds none.

    Raises:
        UserError: when it is not complete.
        WorkError: when its description is damaged.
    """
    if isinstance(given, Benchmark):
        return given
    if isinstance(given, Dataset):
        return None
    folder = location_of(given)
    return open_benchmark(folder) if isinstance(folder, Path) and is_benchmark(folder) else None
