"""Sources: ordered lists of images, each with a fingerprint, in folders, Parquet files and tars."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import (
    ImageError,
    SourceError,
    UserError,
    WorkError,
    out_of_range,
)
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.decode import decode_image
from bapps_gen.imaging.raw import INSTALL, RAW_SUFFIXES
from bapps_gen.pipelines.sources.fingerprint import Container, Files, ImageListing, Tar, read_file
from bapps_gen.pipelines.sources.listing import root_labels
from bapps_gen.pipelines.sources.options import SPLIT, VAL_FRACTION
from bapps_gen.pipelines.sources.parquet import ParquetIndex, RowReader
from bapps_gen.pipelines.sources.tar import read_part
from bapps_gen.storage.locations import location_of
from bapps_gen.storage.url import Url, is_url, redacted

logger = logging.getLogger(__name__)

BUILTIN_IMAGES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
BUILTIN_NOTE = (
    f"no --source given: using the {len(BUILTIN_IMAGES)} color photographs that come with "
    "scikit-image (astronaut, chelsea, coffee, motorcycle_left, rocket), enough for a trial; for "
    "real work give thousands of your own photos (the paper used MIT-Adobe FiveK): "
    "--source PHOTOS (folder, Parquet or tar)"
)
"""Share of contents in val, where nothing else is asked for (own choice)."""
FEW_IMAGES = 20
"""With fewer in a split, rows of one image are a large part of all (own choice)."""


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
    containers: tuple[Container, ...]
    table: Any = field(repr=False)
    _rows: RowReader = field(default_factory=RowReader, repr=False, compare=False)

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
            if not isinstance(container, Files) and self.roots == (container.path,):
                return os.path.basename(container.path)
        return None

    def take(self, indices: Sequence[int]) -> Source:
        """The images of some indices, in that order."""
        table = self.table.take(pa.array(indices, pa.int64())).combine_chunks()
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
            if isinstance(container, Files):
                data = read_file(container.locate(row["key"][0]), size)
            elif isinstance(container, Tar):
                data = read_part(container.path, offset, size)
            else:
                data = self._rows.read(container, offset)
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

    def __init__(self, source: Source) -> None:
        table = source.table
        self._containers = source.containers
        self._keys, self._sha256 = table["key"], table["sha256"]
        self._offsets, self._numbers = table["offset"], table["container"]

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> ImageEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ImageEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> ImageEntry | tuple[ImageEntry, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        name = self._keys[index].as_py()
        if isinstance(self._containers[self._numbers[index].as_py()], ParquetIndex):
            name = f"{name}#{self._offsets[index].as_py()}"
        return ImageEntry(name, self._sha256[index].as_py().hex())


def open_source(
    roots: Sequence[str | os.PathLike[str] | Url],
    *,
    split: str | None = None,
    val_fraction: float = VAL_FRACTION.default,
    progress: Progress | None = None,
) -> Source:
    """List and fingerprint the images at some paths.

    Images are hashed, not decoded: a broken one is found when it is loaded.

    Args:
        roots: image files, Parquet files, tar files, and folders of these, as paths or URLs. None
            at all means the photographs that come with scikit-image (see BUILTIN_NOTE).
        split: "train" or "val" keeps the images of that part; content decides, so that copies of a
            photo never fall into both.
        val_fraction: share of contents that goes to val, in (0, 1).
        progress: called with (images hashed, images in all) as hashing goes on.

    Raises:
        SourceError: when a path is missing, a file cannot be read or is damaged, or nothing is
            found.
        UserError: for a bad `split` or `val_fraction`.
    """
    check_split(split, val_fraction)
    listing = ImageListing()
    locations = [location_of(root) for root in roots]
    given = [each.full if isinstance(each, Url) else str(each) for each in locations]
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
    names = tuple(map(redacted, paths))
    source = Source(names if roots else (), tuple(listing.containers), listing.table(progress))
    _check_raw(source)
    if not len(source):
        raise SourceError(f"no images in {', '.join(names)}: the Parquet or tar files are empty")
    return source if split is None else split_source(source, split, val_fraction)


def _check_raw(source: Source) -> None:
    """Raise UserError where there are camera raw files that cannot be read here."""
    if importlib.util.find_spec("rawpy"):
        return
    for name in source.table["key"].to_pylist():
        if name.lower().endswith(RAW_SUFFIXES):
            raise UserError(f"{name} is a camera raw file, which needs further packages; {INSTALL}")


def check_split(split: str | None, val_fraction: float) -> None:
    """Raise UserError unless images can be divided so."""
    if split is not None:
        SPLIT.check("split", split)
    if not 0.0 < val_fraction < 1.0:
        raise out_of_range("val-fraction", val_fraction, "between 0 and 1", "0.1 is usual")


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

    A warning names their number where it is below FEW_IMAGES.

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
    count = int(kept.sum())
    if count < FEW_IMAGES:
        logger.warning(
            "split '%s' has %d of the %d images, and all rows are cut from these; add images%s",
            *(split, count, len(source)),
            " or raise --val-fraction" if split == "val" else "",
        )
    return Source(source.roots, source.containers, source.table.filter(pa.array(kept)))
