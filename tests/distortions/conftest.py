"""Patches that the distortion tests share."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import Registry, load_registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="session")
def photos() -> list[Patch]:
    """Sixteen 64×64 patches of photographs, with edges, textures and smooth areas."""
    pictures = (skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee())
    patches = []
    for index in range(16):
        picture = pictures[index % 3]
        top, left = 20 + 9 * index, 40 + 13 * index
        square = np.ascontiguousarray(picture[top : top + 128, left : left + 128])
        patches.append(cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA))
    return patches


@pytest.fixture
def gray() -> Patch:
    """Constant mid-gray 64×64, where nothing clips and all that a distortion adds shows."""
    return np.full((64, 64, 3), 128, np.uint8)
