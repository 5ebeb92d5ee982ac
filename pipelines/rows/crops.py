"""Which image something is cut from, and where: the one generator of crops.

Rows of every kind of set, benchmarks, and the training and validation of zoos take theirs from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
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


STEPS = (8, 4, 2)
"""Common factors of a photo's reductions, by which decoders of JPEGs reduce."""

LOW_TOLERANCE, HIGH_TOLERANCE = 0.3, 0.15
"""By how much such a factor may change the smallest and the largest reduction (own choice)."""


@dataclass(frozen=True, slots=True)
class CropSizes:
    """How large crops are: a patch pixel is the mean of k × k pixels of the photo.

    Args:
        scale: smallest and largest 1/k, drawn with weight 1/k. A k with which the patch would not
            fit gives way to the largest that fits.
        crop_share: smallest and largest share of the photo's shorter side that a crop takes,
            sampled uniformly on a logarithmic scale and rounded to the nearest k that fits. One of
            the two is given.
    """

    scale: tuple[float, float] | None = None
    crop_share: tuple[float, float] | None = None

    def step(self, shorter: int, patch_size: int) -> int:
        """A factor of every k for photos of a shorter side in px: 1, or one of STEPS.

        Such photos are decoded at that fraction of their size, once for all of their crops.
        """
        if self.crop_share is None:
            return 1
        return _step(self.crop_share, shorter, patch_size)

    def reduction(self, uniform: float, shorter: int, patch_size: int) -> int:
        """The k that a number in [0, 1) stands for, in photos of a shorter side in px.

        That must be at least a patch's.
        """
        if self.crop_share is None:
            assert self.scale is not None
            reductions = reductions_of(self.scale)
            chosen = reductions[bisect_right(_weights(reductions), uniform)]
            return min(chosen, shorter // patch_size)
        low, high = _ends(self.crop_share, shorter, patch_size)
        step = _step(self.crop_share, shorter, patch_size)
        return _nearest(low * (high / low) ** uniform, step, shorter // patch_size)


def _ends(share: tuple[float, float], shorter: int, patch_size: int) -> tuple[float, float]:
    """The smallest and largest k that shares stand for, as real numbers of at least 1."""
    low, high = share
    return max(1.0, low * shorter / patch_size), max(1.0, high * shorter / patch_size)


def _nearest(reduction: float, step: int, most: int) -> int:
    """The nearest multiple of `step` from there to `most`."""
    return step * min(max(1, int(reduction / step + 0.5)), most // step)


@lru_cache(maxsize=4096)
def _step(share: tuple[float, float], shorter: int, patch_size: int) -> int:
    low, high = _ends(share, shorter, patch_size)
    most = shorter // patch_size
    for step in STEPS:
        first, last = _nearest(low, step, most), _nearest(high, step, most)
        if abs(first - low) <= LOW_TOLERANCE * low and abs(last - high) <= HIGH_TOLERANCE * high:
            return step
    return 1


@lru_cache
def _weights(reductions: range) -> list[float]:
    """Up to where in [0, 1) numbers stand for each k, the last one's 1 left out."""
    weights = list(accumulate(1 / reduction for reduction in reductions))
    return [weight / weights[-1] for weight in weights[:-1]]


@dataclass(frozen=True, slots=True)
class CropDraw:
    """A crop before the photo's size is known.

    `size`, `left` and `top` are in [0, 1): a reduction by `sizes`, and shares of the positions that
    the crop can have in the photo.
    """

    sizes: CropSizes
    size: float
    left: float
    top: float


def crops_of(sizes: CropSizes, uniform: Sequence[float]) -> tuple[CropDraw, ...]:
    """As many crops as numbers in [0, 1), CROP_WORDS for each, are enough for."""
    return tuple(
        CropDraw(sizes, *uniform[word : word + CROP_WORDS])
        for word in range(0, len(uniform), CROP_WORDS)
    )


class RandomCrops:
    """Random crops of one seed and slot; everything that is cut anywhere is one of such crops.

    Args:
        seed: of what is made.
        slot: of `bapps_gen.seeding`.
        sizes: of the crops.
    """

    def __init__(self, seed: int, slot: int, sizes: CropSizes) -> None:
        self._seed, self._slot, self._sizes = seed, slot, sizes
        self._streams = Streams()

    def at(self, index: int, count: int = 1, first: int = 0) -> tuple[CropDraw, ...]:
        """`count` crops of stream `index`, from its crop `first`."""
        words = self._streams.words(self._seed, index, self._slot, (first + count) * CROP_WORDS)
        return crops_of(self._sizes, uniform_numbers(words[first * CROP_WORDS :]))


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
        seed, images, min_contrast, rows_per_image, patch_size: see `TripletSpec`.
        sizes: of the crops.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        images: int,
        sizes: CropSizes,
        min_contrast: float,
        rows_per_image: int,
        patch_size: int,
    ) -> None:
        self.min_contrast = min_contrast
        self._seed = named_seed(seed, kind)
        self.patch_size = patch_size
        self._streams = Streams()
        self.sizes = sizes
        self._further = RandomCrops(self._seed, SLOT_CROPS, sizes)
        self._groups = BLOCK_ROWS // rows_per_image
        self._order = ImageOrder(self._seed, SLOT_IMAGES, images)

    def step(self, shorter: int) -> int:
        """The factor by which photos of a shorter side in px are reduced as they are decoded."""
        return self.sizes.step(shorter, self.patch_size)

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
