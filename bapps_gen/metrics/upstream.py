"""L2 and SSIM as the original program computes them.

From `lpips/__init__.py` and `lpips/lpips.py` of richzhang/PerceptualSimilarity: its L2 and DSSIM
take CIELAB unless asked for RGB. They order many triplets otherwise than `l2` and `ssim` do, and
are what scores that were published with that program rest on. Its L2 in RGB orders as `l2`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.base import Distances, Metric, Patches, PatchMetric
from bapps_gen.metrics.pixelwise import lab

WINDOW = 7
RGB_RANGE = 255.0
LAB_RANGE = 100.0
"""Of L*; the program takes it for a* and b*, too."""


def l2_lab_upstream() -> Metric:
    """½ of the mean squared difference of L*, a* and b*, each divided by 100."""
    return PatchMetric(_lab, _half_mean_square)


def dssim_rgb_upstream() -> Metric:
    """(1 − SSIM) / 2 of R, G and B, the mean over 7×7 windows; from 0 to 1."""
    return PatchMetric(_rgb, lambda a, b: _dssim(a, b, RGB_RANGE), WINDOW)


def dssim_lab_upstream() -> Metric:
    """(1 − SSIM) / 2 of L*, a* and b*, the mean over 7×7 windows; from 0 to 1."""
    return PatchMetric(_lab, lambda a, b: _dssim(a, b, LAB_RANGE), WINDOW)


def truncated_levels() -> NDArray[np.uint8]:
    """What the program makes of the levels 0 to 255, uint8 (256,).

    Its loader takes them to [−1, 1] in float32, and its metrics take them back and cut off the
    fraction, by which 1 to 63 become one less.
    """
    unit = np.arange(256, dtype=np.float32) / np.float32(255)
    centered = (unit - np.float32(0.5)) / np.float32(0.5)
    return ((centered + np.float32(1)) * np.float32(127.5)).astype(np.uint8)


def _rgb(patches: Patches) -> NDArray[np.float64]:
    return truncated_levels()[patches].astype(np.float64)


def _lab(patches: Patches) -> NDArray[np.float64]:
    return lab(truncated_levels()[patches])


def _half_mean_square(a: NDArray[np.float64], b: NDArray[np.float64]) -> Distances:
    return np.asarray(0.5 * (((a - b) / LAB_RANGE) ** 2).mean((1, 2, 3)))


def _dssim(a: NDArray[np.float64], b: NDArray[np.float64], data_range: float) -> Distances:
    from skimage.metrics import structural_similarity

    similarities = [
        structural_similarity(one, other, win_size=WINDOW, data_range=data_range, channel_axis=-1)
        for one, other in zip(a, b, strict=True)
    ]
    return (1.0 - np.array(similarities, np.float64)) / 2.0
