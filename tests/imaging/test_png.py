"""The PNG encoder against other people's decoders."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bapps_gen.errors import WorkError
from bapps_gen.imaging.encode import decode_png, encode_png

pictures = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: arrays(np.uint8, (*size, 3))
)


@given(pictures)
def test_a_picture_comes_back_exactly(picture):
    assert np.array_equal(decode_png(encode_png(picture)), picture)


@given(pictures)
def test_pillow_reads_what_is_written(picture):
    with Image.open(io.BytesIO(encode_png(picture))) as image:
        image.load()
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), picture)


def test_pillow_verifies_every_checksum():
    png = encode_png(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    with Image.open(io.BytesIO(png)) as image:
        image.verify()


def test_a_smooth_patch_is_about_as_small_as_opencv_makes_it():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    patch = cv2.GaussianBlur(noise, (0, 0), 3)
    assert len(encode_png(patch)) < 1.35 * len(cv2.imencode(".png", patch)[1])


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_are_an_error_of_one_line(data):
    with pytest.raises(WorkError, match=r"^[^\n]*not a PNG image[^\n]*$"):
        decode_png(data)
