"""Rows that are damaged or made by hand: commands name the row, and recipes are checked first."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from bapps_gen.cli import main
from bapps_gen.distortions.definition import Distortion
from bapps_gen.imaging.encode import encode_png
from support.datasets import one_line, photo, put_values, values_of
from support.once import Once

HUGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1) + bytes(9)


@pytest.fixture(scope="module")
def scored(dataset: Path, once: Once) -> Path:
    """A dataset with distances; do not change it."""

    def build(folder: Path) -> None:
        shutil.copytree(dataset, folder)
        words = ["score", str(folder), "--metric", "l2,lpips-alex", "--quiet", "--workers", "1"]
        assert main(words) == 0

    return once("scored", build)


@pytest.fixture
def copy(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("row", 3, "row 34 holds row 3"),
        ("row", None, "row 34 has no row"),
        ("ref", None, "row 34 has no ref"),
        ("ref", {"bytes": None, "path": "x"}, "row 34 has no ref"),
        ("ref_hash", "zz", "row 34 has a ref_hash that is no hash"),
        ("ref_hash", None, "row 34 has no ref_hash"),
        ("steps0", [None], "row 34 has no steps0, or a part of it is missing"),
        ("ref", {"bytes": b"torn", "path": "x"}, "34: a stored picture of 4 bytes is not a PNG"),
        ("ref", {"bytes": HUGE, "path": "x"}, "is not a PNG image"),
        ("ref", {"bytes": encode_png(photo(1)), "path": "x"}, "34 has 220×160 px, not 64×64"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "export"])
def test_a_damaged_row_is_named(
    command: str,
    column: str,
    value: Any,
    words: str,
    copy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_values(copy, 1, column, {4: value})
    options = {
        "validate": ["--workers", "1", "--extremes", "40", "--out", str(tmp_path / "x.html")],
        "export": ["--format", "webdataset", "--out", str(tmp_path / "x")],
    }
    code = main([command, str(copy), "--quiet", *options[command]])
    if command == "export" and "row" not in words:  # pictures are passed on as they are
        return
    if code or command == "validate":
        assert code == 1
        assert words in one_line(capsys)


def edit(steps: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    """Steps of which the first has other entries."""
    first, *rest = steps
    return [{**first, **changes}, *rest]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": "1e9"}, " is not allowed: it must be "),
        ({"params": "nan"}, " is not allowed: it must be "),
        ({"params": []}, "restore the recipe from a copy"),
        ({"params": [{"name": "other", "value": 1.0}]}, ", not other; restore"),
        ({"version": 99}, "was made with version 99"),
        ({"seed": -1}, "seed = -1 is not allowed"),
        ({"distortion": "unheard_of"}, "unknown distortion 'unheard_of'"),
    ],
)
def test_steps_of_a_recipe_are_checked_before_anything_is_computed(
    change: dict[str, Any],
    words: str,
    dataset: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out"
    assert main(["export", str(dataset), "--format", "recipe", "--out", str(recipe)]) == 0
    capsys.readouterr()
    steps = values_of(recipe, 0, "steps0")[7]
    if isinstance(change.get("params"), str):
        value = float(change["params"])
        change = {"params": [{**pair, "value": value} for pair in steps[0]["params"]]}
    put_values(recipe, 0, "steps0", {7: edit(steps, **change)})

    def refuse(*arguments: object) -> None:
        raise AssertionError("something is computed")

    monkeypatch.setattr(Distortion, "apply", refuse)
    words_of_replay = ["replay", str(recipe), "--source", str(photos), "--out", str(out)]
    assert main([*words_of_replay, "--quiet", "--workers", "1"]) == 2
    said = one_line(capsys)
    assert "row 7: " in said
    assert words in said


@pytest.mark.parametrize(
    "crop",
    [{"x": 0, "y": 0, "side": 0}, {"x": -5, "y": 0, "side": 64}, {"x": 0, "y": 0, "side": 2**30}],
)
def test_a_crop_of_a_recipe_outside_its_photo_is_refused(
    crop: dict[str, int],
    dataset: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out"
    assert main(["export", str(dataset), "--format", "recipe", "--out", str(recipe)]) == 0
    capsys.readouterr()
    put_values(recipe, 0, "crop", {7: crop})
    words = ["replay", str(recipe), "--source", str(photos), "--out", str(out), "--workers", "1"]
    assert main([*words, "--quiet"]) == 1
    assert "row 7: its crop of" in one_line(capsys)
