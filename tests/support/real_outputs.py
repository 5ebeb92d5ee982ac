"""Ground truth and outputs of make-believe algorithms that are known functions of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bapps_gen.cli import main
from support.datasets import photo, save_photo

ALGORITHMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "invert": lambda image: 255 - image,
    "swap": lambda image: image[..., ::-1],
    "halve": lambda image: image // 2,
    "bright": lambda image: 128 + image // 2,
}
"""All of single pixels, so that what they give of a patch is what the patch of their output is."""


def save_task(
    folder: Path, images: int = 4, endings: str = "png", height: int = 130, width: int = 300
) -> Path:
    """`folder/gt` with photos, each 10 px higher than the last, and a folder for each algorithm."""
    for seed in range(images):
        picture = photo(seed, height + 10 * seed, width)
        save_photo(folder / "gt" / "scenes" / f"{seed:04d}.png", picture)
        for name, algorithm in ALGORITHMS.items():
            save_photo(folder / name / "scenes" / f"{seed:04d}.{endings}", algorithm(picture))
    return folder


def outputs(folder: Path, names: tuple[str, ...] = tuple(ALGORITHMS)) -> list[str]:
    """--outputs for some algorithms."""
    return ["--outputs", *(f"{name}={folder / name}" for name in names)]


def make_real(
    folder: Path,
    out: Path,
    rows: int,
    *options: str,
    task: str = "superres",
    names: tuple[str, ...] = tuple(ALGORITHMS),
    workers: int = 1,
) -> int:
    """Run `bapps-gen real` in this process."""
    shards = () if "--shard-size" in options else ("--shard-size", "30")
    given = outputs(folder, names) if names else []
    return main(
        [
            *("real", task, "--quiet", "--n", str(rows), "--out", str(out)),
            *("--reference", str(folder / "gt"), *given, "--workers", str(workers)),
            *(*shards, *options),
        ]
    )
