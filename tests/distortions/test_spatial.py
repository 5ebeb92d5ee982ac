"""Spatial distortions move content by what they state, and paint nothing black."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import Distortion, Patch, SeverityParameter
from bapps_gen.distortions.registry import Registry
from bapps_gen.distortions.spatial import control_flow
from bapps_gen.seeding import generator

SPATIAL = [atom for atom in ATOMS if atom.family == "spatial"]
LEVEL = st.integers(0, 255)


def ramps(size: int = 64, slope: int = 3) -> Patch:
    """R holds slope · x and G slope · y, so that a pixel says where it came from."""
    y, x = np.mgrid[:size, :size]
    return np.stack((slope * x, slope * y, np.full_like(x, 90)), axis=-1).astype(np.uint8)


def origins(out: Patch, slope: int = 3) -> NDArray[np.float64]:
    """Where each pixel of distorted ramps came from: x and y, (H, W, 2)."""
    return out[..., :2].astype(float) / slope


@pytest.mark.parametrize("atom", SPATIAL, ids=lambda atom: atom.name)
@settings(max_examples=20)
@given(
    color=st.tuples(LEVEL, LEVEL, LEVEL),
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_a_constant_image_stays_constant_up_to_its_borders(
    atom: Distortion, color: tuple[int, int, int], uniforms: list[float], seed: int
) -> None:
    image = np.full((20, 33, 3), color, np.uint8)
    out = atom.apply(image, atom.draw(1.0, uniforms), generator(seed))
    assert np.array_equal(out, image)


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 1), (90.0, 0), (180.0, 1), (270.0, 0)])
def test_a_whole_shift_moves_pixels_unchanged(
    registry: Registry, photos: list[Patch], angle: float, axis: int
) -> None:
    out = registry.atom("shift").apply(photos[0], {"distance": 5.0, "angle": angle}, generator(0))
    sign = 1 if angle < 135 else -1
    rolled = np.roll(photos[0], 5 * sign, axis=axis)
    assert np.array_equal(out[5:-5, 5:-5], rolled[5:-5, 5:-5])


def test_a_shift_mirrors_the_image_about_its_edge_pixel(
    registry: Registry, photos: list[Patch]
) -> None:
    out = registry.atom("shift").apply(photos[0], {"distance": 4.0, "angle": 0.0}, generator(0))
    assert np.array_equal(out[:, :4], photos[0][:, 4:0:-1])


@pytest.mark.parametrize("distance", [0.25, 0.5, 2.7])
def test_a_sub_pixel_shift_keeps_its_distance_and_its_sharpness(
    registry: Registry, distance: float
) -> None:
    x = np.arange(64)
    wave = 128 + 80 * np.cos(2 * np.pi * x / 5)
    image = np.repeat(np.tile(np.round(wave).astype(np.uint8), (64, 1))[..., None], 3, axis=-1)
    params = {"distance": distance, "angle": 0.0}
    out = registry.atom("shift").apply(image, params, generator(0))
    expected = 128 + 80 * np.cos(2 * np.pi * (x - distance) / 5)
    assert np.abs(out[:, 8:-8, 0] - expected[8:-8]).max() < 3


def test_a_shift_and_its_opposite_give_the_image_back(
    registry: Registry, photos: list[Patch]
) -> None:
    shift = registry.atom("shift")
    smooth = cv2.GaussianBlur(photos[0], (0, 0), 1.2)
    there = shift.apply(smooth, {"distance": 2.4, "angle": 30.0}, generator(0))
    back = shift.apply(there, {"distance": 2.4, "angle": 210.0}, generator(0))
    assert np.abs(back.astype(int) - smooth)[8:-8, 8:-8].mean() < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_an_affine_warp_moves_corners_by_its_displacement(registry: Registry, seed: int) -> None:
    warp = registry.atom("affine_warp")
    out = origins(warp.apply(ramps(), {"displacement": 6.0}, generator(seed)))
    grid = np.mgrid[16:48, 16:48][::-1].reshape(2, -1).T
    known = np.column_stack((grid, np.ones(len(grid))))
    fit, *_ = np.linalg.lstsq(known, out[16:48, 16:48].reshape(-1, 2), rcond=None)
    corners = np.array([[0, 0, 1], [63, 0, 1], [63, 63, 1], [0, 63, 1]])
    moves = np.linalg.norm(corners @ fit - corners[:, :2], axis=1)
    assert np.sqrt((moves**2).mean()) == pytest.approx(6.0, rel=0.04)
    assert (np.array([31.5, 31.5, 1]) @ fit) == pytest.approx([31.5, 31.5], abs=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_a_homography_moves_every_corner_by_its_displacement(registry: Registry, seed: int) -> None:
    warp = registry.atom("homography")
    out = origins(warp.apply(ramps(), {"displacement": 6.0}, generator(seed)))
    grid = np.mgrid[14:50, 14:50][::-1].reshape(2, -1).T.astype(float)
    matrix, _ = cv2.findHomography(grid, out[14:50, 14:50].reshape(-1, 2))
    corners = np.array([[[0, 0]], [[63, 0]], [[63, 63]], [[0, 63]]], float)
    moves = np.linalg.norm(cv2.perspectiveTransform(corners, matrix) - corners, axis=-1)
    assert moves.ravel() == pytest.approx([6.0] * 4, rel=0.08)


@pytest.mark.parametrize("cubic", [False, True])
def test_a_flow_moves_each_control_point_by_its_displacement(cubic: bool) -> None:
    # 65 px with points 16 px apart: the lattice's points fall on pixels 0, 16 … 64.
    params = {"displacement": 3.0, "spacing": 16.0, "folding": 0.0}
    flow = control_flow(65, 65, params, generator(3), cubic=cubic)
    assert flow.shape == (2, 65, 65)
    assert np.hypot(*flow[:, ::16, ::16]) == pytest.approx(np.full((5, 5), 3.0), abs=1e-4)
    middle = (flow[:, ::16, 16] + flow[:, ::16, 32]) / 2
    assert np.allclose(flow[:, ::16, 24], middle, atol=1e-4) is not cubic


@pytest.mark.parametrize("name", ["linear_warp", "cubic_warp"])
def test_a_warp_displaces_by_its_flow(registry: Registry, name: str) -> None:
    params = {"displacement": 3.0, "spacing": 20.0, "folding": 0.0}
    out = origins(registry.atom(name).apply(ramps(), params, generator(8)))
    flow = control_flow(64, 64, params, generator(8), cubic=name == "cubic_warp")
    y, x = np.mgrid[:64, :64]
    inside = (slice(6, -6), slice(6, -6))
    assert np.abs(out[..., 0] - x - flow[0])[inside].max() < 0.3
    assert np.abs(out[..., 1] - y - flow[1])[inside].max() < 0.3


def areas(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Size of each pixel after a flow; negative where it folds over."""
    by_x = np.diff(flow, axis=2)[:, :-1]
    by_y = np.diff(flow, axis=1)[:, :, :-1]
    return (1 + by_x[0]) * (1 + by_y[1]) - by_x[1] * by_y[0]


@pytest.mark.parametrize("name", ["linear_warp", "cubic_warp"])
@pytest.mark.parametrize("uniform", [0.0, 0.5, 0.999])
def test_the_strongest_warp_stretches_but_folds_over_only_where_that_is_allowed(
    registry: Registry, name: str, uniform: float
) -> None:
    params = registry.atom(name).draw(1.0, [0.0, uniform, uniform])
    assert params["folding"] == 0
    folded, largest = 0, []
    for seed in range(100):
        is_cubic = name == "cubic_warp"
        area = areas(control_flow(64, 64, params, generator(seed), cubic=is_cubic))
        # Where a flow squeezes many pixels into one, differences cannot tell.
        assert (area <= 0).mean() < 0.001
        largest.append(area.max())
        free = {**params, "folding": 1.0}
        folded += areas(control_flow(64, 64, free, generator(seed), cubic=is_cubic)).min() < 0
    assert folded > 40
    assert np.median(largest) > 2


@pytest.mark.parametrize("cubic", [False, True])
def test_a_short_flow_is_the_same_whether_or_not_folding_is_allowed(cubic: bool) -> None:
    params = {"displacement": 4.0, "spacing": 20.0}
    flows = [
        control_flow(64, 64, {**params, "folding": folding}, generator(2), cubic=cubic)
        for folding in (0.0, 1.0)
    ]
    assert np.array_equal(*flows)


def test_a_ghost_of_full_weight_is_a_shift_and_of_half_their_mean(
    registry: Registry, photos: list[Patch]
) -> None:
    move = {"distance": 6.3, "angle": 40.0}
    shifted = registry.atom("shift").apply(photos[2], move, generator(0)).astype(int)
    ghost = registry.atom("ghosting")
    full = ghost.apply(photos[2], {"weight": 1.0, **move}, generator(0))
    half = ghost.apply(photos[2], {"weight": 0.5, **move}, generator(0))
    assert np.array_equal(full, shifted)
    assert np.abs(half - (shifted + photos[2]) / 2).mean() < 0.6


def test_chromatic_aberration_moves_red_and_blue_apart_and_leaves_green(
    registry: Registry, photos: list[Patch]
) -> None:
    atom = registry.atom("chromatic_aberration")
    shift = registry.atom("shift")
    params = {"displacement": 2.5, "angle": 70.0, "radial": 0.0}
    out = atom.apply(photos[3], params, generator(0))
    there = shift.apply(photos[3], {"distance": 2.5, "angle": 70.0}, generator(0))
    back = shift.apply(photos[3], {"distance": 2.5, "angle": 250.0}, generator(0))
    assert np.array_equal(out, np.dstack((there[..., 0], photos[3][..., 1], back[..., 2])))


def test_radial_aberration_enlarges_red_and_reduces_blue_about_the_center(
    registry: Registry,
) -> None:
    y, x = np.mgrid[:65, :65]
    distance = np.hypot(x - 32, y - 32)
    image = np.repeat(np.round(5 * distance).clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    params = {"displacement": 4.0, "angle": 0.0, "radial": 1.0}
    out = registry.atom("chromatic_aberration").apply(image, params, generator(0)).astype(float)
    # At half the way to a corner the content has moved by half of 4 px, which is 10 levels.
    assert out[48, 48, 0] - out[48, 48, 1] == pytest.approx(-10, abs=1.5)
    assert out[48, 48, 2] - out[48, 48, 1] == pytest.approx(10, abs=1.5)
    assert np.array_equal(out[..., 1], image[..., 1])


@pytest.mark.parametrize("atom", SPATIAL, ids=lambda atom: atom.name)
def test_the_largest_allowed_values_are_safe_on_the_smallest_image(atom: Distortion) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    params = atom.draw(1.0, [0.99] * 6)
    for parameter in atom.parameters:
        if isinstance(parameter, SeverityParameter):
            for value in parameter.allowed:
                out = atom.apply(image, {**params, parameter.name: value}, generator(1))
                assert out.shape == image.shape
                assert out.std() > 0
