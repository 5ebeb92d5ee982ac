"""Super-resolution: a photo reduced 2, 3 and 4 times and enlarged by different algorithms.

The photo is reduced by antialiased bicubic resampling, the usual degradation of the field (track 1
of NTIRE 2017, whose outputs the paper used, section 2.1). Numbers that the cited papers leave to
the user (iterations, weights, radii) are this project's own choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import PIL.Image
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL.Image import Resampling

from bapps_gen.pipelines.real.demos.pixels import (
    Plane,
    join_luma,
    sharpen,
    split_luma,
    to_levels,
    to_unit,
)
from bapps_gen.pipelines.real.demos.records import Algorithm, DemoTask, Image, Scene

FACTORS = (2, 3, 4)
_MULTIPLE = 12  # of all factors
_PATCH, _STRIDE = 5, 3
_LOWEST_WAVES = 4

Small = Mapping[int, Image]
Method = Callable[[Image, int], Image]


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """The photo cropped to a multiple of every factor, and its reductions by factor."""
    height, width = (side - side % _MULTIPLE for side in photo.shape[:2])
    reference = np.ascontiguousarray(photo[:height, :width])
    return Scene(
        reference,
        {
            factor: _resample(reference, height // factor, width // factor, Resampling.BICUBIC)
            for factor in FACTORS
        },
    )


def bicubic(small: Image, factor: int) -> Image:
    """Cubic convolution with a = -1/2 (Keys, IEEE TASSP 1981)."""
    return _enlarge(small, factor, Resampling.BICUBIC)


def spline(small: Image, factor: int) -> Image:
    """Quintic B-spline interpolation (Unser, IEEE Signal Processing Magazine 1999)."""
    from scipy.ndimage import zoom

    planes = [
        zoom(plane, factor, order=5, mode="reflect", grid_mode=True)
        for plane in np.moveaxis(to_unit(small), -1, 0)
    ]
    return to_levels(np.dstack(planes))


def unsharp(small: Image, factor: int) -> Image:
    """Bicubic, then an unsharp mask of amount 1.2 and a radius σ of 0.6 small pixels."""
    return sharpen(to_unit(bicubic(small, factor)), radius=0.6 * factor, amount=1.2)


def detail(small: Image, factor: int) -> Image:
    """Bicubic, then OpenCV's detail enhancement (domain transform: Gastal and Oliveira 2011)."""
    enhanced = cv2.detailEnhance(_bgr(bicubic(small, factor)), sigma_s=2.0 * factor, sigma_r=0.05)
    return _bgr(enhanced)


def edge_preserving(small: Image, factor: int) -> Image:
    """Bicubic, smoothed by OpenCV's edge-preserving filter (Gastal and Oliveira 2011), sharpened.

    The filter alone leaves flat surfaces; an unsharp mask then steepens the edges it kept.
    """
    smooth = cv2.edgePreservingFilter(
        _bgr(bicubic(small, factor)), flags=cv2.RECURS_FILTER, sigma_s=4.0 * factor, sigma_r=0.15
    )
    return sharpen(to_unit(_bgr(smooth)), radius=0.5 * factor, amount=1.0)


def back_projection(small: Image, factor: int) -> Image:
    """Iterative back-projection of luma (Irani and Peleg, CVGIP 1991), 12 iterations."""
    return _by_luma(small, factor, partial(_back_project, iterations=12))


def total_variation(small: Image, factor: int) -> Image:
    """Luma of small total variation that agrees with the small image (Marquina and Osher 2008).

    Five rounds of back-projection, each followed by Chambolle's denoising (2004) of weight 0.03.
    """
    from skimage.restoration import denoise_tv_chambolle

    def enlarge(luma: Plane, factor: int) -> Plane:
        large = _enlarge_plane(luma, factor)
        for _ in range(5):
            large = _back_project(luma, factor, large, iterations=1)
            large = denoise_tv_chambolle(large, weight=0.03, max_num_iter=12)
        return large

    return _by_luma(small, factor, enlarge)


def self_example(small: Image, factor: int) -> Image:
    """Detail copied from the like in the photo itself, after Freedman and Fattal (TOG 2011).

    The small image and a blurred copy of it (reduced and enlarged again) are pairs of 5×5 patches
    with and without detail. Every third patch of the bicubic enlargement takes the detail of the
    pair whose blurred patch is nearest in its 14 lowest DCT coefficients but the mean; what
    overlaps is averaged, and three back-projections make it agree with the small image.
    """
    return _by_luma(small, factor, _copy_detail)


def _copy_detail(luma: Plane, factor: int) -> Plane:
    from scipy.spatial import cKDTree

    height, width = luma.shape
    reduced = _resample_plane(luma, -(-height // factor), -(-width // factor))
    blurred = _resample_plane(reduced, height, width)
    large = _enlarge_plane(luma, factor)

    known = sliding_window_view(blurred, (_PATCH, _PATCH)).reshape(-1, _PATCH**2)
    details = sliding_window_view(luma - blurred, (_PATCH, _PATCH)).reshape(-1, _PATCH**2)
    rows, columns = (_starts(side) for side in large.shape)
    wanted = sliding_window_view(large, (_PATCH, _PATCH))[rows][:, columns]
    # eps: a neighbor up to half as far again as the nearest will do, in a fraction of the time
    tree = cKDTree(_features(known))
    _, found = tree.query(_features(wanted.reshape(-1, _PATCH**2)), eps=0.5)
    taken = details[found].reshape(len(rows), len(columns), _PATCH, _PATCH)

    total = np.zeros_like(large)
    count = np.zeros_like(large)
    for down in range(_PATCH):
        for right in range(_PATCH):
            window = np.ix_(rows + down, columns + right)
            total[window] += taken[:, :, down, right]
            count[window] += 1
    return _back_project(luma, factor, large + total / count, iterations=3)


def _starts(side: int) -> NDArray[np.intp]:
    """Where patches begin, so that they cover a side."""
    last = side - _PATCH
    return np.unique(np.append(np.arange(0, last, _STRIDE), last))


def _features(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lowest coefficients of a cosine transform of flattened patches, without the mean."""
    phase = (np.arange(_PATCH) + 0.5) * np.pi / _PATCH
    line = np.cos(np.outer(np.arange(_PATCH), phase)).astype(np.float32)
    basis = [
        np.outer(line[i], line[j]).ravel()
        for i in range(_PATCH)
        for j in range(_PATCH)
        if 0 < i + j <= _LOWEST_WAVES
    ]
    return np.asarray(patches @ np.stack(basis, axis=1), np.float32)


def _back_project(
    luma: Plane, factor: int, large: Plane | None = None, *, iterations: int
) -> Plane:
    """Add the enlarged difference between the small image and the reduction of the large one."""
    large = _enlarge_plane(luma, factor) if large is None else large
    for _ in range(iterations):
        missing = luma - _resample_plane(large, *luma.shape)
        large = large + _enlarge_plane(missing, factor)
    return large


def _by_luma(small: Image, factor: int, enlarge: Callable[[Plane, int], Plane]) -> Image:
    """Luma by a function and chroma by bicubic interpolation, as is usual."""
    luma, chroma = split_luma(small)
    planes = [_enlarge_plane(chroma[..., part], factor) for part in (0, 1)]
    return join_luma(enlarge(luma, factor), np.dstack(planes))


def _enlarge(small: Image, factor: int, kind: Resampling) -> Image:
    return _resample(small, small.shape[0] * factor, small.shape[1] * factor, kind)


def _resample(image: Image, height: int, width: int, kind: Resampling) -> Image:
    return np.array(PIL.Image.fromarray(image).resize((width, height), kind))


def _enlarge_plane(plane: Plane, factor: int) -> Plane:
    return _resample_plane(plane, plane.shape[0] * factor, plane.shape[1] * factor)


def _resample_plane(plane: Plane, height: int, width: int) -> Plane:
    """Bicubic, antialiased where it reduces."""
    picture = PIL.Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(picture.resize((width, height), Resampling.BICUBIC), np.float32)


def _bgr(image: NDArray[np.integer] | cv2.typing.MatLike) -> Image:
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


METHODS: Mapping[str, Method] = {
    "nearest": partial(_enlarge, kind=Resampling.NEAREST),
    "bilinear": partial(_enlarge, kind=Resampling.BILINEAR),
    "bicubic": bicubic,
    # Lanczos-windowed sinc of three lobes (Duchon, J. Appl. Meteorology 1979)
    "lanczos": partial(_enlarge, kind=Resampling.LANCZOS),
    "spline": spline,
    "unsharp": unsharp,
    "detail": detail,
    "edge-preserving": edge_preserving,
    "back-projection": back_projection,
    "tv": total_variation,
    "self-example": self_example,
}


def _at_factor(method: Method, factor: int) -> Algorithm:
    def algorithm(small: Small) -> Image:
        return method(small[factor], factor)

    return algorithm


TASK = DemoTask(
    least=6 * _MULTIPLE,
    colored=False,
    prepare=prepare,
    algorithms={
        f"{name}-x{factor}": _at_factor(method, factor)
        for factor in FACTORS
        for name, method in METHODS.items()
    },
)
