"""ICC profiles: what they change, what they leave, and what is ignored."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bapps_gen.imaging.decode import decode_image, decode_photo
from support import icc

tifffile = pytest.importorskip("tifffile")

COLORS = cv2.GaussianBlur(
    np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8), (0, 0), 4
)
GRAY = COLORS[..., 1]


def encoded(pixels: NDArray[np.uint8], kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_colors_are_converted_to_srgb_by_the_profile(kind, options):
    plain = decode_image(encoded(COLORS, kind, **options))
    converted = decode_image(encoded(COLORS, kind, icc_profile=icc.swapped(), **options))
    assert np.abs(converted[..., [1, 0, 2]].astype(int) - plain).max() <= 1
    assert np.abs(converted.astype(int) - plain).max() > 20


def test_16_bit_colors_are_converted_too():
    deep = COLORS.astype(np.uint16) * 257
    stream = io.BytesIO()
    tifffile.imwrite(stream, deep, photometric="rgb", iccprofile=icc.swapped())
    assert np.abs(decode_image(stream.getvalue())[..., [1, 0, 2]].astype(int) - COLORS).max() <= 1


def test_transparent_colors_are_converted_and_white_stays_white():
    alpha = np.full(GRAY.shape, 255, np.uint8)
    alpha[:10] = 0
    data = encoded(np.dstack([COLORS, alpha]), "PNG", icc_profile=icc.swapped())
    found = decode_image(data)
    assert (found[:10] == 255).all()
    assert np.abs(found[10:, :, [1, 0, 2]].astype(int) - COLORS[10:]).max() <= 1


def test_a_turned_and_reduced_jpeg_is_converted():
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"quality": 95, "exif": exif}
    plain = decode_photo(encoded(COLORS, "JPEG", **options), lambda _: 2)
    found = decode_photo(encoded(COLORS, "JPEG", icc_profile=icc.swapped(), **options), lambda _: 2)
    assert found.step == 2
    assert found.pixels.shape == (28, 20, 3)
    assert np.abs(found.pixels[..., [1, 0, 2]].astype(int) - plain.pixels).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_gray_follows_the_curve_of_its_profile(kind):
    found = decode_image(encoded(GRAY, kind, icc_profile=icc.gray(1.0)))
    plain = decode_image(encoded(GRAY, kind)) / 255.0
    srgb = np.where(plain <= 0.0031308, 12.92 * plain, 1.055 * plain ** (1 / 2.4) - 0.055)
    assert np.abs(found - 255 * srgb).max() <= 1.5
    assert (found[..., 0] == found[..., 1]).all()


def test_gray_may_have_a_profile_of_colors():
    found = decode_image(encoded(GRAY, "PNG", icc_profile=icc.swapped()))
    assert np.abs(found.astype(int) - GRAY[..., None]).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(kind):
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, 16:32, 0] = 255
    inks[:, 32:, 3] = 255
    image = Image.fromarray(inks, "CMYK")
    options = {"quality": 95} if kind == "JPEG" else {}
    stream = io.BytesIO()
    image.save(stream, kind, icc_profile=icc.cmyk(), **options)
    found = decode_image(stream.getvalue())[4:12]
    paper, green, black = (found[:, x + 4 : x + 12].mean((0, 1)) for x in (0, 16, 32))
    assert (paper > 250).all()
    assert (black < 5).all()
    assert green[1] > 100 > 40 > max(green[0], green[2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(
    "profile",
    [
        icc.srgb(),
        b"no profile at all",
        icc.swapped()[:300],
        icc.swapped()[:128] + bytes(400),
        icc.gray(1.0),
        icc.cmyk(),
    ],
    ids=["sRGB", "noise", "cut short", "without tags", "gray", "CMYK"],
)
def test_srgb_and_profiles_that_cannot_be_used_change_nothing(kind, profile):
    plain = decode_image(encoded(COLORS, kind))
    assert np.array_equal(decode_image(encoded(COLORS, kind, icc_profile=profile)), plain)
