"""Sets in the original folder layout, made small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from support.datasets import photo


def enlarge(patch: np.ndarray, side: int, *, centred: bool = False) -> np.ndarray:
    """Nearest-neighbour enlargement, by the two rules that programs have."""
    size = patch.shape[0]
    place = np.arange(side)
    sources = (place + 0.5) * size / side if centred else place * size / side
    sources = np.floor(sources).astype(int)
    return patch[sources][:, sources]


def patches_of(seed: int) -> list[np.ndarray]:
    """A reference and two distorted patches, uint8 (64, 64, 3)."""
    ref = photo(seed)[:64, :64]
    rng = np.random.default_rng(seed)
    noisy = [
        np.clip(ref + rng.normal(0, sigma, ref.shape), 0, 255).astype(np.uint8)
        for sigma in rng.permutation([6.0, 18.0])
    ]
    return [ref, *noisy]


def make_2afc(folder: Path, judges: Sequence[object], sides: Sequence[int] = (256,)) -> Path:
    """A 2afc set, one row a judge; picture sides are taken in turn."""
    for part in ("ref", "p0", "p1", "judge"):
        (folder / part).mkdir(parents=True)
    for row, judge in enumerate(judges):
        for part, patch in zip(("ref", "p0", "p1"), patches_of(row), strict=True):
            save(folder / part / f"{row:06d}.png", enlarge(patch, sides[row % len(sides)]))
        np.save(folder / "judge" / f"{row:06d}.npy", np.asarray(judge))
    return folder


def make_jnd(folder: Path, sames: Sequence[object]) -> Path:
    """A jnd set of 256 px pictures, one row a value."""
    for part in ("p0", "p1", "same"):
        (folder / part).mkdir(parents=True)
    for row, same in enumerate(sames):
        for part, patch in zip(("p0", "p1"), patches_of(row), strict=False):
            save(folder / part / f"{row:06d}.png", enlarge(patch, 256))
        np.save(folder / "same" / f"{row:06d}.npy", np.asarray(same))
    return folder


def save(path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(path)
