"""A dataset's folder: `data/part-00000.parquet …` and `dataset.json`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.manifests.integrity import damaged_row
from bapps_gen.manifests.judgements import judged_reader
from bapps_gen.manifests.origin import (
    Origin,
    PluginRecord,
    read_described,
    write_origin,
    write_part_origins,
)
from bapps_gen.manifests.parquet import FileInfo, file_batches
from bapps_gen.manifests.row_checks import check_rows
from bapps_gen.manifests.rows import (
    MAX_PATCH_SIZE,
    MIN_PATCH_SIZE,
    PAIR_PATCHES,
    PATCH_SIZE,
    PATCHES,
    ManifestRow,
    rows_within,
)
from bapps_gen.manifests.schema import (
    FORMAT_VERSION,
    column_names,
    manifest_schema,
    table_rows,
)
from bapps_gen.manifests.shard_columns import conform, shard_fault
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import Location, location_of, map_remote
from bapps_gen.storage.records import (
    LOCAL,
    Digest,
    FileName,
    OneOf,
    Sha256,
    Within,
    parse_value,
    stored_values,
)
from bapps_gen.storage.url import Url
from bapps_gen.storage.workspace import Layout

INFO_NAME = "dataset.json"
DATA_FOLDER = "data"
DATASET = Layout("dataset", INFO_NAME, folders=(DATA_FOLDER,), ignored=("README",))
ROW_GROUP_ROWS = 100
"""Rows in a row group: about 2.4 MB of pictures, what one random access reads. Fewer of larger
patches: see `DatasetInfo.row_group_rows`."""

MAX_ROWS = 10**10
MAX_SHARD_ROWS = 100_000
"""A shard is held in memory while it is made: 2.5 GB at this number of 64 px patches."""

SPLITS = ("train", "val", "test")

_PatchSize = Annotated[int, Within(MIN_PATCH_SIZE, MAX_PATCH_SIZE)]

_SHARD_NAME = re.compile(r"part-(\d{5,12})\.parquet")

_REFILL = "run the command that made the dataset again to fill in what is missing"


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What `dataset.json` holds.

    Args:
        kind: which pipeline made it, such as "traditional".
        version: of this package.
        spec: the spec as plain values; `digest` is made from it.
        digest: 32 hexadecimal digits that stand for everything that rows depend on.
        rows: how many rows the dataset has when complete.
        shard_rows: rows in every shard but the last.
        distortions: version of every atom that may occur.
        units: unit of every "distortion.parameter".
        plugins: name of the file or entry point of each plugin, with the file's SHA-256.
        sources: names of the folders and files that the images were in, and URLs; none for the
            built-in ones. Where these lie on this machine is in `sources.local.json`.
        source_digest: digest over names and contents of the images.
        source_images: (name, SHA-256) of every image, in the order that plans refer to.
        source_failures: reasons by name of unusable images so far.
        zoo: name of the CNN distorters' folder; None for the shipped ones, or where there are
            none. `spec` has their digests.
        patches: "ref", "p0", "p1" in a set of triplets; "ref", "p0" in one of JND pairs.
        pictures: False in a recipe, whose shards have no picture columns.
        format_version: of the Parquet columns.
        outputs: name of the folder of each algorithm's outputs, in a set from real algorithms;
            their files are in `outputs.parquet`.
        split: "train", "val" or "test" where the photos, or the set of a collection, are one;
            None otherwise.
        origin: where things lie on this machine; None where that is not known.
        plugin_files: plugins that the user gave, which alone are run.
    """

    kind: FileName
    version: str
    spec: Mapping[str, Any]
    digest: Digest
    rows: Annotated[int, Within(1, MAX_ROWS)]
    shard_rows: Annotated[int, Within(1, MAX_SHARD_ROWS)]
    distortions: Mapping[str, int]
    units: Mapping[str, str]
    plugins: tuple[PluginRecord, ...]
    sources: tuple[str, ...]
    source_digest: str
    source_images: tuple[tuple[str, Sha256], ...]
    source_failures: Mapping[str, str]
    patches: Annotated[tuple[str, ...], OneOf((PATCHES, PAIR_PATCHES))] = PATCHES
    pictures: bool = True
    format_version: int = FORMAT_VERSION
    zoo: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    split: Annotated[str | None, OneOf((None, *SPLITS))] = None
    origin: Origin | None = field(default=None, metadata=LOCAL)
    plugin_files: tuple[str, ...] = field(default=(), metadata=LOCAL)

    def __post_init__(self) -> None:
        parse_value(_PatchSize, self.patch_size, "spec.patch_size")

    @property
    def patch_size(self) -> int:
        """Height and width of the patches in px; the spec leaves out 64."""
        size: int = self.spec.get("patch_size", PATCH_SIZE)
        return size

    @property
    def row_group_rows(self) -> int:
        """Rows in a row group of the shards, which is what one random access reads."""
        return rows_within(ROW_GROUP_ROWS, self.patch_size)

    @property
    def shards(self) -> int:
        """Number of shards when complete."""
        return -(-self.rows // self.shard_rows)

    @property
    def row_digests(self) -> tuple[str, ...]:
        """Digests of the specs that rows are of."""
        return (self.digest,)

    @property
    def unit(self) -> str:
        """What rows are: "triplets" or "pairs"."""
        return "triplets" if tuple(self.patches) == PATCHES else "pairs"

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First row of a shard and the row after its last."""
        first = shard * self.shard_rows
        return first, min(first + self.shard_rows, self.rows)

    def rows_in(self, shard: int) -> int:
        """Rows of a shard when complete."""
        first, end = self.shard_range(shard)
        return end - first

    def schema(self) -> pa.Schema:
        """The schema of the shards."""
        metadata: dict[str, str | int] = {"spec_digest": self.digest}
        if self.patch_size != PATCH_SIZE:
            metadata["patch_size"] = self.patch_size
        return manifest_schema(self.units, metadata, self.patches, self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionInfo(DatasetInfo):
    """What `dataset.json` of a subset or a merged set holds.

    Its spec has "parts", the digests of the datasets that its rows were made as, and "ids", a
    digest over the ids of its rows in order. Rows keep their id, which ends in their number in
    the dataset that they were made as, and that dataset's `spec_digest`; their row is new.

    Args:
        parts: the descriptions of those datasets.
        history: how rows were chosen, a line for each step.
    """

    parts: tuple[DatasetInfo, ...]
    history: tuple[str, ...]

    @property
    def row_digests(self) -> tuple[str, ...]:
        """Digests of the specs that rows are of."""
        return tuple(part.digest for part in self.parts)


def write_info(folder: Location, info: DatasetInfo) -> None:
    """Write `dataset.json`, whole or not at all, and `sources.local.json`."""
    write_json(folder / INFO_NAME, stored_values(info))  # first: it makes the folder a dataset
    write_origin(folder, info.origin, info.digest)
    if isinstance(info, SelectionInfo) and info.origin is not None:
        write_part_origins(folder, info.parts)


def read_info(folder: Location) -> DatasetInfo:
    """Read `dataset.json`.

    Raises:
        UserError: when the folder is not a dataset.
        WorkError: when `dataset.json` is damaged or of another format.
    """
    path = folder / INFO_NAME
    try:
        # Older sets lack these.
        missing: dict[str, Any] = {"zoo": None, "outputs": {}, "split": None}
        variants = {"parts": SelectionInfo}
        return read_described(path, DatasetInfo, FORMAT_VERSION, missing, variants)
    except (FileNotFoundError, NotADirectoryError):
        inner = (
            sorted(found.parent for found in folder.glob(f"*/*/*/{INFO_NAME}"))
            if isinstance(folder, Path)
            else []
        )
        remedy = (
            f"one of the sets in it, such as {inner[0]}" if inner else "the folder that --out named"
        )
        gone = isinstance(folder, Path) and not folder.exists()
        lacking = "there is nothing of that name" if gone else f"it has no {INFO_NAME}"
        raise UserError(f"{folder} is not a dataset: {lacking}; give {remedy}") from None


def shard_path(folder: Location, shard: int) -> Location:
    """Where a shard lies."""
    return folder / DATA_FOLDER / f"part-{shard:05d}.parquet"


def shards_on_disk(folder: Location, info: DatasetInfo) -> dict[int, Location]:
    """The files of a dataset's shards by number, in order, whole or damaged; in one listing.

    What `dataset.json` says is taken for nothing but an upper bound.
    """
    found: dict[int, Location] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in (folder / DATA_FOLDER).iterdir():
            name = _SHARD_NAME.fullmatch(path.name)
            shard = int(name[1]) if name else info.shards
            if shard < info.shards and path.name == shard_path(folder, shard).name:
                found[shard] = path
    return dict(sorted(found.items()))


def shard_problems(folder: Location, info: DatasetInfo) -> Iterator[tuple[int, str]]:
    """Every shard with something wrong, in order, with what it is; see `shard_problem`.

    At a URL that takes one listing and one request for each shard that is there.
    """
    found = _checked_shards(folder, info)
    for shard in range(info.shards):
        problem = found.get(shard, "missing")
        if problem is not None:
            yield shard, problem


def _checked_shards(folder: Location, info: DatasetInfo) -> dict[int, str | None]:
    """What is wrong with each shard that is there; None where it is whole."""
    paths = shards_on_disk(folder, info)

    def problem(shard: int) -> str | None:
        return shard_problem(paths[shard], info, shard)

    return dict(zip(paths, map_remote(problem, paths, isinstance(folder, Url)), strict=True))


def shard_problem(
    path: Location, info: DatasetInfo, shard: int, *, partial: bool = False
) -> str | None:
    """Why a file is not that shard of a dataset, or None where it is, and whole; `shard_fault`."""
    expected = FileInfo(info.format_version, info.digest)
    rows = range(*info.shard_range(shard))
    return shard_fault(path, info.schema(), expected, info.row_digests, rows, partial=partial)


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened dataset or recipe."""

    folder: Location
    info: DatasetInfo

    def whole_shards(self) -> list[int]:
        """The shards that are there and whole, in order."""
        found = _checked_shards(self.folder, self.info)
        return [shard for shard, problem in found.items() if problem is None]

    def require_whole(self) -> None:
        """Raise WorkError unless every shard is there and whole."""
        found = _checked_shards(self.folder, self.info)
        bad = self.info.shards - sum(problem is None for problem in found.values())
        if not bad:
            return
        shard, problem = next(shard_problems(self.folder, self.info))
        more = f" and {bad - 1} more" if bad > 1 else ""
        raise WorkError(f"{shard_path(self.folder, shard)} is {problem}{more}; {_REFILL}")

    def require_pictures(self) -> None:
        """Raise UserError when it is a recipe, which has no pictures."""
        if not self.info.pictures:
            raise UserError(
                f"{self.folder} is a recipe without pictures; make them with `bapps-gen replay`"
            )

    def read_rows(self, shard: int) -> list[ManifestRow]:
        """The rows of one shard without their pictures."""
        plain = column_names(self.info.patches, pictures=False)
        batches = self.shard_batches(shard, plain)
        return [row for batch in batches for row in table_rows(batch)]

    def batches(
        self, columns: Sequence[str] | None = None, size: int = ROW_GROUP_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """All rows in order as Arrow batches of at most `size` rows, in flat memory."""
        for shard in range(self.info.shards):
            yield from self.shard_batches(shard, columns, size)

    def shard_batches(
        self,
        shard: int,
        columns: Sequence[str] | None = None,
        size: int = ROW_GROUP_ROWS,
        *,
        numbered: bool = True,
        verified: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one shard in order as Arrow batches of at most `size` rows.

        They have the judgments beside the shards, where there are any. With pictures larger than
        64 px they have fewer, so that memory stays the same.

        Args:
            numbered: whether rows of another number than their place says are refused.
            verified: whether pages are compared with their checksums.

        Raises:
            WorkError: when the shard is missing or damaged; names the row where one is.
        """
        path = shard_path(self.folder, shard)
        first = self.info.shard_range(shard)[0]
        read, complete = judged_reader(self.folder, self.info.digest, shard, columns)
        if columns is None or set(columns) & set(PATCHES):
            size = rows_within(size, self.info.patch_size)
        schema = self.info.schema()
        with self.readable(shard):
            place = 0
            for held in file_batches(path, size, read, verified=verified):
                batch = conform(held, schema, str(path))
                check_rows(batch, first + place, str(path), numbered=numbered)
                yield complete(batch, place)
                place += batch.num_rows

    @contextlib.contextmanager
    def readable(self, shard: int) -> Iterator[None]:
        """Say in one line that a shard is missing or damaged, with the row where that is known."""
        path = shard_path(self.folder, shard)
        try:
            yield
        except FileNotFoundError:
            raise WorkError(f"{path} is missing; {_REFILL}") from None
        except (OSError, pa.ArrowException) as error:
            patches = self.info.patches if self.info.pictures else ()
            first = self.info.shard_range(shard)[0]
            problem = damaged_row(path, self.info.schema(), first, patches) or first_line(error)
            raise WorkError(f"{path} is damaged ({problem}); {_REFILL}") from None


AnyDataset = str | os.PathLike[str] | Url | Dataset
"""A dataset's folder, its URL, or the open dataset."""


def open_dataset(dataset: AnyDataset, *, incomplete: bool = False) -> Dataset:
    """Open a dataset's folder. A dataset that is open already is returned as it is.

    Args:
        dataset: the folder with `dataset.json`, or its URL.
        incomplete: whether a dataset with missing or damaged shards may be opened.

    Raises:
        UserError: when the folder is not a dataset.
        WorkError: when it is incomplete and `incomplete` is False.
    """
    if isinstance(dataset, Dataset):
        return dataset
    folder = location_of(dataset)
    dataset = Dataset(folder, read_info(folder))
    if not incomplete:
        dataset.require_whole()
    return dataset
