"""Decoding: every kind of file against the pixels it was made from, and every kind of damage."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bapps_gen.errors import ImageError, UserError, WorkError
from bapps_gen.imaging import decode as images
from bapps_gen.imaging import photo
from bapps_gen.imaging.decode import decode_image, image_size, read_image
from bapps_gen.imaging.files import write_image

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (24, 34, 3), dtype=np.uint8)
SMOOTH = np.ascontiguousarray(cv2.GaussianBlur(NOISE, (0, 0), 2))
DEEP = RNG.integers(0, 65536, (24, 34, 3), dtype=np.uint16)
DEEP_ALPHA = RNG.integers(0, 65536, (24, 34, 4), dtype=np.uint16)
DEEP_ALPHA[:2, :, 3], DEEP_ALPHA[2:4, :, 3] = 0, 65535


def encoded(pixels: NDArray[np.uint8] | Image.Image, kind: str, **options: object) -> bytes:
    """A file written by Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    """A file written by tifffile."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def deep_png(pixels: NDArray[np.uint16], colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG written by hand, for the kinds that no library at hand writes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = b"".join(chunk(*extra) for extra in chunks) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def eight_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.rint(pixels / 257.0).astype(np.uint8)


def over_white(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    colour, opacity = pixels[..., :-1].astype(float), pixels[..., -1:] / 65535.0
    rgb = np.broadcast_to(colour, (*colour.shape[:2], 3))
    return np.rint((rgb * opacity + 65535 * (1 - opacity)) / 257.0).astype(np.uint8)


def grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)


LOSSLESS = {
    "png": encoded(NOISE, "PNG"),
    "bmp": encoded(NOISE, "BMP"),
    "webp": encoded(NOISE, "WEBP", lossless=True),
    "tiff": encoded(NOISE, "TIFF"),
    "tiff-lzw": encoded(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff-deflate": encoded(NOISE, "TIFF", compression="tiff_adobe_deflate"),
    "tiff-tiled": tiff(NOISE, tile=(16, 16)),
    "tiff-big": tiff(NOISE, bigtiff=True),
    "tiff-big-endian": tiff(NOISE, byteorder=">"),
    "tiff-planes": tiff(np.moveaxis(NOISE, -1, 0), photometric="rgb", planarconfig="separate"),
}
LOSSY = {
    "jpeg": encoded(SMOOTH, "JPEG", quality=95),
    "jpeg-progressive": encoded(SMOOTH, "JPEG", quality=95, progressive=True),
    "webp-lossy": encoded(SMOOTH, "WEBP", quality=95),
    "tiff-jpeg": encoded(SMOOTH, "TIFF", compression="jpeg", quality=95),
}
DEEP_FILES = {
    "png": cv2.imencode(".png", DEEP[..., ::-1])[1].tobytes(),
    "tiff": tiff(DEEP, photometric="rgb"),
    "tiff-lzw": tiff(DEEP, photometric="rgb", compression="lzw", predictor=True),
    "tiff-deflate": tiff(DEEP, photometric="rgb", compression="zlib"),
    "tiff-tiled": tiff(DEEP, photometric="rgb", tile=(16, 16)),
    "tiff-big-endian": tiff(DEEP, photometric="rgb", byteorder=">"),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_file_gives_the_pixels_it_was_made_from(kind: str) -> None:
    image = decode_image(LOSSLESS[kind])
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, NOISE)


@pytest.mark.parametrize("kind", LOSSY)
def test_a_lossy_file_gives_nearly_the_pixels_it_was_made_from(kind: str) -> None:
    image = decode_image(LOSSY[kind])
    assert image.shape == SMOOTH.shape
    assert np.abs(image.astype(int) - SMOOTH).mean() < 6


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_16_bit_colour_is_rounded_not_cut(kind: str) -> None:
    np.testing.assert_array_equal(decode_image(DEEP_FILES[kind]), eight_bits(DEEP))


def test_every_16_bit_value_becomes_a_257th_rounded() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    data = cv2.imencode(".png", ramp)[1].tobytes()
    np.testing.assert_array_equal(decode_image(data), grey_to_rgb(eight_bits(ramp)))


@pytest.mark.parametrize(
    "data",
    [
        cv2.imencode(".png", DEEP[..., 0])[1].tobytes(),
        tiff(DEEP[..., 0]),
        tiff(65535 - DEEP[..., 0], photometric="miniswhite"),
        tiff(DEEP[..., 0], compression="lzw"),
    ],
    ids=["png", "tiff", "tiff-white-is-zero", "tiff-lzw"],
)
def test_16_bit_grey_becomes_rgb(data: bytes) -> None:
    np.testing.assert_array_equal(decode_image(data), grey_to_rgb(eight_bits(DEEP[..., 0])))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (cv2.imencode(".png", DEEP_ALPHA[..., [2, 1, 0, 3]])[1].tobytes(), over_white(DEEP_ALPHA)),
        (
            tiff(DEEP_ALPHA, photometric="rgb", extrasamples=["unassalpha"]),
            over_white(DEEP_ALPHA),
        ),
        (
            tiff(DEEP_ALPHA, photometric="rgb", extrasamples=["unspecified"]),
            eight_bits(DEEP_ALPHA[..., :3]),
        ),
        (deep_png(DEEP_ALPHA[..., 2:], 4), over_white(DEEP_ALPHA[..., 2:])),
    ],
    ids=["png", "tiff", "tiff-extra-sample", "png-grey"],
)
def test_16_bit_transparency_is_over_white(data: bytes, expected: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode_image(data), expected)


def test_16_bit_premultiplied_colour_is_over_white() -> None:
    opacity = DEEP_ALPHA[..., 3:] / 65535.0
    colour = np.rint(DEEP_ALPHA[..., :3] * opacity).astype(np.uint16)
    data = tiff(
        np.concatenate([colour, DEEP_ALPHA[..., 3:]], axis=2),
        photometric="rgb",
        extrasamples=["assocalpha"],
    )
    difference = decode_image(data).astype(int) - over_white(DEEP_ALPHA)
    assert np.abs(difference).max() <= 1


def test_a_16_bit_png_with_a_clear_colour_is_white_there() -> None:
    pixels = DEEP.copy()
    pixels[3, 4] = pixels[5, 6] = (1, 2, 3)
    expected = eight_bits(pixels)
    expected[3, 4] = expected[5, 6] = 255
    data = deep_png(pixels, 2, (b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    np.testing.assert_array_equal(decode_image(data), expected)
    grey = pixels[..., 0]
    expected = eight_bits(grey)
    expected[grey == 1] = 255
    data = deep_png(grey, 0, (b"tRNS", struct.pack(">H", 1)))
    np.testing.assert_array_equal(decode_image(data), grey_to_rgb(expected))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_grey_becomes_three_equal_channels(kind: str) -> None:
    image = decode_image(encoded(SMOOTH[..., 0], kind))
    assert image.shape == SMOOTH.shape
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    assert np.abs(image[..., 0].astype(int) - SMOOTH[..., 0]).max() <= 20


def test_one_bit_pictures_become_black_and_white() -> None:
    bits = NOISE[..., 0] > 128
    for kind in ("PNG", "TIFF", "BMP"):
        image = decode_image(encoded(Image.fromarray(bits), kind))
        np.testing.assert_array_equal(image, grey_to_rgb(np.where(bits, 255, 0).astype(np.uint8)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_composited_over_white(kind: str) -> None:
    alpha = RNG.integers(0, 256, (24, 34, 1), dtype=np.uint8)
    alpha[0], alpha[1] = 0, 255
    pixels = np.concatenate([NOISE, alpha], axis=2)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = decode_image(encoded(pixels, kind, **options))
    opacity = alpha / 255.0
    np.testing.assert_array_equal(image, np.rint(NOISE * opacity + 255 * (1 - opacity)))


def test_grey_with_transparency_is_composited_over_white() -> None:
    pixels = NOISE[..., :2]
    opacity = pixels[..., 1] / 255.0
    expected = np.rint(pixels[..., 0] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    image = decode_image(encoded(Image.fromarray(pixels, "LA"), "PNG"))
    np.testing.assert_array_equal(image, grey_to_rgb(expected))


def test_a_palette_becomes_its_colours_and_its_clear_entry_white() -> None:
    palette = Image.fromarray(NOISE).quantize(16)
    expected = np.asarray(palette.convert("RGB")).copy()
    np.testing.assert_array_equal(decode_image(encoded(palette, "PNG")), expected)
    expected[np.asarray(palette) == 3] = 255
    image = decode_image(encoded(palette, "PNG", transparency=3))
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_plain_conversion(kind: str) -> None:
    inks = Image.fromarray(SMOOTH).convert("CMYK")
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    image = decode_image(encoded(inks, kind, **options))
    expected = np.asarray(inks.convert("RGB")).astype(int)
    assert np.abs(image - expected).mean() < (3 if kind == "JPEG" else 0.01)


def test_ycck_jpegs_are_read_as_pillow_reads_them() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    inks = np.asarray(Image.fromarray(SMOOTH).convert("CMYK"))
    data = imagecodecs.jpeg8_encode(inks, level=95, colorspace="CMYK", outcolorspace="YCCK")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_honoured(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(SMOOTH, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    plain = encoded(SMOOTH, kind, **({"lossless": True} if kind == "WEBP" else {}))
    turned = Image.fromarray(decode_image(plain))
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned))
    image = decode_image(data)
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_honoured_in_16_bit_files(orientation: int) -> None:
    upright = Image.fromarray(eight_bits(DEEP))
    upright.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    tag = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    np.testing.assert_array_equal(decode_image(deep_png(DEEP, 2, (b"eXIf", tag))), expected)
    turned = tiff(DEEP, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(decode_image(turned), expected)


def test_an_image_of_many_strips_is_put_together_rightly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "STRIP_PIXELS", 100)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_image(encoded(NOISE, "PNG", exif=exif))
    np.testing.assert_array_equal(image, np.rot90(NOISE, -1))
    np.testing.assert_array_equal(decode_image(DEEP_FILES["tiff"]), eight_bits(DEEP))


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_the_first_of_several_pages_or_frames_is_taken(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    second = Image.fromarray(255 - NOISE)
    data = encoded(NOISE, kind, save_all=True, append_images=[second], **options)
    np.testing.assert_array_equal(decode_image(data), NOISE)


def test_a_jpeg_with_a_second_picture_gives_the_first() -> None:
    data = encoded(SMOOTH, "MPO", save_all=True, append_images=[Image.fromarray(NOISE)])
    np.testing.assert_array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data))))


def test_memory_is_reserved_before_an_image_is_decoded() -> None:
    asked: list[int] = []
    decode_image(LOSSLESS["png"], reserve=asked.append)
    assert asked == [24 * 34 * 7]


EVERY = {**LOSSLESS, **LOSSY, **{f"16-bit-{kind}": data for kind, data in DEEP_FILES.items()}}


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
@example(share=0.0)
@example(share=0.5)
@example(share=0.999)
def test_a_file_cut_anywhere_is_never_an_image(kind: str, share: float) -> None:
    data = EVERY[kind]
    size = int(share * (len(data) - 4))  # row padding and directory padding end some files
    with pytest.raises(ImageError) as caught:
        decode_image(data[:size])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["png", "jpeg", "jpeg-progressive", "16-bit-png"])
@pytest.mark.parametrize("missing", range(1, 40))
def test_a_file_that_lacks_its_last_bytes_is_never_an_image(kind: str, missing: int) -> None:
    with pytest.raises(ImageError):
        decode_image(EVERY[kind][:-missing])


@settings(max_examples=60)
@given(place=st.integers(8, len(LOSSLESS["png"]) - 1), bit=st.integers(0, 7))
def test_one_wrong_bit_in_a_png_is_noticed(place: int, bit: int) -> None:
    data = bytearray(LOSSLESS["png"])
    data[place] ^= 1 << bit
    with pytest.raises(ImageError):
        decode_image(bytes(data))


@settings(max_examples=150)
@given(data=st.data())
def test_damage_of_any_sort_gives_pixels_or_an_image_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["jpeg", "webp", "bmp", "tiff", "16-bit-tiff"]))
    content = bytearray(EVERY[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(content))
    except ImageError as error:
        reason = str(error)
    else:
        reason = "none"
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty, 0 bytes"),
        (b"Dear diary", "not a JPEG, PNG, TIFF, WebP, BMP or camera raw image"),
        (encoded(NOISE, "GIF"), "not a JPEG"),
        (tiff(np.zeros((9, 9), np.float32)), "float samples"),
        (tiff(np.zeros((9, 9, 3), np.float32), photometric="rgb"), "float samples"),
        (tiff(np.zeros((9, 9), np.int16)), "signed integer samples"),
        (tiff(np.zeros((9, 9), np.uint32)), "32 bits"),
        (tiff(NOISE, photometric="cielab"), "mode LAB"),
        (
            tiff(np.moveaxis(DEEP, -1, 0), photometric="rgb", planarconfig="separate"),
            "separate planes",
        ),
        (b"BM" + b"\0" * 60, "damaged"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_image(data)


def test_a_png_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError):
        decode_image(deep_png(np.zeros((0, 5, 3), np.uint16), 2))


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_a_decompression_bomb_is_refused_by_its_header(kind: str) -> None:
    data = bytearray(LOSSLESS[kind])
    if kind == "png":
        data[16:24] = struct.pack(">II", 40_000, 40_000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    else:
        data[18:26] = struct.pack("<II", 40_000, 40_000)
    with pytest.raises(ImageError, match="40000×40000 px is more than the 400 million"):
        decode_image(bytes(data))


def test_more_pixels_than_pillow_warns_of_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(photo, "STRIP_PIXELS", 50)
    np.testing.assert_array_equal(decode_image(LOSSLESS["png"]), NOISE)


def test_nothing_is_warned_or_printed(capfd: pytest.CaptureFixture[str]) -> None:
    palette = Image.fromarray(NOISE).quantize(16)
    odd = encoded(palette, "PNG", transparency=bytes(range(16)))
    broken = bytearray(DEEP_FILES["tiff-deflate"])
    broken[len(broken) // 2] ^= 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(odd).shape == NOISE.shape
        with pytest.raises(ImageError):
            decode_image(bytes(broken))
        with pytest.raises(ImageError):
            decode_image(LOSSLESS["tiff-lzw"][:-9])
    assert capfd.readouterr() == ("", "")


def test_an_image_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(LOSSLESS["png"])
    np.testing.assert_array_equal(read_image(str(path)), NOISE)


def test_a_path_that_cannot_be_read_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(LOSSLESS["png"][:100])
    for name, text in (
        ("phota.png", r"phota\.png' does not exist; did you mean '.*photo\.png'"),
        ("photo.png", r"cannot use .*photo\.png: damaged or cut short .*; name a whole"),
        ("", r"is a folder; name one image file"),
    ):
        with pytest.raises(UserError, match=text):
            read_image(str(tmp_path / name))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (NOISE / 255.0, "image is float64"),
        (NOISE[..., 0], "image is uint8"),
        (NOISE[None], "image is uint8"),
        (NOISE.tolist(), "image is a list"),
    ],
)
def test_only_rgb_arrays_are_written(tmp_path: Path, image: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        write_image(tmp_path / "photo.png", image)
    assert not list(tmp_path.iterdir())


def test_lack_of_memory_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_open", full)
    for function in (decode_image, image_size):
        with pytest.raises(WorkError, match="not enough memory"):
            function(LOSSLESS["png"])


@pytest.mark.parametrize("kind", EVERY)
def test_the_size_is_known_from_the_header(kind: str) -> None:
    assert image_size(EVERY[kind]) == decode_image(EVERY[kind]).shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_after_exif_rotation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    tag = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    files = [encoded(NOISE, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    files.append(deep_png(DEEP, 2, (b"eXIf", tag)))
    files.append(tiff(DEEP, photometric="rgb", extratags=[(274, 3, 1, orientation, True)]))
    for data in files:
        assert image_size(data) == decode_image(data).shape[:2]


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 torn"])
def test_a_file_without_a_header_has_no_size(data: bytes) -> None:
    with pytest.raises(ImageError):
        image_size(data)
