"""What datasets have in common: copies, supersets, other seeds, other splits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.datasets.overlap import (
    MEASURES,
    Contents,
    overlap,
    overlap_rows,
    overlaps,
    read_contents,
)
from support.datasets import contents, make, one_line, photo, save_photo


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    """Sets of the same four photos and of others; do not change them."""
    folder = tmp_path_factory.mktemp("sets")
    for seed in range(6):
        save_photo(folder / "photos" / "ab"[seed >= 4] / f"{seed}.png", photo(seed, 400, 500))
    same, other = folder / "photos" / "a", folder / "photos" / "b"
    assert make(same, folder / "small", 40) == 0
    assert make(same, folder / "large", 100) == 0
    assert make(same, folder / "seed", 40, "--seed", "1") == 0
    assert make(same, folder / "mild", 40, "--severity", "0.2", "0.3") == 0
    assert make(other, folder / "photo", 40) == 0
    for split in ("train", "val"):
        options = ("--split", split, "--val-fraction", "0.5")
        assert make(folder / "photos", folder / split, 20, *options) == 0
    return folder


def found(sets: Path, one: str, other: str) -> dict:
    mine, theirs = (read_contents(open_dataset(sets / name)) for name in (one, other))
    return overlap(mine, theirs)


def counts(values: dict) -> dict[str, tuple[int, int]]:
    return {name: (values[name]["count"], values[name]["count_other"]) for name in MEASURES}


def test_a_copy_has_everything_in_common(sets, tmp_path):
    copy = shutil.copytree(sets / "small", tmp_path / "copy")
    values = overlap(read_contents(open_dataset(sets / "small")), read_contents(open_dataset(copy)))
    assert counts(values) == {
        "references": (40, 40),
        "sides": (80, 80),
        "photos": (4, 4),
        "crops": (40, 40),
    }
    assert all(values[name][share] == 1 for name in MEASURES for share in ("share", "share_other"))


def test_a_superset_has_all_of_a_set_and_not_the_other_way_round(sets):
    values = found(sets, "small", "large")
    assert counts(values)["references"] == (40, 40)
    assert counts(values)["sides"] == (80, 80)
    assert values["references"]["share"] == 1
    assert values["references"]["share_other"] == pytest.approx(0.4)
    assert counts(found(sets, "large", "small"))["references"] == (40, 40)


def test_another_seed_shares_photos_and_neither_references_nor_sides(sets):
    values = counts(found(sets, "small", "seed"))
    assert values["references"] == values["sides"] == (0, 0)
    assert values["photos"] == (4, 4)
    assert 0 < values["crops"][0] <= 40


def test_other_severities_share_references_and_no_sides(sets):
    values = counts(found(sets, "small", "mild"))
    assert values["references"] == (40, 40)
    assert values["sides"] == (0, 0)


def test_other_photos_share_nothing(sets):
    values = found(sets, "small", "photo")
    assert all(pair == (0, 0) for pair in counts(values).values())
    assert values["warnings"] == []


def test_overlaps_are_those_of_every_two_rows(sets):
    small, seed = contents(sets / "small"), contents(sets / "seed")

    def touch(one: dict, other: dict) -> bool:
        a, b = one["crop"], other["crop"]
        apart = any(
            a[axis] >= b[axis] + b["side"] or b[axis] >= a[axis] + a["side"] for axis in "xy"
        )
        return one["source_sha256"] == other["source_sha256"] and not apart

    expected = (
        sum(any(touch(row, other) for other in seed) for row in small),
        sum(any(touch(row, other) for other in small) for row in seed),
    )
    assert counts(found(sets, "small", "seed"))["crops"] == expected


def test_squares_that_only_meet_do_not_overlap(monkeypatch):
    def made(*squares: tuple[int, int, int], photos: str = "a") -> Contents:
        none = pa.chunked_array([], pa.string())
        names = pa.chunked_array([[*(photos * len(squares))][: len(squares)]], pa.string())
        return Contents("set", None, none, none, names, np.array(squares, np.int32))

    grid = made((0, 0, 64), (64, 0, 64), (0, 64, 64), (63, 63, 2))
    assert counts(overlap(grid, made((64, 64, 64))))["crops"] == (1, 1)
    assert counts(overlap(grid, made((128, 128, 64))))["crops"] == (0, 0)
    assert counts(overlap(grid, made((64, 64, 64), photos="b")))["crops"] == (0, 0)
    rng = np.random.default_rng(0)
    many = [
        made(*np.column_stack([rng.integers(0, 900, (300, 2)), rng.integers(1, 60, 300)]).tolist())
        for _ in range(2)
    ]
    whole = overlap(*many)
    monkeypatch.setattr("bapps_gen.pipelines.datasets.overlap._PAIRS_AT_ONCE", 1000)
    assert overlap(*many) == whole
    assert 0 < whole["crops"]["count"] < 300


def test_splits_that_share_photos_are_warned_of(sets, tmp_path):
    assert found(sets, "train", "val")["warnings"] == []
    copy = shutil.copytree(sets / "train", tmp_path / "set")
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**info, "split": "val"}))
    values = overlap(read_contents(open_dataset(sets / "train")), read_contents(open_dataset(copy)))
    (line,) = values["warnings"]
    assert "both in" in line
    assert "(train)" in line
    assert "(val)" in line
    assert "--split" in line
    assert found(sets, "small", "train")["warnings"] == []  # of all photos: no split


def test_every_two_sets_are_compared_once(sets):
    some = [read_contents(open_dataset(sets / name)) for name in ("small", "seed", "photo")]
    pairs = [(entry["dataset"], entry["against"]) for entry in overlaps(some, some)]
    assert len(pairs) == 3
    table = list(overlap_rows(overlaps(some, some)))
    assert [row[:2] for row in table] == [
        (str(sets / "small"), str(sets / "seed")),
        (str(sets / "seed"), str(sets / "small")),
    ]


def test_a_set_without_whole_shards_has_nothing_in_common(sets, tmp_path):
    copy = shutil.copytree(sets / "small", tmp_path / "copy")
    for shard in (copy / "data").iterdir():
        shard.unlink()
    empty = read_contents(open_dataset(copy, incomplete=True))
    values = overlap(empty, read_contents(open_dataset(sets / "small")))
    assert all(pair == (0, 0) for pair in counts(values).values())
    assert all(values[name]["share"] == 0 for name in MEASURES)


def test_pairs_and_recipes_are_compared_with_triplets(sets, tmp_path):
    recipe = tmp_path / "recipe"
    command = ["export", str(sets / "small"), "--format", "recipe", "--out", str(recipe)]
    assert main([*command, "--quiet"]) == 0
    values = overlap(
        read_contents(open_dataset(recipe)), read_contents(open_dataset(sets / "small"))
    )
    assert counts(values)["sides"] == (80, 80)
    pairs = tmp_path / "pairs"
    photos = ["--source", str(sets / "photos" / "a"), "--workers", "1", "--quiet"]
    command = ["jnd", "--family", "traditional", "--n", "20", "--out", str(pairs)]
    assert main([*command, *photos]) == 0
    values = overlap(
        read_contents(open_dataset(pairs)), read_contents(open_dataset(sets / "small"))
    )
    assert counts(values)["photos"] == (4, 4)
    assert counts(values)["references"] == counts(values)["sides"] == (0, 0)


# The command


def test_info_prints_what_is_in_common(sets, capsys):
    small, large = str(sets / "small"), str(sets / "large")
    assert main(["info", small, "--against", large, str(sets / "photo")]) == 0
    out = capsys.readouterr().out
    assert "identical references" in out
    assert "40 (100 %)" in out
    assert "40 (40 %)" in out
    assert f"nothing in common: {small} and {sets / 'photo'}" in out
    assert main(["info", small, "--against", large, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["overlaps"]
    assert (entry["dataset"], entry["against"]) == (small, large)
    assert entry["sides"] == {"count": 80, "share": 1, "count_other": 80, "share_other": 0.4}


def test_info_compares_the_sets_of_a_collection(tmp_path, capsys):
    for seed in range(2):
        save_photo(tmp_path / "photos" / f"{seed}.png", photo(seed, 300, 300))
    table = '[source]\ntrain = "photos"\nval = "photos"\n'
    for path, kind in (("2afc/train/a", "traditional"), ("2afc/val/a", "traditional")):
        table += f'[[set]]\npath = "{path}"\nkind = "{kind}"\nrows = 10\n'
    (tmp_path / "sets.toml").write_text(table)
    out = str(tmp_path / "out")
    command = ["collection", "--spec", str(tmp_path / "sets.toml"), "--out", out, "--quiet"]
    assert main([*command, "--workers", "1", "--allow-shared-photos"]) == 0
    capsys.readouterr()
    assert main(["info", out, "--against", out]) == 0
    said = capsys.readouterr().out
    assert "2 (100 %)" in said
    assert "warning: 2 photos are both in" in said
    assert main(["info", out, "--against", out, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["overlaps"]
    assert entry["references"]["count"] == 0
    assert entry["photos"]["count"] == 2
    assert len(entry["warnings"]) == 1


def test_what_is_no_dataset_is_one_line(sets, tmp_path, capsys):
    assert main(["info", str(sets / "small"), "--against", str(tmp_path)]) == 2
    assert "is not a dataset" in one_line(capsys)
