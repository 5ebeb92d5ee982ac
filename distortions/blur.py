"""Blur distortions: Gaussian and bilateral. Borders are mirrored about the edge pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.definition import Patch

_TRUNCATE = 4.0
"""The Gaussian kernel's radius in σ, as in scipy.ndimage."""

_REDUCED_SIGMA = 6.0
"""Smallest σ in px of a reduced image (own choice; errors grow below it)."""

_SIGMAS = 6
"""σ to a side, at least: of smaller images, mirrored margins would make up the most."""

_CUBIC_REACH = 2
"""Pixels that cubic interpolation needs on each side."""

_BORDER = cv2.BORDER_REFLECT_101

_RADIUS = 2
"""Of the window of a bilateral pass, in px."""

_PASS_SIGMA = 4 / 3
"""Largest spatial σ of one bilateral pass: OpenCV's own rule gives it the radius above."""

_ROUNDING = 1e-9
"""Of a spatial σ, which decides on no pass more."""


def blur_gaussian(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Convolve with a sampled Gaussian of standard deviation sigma px, cut at 4σ.

    From 12 px to a sixth of the image's shorter side, it acts on a reduced image, which gives the
    same within 1.5 levels: at 512 px, σ = 25 takes a tenth of the time.
    """
    sigma = params["sigma"]
    if sigma == 0:
        return patch.copy()
    reduction = int(sigma / _REDUCED_SIGMA)
    if reduction < 2 or sigma * _SIGMAS > min(patch.shape[:2]):
        return _uint8(_convolve(patch, sigma, cv2.CV_8U))
    return _uint8(_blur_reduced(patch, sigma, reduction))


def _convolve(image: cv2.typing.MatLike, sigma: float, depth: int) -> cv2.typing.MatLike:
    size = 2 * math.ceil(_TRUNCATE * sigma) + 1
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    return cv2.sepFilter2D(image, depth, kernel, kernel, borderType=_BORDER)


def _blur_reduced(image: Patch, sigma: float, reduction: int) -> cv2.typing.MatLike:
    """The Gaussian blur by way of means over squares of `reduction` px, a Gaussian and cubics."""
    height, width = image.shape[:2]
    # The variance of a mean over k px is (k² - 1) / 12; the Gaussian adds the rest.
    inner = math.sqrt(sigma**2 - (reduction**2 - 1) / 12) / reduction
    margin = math.ceil(_TRUNCATE * inner) + _CUBIC_REACH
    before = margin * reduction
    rows, columns = -(-height // reduction), -(-width // reduction)
    below = before + rows * reduction - height
    right = before + columns * reduction - width
    padded = cv2.copyMakeBorder(image, before, below, before, right, _BORDER)
    small = (columns + 2 * margin, rows + 2 * margin)
    means = cv2.resize(padded, small, interpolation=cv2.INTER_AREA)
    blurred = _convolve(means, inner, cv2.CV_32F)
    edge = margin - _CUBIC_REACH
    kept = blurred[edge:-edge, edge:-edge]
    whole = (kept.shape[1] * reduction, kept.shape[0] * reduction)
    enlarged = cv2.resize(kept, whole, interpolation=cv2.INTER_CUBIC)
    first = _CUBIC_REACH * reduction
    # Values are positive, so the absolute value in the fast conversion does nothing.
    return cv2.convertScaleAbs(enlarged[first : first + height, first : first + width])


def blur_bilateral(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Smooth by a bilateral filter (Tomasi and Manduchi, ICCV 1998), which keeps strong edges.

    The color distance is the sum of the absolute differences of R, G and B, in levels. A wide
    filter is made of passes of a window of 5 × 5 px, whose variances add up to σ_space²: of two,
    or of passes on neighbors 1, 2, 4 … px apart (à trous; Dammertz et al., HPG 2010). Where the
    image is flat this is close to the wide filter, and it costs a fraction.
    """
    color, space = params["sigma_color"], params["sigma_space"]
    if color == 0 or space == 0:
        return patch.copy()
    steps = _steps(space)
    each = space / _widening(steps)
    out: cv2.typing.MatLike = patch
    for step in steps:
        parts = out if step == 1 else _apart(out, step)
        filtered = cv2.bilateralFilter(parts, 2 * _RADIUS + 1, color, each, borderType=_BORDER)
        out = filtered if step == 1 else _together(filtered, step, patch.shape[:2])
    return _uint8(out)


def _steps(space: float) -> list[int]:
    """Distances in px of the neighbors of each pass, the fewest passes that are wide enough."""
    steps = [1]
    if space > _PASS_SIGMA + _ROUNDING:
        steps = [1, 1]
    if space > _PASS_SIGMA * _widening(steps) + _ROUNDING:
        steps = [1, 2]
    while space > _PASS_SIGMA * _widening(steps) + _ROUNDING:
        steps.append(2 * steps[-1])
    return steps


def _widening(steps: Sequence[int]) -> float:
    """σ of passes with these steps, in σ of a single one."""
    return math.hypot(*steps)


def _apart(image: cv2.typing.MatLike, step: int) -> cv2.typing.MatLike:
    """The `step`² images of pixels `step` px apart, in one image, each with a mirrored margin.

    One call of a filter then takes them all; calls on each took twice as long.
    """
    height, width = image.shape[:2]
    margin = _RADIUS * step
    padded = cv2.copyMakeBorder(
        image, margin, margin + -height % step, margin, margin + -width % step, _BORDER
    )
    pixels = _packed(padded)
    grid = pixels.reshape(len(pixels) // step, step, -1, step).transpose(1, 0, 3, 2)
    return _unpacked(grid.reshape(pixels.shape))


def _together(parts: cv2.typing.MatLike, step: int, shape: tuple[int, ...]) -> cv2.typing.MatLike:
    """The image (height, width) of which `_apart` made `parts`."""
    pixels = _packed(parts)
    grid = pixels.reshape(step, len(pixels) // step, step, -1).transpose(1, 0, 3, 2)
    first = _RADIUS * step
    kept = grid.reshape(pixels.shape)[first : first + shape[0], first : first + shape[1]]
    return _unpacked(kept)


def _packed(image: cv2.typing.MatLike) -> NDArray[np.uint32]:
    """Pixels as single numbers, uint32 (H, W), which NumPy moves the fastest."""
    pixels: NDArray[np.uint32] = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).view(np.uint32)[..., 0]
    return pixels


def _unpacked(pixels: NDArray[np.uint32]) -> cv2.typing.MatLike:
    return cv2.cvtColor(pixels[..., None].view(np.uint8), cv2.COLOR_RGBA2RGB)


def _uint8(image: cv2.typing.MatLike) -> Patch:
    """OpenCV's stubs do not carry the depth that was asked for."""
    return image  # type: ignore[return-value]
