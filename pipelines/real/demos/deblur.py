"""Deblurring: a photo blurred by a motion of the camera, with little noise, and restored.

The blur is a line of drawn length and angle, softened by a slight Gaussian, applied to stored
values, as most of the literature does (the paper's outputs are of video deblurring, section 2.1).
Every algorithm but the unsharp masks and "wiener-gaussian" knows the blur. What lies outside the
frame is known to none: the image is made to wrap around, and rings a little at the border, as with
published methods. Parameters are this project's own choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.rng import normals
from bapps_gen.pipelines.real.demos.pixels import (
    Plane,
    join_luma,
    sharpen,
    split_luma,
    to_levels,
    to_unit,
    uniform,
)
from bapps_gen.pipelines.real.demos.records import DemoTask, Image, Scene

SHORTEST, LONGEST = 5.0, 15.0
"""Length of the motion, px."""
NOISE = 1.0 / 255
"""Standard deviation of the noise."""

_SOFTNESS = 0.6  # σ of the Gaussian, px
_MARGIN = 12  # cut off each side; above half of the longest kernel
_FINE = 8  # points per px along the line
_DOUBLINGS = 8
_PRIOR = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32) / 8


@dataclass(frozen=True, slots=True)
class Blurred:
    """What a camera took: the image, uint8 (H, W, 3), and its blur, a kernel of sum 1."""

    image: Image
    kernel: Plane


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """The photo without a margin, and it blurred; the margin is what comes in over the border."""
    kernel = motion_kernel(uniform(rng, SHORTEST, LONGEST), uniform(rng, 0.0, 180.0))
    blurred = cv2.filter2D(to_unit(photo), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    height, width = photo.shape[:2]
    inner = (slice(_MARGIN, height - _MARGIN), slice(_MARGIN, width - _MARGIN))
    taken = blurred + np.float32(NOISE) * normals(rng, blurred.size).reshape(blurred.shape)
    return Scene(np.ascontiguousarray(photo[inner]), Blurred(to_levels(taken[inner]), kernel))


def motion_kernel(length: float, angle: float) -> Plane:
    """A line (px, degrees) through the middle, softened, float32 of odd side and sum 1."""
    radius = math.ceil(length / 2 + 3 * _SOFTNESS)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    count = math.ceil(length * _FINE)
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    kernel = np.zeros(x.shape)
    for offset in along:
        right = offset * math.cos(math.radians(angle))
        down = offset * math.sin(math.radians(angle))
        kernel += np.exp(-((x - right) ** 2 + (y - down) ** 2) / (2 * _SOFTNESS**2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def untouched(blurred: Blurred) -> Image:
    """The blurred image itself."""
    return blurred.image.copy()


def unsharp_mask(blurred: Blurred) -> Image:
    """An unsharp mask of radius σ = 3 px and amount 1.5."""
    return sharpen(to_unit(blurred.image), radius=3.0, amount=1.5)


def smooth_unsharp(blurred: Blurred) -> Image:
    """Total-variation denoising (Chambolle 2004) of weight 0.04, then an unsharp mask."""
    from skimage.restoration import denoise_tv_chambolle

    image = to_unit(blurred.image)
    smooth = denoise_tv_chambolle(image, weight=0.04, max_num_iter=30, channel_axis=-1)
    return sharpen(smooth, radius=2.5, amount=2.0)


def wiener(blurred: Blurred, balance: float) -> Image:
    """Wiener's filter with a Laplacian prior (Hunt 1971); a small balance leaves more noise."""
    from skimage.restoration import wiener

    return _by_channel(blurred, lambda plane, kernel: wiener(plane, kernel, balance))


def wiener_gaussian(blurred: Blurred) -> Image:
    """Wiener's filter for a Gaussian of the blur's mean variance: the motion is not known."""
    from skimage.restoration import wiener

    side = np.arange(len(blurred.kernel)) - len(blurred.kernel) // 2
    spread = float((blurred.kernel * (side[:, None] ** 2 + side**2)).sum()) / 2
    line = np.asarray(cv2.getGaussianKernel(len(side), math.sqrt(spread), cv2.CV_32F))
    guess = Blurred(blurred.image, np.asarray(line @ line.T, np.float32))
    return _by_channel(guess, lambda plane, kernel: wiener(plane, kernel, 0.1))


def unsupervised_wiener(blurred: Blurred) -> Image:
    """Wiener's filter whose weights are estimated (Orieux, Giovannelli and Rodet, JOSA A 2010).

    Of luma alone, since it leaves noise that would be colored; the sampler's seed is fixed. The
    prior is a Laplacian with a quarter of the pixel itself added, which rings less than scikit-
    image's own, the Laplacian alone. Ringing stays, as the estimates know of no border.
    """
    from skimage.restoration import unsupervised_wiener

    luma, chroma = split_luma(blurred.image)
    if np.ptp(luma) == 0:  # flat: no power for the sampler to divide by
        return blurred.image.copy()
    wide, inner = _widened(luma, len(blurred.kernel))
    mean = wide.mean()
    restored, _ = unsupervised_wiener(wide - mean, blurred.kernel, _PRIOR, clip=False, rng=0)
    return join_luma(restored[inner] + mean, chroma)


def richardson_lucy(blurred: Blurred, rounds: int) -> Image:
    """Richardson-Lucy deconvolution (Richardson 1972, Lucy 1974) of so many rounds.

    scikit-image takes what lies beyond for black, which spoils a border of two kernels' width.
    """
    from skimage.restoration import richardson_lucy

    return _by_channel(
        blurred,
        lambda plane, kernel: richardson_lucy(plane, kernel, rounds, filter_epsilon=1e-3),
        kernels=3,
    )


def total_variation(blurred: Blurred, fidelity: float) -> Image:
    """Total-variation deconvolution by half-quadratic splitting (FTVd).

    Wang, Yang, Yin and Zhang, SIAM J. Imaging Sciences 2008: gradients are shrunk, then the image
    solved for by a Fourier transform, with a penalty that doubles eight times.

    Args:
        fidelity: weight of the data against total variation; smaller is smoother.
    """
    return _by_channel(blurred, partial(_ftvd, fidelity=fidelity))


def _ftvd(plane: Plane, kernel: Plane, fidelity: float) -> Plane:
    from scipy.fft import irfft2, rfft2

    shape = plane.shape
    blur = rfft2(_centerd(kernel, shape))
    steps = [rfft2(_centerd(step, shape)) for step in _STEPS]
    data = fidelity * np.conj(blur) * rfft2(plane)
    power = fidelity * np.abs(blur) ** 2
    rough = sum(np.abs(step) ** 2 for step in steps)
    spectrum = rfft2(plane)
    for doubling in range(_DOUBLINGS):
        penalty = 2.0 ** (doubling + 3)
        slopes = [irfft2(step * spectrum, shape) for step in steps]
        size = np.hypot(*slopes)
        shrink = np.maximum(size - 1 / penalty, 0) / np.maximum(size, 1e-12)
        pulled = sum(
            np.conj(step) * rfft2(shrink * slope) for step, slope in zip(steps, slopes, strict=True)
        )
        spectrum = (data + penalty * pulled) / (power + penalty * rough)
    return np.asarray(irfft2(spectrum, shape), np.float32)


_STEPS = (
    np.array([[0, 0, 0], [0, -1, 1], [0, 0, 0]], np.float32),
    np.array([[0, 0, 0], [0, -1, 0], [0, 1, 0]], np.float32),
)


def _centerd(kernel: Plane, shape: tuple[int, ...]) -> Plane:
    """A kernel with its middle at the origin of an image that wraps around."""
    full = np.zeros(shape, np.float32)
    full[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.roll(full, [-(side // 2) for side in kernel.shape], (0, 1))


def _by_channel(
    blurred: Blurred,
    restore: Callable[[Plane, Plane], NDArray[np.floating]],
    kernels: int = 1,
) -> Image:
    """Restore every channel of the image, made to wrap around by so many kernels' width."""
    wide, inner = _widened(to_unit(blurred.image), kernels * len(blurred.kernel))
    planes = [
        restore(np.ascontiguousarray(wide[..., part]), blurred.kernel)[inner] for part in range(3)
    ]
    return to_levels(np.dstack(planes))


def _widened(image: Plane, pad: int) -> tuple[Plane, tuple[slice, slice]]:
    """An image extended so that it wraps around, and where in that the image lies."""
    height, width = image.shape[:2]
    inner = (slice(pad, pad + height), slice(pad, pad + width))
    return _wrapping(_wrapping(image, pad, 0), pad, 1), inner


def _wrapping(image: Plane, pad: int, axis: int) -> Plane:
    """Extend an image at both ends of an axis so that it goes on from one to the other.

    By `pad` px before and at least so many after, to a length that is quickly transformed.

    What Fourier transforms take for the neighbor of the border then continues it: a mirror image
    of each end that fades into that of the other (as Liu and Jia, ICIP 2008, in simple form).
    """
    from scipy.fft import next_fast_len

    image = np.moveaxis(image, axis, 0)
    reach = next_fast_len(len(image) + 2 * pad, real=True) - len(image)
    mirrored = np.pad(image, ((reach, reach), *((0, 0),) * (image.ndim - 1)), "symmetric")
    before, after = mirrored[:reach], mirrored[-reach:]
    share = ((np.arange(reach) + 0.5) / reach).astype(np.float32)
    share = share.reshape(-1, *(1,) * (image.ndim - 1))
    between = (1 - share) * after + share * before
    return np.moveaxis(np.concatenate([between[-pad:], image, between[:-pad]]), 0, axis)


TASK = DemoTask(
    least=64 + 2 * _MARGIN,
    colored=False,
    prepare=prepare,
    algorithms={
        "blurred": untouched,
        "unsharp-mask": unsharp_mask,
        "tv-unsharp": smooth_unsharp,
        "wiener": partial(wiener, balance=0.02),
        "wiener-weak": partial(wiener, balance=0.003),
        "wiener-gaussian": wiener_gaussian,
        "unsupervised-wiener": unsupervised_wiener,
        "richardson-lucy-10": partial(richardson_lucy, rounds=10),
        "richardson-lucy-30": partial(richardson_lucy, rounds=30),
        "tv-deconvolution": partial(total_variation, fidelity=2000.0),
        "tv-deconvolution-smooth": partial(total_variation, fidelity=200.0),
    },
)
