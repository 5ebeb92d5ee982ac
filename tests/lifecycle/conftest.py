"""Inputs for everything that can be made, and each thing made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.collections import small_collection
from support.datasets import make, photo, save_photo
from support.original_layout import make_2afc, make_jnd
from support.real_outputs import save_task
from support.subjects import ROWS, Inputs, Subject

if TYPE_CHECKING:
    from support.once import Once

DISTORTER = """
[[distorter]]
id = "{}"
corruption = "white_noise"
strength = 0.1
layers = 2
first_channels = 8
max_channels = 8
learning_rate = 2e-3
"""


@pytest.fixture(scope="session")
def inputs(photos: Path, zoo: Path, dataset: Path, photographs: Path, once: Once) -> Inputs:
    def save_val_photos(folder: Path) -> None:
        for seed in range(50, 53):
            save_photo(folder / f"photo{seed}.png", photo(seed))

    def save_originals(folder: Path) -> None:
        make_2afc(folder / "2afc", [0.5] * ROWS, sides=(64,))
        make_jnd(folder / "jnd", [0.5] * ROWS)

    def write_tables(folder: Path) -> None:
        folder.mkdir()
        (folder / "collection.toml").write_text(small_collection(train_rows=70))
        (folder / "distorters.toml").write_text("".join(map(DISTORTER.format, ("other", "tiny"))))

    return Inputs(
        photos=photos,
        val_photos=once("val_photos", save_val_photos),
        zoo=zoo,
        task=once("task", save_task),
        originals=once("originals", save_originals),
        dataset=dataset,
        photographs=photographs,
        tables=once("tables", write_tables),
    )


@pytest.fixture
def start(inputs: Inputs) -> Callable[[Subject, Path], Path]:
    """Gives a folder to make a subject in, as it is before anything is made."""

    def prepare(subject: Subject, out: Path) -> Path:
        if subject.takes:
            shutil.copytree(getattr(inputs, subject.takes), out)
        return out

    return prepare


@pytest.fixture
def made(subject: Subject, inputs: Inputs, once: Once) -> Path:
    """The subject, made in one go; do not change it."""

    def build(folder: Path) -> None:
        if subject.takes:
            shutil.copytree(getattr(inputs, subject.takes), folder)
        assert subject.make(inputs, folder) == 0

    return once(f"made-{subject.name}", build)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of the subject, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(scope="session")
def unjudged(once: Once) -> Path:
    """A folder with photos, and a set of 8 rows of them in shards of 5; do not change it."""

    def build(folder: Path) -> None:
        save_photo(folder / "photos" / "a.png", photo(1))
        assert make(folder / "photos", folder / "set", 8, "--shard-size", "5") == 0

    return once("unjudged", build)
