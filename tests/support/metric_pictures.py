"""Patches for the tests of metrics, made by whole-number arithmetic alone: the same everywhere."""

from __future__ import annotations

import numpy as np
from skimage.data import astronaut, chelsea, coffee


def pairs(side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Eight crops of photographs, uint8 (8, side, side, 3), and distorted versions of them."""
    photos = (astronaut(), chelsea(), coffee())
    refs, dists = [], []
    for k in range(8):
        photo = photos[k % 3]
        top, left = 5 * k + 20, 17 * k + 60
        ref = photo[top : top + side, left : left + side]
        wide = ref.astype(np.int64)
        for _ in range(k % 4):  # box blurs, 0 to 3 times
            wide = sum(np.roll(wide, (dy, dx), (0, 1)) for dy in (0, 1) for dx in (0, 1)) // 4
        noise = (np.arange(ref.size).reshape(ref.shape) * 7919 + 104729 * k) % 31 - 15
        dists.append(np.clip(wide + noise * (k % 3) // 2 + 5 * (k % 2), 0, 255).astype(np.uint8))
        refs.append(ref)
    return np.stack(refs), np.stack(dists)
