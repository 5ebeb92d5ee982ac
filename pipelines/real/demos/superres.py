"""Super-resolution: a photo reduced 2, 3 or 4 times in an unknown way, enlarged by algorithms.

The paper took outputs of the NTIRE 2017 challenge (section 2.1): "3 tracks … ×2, ×3, ×4 upsampling
rates using 'unknown' downsampling". A demo is of one such track. How that challenge reduced its
photos was not published; here kernel, noise and JPEG compression are random for each photo in the
manner of practical degradation models (BSRGAN: Zhang et al., ICCV 2021). Ranges, and numbers that
the cited papers leave to the user, are this project's own choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.Image import Resampling

from bapps_gen.distortions.compression import compress_jpeg
from bapps_gen.distortions.rng import normals
from bapps_gen.pipelines.real.demos.networks import network_algorithms, network_output
from bapps_gen.pipelines.real.demos.pixels import (
    Plane,
    join_luma,
    sharpen,
    split_luma,
    to_levels,
    to_unit,
    uniform,
)
from bapps_gen.pipelines.real.demos.records import Algorithm, DemoTask, Image, Scene

_SIGMAS = (0.1, 0.5)
"""Standard deviations of the kernel along its axes, in pixels of the small photo."""
_NOISE = (0.0, 3.0)
"""Standard deviation of the noise, levels."""
_QUALITIES = (60, 95)
"""Of JPEG, which half of the small photos are stored as."""

_NETWORKS = {
    2: ("080", "086", "092"),
    3: ("075", "084", "090"),
    4: ("079", "085", "088"),
}
"""Networks for downsampled input: of each factor three, of different losses and layers."""


@dataclass(frozen=True, slots=True)
class Small:
    """A photo to be enlarged: uint8 (h, w, 3), and the factor."""

    image: Image
    factor: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the enlarged photo."""
        return self.image.shape[0] * self.factor, self.image.shape[1] * self.factor


def prepare(
    photo: Image, donors: tuple[Image, ...], rng: np.random.Generator, factor: int
) -> Scene:
    """The photo cropped to a multiple of the factor, and its reduction."""
    height, width = (side - side % factor for side in photo.shape[:2])
    reference = np.ascontiguousarray(photo[:height, :width])
    return Scene(reference, Small(reduce_unknown(reference, factor, rng), factor))


def reduce_unknown(image: Image, factor: int, rng: np.random.Generator) -> Image:
    """Blurred by an anisotropic Gaussian, reduced by area means, with noise, perhaps as JPEG."""
    along, across = (factor * uniform(rng, *_SIGMAS) for _ in range(2))
    kernel = gaussian_kernel(along, across, uniform(rng, 0.0, np.pi))
    blurred = cv2.filter2D(to_unit(image), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    size = (image.shape[1] // factor, image.shape[0] // factor)
    small = np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_AREA))
    noise = normals(rng, small.size).reshape(small.shape)
    taken = to_levels(small + np.float32(uniform(rng, *_NOISE) / 255) * noise)
    quality = round(uniform(rng, *_QUALITIES))
    if rng.random() < 0.5:
        return taken
    return compress_jpeg(taken, {"quality": quality, "subsampling": 420.0}, rng)


def gaussian_kernel(along: float, across: float, angle: float) -> Plane:
    """A Gaussian of two standard deviations (px), turned (radians): float32 of odd side, sum 1."""
    radius = int(np.ceil(3 * max(along, across)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def bicubic(small: Small) -> Image:
    """Cubic convolution with a = -1/2."""
    height, width = small.size
    return np.array(PIL.Image.fromarray(small.image).resize((width, height), Resampling.BICUBIC))


def edge_preserving(small: Small) -> Image:
    """Bicubic, smoothed by OpenCV's edge-preserving filter, then an unsharp mask.

    The filter alone leaves flat surfaces; the mask then steepens the edges it kept.
    """
    smooth = cv2.edgePreservingFilter(
        _bgr(bicubic(small)),
        flags=cv2.RECURS_FILTER,
        sigma_s=4.0 * small.factor,
        sigma_r=0.15,
    )
    return sharpen(to_unit(_bgr(smooth)), radius=0.5 * small.factor, amount=1.0)


def back_projection(small: Small) -> Image:
    """Iterative back-projection of luma, 12 iterations: agrees with the small photo, noise too."""
    return _by_luma(small, partial(_back_project, iterations=12))


def total_variation(small: Small) -> Image:
    """Luma of small total variation that agrees with the small photo.

    Five rounds of back-projection, each followed by Chambolle's denoising (2004) of weight 0.03.
    """
    from skimage.restoration import denoise_tv_chambolle

    def enlarge(luma: Plane, large: Plane) -> Plane:
        for _ in range(5):
            large = _back_project(luma, large, iterations=1)
            large = denoise_tv_chambolle(large, weight=0.03, max_num_iter=12)
        return large

    return _by_luma(small, enlarge)


def by_network(small: Small, network: str) -> Image:
    """The luma that a network makes of a bicubic enlargement, as in SRCNN (Dong et al. 2014).

    One back-projection then gives it the small photo's low frequencies, which such short training
    does not keep everywhere.
    """

    def restore(luma: Plane, large: Plane) -> Plane:
        # The zoo reduces what it gets by area means itself: here to the small photo.
        blocks = small.image.repeat(small.factor, axis=0).repeat(small.factor, axis=1)
        restored = split_luma(network_output(blocks, network))[0]
        return _back_project(luma, restored, iterations=1)

    return _by_luma(small, restore)


def _back_project(luma: Plane, large: Plane, iterations: int) -> Plane:
    """Add the enlarged difference between the small luma and the reduction of the large one."""
    for _ in range(iterations):
        missing = luma - _resample(large, luma.shape)
        large = large + _resample(missing, large.shape)
    return large


def _by_luma(small: Small, restore: Callable[[Plane, Plane], Plane]) -> Image:
    """Luma by a function of the small and the enlarged one; chroma by bicubic interpolation."""
    luma, chroma = split_luma(small.image)
    planes = [_resample(chroma[..., part], small.size) for part in (0, 1)]
    return join_luma(restore(luma, _resample(luma, small.size)), np.dstack(planes))


def _resample(plane: Plane, size: tuple[int, ...]) -> Plane:
    """Bicubic, antialiased where it reduces, to a height and width."""
    picture = PIL.Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(picture.resize((size[1], size[0]), Resampling.BICUBIC), np.float32)


def _bgr(image: NDArray[np.integer] | cv2.typing.MatLike) -> Image:
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def superres_task(factor: int) -> DemoTask:
    """The task at a factor of 2, 3 or 4."""
    return DemoTask(
        least=72,
        prepare=partial(prepare, factor=factor),
        algorithms={
            "bicubic": Algorithm(bicubic, "Keys, IEEE TASSP 1981; Pillow's `resize`"),
            "edge-preserving": Algorithm(
                edge_preserving,
                "Gastal and Oliveira, SIGGRAPH 2011; OpenCV's `edgePreservingFilter`",
            ),
            "back-projection": Algorithm(back_projection, "Irani and Peleg, CVGIP 1991"),
            "tv": Algorithm(total_variation, "Marquina and Osher, J. Scientific Computing 2008"),
            **network_algorithms(_NETWORKS[factor], by_network),
        },
        networks=_NETWORKS[factor],
    )
