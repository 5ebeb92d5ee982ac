"""Which image something is cut from, and where: the one generator of crops.

Rows of every kind of set, benchmarks, and the training and validation of zoos take theirs from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from bapps_gen.pipelines.rows.options import BLOCK_ROWS, reductions_of
from bapps_gen.seeding import SLOT_CROPS, SLOT_IMAGES, Streams, named_seed

CROPS_TRIED = 4
"""Crops tried in one image before the next image is taken (own choice)."""
CROP_WORDS = 3
"""Random numbers that a crop is made from."""


@dataclass(frozen=True, slots=True)
class CropDraw:
    """A crop before the image's size is known.

    A patch pixel is the mean of `reduction` × `reduction` source pixels; `left` and `top` are in
    [0, 1), shares of the positions that the crop can have in the image.
    """

    reduction: int
    left: float
    top: float


class CropSampler:
    """Makes crops of numbers: a scale of 1/k with weight 1/k, and a position sampled uniformly."""

    __slots__ = ("_reductions", "_shares")

    def __init__(self, reductions: Iterable[int]) -> None:
        self._reductions = tuple(reductions)
        weights = list(accumulate(1 / reduction for reduction in self._reductions))
        self._shares = [weight / weights[-1] for weight in weights[:-1]]

    def __call__(self, uniform: Sequence[float]) -> tuple[CropDraw, ...]:
        """As many crops as numbers in [0, 1), CROP_WORDS for each, are enough for."""
        return tuple(
            CropDraw(
                self._reductions[bisect_right(self._shares, uniform[word])],
                uniform[word + 1],
                uniform[word + 2],
            )
            for word in range(0, len(uniform), CROP_WORDS)
        )


class RandomCrops:
    """Random crops of one seed and slot; everything that is cut anywhere is one of such crops.

    Args:
        seed: of what is made.
        slot: of `bapps_gen.seeding`.
        reductions: whole numbers k of the scales 1/k.
    """

    def __init__(self, seed: int, slot: int, reductions: Iterable[int]) -> None:
        self._seed, self._slot = seed, slot
        self._streams = Streams()
        self._sample = CropSampler(reductions)

    def at(self, index: int, count: int = 1, first: int = 0) -> tuple[CropDraw, ...]:
        """`count` crops of stream `index`, from its crop `first`."""
        words = self._streams.words(self._seed, index, self._slot, (first + count) * CROP_WORDS)
        return self._sample(uniform_numbers(words[first * CROP_WORDS :]))


class ImageOrder:
    """The order in which images have their turns: every one has one before any has its next.

    Args:
        seed: of what is made.
        slot: of `bapps_gen.seeding`.
        images: number of images.
    """

    def __init__(self, seed: int, slot: int, images: int) -> None:
        self._seed, self._slot, self._images = seed, slot, images
        self._streams = Streams()
        self._orders = lru_cache(maxsize=2)(self._order)

    def at(self, turn: int, step: int = 0) -> int:
        """Index of the image of a turn, or of the one `step` later in the same pass.

        Steps stay within a pass over the images, so that as many steps as images try each once.
        """
        number, position = divmod(turn, self._images)
        return int(self._orders(number)[(position + step) % self._images])

    def _order(self, number: int) -> NDArray[np.uint32]:
        generator = self._streams.at(self._seed, number, self._slot)
        return generator.permutation(self._images).astype(np.uint32)


class CropPlanner:
    """Plans the images and crops of the rows of one spec; what a row gets is a pure function.

    Sets of different kinds share no random numbers, also with the same seed and photos.

    Args:
        kind: of the set.
        seed, images, scale, min_contrast, rows_per_image, patch_size: see `TripletSpec`.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        images: int,
        scale: tuple[float, float],
        min_contrast: float,
        rows_per_image: int,
        patch_size: int,
    ) -> None:
        self.min_contrast = min_contrast
        self._seed = named_seed(seed, kind)
        self.patch_size = patch_size
        self._streams = Streams()
        self._sample_crops = CropSampler(reductions_of(scale))
        self._further = RandomCrops(self._seed, SLOT_CROPS, reductions_of(scale))
        self._groups = BLOCK_ROWS // rows_per_image
        self._order = ImageOrder(self._seed, SLOT_IMAGES, images)

    def image(self, row: int, step: int = 0) -> int:
        """Index of a row's image, or of the one it tries `step` images later.

        Within a block of rows, rows a whole number of groups apart share an image.
        """
        block, within = divmod(row, BLOCK_ROWS)
        return self._order.at(block * self._groups + within % self._groups, step)

    def further_crops(self, row: int, attempt: int) -> tuple[CropDraw, ...]:
        """Crops to try after those of the plan, of a stream of their own for every attempt ≥ 0."""
        return self._further.at(row, CROPS_TRIED, CROPS_TRIED * attempt)


def uniform_numbers(words: NDArray[np.uint64]) -> list[float]:
    """64-bit words as numbers in [0, 1) with 53 random bits."""
    numbers: list[float] = ((words >> np.uint64(11)) * 2.0**-53).tolist()
    return numbers
