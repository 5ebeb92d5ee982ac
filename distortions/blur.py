"""Blur distortions: Gaussian and bilateral. Borders are mirrored about the edge pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from bapps_gen.distortions.definition import Patch

_TRUNCATE = 4.0
"""The Gaussian kernel's radius in σ, as in scipy.ndimage."""

_PASS_SIGMA = 4 / 3
"""Largest spatial σ of one bilateral pass: OpenCV's own window rule gives it a radius of 2 px."""


def blur_gaussian(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Convolve with a sampled Gaussian of standard deviation sigma px, cut at 4σ."""
    sigma = params["sigma"]
    if sigma == 0:
        return patch.copy()
    size = 2 * math.ceil(_TRUNCATE * sigma) + 1
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    return cv2.sepFilter2D(patch, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]


def blur_bilateral(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Smooth by a bilateral filter (Tomasi and Manduchi, ICCV 1998), which keeps strong edges.

    The color distance is the sum of the absolute differences of R, G and B, in levels. A wide
    filter is made of several passes of a window of 5 × 5 px, each of σ_space / √passes: where the
    image is flat this is close to the wide filter, and it costs a fraction.
    """
    color, space = params["sigma_color"], params["sigma_space"]
    if color == 0 or space == 0:
        return patch.copy()
    passes = max(1, math.ceil((space / _PASS_SIGMA) ** 2 - 1e-9))
    each = space / math.sqrt(passes)
    out: cv2.typing.MatLike = patch
    for _ in range(passes):
        out = cv2.bilateralFilter(out, 5, color, each, borderType=cv2.BORDER_REFLECT_101)
    return out  # type: ignore[return-value]
