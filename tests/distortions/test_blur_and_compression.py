"""Blurs and JPEG against other implementations of the same formula."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from bapps_gen.distortions.blur import blur_gaussian
from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import Registry
from bapps_gen.seeding import generator


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.7, 3.0, 6.0])
def test_gaussian_blur_agrees_with_scipy(
    registry: Registry, photos: list[Patch], sigma: float
) -> None:
    radius = int(np.ceil(4 * sigma))
    for photo in (photos[0], photos[4][:9, :31]):
        out = registry.atom("gaussian_blur").apply(photo, {"sigma": sigma}, generator(0))
        expected = ndimage.gaussian_filter(
            photo.astype(float), (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0)
        )
        assert np.abs(out - expected).max() <= 0.51


@pytest.mark.parametrize("sigma", [12.0, 20.0])
def test_a_wide_blur_of_a_large_image_agrees_with_scipy(sigma: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (130, 151, 3), dtype=np.uint8)
    image[40:90, 30:] //= 4
    out = blur_gaussian(image, {"sigma": sigma}, generator(0))
    radius = int(np.ceil(4 * sigma))
    expected = ndimage.gaussian_filter(
        image.astype(float), (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0)
    )
    assert np.abs(out - expected).max() < 1.5


def bilateral_by_definition(image: Patch, color: float, space: float) -> np.ndarray:
    """One pass over a round window of radius 2, written as the formula stands."""
    padded = np.pad(image.astype(float), ((2, 2), (2, 2), (0, 0)), mode="reflect")
    height, width = image.shape[:2]
    total = np.zeros(image.shape)
    weights = np.zeros((height, width, 1))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dx * dx + dy * dy <= 4:
                near = padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]
                apart = np.abs(near - image).sum(axis=-1, keepdims=True)
                weight = np.exp(-(apart**2) / (2 * color**2) - (dx * dx + dy * dy) / (2 * space**2))
                total += weight * near
                weights += weight
    return total / weights


def test_bilateral_agrees_with_its_formula(registry: Registry, photos: list[Patch]) -> None:
    params = {"sigma_color": 60.0, "sigma_space": 1.3}
    for photo in photos[:4]:
        out = registry.atom("bilateral").apply(photo, params, generator(0))
        assert np.abs(out - bilateral_by_definition(photo, 60.0, 1.3)).max() <= 1.01


def test_bilateral_smooths_textures_and_keeps_a_strong_edge(registry: Registry) -> None:
    rng = np.random.default_rng(0)
    image = np.full((40, 40, 3), 40.0)
    image[:, 20:] = 210
    noisy = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    params = {"sigma_color": 50.0, "sigma_space": 2.0}
    out = registry.atom("bilateral").apply(noisy, params, generator(0)).astype(float)
    assert out[:, :18].std() < 0.6 * noisy[:, :18].std()
    assert np.abs(out[:, 19:21].mean(axis=(0, 2)) - (40, 210)).max() < 4


@pytest.mark.parametrize(("sigma", "radius"), [(1.9, 4), (2.7, 5), (5.0, 10)])
def test_several_passes_spread_a_flat_area_like_one_wide_window(
    registry: Registry, sigma: float, radius: int
) -> None:
    image = np.full((61, 61, 3), 100, np.uint8)
    image[26:35, 26:35] = 200
    params = {"sigma_color": 1000.0, "sigma_space": sigma}
    passes = registry.atom("bilateral").apply(image, params, generator(0))
    size = 2 * radius + 1
    window = cv2.bilateralFilter(image, size, 1000.0, sigma, borderType=cv2.BORDER_REFLECT_101)
    x = np.arange(61) - 30
    spread = []
    for out in (passes, window):
        weight = out[..., 0].astype(float) - 100
        spread.append(np.sqrt((weight * x**2).sum() / weight.sum()))
    assert spread[0] == pytest.approx(spread[1], rel=0.1)


@pytest.mark.parametrize(("subsampling", "pillow"), [(444, 0), (422, 1), (420, 2)])
@pytest.mark.parametrize("quality", [10, 60, 95])
def test_jpeg_agrees_with_pillow(
    registry: Registry, photos: list[Patch], subsampling: float, pillow: int, quality: float
) -> None:
    params = {"quality": quality, "subsampling": subsampling}
    for photo in (photos[0], photos[4][:9, :31]):
        out = registry.atom("jpeg").apply(photo, params, generator(0))
        stream = io.BytesIO()
        Image.fromarray(photo).save(stream, "JPEG", quality=int(quality), subsampling=pillow)
        expected = np.asarray(Image.open(stream))
        assert np.abs(out.astype(int) - expected).mean() < 0.3
