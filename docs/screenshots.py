"""Screenshots of pages for the site: `python docs/screenshots.py docs/pages/how-to [PAGE…]`.

PAGE is "study" or "comparison", by default both. Needs the extras `test` and a Chromium on the
PATH. Pictures are those of scikit-image.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

import bapps_gen

PASSWORD = "password of the screenshots"
COLORS = 64  # of a screenshot; the pages are gray
WAIT = 60_000  # ms
BUTTON = "button.jspsych-btn"
METRICS = (
    *("l2", "ssim", "ms-ssim", "fsimc"),
    *("random-alex:0", "random-alex:1", "kmeans-alex", "uncalibrated-alex", "lpips-alex"),
)


@contextmanager
def served(study: Path, port: int) -> Iterator[str]:
    """The address of a study's server."""
    words = ["study", "serve", str(study), "--port", str(port), "--admin-token", PASSWORD]
    server = subprocess.Popen([sys.executable, "-m", "bapps_gen", *words])
    address = f"http://127.0.0.1:{port}"
    while True:
        try:
            urllib.request.urlopen(address).close()
            break
        except urllib.error.URLError:
            time.sleep(0.2)
    try:
        yield address
    finally:
        server.terminate()
        server.wait()


def save(page: Page | Locator, path: Path) -> None:
    """A screenshot with few colors, which is small."""
    page.screenshot(path=path)
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLORS, dither=Image.Dither.FLOYDSTEINBERG)
        few.save(path, optimize=True)


def triplets(page: Page, address: str, out: Path, study: bapps_gen.Study) -> None:
    """Consent, a triplet, and the admin page after some sessions."""
    page.goto(address)
    page.get_by_text("I agree", exact=True).wait_for(timeout=WAIT)
    save(page, out / "study-consent.png")
    page.get_by_text("I agree", exact=True).click()
    page.get_by_text("Start").click()
    phases = {tuple(trial["images"]): trial["phase"] for trial in study.trials().to_pylist()}
    while True:
        page.locator("button.side").first.wait_for(timeout=WAIT)
        page.wait_for_timeout(300)
        sources = page.locator("img").evaluate_all("all => all.map(one => one.src)")
        left, middle, right = [Path(source).stem for source in sources]
        if phases[(middle, left, right)] == "test":
            break
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(300)
    save(page, out / "study-2afc.png")
    for number in range(4):
        answer_all(address, study, number)
    user = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    page.set_extra_http_headers({"Authorization": f"Basic {user}"})
    page.goto(f"{address}/admin")
    save(page, out / "study-admin.png")


def answer_all(address: str, study: bapps_gen.Study, number: int) -> None:
    """A session of somebody who sees what is obvious, and else has an opinion in common."""
    rng = random.Random(number)
    planned = {trial["trial"]: trial for trial in study.trials().to_pylist()}

    def post(path: str, values: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{address}/api/{path}",
            json.dumps(values).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    session = post("session", {"key": f"{number:032x}", "params": {}})["session"]
    trials = post("session", {"key": f"{number:032x}", "params": {}})["trials"]
    for shown in trials:
        trial = planned[shown["trial"]]
        wanted = trial["expected"] or ("p0" if trial["row"] % 3 or rng.random() < 0.3 else "p1")
        answer = "left" if wanted == trial["left"] else "right"
        vote = {"session": session, "trial": trial["trial"], "answer": answer}
        post("vote", {**vote, "rt_ms": rng.lognormvariate(7.5, 0.5)})
    post("finish", {"session": session, "browser": {}})


def pairs(page: Page, address: str, out: Path, study: bapps_gen.Study) -> None:
    """A pair while its second patch is seen."""
    page.goto(address)
    page.get_by_text("I agree", exact=True).click(timeout=WAIT)
    page.get_by_text("Start").click()
    page.locator("button.choice").first.wait_for(timeout=WAIT)
    save(page, out / "study-jnd.png")


def comparison(browser: Browser, out: Path) -> None:
    """The bars of a comparison of metrics, on sets that simulated observers judged."""
    kinds = {"traditional": {}, "cnn": {}, "superres": {"demo": True}, "deblur": {"demo": True}}
    sets = []
    for kind, options in kinds.items():
        dataset = bapps_gen.make_dataset(kind, rows=400, out=f"sets/{kind}", **options)
        bapps_gen.simulate(dataset, "lpips-alex", noise=0.1, judgments=5, out="votes.parquet")
        bapps_gen.judge(dataset, votes="votes.parquet")
        sets.append(dataset)
    bapps_gen.evaluate(sets, METRICS, out="report.html", references=0, examples=0)
    page = browser.new_page(viewport={"width": 1120, "height": 800})
    page.goto(Path("report.html").absolute().as_uri())
    save(page.locator("section").first, out / "comparison.png")


def studies(browser: Browser, out: Path) -> None:
    """Pages of studies."""
    options: dict[str, Any] = {"rows": 12, "workers": 1}
    sets = {
        "2afc": bapps_gen.make_dataset("traditional", out="triplets", **options),
        "jnd": bapps_gen.make_dataset("jnd-traditional", out="pairs", **options),
    }
    page = browser.new_page(viewport={"width": 1000, "height": 560})
    for port, (task, act) in enumerate({"2afc": triplets, "jnd": pairs}.items(), 8711):
        study = bapps_gen.make_study(
            sets[task], out=f"study-{task}", trials=6, sentinels=3, identical=2, judgments=3
        )
        with served(study.folder, port) as address:
            act(page, address, out, study)


PAGES = {"study": studies, "comparison": comparison}


def main() -> None:
    out, *chosen = sys.argv[1:]
    folder = Path(out).absolute()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.chdir(scratch)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name in chosen or PAGES:
            PAGES[name](browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
