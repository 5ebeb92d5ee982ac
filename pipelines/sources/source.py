"""Sources: ordered lists of images, each with a fingerprint, in folders, Parquet files and tars."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import ImageError, SourceError, WorkError, out_of_range, unknown_name
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.decode import decode_image
from bapps_gen.pipelines.sources.listing import find_files, root_labels, unreadable
from bapps_gen.pipelines.sources.parquet import ParquetIndex, RowReader, hash_group, index_parquet
from bapps_gen.pipelines.sources.prefetch import FetchAhead, Readable
from bapps_gen.pipelines.sources.tar import index_tar, read_part
from bapps_gen.storage.locations import (
    Url,
    is_url,
    location_of,
    open_file,
    shown,
    side_by_side,
    url_at,
)

BUILTIN_IMAGES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
BUILTIN_NOTE = (
    f"no --source given: using the {len(BUILTIN_IMAGES)} colour photographs that come with "
    "scikit-image (astronaut, chelsea, coffee, motorcycle_left, rocket), enough for a trial; for "
    "real work give thousands of your own photos (the paper used MIT-Adobe FiveK): "
    "--source PHOTOS (folder, Parquet or tar)"
)
SPLITS = ("train", "val")
CACHE_BYTES = 160_000_000
_HASH_RUN = 32
_MAX_THREADS = 16
_REQUEST_BYTES = 1 << 23  # read at a time from a URL for hashing


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image of a source.

    Args:
        name: POSIX path relative to its root; "shard.tar/member.jpg" within a tar file,
            "file.parquet#12" for row 12 of a Parquet file. With several roots, the root's base
            name comes first.
        sha256: of the encoded bytes, 64 hexadecimal digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Files:
    """Image files below a folder: `path` / key without its first `strip` characters."""

    path: str
    strip: int

    def locate(self, key: str) -> str:
        name = key[self.strip :]
        return f"{self.path}/{name}" if is_url(self.path) else os.path.join(self.path, name)


@dataclass(frozen=True, slots=True)
class _Tar:
    path: str


_Container = _Files | _Tar | ParquetIndex


class _Reader:
    """Open handles of one process; travels to another process empty."""

    def __init__(self) -> None:
        self.rows = RowReader()

    def __reduce__(self) -> tuple[type[_Reader], tuple[()]]:
        return _Reader, ()


@dataclass(frozen=True)
class Source:
    """An ordered list of images.

    Sorted by name (rows of a Parquet file by number), so the order does not depend on the file
    system. Held as Arrow columns, about 100 bytes an image, and cheap to pickle.

    Args:
        roots: absolute paths and URLs (without secrets) that the images come from; none for the
            built-in photographs.
        containers: folders, tar and Parquet files that hold them, by path or full URL.
        table: per image: key (name, or the file's name for a Parquet row), container, offset (in a
            tar file; row number in a Parquet file), size in bytes (in tar files and at URLs only),
            sha256.
    """

    roots: tuple[str, ...]
    containers: tuple[_Container, ...]
    table: Any = field(repr=False)
    _reader: _Reader = field(default_factory=_Reader, repr=False, compare=False)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def entries(self) -> Entries:
        """Name and SHA-256 of every image, in order."""
        return Entries(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and contents of the images in order, 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.name}\0{entry.sha256}\n".encode())
        return digest.hexdigest()

    @property
    def lone_file(self) -> str | None:
        """Name of the tar or Parquet file that is all of this source; its images' names begin so.

        None for folders and image files, and where there are several roots.
        """
        for container in self.containers:
            if not isinstance(container, _Files) and self.roots == (container.path,):
                return os.path.basename(container.path)
        return None

    def take(self, places: Sequence[int]) -> Source:
        """The images at some places, in that order."""
        table = self.table.take(pa.array(places, pa.int64())).combine_chunks()
        return Source(self.roots, self.containers, table)

    def read(self, index: int) -> bytes:
        """The encoded bytes of an image, checked against its SHA-256.

        Raises:
            ImageError: for a Parquet row without bytes.
            WorkError: when they are no longer those that the source was opened with.
        """
        entry = self.entries[index]
        row = self.table.slice(index % len(self), 1).to_pydict()
        container = self.containers[row["container"][0]]
        offset, size = row["offset"][0], row["size"][0]
        try:
            if isinstance(container, _Files):
                data = _read_file(container.locate(row["key"][0]), size)
            elif isinstance(container, _Tar):
                data = read_part(container.path, offset, size)
            else:
                data = self._reader.rows.read(container, offset)
        except (OSError, ValueError, pa.ArrowException) as error:
            detail = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise WorkError(
                f"{entry.name} can no longer be read ({detail}); restore it, then run the same "
                "command again to resume"
            ) from error
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise WorkError(
                f"{entry.name} has changed since the source was opened; restore it to resume, or "
                "start anew with another --out"
            )
        if not data and isinstance(container, ParquetIndex):
            raise ImageError("no bytes in this row; write the file with its images embedded")
        return data

    def is_awaited(self, index: int) -> bool:
        """Whether an image comes in a request of its own, worth making ahead of time."""
        if not self._remote:
            return False
        container = self.containers[self.table["container"][index].as_py()]
        return not isinstance(container, ParquetIndex) and is_url(container.path)

    @cached_property
    def _remote(self) -> bool:
        return any(is_url(container.path) for container in self.containers)

    def load(self, index: int) -> NDArray[np.uint8]:
        """An image, uint8 (H, W, 3), RGB.

        Raises:
            ImageError: when it cannot be decoded; its text is the reason.
            WorkError: as `read`.
        """
        return decode_image(self.read(index))


class Entries(Sequence[ImageEntry]):
    """The entries of a source, made on demand."""

    __slots__ = ("_keys", "_offsets", "_rows", "_sha256", "_source")

    def __init__(self, source: Source) -> None:
        table = source.table
        self._source = source
        self._keys, self._sha256 = table["key"], table["sha256"]
        self._offsets, self._rows = table["offset"], table["container"]

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> ImageEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ImageEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> ImageEntry | tuple[ImageEntry, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        name = self._keys[index].as_py()
        if isinstance(self._source.containers[self._rows[index].as_py()], ParquetIndex):
            name = f"{name}#{self._offsets[index].as_py()}"
        return ImageEntry(name, self._sha256[index].as_py().hex())

    def __iter__(self) -> Iterator[ImageEntry]:
        return (self[place] for place in range(len(self)))


def open_source(
    roots: Sequence[str | os.PathLike[str] | Url],
    *,
    split: str | None = None,
    val_fraction: float = 0.1,
    progress: Progress | None = None,
) -> Source:
    """List and fingerprint the images at some paths.

    Images are hashed, not decoded: a broken one is found when it is loaded.

    Args:
        roots: image files, Parquet files, tar files, and folders of these, as paths or URLs. None
            at all means the photographs that come with scikit-image (see BUILTIN_NOTE).
        split: "train" or "val" keeps the images of that part, told by content, so that copies of
            a photo never fall into both.
        val_fraction: share of contents that goes to val, in (0, 1).
        progress: called with (images hashed, images in all) as hashing goes on.

    Raises:
        SourceError: when a path is missing, a file cannot be read or is damaged, or nothing is
            found.
        UserError: for a bad `split` or `val_fraction`.
    """
    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS, f"splits are {', '.join(SPLITS)}")
    if not 0.0 < val_fraction < 1.0:
        raise out_of_range("val-fraction", val_fraction, "between 0 and 1", "0.1 is usual")

    listing = _Listing()
    places = [location_of(root) for root in roots]
    given = [place.full if isinstance(place, Url) else str(place) for place in places]
    paths = tuple(path if is_url(path) else os.path.abspath(path) for path in given)
    if paths:
        labels = root_labels(paths)
        for name, path, label in zip(given, paths, labels, strict=True):
            listing.add_root(name, path, label, alone=len(paths) == 1)
    else:
        folder = _builtin_folder()
        paths = (folder,)
        listing.add_files(folder, "", BUILTIN_IMAGES, {})
    # Built-in photographs lie elsewhere on the next machine, so no root is kept of them.
    names = tuple(map(shown, paths))
    source = Source(names if roots else (), tuple(listing.containers), listing.table(progress))
    if not len(source):
        raise SourceError(f"no images in {', '.join(names)}: the Parquet or tar files are empty")
    return source if split is None else split_source(source, split, val_fraction)


def _builtin_folder() -> str:
    spec = importlib.util.find_spec("skimage")  # finds it without importing it
    folder = os.path.join(os.path.dirname(spec.origin or ""), "data") if spec else ""
    if not all(os.path.isfile(os.path.join(folder, name)) for name in BUILTIN_IMAGES):
        raise SourceError(
            "the photographs that come with scikit-image are not installed; give photos of your "
            "own with --source, or reinstall scikit-image"
        )
    return folder


def split_source(source: Source, split: str, val_fraction: float) -> Source:
    """The images whose content falls into a part: SHA-256 as a number in [0, 1).

    Raises:
        SourceError: when none does.
    """
    digests = b"".join(source.table["sha256"].to_pylist())
    heads = np.frombuffer(digests, ">u8").reshape(-1, 4)[:, 0]
    number = (heads >> np.uint64(11)) * 2.0**-53
    kept = number < val_fraction if split == "val" else number >= val_fraction
    if not kept.any():
        remedy = "raise" if split == "val" else "lower"
        raise SourceError(
            f"split '{split}' gets none of the {len(source)} images with val-fraction "
            f"{val_fraction}; add images or {remedy} val-fraction"
        )
    return Source(source.roots, source.containers, source.table.filter(pa.array(kept)))


class _Listing:
    """Images as they are found, before they are sorted and hashed."""

    def __init__(self) -> None:
        self.containers: list[_Container] = []
        self.keys: list[str] = []
        self.places: list[NDArray[np.int64]] = []  # container, offset, size

    def add_root(self, given: str, path: str, label: str, *, alone: bool) -> None:
        found = find_files(given)
        folder, prefix = path, "" if alone else f"{label}/"
        if found.single:
            folder, name = os.path.split(path)
            prefix = "" if alone else label.removesuffix(name)
        self.add_files(folder, prefix, found.images, found.sizes)
        remote = is_url(path)
        tars = [os.path.join(folder, name) for name in found.tars]
        indexed = side_by_side(index_tar, tars, remote)
        for name, tar, members in zip(found.tars, tars, indexed, strict=True):
            self._add(
                _Tar(tar),
                [f"{prefix}{name}/{member.name}" for member in members],
                [member.offset for member in members],
                [member.size for member in members],
            )
        parquets = [os.path.join(folder, name) for name in found.parquets]
        for name, index in zip(
            found.parquets, side_by_side(index_parquet, parquets, remote), strict=True
        ):
            rows = index.starts[-1]
            self._add(index, [prefix + name] * rows, range(rows), [0] * rows)

    def add_files(
        self, folder: str, prefix: str, names: Sequence[str], sizes: Mapping[str, int]
    ) -> None:
        keys = [prefix + name for name in names]
        known = [sizes.get(name, 0) for name in names]
        self._add(_Files(folder, len(prefix)), keys, [0] * len(keys), known)

    def _add(
        self, container: _Container, keys: list[str], offsets: Iterable[int], sizes: Iterable[int]
    ) -> None:
        if not keys:
            return
        place = len(self.containers)
        self.containers.append(container)
        self.keys += keys
        columns = ([place] * len(keys), list(offsets), list(sizes))
        self.places.append(np.array(columns, np.int64))

    def table(self, progress: Progress | None) -> Any:
        """Sort, hash, and put into Arrow columns."""
        # Stable: rows of a Parquet file share a key and stay in order.
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        self.keys = [self.keys[place] for place in order]
        places = np.concatenate([*self.places, np.empty((3, 0), np.int64)], axis=1)[:, order]
        self._check_names(places[0])
        digests = self._hash(places, progress)
        return pa.table(
            {
                "key": pa.array(self.keys, pa.large_string()),
                "container": places[0],
                "offset": places[1],
                "size": places[2],
                "sha256": pa.array(digests, pa.binary(32)),
            }
        )

    def _check_names(self, containers: NDArray[np.int64]) -> None:
        for place in range(1, len(self.keys)):
            if self.keys[place] == self.keys[place - 1]:
                pair = containers[place - 1 : place + 1]
                if pair[0] != pair[1] or not isinstance(self.containers[pair[0]], ParquetIndex):
                    raise SourceError(
                        f"two images would have the same name '{self.keys[place]}'; "
                        "rename one of the folders given as --source"
                    )

    def _hash(self, places: NDArray[np.int64], progress: Progress | None) -> list[bytes]:
        total = len(self.keys)
        digests: list[bytes] = []
        threads = min(_MAX_THREADS, max(4, os.cpu_count() or 1))
        pool = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        try:
            for run in pool.map(lambda task: task(), self._tasks(places)):
                digests += run
                if progress is not None:
                    progress(len(digests), total)
        finally:
            pool.shutdown(cancel_futures=True)
        return digests

    def _tasks(self, places: NDArray[np.int64]) -> Iterator[Callable[[], list[bytes]]]:
        """Pieces of hashing work, in the order of the images."""
        numbers, offsets, sizes = places
        begin = 0
        while begin < len(self.keys):
            container = self.containers[numbers[begin]]
            end = begin + 1
            if isinstance(container, ParquetIndex):
                yield from (
                    _group_task(container, group) for group in range(len(container.starts) - 1)
                )
                begin += container.starts[-1]
                continue
            while end < min(len(self.keys), begin + _HASH_RUN) and numbers[end] == numbers[begin]:
                end += 1
            run = slice(begin, end)
            if isinstance(container, _Files):
                paths = [container.locate(key) for key in self.keys[run]]
                yield _files_task(paths, sizes[run].tolist())
            else:
                yield _tar_task(container.path, offsets[run].tolist(), sizes[run].tolist())
            begin = end


def _group_task(index: ParquetIndex, group: int) -> Callable[[], list[bytes]]:
    return lambda: hash_group(index, group)


def _tar_task(path: str, offsets: list[int], sizes: list[int]) -> Callable[[], list[bytes]]:
    def hash_members() -> list[bytes]:
        try:
            if is_url(path):
                return _hash_parts(path, offsets, sizes)
            return [
                hashlib.sha256(read_part(path, offset, size)).digest()
                for offset, size in zip(offsets, sizes, strict=True)
            ]
        except OSError as error:
            raise unreadable(path, error) from error

    return hash_members


def _hash_parts(path: str, offsets: list[int], sizes: list[int]) -> list[bytes]:
    """SHA-256 of parts of a URL, read in the file's order, many small ones in one request."""
    found = [b""] * len(offsets)
    with open_file(path, _REQUEST_BYTES) as file:
        for place in sorted(range(len(offsets)), key=offsets.__getitem__):
            file.seek(offsets[place])
            found[place] = hashlib.sha256(file.read(sizes[place])).digest()
    return found


def _files_task(paths: list[str], sizes: list[int]) -> Callable[[], list[bytes]]:
    return lambda: [_hash_file(path, size) for path, size in zip(paths, sizes, strict=True)]


def _hash_file(path: str, size: int) -> bytes:
    try:
        if is_url(path):
            return hashlib.sha256(_read_file(path, size)).digest()
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise unreadable(path, error) from error


def _read_file(path: str, size: int) -> bytes:
    """A file's content; `size` is what a listing told of a URL, -1 for nothing."""
    if is_url(path):
        url = url_at(path)
        return url.read_bytes() if size < 0 else url.read_range(0, size)
    with open(path, "rb") as file:
        return file.read()


class ImageCache:
    """Decoded images of a source, the most recently used within a budget of bytes.

    Args:
        source: the source.
        budget: bytes to hold, decoding included: room for it is made before it starts. An image
            that takes more is held alone.

    `failures` has the reason for every image that could not be decoded, by index.
    """

    def __init__(self, source: Readable, budget: int = CACHE_BYTES) -> None:
        self.source = source
        self.budget = budget
        self.failures: dict[int, str] = {}
        self._ahead = FetchAhead(source)
        self._images: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._held = 0

    def expect(self, indices: Iterable[int]) -> None:
        """Say which images will be asked for next, in that order, so that they can be fetched."""
        self._ahead.expect(index for index in dict.fromkeys(indices) if index not in self._images)

    def get(self, index: int) -> NDArray[np.uint8]:
        """An image, uint8 (H, W, 3), RGB, read-only since it is shared.

        Raises:
            ImageError: when it cannot be decoded; the second time without trying again.
            WorkError: when its content has changed.
        """
        if index in self._images:
            self._images.move_to_end(index)
            return self._images[index]
        if index in self.failures:
            raise ImageError(self.failures[index])
        try:
            image = decode_image(self._ahead.read(index), reserve=self._make_room)
        except ImageError as error:
            self.failures[index] = str(error)
            raise
        image.flags.writeable = False
        self._images[index] = image
        self._held += image.nbytes
        return image

    def _make_room(self, size: int) -> None:
        while self._images and self._held + size > self.budget:
            _, image = self._images.popitem(last=False)
            self._held -= image.nbytes
