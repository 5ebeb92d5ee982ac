"""The original program's L2 and SSIM, against scikit-image called as it calls it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from bapps_gen.errors import UserError
from bapps_gen.metrics import load_metric
from bapps_gen.metrics.upstream import truncated_levels
from support.metric_pictures import pairs


def original_picture(patch: np.ndarray) -> np.ndarray:
    """What the original's metrics see of a patch: torchvision's ToTensor and Normalize, undone."""
    tensor = torch.from_numpy(patch).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    tensor.sub_(0.5).div_(0.5)
    return ((np.transpose(tensor.numpy(), (1, 2, 0)) + 1.0) * (255.0 / 2.0)).astype(np.uint8)


def original_lab(patch: np.ndarray) -> np.ndarray:
    return rgb2lab(original_picture(patch)).astype(np.float32)


def original_dssim(a: np.ndarray, b: np.ndarray, data_range: float) -> float:
    # scikit-image computed in float64 when the original was written
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (1 - structural_similarity(a, b, data_range=data_range, channel_axis=-1)) / 2.0


def original_l2(a: np.ndarray, b: np.ndarray) -> float:
    return float(0.5 * np.mean((a / 100.0 - b / 100.0) ** 2))


ORIGINAL = {
    "l2-lab-upstream": lambda a, b: original_l2(original_lab(a), original_lab(b)),
    "dssim-rgb-upstream": lambda a, b: original_dssim(
        1.0 * original_picture(a), 1.0 * original_picture(b), 255.0
    ),
    "dssim-lab-upstream": lambda a, b: original_dssim(original_lab(a), original_lab(b), 100.0),
}


def noise(rng: np.random.Generator, high: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = rng.integers(0, high, (2, 6, 64, 64, 3), dtype=np.uint8)
    return first, second


@pytest.mark.parametrize("name", ORIGINAL)
@pytest.mark.parametrize("high", [256, 64])
def test_upstream_metrics_are_the_originals_on_noise(name, high):
    ref, dist = noise(np.random.default_rng(high), high)
    expected = [ORIGINAL[name](a, b) for a, b in zip(ref, dist, strict=True)]
    np.testing.assert_allclose(load_metric(name).distance(ref, dist), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ORIGINAL)
@pytest.mark.parametrize("side", [7, 33, 64])
def test_upstream_metrics_are_the_originals_on_pictures(name, side):
    ref, dist = pairs(side)
    expected = [ORIGINAL[name](a, b) for a, b in zip(ref, dist, strict=True)]
    np.testing.assert_allclose(
        load_metric(name).distance(ref, dist), expected, rtol=1e-6, atol=1e-9
    )


def test_the_original_takes_dark_levels_one_lower():
    levels = np.arange(256, dtype=np.uint8)
    patch = np.tile(levels[:, None, None], (1, 1, 3))
    assert np.array_equal(original_picture(patch)[:, 0, 0], truncated_levels())
    changed = truncated_levels() != levels
    assert np.array_equal(levels[changed], np.arange(1, 64))
    assert np.array_equal(truncated_levels()[changed], np.arange(63))


def test_upstream_l2_orders_as_ours_in_cielab_and_dssim_otherwise_than_ssim():
    rng = np.random.default_rng(5)
    ref = np.repeat(pairs(64)[0], 8, 0)
    other = [
        np.clip(ref + rng.normal(size=ref.shape) * rng.uniform(2, 60, (len(ref), 1, 1, 3)), 0, 255)
        for _ in range(2)
    ]
    p0, p1 = (each.astype(np.uint8) for each in other)

    def order(name: str) -> np.ndarray:
        d0, d1 = load_metric(name).triplet(ref, p0, p1)
        return d0 < d1

    assert (order("l2-lab-upstream") == order("l2-lab")).mean() > 0.95
    assert (order("dssim-lab-upstream") != order("ssim")).any()


def test_patches_smaller_than_the_window_are_refused():
    small = np.zeros((1, 6, 64, 3), np.uint8)
    for name in ("dssim-rgb-upstream", "dssim-lab-upstream"):
        with pytest.raises(UserError, match=r"6×64 is not allowed: it must be at least 7×7"):
            load_metric(name).distance(small, small)
