"""A study's folder holds what is needed to run it, and gives nothing away in its pictures."""

import json
from collections import Counter

import numpy as np
import pytest

from bapps_gen.errors import UserError, WorkError
from bapps_gen.imaging.encode import decode_png, encode_png
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.judging.study.pictures import PICTURES_NAME, PictureStore, padded_png
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.study import make_study, open_study
from support.datasets import contents, photo


def images_of(study):
    store = PictureStore(study.folder / PICTURES_NAME, study.key)
    trials = study.trials().to_pylist()
    return trials, {name: store.image(name) for trial in trials for name in trial["images"]}


def test_trials_show_the_rows_that_they_judge(study, sets):
    rows = {row["id"]: row for row in contents(sets / study.protocol.task)}
    trials, images = images_of(study)
    assert Counter(trial["id"] for trial in trials if trial["phase"] == "test") == Counter(
        dict.fromkeys(rows, 2)
    )
    for trial in trials:
        if trial["phase"] == "test":
            order = ["p0"] if trial["left"] == "" else ["p0", "p1"]
            order = order[::-1] if trial["left"] == "p1" else order
            for name, patch in zip(trial["images"], ["ref", *order], strict=True):
                stored = rows[trial["id"]][patch]["bytes"]
                assert np.array_equal(decode_png(images[name]), decode_png(stored))


def test_identical_sentinels_have_equal_pixels_and_unequal_files(study):
    trials, images = images_of(study)
    for trial in trials:
        if trial["expected"] == "same":
            first, second = (images[name] for name in trial["images"])
            assert first != second
            assert np.array_equal(decode_png(first), decode_png(second))


def test_sizes_names_and_hashes_of_pictures_tell_nothing(study):
    trials, images = images_of(study)
    assert len({len(data) for data in images.values()}) == 1
    assert len(set(images.values())) == len(images) == sum(len(t["images"]) for t in trials)
    names = {trial["trial"] for trial in trials} | set(images)
    assert len(names) == len(trials) + len(images)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


def test_a_study_is_opened_as_it_was_made_and_made_once(study, sets):
    again = open_study(study.folder)
    assert (again.info, again.protocol) == (study.info, study.protocol)
    dataset = open_dataset(sets / study.protocol.task)
    assert make_study(study.folder, [dataset], study.protocol, seed=3) == study
    with pytest.raises(UserError, match=r"holds a study of another spec \(it differs in seed"):
        make_study(study.folder, [dataset], study.protocol, seed=4)


def test_two_studies_of_one_plan_differ_in_their_ids_alone(study, sets, tmp_path):
    other = make_study(
        tmp_path / "other", [open_dataset(sets / study.protocol.task)], study.protocol, seed=3
    )
    assert other.info.digest == study.info.digest
    hidden = ["trial", "images"]
    assert other.trials().drop_columns(hidden).equals(study.trials().drop_columns(hidden))
    assert not set(other.trials()["trial"].to_pylist()) & set(study.trials()["trial"].to_pylist())


def test_a_task_needs_its_own_kind_of_rows(sets, tmp_path):
    with pytest.raises(UserError, match="has pairs, but task = 2afc needs triplets; "):
        make_study(tmp_path / "study", [open_dataset(sets / "jnd")], Protocol(task="2afc"))
    dataset = open_dataset(sets / "jnd")
    with pytest.raises(UserError, match="is given twice"):
        make_study(tmp_path / "study", [dataset, dataset], Protocol(task="jnd"))


def test_what_is_no_study_or_a_damaged_one_is_one_line(study, tmp_path):
    with pytest.raises(UserError, match=r"is not a study: it has no study\.json"):
        open_study(tmp_path)
    path = study.folder / "trials.parquet"
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    with pytest.raises(WorkError, match=r"trials\.parquet is missing or damaged"):
        study.trials()
    (study.folder / PICTURES_NAME).write_bytes(b"no database")
    with pytest.raises(WorkError, match=r"pictures\.sqlite is missing or damaged"):
        PictureStore(study.folder / PICTURES_NAME, study.key)
    values = json.loads((study.folder / "study.json").read_text())
    values["protocol"]["trials"] = -1
    (study.folder / "study.json").write_text(json.dumps(values))
    with pytest.raises(WorkError, match=r"study\.json is damaged: trials = -1 is not allowed"):
        open_study(study.folder)


def test_padding_changes_no_pixel():
    picture = photo(2, 64, 64)
    png = encode_png(picture)
    for extra in (12, 13, 500):
        padded = padded_png(png, len(png) + extra, b"key", "id")
        assert len(padded) == len(png) + extra
        assert np.array_equal(decode_png(padded), picture)
