"""A benchmark's folder: its manifest as Parquet and CSV, its list of pairs, `benchmark.json`.

    reference/NAME.png
    DISTORTION/LEVEL/NAME.png
    manifest.parquet, manifest.csv    a row for each distorted picture
    pairs.csv                         ref_name, dist_name, …: what IQA toolboxes read
    benchmark.json                    the spec, versions, and images that could not be used

While a benchmark is being made, the rows of each whole image lie in `.rows/`; the manifest appears
when all are there.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bapps_gen.errors import UserError
from bapps_gen.imaging.encode import is_whole_png
from bapps_gen.manifests.integrity import picture_problem
from bapps_gen.manifests.listing import parameters_text
from bapps_gen.manifests.origin import Origin, PluginRecord, read_described, write_origin
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.manifests.rows import MAX_SIDE, PAIR_PATCHES, Crop, Step
from bapps_gen.manifests.schema import CROP, STEPS, described_fields
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import open_regular
from bapps_gen.storage.records import LOCAL, Count, Digest, stored_values
from bapps_gen.storage.workspace import Layout

BENCHMARK_NAME = "benchmark.json"
MANIFEST_NAME = "manifest.parquet"
TABLE_NAME = "manifest.csv"
PAIRS_NAME = "pairs.csv"
REFERENCE_FOLDER = "reference"
ROWS_FOLDER = ".rows"
STAGE_FOLDER = ".partial"
"""Pictures of images that are not whole yet lie here, out of every reader's sight."""
BENCHMARK = Layout("benchmark", BENCHMARK_NAME, folders=(ROWS_FOLDER,), scratch=(STAGE_FOLDER,))

BENCHMARK_FORMAT = 1
"""Raised when columns or files change their meaning."""

_GROUP_ROWS = 10_000
_SHARD_ROWS = 500


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One distorted picture; fields are the manifest's columns in order, each with its meaning."""

    path: Annotated[str, pa.string(), "distorted picture, PNG, relative to the benchmark's folder"]
    reference: Annotated[str, pa.string(), "its reference, PNG, relative to the benchmark's folder"]
    distortion: Annotated[str, pa.string(), "names of the steps joined by +"]
    family: Annotated[str, pa.string(), "families of the steps joined by +"]
    level: Annotated[int, pa.int32(), "1 for the lowest severity"]
    severity: Annotated[
        float | None, pa.float64(), "0 to 2; null where no parameter follows severity"
    ]
    steps: Annotated[
        tuple[Step, ...],
        STEPS,
        "steps in the order applied, with parameters and the seed of their noise",
    ]
    source_path: Annotated[str, pa.string(), "name of the source image in its source"]
    source_sha256: Annotated[str, pa.string(), "SHA-256 of the source image's encoded bytes"]
    patch: Annotated[
        int | None, pa.int32(), "number of the patch in its image, from 0; null for whole images"
    ]
    crop: Annotated[
        Crop | None, CROP, "px of the source image after EXIF rotation; null for whole images"
    ]
    scale: Annotated[float, pa.float64(), "picture px per px of the source image"]
    width: Annotated[int, pa.int32(), "px"]
    height: Annotated[int, pa.int32(), "px"]
    bytes: Annotated[int, pa.int64(), "size of the file in bytes"]
    hash: Annotated[str, pa.string(), "XXH3-128 of the raw RGB bytes"]
    reference_bytes: Annotated[int, pa.int64(), "size of the reference's file in bytes"]
    reference_hash: Annotated[str, pa.string(), "XXH3-128 of the reference's raw RGB bytes"]
    spec_digest: Annotated[str, pa.string(), "digest of the benchmark's spec"]


_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = tuple(
    (name, *hint.__metadata__)
    for name, hint in get_type_hints(BenchmarkRow, include_extras=True).items()
)
"""Name, type, unit or meaning."""

_OPTIONAL = ("severity", "patch", "crop")


def manifest_problem(table: pa.Table, columns: Sequence[str] | None = None) -> str | None:
    """What is wrong with rows of a manifest that anybody may have written, or None.

    Args:
        table: the rows.
        columns: that it must have; None for all.
    """
    kinds = {name: kind for name, kind, _ in _COLUMNS}
    for name in columns or kinds:
        if name not in table.column_names:
            return f"it has no column {name}"
    for entry, column in zip(table.schema, table.columns, strict=True):
        if entry.type != kinds.get(entry.name):
            return f"it has a column {entry.name} of another type"
        if entry.name not in _OPTIONAL and column.null_count:
            return f"it has empty entries of {entry.name}"
        if entry.name in ("width", "height") and len(column):
            low, high = pc.min_max(column).as_py().values()
            if not 1 <= low <= high <= MAX_SIDE:
                return f"it has a {entry.name} that is not from 1 to {MAX_SIDE}"
        if entry.name == "severity" and not pc.all(pc.is_finite(column.drop_null())).as_py():
            return "it has severities that are no numbers"
    return None


# In CSV the steps are three columns, and a crop is three numbers.
_CSV_STEPS = ("parameters", "seed", "version")
_CSV_CROP = ("crop_x", "crop_y", "crop_side")
_CSV_COLUMNS = tuple(
    column
    for name, _, _ in _COLUMNS
    for column in {"steps": _CSV_STEPS, "crop": _CSV_CROP}.get(name, (name,))
)
_PAIR_COLUMNS = ("ref_name", "dist_name", "severity", "level", "distortion")


@dataclass(frozen=True, slots=True)
class BenchmarkInfo:
    """What `benchmark.json` holds.

    Args:
        version: of this package.
        spec: the spec as plain values; `digest` is made from it.
        digest: 32 hexadecimal digits that stand for everything that pictures depend on.
        distortions: version of every atom and CNN distorter.
        units: unit of every "distortion.parameter".
        plugins: name of the file or entry point of each plugin, with the file's SHA-256.
        zoo: name of the CNN distorters' folder; None for the shipped ones, or where there are
            none.
        sources: names of the folders and files that the images were in, and URLs; none for the
            built-in ones. Where these lie on this machine is in `sources.local.json`.
        source_failures: reasons by name of images that could not be used and were left out.
        images: images used; None until the benchmark is complete.
        pictures: distorted pictures; None until the benchmark is complete.
        format_version: BENCHMARK_FORMAT.
        origin: where things lie on this machine; None where that is not known.
        plugin_files: plugins that the user gave, which alone are run.
    """

    version: str
    spec: Mapping[str, Any]
    digest: Digest
    distortions: Mapping[str, int]
    units: Mapping[str, str]
    plugins: tuple[PluginRecord, ...]
    zoo: str | None
    sources: tuple[str, ...]
    source_failures: Mapping[str, str]
    images: Count | None = None
    pictures: Count | None = None
    format_version: int = BENCHMARK_FORMAT
    origin: Origin | None = field(default=None, metadata=LOCAL)
    plugin_files: tuple[str, ...] = field(default=(), metadata=LOCAL)

    @property
    def rows(self) -> int:
        """Distorted pictures."""
        return self.pictures or 0

    @property
    def patches(self) -> tuple[str, ...]:
        """As of JND pairs: a reference, and one distorted picture."""
        return PAIR_PATCHES

    @property
    def shard_rows(self) -> int:
        """Rows whose distances are in one file: those of one image, or of several small ones."""
        by_image = max(1, self.rows // max(1, self.images or 0))
        return by_image * max(1, _SHARD_ROWS // by_image)

    @property
    def shards(self) -> int:
        """Number of files with distances when complete."""
        return -(-self.rows // self.shard_rows)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First row of such a file and the row after its last."""
        first = shard * self.shard_rows
        return first, min(first + self.shard_rows, self.rows)

    def rows_in(self, shard: int) -> int:
        """Rows of such a file when complete."""
        first, end = self.shard_range(shard)
        return end - first


def write_benchmark_info(folder: Path, info: BenchmarkInfo) -> None:
    """Write `benchmark.json`, whole or not at all, and `sources.local.json`."""
    write_json(folder / BENCHMARK_NAME, stored_values(info))
    write_origin(folder, info.origin, info.digest)


def read_benchmark_info(folder: Path) -> BenchmarkInfo:
    """Read `benchmark.json`.

    Raises:
        UserError: when the folder is not a benchmark.
        WorkError: when `benchmark.json` is damaged or of another format.
    """
    path = folder / BENCHMARK_NAME
    try:
        return read_described(path, BenchmarkInfo, BENCHMARK_FORMAT)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} is not a benchmark: it has no {BENCHMARK_NAME}; give the folder that --out "
            "named"
        ) from None


def benchmark_schema(info: BenchmarkInfo) -> pa.Schema:
    """The schema of the manifest, with meanings and units in the metadata of its fields."""
    own = {"format_version": info.format_version, "spec_digest": info.digest}
    fields = described_fields(_COLUMNS, info.units)
    return pa.schema(fields, metadata={"bapps_gen": json.dumps(own, sort_keys=True)})


def benchmark_table(rows: Sequence[BenchmarkRow], schema: pa.Schema) -> pa.Table:
    """An Arrow table of rows."""
    plain = []
    for row in rows:
        values = asdict(row)
        for step in values["steps"]:
            step["params"] = [{"name": name, "value": value} for name, value in step["params"]]
        plain.append(values)
    return pa.Table.from_pylist(plain, schema)


def write_image_rows(folder: Path, image: int, table: pa.Table) -> None:
    """Store the rows of an image whose pictures are all there."""
    with whole_file(_rows_path(folder, image)) as path:
        pq.write_table(table, path, write_page_checksum=True)


def read_image_rows(folder: Path, image: int) -> pa.Table | None:
    """The rows of an image, or None where they are not (wholly) there."""
    try:
        path = _rows_path(folder, image)
        with open_parquet(path) as file:
            return file.read()
    except (OSError, pa.ArrowInvalid):
        return None


def pending_images(folder: Path) -> list[int]:
    """Indices of the images whose rows are not in the manifest yet, in order."""
    names = (path.stem for path in (folder / ROWS_FOLDER).glob("*.parquet"))
    return sorted(int(name) for name in names if re.fullmatch(r"[0-9]{8,10}", name))


def _rows_path(folder: Path, image: int) -> Path:
    return folder / ROWS_FOLDER / f"{image:08d}.parquet"


def manifest_tables(folder: Path, rows: int) -> Iterator[pa.Table]:
    """The manifest in runs of `rows` rows, those of one image each; in flat memory.

    Raises:
        FileNotFoundError: when there is none.
        pa.ArrowInvalid: when it is damaged.
    """
    with open_parquet(folder / MANIFEST_NAME) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for first in range(0, table.num_rows, rows):
                yield table.slice(first, rows)


def damaged_file(folder: Path, table: pa.Table, check: str = "footers") -> str | None:
    """The first picture of some rows that is missing or damaged, None when all are whole.

    Args:
        folder: of the benchmark.
        table: rows of the manifest.
        check: how closely they are looked at, see CHECKS: sizes, checksums, or decoded pictures.
    """
    listed: dict[str, tuple[int, str]] = {}
    for names in (("reference", "reference_bytes", "reference_hash"), ("path", "bytes", "hash")):
        columns = (table[name].to_pylist() for name in names)
        listed |= {path: (count, text) for path, count, text in zip(*columns, strict=True)}
    for name, (size, digest) in listed.items():
        if not _is_picture(folder / name, size, digest, check):
            return name
    return None


def _is_picture(path: Path, size: int, digest: str, check: str) -> bool:
    try:
        if os.stat(path).st_size != size:
            return False
        if check == "footers":
            return True
        with open_regular(path) as file:
            data = file.read()
    except OSError:
        return False
    if check == "full":
        return picture_problem(data, digest, MAX_SIDE) is None
    return is_whole_png(data)


def write_manifest(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write the manifest in all its forms from the rows of image after image.

    The Parquet file appears last: where it is, all is.
    """
    with contextlib.ExitStack() as stack:
        paths = [
            stack.enter_context(whole_file(folder / name))
            for name in (MANIFEST_NAME, TABLE_NAME, PAIRS_NAME)
        ]
        manifest = stack.enter_context(
            pq.ParquetWriter(paths[0], schema, compression="zstd", write_page_checksum=True)
        )
        lists = [
            csv.writer(
                stack.enter_context(open(path, "w", encoding="utf-8", newline="")),
                lineterminator="\n",
            )
            for path in paths[1:]
        ]
        for writer, header in zip(lists, (_CSV_COLUMNS, _PAIR_COLUMNS), strict=True):
            writer.writerow(header)
        waiting: list[pa.Table] = []
        for table in tables:
            for row in table.to_pylist():
                lists[0].writerow(_csv_values(row))
                lists[1].writerow(
                    [row["reference"], row["path"], *(row[name] for name in _PAIR_COLUMNS[2:])]
                )
            # A row group holds whole images, so that it can be taken apart by them.
            waiting.append(table)
            if sum(part.num_rows for part in waiting) >= _GROUP_ROWS:
                manifest.write_table(pa.concat_tables(waiting), _GROUP_LIMIT)
                waiting.clear()
        if waiting:
            manifest.write_table(pa.concat_tables(waiting), _GROUP_LIMIT)


_GROUP_LIMIT = 1 << 30


def _csv_values(row: Mapping[str, Any]) -> list[Any]:
    values: list[Any] = []
    for name, _, _ in _COLUMNS:
        if name == "steps":
            values += _csv_steps(row["steps"])
        elif name == "crop":
            crop = row["crop"] or {}
            values += [crop.get(part) for part in ("x", "y", "side")]
        else:
            values.append(row[name])
    return values


def _csv_steps(steps: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """Parameters as JSON; seeds and versions of several steps joined by +, as their names are."""
    return (
        parameters_text(steps),
        "+".join(str(step["seed"]) for step in steps),
        "+".join(str(step["version"]) for step in steps),
    )
