"""Camera raw files: developed, turned, halved, and refused in one line."""

from __future__ import annotations

import builtins
import importlib.util

import cv2
import numpy as np
import pytest

from bapps_gen.cli import main
from bapps_gen.errors import ImageError, UserError
from bapps_gen.imaging.decode import decode_image, decode_photo, image_size, read_image
from support.datasets import contents, make, one_line, photo, verify
from support.dng import dng

pytest.importorskip("rawpy")

COLORS = cv2.GaussianBlur(photo(1, 300, 420), (0, 0), 3)
RAW = dng(COLORS)


def test_a_raw_photo_has_the_colors_that_the_camera_saw():
    found = decode_image(RAW).astype(int)
    assert found.shape == COLORS.shape
    assert np.abs(found - COLORS).mean() < 6
    for channel in range(3):
        assert np.corrcoef(found[..., channel].ravel(), COLORS[..., channel].ravel())[0, 1] > 0.99
    assert np.array_equal(decode_image(RAW), found)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_raw_photo_is_turned_as_the_camera_was_held(orientation, turns):
    data = dng(COLORS, orientation)
    upright = np.rot90(decode_image(RAW), turns)
    assert image_size(data) == upright.shape[:2]
    assert np.array_equal(decode_image(data), upright)
    half = decode_photo(data, lambda _: 2)
    assert np.array_equal(half.pixels, np.rot90(decode_photo(RAW, lambda _: 2).pixels, turns))


@pytest.mark.parametrize("step", [2, 4, 8])
def test_a_raw_photo_is_halved_where_less_will_do(step):
    half = decode_photo(RAW, lambda _: step)
    assert (half.step, half.height, half.width) == (2, 300, 420)
    reduced = cv2.resize(decode_image(RAW), (210, 150), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(reduced - half.pixels).mean() < 1.5


@pytest.mark.parametrize("size", [9, 60, 250, 2000, len(RAW) - 100])
def test_a_raw_photo_that_is_cut_short_is_refused_in_one_line(size):
    for read in (decode_image, image_size):
        with pytest.raises(ImageError) as caught:
            read(RAW[:size])
        assert "\n" not in str(caught.value)


def test_damage_to_a_header_is_refused_in_one_line():
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(RAW)
        for at in rng.integers(8, 300, 4):
            damaged[at] = rng.integers(256)
        reason = ""
        try:
            decode_image(bytes(damaged))
        except ImageError as error:
            reason = str(error)
        assert "\n" not in reason


def test_a_set_is_made_from_raw_photos_and_verified(tmp_path):
    for number in range(2):
        path = tmp_path / "photos" / f"{number}.{('dng', 'NEF')[number]}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dng(photo(number, 600, 420)))
    assert make(tmp_path / "photos", tmp_path / "set", 12) == 0
    assert {row["source_path"] for row in contents(tmp_path / "set")} == {"0.dng", "1.NEF"}
    assert verify(tmp_path / "set") == 0


@pytest.fixture
def without_rawpy(monkeypatch):
    plain = builtins.__import__

    def importing(name, *args, **kwargs):
        if name == "rawpy":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "rawpy" else find(name)
    )


@pytest.mark.usefixtures("without_rawpy")
def test_without_the_extra_one_line_says_how_to_install_it(tmp_path, capsys):
    path = tmp_path / "photos" / "one.dng"
    path.parent.mkdir()
    path.write_bytes(RAW)
    with pytest.raises(UserError, match=r"pip install 'bapps-gen\[raw\]'"):
        read_image(path)
    assert make(tmp_path / "photos", tmp_path / "set", 4) == 2
    assert "pip install 'bapps-gen[raw]'" in one_line(capsys)
    assert not (tmp_path / "set").exists()
    command = ["distort", str(path), "--with", "jpeg", "-o", str(tmp_path / "out.png")]
    assert main(command) == 2
    assert "pip install 'bapps-gen[raw]'" in one_line(capsys)
