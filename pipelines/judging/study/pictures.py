"""The pictures of a study: rendered once, kept in one file, and sent under ids that say nothing.

`pictures.sqlite` has every distinct picture and, for each showing, an id of its own. All files that
a browser gets are of the same size, and two showings of one picture differ in their bytes, so that
neither names, sizes nor hashes tell what a trial shows.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bapps_gen.distortions.noise import add_gaussian
from bapps_gen.errors import WorkError, first_line
from bapps_gen.imaging.encode import decode_png, encode_png
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.judging.study.plan import Picture
from bapps_gen.seeding import generator
from bapps_gen.storage.atomic import whole_file

PICTURES_NAME = "pictures.sqlite"

_TABLES = (
    "create table pictures (number integer primary key, png blob not null)",
    "create table images (id text primary key, number integer not null) without rowid",
    "create table size (bytes integer not null)",
)
_END_LENGTH = 12  # of a PNG's last chunk, which has no data
_CHUNK_LENGTH = 12  # of any chunk besides its data
_LEAST_PADDING = 32  # bytes, so that two showings of the largest picture differ too
_CHUNK = b"paDd"  # by its letters: ancillary, private, safe to copy


def opaque_id(key: bytes, *parts: object) -> str:
    """An id that cannot be guessed without the study's key: 128 bits of HMAC-SHA256, in hex."""
    text = ":".join(map(str, parts)).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]


def write_pictures(
    path: Path, datasets: Sequence[Dataset], pictures: Iterable[Picture], images: Mapping[str, int]
) -> None:
    """Write `pictures.sqlite`, whole or not at all.

    Args:
        path: of the file.
        datasets: that the pictures' indices refer to; triplets or pairs with pictures.
        pictures: distinct; a picture's number is its place.
        images: number of the picture by the id of each showing.

    Raises:
        WorkError: when a dataset is damaged or the file cannot be written.
    """
    wanted: dict[tuple[int, int], list[tuple[int, Picture]]] = {}
    for number, picture in enumerate(pictures):
        wanted.setdefault((picture.dataset, picture.row), []).append((number, picture))
    with whole_file(path) as temporary, contextlib.closing(sqlite3.connect(temporary)) as base:
        base.execute("pragma journal_mode = off")  # the file appears whole or not at all
        for statement in _TABLES:
            base.execute(statement)
        largest = 0
        for number, png in _rendered(datasets, wanted):
            largest = max(largest, len(png))
            base.execute("insert into pictures values (?, ?)", (number, png))
        base.executemany("insert into images values (?, ?)", sorted(images.items()))
        base.execute("insert into size values (?)", (largest + _CHUNK_LENGTH + _LEAST_PADDING,))
        base.commit()


def _rendered(
    datasets: Sequence[Dataset], wanted: Mapping[tuple[int, int], list[tuple[int, Picture]]]
) -> Iterator[tuple[int, bytes]]:
    for index, dataset in enumerate(datasets):
        row = 0
        for batch in dataset.batches([*dataset.info.patches]):
            for stored in range(batch.num_rows):
                for number, picture in wanted.get((index, row), ()):
                    png = batch.column(picture.patch)[stored]["bytes"].as_py()
                    yield number, _with_noise(png, picture) if picture.sigma else png
                row += 1


def _with_noise(png: bytes, picture: Picture) -> bytes:
    rng = generator(picture.seed)
    return encode_png(add_gaussian(decode_png(png), {"sigma": picture.sigma}, rng))


class PictureStore:
    """Reads `pictures.sqlite`; for one thread at a time.

    Args:
        path: of the file.
        key: of the study.

    Raises:
        WorkError: when it is missing or damaged.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._key = key
        self._path = path
        try:
            # Opened and closed by one thread, read by another: never by two at once.
            self._base = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
            ((self._size,),) = self._base.execute("select bytes from size").fetchall()
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from None

    def image(self, identity: str) -> bytes | None:
        """The PNG file of a showing, padded to the size that all have; None for an unknown id."""
        query = "select png from pictures join images using (number) where id = ?"
        try:
            found = self._base.execute(query, (identity,)).fetchone()
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        return None if found is None else padded_png(found[0], self._size, self._key, identity)

    def require(self, identity: str) -> bytes:
        """The PNG file of a showing that there has to be."""
        data = self.image(identity)
        if data is None:
            raise self._damaged(KeyError(f"it lacks picture {identity}"))
        return data

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _damaged(self, error: Exception) -> WorkError:
        return WorkError(
            f"{self._path} is missing or damaged ({first_line(error)}); "
            "make the study again in another folder, or restore the file from a copy"
        )


def padded_png(png: bytes, size: int, key: bytes, identity: str) -> bytes:
    """A PNG file of exactly `size` bytes with the same pixels, padded in a way of the id's own.

    Args:
        png: the file, at least 12 bytes smaller.
        size: in bytes.
        key: of the study.
        identity: id of the showing.
    """
    length = size - len(png) - _CHUNK_LENGTH
    padding = _CHUNK + hashlib.shake_128(key + identity.encode()).digest(length)
    chunk = struct.pack(">I", length) + padding + struct.pack(">I", zlib.crc32(padding))
    return png[:-_END_LENGTH] + chunk + png[-_END_LENGTH:]
