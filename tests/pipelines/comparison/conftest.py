"""Sets that simulated observers with a known metric judged, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bapps_gen.cli import main
from support.datasets import make
from support.once import Once

ROWS = 120


def judge(folder: Path, metric: str, noise: float, votes: int) -> None:
    """Have simulated observers judge a dataset."""
    written = folder.parent / f"votes-{folder.name}.parquet"
    options = ["--noise", str(noise), "--judgments", str(votes), "--out", str(written)]
    command = ["simulate", str(folder), "--metric", metric, *options, "--workers", "1"]
    assert main(command) == 0
    assert main(["judge", str(folder), "--votes", str(written)]) == 0


@pytest.fixture(scope="session")
def judged(photos: Path, once: Once) -> Path:
    """A collection of triplets and JND pairs that observers with ssim judged; do not change it."""

    def build(folder: Path) -> None:
        triplets, pairs = folder / "2afc", folder / "jnd"
        assert make(photos, triplets, ROWS) == 0
        command = ["jnd", "--family", "traditional", "-n", str(ROWS), "--source", str(photos)]
        assert main([*command, "--out", str(pairs), "--workers", "1"]) == 0
        judge(triplets, "ssim", 0.05, 5)
        judge(pairs, "ssim", 0.05, 3)

    return once("judged-by-ssim", build)
