"""Blur distortions: Gaussian and bilateral. Borders are mirrored about the edge pixel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import cv2
import numpy as np

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

_PASS_SIGMA = 4 / 3
"""Largest spatial σ of one bilateral pass: OpenCV's own window rule gives it a radius of 2 px."""


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
    filter is made of passes of a window of 5 × 5 px, on neighbors 1, 2, 4 … px apart, whose
    variances add up to σ_space² (à trous; Dammertz et al., HPG 2010): where the image is flat
    this is close to the wide filter, and it costs a fraction.
    """
    color, space = params["sigma_color"], params["sigma_space"]
    if color == 0 or space == 0:
        return patch.copy()
    passes = 1
    while space > _PASS_SIGMA * _widening(passes) + 1e-9:
        passes += 1
    each = space / _widening(passes)
    out = cv2.bilateralFilter(patch, 5, color, each, borderType=_BORDER)
    for number in range(1, passes):
        step = min(2**number, *patch.shape[:2])
        for top, left in itertools.product(range(step), repeat=2):
            part = out[top::step, left::step]
            part[...] = cv2.bilateralFilter(part, 5, color, each, borderType=_BORDER)
    return _uint8(out)


def _widening(passes: int) -> float:
    """σ of passes with steps of 1, 2, 4 … px, in σ of the first."""
    return math.sqrt((4**passes - 1) / 3)


def _uint8(image: cv2.typing.MatLike) -> Patch:
    """OpenCV's stubs do not carry the depth that was asked for."""
    return image  # type: ignore[return-value]
