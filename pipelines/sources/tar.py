"""Images in tar shards (WebDataset): indexed once, then read from their position in the file."""

from __future__ import annotations

import os
import posixpath
import tarfile
from dataclasses import dataclass

from bapps_gen.errors import SourceError
from bapps_gen.imaging.decode import IMAGE_SUFFIXES
from bapps_gen.pipelines.sources.listing import checked_name, unreadable
from bapps_gen.storage.locations import open_file, open_regular
from bapps_gen.storage.url import is_url, redacted, url_at

_HEADER_BYTES = 1 << 16
"""Read at a time from a URL to find the members: little for a large one, several small ones."""


@dataclass(frozen=True, slots=True)
class Member:
    """An image in a tar file: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


def index_tar(path: str) -> list[Member]:
    """The images in an uncompressed tar file, by name; hidden files are left out.

    A name that occurs again gets "#2", "#3", … in the order of the file. Hard links count as the
    file that they stand for; symbolic links are left out.

    Raises:
        SourceError: when the file cannot be read, is damaged, cut short or compressed.
    """
    members: list[Member] = []
    positions: dict[str, tuple[int, int]] = {}
    times: dict[str, int] = {}
    try:
        with open_file(path, _HEADER_BYTES) as file, tarfile.open(path, "r:", file) as tar:
            for info in tar:
                if info.isreg():
                    positions[info.name] = (info.offset_data, info.size)
                position = positions.get(info.linkname if info.islnk() else info.name)
                name = posixpath.normpath(info.name)
                if position is None or not _wanted(name):
                    continue
                if info.issparse():
                    raise damaged_tar(path, f"sparse member {name}")
                times[name] = times.get(name, 0) + 1
                unique = name if times[name] == 1 else f"{name}#{times[name]}"
                members.append(Member(checked_name(unique, path), *position))
            file.seek(tar.offset)
            end = file.read(tarfile.BLOCKSIZE)
    except tarfile.TarError as error:
        raise damaged_tar(path, str(error)) from error
    except OSError as error:
        raise unreadable(path, error) from error
    # The library takes a damaged header, and a file cut off between members, for the end.
    if end != bytes(tarfile.BLOCKSIZE):
        raise damaged_tar(path, "no end mark")
    members.sort(key=lambda member: member.name)
    return members


def _wanted(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") and part != ".." for part in parts)
    return not hidden and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def read_part(path: str, offset: int, size: int) -> bytes:
    """Up to `size` bytes of a file from `offset`; opened anew, so that no handle is shared.

    At a URL it takes one request.
    """
    if is_url(path):
        return url_at(path).read_range(offset, size)
    with open_regular(path) as file:
        file.seek(offset)
        return file.read(size)


def damaged_tar(path: str, detail: str) -> SourceError:
    """One line for a tar file that cannot be used."""
    return SourceError(
        f"{redacted(path)} is damaged, cut short or not a plain tar file "
        f"({' '.join(detail.split())}); restore it, unpack it if it is compressed, or take it out"
    )
