"""Where files lie: local paths or URLs, as users name them.

A `Url` has the part of pathlib's interface that this project uses, so that most code takes either
(`Location`).
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import io
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from bapps_gen.errors import UserError
from bapps_gen.storage.url import Url, is_url, redacted, url_at

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHAIN = re.compile(r"[a-z][a-z0-9+.-]+(://[^:]*)?::", re.IGNORECASE)
_ONE_SLASH = re.compile(r"(s3a?|gc?s|abfss?):/", re.IGNORECASE)  # as Path writes a URL
_BUCKETS = ("s3", "s3a", "gs", "gcs")  # a bucket comes first, without user and password

_THREADS = 16  # requests under way at a time; waiting for answers takes no processor

Location = Path | Url
"""A local path or a URL; both have `/`, name, exists, is_dir, iterdir, read_text and so on."""


def location_of(text: str | os.PathLike[str] | Url) -> Location:
    """What a user named: a URL where it has "://", otherwise a local path; file:// is local.

    Raises:
        UserError: for a URL of a form that cannot be used.
    """
    if isinstance(text, Url):
        return text
    text = os.fspath(text)
    if not is_url(text):
        if _CHAIN.match(text) and "://" in text:
            raise UserError("a chained URL (with '::') cannot be used; name the location itself")
        if _ONE_SLASH.match(text):
            raise UserError(f"{text} is neither a local path nor a URL; write {_doubled(text)}")
        return Path(text)
    url = url_at(text)
    if url.protocol in ("file", "local"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise UserError(f"{redacted(text)} names no local path; write file:///folder")
        return Path(unquote(parts.path))
    head = text.partition("://")[2].partition("/")[0]
    if "::" in text:
        raise UserError("a chained URL (with '::') cannot be used; name the location itself")
    if "?" in text or "#" in text:
        bare = redacted(re.split(r"[?#]", text)[0])
        raise UserError(
            f"{bare} was given with '?' or '#', which cannot be used; give the plain URL, and "
            "credentials by the environment"
        )
    if "@" in head and url.protocol in _BUCKETS:
        raise UserError(
            f"{url} was given with a user or password, which {url.protocol}:// does not take; "
            "give credentials by the environment or the service's own configuration"
        )
    if not head and (not url.path or url.protocol in _BUCKETS):
        kind = url.protocol if url.protocol in _BUCKETS else "s3"
        raise UserError(f"{text} names no location; write for example {kind}://bucket/folder")
    return url


def _doubled(text: str) -> str:
    protocol, _, rest = text.partition(":")
    return f"{protocol}://{rest.lstrip('/')}"


def local_path(text: str) -> Path:
    """As `location_of` for what can only be local.

    Raises:
        UserError: for a URL.
    """
    location = location_of(text)
    if isinstance(location, Url):
        raise UserError(f"{location} is a URL, but this must be local; give a local path")
    return location


def open_file(path: str, buffer: int) -> io.RawIOBase | io.BufferedIOBase:
    """A file for reading by its path or full URL; of a URL, `buffer` bytes are read at a time."""
    return url_at(path).open(buffer) if is_url(path) else open_regular(path)


def require_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless a path is a file: to open a FIFO or a device may wait forever.

    Links are followed. A folder is an IsADirectoryError, as when it is opened.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = "a FIFO, a socket or a device, not a regular file"
        raise OSError(errno.EINVAL, kind, os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """A local file for reading bytes; raises as `require_regular` and `open` do."""
    require_regular(path)
    return open(path, "rb")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """64 hexadecimal digits of the SHA-256 of a local file; raises as `open_regular` does."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_path(path: str) -> str:
    """Text that a path does not exist, with the nearest name that does."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        while not os.path.isdir(parent):
            parent = os.path.dirname(parent)
        return f"'{path}' does not exist; the nearest folder that does is {parent}"
    try:
        near = difflib.get_close_matches(os.path.basename(path), os.listdir(parent), 1, 0.5)
    except OSError:
        near = []
    if near:
        return f"'{path}' does not exist; did you mean '{os.path.join(parent, near[0])}'?"
    return f"'{path}' does not exist; {parent} has nothing of a similar name"


def map_remote(
    work: Callable[[Item], Result], items: Iterable[Item], remote: bool
) -> Iterator[Result]:
    """`map`, in order; with threads that wait for answers where the items are remote."""
    if not remote:
        yield from map(work, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="remote")
    waiting = deque[Future[Result]]()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
