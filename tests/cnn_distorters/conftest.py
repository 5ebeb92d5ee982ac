"""Small distorters, photos and trained zoos that the tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.pipelines.sources.source import Source, open_source
from bapps_gen.pipelines.training.distorters import plan_zoo, train_zoo

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


@pytest.fixture(scope="session", autouse=True)
def _single_thread() -> None:
    torch.set_num_threads(1)  # small networks on shared cores: more threads only wait


@pytest.fixture(autouse=True)
def _no_vgg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """VGG's weights may lie on a developer's machine; tests use the bundled AlexNet."""
    monkeypatch.delenv("BAPPS_GEN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-hub"))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight different photographs of 160×160 px."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee"):
        image = getattr(data, name)()
        for place in range(4):
            y, x = divmod(place, 2)
            square = image[y * 160 : (y + 1) * 160, x * 160 : (x + 1) * 160]
            cv2.imwrite(str(folder / f"{name}-{place}.png"), square[:, :, ::-1])
    return folder


@pytest.fixture(scope="session")
def source(photographs: Path) -> Source:
    return open_source([photographs])


@pytest.fixture(scope="session")
def patches() -> NDArray[np.uint8]:
    """uint8 (37, 64, 64, 3), cut from a photograph."""
    image = data.astronaut()
    rng = np.random.default_rng(0)
    places = rng.integers(0, 448, (37, 2))
    return np.stack([image[y : y + 64, x : x + 64] for y, x in places])


@pytest.fixture(scope="session")
def trained(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a zoo of TINY and FULL, trained very briefly; not to be written to."""
    folder = tmp_path_factory.mktemp("zoos") / "zoo"
    plan = plan_zoo([TINY, FULL], source, images=640, device="cpu")
    report = train_zoo(folder, plan, source, 1)
    assert [item.failure for item in report.reports] == [None, None]
    return folder


@pytest.fixture
def zoo_copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained zoo, to be damaged."""
    shutil.copytree(trained, tmp_path / "zoo")
    return tmp_path / "zoo"
