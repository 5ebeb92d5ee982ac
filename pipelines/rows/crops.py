"""Which image a row is cut from, and where: dealt out alike for every kind of set."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bapps_gen.pipelines.rows.options import BLOCK_ROWS
from bapps_gen.seeding import SLOT_CROPS, SLOT_IMAGES, Streams

CROPS_TRIED = 4
"""Crops tried in one image before the next image is taken (own choice)."""
CROP_WORDS = 3
"""Random numbers that a place is made from."""


class CropSpec(Protocol):
    """What a spec says of images and crops; see `TripletSpec`."""

    @property
    def seed(self) -> int:
        """Dataset seed."""

    @property
    def images(self) -> int:
        """Number of images."""

    @property
    def rows_per_image(self) -> int:
        """Rows that share an image before the next is taken."""

    @property
    def min_contrast(self) -> float:
        """Smallest standard deviation of a reference's luma."""

    @property
    def reductions(self) -> range:
        """Whole numbers k of the scales 1/k."""


@dataclass(frozen=True, slots=True)
class CropDraw:
    """A crop before the image's size is known.

    A patch pixel is the mean of `reduction` × `reduction` source pixels; `left` and `top` are in
    [0, 1), shares of the room that the crop has in the image.
    """

    reduction: int
    left: float
    top: float


class CropSampler:
    """Draws crops: a scale of 1/k with weight 1/k, and where the crop lies, evenly."""

    __slots__ = ("_reductions", "_shares")

    def __init__(self, reductions: Iterable[int]) -> None:
        self._reductions = tuple(reductions)
        weights = list(accumulate(1 / reduction for reduction in self._reductions))
        self._shares = [weight / weights[-1] for weight in weights[:-1]]

    def __call__(self, uniform: Sequence[float]) -> CropDraw:
        """The place that CROP_WORDS numbers in [0, 1) draw."""
        share, left, top = uniform
        return CropDraw(self._reductions[bisect_right(self._shares, share)], left, top)


class CropDealer:
    """Deals images and crops to the rows of one spec; what a row gets is a pure function."""

    def __init__(self, spec: CropSpec) -> None:
        self._dealt = spec
        self._streams = Streams()
        self._draw_crop = CropSampler(spec.reductions)
        self._groups = BLOCK_ROWS // spec.rows_per_image
        self._order: tuple[int, NDArray[np.uint32]] = (-1, np.zeros(0, np.uint32))

    @property
    def min_contrast(self) -> float:
        """See `TripletSpec`."""
        return self._dealt.min_contrast

    def image(self, row: int, step: int = 0) -> int:
        """Index of a row's image, or of the one it tries `step` images later.

        Images are dealt out evenly: every one has its turn before any has its next. Within a
        block of rows, rows a whole number of groups apart share an image.
        """
        block, within = divmod(row, BLOCK_ROWS)
        turn, place = divmod(block * self._groups + within % self._groups, self._dealt.images)
        if self._order[0] != turn:
            generator = self._streams.at(self._dealt.seed, turn, SLOT_IMAGES)
            order = generator.permutation(self._dealt.images).astype(np.uint32)
            self._order = (turn, order)
        return int(self._order[1][(place + step) % self._dealt.images])

    def further_crops(self, row: int, attempt: int) -> tuple[CropDraw, ...]:
        """Crops to try after those of the plan, of a stream of their own for every attempt ≥ 0."""
        count = CROPS_TRIED * CROP_WORDS
        words = self._streams.words(self._dealt.seed, row, SLOT_CROPS, count * (attempt + 1))
        return self._crops(uniform_numbers(words[-count:]))

    def _crops(self, uniform: Sequence[float]) -> tuple[CropDraw, ...]:
        """CROPS_TRIED crops from CROPS_TRIED × CROP_WORDS numbers in [0, 1)."""
        return tuple(
            self._draw_crop(uniform[word : word + CROP_WORDS])
            for word in range(0, CROPS_TRIED * CROP_WORDS, CROP_WORDS)
        )


def uniform_numbers(words: NDArray[np.uint64]) -> list[float]:
    """64-bit words as numbers in [0, 1) with 53 random bits."""
    numbers: list[float] = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    return numbers
