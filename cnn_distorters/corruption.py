"""What is done to a distorter's input, in training and whenever it distorts a patch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.noise import add_gaussian, add_pink
from bapps_gen.seeding import SLOT_STEP, Streams

_Corrupt = Callable[[Patch, float, np.random.Generator], Patch]


def corrupt(
    spec: DistorterSpec,
    patches: NDArray[np.uint8],
    seeds: Sequence[int] | NDArray[np.uint64],
    streams: Streams,
) -> NDArray[np.uint8]:
    """Patches with a spec's corruption; each depends on itself and its seed alone.

    Args:
        spec: names the corruption and its strength.
        patches: uint8 (N, H, W, 3), RGB; not written to.
        seeds: one for each patch, 0 to 2^63 - 1; without effect where nothing is random.
        streams: the caller's, since making one for every patch costs more than the noise.

    Returns:
        uint8 (N, H, W, 3), a new array.
    """
    function = _CORRUPTIONS[spec.corruption]
    corrupted = np.empty_like(patches)
    for index, seed in enumerate(seeds):
        generator = streams.at(int(seed), 0, SLOT_STEP)
        corrupted[index] = function(patches[index], spec.strength, generator)
    return corrupted


def _remove_color(patch: Patch, strength: float, rng: np.random.Generator) -> Patch:
    """Blend toward luma (ITU-R BT.601); at 1 the three channels are equal."""
    luma = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    gray = cv2.merge((luma, luma, luma))
    if strength == 1:
        return gray  # type: ignore[return-value]
    return cv2.addWeighted(patch, 1 - strength, gray, strength, 0)  # type: ignore[return-value]


def _downsample(patch: Patch, strength: float, rng: np.random.Generator) -> Patch:
    """Means over squares of the factor's side, then bicubic enlargement to the size before.

    The network restores detail at its input's size, as in SRCNN (Dong et al., ECCV 2014).
    """
    height, width = patch.shape[:2]
    small = (max(1, round(width / strength)), max(1, round(height / strength)))
    reduced = cv2.resize(patch, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


_CORRUPTIONS: Mapping[str, _Corrupt] = {
    "null": lambda patch, strength, rng: patch,
    "pink_noise": lambda patch, strength, rng: add_pink(patch, {"sigma": strength}, rng),
    "white_noise": lambda patch, strength, rng: add_gaussian(patch, {"sigma": strength}, rng),
    "color_removal": _remove_color,
    "downsampling": _downsample,
}
