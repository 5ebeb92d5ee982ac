"""Small distorters, photographs and a zoo of them, trained for a moment: fixtures of all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.pipelines.sources.source import Source, open_source
from support.once import Once

TINY = DistorterSpec(
    "tiny", "white_noise", 0.1, layers=2, first_channels=8, max_channels=8, learning_rate=2e-3
)
FULL = DistorterSpec(
    "full",
    "downsampling",
    2,
    layers=3,
    skips=1,
    dropout_layers=1,
    top_skip=True,
    upsampling="subpixel",
    normalization="batch",
    first_channels=8,
    max_channels=16,
    discriminator_layers=2,
    l1_weight=1.0,
    feature_weight=0.1,
    gan_weight=0.05,
    gan="bce",
)


@pytest.fixture(scope="session")
def photographs(once: Once) -> Path:
    """A folder of eight different photographs of 160×160 px."""
    from skimage import data

    def build(folder: Path) -> None:
        folder.mkdir()
        for name in ("astronaut", "coffee"):
            image = getattr(data, name)()
            for index in range(4):
                y, x = divmod(index, 2)
                square = image[y * 160 : (y + 1) * 160, x * 160 : (x + 1) * 160]
                cv2.imwrite(str(folder / f"{name}-{index}.png"), square[:, :, ::-1])

    return once("photographs", build)


@pytest.fixture(scope="session")
def source(photographs: Path) -> Source:
    return open_source([photographs])


@pytest.fixture(scope="session")
def patches() -> NDArray[np.uint8]:
    """uint8 (37, 64, 64, 3), cut from a photograph."""
    from skimage import data

    image = data.astronaut()
    corners = np.random.default_rng(0).integers(0, 448, (37, 2))
    return np.stack([image[y : y + 64, x : x + 64] for y, x in corners])


@pytest.fixture(scope="session")
def trained(source: Source, once: Once) -> Path:
    """The folder of a zoo of TINY and FULL, trained very briefly; not to be written to."""
    from bapps_gen.pipelines.training.distorters import train_zoo
    from bapps_gen.pipelines.training.options import TrainingOptions
    from bapps_gen.pipelines.training.plan import plan_zoo

    def build(folder: Path) -> None:
        plan = plan_zoo([TINY, FULL], source, TrainingOptions(images=640, device="cpu"))
        report = train_zoo(folder, plan, source, 1)
        assert [item.failure for item in report.reports] == [None, None]

    return once("trained", build)


@pytest.fixture
def zoo_copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained zoo, to be damaged."""
    shutil.copytree(trained, tmp_path / "zoo")
    return tmp_path / "zoo"
