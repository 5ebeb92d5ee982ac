"""Sets in the original folder layout become datasets, exactly."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bapps_gen.cli import main
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.datasets.kinds import IMPORTED, kind_of
from bapps_gen.pipelines.datasets.original import find_sets, open_set, reduce_exactly
from support.original_layout import enlarge, make_2afc, make_jnd, patches_of, save


def run_import(folder: Path, out: Path, *options: str) -> int:
    command = ["import", str(folder), "--out", str(out), "--workers", "1", "--quiet"]
    return main([*command, *options])


def stored(folder: Path) -> list[dict]:
    return pq.read_table(folder / "data").to_pylist()


def test_a_2afc_set_comes_back_exactly(tmp_path):
    judges = [0.2, np.float32(0.6), np.full((1,), 1.0), np.zeros((1, 1, 1, 1)), 1, np.array([True])]
    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", judges, sides=(64, 256, 252, 320))
    out = tmp_path / "out"
    assert run_import(folder, out, "--shard-size", "4") == 0
    dataset = open_dataset(out)
    assert dataset.info.kind == "2afc-cnn"
    assert dataset.info.spec["split"] == "val"
    assert kind_of(dataset.info) is IMPORTED
    rows = stored(out)
    assert [row["judge"] for row in rows] == pytest.approx([0.2, 0.6, 1.0, 0.0, 1.0, 1.0])
    for k, row in enumerate(rows):
        for name, patch in zip(("ref", "p0", "p1"), patches_of(k), strict=True):
            assert np.array_equal(decode_png(row[name]["bytes"]), patch)
        assert row["row"] == k
        assert row["source_path"] == f"{k:06d}"
        data = (folder / "ref" / f"{k:06d}.png").read_bytes()
        assert row["source_sha256"] == hashlib.sha256(data).hexdigest()
        assert row["steps0"] == row["steps1"] == []
        assert row["crop"] == {"x": 0, "y": 0, "side": 64}
        assert row["judge_count"] is None


def test_a_jnd_set_becomes_pairs_of_reference_and_distorted(tmp_path):
    folder = make_jnd(tmp_path / "jnd" / "val" / "traditional", [np.full((1, 1, 1, 1), 0.5), 1, 0])
    out = tmp_path / "out"
    assert run_import(folder, out) == 0
    rows = stored(out)
    assert open_dataset(out).info.kind == "jnd-traditional"
    assert [row["same"] for row in rows] == [0.5, 1.0, 0.0]
    assert "p1" not in rows[0]
    ref, distorted, _ = patches_of(2)
    assert np.array_equal(decode_png(rows[2]["ref"]["bytes"]), ref)
    assert np.array_equal(decode_png(rows[2]["p0"]["bytes"]), distorted)


def test_several_sets_go_to_their_places(tmp_path):
    root = tmp_path / "dataset"
    make_2afc(root / "2afc" / "train" / "mix", [0.5, 1])
    make_2afc(root / "2afc" / "val" / "cnn", [0.5])
    make_jnd(root / "jnd" / "val" / "cnn", [0.5])
    labels = [found.label for found in find_sets(root)]
    assert labels == ["2afc/train/mix", "2afc/val/cnn", "jnd/val/cnn"]
    assert run_import(root, tmp_path / "out") == 0
    for label, rows in zip(labels, (2, 1, 1), strict=True):
        assert open_dataset(tmp_path / "out" / label).info.rows == rows


def test_an_imported_set_exports_to_the_same_files_and_back(tmp_path):
    judges = [0.0, 0.2, 0.8, 1.0]
    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", judges)
    assert run_import(folder, tmp_path / "one") == 0
    command = ["export", str(tmp_path / "one"), "--format", "bapps", "--split", "val"]
    command += ["--name", "cnn", "--upscale", "256", "--out", str(tmp_path / "again"), "--quiet"]
    assert main(command) == 0
    again = tmp_path / "again" / "2afc" / "val" / "cnn"
    for path in folder.glob("*/*.png"):
        with Image.open(path) as one, Image.open(again / path.relative_to(folder)) as two:
            assert np.array_equal(np.asarray(one), np.asarray(two))
    assert run_import(again, tmp_path / "two") == 0
    kept = ("ref_hash", "p0_hash", "p1_hash", "judge", "source_path", "row")
    one, two = (stored(tmp_path / name) for name in ("one", "two"))
    assert [[row[k] for k in kept] for row in one] == [[row[k] for k in kept] for row in two]


def test_a_made_set_survives_the_round_trip(dataset, tmp_path):
    command = ["export", str(dataset), "--format", "bapps", "--upscale", "256", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    folder = next((tmp_path / "out").glob("2afc/*/*"))
    (folder / "judge").mkdir()
    for path in (folder / "ref").iterdir():
        np.save(folder / "judge" / f"{path.stem}.npy", np.float32([0.5]))
    assert run_import(folder, tmp_path / "back") == 0
    for name in ("ref_hash", "p0_hash", "p1_hash"):
        assert [row[name] for row in stored(dataset)] == [
            row[name] for row in stored(tmp_path / "back")
        ]


def test_imports_resume_where_a_shard_is_missing(tmp_path, capsys):
    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.5] * 7)
    out = tmp_path / "out"
    assert run_import(folder, out, "--shard-size", "3") == 0
    whole = {path.name: path.read_bytes() for path in (out / "data").glob("*.parquet")}
    (out / "data" / "part-00001.parquet").unlink()
    assert run_import(folder, out, "--shard-size", "3") == 0
    assert {path.name: path.read_bytes() for path in (out / "data").glob("*.parquet")} == whole
    np.save(folder / "judge" / "000002.npy", np.float32([0.25]))
    assert run_import(folder, out, "--shard-size", "3") == 2
    assert "another spec (it differs in files_digest)" in capsys.readouterr().err


@pytest.mark.parametrize("side", [64, 65, 100, 128, 192, 252, 256, 320, 1000])
@pytest.mark.parametrize("centred", [False, True])
def test_enlargements_of_any_size_are_undone_by_either_rule(side, centred):
    patch = patches_of(0)[0]
    found = reduce_exactly(enlarge(patch, side, centred=centred), 64)
    assert np.array_equal(found, patch)


@pytest.mark.parametrize("side", [98, 252, 256, 500])
def test_enlargements_by_other_programs_are_undone(side):
    import cv2

    patch = patches_of(1)[1]
    by_opencv = cv2.resize(patch, (side, side), interpolation=cv2.INTER_NEAREST)
    by_pillow = Image.fromarray(patch).resize((side, side), Image.Resampling.NEAREST)
    assert np.array_equal(reduce_exactly(by_opencv, 64), patch)
    assert np.array_equal(reduce_exactly(np.asarray(by_pillow), 64), patch)


def test_what_is_no_enlargement_is_not_taken_for_one():
    patch = patches_of(0)[0]
    for side in (252, 256):
        image = enlarge(patch, side).copy()
        image[side - 1, side - 1, 0] ^= 1
        assert reduce_exactly(image, 64) is None
    assert reduce_exactly(np.roll(enlarge(patch, 256), 1, 0), 64) is None
    assert reduce_exactly(np.repeat(np.repeat(patch[:63, :63], 4, 0), 4, 1), 64) is None
    assert reduce_exactly(patch[:32, :32], 64) is None
    assert reduce_exactly(enlarge(patch, 256)[:, :252], 64) is None


def spoil_not_exact(folder: Path) -> None:
    picture = enlarge(patches_of(1)[2], 256).copy()
    picture[7, 9] += 1
    save(folder / "p1" / "000001.png", picture)


def spoil_truncated(folder: Path) -> None:
    path = folder / "ref" / "000002.png"
    path.write_bytes(path.read_bytes()[:-200])


def spoil_judge(value: object) -> object:
    def spoil(folder: Path) -> None:
        np.save(folder / "judge" / "000001.npy", np.asarray(value))

    return spoil


def spoil_pickle(folder: Path) -> None:
    value = np.array([{"a": 1}], object)
    np.save(folder / "judge" / "000001.npy", value, allow_pickle=True)


def spoil_text(folder: Path) -> None:
    (folder / "judge" / "000001.npy").write_text("0.5")


def spoil_missing(folder: Path) -> None:
    (folder / "p0" / "000002.png").unlink()


def spoil_extra(folder: Path) -> None:
    shutil.copy(folder / "p0" / "000002.png", folder / "p0" / "000009.png")


def spoil_stray(folder: Path) -> None:
    (folder / "p0" / "notes.txt").write_text("")


def spoil_twice(folder: Path) -> None:
    with Image.open(folder / "p0" / "000001.png") as image:
        image.save(folder / "p0" / "000001.bmp")


def spoil_folder(folder: Path) -> None:
    shutil.rmtree(folder / "judge")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_not_exact, "p1/000001.png is 256×256 px and no nearest-neighbor enlargement"),
        (spoil_truncated, "ref/000002.png: damaged or cut short"),
        (spoil_judge(1.5), "judge/000001.npy holds 1.5; a judgment is a fraction from 0 to 1"),
        (spoil_judge(-0.1), "judge/000001.npy holds -0.1"),
        (spoil_judge(np.nan), "judge/000001.npy holds nan"),
        (spoil_judge([0.1, 0.2]), "judge/000001.npy does not hold one number"),
        (spoil_judge("same"), "judge/000001.npy does not hold one number"),
        (spoil_pickle, "cannot read"),
        (spoil_text, "cannot read"),
        (spoil_missing, "p0 has no file for ref/000002"),
        (spoil_extra, "ref has no file for p0/000009"),
        (spoil_stray, "notes.txt is not a"),
        (spoil_twice, "has both"),
        (spoil_folder, "lacks the folder judge"),
    ],
)
def test_a_faulty_file_is_named_in_one_line_and_nothing_is_taken_for_whole(
    tmp_path, capsys, spoil, said
):
    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.5, 0.5, 0.5])
    spoil(folder)
    out = tmp_path / "out"
    assert run_import(folder, out) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list(out.glob("data/*"))


def test_hidden_files_do_not_count(tmp_path):
    folder = make_2afc(tmp_path / "2afc" / "val" / "cnn", [0.5])
    (folder / "ref" / ".DS_Store").write_bytes(b"x")
    assert open_set(folder).stems == ("000000",)


def test_a_folder_without_sets_is_told(tmp_path, capsys):
    assert run_import(tmp_path, tmp_path / "out") == 2
    assert "holds no set in the original layout" in capsys.readouterr().err
    assert run_import(tmp_path / "nowhere", tmp_path / "out") == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["2afc", "jnd"])
def test_the_other_commands_take_imported_sets(tmp_path, capsys, task):
    make = {"2afc": make_2afc, "jnd": make_jnd}[task]
    make(tmp_path / task, [0.0, 0.25, 1.0])
    out = tmp_path / "set"
    assert run_import(tmp_path / task, out) == 0
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["judged_rows"]) == (3, 3)
    assert main(["show", str(out), "-o", str(tmp_path / "sheet.png")]) == 0
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    export = ["export", str(out), "--quiet", "--out", str(tmp_path / "tars")]
    assert main([*export, "--format", "webdataset"]) == 0
    capsys.readouterr()
    assert main(["replay", str(out), "--out", str(tmp_path / "again")]) == 2
    assert "was imported" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
