"""Cutting: crops lie in their photos, and reduced photos give what whole ones give."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bapps_gen.cli import main
from bapps_gen.imaging.decode import decode_photo
from bapps_gen.imaging.photo import Photo, whole_photo
from bapps_gen.manifests.rows import Crop
from bapps_gen.pipelines.rows.crops import CropDraw, CropSizes
from bapps_gen.pipelines.rows.render import cut_reference, resolve_crop
from support.datasets import contents, make, photo, save_photo, verify

unit = st.floats(0, 1, exclude_max=True)


def jpeg(pixels: np.ndarray, orientation: int = 1, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, exif=exif, **options)
    return stream.getvalue()


def step_of(shorter: int) -> int:
    return CropSizes(crop_share=(0.5, 1)).step(shorter, 16)


SMOOTH = cv2.GaussianBlur(photo(2, 533, 611), (0, 0), 3)


@given(st.integers(500, 533), st.integers(500, 611), st.integers(1, 8), unit, unit, unit)
@settings(max_examples=80)
def test_a_reduced_jpeg_gives_the_crops_of_the_whole_one(height, width, turn, size, left, top):
    data = jpeg(SMOOTH[:height, :width], turn)
    whole, reduced = decode_photo(data), decode_photo(data, step_of)
    assert whole.step == 1
    assert reduced.step in (4, 8)
    assert (whole.height, whole.width) == (reduced.height, reduced.width)
    assert whole.pixels.shape[:2] == (whole.height, whole.width)
    draw = CropDraw(CropSizes(crop_share=(0.5, 1)), size, left, top)
    crop = resolve_crop(draw, reduced, 16)
    assert 0 <= crop.x <= whole.width - crop.side
    assert 0 <= crop.y <= whole.height - crop.side
    difference = cut_reference(whole, crop, 16).astype(int) - cut_reference(reduced, crop, 16)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_outermost_crops_of_a_reduced_photo_lie_within_it(orientation):
    data = jpeg(SMOOTH[:530, :602], orientation)
    reduced = decode_photo(data, step_of)
    sizes = CropSizes(crop_share=(0.5, 0.5))
    last = np.nextafter(1, 0)
    first, end = (resolve_crop(CropDraw(sizes, 0, at, at), reduced, 16) for at in (0, last))
    assert (first.x, first.y) == (reduced.left, reduced.top)
    assert max(reduced.left, reduced.top) < reduced.step
    assert 0 <= reduced.width - (end.x + end.side) < reduced.step
    assert 0 <= reduced.height - (end.y + end.side) < reduced.step


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
@pytest.mark.parametrize("step", [2, 4, 8])
def test_a_reduced_jpeg_is_made_of_means(options, step):
    pixels = photo(3, 400, 640)
    if "subsampling" not in options:  # colors at half the size would be enlarged in another way
        pixels[:] = pixels[..., 1:2]
    data = jpeg(pixels, **options)
    found = decode_photo(data, lambda _: step).pixels.astype(int)
    whole = decode_photo(data).pixels
    means = cv2.resize(whole, found.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found - means).mean() < 1


def test_only_color_jpegs_are_reduced():
    pixels = photo(4, 400, 640)
    for image, kind in (
        (Image.fromarray(pixels), "PNG"),
        (Image.fromarray(pixels), "WEBP"),
        (Image.fromarray(pixels[..., 0]), "JPEG"),
        (Image.fromarray(pixels).convert("CMYK"), "JPEG"),
    ):
        stream = io.BytesIO()
        image.save(stream, kind)
        assert decode_photo(stream.getvalue(), lambda _: 8).step == 1


@given(st.integers(64, 90), st.integers(64, 3000), unit, unit, unit)
def test_a_panorama_has_crops_of_its_full_height(height, width, size, left, top):
    blank = Photo(np.empty((height, width, 3), np.uint8), height, width)
    crop = resolve_crop(CropDraw(CropSizes(crop_share=(0.15, 1)), size, left, top), blank, 64)
    assert crop.side == 64
    assert 0 <= crop.x <= width - 64
    assert 0 <= crop.y <= height - 64


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Photos large enough to be decoded at a half and a quarter, turned, and in other formats."""
    folder = tmp_path_factory.mktemp("large")
    for number, (height, width) in enumerate(((1201, 1603), (2402, 1900), (1300, 1750))):
        save_photo(folder / f"{number}.jpg", photo(number, height, width))
    (folder / "turned.jpg").write_bytes(jpeg(photo(5, 1803, 1301), 6))
    save_photo(folder / "plain.png", photo(6, 1200, 1500))
    return folder


def test_rows_do_not_depend_on_what_was_decoded_before(large, tmp_path):
    options = ("--rows-per-image", "5", "--patch-size", "32", "--singles", "1")
    assert make(large, tmp_path / "one", 40, *options) == 0
    assert make(large, tmp_path / "other", 40, *options, "--shard-size", "1") == 0
    rows = contents(tmp_path / "one")
    assert contents(tmp_path / "other") == rows
    sides = {row["crop"]["side"] // 32 for row in rows if row["source_path"] == "1.jpg"}
    assert sides
    assert all(side % 4 == 0 for side in sides)
    assert verify(tmp_path / "one") == 0


def test_recipes_of_reduced_photos_are_replayed(large, tmp_path):
    assert make(large, tmp_path / "set", 30, "--patch-size", "32") == 0
    recipe = tmp_path / "recipe"
    assert main(["export", str(tmp_path / "set"), "--format", "recipe", "--out", str(recipe)]) == 0
    command = ["replay", str(recipe), "--source", str(large), "--out", str(tmp_path / "again")]
    assert main([*command, "--quiet", "--workers", "1"]) == 0
    assert contents(tmp_path / "again") == contents(tmp_path / "set")


@given(st.integers(1, 100), st.sampled_from([16, 17, 64]), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_patch_pixels_are_means_of_squares_rounded_once(factor, size, seed):
    factor = min(factor, 1600 // size)
    whole = np.random.default_rng(seed).integers(0, 256, (size * factor + 3, size * factor + 5, 3))
    whole[: factor + 2, : factor + 3] = 255
    photo = whole_photo(whole.astype(np.uint8))
    patch = cut_reference(photo, Crop(3, 2, size * factor), size)
    square = whole[2 : 2 + size * factor, 3 : 3 + size * factor]
    means = square.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    assert patch.dtype == np.uint8
    assert np.abs(patch - means).max() <= 0.5 + 1e-4
