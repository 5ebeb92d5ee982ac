"""Photos and datasets that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from making import make, photo, save_photo

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six photos; do not change it."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(6):
        save_photo(folder / f"photo{seed}.png", photo(seed))
    return folder


@pytest.fixture(scope="session")
def dataset(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 70 triplets in shards of 30; do not change it."""
    out = tmp_path_factory.mktemp("datasets") / "set"
    assert make(photos, out, 70) == 0
    return out


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a zoo of untrained distorters; do not change it."""
    from small_zoo import write_zoo  # with torch, which other tests do without

    return write_zoo(tmp_path_factory.mktemp("zoos") / "zoo")


@pytest.fixture(scope="session")
def single_thread() -> None:
    """Small networks on shared cores: more threads only wait."""
    import torch

    torch.set_num_threads(1)
