"""Pixel by pixel: L2 and PSNR, in RGB and in CIELAB."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.base import Distances, Metric, Patches, PatchMetric

RGB_PEAK = 255.0
LAB_PEAK = 100.0
"""The range of L*, as the lpips package takes it."""


def l2() -> Metric:
    """Root mean squared difference of R, G and B, of full scale, from 0 to 1.

    It orders patches as the mean squared error of the paper's L2 does.
    """
    return PatchMetric(_rgb, lambda a, b: np.sqrt(_mean_square(a, b)) / RGB_PEAK)


def l2_lab() -> Metric:
    """Root mean over pixels of the squared color difference ΔE*ab (CIE 1976), in its units."""
    # The mean over three channels is a third of the squared distance in CIELAB.
    return PatchMetric(lab, lambda a, b: np.sqrt(3.0 * _mean_square(a, b)))


def psnr() -> Metric:
    """−PSNR in dB with peak 255 over R, G and B; −∞ for equal patches."""
    return PatchMetric(_rgb, lambda a, b: _negated_psnr(_mean_square(a, b), RGB_PEAK))


def psnr_lab() -> Metric:
    """−PSNR in dB with peak 100 over L*, a* and b*; −∞ for equal patches."""
    return PatchMetric(lab, lambda a, b: _negated_psnr(_mean_square(a, b), LAB_PEAK))


def _rgb(patches: Patches) -> NDArray[np.float64]:
    return patches.astype(np.float64)


def lab(patches: Patches) -> NDArray[np.float64]:
    """L*, a* and b* of uint8 patches, float64 (N, H, W, 3); illuminant D65, observer 2°."""
    from skimage.color import rgb2lab

    if not len(patches):  # which scikit-image refuses
        return np.empty(patches.shape)
    return np.asarray(rgb2lab(patches), np.float64)


def _mean_square(a: NDArray[np.float64], b: NDArray[np.float64]) -> Distances:
    values = math.prod(a.shape[1:])
    difference = (a - b).reshape(len(a), values)
    return np.asarray(np.einsum("ij,ij->i", difference, difference) / values)


def _negated_psnr(mean_square: Distances, peak: float) -> Distances:
    with np.errstate(divide="ignore"):  # equal patches are meant to give −∞
        return 10.0 * np.log10(mean_square / peak**2)
