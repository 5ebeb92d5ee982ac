"""Verifying: whole sets pass, and every kind of damage is found and named."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from support.datasets import photo, put_values, save_photo, values_of, verify


@pytest.fixture
def copy(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    return tmp_path / "set"


def test_a_whole_set_passes(dataset, capsys):
    assert main(["verify", str(dataset), "--workers", "1"]) == 0
    assert "70 rows are as planned, every pixel made again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("p0_hash", lambda digest: digest[::-1], "hashes differs"),
        ("source_path", lambda path: "other.png", "source_path differs"),
        ("crop", lambda crop: {**crop, "x": crop["x"] + 1}, "crop differs"),
        ("steps0", lambda steps: [{**steps[0], "seed": 5}, *steps[1:]], "steps differs"),
        ("row", lambda row: row + 1, "holds row 31"),
        ("ref", lambda picture: {**picture, "bytes": b"torn"}, "not a whole PNG image"),
    ],
)
def test_a_changed_value_is_found(copy, capsys, column, change, words):
    put_values(copy, 1, column, {0: change(values_of(copy, 1, column)[0])})
    assert verify(copy) == 1
    assert words in capsys.readouterr().out


def test_judgements_added_later_are_no_difference(copy):
    put_values(copy, 0, "judge", {0: 0.75})
    put_values(copy, 0, "judge_count", {0: 4})
    assert verify(copy) == 0


def test_missing_truncated_and_strange_shards_are_named(copy, capsys):
    data = copy / "data"
    (data / "part-00000.parquet").unlink()
    (data / "part-00001.parquet").write_bytes((data / "part-00001.parquet").read_bytes()[:-50])
    pq.write_table(pa.table({"x": [1]}), data / "part-00002.parquet")
    assert verify(copy) == 1
    out = capsys.readouterr().out
    assert "part-00000.parquet is missing" in out
    assert "part-00001.parquet is damaged" in out
    assert "part-00002.parquet is of another spec" in out


def test_photos_are_found_by_content_wherever_they_lie(dataset, photos, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for place, path in enumerate(sorted(photos.iterdir(), reverse=True)):
        shutil.copy(path, moved / f"renamed{place}.png")
    save_photo(moved / "extra.png", photo(99))
    assert verify(dataset, "--source", str(moved)) == 0


def test_a_changed_photo_is_named(dataset, photos, tmp_path, capsys):
    shutil.copytree(photos, tmp_path / "photos")
    save_photo(tmp_path / "photos" / "photo2.png", photo(99))
    assert verify(dataset, "--source", str(tmp_path / "photos")) == 1
    err = capsys.readouterr().err
    assert "photo2.png has changed since the dataset was made" in err
    assert len(err.splitlines()) == 1


def test_a_missing_photo_is_named(dataset, photos, tmp_path, capsys):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "photo0.png").unlink()
    assert verify(dataset, "--source", str(tmp_path / "photos")) == 1
    assert "photo0.png is not in the source" in capsys.readouterr().err


def test_another_version_of_an_atom_is_told(copy, capsys):
    info = json.loads((copy / "dataset.json").read_text())
    name, version = info["spec"]["versions"][0]
    info["spec"]["versions"][0][1] += 1
    (copy / "dataset.json").write_text(json.dumps(info))
    assert verify(copy) == 2
    assert f"{name} is version {version} here" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "traditional"}'])
def test_a_damaged_description_is_one_line(copy, capsys, text):
    (copy / "dataset.json").write_text(text)
    for command in ("verify", "info", "show"):
        assert main([command, str(copy)]) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 3
    assert all("dataset.json" in line for line in err)


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere", "there is nothing of that name"), ("empty", "it has no dataset.json")],
)
def test_a_folder_that_is_no_dataset_is_the_users_mistake(tmp_path, capsys, name, words):
    (tmp_path / "empty").mkdir()
    for command in ("verify", "info", "show"):
        assert main([command, str(tmp_path / name)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(f"is not a dataset: {words}" in line for line in lines)


def test_the_built_in_photographs_are_found_again(tmp_path, capsys):
    out = str(tmp_path / "set")
    assert main(["traditional", "--n", "12", "--out", out, "--workers", "1"]) == 0
    assert "no --source given" in capsys.readouterr().err
    info = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert info["sources"] == []
    assert main(["verify", out, "--workers", "1"]) == 0
    assert np.array(info["source_images"]).shape == (5, 2)
