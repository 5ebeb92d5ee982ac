"""Contact sheets: what the captions of a row say, and that nothing of it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from bapps_gen.cli import main
from bapps_gen.imaging.sheet import SheetRow, _wrapped, draw_sheet
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.datasets.sheet import read_sheet_rows
from support.datasets import make
from support.original_layout import make_2afc, make_jnd

FONT = ImageFont.load_default(size=11)


def captions(folder: Path, row: int = 0) -> tuple[tuple[str, ...], ...]:
    (drawn,) = read_sheet_rows(open_dataset(folder), [row])
    return drawn.captions


@pytest.fixture(scope="module")
def scored(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet") / "set"
    assert make(photos, folder, 12, "--shard-size", "5") == 0
    command = ["score", str(folder), "--metric", "ssim,l2", "--workers", "1", "--quiet"]
    assert main(command) == 0
    return folder


def test_a_caption_says_which_row_and_how_large_the_crop_was(dataset):
    row = open_dataset(dataset).read_rows(0)[3]
    first, *_ = captions(dataset, 3)
    assert first == (f"row 3 · crop {row.crop.side} px → 64 px", row.source_path)


def test_a_caption_has_severity_and_parameters_of_every_step(dataset):
    row = open_dataset(dataset).read_rows(0)[3]
    _, *sides = captions(dataset, 3)
    for steps, lines in zip(row.steps, sides, strict=True):
        for step in steps:
            values = lines[lines.index(step.distortion) + 1]
            assert f"severity {step.severity:.2f}" in values
            assert all(f"{name} {value:.3g}" in values for name, value in step.params)


@pytest.mark.parametrize("row", [0, 7, 11])
def test_a_caption_has_the_distances_of_a_scored_row(scored, row):
    from bapps_gen.manifests.readers import TripletDataset

    by_metric = TripletDataset(scored, scores=("l2", "ssim")).row(row).distances
    for side, lines in enumerate(captions(scored, row)[1:]):
        texts = [f"{metric} {by_metric[metric][side]:.3f}" for metric in ("l2", "ssim")]
        assert ", ".join(texts) in lines


def test_distances_that_cannot_be_used_are_left_out(scored, tmp_path):
    import shutil

    folder = tmp_path / "set"
    shutil.copytree(scored, folder)
    damaged = folder / "scores" / "ssim" / "part-00000.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    text = "\n".join(captions(folder)[1])
    assert "l2 " in text
    assert "ssim" not in text


def test_a_caption_has_the_judgments_of_a_judged_triplet(tmp_path):
    make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.25])
    command = ["import", str(tmp_path / "2afc" / "val" / "cnn"), "--out", str(tmp_path / "set")]
    assert main([*command, "--workers", "1", "--quiet"]) == 0
    _, left, right = captions(tmp_path / "set")
    assert any(line.startswith("preferred by 75%") for line in left)
    assert any(line.startswith("preferred by 25%") for line in right)


def test_a_caption_has_the_judgments_of_a_judged_pair(tmp_path):
    make_jnd(tmp_path / "jnd" / "val" / "cnn", [2 / 3])
    command = ["import", str(tmp_path / "jnd" / "val" / "cnn"), "--out", str(tmp_path / "set")]
    assert main([*command, "--workers", "1", "--quiet"]) == 0
    _, side = captions(tmp_path / "set")
    assert any(line.startswith("the same to 67%") for line in side)


@pytest.mark.parametrize(
    "text",
    [
        "row 123456 · crop 1024 px → 64 px",
        "  severity 0.59, sigma_color 177, sigma_space 1.46, angle 247",
        "a/very/long/path/of/folders/with/a_photograph_of_something_that_is_long.jpeg",
        "w" * 100,
        "gaussian_colored",
    ],
)
@pytest.mark.parametrize("width", [64, 128, 256])
def test_long_lines_are_wrapped_and_nothing_is_cut(text, width):
    lines = _wrapped(text, width, FONT)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(FONT.getlength(line) <= width for line in lines)
    indent = len(text) - len(text.lstrip())
    assert all(line.startswith(" " * indent) for line in lines)


def test_a_name_and_its_value_stay_on_one_line():
    lines = _wrapped("  severity 0.59, sigma_color 177, sigma_space 1.46", 128, FONT)
    assert lines == ["  severity 0.59,", "  sigma_color 177,", "  sigma_space 1.46"]


def test_lines_of_a_sheet_are_as_high_as_their_captions():
    patch = np.zeros((64, 64, 3), np.uint8)
    short = SheetRow((patch,), (("a",),))
    long = SheetRow((patch,), (("a", "b", "c", ""),))
    heights = {
        name: draw_sheet(rows, across=1).shape[0]
        for name, rows in {"short": [short], "long": [long], "both": [short, long]}.items()
    }
    assert heights["long"] - heights["short"] == 2 * 13
    assert heights["both"] == heights["short"] + heights["long"] - 10


def test_the_arrow_is_drawn_although_the_font_has_none():
    patch = np.zeros((64, 64, 3), np.uint8)
    arrow, unknown = (draw_sheet([SheetRow((patch,), ((text,),))]) for text in ("→", "\uffff"))
    assert (arrow[-20:] < 255).any()
    assert arrow.shape == unknown.shape
    assert not np.array_equal(arrow, unknown)
