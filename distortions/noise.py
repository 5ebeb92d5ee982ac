"""Noise distortions: white, pink, blue and colored noise, and the checkerboard artifact.

Noise is drawn for each pixel and channel independently, added, rounded and clipped to [0, 255].
Amplitudes are fractions of full scale (255), before clipping.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.rng import normals, words16

_OWN = 0.5
"""Share, in amplitude, of each channel's own part of a checkerboard."""

_COMMON = math.sqrt(1 - _OWN**2)

_PHASES = 256
"""Phases of a checkerboard's waves; with a period of 2 px there are two."""

_STRENGTHS = 4
"""Places along each axis that have a strength of their own in a checkerboard, between which it
varies linearly."""

_UNEVENNESS = 0.5
"""Standard deviation of these strengths, whose mean is 1."""

_CACHED_PIXELS = 2**18
"""Frequency grids of larger images are not kept, so that caches stay below a few MB."""


def add_uniform(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add noise uniform on [-amplitude, amplitude] of full scale."""
    amplitude = params["amplitude"]
    if amplitude == 0:
        return patch.copy()
    uniform = words16(rng, patch.size).view("<i2").reshape(patch.shape)
    step = np.float32(amplitude * 255 / 32768)
    return _add(patch, uniform * step, 1.0)


def add_gaussian(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add normal noise of standard deviation sigma of full scale."""
    sigma = params["sigma"]
    if sigma == 0:
        return patch.copy()
    return _add(patch, normals(rng, patch.size).reshape(patch.shape), sigma * 255)


def add_pink(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add noise whose power spectral density falls as 1/f."""
    return _add_power_law(patch, params["sigma"], 1.0, rng)


def add_blue(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add noise whose power spectral density rises as f."""
    return _add_power_law(patch, params["sigma"], -1.0, rng)


def add_colored(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add noise of power spectral density 1/f**exponent, from violet (-2) to brown (+2)."""
    return _add_power_law(patch, params["sigma"], params["exponent"], rng)


def add_checkerboard(patch: Patch, params: Mapping[str, float], rng: np.random.Generator) -> Patch:
    """Add the pattern that transposed convolutions of stride `period` leave.

    Where kernels of such convolutions overlap unevenly, the picture is brighter and darker with
    the stride as its period (Odena, Dumoulin and Olah, "Deconvolution and checkerboard artifacts",
    Distill 2016). Here each channel has soft waves of that period along both axes, and their
    product; part of them is common to the channels, and part has its own phase in each, which
    makes color. The amplitude varies smoothly over the image, as it does with the features of a
    network. Phases and amplitudes come from `rng`; shares and amplitudes are our own choice.
    """
    sigma, period = params["sigma"], int(params["period"])
    if sigma == 0:
        return patch.copy()
    height, width = patch.shape[:2]
    tile = _checkerboard_tile(rng, period)
    pattern = cv2.repeat(tile, -(-height // period), -(-width // period))[:height, :width]
    strengths = 1 + _UNEVENNESS * normals(rng, _STRENGTHS**2).reshape(_STRENGTHS, _STRENGTHS)
    strength = cv2.resize(strengths, (width, height), interpolation=cv2.INTER_LINEAR)
    field = cv2.multiply(pattern, cv2.merge((strength, strength, strength)))
    return _add(patch, field, sigma * 255 * math.sqrt(patch.size) / cv2.norm(field))


def _checkerboard_tile(rng: np.random.Generator, period: int) -> cv2.typing.MatLike:
    """One period of the pattern, of mean 0: float32 (period, period, 3)."""
    waves = _waves(period)
    phases = words16(rng, 8) % len(waves)
    # Of the three channels, and the one that they have in common.
    y, x = waves.take(phases, axis=0).reshape(2, 4, period).transpose(0, 2, 1)
    return cv2.transform(y[:, None] * x, _CHANNELS)


_CHANNELS = np.hstack(
    [_OWN * np.eye(3), np.full((3, 1), _COMMON), np.full((3, 1), -_OWN - _COMMON)]
).astype(np.float32)
"""What each channel takes of the four products of waves, and minus its mean: float32 (3, 5)."""


@functools.lru_cache(maxsize=2)
def _waves(period: int) -> NDArray[np.float32]:
    """Waves of mean 1 in each phase, float32 (phases, period)."""
    # With a period of 2 px, phases between these two would only weaken the wave.
    count = 2 if period == 2 else _PHASES
    turns = np.arange(period) / period + np.arange(count)[:, None] / count
    waves: NDArray[np.float32] = (1 + np.cos(2 * np.pi * turns)).astype(np.float32)
    return waves


def _add_power_law(patch: Patch, sigma: float, exponent: float, rng: np.random.Generator) -> Patch:
    """Add noise of standard deviation sigma and PSD ∝ 1/f**exponent in 2-D radial frequency.

    Complex white spectra are shaped and transformed back once: the real and imaginary parts of
    one field are two independent channels. The standard deviation is an expectation over
    samples, so that of a single sample differs a little, most for brown noise, whose power is in
    few coefficients. There is no power at f = 0: a whole period has mean 0.
    """
    if sigma == 0:
        return patch.copy()
    height, width = patch.shape[:2]
    # OpenCV's transform is fast for some sizes only; noise of the next such size is cropped.
    rows, columns = cv2.getOptimalDFTSize(height), cv2.getOptimalDFTSize(width)
    small = rows * columns <= _CACHED_PIXELS
    log_frequency = (_log_frequency if small else _log_frequency.__wrapped__)(rows, columns)
    amplitude = np.exp(np.float32(-exponent / 2) * log_frequency)
    amplitude[0, 0] = 0
    spectrum = normals(rng, 4 * rows * columns).view(np.complex64).reshape(2, rows, columns)
    spectrum *= amplitude
    parts = spectrum.view(np.float32).reshape(2, rows, columns, 2)
    field = cv2.merge((cv2.idft(parts[0]), cv2.extractChannel(cv2.idft(parts[1]), 0)))
    scale = sigma * 255 / math.sqrt(float(np.vdot(amplitude, amplitude)))
    return _add(patch, field[:height, :width], scale)


@functools.lru_cache(maxsize=4)
def _log_frequency(height: int, width: int) -> NDArray[np.float32]:
    """Natural logarithm of the radial frequency (cycles per pixel), float32 (H, W); 0 at f = 0."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    radius[0, 0] = 1
    logarithm: NDArray[np.float32] = np.log(radius).astype(np.float32)
    return logarithm


def _add(patch: Patch, noise: cv2.typing.MatLike, scale: float) -> Patch:
    """patch + scale · noise, rounded and clipped."""
    return cv2.addWeighted(patch, 1.0, noise, scale, 0.0, dtype=cv2.CV_8U)  # type: ignore[return-value]
