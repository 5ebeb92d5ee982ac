"""Corruptions of the input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.corruption import corrupt
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.seeding import Streams

STRONG = {
    "null": 0.0,
    "pink_noise": 0.2,
    "white_noise": 0.2,
    "color_removal": 1.0,
    "downsampling": 4.0,
}


def run(
    name: str, patches: NDArray[np.uint8], strength: float | None = None, first_seed: int = 0
) -> NDArray[np.uint8]:
    spec = DistorterSpec("a", name, STRONG[name] if strength is None else strength)
    return corrupt(spec, patches, range(first_seed, first_seed + len(patches)), Streams())


@pytest.mark.parametrize("name", STRONG)
@pytest.mark.parametrize("size", [(64, 64), (8, 8), (9, 31)])
def test_a_corruption_keeps_shape_and_leaves_its_input_alone(
    name: str, size: tuple[int, int]
) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    before = patches.copy()
    corrupted = run(name, patches)
    assert corrupted.shape == patches.shape
    assert corrupted.dtype == np.uint8
    assert np.array_equal(patches, before)
    assert np.array_equal(corrupted, patches) == (name == "null")


@pytest.mark.parametrize("name", STRONG)
def test_a_patch_depends_on_its_seed_and_not_on_its_neighbors(
    name: str, patches: NDArray[np.uint8]
) -> None:
    together = run(name, patches)
    for index in (0, 5, 36):
        alone = run(name, patches[index : index + 1], first_seed=index)
        assert np.array_equal(alone[0], together[index])
    is_random = name.endswith("noise")
    assert np.array_equal(run(name, patches, first_seed=1), together) != is_random


@pytest.mark.parametrize(
    ("name", "strengths"),
    [
        ("pink_noise", (0.02, 0.1, 0.3)),
        ("white_noise", (0.02, 0.1, 0.3)),
        ("color_removal", (0.2, 0.6, 1.0)),
        ("downsampling", (2, 3, 4)),
    ],
)
def test_more_strength_changes_more(
    name: str, strengths: tuple[float, ...], patches: NDArray[np.uint8]
) -> None:
    errors = [
        float(np.abs(run(name, patches, strength).astype(int) - patches).mean())
        for strength in strengths
    ]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_full_color_removal_leaves_equal_channels(patches: NDArray[np.uint8]) -> None:
    gray = run("color_removal", patches)
    assert np.array_equal(gray[..., 0], gray[..., 1])
    assert np.array_equal(gray[..., 0], gray[..., 2])


@pytest.mark.parametrize("name", ["white_noise", "pink_noise"])
def test_noise_has_the_deviation_asked_for(name: str) -> None:
    gray = np.full((8, 64, 64, 3), 128, np.uint8)
    assert run(name, gray, 0.1).std() == pytest.approx(25.5, rel=0.1)


def test_pink_noise_is_smoother_than_white() -> None:
    gray = np.full((8, 64, 64, 3), 128, np.uint8)

    def roughness(name: str) -> float:
        noise = run(name, gray, 0.1).astype(float)
        return float(np.diff(noise, axis=2).std() / noise.std())

    assert roughness("pink_noise") < 0.9 * roughness("white_noise")


def test_downsampling_removes_detail_and_keeps_the_mean(patches: NDArray[np.uint8]) -> None:
    small = run("downsampling", patches).astype(float)
    assert (
        np.abs(np.diff(small, axis=2)).mean()
        < 0.7 * np.abs(np.diff(patches.astype(float), axis=2)).mean()
    )
    assert np.allclose(small.mean((1, 2)), patches.mean((1, 2)), atol=2)
