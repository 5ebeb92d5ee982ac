"""Deblurring: a photo blurred by the shake of a camera, with little noise, and restored.

No algorithm knows the kernel, as none did whose outputs the paper took (section 2.1: of video
deblurring). The camera moves on a random trajectory (after Boracchi and Foi, IEEE TIP 2012), and
the blur is applied to stored values, as most of the literature does. Ranges, and numbers that the
cited papers leave to the user, are this project's own choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from bapps_gen.distortions.rng import normals
from bapps_gen.pipelines.real.demos.blind import (
    SUPPORT,
    centered,
    kernel_by_edges,
    kernel_by_sparsity,
    kernel_of_line,
    shrink_gradients,
    smooth_deconvolution,
    trajectory_kernel,
    widened,
)
from bapps_gen.pipelines.real.demos.pixels import (
    Plane,
    sharpen,
    split_luma,
    to_levels,
    to_unit,
    uniform,
)
from bapps_gen.pipelines.real.demos.records import Algorithm, DemoTask, Image, Scene

SHORTEST, LONGEST = 7.0, 15.0
"""Largest extent of the camera's motion, px."""
NOISE = 1.0 / 255
"""Standard deviation of the noise."""

_POINTS = 200
_MARGIN = 17  # cut off each side; no kernel reaches farther


@dataclass(frozen=True, slots=True)
class Blurred:
    """What a camera took: uint8 (H, W, 3)."""

    image: Image


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """The photo without a margin, and it blurred; the margin is what comes in over the border."""
    kernel = shake_kernel(uniform(rng, SHORTEST, LONGEST), rng)
    blurred = cv2.filter2D(to_unit(photo), -1, np.flip(kernel), borderType=cv2.BORDER_REFLECT_101)
    height, width = photo.shape[:2]
    inner = (slice(_MARGIN, height - _MARGIN), slice(_MARGIN, width - _MARGIN))
    taken = blurred + np.float32(NOISE) * normals(rng, blurred.size).reshape(blurred.shape)
    return Scene(np.ascontiguousarray(photo[inner]), Blurred(to_levels(taken[inner])))


def shake_kernel(extent: float, rng: np.random.Generator) -> Plane:
    """A camera's random trajectory of some extent (px), float32 of odd side and sum 1.

    The direction drifts, and jumps twice; the speed varies. The center of mass lies in the middle.
    """
    turns = 0.12 * normals(rng, _POINTS)
    jumps = (rng.random(2) * _POINTS).astype(int)
    turns[jumps] += (rng.random(2) - 0.5) * 2 * np.pi
    direction = 2 * np.pi * rng.random() + np.cumsum(turns)
    speed = np.exp(0.5 * np.cumsum(normals(rng, _POINTS)) / np.sqrt(_POINTS))
    path = np.cumsum(np.stack([speed * np.cos(direction), speed * np.sin(direction)], 1), axis=0)
    path *= extent / np.ptp(path, axis=0).max()
    return trajectory_kernel(path - path.mean(axis=0), _MARGIN)


def unsharp_mask(blurred: Blurred) -> Image:
    """An unsharp mask of radius σ = 3 px and amount 1.5."""
    return sharpen(to_unit(blurred.image), radius=3.0, amount=1.5)


def wiener_line(blurred: Blurred) -> Image:
    """Wiener's filter for a straight motion, which a shake is not."""
    from skimage.restoration import wiener

    return _deconvolve(blurred, kernel_of_line, lambda plane, kernel: wiener(plane, kernel, 0.3))


def blind_richardson_lucy(blurred: Blurred) -> Image:
    """Richardson-Lucy iterations for the kernel and the image by turns, ten times three of each."""

    def kernel(luma: Plane) -> Plane:
        height, width = (min(side, 256) for side in luma.shape)
        return _alternate(np.ascontiguousarray(luma[:height, :width]))

    def restore(plane: Plane, kernel: Plane) -> Plane:
        latent, blur = plane, rfft2(centered(kernel, plane.shape))
        for _ in range(15):
            latent = _richardson_lucy(plane, latent, blur)
        return latent

    return _deconvolve(blurred, kernel, restore)


def _alternate(plane: Plane) -> Plane:
    line = np.asarray(cv2.getGaussianKernel(SUPPORT, 3.0, cv2.CV_32F))
    kernel, latent = np.asarray(line @ line.T, np.float32), plane
    for _ in range(10):
        for _ in range(3):
            full = _richardson_lucy(plane, centered(kernel, plane.shape), rfft2(latent))
            rolled = np.roll(full, [SUPPORT // 2] * 2, (0, 1))[:SUPPORT, :SUPPORT]
            kernel = np.asarray(rolled / rolled.sum(), np.float32)
        for _ in range(3):
            latent = _richardson_lucy(plane, latent, rfft2(centered(kernel, plane.shape)))
    return kernel


def _richardson_lucy(plane: Plane, guess: Plane, blur: NDArray[np.complexfloating]) -> Plane:
    """One iteration for one factor of a convolution; the other is given by its spectrum."""
    made = irfft2(blur * rfft2(guess), plane.shape)
    ratio = rfft2(plane / np.maximum(made, 1e-3))
    total = max(float(blur[0, 0].real), 1e-6)
    factor = irfft2(np.conj(blur) * ratio, plane.shape) / total
    return np.asarray(guess * np.maximum(factor, 0), np.float32)


def edges(blurred: Blurred) -> Image:
    """The kernel by predicted edges, then the smooth deconvolution that the paper uses."""
    return _deconvolve(
        blurred,
        kernel_by_edges,
        lambda plane, kernel: smooth_deconvolution(plane, kernel, 0.1),
    )


def sparse(blurred: Blurred) -> Image:
    """The kernel by sparse gradients, then total-variation deconvolution."""

    def shrink(size: NDArray[np.floating], penalty: float) -> NDArray[np.floating]:
        return np.asarray(np.maximum(size - 1 / penalty, 0) / np.maximum(size, 1e-12))

    def restore(plane: Plane, kernel: Plane) -> Plane:
        return shrink_gradients(plane, kernel, 2.0 ** np.arange(3, 11), 300.0, shrink)

    return _deconvolve(blurred, kernel_by_sparsity, restore)


def _deconvolve(
    blurred: Blurred,
    estimate: Callable[[Plane], Plane],
    restore: Callable[[Plane, Plane], Plane],
) -> Image:
    """Every channel restored, with a kernel estimated of the luma."""
    kernel = estimate(split_luma(blurred.image)[0])
    wide, inner = widened(to_unit(blurred.image), len(kernel))
    planes = [restore(np.ascontiguousarray(wide[..., part]), kernel)[inner] for part in range(3)]
    return to_levels(np.dstack(planes))


TASK = DemoTask(
    least=64 + 2 * _MARGIN,
    prepare=prepare,
    algorithms={
        "unsharp-mask": Algorithm(unsharp_mask, "scikit-image's `unsharp_mask`"),
        "wiener-line": Algorithm(
            wiener_line, "Yitzhaky and Kopeika, GMIP 1997; scikit-image's `wiener`"
        ),
        "blind-richardson-lucy": Algorithm(
            blind_richardson_lucy, "Fish, Brinicombe, Pike and Walker, JOSA A 1995"
        ),
        "edges": Algorithm(edges, "Cho and Lee, SIGGRAPH Asia 2009"),
        "sparse": Algorithm(
            sparse, "Xu, Zheng and Jia, CVPR 2013; Wang, Yang, Yin and Zhang, SIIMS 2008"
        ),
    },
)
