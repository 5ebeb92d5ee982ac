"""The files of a source: walking folders, sorting files by kind, naming them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bapps_gen.errors import SourceError
from bapps_gen.imaging.decode import IMAGE_SUFFIXES
from bapps_gen.storage.locations import missing_path
from bapps_gen.storage.url import is_url, redacted, url_at

PARQUET_SUFFIX = ".parquet"
TAR_SUFFIX = ".tar"
ACCEPTED = (
    f"image files ({', '.join(IMAGE_SUFFIXES)}), Parquet files with an image column, tar shards"
)


@dataclass(slots=True)
class FoundFiles:
    """Files under one root, by kind; names are POSIX paths relative to the root, sorted.

    `single` says that the root is itself the one file. `sizes` has the bytes of each, where a
    listing gave them.
    """

    images: list[str] = field(default_factory=list)
    parquets: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    single: bool = False
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """File a name under its kind."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix in IMAGE_SUFFIXES:
            self.images.append(name)
        elif suffix == PARQUET_SUFFIX:
            self.parquets.append(name)
        elif suffix == TAR_SUFFIX:
            self.tars.append(name)
        else:
            self.others[suffix or "no suffix"] += 1

    def any(self) -> bool:
        """Whether anything of an accepted kind was found."""
        return bool(self.images or self.parquets or self.tars)


def find_files(root: str) -> FoundFiles:
    """Accepted files at a path or full URL: the file itself, or all below a folder.

    Links are followed as by `find -L`; a folder that contains itself is entered once. Hidden files
    and folders are left out.

    Raises:
        SourceError: for a path that is missing, unreadable or holds nothing of an accepted kind.
    """
    found = FoundFiles()
    name = redacted(root)
    if is_url(root):
        _list(root, found)
    else:
        _look(root, found)
    if found.single and not found.any():
        raise SourceError(f"source '{name}' is of no accepted kind; use {ACCEPTED}")
    if not found.any():
        held = ", ".join(f"{count} × {suffix}" for suffix, count in found.others.most_common(3))
        raise SourceError(
            f"source '{name}' has no images{f' (only {held})' if held else ''}; put in {ACCEPTED}"
        )
    for names in (found.images, found.parquets, found.tars):
        names.sort()
    return found


def _list(root: str, found: FoundFiles) -> None:
    """File what is at a URL, from one listing of all that is below."""
    url = url_at(root)
    sizes = url.walk()
    if not sizes:
        raise SourceError(f"source '{url}' does not exist or is empty; check its spelling")
    if list(sizes) == [""]:
        found.single = True
        sizes = {url.name: sizes[""]}
    for name in sizes:
        if name and (found.single or not any(part.startswith(".") for part in name.split("/"))):
            found.add(checked_name(name, str(url)))
    found.sizes = sizes


def _look(root: str, found: FoundFiles) -> None:
    """File what is at a local path."""
    if os.path.isfile(root):
        found.single = True
        found.add(os.path.basename(root))
        return
    if not os.path.exists(root):
        raise SourceError(f"source {missing_path(root)}")
    if not os.path.isdir(root):
        raise SourceError(f"source '{root}' is neither a file nor a folder; use {ACCEPTED}")
    _walk(root, "", (), found)


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...], found: FoundFiles) -> None:
    try:
        status = os.stat(folder)
        key = (status.st_dev, status.st_ino)
        if key in above:
            return
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in listed:
        if entry.name.startswith("."):
            continue
        name = checked_name(prefix + entry.name, folder)
        try:
            if entry.is_dir():
                _walk(entry.path, f"{name}/", (*above, key), found)
            else:
                found.add(name)  # a broken link or a FIFO is reported when it is opened
        except OSError as error:
            raise unreadable(entry.path, error) from error


def checked_name(name: str, where: str) -> str:
    """`name`, once it is sure that a manifest can hold it.

    Raises:
        SourceError: when it is not valid Unicode.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"a file name in {where} is not valid UTF-8: {name!a}; rename the file"
        ) from None
    return name


def unreadable(path: str, error: OSError) -> SourceError:
    """One line for a file or folder that is there but cannot be read."""
    return SourceError(
        f"cannot read {redacted(path)}: {error.strerror or error}; make it readable or take it out"
    )


def root_labels(roots: Sequence[str]) -> list[str]:
    """A label for each root that tells its images' names apart from those of the others.

    The base name; where two roots share it, their number in the list comes before it ("2/photos").

    Raises:
        SourceError: when a root is given twice.
    """
    seen: set[str] = set()
    for root in roots:
        real = root if is_url(root) else os.path.realpath(root)
        if real in seen:
            raise SourceError(f"source '{redacted(root)}' is given twice; give it once")
        seen.add(real)
    names = [
        url_at(root).name if is_url(root) else os.path.basename(os.path.abspath(root))
        for root in roots
    ]
    shared = Counter(names)
    return [
        f"{number}/{name}" if shared[name] > 1 else name
        for number, name in enumerate(names, start=1)
    ]
