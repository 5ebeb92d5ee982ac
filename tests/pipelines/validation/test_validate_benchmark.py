"""Validation of benchmarks: curves, thresholds, and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bapps_gen
from bapps_gen.cli import main
from support.browser import needs_chromium, seen_in
from support.datasets import one_line


@pytest.fixture(scope="module")
def bench(photos: Path, once) -> Path:
    """Noise and JPEG at 3 levels on 2 patches of six photos; do not change its pictures."""

    def build(folder: Path) -> None:
        bapps_gen.make_benchmark(
            out=folder,
            source=photos,
            atoms=["gaussian_white", "jpeg"],
            levels=3,
            patches=2,
            workers=1,
        )

    return once("bench-validated", build)


def validate(folder: Path, *options: str) -> int:
    return main(["validate", str(folder), "--workers", "1", *options])


def test_the_report_has_curves_correlations_and_pictures(bench, tmp_path, capsys):
    page, numbers = tmp_path / "report.html", tmp_path / "report.json"
    assert validate(bench, "--out", str(page), "--json", str(numbers)) == 0
    assert "72 distorted pictures" in capsys.readouterr().out
    values = json.loads(numbers.read_text())
    evaluated = bapps_gen.evaluate(bapps_gen.open_benchmark(bench), "lpips-alex", workers=1)
    assert values["metrics"]["lpips-alex"]["mean"]["srcc"] == evaluated.mean("lpips-alex", "srcc")
    text = page.read_text()
    for word in ("SRCC", "PLCC", "KRCC", "gaussian_white", "jpeg", "<polyline", "data:image/webp"):
        assert word in text
    assert text.count("data:image/webp") == 2 * (1 + 3)
    assert str(tmp_path) not in text + numbers.read_text()


def test_the_median_of_noise_rises_with_severity(bench):
    found = bapps_gen.validate(bench, workers=1)
    curves = found.values["metrics"]["lpips-alex"]["distortions"]
    medians = [level["median"] for level in curves[0]["levels"]]
    assert curves[0]["distortion"] == "gaussian_white"
    assert medians == sorted(medians)


def test_thresholds_say_what_was_measured(bench, tmp_path, capsys):
    out = ("--out", str(tmp_path / "report.html"))
    assert validate(bench, *out, "--min-spearman", "-1", "--max-destroyed", "1") == 0
    assert "at least -1 required" in capsys.readouterr().out
    assert validate(bench, *out, "--min-spearman", "0.99999") == 1
    assert "less than 0.99999" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option", [("--max-ks", "0.1"), ("--min-coverage", "3"), ("--max-near-equal", "0.5")]
)
def test_thresholds_of_datasets_are_refused(bench, capsys, option):
    assert validate(bench, *option) == 2
    assert f"{option[0][2:]} applies to datasets" in one_line(capsys)


def test_benchmarks_are_compared_with_nothing(bench, dataset, capsys):
    assert validate(bench, "--against", str(dataset)) == 2
    assert "leave it out with a benchmark" in one_line(capsys)


@needs_chromium
@pytest.mark.parametrize("width", [380, 1200])
def test_the_page_fits_a_browser(bench, tmp_path, width):
    page = tmp_path / "report.html"
    assert validate(bench, "--out", str(page), "--quiet") == 0
    seen = seen_in(
        page,
        "const pictures = [...page.images];",
        "images: pictures.length, broken: pictures.filter(p => !p.naturalWidth).length, "
        "curves: page.querySelectorAll('polyline').length",
        width,
        tall=800,
    )
    assert (seen["images"], seen["broken"], seen["curves"]) == (8, 0, 2)
