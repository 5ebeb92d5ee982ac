"""Make the pictures of the page on reading an evaluation: python docs/evaluation_screenshots.py OUT

Photos come with scikit-image, and simulated observers judge by lpips-alex.
Needs Playwright, of the extra `test`, and Chromium as `chromium` on the path.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import bapps_gen

METRICS = ["l2", "ssim", "ms-ssim", "fsimc", "lpips-alex"]
ROWS = {"traditional": 500, "jnd-traditional": 250}
NOISE = 0.05
JUDGMENTS = {"traditional": 5, "jnd-traditional": 3}
WIDTH = 1160

SECTIONS = {
    "distortions": ("By distortion (triplets)", 1060),
    "differences": ("By difference of distances", None),
    "psychometric": ("Psychometric functions (triplets)", None),
    "calibration": ("Calibration (triplets)", None),
    "metrics": ("Where metrics disagree (triplets)", 1150),
    "people": ("Where metrics disagree with simulated observers (triplets)", 620),
    "sensitivity": ("Sensitivity to severity", 780),
}
"""By name of the picture, the heading of the section, and the height in px that is kept."""


def judged_sets() -> list[bapps_gen.Dataset]:
    """Triplets and pairs that simulated observers judged."""
    sets = []
    for kind, rows in ROWS.items():
        dataset = bapps_gen.make_dataset(kind, rows=rows, out=kind)
        options = {"noise": NOISE, "judgments": JUDGMENTS[kind], "dtype": "float32"}
        bapps_gen.simulate(dataset, "lpips-alex", out=f"{kind}.parquet", **options)
        bapps_gen.judge(dataset, votes=f"{kind}.parquet")
        sets.append(bapps_gen.open_dataset(kind))
    return sets


def save(page: Page, heading: str, height: int | None, path: Path) -> None:
    """The upper part of a section."""
    section = page.locator("section").filter(has=page.get_by_role("heading", name=heading))
    with Image.open(io.BytesIO(section.first.screenshot())) as image:
        kept = min(height or image.height, image.height)
        image.convert("RGB").crop((0, 0, image.width, kept)).save(path, quality=82, method=6)


def main() -> None:
    out = Path(sys.argv[1]).absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.chdir(folder)
        bapps_gen.evaluate(judged_sets(), METRICS, out="report.html", dtype="float32")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        page.goto(f"file://{folder}/report.html")
        for name, (heading, height) in SECTIONS.items():
            save(page, heading, height, out / f"{name}.webp")
        browser.close()


if __name__ == "__main__":
    main()
