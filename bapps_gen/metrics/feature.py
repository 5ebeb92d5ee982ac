"""FSIMc, the feature similarity index with color.

Zhang, Zhang, Mou and Zhang, "FSIM: a feature similarity index for image quality assessment" (IEEE
TIP 2011), equations 4 to 13, with the constants of the authors' program. Phase congruency is
Kovesi's ("Image features from phase congruency", Videre 1999), with his noise threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.metrics.base import Distances, Metric, Patches, PatchMetric

SCALES = 4
ORIENTATIONS = 4
SHORTEST_WAVE = 6.0
WAVE_RATIO = 2.0
RADIAL_SIGMA = 0.55
ANGULAR_RATIO = 1.2
NOISE_SIGMAS = 2.0
NOISE_SCALE = 1.7
"""Kovesi's empirical divisor of the noise threshold, which is derived for another measure."""
LOWPASS_CUTOFF = 0.45
LOWPASS_ORDER = 15
AMPLITUDE_FLOOR = 1e-4
"""Kovesi's epsilon, on the scale 0 to 255: makes flat regions have no phase congruency."""

T1, T2, T3, T4, LAMBDA = 0.85, 160.0, 200.0, 200.0, 0.03

YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""Rows give Y, I and Q from R, G and B; section III.C of the paper."""

NOMINAL_SIDE = 256
SMALLEST = 8


def fsimc() -> Metric:
    """1 − FSIMc; 0 for equal patches, seldom above 0.7.

    Two flat patches, which have no phase congruency to weigh by, are compared with equal weights:
    our own choice. Images of 384 px and more are averaged over blocks first, as in the authors'
    program. Filter responses have single precision, which costs about 1e-6.
    """
    return PatchMetric(_features, _distance, SMALLEST)


@dataclass(frozen=True, slots=True)
class _Features:
    """Maps (N, H, W): phase congruency, gradient magnitude, I and Q."""

    congruency: NDArray[np.float64]
    gradient: NDArray[np.float64]
    in_phase: NDArray[np.float64]
    quadrature: NDArray[np.float64]


def _features(patches: Patches) -> _Features:
    color = _averaged(patches) @ YIQ.T
    luma = np.ascontiguousarray(color[..., 0])
    gradient = np.empty_like(luma)
    congruency = np.empty_like(luma)
    for index, plane in enumerate(luma):
        across, down = (
            cv2.Scharr(plane, cv2.CV_64F, dx, 1 - dx, scale=1 / 16, borderType=cv2.BORDER_CONSTANT)
            for dx in (1, 0)
        )
        gradient[index] = np.hypot(across, down)
        congruency[index] = phase_congruency(plane)
    return _Features(congruency, gradient, color[..., 1], color[..., 2])


def _averaged(patches: Patches) -> NDArray[np.float64]:
    """Patches averaged over blocks, so that the shorter side comes near 256 px."""
    count, height, width, _ = patches.shape
    block = max(1, math.floor(min(height, width) / NOMINAL_SIDE + 0.5))
    if block == 1:
        return patches.astype(np.float64)
    whole = patches[:, : height // block * block, : width // block * block]
    blocks = whole.reshape(count, height // block, block, width // block, block, 3)
    return np.asarray(blocks.mean((2, 4), dtype=np.float64))


def _distance(a: _Features, b: _Features) -> Distances:
    weight = np.maximum(a.congruency, b.congruency)
    flat = weight.max((1, 2), initial=0.0) <= 0.0
    weight[flat] = 1.0
    likeness = _similarity(a.congruency, b.congruency, T1)
    likeness *= _similarity(a.gradient, b.gradient, T2)
    chroma = _similarity(a.in_phase, b.in_phase, T3)
    chroma *= _similarity(a.quadrature, b.quadrature, T4)
    # Where opposed hues make the product negative, the authors take the complex power's real part.
    likeness *= np.abs(chroma) ** LAMBDA * np.where(chroma < 0, math.cos(LAMBDA * math.pi), 1.0)
    return np.asarray(1.0 - (likeness * weight).sum((1, 2)) / weight.sum((1, 2)))


def _similarity(
    a: NDArray[np.float64], b: NDArray[np.float64], constant: float
) -> NDArray[np.float64]:
    return np.asarray((2 * a * b + constant) / (a * a + b * b + constant))


@dataclass(frozen=True, slots=True)
class _Bank:
    """Log-Gabor filters for one image size.

    Args:
        filters: float32 (orientations, scales, H, W), in the frequency domain, unshifted.
        noise: float64 (orientations,), what the root of the median squared response of the finest
            scale is multiplied by to give the noise threshold.
    """

    filters: NDArray[np.float32]
    noise: NDArray[np.float64]


def phase_congruency(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phase congruency of a gray image on the scale 0 to 255: float64 (H, W), from 0 to 1."""
    from scipy import fft

    bank = _bank(*plane.shape)
    spectrum = fft.fft2(plane.astype(np.float32))
    # Even and odd responses are the real and imaginary parts.
    responses = fft.ifft2(spectrum * bank.filters, overwrite_x=True)
    amplitude = np.abs(responses)
    total = responses.sum(1, keepdims=True)
    direction = np.conj(total) / (np.abs(total) + np.float32(AMPLITUDE_FLOOR))
    turned = responses * direction  # the mean phase turned to zero
    energy = (turned.real - np.abs(turned.imag)).sum(1)
    threshold = bank.noise * np.median(amplitude[:, 0].reshape(ORIENTATIONS, -1), axis=1)
    energy = np.maximum(energy - threshold[:, None, None], 0.0).sum(0)
    return np.asarray(energy / (amplitude.sum((0, 1), dtype=np.float64) + AMPLITUDE_FLOOR))


@lru_cache(maxsize=8)
def _bank(height: int, width: int) -> _Bank:
    down, across = np.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius = np.fft.ifftshift(np.hypot(across, down))
    angle = np.fft.ifftshift(np.arctan2(-down, across))
    lowpass = 1.0 / (1.0 + (radius / LOWPASS_CUTOFF) ** (2 * LOWPASS_ORDER))
    radius[0, 0] = 1.0  # keeps the logarithm finite; the filters' mean is set to 0 below
    filters = np.empty((ORIENTATIONS, SCALES, height, width))
    angular_sigma = math.pi / ORIENTATIONS / ANGULAR_RATIO
    for orientation in range(ORIENTATIONS):
        away = angle - orientation * math.pi / ORIENTATIONS
        away = np.abs(np.arctan2(np.sin(away), np.cos(away)))  # into 0 to π
        spread = np.exp(-(away**2) / (2 * angular_sigma**2))
        for scale in range(SCALES):
            center = 1.0 / (SHORTEST_WAVE * WAVE_RATIO**scale)
            radial = np.exp(-(np.log(radius / center) ** 2) / (2 * math.log(RADIAL_SIGMA) ** 2))
            filters[orientation, scale] = radial * lowpass * spread
    filters[:, :, 0, 0] = 0.0
    return _Bank(filters.astype(np.float32), _noise_factors(filters))


def _frequencies(size: int) -> NDArray[np.float64]:
    """Cycles a pixel from -0.5, the middle at zero, as in Kovesi's program."""
    if size % 2:
        return np.arange(-(size - 1) // 2, size // 2 + 1) / (size - 1)
    return np.arange(-size // 2, size // 2) / size


def _noise_factors(filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise threshold over the root of the median squared response at the finest scale.

    The squared response to noise is exponentially distributed: its mean is its median over ln 2.
    Divided by the filter's energy it is the noise's power; from that follow the expected energy of
    all scales together, the Rayleigh parameter τ and the threshold mean + k·σ, over 1.7.
    """
    height, width = filters.shape[2:]
    power = 1.0 / math.log(2.0) / (filters[:, 0] ** 2).sum((1, 2))
    kernels = np.fft.ifft2(filters.sum(1)).real
    tau = np.sqrt(power * (kernels**2).sum((1, 2)) * height * width)
    spread = math.sqrt(math.pi / 2) + NOISE_SIGMAS * math.sqrt(2 - math.pi / 2)
    return np.asarray(tau * spread / NOISE_SCALE)
