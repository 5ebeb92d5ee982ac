"""URLs of object stores and the like by way of fsspec, with the part of pathlib's interface in use.

fsspec and its backends are imported when a URL is first used. A `Url` differs little from a `Path`:
there are no folders to make, no locks, and a write is one upload that appears whole or not at all.
"""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import posixpath
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bapps_gen.errors import BappsGenError, UserError
from bapps_gen.storage.remote_errors import missing_package, remote_error

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # two letters: "c:/" is a drive
_USERS_ARE_NAMES = ("abfs", "abfss")  # container@account

_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory")
"""Stores in which an object appears whole or not at all; elsewhere half a file could be seen."""


def is_url(text: str) -> bool:
    """Whether a text is a URL; an absolute local path never is."""
    return _URL.match(text) is not None


def redacted(text: str) -> str:
    """A path or URL as it may be shown and recorded: without user, password and query."""
    if not is_url(text):
        return text
    protocol, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and (protocol.lower() not in _USERS_ARE_NAMES or ":" in user):
        authority = host
    return f"{protocol}://{authority}{slash}{path}"


def url_at(text: str) -> Url:
    """A `Url` from its full text, taken to be one."""
    protocol, _, rest = text.partition("://")
    authority, _, path = rest.partition("/")
    return Url(f"{protocol}://{authority}", path.strip("/"))


class RemoteStat(NamedTuple):
    """What is known of an object, under pathlib's name."""

    st_size: int


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """A location at a URL. Its text never has a user's name or password, which may be secrets.

    Methods raise FileNotFoundError where nothing is there, and UserError or WorkError, each one
    line with a remedy, for whatever else a backend raises: no bucket, no credentials, no rights,
    no connection. It holds no connection, so it may go to any process or thread.

    Args:
        root: protocol and authority as given, such as "s3://bucket".
        path: below the root, without slashes at its ends.
        size: in bytes, where a listing gave it.
    """

    root: str
    path: str = ""
    size: int | None = field(default=None, compare=False)

    @property
    def full(self) -> str:
        """The whole URL, with the user and password that it was given with; not to be shown."""
        return f"{self.root}/{self.path}" if self.path else self.root

    @property
    def protocol(self) -> str:
        """The part before "://", in lower case."""
        return self.root.partition("://")[0].lower()

    def __str__(self) -> str:
        return redacted(self.full)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    @property
    def name(self) -> str:
        """The last part of the path; of a root, its authority."""
        return posixpath.basename(self.path) or redacted(self.root).partition("://")[2]

    @property
    def parent(self) -> Url:
        """The folder above."""
        return Url(self.root, posixpath.dirname(self.path))

    def __truediv__(self, below: str | os.PathLike[str]) -> Url:
        name = Path(below).as_posix().strip("/")
        if name in ("", "."):
            return self
        return Url(self.root, f"{self.path}/{name}" if self.path else name)

    def resolve(self) -> Url:
        """Itself: a URL is absolute."""
        return self

    # Reading

    def exists(self) -> bool:
        """Whether an object or anything below is there."""
        return self._kind() != ""

    def is_file(self) -> bool:
        """Whether an object is there."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Whether anything is below."""
        return self._kind() == "directory"

    def _kind(self) -> str:
        try:
            return str(self._call("read", lambda fs, path: _fresh(fs).info(path))["type"])
        except FileNotFoundError:
            return ""

    def stat(self) -> RemoteStat:
        """The size, asked for where no listing gave it."""
        if self.size is not None:
            return RemoteStat(self.size)
        info = self._call("read", lambda fs, path: _fresh(fs).info(path))
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self))
        return RemoteStat(int(info["size"]))

    def iterdir(self) -> Iterator[Url]:
        """What lies directly below, with sizes; nothing where nothing is there."""
        try:
            own, listed = self._call("read", lambda fs, path: (path, _fresh(fs).ls(path, True)))
        except FileNotFoundError:
            return
        for entry in listed:
            name = entry["name"].strip("/")
            if name != own.strip("/"):  # an object that stands for the folder itself
                below = self / posixpath.basename(name)
                size = entry.get("size") if entry["type"] == "file" else None
                yield Url(below.root, below.path, size)

    def glob(self, pattern: str) -> Iterator[Url]:
        """What lies directly below under names of a pattern."""
        return (url for url in self.iterdir() if fnmatch.fnmatchcase(url.name, pattern))

    def walk(self) -> dict[str, int]:
        """Size by name, relative to this location, of every object below; "" is the object here.

        A size is -1 where listings do not give it.
        """
        own, listed = self._call(
            "read", lambda fs, path: (path, _fresh(fs).find(path, detail=True))
        )
        return {
            name[len(own) :].strip("/"): int(-1 if (size := entry.get("size")) is None else size)
            for name, entry in listed.items()
            if not name.endswith("/")  # what some tools write to stand for a folder
        }

    def read_bytes(self) -> bytes:
        """The object's content; in one request where its size is known."""
        if self.size is not None:
            return self.read_range(0, self.size)
        return bytes(self._call("read", lambda fs, path: fs.cat_file(path)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object's content as text."""
        return self.read_bytes().decode(encoding)

    def read_range(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, in one request.

        Raises:
            OSError: when there are fewer.
        """
        if size == 0:
            return b""
        data = bytes(
            self._call("read", lambda fs, path: fs.cat_file(path, start=offset, end=offset + size))
        )
        if len(data) != size:
            raise OSError(errno.EIO, f"cut short: {len(data)} of {size} bytes", str(self))
        return data

    def open(self, buffer: int = 0) -> io.RawIOBase | io.BufferedReader:
        """The object for reading by byte ranges: those asked for, or `buffer` bytes at a time."""
        raw = _RangeFile(self)
        return io.BufferedReader(raw, buffer) if buffer else raw

    # Writing

    def check_writable(self) -> None:
        """Raise UserError unless files can appear whole or not at all here."""
        if self.protocol not in _OBJECT_STORES:
            _check_protocol(self)
            raise UserError(
                f"{self} cannot be written to: files could be seen half-written there; use a "
                "local folder or an object store (s3://, gs://, abfs://), and copy the result"
            )

    def upload(self, local: Path) -> None:
        """Put a local file's content here, whole or not at all."""
        self.check_writable()
        try:
            self._call("write", lambda fs, path: fs.put_file(str(local), path))
        except FileNotFoundError as error:
            raise UserError(
                f"{self} cannot be written: {redacted(self.root)} does not exist; create it, or "
                "correct the URL"
            ) from error

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Nothing: folders come with the objects in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        self._call("write", lambda fs, path: fs.rm_file(path))

    def _call(self, doing: str, verb: Callable[[Any, str], Any]) -> Any:
        """`verb(filesystem, path)`, its exceptions turned into this project's."""
        filesystem = _filesystem(self)
        try:
            return verb(filesystem, filesystem._strip_protocol(self.full))
        except (BappsGenError, MemoryError):
            raise
        except Exception as error:  # backends raise classes of their own, which have no common base
            raise remote_error(str(self), redacted(self.root), error, doing) from error


class _RangeFile(io.RawIOBase):
    """An object's content, each read one request for just the bytes asked for."""

    def __init__(self, url: Url) -> None:
        self._url, self._size, self._position = url, url.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        data = self._url.read_range(self._position, size)
        self._position += size
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


_filesystems: dict[tuple[object, ...], Any] = {}


def _filesystem(url: Url) -> Any:
    """The process's fsspec filesystem for a URL's root; connections do not survive a fork.

    Asynchronous ones serve all threads from one loop; others are of one thread each.
    """
    key: tuple[object, ...] = (os.getpid(), url.root)
    known = _filesystems.get(key) or _filesystems.get((*key, threading.get_ident()))
    if known is not None:
        return known
    _check_protocol(url)
    from fsspec.core import url_to_fs

    try:
        filesystem, _ = url_to_fs(url.root if url.root[-1] != "/" else url.full)
    except ImportError as error:
        raise missing_package(str(url), url.protocol, error) from error
    except Exception as error:  # see Url._call
        raise remote_error(str(url), redacted(url.root), error, "read") from error
    _filesystems[key if filesystem.async_impl else (*key, threading.get_ident())] = filesystem
    return filesystem


def _check_protocol(url: Url) -> None:
    """Raise UserError for an unknown protocol or a missing package."""
    try:
        from fsspec import get_filesystem_class

        get_filesystem_class(url.protocol)
    except ImportError as error:
        raise missing_package(str(url), url.protocol, error) from error
    except ValueError:
        raise UserError(
            f"{url}: unknown protocol '{url.protocol}'; use s3://, gs:// or another that fsspec "
            "knows"
        ) from None


def _fresh(filesystem: Any) -> Any:
    """The filesystem without the listings that it keeps: other processes write there too."""
    filesystem.invalidate_cache()
    return filesystem
