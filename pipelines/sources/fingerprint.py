"""The images under some paths put in order and fingerprinted, as Arrow columns."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import SourceError
from bapps_gen.execution.progress import Progress
from bapps_gen.pipelines.sources.listing import find_files, unreadable
from bapps_gen.pipelines.sources.parquet import ParquetIndex, hash_group, index_parquet
from bapps_gen.pipelines.sources.tar import index_tar
from bapps_gen.storage.locations import map_remote, open_file, open_regular
from bapps_gen.storage.url import is_url, url_at

_HASH_RUN = 32
_MAX_THREADS = 16
_REQUEST_BYTES = 1 << 23  # read at a time from a URL for hashing


@dataclass(frozen=True, slots=True)
class Files:
    """Image files below a folder: `path` / key without its first `strip` characters."""

    path: str
    strip: int

    def locate(self, key: str) -> str:
        """Path or full URL of the file under a key."""
        name = key[self.strip :]
        return f"{self.path}/{name}" if is_url(self.path) else os.path.join(self.path, name)


@dataclass(frozen=True, slots=True)
class Tar:
    """An uncompressed tar file."""

    path: str


Container = Files | Tar | ParquetIndex
"""What holds images of a source."""


class ImageListing:
    """Images as they are found, before they are sorted and hashed."""

    def __init__(self) -> None:
        self.containers: list[Container] = []
        self.keys: list[str] = []
        self.positions: list[NDArray[np.int64]] = []  # container, offset, size

    def add_root(self, given: str, path: str, label: str, *, alone: bool) -> None:
        """Add what is at a path: an image, a tar or Parquet file, or all of these in a folder."""
        found = find_files(given)
        folder, prefix = path, "" if alone else f"{label}/"
        if found.single:
            folder, name = os.path.split(path)
            prefix = "" if alone else label.removesuffix(name)
        self.add_files(folder, prefix, found.images, found.sizes)
        remote = is_url(path)
        tars = [os.path.join(folder, name) for name in found.tars]
        indexed = map_remote(index_tar, tars, remote)
        for name, tar, members in zip(found.tars, tars, indexed, strict=True):
            self._add(
                Tar(tar),
                [f"{prefix}{name}/{member.name}" for member in members],
                [member.offset for member in members],
                [member.size for member in members],
            )
        parquets = [os.path.join(folder, name) for name in found.parquets]
        for name, index in zip(
            found.parquets, map_remote(index_parquet, parquets, remote), strict=True
        ):
            rows = index.starts[-1]
            self._add(index, [prefix + name] * rows, range(rows), [0] * rows)

    def add_files(
        self, folder: str, prefix: str, names: Sequence[str], sizes: Mapping[str, int]
    ) -> None:
        """Add image files below a folder; `sizes` has the bytes of those that a listing gave."""
        keys = [prefix + name for name in names]
        known = [sizes.get(name, 0) for name in names]
        self._add(Files(folder, len(prefix)), keys, [0] * len(keys), known)

    def _add(
        self, container: Container, keys: list[str], offsets: Iterable[int], sizes: Iterable[int]
    ) -> None:
        if not keys:
            return
        number = len(self.containers)
        self.containers.append(container)
        self.keys += keys
        columns = ([number] * len(keys), list(offsets), list(sizes))
        self.positions.append(np.array(columns, np.int64))

    def table(self, progress: Progress | None) -> Any:
        """Sort, hash, and put into Arrow columns."""
        # Stable: rows of a Parquet file share a key and stay in order.
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        self.keys = [self.keys[index] for index in order]
        positions = np.concatenate([*self.positions, np.empty((3, 0), np.int64)], axis=1)[:, order]
        self._check_names(positions[0])
        digests = self._hash(positions, progress)
        return pa.table(
            {
                "key": pa.array(self.keys, pa.large_string()),
                "container": positions[0],
                "offset": positions[1],
                "size": positions[2],
                "sha256": pa.array(digests, pa.binary(32)),
            }
        )

    def _check_names(self, containers: NDArray[np.int64]) -> None:
        for index in range(1, len(self.keys)):
            if self.keys[index] == self.keys[index - 1]:
                pair = containers[index - 1 : index + 1]
                if pair[0] != pair[1] or not isinstance(self.containers[pair[0]], ParquetIndex):
                    raise SourceError(
                        f"two images would have the same name '{self.keys[index]}'; "
                        "rename one of the folders given as --source"
                    )

    def _hash(self, positions: NDArray[np.int64], progress: Progress | None) -> list[bytes]:
        total = len(self.keys)
        digests: list[bytes] = []
        threads = min(_MAX_THREADS, max(4, os.cpu_count() or 1))
        pool = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        try:
            for run in pool.map(lambda task: task(), self._tasks(positions)):
                digests += run
                if progress is not None:
                    progress(len(digests), total)
        finally:
            pool.shutdown(cancel_futures=True)
        return digests

    def _tasks(self, positions: NDArray[np.int64]) -> Iterator[Callable[[], list[bytes]]]:
        """Pieces of hashing work, in the order of the images."""
        numbers, offsets, sizes = positions
        begin = 0
        while begin < len(self.keys):
            container = self.containers[numbers[begin]]
            end = begin + 1
            if isinstance(container, ParquetIndex):
                for group in range(len(container.starts) - 1):
                    yield partial(hash_group, container, group)
                begin += container.starts[-1]
                continue
            while end < min(len(self.keys), begin + _HASH_RUN) and numbers[end] == numbers[begin]:
                end += 1
            run = slice(begin, end)
            if isinstance(container, Files):
                paths = [container.locate(key) for key in self.keys[run]]
                yield partial(_hash_files, paths, sizes[run].tolist())
            else:
                parts = offsets[run].tolist(), sizes[run].tolist()
                yield partial(_hash_parts, container.path, *parts)
            begin = end


def _hash_parts(path: str, offsets: list[int], sizes: list[int]) -> list[bytes]:
    """SHA-256 of parts of a file, read in its order; at a URL, many small ones in one request."""
    digests = [b""] * len(offsets)
    try:
        with open_file(path, _REQUEST_BYTES) as file:
            for index in sorted(range(len(offsets)), key=offsets.__getitem__):
                file.seek(offsets[index])
                digests[index] = hashlib.sha256(file.read(sizes[index])).digest()
    except OSError as error:
        raise unreadable(path, error) from error
    return digests


def _hash_files(paths: list[str], sizes: list[int]) -> list[bytes]:
    return [_hash_file(path, size) for path, size in zip(paths, sizes, strict=True)]


def _hash_file(path: str, size: int) -> bytes:
    try:
        if is_url(path):
            return hashlib.sha256(read_file(path, size)).digest()
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise unreadable(path, error) from error


def read_file(path: str, size: int) -> bytes:
    """A file's content; `size` is what a listing gave for a URL, -1 where it gave none."""
    if is_url(path):
        url = url_at(path)
        return url.read_bytes() if size < 0 else url.read_range(0, size)
    with open_regular(path) as file:
        return file.read()
