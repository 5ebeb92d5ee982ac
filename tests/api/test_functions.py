"""The public functions: they do what the commands do, and refuse in one line what cannot be."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import get_type_hints

import numpy as np
import pytest

import bapps_gen
from bapps_gen.api.make import SetOptions
from bapps_gen.cli import main
from support.datasets import contents, photo
from support.original_layout import make_jnd


@pytest.fixture(scope="module")
def image():
    return photo(3, 80, 96)


@pytest.fixture(scope="module")
def train(photos, tmp_path_factory):
    """The dataset of the fixture `dataset`, made by the function."""
    out = tmp_path_factory.mktemp("api") / "set"
    return bapps_gen.make_dataset(
        "traditional", rows=70, source=photos, out=out, shard_size=30, workers=1
    )


def test_make_dataset_gives_the_rows_of_the_command(train, dataset):
    assert contents(train.folder) == contents(dataset)
    assert train.info.spec == bapps_gen.open_dataset(dataset).info.spec


def test_options_have_the_words_and_the_effect_of_the_command(photos, tmp_path):
    made = bapps_gen.make_dataset(
        "jnd-traditional",
        rows=4,
        source=[str(photos)],
        out=tmp_path / "a",
        seed=5,
        scale_range=(0.5, 1.0),
        families=("noise", "blur"),
        severity=[0.2, 0.3],
        singles=1,
        workers=1,
    )
    command = ["jnd", "--family", "traditional", "--n", "4", "--source", str(photos)]
    command += ["--seed", "5", "--scale-range", "0.5", "1", "--families", "noise,blur"]
    command += ["--severity", "0.2", "0.3", "--singles", "1", "--workers", "1", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "b")]) == 0
    assert contents(made.folder) == contents(tmp_path / "b")


def test_a_dataset_grows_and_reports_its_progress(photos, tmp_path, capfd):
    calls: list[tuple[int, int]] = []
    for rows in (20, 40):
        made = bapps_gen.make_dataset(
            "traditional",
            rows=rows,
            source=photos,
            out=tmp_path / "set",
            shard_size=10,
            workers=1,
            progress=lambda done, total: calls.append((done, total)),
        )
        assert len(made) == rows
    assert calls[-1] == (40, 40)
    assert (20, 40) in calls
    assert capfd.readouterr() == ("", "")
    bapps_gen.verify(made, workers=1, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "verify" in err


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("traditional", 1),
        ("cnn", 1),
        ("traditional", 2),
        pytest.param("cnn", 2, marks=pytest.mark.slow),
    ],
)
def test_progress_moves_within_shards_and_knows_the_total_from_the_start(
    kind, workers, photos, zoo, tmp_path, monkeypatch
):
    monkeypatch.setattr("bapps_gen.execution.local._LOOK_SECONDS", 1e-3)
    calls: list[tuple[int, int]] = []
    options = {"zoo": zoo} if kind == "cnn" else {}
    bapps_gen.make_dataset(
        kind,
        rows=1200,
        source=photos,
        out=tmp_path / "set",
        shard_size=600,
        workers=workers,
        progress=lambda done, total: calls.append((done, total)),
        **options,
    )
    done = [rows for rows, _ in calls]
    assert {total for _, total in calls} == {1200}
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, 1200)
    assert any(0 < rows < 600 for rows in done)


def test_a_program_needs_no_guard_to_use_several_workers(photos, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import bapps_gen\n"
        f"made = bapps_gen.make_dataset('traditional', rows=40, shard_size=20, "
        f"source={str(photos)!r}, out={str(tmp_path / 'set')!r}, workers=2)\n"
        "print(len(made), __file__)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"40 {program}\n", "")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("traditionall", {}, "did you mean 'traditional'"),
        ("cnn", {"atoms": ["jpeg"]}, "atoms"),
        ("traditional", {"sequences": 0.7}, "sequences"),
        ("traditional", {"singels": 1}, "did you mean 'singles'"),
        ("traditional", {"severity": (0.5, 2.5)}, "severity"),
        ("traditional", {"severity": 0.5}, "severity"),
        ("traditional", {"workers": 0}, "workers = 0 is not allowed"),
        ("traditional", {"split": "test"}, "use one of train, val"),
        ("superres", {}, "reference"),
    ],
)
def test_mistakes_are_user_errors_of_one_line(kind, options, message, photos, tmp_path):
    given = {"workers": 1, **options}
    with pytest.raises(bapps_gen.UserError, match=message) as caught:
        bapps_gen.make_dataset(kind, rows=10, source=photos, out=tmp_path / "set", **given)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_every_option_of_a_set_is_typed():
    from bapps_gen.pipelines.datasets.request import OPTIONS

    assert set(get_type_hints(SetOptions)) == {"seed", *OPTIONS}
    for name in OPTIONS:
        assert f"`{name}`" in bapps_gen.make_dataset.__doc__


def test_a_dataset_is_a_sequence_of_rows_with_pictures(train):
    rows, triplets = list(train.rows()), list(train)
    assert len(train) == len(rows) == len(triplets) == 70
    for index in (0, 29, 30, 69, -1):
        assert train[index].id == triplets[index].id == rows[index].id
        assert np.array_equal(train[index].p1, triplets[index].p1)
    with pytest.raises(IndexError):
        train[70]
    assert bapps_gen.open_dataset(train) is train
    assert train.summary()["rows"] == 70


def test_pairs_and_recipes_are_not_read_as_triplets(train, tmp_path):
    recipe = bapps_gen.open_dataset(bapps_gen.export(train, tmp_path / "recipe", format="recipe"))
    assert next(recipe.rows()).id == train[0].id
    with pytest.raises(bapps_gen.UserError, match="recipe without pictures"):
        recipe[0]
    with pytest.raises(bapps_gen.UserError, match="holds triplets, not pairs"):
        next(train.pairs())


def test_a_recipe_is_replayed_to_the_same_pixels(train, photos, tmp_path):
    recipe = bapps_gen.export(train, tmp_path / "recipe", format="recipe")
    again = bapps_gen.replay(recipe, tmp_path / "again", source=photos, workers=1)
    assert contents(again.folder) == contents(train.folder)


def test_verify_tells_of_differences(train, tmp_path):
    import shutil

    shutil.copytree(train.folder, tmp_path / "set")
    assert bapps_gen.verify(tmp_path / "set", workers=1).count == 0
    (tmp_path / "set" / "data" / "part-00001.parquet").unlink()
    report = bapps_gen.verify(tmp_path / "set", workers=1)
    assert report.count == 1
    assert "part-00001" in report.problems[0]


def test_outputs_are_refused_where_there_are_none(train):
    with pytest.raises(bapps_gen.UserError, match="has no algorithms"):
        bapps_gen.verify(train, outputs={"mine": "elsewhere"}, workers=1)


def test_distort_gives_the_picture_of_the_command(image, tmp_path):
    bapps_gen.write_image(tmp_path / "in.png", image)
    steps = ("gaussian_white:severity=0.5", "jpeg:quality=30", "pink")
    command = ["distort", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--seed", "9"]
    assert main([*command, *(word for step in steps for word in ("--with", step))]) == 0
    distorted = bapps_gen.distort(image, *steps, seed=9)
    assert np.array_equal(distorted, bapps_gen.read_image(tmp_path / "out.png"))


def test_images_of_a_batch_have_draws_of_their_own(image):
    batch = np.stack([image, image, photo(4, 80, 96)])
    before = batch.copy()
    distorted = bapps_gen.distort(batch, "gaussian_white", "pink:severity=0.4", seed=1)
    assert np.array_equal(batch, before)
    assert not np.array_equal(distorted[0], distorted[1])
    for index, picture in enumerate(batch):
        alone = bapps_gen.distort(
            picture, "gaussian_white", "pink:severity=0.4", seed=1 + 2 * index
        )
        assert np.array_equal(distorted[index], alone)
    assert np.array_equal(bapps_gen.distort(batch), batch)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((64, 64, 3)), "float64"),
        (np.zeros((64, 64), np.uint8), r"\(64, 64\)"),
        (np.zeros((64, 64, 4), np.uint8), r"\(64, 64, 4\)"),
        (np.zeros((64, 7, 3), np.uint8), "7×64 px"),
        ("photo.png", "is a str"),
    ],
)
def test_other_arrays_are_refused(wrong, message):
    with pytest.raises(bapps_gen.UserError, match=message):
        bapps_gen.distort(wrong, "jpeg")


def test_a_distorter_of_a_zoo_is_a_function_of_images(zoo, image):
    opened = bapps_gen.open_zoo(zoo)
    name = opened.ids[-1]
    assert list(opened) == list(opened.ids)
    assert name in opened
    assert len(opened) == len(bapps_gen.list_distorters(opened))
    distorted = opened[name](image, strength=0.5, seed=3)
    by_name = bapps_gen.distort(image, f"cnn:{name}:strength=0.5", seed=3, zoo=opened)
    assert np.array_equal(distorted, by_name)
    both = opened[name](np.stack([image, image]), strength=0.5, seed=3)
    assert np.array_equal(both[0], distorted)
    assert np.array_equal(opened[name](image, strength=0), image)
    with pytest.raises(bapps_gen.UserError, match="distorter 'none'"):
        opened["none"]
    with pytest.raises(bapps_gen.UserError, match="strength"):
        opened[name](image, strength=1.5)


def test_a_zoo_of_distorters_travels_to_another_process(zoo, image):
    opened = bapps_gen.open_zoo(zoo)
    name = opened.ids[0]
    again = pickle.loads(pickle.dumps(opened))
    assert list(again) == list(opened)
    assert np.array_equal(again[name](image), opened[name](image))


def test_a_collection_names_what_it_could_not_make(photos, tmp_path):
    wanted = ["jnd/val/traditional", "jnd/val/cnn"]
    options = {"val": photos, "scale": 0.001, "out": tmp_path / "bapps", "workers": 1}
    with pytest.raises(bapps_gen.WorkError, match="jnd/val/cnn is not finished: no zoo in"):
        bapps_gen.make_collection(only=wanted, zoo=tmp_path / "nothing", **options)
    collection = bapps_gen.open_collection(tmp_path / "bapps")
    assert collection["jnd/val/traditional"].info.unit == "pairs"
    states = {record.path: record.complete for record in collection.info.sets}
    assert states["jnd/val/traditional"]
    assert not states["jnd/val/cnn"]
    assert set(collection) == set(states)
    with pytest.raises(bapps_gen.UserError, match="did you mean 'jnd/val/cnn'"):
        collection["jnd/val/cmn"]


def test_an_export_refuses_options_of_another_format(train, tmp_path):
    with pytest.raises(bapps_gen.UserError, match="split = val goes with the format bapps alone"):
        bapps_gen.export(train, tmp_path / "out", format="recipe", split="val")
    with pytest.raises(bapps_gen.UserError, match="is not a folder's name"):
        bapps_gen.export(train, tmp_path / "out", format="bapps", name="../mine")
    with pytest.raises(bapps_gen.UserError, match="format = tar"):
        bapps_gen.export(train, tmp_path / "out", format="tar")


def test_validate_gives_the_numbers_of_the_command(train, tmp_path):
    import json

    out, numbers = tmp_path / "report.html", tmp_path / "report.json"
    command = ["validate", str(train.folder), "--out", str(out), "--json", str(numbers)]
    assert main([*command, "--workers", "1", "--quiet", "--max-invisible", "0"]) in (0, 1)
    found = bapps_gen.validate(train, out=tmp_path / "again.html", max_invisible=0.0, workers=1)
    assert found.values == json.loads(numbers.read_text())
    assert (tmp_path / "again.html").read_text() == out.read_text()
    assert found.passed == (not found.missed)
    assert found.summary.startswith("70 rows: median LPIPS")
    against = bapps_gen.validate(train, against=train.folder, max_ks=0.0, workers=1)
    assert against.values["against"]["ks"] == 0
    assert against.passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_invisibel": 0.1}, "did you mean 'max_invisible'"),
        ({"max_invisible": 2}, "max-invisible = 2"),
        ({"patches": 16}, "option of a dataset: 'patches'"),
        ({"max_ks": 0.1}, "needs another set"),
        ({"sheet": "sheet.png"}, "apply to zoos"),
        ({"out": "nowhere/report.html"}, "the folder nowhere does not exist"),
    ],
)
def test_wrong_options_of_validate_are_user_errors(train, options, message):
    with pytest.raises(bapps_gen.UserError, match=message):
        bapps_gen.validate(train, workers=1, **options)


def test_a_zoo_is_validated_on_patches(zoo, photos, tmp_path):
    found = bapps_gen.validate(
        bapps_gen.open_zoo(zoo),
        source=photos,
        patches=8,
        out=tmp_path / "zoo.html",
        sheet=tmp_path / "zoo.webp",
        workers=1,
    )
    assert found.values["patches"] == 8
    assert {path.name for path in tmp_path.iterdir()} == {"zoo.html", "zoo.webp"}
    assert bapps_gen.validate(zoo, source=photos, patches=8, workers=1).missed == found.missed
    with pytest.raises(bapps_gen.UserError, match="option of a zoo: 'max_ks'"):
        bapps_gen.validate(zoo, max_ks=0.1, workers=1)


def test_every_option_of_validate_is_typed():
    from bapps_gen.api.validation import ValidateOptions
    from bapps_gen.checks import options_of
    from bapps_gen.pipelines.validation.options import (
        Limits,
        Thresholds,
        ValidationOptions,
        ZooOptions,
    )

    records = (ValidationOptions, Limits, Thresholds, ZooOptions)
    names = {entry.name for record in records for entry, _ in options_of(record)}
    assert set(get_type_hints(ValidateOptions)) == names
    for name in names:
        assert f"`{name}`" in bapps_gen.validate.__doc__


def test_each_of_several_original_sets_goes_to_its_path(tmp_path):
    for name in ("traditional", "cnn"):
        make_jnd(tmp_path / "jnd" / "val" / name, [0.25, 0.75])
    sets = bapps_gen.import_original(tmp_path / "jnd", tmp_path / "out", workers=1)
    assert [made.folder.relative_to(tmp_path / "out").as_posix() for made in sets] == [
        "val/cnn",
        "val/traditional",
    ]
    assert [pair.same for pair in sets[0].pairs()] == [0.25, 0.75]
