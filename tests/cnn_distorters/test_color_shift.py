"""How changes of brightness and color are measured."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bapps_gen.cnn_distorters.color_shift import BANDS, COLOR_SUMS, color_shift, sum_shifts

LEVELS = np.array([[[20, 20, 20]], [[128, 110, 120]], [[230, 240, 235]]], np.uint8)


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """Eight patches in three stripes: dark, of middle lightness, light."""
    rows = np.repeat(LEVELS, (24, 16, 24), 0)
    return np.broadcast_to(rows, (8, 64, 64, 3)).copy()


def test_nothing_changed_is_no_shift(patches):
    shift = color_shift(sum_shifts(patches, patches))
    assert shift.lightness == dict.fromkeys(BANDS, 0.0)
    assert shift.cast == 0
    assert shift.values() == {"lightness": dict.fromkeys(BANDS, 0.0), "cast": 0.0}


def test_light_areas_turned_gray_are_seen_in_their_band_alone(patches):
    gray = patches.copy()
    gray[:, 40:] = 128
    shift = color_shift(sum_shifts(patches, gray))
    assert shift.lightness["light"] < -30
    assert (shift.lightness["dark"], shift.lightness["middle"]) == (0, 0)
    assert shift.largest == ("light", shift.lightness["light"])


def test_a_change_that_leaves_the_mean_as_it_was_is_seen(patches):
    flat = patches.copy()
    flat[:, :24] += 40
    flat[:, 40:] -= 40
    assert abs(flat.mean() - patches.mean()) < 1
    shift = color_shift(sum_shifts(patches, flat))
    assert shift.lightness["dark"] > 10
    assert shift.lightness["light"] < -10


def test_a_tint_is_a_cast(patches):
    tinted = patches.copy()
    tinted[..., 0] += 15
    shift = color_shift(sum_shifts(patches, tinted))
    assert shift.cast > 5


def test_paler_colors_are_no_cast(patches):
    colorful = patches.copy()
    colorful[:4, :, :, 2] //= 2
    paler = np.stack([cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY) for patch in colorful])[..., None]
    shift = color_shift(sum_shifts(colorful, np.repeat(paler, 3, -1)))
    assert shift.cast < 8


def test_noise_and_blur_are_no_shift(patches):
    rng = np.random.default_rng(0)
    noise = np.clip(patches + rng.normal(0, 8, patches.shape), 0, 255).astype(np.uint8)
    blurred = np.stack([cv2.blur(patch, (3, 3)) for patch in patches])
    for changed in (noise, blurred):
        shift = color_shift(sum_shifts(patches, changed))
        assert abs(shift.largest[1]) < 2
        assert shift.cast < 1


def test_sums_of_parts_add_up(patches):
    changed = np.roll(patches, 9, 1)
    parts = sum_shifts(patches[:3], changed[:3]) + sum_shifts(patches[3:], changed[3:])
    np.testing.assert_allclose(parts, sum_shifts(patches, changed))


def test_bands_that_hardly_occur_are_not_judged(patches):
    dark = np.full_like(patches, 20)
    assert list(color_shift(sum_shifts(dark, dark)).lightness) == ["dark"]
    assert color_shift(np.zeros(COLOR_SUMS)).largest == ("", 0.0)
