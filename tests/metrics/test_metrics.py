"""Every metric against its source, and what holds of all."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bapps_gen.errors import UserError
from bapps_gen.lpips.nets import load_net
from bapps_gen.metrics import METRICS, load_metric, metric_spec
from bapps_gen.metrics.structural import SCALE_WEIGHTS, scale_count, scale_weights
from support.metric_pictures import pairs

LOCAL = [spec.name for spec in METRICS if spec.net in (None, "alex")]


@pytest.fixture(scope="module")
def patches() -> tuple[np.ndarray, np.ndarray]:
    return pairs()


@pytest.mark.parametrize("name", LOCAL)
class TestEveryMetric:
    def test_takes_nothing_but_arrays(self, name, patches):
        ref, dist = patches
        for wrong in (dist.tolist(), None, "patch.png"):
            with pytest.raises(UserError, match=r"^dist is a .*; give NumPy arrays"):
                load_metric(name).distance(ref, wrong)

    def test_gives_float64_of_one_dimension(self, name, patches):
        ref, dist = patches
        for count in (0, 1, 3):
            actual = load_metric(name).distance(ref[:count], dist[:count])
            assert actual.dtype == np.float64
            assert actual.shape == (count,)

    def test_equal_patches_are_at_the_least_distance(self, name, patches):
        ref, dist = patches
        metric = load_metric(name)
        least = metric.distance(ref, ref)
        assert (least == (-np.inf if name.startswith("psnr") else 0.0)).all()
        assert (metric.distance(ref[1:], dist[1:]) > least[1:]).all()

    def test_more_noise_is_farther(self, name, patches):
        ref, _ = patches
        noise = np.random.default_rng(0).normal(size=ref.shape)
        metric = load_metric(name)
        far = [
            metric.distance(ref, np.clip(ref + sigma * noise, 0, 255).astype(np.uint8))
            for sigma in (4, 12, 36)
        ]
        assert (far[0] < far[1]).all()
        assert (far[1] < far[2]).all()

    def test_a_triplet_gives_the_two_distances(self, name, patches):
        ref, dist = patches
        metric = load_metric(name)
        d0, d1 = metric.triplet(ref, dist, dist[::-1])
        np.testing.assert_allclose(d0, metric.distance(ref, dist), atol=1e-6)
        np.testing.assert_allclose(d1, metric.distance(ref, dist[::-1]), atol=1e-6)

    def test_a_patch_does_not_depend_on_its_batch(self, name, patches):
        ref, dist = patches
        metric = load_metric(name)
        alone = np.concatenate([metric.distance(ref[k : k + 1], dist[k : k + 1]) for k in range(8)])
        np.testing.assert_allclose(alone, metric.distance(ref, dist), atol=1e-6)

    def test_inputs_are_left_alone(self, name, patches):
        ref, dist = (part.copy() for part in patches)
        load_metric(name).distance(ref, dist)
        assert np.array_equal(ref, patches[0])
        assert np.array_equal(dist, patches[1])

    def test_arrays_of_another_kind_are_one_line(self, name, patches):
        ref, dist = patches
        metric = load_metric(name)
        for bad in (dist / 255.0, dist[:3], dist[..., :1], dist[0]):
            with pytest.raises(UserError, match=r"^[^\n]*dist is [^\n]*$"):
                metric.distance(ref, bad)
        with pytest.raises(UserError, match=r"^[^\n]*p1 is [^\n]*$"):
            metric.triplet(ref, dist, dist[:2])


def test_l2_is_the_root_mean_squared_difference(patches):
    ref, dist = patches
    expected = [
        np.sqrt(np.mean((a.astype(float) - b) ** 2)) / 255 for a, b in zip(ref, dist, strict=True)
    ]
    np.testing.assert_allclose(load_metric("l2").distance(ref, dist), expected, rtol=1e-12)


def test_l2_in_cielab_is_the_root_mean_squared_delta_e(patches):
    from skimage.color import deltaE_cie76

    ref, dist = patches
    expected = [
        np.sqrt(np.mean(deltaE_cie76(rgb2lab(a), rgb2lab(b)) ** 2))
        for a, b in zip(ref, dist, strict=True)
    ]
    np.testing.assert_allclose(load_metric("l2-lab").distance(ref, dist), expected, rtol=1e-12)


def test_psnr_is_scikit_images_negated(patches):
    ref, dist = (part[1:] for part in patches)
    expected = [-peak_signal_noise_ratio(a, b) for a, b in zip(ref, dist, strict=True)]
    np.testing.assert_allclose(load_metric("psnr").distance(ref, dist), expected, rtol=1e-12)
    expected = [
        -peak_signal_noise_ratio(rgb2lab(a), rgb2lab(b), data_range=100)
        for a, b in zip(ref, dist, strict=True)
    ]
    np.testing.assert_allclose(load_metric("psnr-lab").distance(ref, dist), expected, rtol=1e-12)


@pytest.mark.parametrize("side", [11, 33, 64])
def test_ssim_is_scikit_images(side):
    ref, dist = pairs(side)
    expected = [
        1.0
        - structural_similarity(
            a,
            b,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
        for a, b in zip(ref, dist, strict=True)
    ]
    np.testing.assert_allclose(load_metric("ssim").distance(ref, dist), expected, atol=1e-12)


def test_ms_ssim_takes_the_scales_at_which_its_window_fits():
    assert [scale_count(side, side) for side in (11, 21, 22, 43, 44, 64, 88, 175, 176, 400)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    assert scale_count(400, 64) == 3
    assert tuple(scale_weights(5)) == SCALE_WEIGHTS
    np.testing.assert_allclose(scale_weights(3).sum(), 1.0)


# From piq 0.8.0: fsim(chromatic=True) and multi_scale_ssim, with the three renormalized weights at
# 64 px and its own five at 192 px, of the pairs in metric_pictures, in double precision.
PIQ_FSIMC = (1.0, 0.925452, 0.767678, 0.807163, 0.994362, 0.883492, 0.854165, 0.821755)
PIQ_MS_SSIM = (
    (64, (1.0, 0.9407069, 0.6754413, 0.8985629, 0.9941279, 0.9039488, 0.8885286, 0.8625541)),
    (192, (1.0, 0.9627192, 0.8913773, 0.8931101, 0.9936457, 0.9404232, 0.9538872, 0.8660451)),
)


@pytest.mark.parametrize(("side", "expected"), PIQ_MS_SSIM)
def test_ms_ssim_is_piqs(side, expected):
    actual = load_metric("ms-ssim").distance(*pairs(side))
    np.testing.assert_allclose(1.0 - actual, expected, atol=1e-7)


def test_fsimc_is_piqs(patches):
    # piq rounds the YIQ matrix otherwise and takes the lower of two middle values as the median.
    np.testing.assert_allclose(1.0 - load_metric("fsimc").distance(*patches), PIQ_FSIMC, atol=5e-5)


@pytest.mark.skipif(importlib.util.find_spec("piq") is None, reason="piq is not installed")
def test_the_values_from_piq_are_still_its_values(monkeypatch):
    import torch

    # piq imports torchvision for metrics of no concern here; its modules are taken one by one.
    folder = importlib.util.find_spec("piq").submodule_search_locations[0]
    package = types.ModuleType("piq")
    package.__path__ = [folder]
    monkeypatch.setitem(sys.modules, "piq", package)
    from piq.fsim import fsim
    from piq.ms_ssim import multi_scale_ssim

    for side, expected in PIQ_MS_SSIM:
        a, b = (torch.from_numpy(part).permute(0, 3, 1, 2).double() for part in pairs(side))
        weights = torch.tensor(scale_weights(3)) if side == 64 else None  # its own five
        actual = multi_scale_ssim(a, b, reduction="none", data_range=255, scale_weights=weights)
        np.testing.assert_allclose(actual.numpy(), expected, atol=1e-7)
        if side == 64:
            actual = fsim(a, b, reduction="none", data_range=255.0)
            np.testing.assert_allclose(actual.numpy(), PIQ_FSIMC, atol=1e-6)


def test_fsimc_of_flat_patches_is_defined():
    flat = np.full((1, 64, 64, 3), 100, np.uint8)
    lighter = np.full((1, 64, 64, 3), 160, np.uint8)
    metric = load_metric("fsimc")
    assert metric.distance(flat, flat) == 0.0
    assert 0.0 < metric.distance(flat, lighter) < 1.0


def test_fsimc_takes_large_and_odd_images():
    ref, dist = pairs(64)
    tall = np.tile(ref, (1, 7, 7, 1))[:1, :401, :435]
    other = np.tile(dist, (1, 7, 7, 1))[1:2, :401, :435]
    assert 0.0 < load_metric("fsimc").distance(tall, other)[0] < 1.0


def test_patches_too_small_for_the_window_are_told():
    small = np.zeros((1, 10, 64, 3), np.uint8)
    for name in ("ssim", "ms-ssim"):
        with pytest.raises(UserError, match=r"10×64 is not allowed: it must be at least 11×11"):
            load_metric(name).distance(small, small)


def test_an_unknown_metric_is_told_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'lpips-alex'"):  # which is bundled
        load_metric("lpips")
    with pytest.raises(UserError, match="did you mean 'ms-ssim'"):
        metric_spec("ms_ssim")


def test_weights_go_with_lpips_alone(tmp_path):
    with pytest.raises(UserError, match="ssim has no network"):
        load_metric("ssim", weights=tmp_path / "x.pth")


def test_lpips_is_that_of_the_lpips_package_here(patches):
    from bapps_gen.lpips import load_lpips

    ref, dist = patches
    metric = load_metric("lpips-alex")
    expected = load_lpips("alex").distance(ref, dist).numpy()
    np.testing.assert_allclose(metric.distance(ref, dist), expected, atol=1e-6)
    assert metric.settings["dtype"] == "float32"


def test_bfloat16_lpips_is_near_and_says_so_with_the_digest_of_its_weights(patches):
    metric, exact = (load_metric("lpips-alex", dtype=dtype) for dtype in ("bfloat16", "float32"))
    np.testing.assert_allclose(metric.distance(*patches), exact.distance(*patches), atol=5e-3)
    assert exact.settings == {"dtype": "float32", "trunk": load_net("alex").digest}
    assert metric.settings == {**exact.settings, "dtype": "bfloat16"}
