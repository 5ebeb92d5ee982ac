"""A judged set of small patches, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bapps_gen.cli import main
from support.datasets import make
from support.metric_training import NET
from support.once import Once


@pytest.fixture(scope="session")
def judged(photos: Path, once: Once) -> Path:
    """A judged set of 90 triplets of 16 px, `set`, and a net in `net.py`; do not change it."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "net.py").write_text(NET)
        dataset, votes = folder / "set", folder / "votes.parquet"
        assert make(photos, dataset, 90, "--patch-size", "16") == 0
        simulated = ["simulate", str(dataset), "--metric", "l2", "--judgments", "3"]
        assert main([*simulated, "--out", str(votes), "--workers", "1"]) == 0
        assert main(["judge", str(dataset), "--votes", str(votes)]) == 0

    return once("judged-16", build)
