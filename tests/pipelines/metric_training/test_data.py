"""Judged rows: which there are, and that training and validation share no photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from bapps_gen.errors import UserError
from bapps_gen.pipelines.metric_training.data import (
    JudgedRows,
    check_apart,
    check_votes,
    hold_out,
    read_judged,
)
from bapps_gen.storage.locations import location_of
from support.judged_sets import judged_set, save_photos
from support.original_layout import make_2afc


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 40 rows of six photos, all judged."""
    folder = tmp_path_factory.mktemp("judged")
    judged_set(save_photos(folder / "photos", range(6)), folder / "set", 40)
    return folder / "set"


def changed(rows: JudgedRows, **changes: object) -> JudgedRows:
    (part,) = rows.parts
    return JudgedRows((replace(part, **changes),))  # type: ignore[arg-type]


def test_rows_have_their_judgments_votes_and_photos(judged: Path) -> None:
    rows = read_judged([judged])
    held = list(bapps_gen.open_dataset(judged).rows())
    assert len(rows) == 40
    assert all(part.simulated for part in rows.parts)
    assert rows.patch_size == 64
    np.testing.assert_allclose(rows.judge, [row.judge for row in held], rtol=1e-6)
    assert rows.counts.tolist() == [3.0] * 40
    assert rows.parts[0].photos.tolist() == [int(row.source_sha256[:16], 16) for row in held]


def test_rows_without_judgment_are_left_out(photos: Path, tmp_path: Path) -> None:
    made = bapps_gen.make_dataset(
        "traditional", source=photos, rows=6, out=tmp_path / "set", workers=1
    )
    ids = [row.id for row in made.rows()]
    bapps_gen.judge(made, answers={ids[1]: 1.0, ids[4]: 0.25})
    rows = read_judged([tmp_path / "set"])
    assert rows.parts[0].rows.tolist() == [1, 4]
    assert rows.judge.tolist() == [1.0, 0.25]
    assert np.isnan(rows.counts).all()
    with pytest.raises(UserError, match="weight-votes needs the number of votes of each row"):
        rows.vote_weights()


def test_a_folder_of_datasets_gives_the_rows_of_all(tmp_path: Path) -> None:
    photos = save_photos(tmp_path / "photos", range(3))
    for name, seed in (("a", "1"), ("b", "2")):
        judged_set(photos, tmp_path / "sets" / name, 8, "--seed", seed)
    rows = read_judged([tmp_path / "sets"])
    assert [len(part.rows) for part in rows.parts] == [8, 8]
    assert len({str(part.description()) for part in rows.parts}) == 2


def test_the_description_of_rows_changes_with_their_judgments(judged: Path) -> None:
    rows = read_judged([judged])
    (part,) = rows.parts
    other = replace(part, judge=1.0 - part.judge).description()
    assert part.description() == read_judged([judged]).parts[0].description()
    assert part.description().judgments != other.judgments
    assert part.description().dataset == other.dataset


def test_sets_that_cannot_be_trained_on_are_refused_in_one_line(
    judged: Path, dataset: Path, photos: Path, tmp_path: Path
) -> None:
    pairs = bapps_gen.make_dataset(
        "jnd-traditional", source=photos, rows=4, out=tmp_path / "jnd", workers=1
    )
    large = judged_set(photos, tmp_path / "large", 4, "--patch-size", "80")
    make_2afc(tmp_path / "original", [0.0, 1.0])
    expected = {
        (location_of("s3://bucket/set"),): "s3://bucket/set is a URL",
        (dataset,): "no row of .* has a judgment; judge it first",
        (pairs.folder,): "holds JND pairs",
        (tmp_path / "original",): "original layout; make it a dataset",
        (tmp_path / "none",): "is not a dataset: no folder has that name",
        (judged, judged): "are the same dataset; give it once",
        (judged, large.folder): "train on sets of one size",
    }
    for folders, message in expected.items():
        with pytest.raises(UserError, match=message) as caught:
            read_judged(folders)
        assert "\n" not in str(caught.value)


def test_sets_that_share_photos_are_refused(judged: Path) -> None:
    rows = read_judged([judged])
    with pytest.raises(UserError, match="6 photos of judged rows are both in"):
        check_apart(rows, rows)
    train, val = hold_out(rows)
    check_apart(train, val)
    assert not set(train.parts[0].photos) & set(val.parts[0].photos)


@pytest.mark.parametrize(
    ("split", "other", "refused"),
    [("val", "train", True), ("test", "train", True), ("train", "val", False), (None, None, False)],
)
def test_sets_given_the_wrong_way_round_are_refused(
    judged: Path, split: str | None, other: str | None, refused: bool
) -> None:
    train, val = hold_out(read_judged([judged]))
    parts = []
    for rows, name in ((train, split), (val, other)):
        dataset = rows.parts[0].dataset
        info = replace(dataset.info, split=name)
        parts.append(changed(rows, dataset=replace(dataset, info=info)))
    if not refused:
        check_apart(*parts)
        return
    with pytest.raises(UserError, match="train on the train set and validate on the other"):
        check_apart(*parts)


def test_photos_are_held_out_whole_and_by_the_seed(judged: Path) -> None:
    rows = read_judged([judged])
    halves = [hold_out(rows, 0.4, seed) for seed in (0, 0, 1, 2, 3)]
    chosen = [set(val.parts[0].photos.tolist()) for _, val in halves]
    assert chosen[0] == chosen[1]
    assert len({frozenset(photos) for photos in chosen}) > 1
    for train, val in halves:
        assert len(train) + len(val) == 40
        assert len(set(val.parts[0].photos)) == 2
        assert not set(train.parts[0].photos) & set(val.parts[0].photos)


def test_rows_of_one_photo_cannot_be_divided(judged: Path) -> None:
    rows = read_judged([judged])
    (part,) = rows.parts
    one = JudgedRows((part.take(part.photos == part.photos[0]),))
    with pytest.raises(UserError, match=r"number of photos = 1 .* give --val"):
        hold_out(one)


def test_votes_weigh_rows_with_a_mean_of_one(judged: Path) -> None:
    rows = changed(read_judged([judged]), counts=np.repeat([1.0, 3.0], 20))
    weights = rows.vote_weights()
    assert weights.mean() == pytest.approx(1.0)
    assert weights[-1] == pytest.approx(3 * weights[0])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_votes_that_are_all_the_same_are_refused(judged: Path, value: float) -> None:
    rows = changed(read_judged([judged]), judge=np.full(40, value))
    with pytest.raises(UserError, match=f"rows has judge = {value:g}, from which nothing"):
        check_votes(rows)
