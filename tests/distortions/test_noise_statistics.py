"""Noise has the amplitude, distribution and spectrum that its parameters state."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import Registry
from bapps_gen.distortions.rng import angles, normals, words16
from bapps_gen.seeding import generator


def residuals(
    registry: Registry, name: str, size: tuple[int, int], count: int, **given: float
) -> NDArray[np.float64]:
    """What a noise adds to mid-gray, in fractions of full scale: (count, H, W, 3)."""
    atom = registry.atom(name)
    image = np.full((*size, 3), 128, np.uint8)
    params = atom.complete(given)
    noisy = np.stack([atom.apply(image, params, generator(1, index)) for index in range(count)])
    return (noisy.astype(np.float64) - 128) / 255


def slope(noise: NDArray[np.float64]) -> float:
    """Least-squares slope of log power against log radial frequency."""
    height, width = noise.shape[1:3]
    power = (np.abs(np.fft.fft2(noise, axes=(1, 2))) ** 2).mean(axis=(0, 3))
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    keep = (radius > 0.06) & (radius < 0.5)
    return float(np.polyfit(np.log(radius[keep]), np.log(power[keep]), 1)[0])


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("gaussian_white", {}),
        ("pink", {}),
        ("blue", {}),
        ("gaussian_colored", {"exponent": -2.0}),
        ("gaussian_colored", {"exponent": 0.7}),
        ("gaussian_colored", {"exponent": 2.0}),
        ("checkerboard", {"period": 2.0}),
        ("checkerboard", {"period": 4.0}),
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (60, 37)])
def test_the_standard_deviation_is_sigma(
    registry: Registry, name: str, extra: dict[str, float], size: tuple[int, int]
) -> None:
    noise = residuals(registry, name, size, 60, sigma=0.08, **extra)
    assert np.sqrt((noise**2).mean()) == pytest.approx(0.08, rel=0.04)
    assert noise.mean() == pytest.approx(0, abs=0.004)


@pytest.mark.parametrize(
    ("name", "exponent"),
    [("gaussian_white", 0), ("uniform_white", 0), ("pink", 1), ("blue", -1)],
)
def test_the_spectrum_has_the_slope_of_its_color(
    registry: Registry, name: str, exponent: float
) -> None:
    first = registry.atom(name).parameters[0].name
    noise = residuals(registry, name, (64, 64), 60, **{first: 0.1})
    assert slope(noise) == pytest.approx(-exponent, abs=0.06)


@pytest.mark.parametrize("exponent", [-2.0, -0.5, 1.5, 2.0])
def test_colored_noise_has_the_slope_of_its_exponent(registry: Registry, exponent: float) -> None:
    noise = residuals(registry, "gaussian_colored", (64, 80), 60, sigma=0.1, exponent=exponent)
    assert slope(noise) == pytest.approx(-exponent, abs=0.06)


@pytest.mark.parametrize("name", ["gaussian_white", "uniform_white", "pink", "blue"])
def test_channels_are_independent(registry: Registry, name: str) -> None:
    first = registry.atom(name).parameters[0].name
    noise = residuals(registry, name, (64, 64), 40, **{first: 0.1}).reshape(-1, 3)
    correlation = np.corrcoef(noise.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.03


def test_uniform_noise_is_uniform_between_its_amplitudes(registry: Registry) -> None:
    noise = residuals(registry, "uniform_white", (64, 64), 20, amplitude=0.2)
    assert np.abs(noise).max() <= 0.2 + 0.5 / 255
    assert noise.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.01)
    counts, _ = np.histogram(noise, bins=8, range=(-0.2, 0.2))
    assert counts.min() > 0.95 * counts.max() - 0.02 * counts.sum()


def test_gaussian_noise_has_normal_tails(registry: Registry) -> None:
    noise = residuals(registry, "gaussian_white", (64, 64), 20, sigma=0.1) / 0.1
    assert (np.abs(noise) < 1).mean() == pytest.approx(0.683, abs=0.01)
    assert (np.abs(noise) > 3).mean() == pytest.approx(0.0027, abs=0.0006)


@pytest.mark.parametrize("period", [2, 4])
def test_the_checkerboard_has_its_period_alone_under_an_amplitude_that_varies_smoothly(
    registry: Registry, period: int
) -> None:
    lattice = residuals(registry, "checkerboard", (64, 64), 20, sigma=0.1, period=period)
    power = (np.abs(np.fft.fft2(lattice, axes=(1, 2))) ** 2).mean(axis=(0, 3))
    # Offsets from the nearest multiple of 1/period, in cycles per image; the amplitude's own
    # frequencies, with edges that do not meet, stay within a few.
    frequency = np.fft.fftfreq(64, 1 / 64)
    spacing = 64 // period
    off = np.abs((frequency + spacing / 2) % spacing - spacing / 2)
    near = (off[:, None] <= 4) & (off[None, :] <= 4)
    low = np.hypot(frequency[:, None], frequency[None, :]) <= 4
    assert power[near & ~low].sum() > 0.95 * power.sum()
    assert power[low].sum() < 0.01 * power.sum()


@pytest.mark.parametrize("period", [2, 4])
def test_channels_of_a_checkerboard_have_much_in_common_and_something_of_their_own(
    registry: Registry, period: int
) -> None:
    lattice = residuals(registry, "checkerboard", (64, 64), 60, sigma=0.1, period=period)
    correlation = np.corrcoef(lattice.reshape(-1, 3).T)[np.triu_indices(3, 1)]
    assert correlation.min() > 0.5
    assert correlation.max() < 0.95
    assert len(np.unique(lattice[:, 0, 0].round(3), axis=0)) > 20


def test_normals_from_words_are_standard_normal() -> None:
    draws = normals(generator(2), 400_000).astype(np.float64)
    assert draws.mean() == pytest.approx(0, abs=0.006)
    assert draws.var() == pytest.approx(1, abs=0.01)
    assert (draws**4).mean() == pytest.approx(3, abs=0.06)


def test_words_and_angles_cover_their_ranges_uniformly() -> None:
    words = words16(generator(4), 100_001)
    assert words.shape == (100_001,)
    assert np.bincount(words >> 13, minlength=8).min() > 12_000
    directions = angles(generator(4), 1000)
    assert directions.min() >= 0
    assert directions.max() < 2 * np.pi


def test_two_seeds_give_two_noises(registry: Registry, gray: Patch) -> None:
    for atom in registry.atoms.values():
        if atom.family == "noise":
            params = atom.complete({})
            first, second = (atom.apply(gray, params, generator(seed)) for seed in (1, 2))
            assert (first != second).mean() > 0.5
