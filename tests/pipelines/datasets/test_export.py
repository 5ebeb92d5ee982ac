"""Exports read by the programs they are for; recipes that replay to the same pixels."""

import csv
import json
import os
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from bapps_gen.api.datasets import open_dataset as open_public
from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import iter_triplets
from support.datasets import make, one_line, photo, put_values, save_photo, values_of


def export(folder: Path, kind: str, out: Path, *options: str) -> int:
    return main(["export", str(folder), "--quiet", "--format", kind, "--out", str(out), *options])


def replay(recipe: Path, source: Path, out: Path, *options: str) -> int:
    return main(
        [
            *("replay", str(recipe), "--quiet", "--workers", "1", "--source", str(source)),
            *("--out", str(out), *options),
        ]
    )


def judged(folder: Path, rows: int) -> None:
    """Give the first rows of a dataset judgements of 0, 0.1, 0.2 and so on."""
    for first in range(0, rows, 30):
        given = range(first, min(rows, first + 30))
        put_values(folder, first // 30, "judge", {row - first: row % 11 / 10 for row in given})


@pytest.fixture
def copy(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    return tmp_path / "set"


def test_the_original_layout_has_the_pictures_in_order(dataset, tmp_path):
    assert export(dataset, "bapps", tmp_path, "--split", "val") == 0
    place = tmp_path / "2afc" / "val" / "traditional"
    assert sorted(os.listdir(place)) == ["manifest.csv", "p0", "p1", "ref"]
    for row, found in enumerate(iter_triplets(dataset)):
        for part in ("ref", "p0", "p1"):
            picture = cv2.imread(str(place / part / f"{row:06d}.png"))[..., ::-1]
            assert np.array_equal(picture, getattr(found, part))


def test_the_released_form_enlarges_by_nearest_neighbour(dataset, tmp_path):
    assert export(dataset, "bapps", tmp_path, "--upscale", "256", "--name", "mine") == 0
    place = tmp_path / "2afc" / "train" / "mine" / "p0"
    first = next(iter_triplets(dataset)).p0
    picture = cv2.imread(str(place / "000000.png"))[..., ::-1]
    assert np.array_equal(picture, first.repeat(4, 0).repeat(4, 1))


def test_judgements_become_files_as_the_original_loader_wants_them(copy, tmp_path):
    judged(copy, 70)
    assert export(copy, "bapps", tmp_path) == 0
    place = tmp_path / "2afc" / "train" / "traditional" / "judge"
    values = [np.load(path) for path in sorted(place.iterdir())]
    assert len(values) == 70
    assert values[3].reshape((1, 1, 1)).dtype == np.float32
    assert values[3][0] == pytest.approx(0.3)


@pytest.mark.parametrize("form", ["bapps", "webdataset"])
def test_a_list_says_what_was_done_to_each_picture(dataset, tmp_path, form):
    assert export(dataset, form, tmp_path / "out") == 0
    place = tmp_path / "out" / ("2afc/train/traditional" if form == "bapps" else "")
    with open(place / "manifest.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    for line, row in zip(listed, open_public(dataset).rows(), strict=True):
        assert (line["id"], line["row"]) == (row.id, str(row.row))
        assert line["source_path"] == row.source_path
        for side, steps in enumerate(row.steps):
            assert line[f"distortion{side}"] == "+".join(step.distortion for step in steps)
            assert json.loads(line[f"parameters{side}"]) == {
                f"{step.distortion}.{name}": value for step in steps for name, value in step.params
            }
            severities = [float(text) for text in line[f"severities{side}"].split("+")]
            assert severities == [step.severity for step in steps]
        if form == "bapps":
            assert (place / "p0" / line["file"]).is_file()
        else:
            with tarfile.open(place / line["file"]) as tar:
                assert f"{row.row:08d}.p0.png" in tar.getnames()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_set_of_one_part_of_the_photos_goes_to_that_split(photos, tmp_path, split):
    parted = ("--split", split, "--val-fraction", "0.5")
    assert make(photos, tmp_path / "set", 2, *parted) == 0
    assert open_dataset(tmp_path / "set").info.split == split
    assert export(tmp_path / "set", "bapps", tmp_path) == 0
    assert (tmp_path / "2afc" / split / "traditional" / "p0" / "000000.png").exists()


def test_pairs_of_the_train_part_go_to_val_only_if_asked(photos, tmp_path, capsys):
    parted = ("--split", "train", "--source", str(photos), "--out", str(tmp_path / "set"))
    assert (
        main(["jnd", "--family", "traditional", "--n", "2", "--quiet", "--workers", "1", *parted])
        == 0
    )
    assert export(tmp_path / "set", "bapps", tmp_path) == 2
    assert "split = train" in capsys.readouterr().err
    assert export(tmp_path / "set", "bapps", tmp_path, "--split", "val") == 0


def test_a_set_from_before_splits_were_kept_is_exported_as_train(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    written = json.loads(path.read_text())
    del written["split"]
    path.write_text(json.dumps(written))
    assert export(tmp_path / "set", "bapps", tmp_path) == 0
    assert (tmp_path / "2afc" / "train" / "traditional").is_dir()


def test_partial_judgements_are_refused(copy, tmp_path, capsys):
    judged(copy, 10)
    assert export(copy, "bapps", tmp_path) == 2
    assert "60 of 70 rows" in capsys.readouterr().err
    assert not (tmp_path / "2afc" / "train" / "traditional").exists()


def test_webdataset_reads_the_tar_shards(dataset, tmp_path):
    import webdataset

    assert export(dataset, "webdataset", tmp_path / "tars") == 0
    shards = sorted(map(str, (tmp_path / "tars").glob("*.tar")))
    assert len(shards) == 3
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert len(samples) == 70
    for row, (sample, found) in enumerate(zip(samples, iter_triplets(dataset), strict=True)):
        assert sample["__key__"] == f"{row:08d}"
        assert sample["json"]["id"] == found.id
        for part in ("ref", "p0", "p1"):
            assert np.array_equal(sample[f"{part}.png"], getattr(found, part))


def test_equal_sets_give_equal_tars(dataset, tmp_path):
    for name in ("a", "b"):
        assert export(dataset, "webdataset", tmp_path / name) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        assert tarfile.is_tarfile(path) or path.name == "manifest.csv"


def test_a_recipe_has_everything_but_pixels_and_replays_to_the_same_files(
    dataset, photos, tmp_path
):
    recipe, out = tmp_path / "recipe", tmp_path / "again"
    assert export(dataset, "recipe", recipe) == 0
    table = pq.read_table(recipe / "data")
    original = pq.read_table(dataset / "data")
    assert set(original.column_names) - set(table.column_names) == {"ref", "p0", "p1"}
    assert table.to_pylist() == original.select(table.column_names).to_pylist()
    assert replay(recipe, photos, out) == 0
    for path in (dataset / "data").iterdir():
        assert path.read_bytes() == (out / "data" / path.name).read_bytes()
    assert main(["verify", str(out), "--quiet", "--source", str(photos)]) == 0


def test_a_replayed_set_says_where_the_photos_are_now(dataset, photos, tmp_path):
    recipe, moved, out = tmp_path / "recipe", tmp_path / "moved", tmp_path / "again"
    shutil.copytree(photos, moved)
    assert export(dataset, "recipe", recipe) == 0
    assert replay(recipe, moved, out) == 0
    assert open_dataset(out).info.origin.roots == (str(moved),)
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0


def test_a_recipe_is_small(dataset, tmp_path):
    assert export(dataset, "recipe", tmp_path / "recipe") == 0
    sizes = [
        sum(path.stat().st_size for path in (folder / "data").iterdir())
        for folder in (dataset, tmp_path / "recipe")
    ]
    assert sizes[1] < sizes[0] / 10


def test_a_recipe_says_what_it_is_where_pictures_are_wanted(dataset, photos, tmp_path, capsys):
    recipe = tmp_path / "recipe"
    assert export(dataset, "recipe", recipe) == 0
    assert main(["show", str(recipe), "-o", str(tmp_path / "sheet.png")]) == 2
    assert "recipe without pictures" in capsys.readouterr().err
    assert main(["info", str(recipe)]) == 0
    assert main(["verify", str(recipe), "--source", str(photos), "--quiet"]) == 0


def test_replay_resumes(dataset, photos, tmp_path):
    recipe, out = tmp_path / "recipe", tmp_path / "again"
    assert export(dataset, "recipe", recipe) == 0
    assert replay(recipe, photos, out) == 0
    (out / "data" / "part-00001.parquet").unlink()
    assert replay(recipe, photos, out) == 0
    open_dataset(out)


def test_a_source_changed_since_the_recipe_is_named(dataset, photos, tmp_path, capsys):
    recipe = tmp_path / "recipe"
    assert export(dataset, "recipe", recipe) == 0
    shutil.copytree(photos, tmp_path / "photos")
    save_photo(tmp_path / "photos" / "photo4.png", photo(44))
    assert replay(recipe, tmp_path / "photos", tmp_path / "again") == 1
    err = capsys.readouterr().err
    assert "photo4.png has changed since" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "again").exists()


def test_other_pixels_than_the_recipes_are_refused_unless_allowed(
    dataset, photos, tmp_path, capsys
):
    recipe, out = tmp_path / "recipe", tmp_path / "again"
    assert export(dataset, "recipe", recipe) == 0
    before = values_of(recipe, 0, "p0_hash")[0]
    put_values(recipe, 0, "p0_hash", {0: "0" * 32})
    assert replay(recipe, photos, out) == 1
    assert "row 0: p0 came out with other pixels" in capsys.readouterr().err
    assert not (out / "data" / "part-00000.parquet").exists()
    assert replay(recipe, photos, out, "--allow-different") == 0
    assert open_dataset(out).read_rows(0)[0].hashes[1] == before


def test_an_existing_place_is_never_overwritten(dataset, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    for kind in ("webdataset", "recipe"):
        assert export(dataset, kind, tmp_path / "out") == 2
    assert export(dataset, "bapps", tmp_path) == 0
    assert export(dataset, "bapps", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["letter.txt"]


def test_an_incomplete_dataset_is_not_exported(copy, tmp_path, capsys):
    (copy / "data" / "part-00001.parquet").unlink()
    for kind in ("bapps", "webdataset", "recipe"):
        assert export(copy, kind, tmp_path / kind) == 1
        assert not (tmp_path / kind).exists()
    assert "part-00001.parquet is missing" in capsys.readouterr().err


def test_the_description_names_units_and_versions(dataset):
    info = json.loads((dataset / "dataset.json").read_text())
    assert info["units"]["gaussian_blur.sigma"] == "px"
    assert info["distortions"]["jpeg"] >= 1
    assert len(info["source_images"]) == 6


@pytest.mark.parametrize("form", ["bapps", "webdataset"])
def test_a_recipe_is_exported_as_pictures_by_none(
    form: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe"
    export = ["export", "--quiet", "--format"]
    assert main([*export, "recipe", str(dataset), "--out", str(recipe)]) == 0
    assert main([*export, form, str(recipe), "--out", str(tmp_path / "out")]) == 2
    assert "is a recipe without pictures" in one_line(capsys)


@pytest.mark.parametrize("form", ["bapps", "webdataset"])
def test_rows_without_judgment_may_be_left_out(dataset, tmp_path, capsys, form):
    copy = tmp_path / "judged"
    shutil.copytree(dataset, copy)
    options = ("--format", form, "--judged-only", "--quiet")
    assert main(["export", str(copy), "--out", str(tmp_path / "none"), *options]) == 2
    assert "has a judge" in one_line(capsys)
    put_values(copy, 0, "judge", {3: 0.75, 9: 0.25})
    assert main(["export", str(copy), "--out", str(tmp_path / "out"), *options]) == 0
    if form == "bapps":
        folder = tmp_path / "out" / "2afc" / "train" / "traditional"
        for part in ("ref", "p0", "p1", "judge"):
            assert sorted(path.stem for path in (folder / part).iterdir()) == ["000003", "000009"]
        assert [np.load(path)[0] for path in sorted((folder / "judge").iterdir())] == [0.75, 0.25]
    listing = next((tmp_path / "out").rglob("manifest.csv")).read_text().splitlines()
    assert len(listing) == 1 + 2


def test_recipes_of_judged_rows_alone_are_subsets(dataset, tmp_path, capsys):
    options = ("--format", "recipe", "--judged-only", "--out", str(tmp_path / "out"))
    assert main(["export", str(dataset), *options]) == 2
    assert "bapps-gen subset" in one_line(capsys)
