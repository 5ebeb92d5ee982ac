"""Fetching ahead: encoded images on their way over the network while others are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

_AHEAD = 8  # images on their way at a time, which are held encoded


class Readable(Protocol):
    """What holds encoded images by index."""

    def read(self, index: int) -> bytes:
        """The encoded bytes of an image."""

    def is_awaited(self, index: int) -> bool:
        """Whether an image comes in a request of its own, worth making ahead of time."""


class FetchAhead:
    """Reads images of a source, in threads ahead of time where that has been asked for.

    Args:
        source: the source; it must be readable from several threads where images are awaited.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._expected: deque[int] = deque()
        self._fetched: dict[int, Future[bytes]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, indices: Iterable[int]) -> None:
        """Say which images will be read next, in that order; only awaited ones are fetched."""
        wanted = [index for index in indices if self._source.is_awaited(index)]
        self._fetched = {index: self._fetched[index] for index in wanted if index in self._fetched}
        self._expected = deque(index for index in wanted if index not in self._fetched)
        self._begin()

    def _begin(self) -> None:
        while self._expected and len(self._fetched) < _AHEAD:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="ahead")
            index = self._expected.popleft()
            self._fetched[index] = self._pool.submit(self._source.read, index)

    def read(self, index: int) -> bytes:
        """The encoded bytes of an image, expected or not.

        Raises:
            As the source's `read`.
        """
        fetched = self._fetched.pop(index, None)
        self._begin()
        return self._source.read(index) if fetched is None else fetched.result()
