"""SSIM and MS-SSIM.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity" (IEEE TIP 2004), and Wang, Simoncelli and Bovik, "Multiscale structural similarity for
image quality assessment" (Asilomar 2003). The papers take gray images; here each of R, G and B is
taken by itself and the three are averaged, as the usual libraries do. No library that we depend on
has MS-SSIM, and its factors are SSIM's, so both are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.base import Distances, Metric, Patches, PatchMetric

WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Wang 2003, section 3.2, from the finest scale."""

_MARGIN = WINDOW // 2
_BLUR = np.exp(-(np.arange(-_MARGIN, _MARGIN + 1) ** 2) / (2 * SIGMA**2))
_BLUR /= _BLUR.sum()


def ssim() -> Metric:
    """1 − SSIM, the mean over all whole 11×11 windows and over R, G and B; from 0 to 2."""
    return PatchMetric(lambda patches: _moments(patches.astype(np.float64)), _ssim_distance, WINDOW)


def ms_ssim() -> Metric:
    """1 − MS-SSIM, from 0 to 1.

    The published five scales need 176 px. A smaller patch takes the first M scales at which the
    11 px window still fits (3 at 64 px), their weights scaled to sum 1: our own rule. Contrast and
    structure are taken from every scale, luminance from the coarsest; negative means, whose power
    is undefined, count as 0. Halving averages 2×2 px; a last odd row or column is repeated.
    """
    return PatchMetric(_pyramid, _ms_ssim_distance, WINDOW)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Planes (N, H, W, 3) with their mean and mean square in every whole window."""

    planes: NDArray[np.float64]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]


def _moments(planes: NDArray[np.float64]) -> _Moments:
    return _Moments(planes, _windowed(planes), _windowed(planes * planes))


def _windowed(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means over every whole window: (N, H, W, 3) to (N, H - 10, W - 10, 3)."""
    count, height, width, channels = planes.shape
    means = np.empty((count, height - 2 * _MARGIN, width - 2 * _MARGIN, channels))
    for index, plane in enumerate(planes):
        blurred = cv2.sepFilter2D(plane, cv2.CV_64F, _BLUR, _BLUR)
        means[index] = blurred[_MARGIN : height - _MARGIN, _MARGIN : width - _MARGIN]
    return means


def _factors(a: _Moments, b: _Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maps of luminance, and of contrast and structure together."""
    both = a.mean * b.mean
    squares = a.mean * a.mean + b.mean * b.mean
    luminance = (2 * both + C1) / (squares + C1)
    covariance = _windowed(a.planes * b.planes) - both
    structure = (2 * covariance + C2) / (a.square + b.square - squares + C2)
    return luminance, structure


def _ssim_distance(a: _Moments, b: _Moments) -> Distances:
    luminance, structure = _factors(a, b)
    return np.asarray(1.0 - (luminance * structure).mean((1, 2, 3)))


def scale_count(height: int, width: int) -> int:
    """How many scales MS-SSIM takes of an image: at most 5, the coarsest of at least 11 px."""
    side, scales = min(height, width), 1
    while scales < len(SCALE_WEIGHTS) and (side := side // 2) >= WINDOW:
        scales += 1
    return scales


def scale_weights(scales: int) -> NDArray[np.float64]:
    """The published weights where all five scales are taken; fewer are scaled to sum 1."""
    weights = np.array(SCALE_WEIGHTS[:scales])
    return weights if scales == len(SCALE_WEIGHTS) else weights / weights.sum()


def _pyramid(patches: Patches) -> list[_Moments]:
    planes = patches.astype(np.float64)
    levels = [_moments(planes)]
    for _ in range(scale_count(*patches.shape[1:3]) - 1):
        planes = _halved(planes)
        levels.append(_moments(planes))
    return levels


def _halved(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    _, height, width, _ = planes.shape
    padded = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    rows = padded[:, 0::2] + padded[:, 1::2]
    return np.asarray((rows[:, :, 0::2] + rows[:, :, 1::2]) / 4)


def _ms_ssim_distance(a: list[_Moments], b: list[_Moments]) -> Distances:
    weights = scale_weights(len(a))
    product = np.ones((len(a[0].planes), 3))
    for level, weight in enumerate(weights):
        luminance, structure = _factors(a[level], b[level])
        last = level == len(weights) - 1
        mean = (luminance * structure if last else structure).mean((1, 2))
        product *= np.maximum(mean, 0.0) ** weight
    return np.asarray(1.0 - product.mean(1))
