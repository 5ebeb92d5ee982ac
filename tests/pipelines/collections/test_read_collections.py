"""Collections read and replayed from Python, set after set."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from support.collections import small_collection
from support.datasets import contents


@pytest.fixture(scope="module")
def collection(photos: Path, once) -> Path:
    """Three small sets; do not change them."""

    def build(folder: Path) -> None:
        spec = folder.parent / "read.toml"
        spec.write_text(small_collection(train_rows=12))
        bapps_gen.make_collection(
            out=folder, spec=spec, train=photos, val=photos, allow_shared_photos=True, workers=1
        )

    return once("collection-to-read", build)


def ids(folder: Path, path: str) -> list[str]:
    return [row.id for row in bapps_gen.open_dataset(folder / path).rows()]


@pytest.mark.parametrize(
    ("sets", "paths"),
    [
        ((), ("2afc/train/noise", "2afc/val/jpegs")),
        ("val", ("2afc/val/jpegs",)),
        ("2afc/train", ("2afc/train/noise",)),
        (["jpegs", "noise"], ("2afc/train/noise", "2afc/val/jpegs")),
    ],
)
def test_triplets_of_chosen_sets_follow_each_other(collection, sets, paths):
    expected = [name for path in paths for name in ids(collection, path)]
    assert [row.id for row in bapps_gen.iter_triplets(collection, sets=sets)] == expected
    data = bapps_gen.TripletDataset(bapps_gen.open_collection(collection), sets=sets)
    assert [data.row(index).id for index in range(len(data))] == expected
    assert data.row(-1).id == expected[-1]
    with pytest.raises(IndexError):
        data.row(len(data))


def test_pairs_of_a_collection_are_read(collection):
    expected = ids(collection, "jnd/val/noise")
    assert [pair.id for pair in bapps_gen.iter_pairs(collection)] == expected
    assert bapps_gen.PairDataset(collection)[5]["id"] == expected[5]


def test_distances_of_every_set_are_joined(collection, tmp_path):
    copy = Path(shutil.copytree(collection, tmp_path / "copy"))
    for path in ("2afc/train/noise", "2afc/val/jpegs"):
        bapps_gen.score(copy / path, "l2", workers=1)
    data = bapps_gen.TripletDataset(copy, scores=["l2"])
    streamed = [row.distances["l2"] for row in bapps_gen.iter_triplets(copy, ["l2"])]
    assert [data.row(index).distances["l2"] for index in range(20)] == streamed


def test_sets_that_are_not_there_are_named(collection, dataset):
    with pytest.raises(bapps_gen.UserError, match="did you mean 'jpegs'"):
        bapps_gen.TripletDataset(collection, sets="jpgs")
    with pytest.raises(bapps_gen.UserError, match="has no pairs in 2afc"):
        next(bapps_gen.iter_pairs(collection, sets="2afc"))
    with pytest.raises(bapps_gen.UserError, match="is one dataset"):
        bapps_gen.TripletDataset(dataset, sets="val")


def test_a_collection_is_replayed_from_python(collection, photos, tmp_path):
    opened = bapps_gen.open_collection(collection)
    recipes = bapps_gen.open_collection(
        bapps_gen.export(opened, tmp_path / "recipes", format="recipe")
    )
    again = bapps_gen.replay(recipes, tmp_path / "again", source=photos, workers=1)
    assert list(again) == list(opened)
    for path in opened:
        assert contents(again[path].folder) == contents(opened[path].folder)
    assert np.array_equal(again["jnd/val/noise"][2].p0, opened["jnd/val/noise"][2].p0)
    with pytest.raises(bapps_gen.UserError, match="open_collection"):
        bapps_gen.replay(tmp_path / "recipes", tmp_path / "other", source=photos)
