"""Decoded images of a source, kept for those who ask again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from bapps_gen.errors import ImageError
from bapps_gen.imaging.decode import decode_photo
from bapps_gen.imaging.photo import Photo, StepOf, whole_size
from bapps_gen.pipelines.sources.prefetch import FetchAhead, Readable

CACHE_BYTES = 160_000_000


class ImageCache:
    """Decoded images of a source, the most recently used within a budget of bytes.

    Args:
        source: the source.
        budget: bytes to hold, including those that decoding takes: they are freed before it
            starts. An image that takes more is held alone.
        step_of: the factor by which photos may be reduced as they are decoded.

    `failures` has the reason for every image that could not be decoded, by index.
    """

    def __init__(
        self, source: Readable, budget: int = CACHE_BYTES, step_of: StepOf = whole_size
    ) -> None:
        self.source = source
        self.budget = budget
        self.step_of = step_of
        self.failures: dict[int, str] = {}
        self._ahead = FetchAhead(source)
        self._images: OrderedDict[int, Photo] = OrderedDict()
        self._held = 0

    def expect(self, indices: Iterable[int]) -> None:
        """Say which images will be asked for next, in that order, so that they can be fetched."""
        self._ahead.expect(index for index in dict.fromkeys(indices) if index not in self._images)

    def get(self, index: int) -> Photo:
        """An image; its pixels are read-only since they are shared.

        Raises:
            ImageError: when it cannot be decoded; the second time without trying again.
            WorkError: when its content has changed.
        """
        if index in self._images:
            self._images.move_to_end(index)
            return self._images[index]
        if index in self.failures:
            raise ImageError(self.failures[index])
        try:
            image = decode_photo(self._ahead.read(index), self.step_of, reserve=self._free)
        except ImageError as error:
            self.failures[index] = str(error)
            raise
        image.pixels.flags.writeable = False
        self._images[index] = image
        self._held += image.pixels.nbytes
        return image

    def _free(self, size: int) -> None:
        while self._images and self._held + size > self.budget:
            _, image = self._images.popitem(last=False)
            self._held -= image.pixels.nbytes
