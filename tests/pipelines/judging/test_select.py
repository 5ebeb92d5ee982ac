"""Rows worth judging: where metrics disagree, evenly, or of every distortion."""

from collections import Counter

import numpy as np
import pytest

from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.scores import ScoreInfo, Scores
from bapps_gen.pipelines.judging.select import disagreement, select_rows
from support.datasets import contents, make, photo, save_photo, verify


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select")
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "set", 60, "--singles", "1") == 0
    return open_dataset(folder / "set")


@pytest.fixture
def scores(dataset):
    rng = np.random.default_rng(0)
    ids = np.array([row["id"] for row in contents(dataset.folder)], object)
    made = {}
    for name in ("one", "other"):
        info = ScoreInfo(name, 1, {}, dataset.info.digest)
        made[name] = Scores(info, ids, rng.exponential(1, 60), rng.exponential(1, 60))
    return made


def test_metrics_that_order_rows_alike_do_not_disagree():
    margins = np.random.default_rng(1).normal(size=50)
    assert disagreement([margins, 7 * margins]).max() == pytest.approx(0)
    assert disagreement([margins, -margins]).max() == pytest.approx(2, abs=0.1)


def test_the_rows_of_most_disagreement_are_chosen(dataset, scores):
    chosen = select_rows(dataset, scores, 10, "disagreement")
    margins = [each.d1 - each.d0 for each in scores.values()]
    amount = disagreement(margins)
    assert sorted(chosen) == list(chosen)
    assert amount[chosen].min() >= np.delete(amount, chosen).max()
    opposite = (margins[0] > 0) != (margins[1] > 0)
    assert opposite[chosen].mean() > opposite.mean()


def test_uniform_rows_cover_the_range_of_distances(dataset, scores):
    margins = np.abs(scores["one"].d1 - scores["one"].d0)
    chosen = select_rows(dataset, scores, 20, "uniform")
    parts = np.floor(20 * (margins - margins.min()) / np.ptp(margins)).clip(0, 19)
    assert set(parts[chosen]) == set(parts)
    assert margins[chosen].mean() > margins.mean()  # few rows are far


def test_balanced_rows_have_every_distortion_about_equally_often(dataset):
    def spread(rows):
        stored = contents(dataset.folder)
        counts = Counter(stored[row][f"distortion{side}"] for row in rows for side in (0, 1))
        return max(counts.values()) - min(counts.values()), len(counts)

    chosen = select_rows(dataset, {}, 20, "balanced")
    assert len(set(chosen.tolist())) == 20
    assert spread(chosen)[0] < spread(range(20))[0]
    assert spread(chosen)[1] == spread(range(60))[1]


@pytest.mark.parametrize("by", ["disagreement", "uniform", "balanced"])
def test_all_rows_can_be_chosen_and_the_choice_is_the_same_again(dataset, scores, by):
    assert select_rows(dataset, scores, 60, by).tolist() == list(range(60))
    few = select_rows(dataset, scores, 7, by, seed=3)
    assert few.tolist() == select_rows(dataset, scores, 7, by, seed=3).tolist()
    assert len(set(few.tolist())) == 7


def test_too_few_metrics_or_too_many_rows_are_refused(dataset, scores):
    with pytest.raises(UserError, match=r"number of metrics = 1 is not allowed: .* at least 2"):
        select_rows(dataset, {"one": scores["one"]}, 5, "disagreement")
    with pytest.raises(UserError, match=r"rows = 61 is not allowed: .* from 1 to 60"):
        select_rows(dataset, scores, 61, "disagreement")


def test_a_choice_is_a_dataset_that_verifies(dataset, tmp_path, capsys):
    out = tmp_path / "chosen"
    command = ["select", str(dataset.folder), "--rows", "8", "--metrics", "l2,ssim", "--workers"]
    assert main([*command, "1", "--quiet", "--out", str(out)]) == 0
    ids = {row["id"] for row in contents(dataset.folder)}
    assert {row["id"] for row in contents(out)} <= ids
    assert verify(out) == 0
