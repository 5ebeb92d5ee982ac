"""Photometric distortions do in CIELAB what their parameters state."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import Registry
from bapps_gen.seeding import generator


@pytest.fixture
def muted() -> Patch:
    """Colors near mid-gray, which stay inside sRGB when they are moved."""
    return np.random.default_rng(0).integers(100, 150, (32, 32, 3), dtype=np.uint8)


def lab_change(registry: Registry, name: str, image: Patch, **given: float) -> NDArray[np.float64]:
    atom = registry.atom(name)
    out = atom.apply(image, atom.complete(given), generator(0))
    change: NDArray[np.float64] = rgb2lab(out) - rgb2lab(image)
    return change


@pytest.mark.parametrize("delta", [-15.0, -2.0, 2.0, 15.0])
def test_a_lightness_shift_adds_to_l_and_leaves_the_color(
    registry: Registry, muted: Patch, delta: float
) -> None:
    change = lab_change(registry, "lightness_shift", muted, delta=delta).mean(axis=(0, 1))
    assert change == pytest.approx((delta, 0, 0), abs=0.25)


@pytest.mark.parametrize(("hue", "direction"), [(0, (1, 0)), (90, (0, 1)), (180, (-1, 0))])
def test_a_color_shift_moves_by_its_distance_towards_its_hue(
    registry: Registry, muted: Patch, hue: float, direction: tuple[float, float]
) -> None:
    change = lab_change(registry, "color_shift", muted, distance=12.0, hue=hue)
    expected = (0.0, 12.0 * direction[0], 12.0 * direction[1])
    assert change.mean(axis=(0, 1)) == pytest.approx(expected, abs=0.35)


@pytest.mark.parametrize("gain", [0.5, 1.8])
def test_saturation_scales_chroma_and_leaves_lightness(
    registry: Registry, muted: Patch, gain: float
) -> None:
    atom = registry.atom("saturation")
    before = rgb2lab(muted)
    after = rgb2lab(atom.apply(muted, {"gain": gain}, generator(0)))
    chroma_before = np.hypot(before[..., 1], before[..., 2]).mean()
    chroma_after = np.hypot(after[..., 1], after[..., 2]).mean()
    assert chroma_after / chroma_before == pytest.approx(gain, rel=0.03)
    assert (after - before)[..., 0].mean() == pytest.approx(0, abs=0.25)


def test_no_saturation_is_grey(registry: Registry, photos: list[Patch]) -> None:
    for photo in photos:
        out = registry.atom("saturation").apply(photo, {"gain": 0.0}, generator(0)).astype(int)
        assert np.ptp(out, axis=-1).max() <= 2


def test_contrast_scales_about_the_mean_luma(registry: Registry, muted: Patch) -> None:
    out = registry.atom("contrast").apply(muted, {"gain": 1.7}, generator(0))
    assert out.std() / muted.std() == pytest.approx(1.7, rel=0.02)
    assert out.mean() == pytest.approx(muted.mean(), abs=0.6)
    flat = registry.atom("contrast").apply(muted, {"gain": 0.0}, generator(0))
    assert np.ptp(flat) == 0


def test_lightness_far_up_is_white_and_far_down_black(
    registry: Registry, photos: list[Patch]
) -> None:
    atom = registry.atom("lightness_shift")
    assert atom.apply(photos[0], {"delta": 100.0}, generator(0)).min() > 220
    assert atom.apply(photos[0], {"delta": -100.0}, generator(0)).max() < 40
