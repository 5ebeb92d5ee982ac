"""The names of a benchmark's pictures, distinct whatever the names of the images are."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_PARQUET_ROW = re.compile(r"(?<=\.parquet)#(\d+)$", re.IGNORECASE)


def picture_names(names: Sequence[str]) -> list[str]:
    """For each source image the name of its pictures, without ".png"; subfolders are kept.

    The image's name without its extension. Where two images would have one name (a.png and
    a.jpg), all of these keep their extensions (a.png.png and a.jpg.png), and get a hash of their
    whole name if they still have one name. Names that differ in case alone count as one, as they
    do on some systems. Row 12 of a Parquet file becomes "file.parquet/12".

    The names depend on the set of images, not on their order.
    """
    forms = [0] * len(names)
    made = list(map(default_name, names))
    folders = set(map(_folded, _folders(made)))
    while True:
        keys = [_folded(f"{name}.png") for name in made]
        counts = Counter(keys)
        clashing = [
            index
            for index, key in enumerate(keys)
            if (counts[key] > 1 or key in folders) and forms[index] < _FORMS - 1
        ]
        if not clashing:
            return made
        for index in clashing:
            forms[index] += 1
            made[index] = _form(names[index], forms[index])


_FORMS = 3


def default_name(name: str) -> str:
    """The name of an image's pictures where no other image would have the same."""
    return _form(name, 0)


def _form(name: str, form: int) -> str:
    # Names in tar files may have parts that lead out of a folder.
    parts = _PARQUET_ROW.sub(r"/\1.row", name).split("/")
    path = "/".join(part for part in parts if part not in ("", ".", ".."))
    if form == 0:
        return posixpath.splitext(path)[0]
    if form == 1:
        return path
    return f"{path}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _folders(names: Iterable[str]) -> set[str]:
    """All folders that names lie in, at every depth."""
    found: set[str] = set()
    for name in names:
        folder = posixpath.dirname(name)
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
