"""What is known of judged rows besides their distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.scoring.judged import Judged, find_judged, judged_dataset, judged_original
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.pipelines.scoring.sides import judged_sides, row_ids, row_pictures
from support.datasets import contents, make, put_values
from support.once import Once
from support.original_layout import make_2afc, patches_of

JUDGED = (1, 2, 31, 40, 44)


@pytest.fixture(scope="module")
def partly_judged(photos: Path, once: Once) -> Path:
    """45 rows in two shards, of which five were judged."""

    def build(folder: Path) -> None:
        assert make(photos, folder, 45) == 0
        for row in JUDGED:
            put_values(folder, row // 30, "judge", {row % 30: 0.25})

    return once("partly-judged", build)


def opened(folder: Path) -> Judged:
    return judged_dataset(open_dataset(folder), ["l2"], MetricOptions(), 1)


def test_sides_are_those_of_the_judged_rows(partly_judged):
    judged, rows = opened(partly_judged), contents(partly_judged)
    assert judged.index.tolist() == list(JUDGED)
    sides = judged_sides(judged)
    assert sides is not None
    assert list(sides.names) == sorted(sides.names)
    for place, row in enumerate(JUDGED):
        for side in (0, 1):
            held = rows[row][f"steps{side}"]
            assert sides.names[sides.choice[place, side]] == rows[row][f"distortion{side}"]
            severities = [step["severity"] for step in held]
            found = sides.severities[place, side]
            assert found[: len(held)].tolist() == pytest.approx(severities)
            assert np.isnan(found[len(held) :]).all()
            single = sides.severity[place, side]
            assert single == pytest.approx(severities[0]) if len(held) == 1 else np.isnan(single)


def test_rows_know_the_photo_they_were_cut_from(partly_judged):
    judged, rows = opened(partly_judged), contents(partly_judged)
    assert judged.photos is not None
    keys = [int(rows[row]["source_sha256"][:16], 16) for row in JUDGED]
    assert judged.photos.tolist() == keys


def test_ids_and_pictures_of_judged_rows_can_be_read(partly_judged):
    judged, rows = opened(partly_judged), contents(partly_judged)
    assert row_ids(judged, [4, 0]) == [rows[44]["id"], rows[1]["id"]]
    ((ref, p0, p1),) = row_pictures(judged, [3])
    assert ref.shape == p0.shape == p1.shape == (64, 64, 3)
    distance = np.sqrt(np.mean((ref / 255.0 - p1 / 255.0) ** 2))
    assert judged.distances["l2"][1][3] == pytest.approx(distance)


def test_a_set_knows_its_kind_and_group(partly_judged, tmp_path):
    judged = opened(partly_judged)
    assert (judged.kind, judged.group, judged.split) == ("traditional", "distortions", None)
    layout = tmp_path / "2afc" / "val" / "superres"
    make_2afc(layout, [0.0, 0.5, 1.0])
    (found,) = find_judged(layout)
    original = judged_original(found, ["l2"], MetricOptions(), 1, patch_size=64)
    assert (original.kind, original.group, original.split) == ("superres", "real", "val")
    assert judged_sides(original) is None
    assert row_ids(original, [2]) == [found.stems[2]]
    ((ref, *_),) = row_pictures(original, [1])
    assert np.array_equal(ref, patches_of(1)[0])
    command = ["import", str(layout), "--out", str(tmp_path / "set"), "--quiet", "--workers", "1"]
    assert main(command) == 0
    imported = opened(tmp_path / "set")
    assert (imported.kind, imported.group, imported.split) == ("superres", "real", "val")
    assert np.array_equal(original.photos, imported.photos)
    sides = judged_sides(imported)
    assert sides is not None
    assert (sides.names, sides.choice.tolist()) == ((), [[-1, -1]] * 3)
    assert np.isnan(sides.severity).all()
