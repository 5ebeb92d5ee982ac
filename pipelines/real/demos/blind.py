"""Estimates of an unknown camera shake's kernel from the blurred photo alone."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from bapps_gen.pipelines.real.demos.pixels import Plane

SUPPORT = 23
"""Side of the kernels that are looked for, px."""

_WINDOW = 256  # the kernel is estimated in the middle of the photo, at most so many px a side
_SCALES = (0.25, 0.35, 0.5, 0.71, 1.0)
_ROUNDS = 5
_LONGEST = 16  # straight motion, px
_FAINT = 0.01  # slopes of luma that are noise
_SMOOTHNESS = 5.0  # weight of the kernel's power
_STEPS = (
    np.array([[0, 0, 0], [0, -1, 1], [0, 0, 0]], np.float32),
    np.array([[0, 0, 0], [0, -1, 0], [0, 1, 0]], np.float32),
)

Spectrum = NDArray[np.complexfloating]


def kernel_by_edges(luma: Plane) -> Plane:
    """By sharpened strong edges: Cho and Lee, "Fast motion deblurring" (SIGGRAPH Asia 2009).

    Args:
        luma: float32 (H, W) in [0, 1], as in the other functions.

    Returns:
        float32 (SUPPORT, SUPPORT), its center of mass in the middle, of sum 1.
    """
    return _estimate(luma, _predict_edges)


def kernel_by_sparsity(luma: Plane) -> Plane:
    """By a latent image with few gradients: Xu, Zheng and Jia, "Unnatural L0" (CVPR 2013)."""
    return _estimate(luma, _predict_sparse)


def kernel_of_line(luma: Plane) -> Plane:
    """A straight motion, by the autocorrelation of derivatives (Yitzhaky and Kopeika, 1997).

    A blurred image changes least along the motion; derivatives along it are correlated negatively
    at a distance of the motion's length.
    """
    height, width = luma.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    inner = (slice(height // 6, -(height // 6)), slice(width // 6, -(width // 6)))

    def along(angle: float) -> Plane:
        turned = cv2.getRotationMatrix2D(middle, angle, 1.0)
        moved = cv2.warpAffine(luma, turned, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        return np.diff(np.asarray(moved, np.float32)[inner], axis=1)

    angles = np.arange(0.0, 180.0, 10.0)
    angle = float(angles[np.argmin([np.square(along(angle)).sum() for angle in angles])])
    change = along(angle)
    power = np.square(np.abs(np.fft.rfft(change, 2 * change.shape[1], axis=1))).sum(axis=0)
    length = 3 + int(np.argmin(np.fft.irfft(power)[3:_LONGEST]))
    offsets = np.linspace(-length / 2, length / 2, 8 * length)
    points = np.stack([np.cos(np.radians(angle)) * offsets, np.sin(np.radians(angle)) * offsets])
    return trajectory_kernel(points.T, SUPPORT // 2)


def trajectory_kernel(points: NDArray[np.floating], radius: int) -> Plane:
    """The kernel of a motion through points (x, y), (N, 2) px: a soft dot of σ 0.6 px at each."""
    side = np.arange(-radius, radius + 1)
    x, y = (np.exp(-0.5 * ((side - part[:, None]) / 0.6) ** 2) for part in points.T)
    kernel = y.T @ x
    return np.asarray(kernel / kernel.sum(), np.float32)


def centered(kernel: Plane, shape: tuple[int, ...]) -> Plane:
    """A kernel with its middle at the origin of an image that wraps around."""
    full = np.zeros(shape, np.float32)
    full[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.roll(full, [-(side // 2) for side in kernel.shape], (0, 1))


def widened(image: Plane, pad: int) -> tuple[Plane, tuple[slice, slice]]:
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
    image = np.moveaxis(image, axis, 0)
    reach = next_fast_len(len(image) + 2 * pad, real=True) - len(image)
    mirrored = np.pad(image, ((reach, reach), *((0, 0),) * (image.ndim - 1)), "symmetric")
    before, after = mirrored[:reach], mirrored[-reach:]
    share = ((np.arange(reach) + 0.5) / reach).astype(np.float32)
    share = share.reshape(-1, *(1,) * (image.ndim - 1))
    between = (1 - share) * after + share * before
    return np.moveaxis(np.concatenate([between[-pad:], image, between[:-pad]]), 0, axis)


def shrink_gradients(
    plane: Plane,
    kernel: Plane,
    penalties: NDArray[np.floating],
    fidelity: float,
    shrink: Callable[[NDArray[np.floating], float], NDArray[np.floating]],
) -> Plane:
    """Deconvolution by half-quadratic splitting: gradients are shrunk, then the image solved for.

    Wang, Yang, Yin and Zhang, "FTVd" (SIAM J. Imaging Sciences 2008).

    Args:
        plane: float32 (H, W), taken to wrap around.
        penalties: weights of the shrunk gradients, one for each round, rising.
        fidelity: weight of the data against the gradients; smaller is smoother.
        shrink: gives the share of gradients that is kept, from their magnitude and the penalty.
    """
    shape = plane.shape
    blur, steps = rfft2(centered(kernel, shape)), _step_spectra(shape)
    spectrum = rfft2(plane)
    data, power = fidelity * np.conj(blur) * spectrum, fidelity * np.abs(blur) ** 2
    rough = sum(np.abs(step) ** 2 for step in steps)
    for penalty in penalties:
        slopes = [irfft2(step * spectrum, shape) for step in steps]
        kept = shrink(np.hypot(*slopes), float(penalty))
        pulled = sum(
            np.conj(step) * rfft2(kept * slope) for step, slope in zip(steps, slopes, strict=True)
        )
        spectrum = (data + penalty * pulled) / (power + penalty * rough)
    return np.asarray(irfft2(spectrum, shape), np.float32)


def smooth_deconvolution(plane: Plane, kernel: Plane, weight: float) -> Plane:
    """The least-squares image whose gradients have little power, as in Cho and Lee's equation 3."""
    shape = plane.shape
    blur = rfft2(centered(kernel, shape))
    rough = sum(np.abs(step) ** 2 for step in _step_spectra(shape))
    solved = np.conj(blur) * rfft2(plane) / (np.abs(blur) ** 2 + weight * rough)
    return np.asarray(irfft2(solved, shape), np.float32)


def _step_spectra(shape: tuple[int, ...]) -> list[Spectrum]:
    return [rfft2(centered(step, shape)) for step in _STEPS]


_Predict = Callable[[Plane, Plane], Plane]
"""A latent image with sharp edges, from the blurred one and a kernel."""


def _estimate(luma: Plane, predict: _Predict) -> Plane:
    """From coarse to fine: a latent image by the kernel so far, then the kernel by that image."""
    height, width = (min(side, _WINDOW) for side in luma.shape)
    top, left = (luma.shape[0] - height) // 2, (luma.shape[1] - width) // 2
    window = luma[top : top + height, left : left + width]
    kernel = np.asarray(cv2.getGaussianKernel(SUPPORT, 2.0, cv2.CV_32F))
    kernel = kernel @ kernel.T
    for scale in _SCALES:
        support = 2 * round(scale * SUPPORT / 2) + 1
        kernel = cv2.resize(kernel, (support, support), interpolation=cv2.INTER_LINEAR)
        kernel = _cleaned(np.asarray(kernel, np.float32))
        size = (round(width * scale), round(height * scale))
        small = np.asarray(cv2.resize(window, size, interpolation=cv2.INTER_AREA), np.float32)
        wide, _ = widened(small, support)
        for _ in range(_ROUNDS):
            kernel = _solve_kernel(predict(wide, kernel), wide, support)
    side = (len(kernel) - SUPPORT) // 2
    return kernel[side : side + SUPPORT, side : side + SUPPORT] if side > 0 else kernel


def _predict_edges(plane: Plane, kernel: Plane) -> Plane:
    latent = smooth_deconvolution(plane, kernel, 0.01)
    latent = np.asarray(cv2.bilateralFilter(latent, 5, 0.1, 2.0))
    for _ in range(2):  # a shock filter (Osher and Rudin 1990)
        down, right = np.gradient(latent)
        latent = latent - 0.5 * np.sign(cv2.Laplacian(latent, cv2.CV_32F)) * np.hypot(down, right)
    return latent


def _predict_sparse(plane: Plane, kernel: Plane) -> Plane:
    weight = 0.004

    def keep(size: NDArray[np.floating], penalty: float) -> NDArray[np.floating]:
        return (size**2 >= weight / penalty).astype(np.float32)

    return shrink_gradients(plane, kernel, weight * 2.0 ** np.arange(1, 24, 2), 1.0, keep)


def _solve_kernel(latent: Plane, plane: Plane, support: int) -> Plane:
    """The least-squares kernel between the latent image's strong gradients and the blurred ones."""
    shape = plane.shape
    slopes = [np.diff(latent, axis=axis, append=latent.take([0], axis)) for axis in (1, 0)]
    size = np.hypot(*slopes)
    strong = size >= max(float(np.quantile(size, 0.8)), _FAINT)
    blurred, power = 0.0, _SMOOTHNESS
    for axis, slope in zip((1, 0), slopes, strict=True):
        known = rfft2(np.where(strong, slope, 0))
        seen = rfft2(np.diff(plane, axis=axis, append=plane.take([0], axis)))
        blurred = blurred + np.conj(known) * seen
        power = power + np.abs(known) ** 2
    kernel = np.roll(irfft2(blurred / power, shape), [support // 2] * 2, (0, 1))
    return _cleaned(np.asarray(kernel[:support, :support], np.float32))


def _cleaned(kernel: Plane) -> Plane:
    """The connected parts with a tenth of the kernel each, centered, of sum 1."""
    kernel = np.where(kernel < kernel.max() / 8, 0, kernel)
    count, parts = cv2.connectedComponents((kernel > 0).astype(np.uint8))
    for part in range(1, count):
        if kernel[parts == part].sum() < 0.1 * kernel.sum():
            kernel[parts == part] = 0
    if kernel.sum() <= 0:  # of a flat photo: no motion can be seen
        kernel[len(kernel) // 2, len(kernel) // 2] = 1
    moments = cv2.moments(kernel)
    middle = len(kernel) // 2
    x, y = (round(middle - moments[part] / moments["m00"]) for part in ("m10", "m01"))
    kernel = np.roll(kernel, (y, x), (0, 1))
    return np.asarray(kernel / kernel.sum(), np.float32)
