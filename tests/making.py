"""Photos and datasets, made small and from fixed seeds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bapps_gen.cli import main


def photo(seed: int, height: int = 160, width: int = 220) -> np.ndarray:
    """A textured, colourful picture, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0, 60, (height, width, 3)).astype(np.float32), (0, 0), 1)
    return np.clip(smooth + fine, 0, 255).astype(np.uint8)


def save_photo(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])
    return path


def make(source: Path, out: Path, rows: int, *options: str, workers: int = 1) -> int:
    """Run `bapps-gen traditional` in this process."""
    shards = () if "--shard-size" in options else ("--shard-size", "30")
    return main(
        [
            *("traditional", "--quiet", "--n", str(rows), "--source", str(source)),
            *("--out", str(out), "--workers", str(workers), *shards, *options),
        ]
    )
