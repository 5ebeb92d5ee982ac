"""From a plan and an image to pixels. Pure: the same plan and image give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.as_distortions import ZooFunction, strength_of
from bapps_gen.distortions.definition import Distortion
from bapps_gen.errors import ImageError, WorkError
from bapps_gen.imaging.photo import Photo
from bapps_gen.manifests.rows import Crop, ManifestRow, Step
from bapps_gen.pipelines.rows.crops import CropDraw
from bapps_gen.seeding import SLOT_STEP, Streams

Image = NDArray[np.uint8]


def check_size(photo: Photo, patch_size: int) -> None:
    """Raise ImageError when a photo is smaller than a patch."""
    height, width = photo.height, photo.width
    if min(height, width) < patch_size:
        raise ImageError(f"{width}×{height} px is smaller than a {patch_size}×{patch_size} patch")


def resolve_crop(draw: CropDraw, photo: Photo, patch_size: int) -> Crop:
    """The crop that is drawn, in a photo whose sides are at least a patch's.

    Its corners are corners of the photo's pixels as they were decoded.
    """
    reduction = draw.sizes.reduction(draw.size, min(photo.height, photo.width), patch_size)
    step, side = photo.step, patch_size * reduction
    height, width = photo.pixels.shape[:2]
    left = photo.left + step * int(draw.left * (width - side // step + 1))
    top = photo.top + step * int(draw.top * (height - side // step + 1))
    return Crop(left, top, side)


def cut_reference(photo: Photo, crop: Crop, patch_size: int) -> Image:
    """The reference patch, uint8 (patch_size, patch_size, 3): means over squares of the crop."""
    left, top = (crop.x - photo.left) // photo.step, (crop.y - photo.top) // photo.step
    side = crop.side // photo.step
    square = photo.pixels[top : top + side, left : left + side]
    if side == patch_size:
        return np.ascontiguousarray(square)
    return _means(square, side // patch_size)


def _means(square: Image, factor: int) -> Image:
    """Means over squares of factor × factor px, rounded once.

    OpenCV is slow at large factors: there, rows are first added up in 16 bits, which takes about
    half the time.
    """
    size = (len(square) // factor,) * 2
    if factor <= 4 or factor > _MOST_SUMMED:
        return cv2.resize(square, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    sums = np.add(square[::factor], square[1::factor], dtype=np.uint16)
    for row in range(2, factor):
        np.add(sums, square[row::factor], out=sums)
    means = cv2.resize(sums.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return cv2.convertScaleAbs(means, alpha=1 / factor).astype(np.uint8, copy=False)


_MOST_SUMMED = 65535 // 255


def cut_stored(photo: Photo, row: ManifestRow, patch_size: int) -> Image:
    """The reference patch of a stored row.

    Raises:
        WorkError: when its crop is no part of the image.
    """
    crop, height, width = row.crop, photo.height, photo.width
    inside = photo.left <= crop.x <= width - crop.side and photo.top <= crop.y <= height - crop.side
    if crop.side < patch_size * photo.step or not inside:
        raise WorkError(
            f"row {row.row}: its crop of {crop.side} px at {crop.x}, {crop.y} is no part of "
            f"{row.source_path}, which has {width}×{height} px; restore the recipe from a copy"
        )
    return cut_reference(photo, crop, patch_size)


def luma_contrast(patch: Image) -> float:
    """Standard deviation of luma (ITU-R BT.601), of full scale in [0, 0.5]."""
    _, deviation = cv2.meanStdDev(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY))
    return float(deviation[0, 0]) / 255.0


def apply_steps(
    patch: Image, steps: Sequence[Step], atoms: Mapping[str, Distortion], streams: Streams
) -> Image:
    """A patch after all steps, in order; uint8 of the same shape. `patch` is left untouched."""
    for step in steps:
        generator = streams.at(step.seed, 0, SLOT_STEP)
        patch = atoms[step.distortion].apply(patch, dict(step.params), generator)
    return patch


def apply_many(
    patches: Sequence[Image],
    sequences: Sequence[Sequence[Step]],
    atoms: Mapping[str, Distortion],
    streams: Streams,
    finished: Callable[[int], None] | None = None,
) -> list[Image]:
    """Every patch after its own steps, the same bytes as by `apply_steps` for each.

    Steps of one CNN distorter are rendered together, wherever they stand in their sequences: all
    patches are taken as far as they get without one, then those that wait for the same distorter
    pass it at once, and so on. All patches must be of one size.

    Args:
        finished: called with numbers of patches that are done, which add up to all of them.
    """
    current = list(patches)
    done = [0] * len(current)
    pending = list(range(len(current)))
    while pending:
        waiting: dict[str, list[int]] = {}
        for index in pending:
            for step in sequences[index][done[index] :]:
                if isinstance(atoms[step.distortion].function, ZooFunction):
                    waiting.setdefault(step.distortion, []).append(index)
                    break
                current[index] = apply_steps(current[index], (step,), atoms, streams)
                done[index] += 1
        if finished:
            finished(len(pending) - sum(map(len, waiting.values())))
        pending = []
        for name, indices in waiting.items():
            function = atoms[name].function
            assert isinstance(function, ZooFunction)
            rendered = function.many(
                np.stack([current[index] for index in indices]),
                [sequences[index][done[index]].seed for index in indices],
                [strength_of(dict(sequences[index][done[index]].params)) for index in indices],
            )
            for index, patch in zip(indices, rendered, strict=True):
                current[index] = patch
                done[index] += 1
            further = [index for index in indices if done[index] < len(sequences[index])]
            pending += further
            if finished:
                finished(len(indices) - len(further))
    return current
