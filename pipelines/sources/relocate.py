"""The images that a dataset was made from, found again by content in a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bapps_gen.errors import WorkError
from bapps_gen.pipelines.sources.source import ImageEntry, Source


@dataclass(frozen=True)
class RecordedSource:
    """Images under their recorded names and in their recorded order, read from another source.

    Args:
        source: where the images are read.
        recorded: (name, SHA-256) of every image.
        places: index in `source` of each.
    """

    source: Source
    recorded: tuple[tuple[str, str], ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def roots(self) -> tuple[str, ...]:
        """Absolute paths and URLs that the images are read from."""
        return self.source.roots

    @cached_property
    def entries(self) -> Sequence[ImageEntry]:
        """Recorded name and SHA-256 of every image, in order."""
        return [ImageEntry(name, sha256) for name, sha256 in self.recorded]

    def read(self, index: int) -> bytes:
        """The encoded bytes of an image; see `Source.read`."""
        return self.source.read(self.places[index])

    def is_awaited(self, index: int) -> bool:
        """See `Source.is_awaited`."""
        return self.source.is_awaited(self.places[index])


Images = Source | RecordedSource


_REMEDY = "--source with the images that it was made from"


def find_recorded(
    recorded: Sequence[tuple[str, str]], source: Source, remedy: str = _REMEDY
) -> Images:
    """The recorded images among those of a source, under whatever name they have there.

    Args:
        recorded: (name, SHA-256) of every image.
        source: where to look.
        remedy: what to give where some are missing, for the error.

    Raises:
        WorkError: naming the first image that is missing or has changed, and how many are.
    """
    entries = tuple((entry.name, entry.sha256) for entry in source.entries)
    if entries == tuple(recorded):
        return source
    places = find_by_content(recorded, source, remedy)
    return RecordedSource(source, tuple(recorded), places)


def find_by_content(
    recorded: Sequence[tuple[str, str]], source: Source, remedy: str, prefix: str = ""
) -> tuple[int, ...]:
    """The place in a source of each recorded (name, SHA-256), under whatever name.

    Args:
        recorded: what to look for.
        source: where.
        remedy: what to give instead, for the error.
        prefix: before names in the error.

    Raises:
        WorkError: naming the first image that is missing or has changed, and how many are.
    """
    entries = [(entry.name, entry.sha256) for entry in source.entries]
    places = {sha256: place for place, (_, sha256) in enumerate(entries)}
    lost = [name for name, sha256 in recorded if sha256 not in places]
    if lost:
        names = {name for name, _ in entries}
        what = "has changed since" if lost[0] in names else "is not in the source, but was when"
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        raise WorkError(f"{prefix}{lost[0]}{more} {what} the dataset was made; give {remedy}")
    return tuple(places[sha256] for _, sha256 in recorded)
