"""A collection's folder: datasets at TASK/SPLIT/NAME, `collection.json`, and a data card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from bapps_gen.errors import BappsGenError, UserError, unknown_name
from bapps_gen.manifests.dataset import (
    INFO_NAME,
    MAX_ROWS,
    AnyDataset,
    Dataset,
    read_info,
    shard_path,
)
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import Location, location_of
from bapps_gen.storage.records import Count, Digest, Matching, Within, read_record
from bapps_gen.storage.workspace import Layout

COLLECTION_NAME = "collection.json"
COLLECTION = Layout("collection", COLLECTION_NAME, ignored=("README",))
COLLECTION_VERSION = 1
"""Raised when entries of `collection.json` change their meaning."""

_PATH = r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){2}"
SetPath = Annotated[str, Matching(_PATH, "TASK/SPLIT/NAME")]


@dataclass(frozen=True, slots=True)
class SetRecord:
    """One set in `collection.json`.

    Args:
        path: its folder, "TASK/SPLIT/NAME".
        kind: of set.
        rows: when it is complete.
        seed: of the set.
        source: name of its photos among the collection's sources; None for none.
        options: given for this set, as plain values.
        made: rows there are in whole shards.
        bytes: of those shards.
        spec_digest: of its rows; None where nothing of it was made yet.
        problem: why the last run could not finish it, or None.
    """

    path: SetPath
    kind: str
    rows: Annotated[int, Within(1, MAX_ROWS)]
    seed: Count
    source: str | None
    options: Mapping[str, Any]
    made: Count = 0
    bytes: Count = 0
    spec_digest: Digest | None = None
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all its rows are there."""
        return self.made == self.rows

    @property
    def state(self) -> str:
        """As text: "complete", "incomplete", "not made", or "failed: …"."""
        if self.complete:
            return "complete"
        if self.problem:
            return f"failed: {self.problem}"
        return "incomplete" if self.made else "not made"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Photos of a collection: names of the folders and files that they were in, and URLs, which
    part was taken, how many, and their digest."""

    roots: tuple[str, ...]
    split: str | None
    val_fraction: float | None
    images: Count
    digest: str


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What `collection.json` holds.

    Args:
        name: of the collection.
        seed: that the sets' seeds are derived from.
        scale: factor on the counts.
        digest: 32 hexadecimal digits over the spec: names, kinds, counts, seeds and options.
        version: of this package.
        command: that was run last.
        sets: every set of the collection.
        left_out: reasons by path of sets that belong to it but were left out.
        sources: photos by name.
        shared_photos: contents that occur both in train and in another split.
        format_version: COLLECTION_VERSION.
    """

    name: str
    seed: int
    scale: float
    digest: Digest
    version: str
    command: str
    sets: tuple[SetRecord, ...]
    left_out: Mapping[str, str]
    sources: Mapping[str, SourceRecord]
    shared_photos: Count
    format_version: int = COLLECTION_VERSION


@dataclass(frozen=True, slots=True)
class Collection:
    """An opened collection."""

    folder: Location
    info: CollectionInfo

    def set_folder(self, record: SetRecord) -> Location:
        """Where a set lies."""
        return self.folder / record.path

    def refreshed(self) -> Collection:
        """With what is on disk now."""
        records = tuple(refreshed(self.set_folder(record), record) for record in self.info.sets)
        return replace(self, info=replace(self.info, sets=records))

    def datasets(self) -> list[tuple[SetRecord, Dataset]]:
        """The sets of which something was made, with their datasets.

        Raises:
            WorkError: when the `dataset.json` of one is damaged.
        """
        return [
            (record, Dataset(self.set_folder(record), read_info(self.set_folder(record))))
            for record in self.info.sets
            if (self.set_folder(record) / INFO_NAME).exists()
        ]

    def whole_datasets(self) -> list[tuple[SetRecord, Dataset]]:
        """As `datasets`, once all of them are whole.

        Raises:
            UserError: when nothing was made yet.
            WorkError: when one has shards that are missing or damaged.
        """
        made = self.datasets()
        if not made:
            raise UserError(f"{self.folder} has no set yet; make it with `bapps-gen collection`")
        for _, dataset in made:
            dataset.require_whole()
        return made

    def chosen_datasets(self, names: Sequence[str] = ()) -> list[tuple[SetRecord, Dataset]]:
        """As `whole_datasets`, of the sets that some names stand for; all without names.

        A name is a set's path, or some of its parts such as "2afc/val", "val" or "traditional".

        Raises:
            UserError: for a name that stands for no set of which something was made.
        """
        made = self.datasets()
        for name in names:
            if not any(_is_meant(name, record.path) for record, _ in made):
                paths = [record.path for record, _ in made]
                known = sorted({word for path in paths for word in (path, *path.split("/"))})
                raise unknown_name("set", name, known, f"sets are {', '.join(paths)}")
        chosen = [
            (record, dataset)
            for record, dataset in made
            if not names or any(_is_meant(name, record.path) for name in names)
        ]
        for _, dataset in chosen:
            dataset.require_whole()
        return chosen


def _is_meant(name: str, path: str) -> bool:
    return bool(name) and f"/{name}/" in f"/{path}/"


def find_collection(folder: AnyDataset | Collection) -> Collection | None:
    """The collection that is in a folder, or None where it is a dataset or neither.

    Raises:
        WorkError: when its description is damaged.
    """
    if isinstance(folder, Collection):
        return folder
    if isinstance(folder, Dataset):
        return None
    location = location_of(folder)
    return open_collection(location) if is_collection(location) else None


def is_collection(folder: Location) -> bool:
    """Whether a folder holds a collection."""
    return (folder / COLLECTION_NAME).is_file()


def write_collection(folder: Location, info: CollectionInfo) -> None:
    """Write `collection.json`, whole or not at all."""
    write_json(folder / COLLECTION_NAME, asdict(info))


def open_collection(folder: Location) -> Collection:
    """Read `collection.json`.

    Raises:
        UserError: when the folder is no collection.
        WorkError: when the file is damaged or of another version.
    """
    path = folder / COLLECTION_NAME
    try:
        return Collection(folder, read_record(path, CollectionInfo, COLLECTION_VERSION))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} is not a collection: it has no {COLLECTION_NAME}; give the folder that "
            "`bapps-gen collection --out` named"
        ) from None


def refreshed(folder: Location, record: SetRecord) -> SetRecord:
    """A set's record with what its folder holds now."""
    rows, size, digest = set_state(folder)
    problem = None if rows == record.rows else record.problem
    return replace(record, made=rows, bytes=size, spec_digest=digest, problem=problem)


def set_state(folder: Location) -> tuple[int, int, str | None]:
    """Rows and bytes in the whole shards of a set's folder, and the digest of its spec.

    Nothing at all where the folder is no dataset, or its `dataset.json` cannot be read.
    """
    try:
        info = read_info(folder)
    except BappsGenError:
        return 0, 0, None
    rows = size = 0
    for shard in Dataset(folder, info).whole_shards():
        rows += info.rows_in(shard)
        size += shard_path(folder, shard).stat().st_size
    return rows, size, info.digest
