"""The search for a row's crop: the first that is not flat, in the row's image or those after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bapps_gen.errors import SourceError, UserError
from bapps_gen.imaging.photo import Photo
from bapps_gen.manifests.rows import Crop
from bapps_gen.pipelines.rows.crops import CROPS_TRIED, CropDraw, CropPlanner
from bapps_gen.pipelines.rows.render import Image, cut_reference, luma_contrast, resolve_crop

ATTEMPTS = 64
"""Further images tried for one row when crop after crop is refused (own choice)."""

Cut = tuple[int, Crop, Image]
"""Index of an image, a crop of it, and the reference patch that it gives."""


def usable_crops(
    planner: CropPlanner,
    row: int,
    crops: tuple[CropDraw, ...],
    load: Callable[[int], Photo | None],
    count: int,
    failures: Mapping[str, str],
    *,
    source: str = "--source",
    refused: str = "hides the distortions",
    remedy: str = "a lower --min-contrast",
) -> Iterator[Cut]:
    """A row's crops that are not flat, in the order to try; an error when there is no more.

    Args:
        planner: of the set.
        row: row index.
        crops: of the row's plan, tried in its own image first.
        load: gives an image by index, or None where it cannot be used.
        count: number of images.
        failures: reasons by name of those that cannot, for the error.
        source: options that the images came by, for the error.
        refused: what a caller takes no crop for, for the error.
        remedy: options that would help, for the error.

    Raises:
        SourceError: when no image can be used.
        UserError: when crop after crop was refused, here or by the caller.
    """
    own = planner.image(row)
    image = load(own)
    if image is not None:
        yield from _in_image(own, crops, image, planner)
    # Then at further crops, round the images from the row's own.
    attempts, broken = 0, 0
    for step in range(count + ATTEMPTS):
        index = planner.image(row, step)
        image = load(index)
        if image is None:
            broken += 1
        else:
            further = planner.further_crops(row, attempts)
            yield from _in_image(index, further, image, planner)
            attempts += 1
        if attempts == ATTEMPTS or broken == count:
            break
    size = planner.patch_size
    if not attempts:
        name, reason = next(iter(failures.items()))
        raise SourceError(
            f"no usable image among {count} in the source; the first: {name}: {reason}; "
            f"use {source} with whole images of at least {size}×{size} px"
        )
    raise UserError(
        f"row {row}: every crop tried ({CROPS_TRIED * (attempts + 1)}) is flatter than "
        f"min-contrast = {planner.min_contrast:g} or {refused}; "
        f"give {remedy} or other photos"
    )


def cut_crops(
    photo: Photo, crops: Iterable[CropDraw], min_contrast: float, patch_size: int
) -> Iterator[tuple[Crop, Image]]:
    """Crops of an image and the reference patches they give, without those that are too flat.

    Args:
        photo: both of its sides at least a patch's.
        crops: in the order to try.
        min_contrast: smallest standard deviation of a patch's luma, of full scale.
        patch_size: height and width of the patches in px.
    """
    for draw in crops:
        crop = resolve_crop(draw, photo, patch_size)
        reference = cut_reference(photo, crop, patch_size)
        if not min_contrast or luma_contrast(reference) >= min_contrast:
            yield crop, reference


def _in_image(
    index: int, crops: tuple[CropDraw, ...], photo: Photo, planner: CropPlanner
) -> Iterator[Cut]:
    for crop, reference in cut_crops(photo, crops, planner.min_contrast, planner.patch_size):
        yield index, crop, reference
