"""Reports looked at in a browser, without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

_PROBE = """<!DOCTYPE html><meta charset="utf-8"><iframe id="f" src="NAME"
  style="width:WIDTHpx;height:900px"></iframe><pre id="seen"></pre><script>
  const errors = [];
  const frame = document.getElementById("f");
  frame.contentWindow.addEventListener("error", e => errors.push(String(e.message)), true);
  frame.addEventListener("load", () => {
    const page = frame.contentDocument, root = page.documentElement;
    LOOKED
    document.getElementById("seen").textContent = JSON.stringify({
      width: frame.clientWidth, scroll: root.scrollWidth, height: root.scrollHeight,
      VALUES, errors});
  });</script>"""
"""A page of its own looks into another once it is laid out and says what it sees."""


def seen_in(path: Path, looked: str, values: str, width: int, *, tall: int = 2000) -> dict:
    """What is seen of a page, which has to be tall, fit the width and run without errors.

    Args:
        path: of the page.
        looked: JavaScript statements on `page`, the document.
        values: entries of a JavaScript object, made of those.
        width: of the frame that shows it, px.
        tall: least height of the page, px.
    """
    parts = {"NAME": path.name, "WIDTH": str(width), "LOOKED": looked, "VALUES": values}
    text = re.sub("|".join(parts), lambda found: parts[found[0]], _PROBE)
    folder = path.parent
    (folder / "probe.html").write_text(text)
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-sync"),
            *("--disable-component-update", "--allow-file-access-from-files"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000"),
            *("--virtual-time-budget=5000", "--dump-dom", f"file://{folder}/probe.html"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    seen: dict = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)[1])
    assert seen["errors"] == []
    assert "CONSOLE" not in done.stderr
    assert seen["scroll"] <= seen["width"], "the page scrolls sideways"
    assert seen["height"] > tall
    return seen
