"""Screenshots of a study's pages for the site: `python docs/screenshots.py docs/pages/how-to`.

Needs the extras `test` and a Chromium on the PATH. Pictures are those of scikit-image.
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
from playwright.sync_api import Page, sync_playwright

import bapps_gen

PASSWORD = "password of the screenshots"
COLORS = 64  # of a screenshot; the pages are gray
WAIT = 60_000  # ms
BUTTON = "button.jspsych-btn"


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


def save(page: Page, path: Path) -> None:
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


def main() -> None:
    out = Path(sys.argv[1]).absolute()
    options: dict[str, Any] = {"rows": 12, "workers": 1}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.chdir(folder)
        sets = {
            "2afc": bapps_gen.make_dataset("traditional", out="triplets", **options),
            "jnd": bapps_gen.make_dataset("jnd-traditional", out="pairs", **options),
        }
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 560})
        for port, (task, act) in enumerate({"2afc": triplets, "jnd": pairs}.items(), 8711):
            study = bapps_gen.make_study(
                sets[task], out=f"study-{task}", trials=6, sentinels=3, identical=2, judgments=3
            )
            with served(study.folder, port) as address:
                act(page, address, out, study)
        browser.close()


if __name__ == "__main__":
    main()
