"""A dataset's images found in a source by their content, wherever they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bapps_gen.errors import WorkError
from bapps_gen.pipelines.sources.source import ImageEntry, Source

_REMEDY = "--source with the images that it was made from"


@dataclass(frozen=True)
class RelocatedSource:
    """Images under the names and in the order that a dataset has, read from another source.

    Args:
        source: where the images are read.
        images: (name, SHA-256) of every image.
        indices: of each in `source`.
    """

    source: Source
    images: tuple[tuple[str, str], ...]
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def roots(self) -> tuple[str, ...]:
        """Absolute paths and URLs that the images are read from."""
        return self.source.roots

    @cached_property
    def entries(self) -> Sequence[ImageEntry]:
        """Name in the dataset and SHA-256 of every image, in order."""
        return [ImageEntry(name, sha256) for name, sha256 in self.images]

    def read(self, index: int) -> bytes:
        """The encoded bytes of an image; see `Source.read`."""
        return self.source.read(self.indices[index])

    def is_awaited(self, index: int) -> bool:
        """See `Source.is_awaited`."""
        return self.source.is_awaited(self.indices[index])


Images = Source | RelocatedSource


def relocate_images(
    images: Sequence[tuple[str, str]], source: Source, remedy: str = _REMEDY
) -> Images:
    """A dataset's images among those of a source, under whatever names they have there.

    Args:
        images: (name, SHA-256) of every image, as the dataset has them.
        source: where to look.
        remedy: what to give where some are missing, for the error.

    Raises:
        WorkError: naming the first image that is missing or has changed, and how many are.
    """
    entries = tuple((entry.name, entry.sha256) for entry in source.entries)
    if entries == tuple(images):
        return source
    return RelocatedSource(source, tuple(images), relocated_indices(images, source, remedy))


def relocated_indices(
    images: Sequence[tuple[str, str]], source: Source, remedy: str, prefix: str = ""
) -> tuple[int, ...]:
    """The index in a source of each image of a dataset, by content alone.

    Args:
        images, source, remedy: as `relocate_images`.
        prefix: before names in the error.

    Raises:
        WorkError: naming the first image that is missing or has changed, and how many are.
    """
    entries = [(entry.name, entry.sha256) for entry in source.entries]
    indices = {sha256: index for index, (_, sha256) in enumerate(entries)}
    missing = [name for name, sha256 in images if sha256 not in indices]
    if missing:
        names = {name for name, _ in entries}
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        state = "has changed since" if missing[0] in names else "is not in the source, but was when"
        raise WorkError(f"{prefix}{missing[0]}{more} {state} the dataset was made; give {remedy}")
    return tuple(indices[sha256] for _, sha256 in images)
