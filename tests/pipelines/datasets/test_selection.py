"""Subsets by a condition, merged sets, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from bapps_gen.cli import main
from support.datasets import make, one_line, put_values, verify


@pytest.fixture(scope="module")
def scored(dataset: Path, once) -> Path:
    """The dataset with distances by l2 and ssim; do not change it."""

    def build(folder: Path) -> None:
        shutil.copytree(dataset, folder)
        bapps_gen.score(folder, ["l2", "ssim"], workers=1)

    return once("scored-for-subsets", build)


def ids(folder: Path) -> list[str]:
    return [row.id for row in bapps_gen.open_dataset(folder).rows()]


def rows_where(folder: Path, condition) -> list[str]:
    return [row.id for row in bapps_gen.open_dataset(folder).rows() if condition(row)]


# Conditions


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("row BETWEEN 5 AND 29", lambda row: 5 <= row.row <= 29),
        ("len(steps0) = 2", lambda row: len(row.steps[0]) == 2),
        (
            "severity0 > 0.7",
            lambda row: max(step.severity for step in row.steps[0]) > 0.7,
        ),
        (
            "greatest(severity0, severity1) < 0.8",
            lambda row: max(step.severity for side in row.steps for step in side) < 0.8,
        ),
        (
            "list_contains([s.distortion FOR s IN steps1], 'jpeg')",
            lambda row: "jpeg" in [step.distortion for step in row.steps[1]],
        ),
        ("distortion0 LIKE '%jpeg%'", lambda row: "jpeg" in [s.distortion for s in row.steps[0]]),
        ("crop.side > 100", lambda row: row.crop.side > 100),
        ("source_path IN ('photo0.png', 'photo3.png')", lambda row: row.source_path[5] in "03"),
    ],
)
def test_a_condition_chooses_the_rows_for_which_it_holds(dataset, tmp_path, where, condition):
    expected = rows_where(dataset, condition)
    assert 0 < len(expected) < 70
    few = bapps_gen.subset(dataset, where, out=tmp_path / "few")
    assert [row.id for row in few.rows()] == expected
    again = bapps_gen.subset(dataset, condition, out=tmp_path / "again")
    assert again.info.digest == few.info.digest


def test_distances_are_columns_and_are_kept(scored, tmp_path):
    whole = bapps_gen.score(scored, ["l2", "ssim"], workers=1)
    few = bapps_gen.subset(scored, "d0_l2 < d1_l2 AND d0_ssim > 0.1", out=tmp_path / "few")
    mine = (whole["l2"].d0 < whole["l2"].d1) & (whole["ssim"].d0 > 0.1)
    assert 0 < mine.sum() == len(few) < 70
    parts = {path: path.read_bytes() for path in (few.folder / "scores").rglob("*.parquet")}
    found = bapps_gen.score(few, ["l2", "ssim"], workers=1)
    for name, scores in found.items():
        assert np.array_equal(scores.d0, whole[name].d0[mine])
        assert np.array_equal(scores.d1, whole[name].d1[mine])
    assert {path: path.read_bytes() for path in parts} == parts  # none was computed again


def test_judgments_are_kept(dataset, tmp_path):
    judged = Path(shutil.copytree(dataset, tmp_path / "judged"))
    put_values(judged, 0, "judge", {3: 0.75, 9: 0.25})
    put_values(judged, 0, "judge_count", {3: 4})
    few = bapps_gen.subset(judged, "judge IS NOT NULL", out=tmp_path / "few")
    assert [(row.judge, row.judge_count) for row in few.rows()] == [(0.75, 4), (0.25, None)]
    assert verify(tmp_path / "few") == 0


@pytest.mark.parametrize(
    "where",
    [
        "",
        "row <",
        "row < 5; DROP TABLE x",
        "row < 5 ORDER BY id",
        "sum(row) > 3",
        "id = 5 AND source_path > 3",
        "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
        "(SELECT count(*) FROM read_text('/etc/passwd')) > 0",
        "(SELECT count(*) FROM glob('/*')) > 0",
        "EXISTS (SELECT * FROM '/etc/passwd')",
        "EXISTS (SELECT * FROM dataset)",
        "getenv('HOME') = '/root'",
    ],
)
def test_what_is_no_condition_on_a_row_is_refused_in_one_line(dataset, tmp_path, capsys, where):
    out = tmp_path / "few"
    assert main(["subset", str(dataset), "--where", where, "--out", str(out)]) == 2
    said = one_line(capsys)
    assert f"where = {where}" in said
    assert "columns are id, row," in said
    assert not out.exists()


def test_an_unknown_column_names_the_nearest(dataset, tmp_path, capsys):
    out = str(tmp_path / "few")
    assert main(["subset", str(dataset), "--where", "severty0 > 0.5", "--out", out]) == 2
    assert "unknown column 'severty0'; did you mean 'severity0'?" in one_line(capsys)


def test_a_condition_that_holds_for_no_row_is_refused(dataset, tmp_path, capsys):
    out = tmp_path / "few"
    assert main(["subset", str(dataset), "--where", "judge > 0.5", "--out", str(out)]) == 2
    assert "holds for none of the 70 rows" in one_line(capsys)
    assert not out.exists()


def test_a_condition_writes_and_reads_no_file(dataset, tmp_path, capsys):
    where = f"(SELECT count(*) FROM read_blob('{dataset}/dataset.json')) > 0"
    assert main(["subset", str(dataset), "--where", where, "--out", str(tmp_path / "few")]) == 2
    assert "disabled" in one_line(capsys)


def test_without_duckdb_sql_says_what_to_install(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(bapps_gen.UserError, match=r"pip install 'bapps-gen\[sql\]'"):
        bapps_gen.subset(dataset, "row < 5", out=tmp_path / "few")
    assert len(bapps_gen.subset(dataset, lambda row: row.row < 5, out=tmp_path / "few")) == 5


# What is written


def test_a_folder_in_use_is_not_written_over(dataset, tmp_path, capsys):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "mine.txt").write_text("mine")
    options = ("--where", "row < 5", "--out", str(tmp_path / "few"))
    assert main(["subset", str(dataset), *options]) == 2
    assert "exists already" in one_line(capsys)
    assert (tmp_path / "few" / "mine.txt").read_text() == "mine"


def test_a_subset_says_how_it_was_chosen(dataset, tmp_path, capsys):
    few = bapps_gen.subset(dataset, "row < 50", out=tmp_path / "few")
    fewer = bapps_gen.subset(few, "severity0 > 0.2", out=tmp_path / "fewer")
    first = "50 of 70 triplets, where row < 50"
    assert few.info.history == (first,)
    assert fewer.info.history == (first, f"{len(fewer)} of 50 triplets, where severity0 > 0.2")
    assert main(["info", str(tmp_path / "fewer")]) == 0
    assert first in capsys.readouterr().out
    assert first in (tmp_path / "fewer" / "README.md").read_text()
    stored = json.loads((tmp_path / "fewer" / "dataset.json").read_text())
    assert [part["digest"] for part in stored["parts"]] == stored["spec"]["parts"]


def test_subsets_are_loaded_drawn_exported_and_validated(dataset, tmp_path):
    import datasets

    few = bapps_gen.subset(dataset, "row >= 50", out=tmp_path / "few")
    loaded = datasets.load_dataset(str(few.folder), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["id"] == [row.id for row in few.rows()]
    assert bapps_gen.contact_sheet(few, count=3).ndim == 3
    folder = bapps_gen.export(few, tmp_path / "folders", format="bapps")
    assert len(list((folder / "p0").iterdir())) == 20
    assert bapps_gen.validate(few, workers=1).values["rows"] == 20
    assert bapps_gen.TripletDataset(few).row(19).id == few[19].id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda info: info["spec"].update(parts=["0" * 32]), "spec.parts"),
        (lambda info: info.update(parts=[]), "spec.parts"),
        (lambda info: info["parts"][0].update(rows=-1), "parts.rows"),
        (lambda info: info["parts"][0].update(parts=[]), "unknown key"),
        (lambda info: info.update(history="none"), "history"),
        (lambda info: info.pop("history"), "history is missing"),
    ],
)
@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_damaged_description_is_said_in_one_line(
    dataset, tmp_path, capsys, command, change, words
):
    few = bapps_gen.subset(dataset, "row < 5", out=tmp_path / "few").folder
    info = json.loads((few / "dataset.json").read_text())
    change(info)
    (few / "dataset.json").write_text(json.dumps(info))
    assert main([command, str(few)]) == 1
    assert words in one_line(capsys)


# Merged


def test_rows_that_two_sets_have_are_refused(dataset, tmp_path, capsys):
    few = bapps_gen.subset(dataset, "row < 5", out=tmp_path / "few").folder
    for sets, rows in (((few, dataset), "4 more are"), ((dataset, dataset), "69 more are")):
        assert main(["merge", *map(str, sets), "--out", str(tmp_path / "both")]) == 2
        assert rows in one_line(capsys)
        assert not (tmp_path / "both").exists()


def test_one_set_is_not_merged(dataset, tmp_path, capsys):
    assert main(["merge", str(dataset), "--out", str(tmp_path / "both")]) == 2
    assert "two datasets or more" in one_line(capsys)


def test_a_recipe_is_not_merged_with_pictures(dataset, photos, tmp_path, capsys):
    assert make(photos, tmp_path / "other", 10, "--seed", "4") == 0
    bapps_gen.export(dataset, tmp_path / "recipe", format="recipe")
    sets = (tmp_path / "other", tmp_path / "recipe")
    assert main(["merge", *map(str, sets), "--out", str(tmp_path / "both")]) == 2
    assert "is a recipe" in one_line(capsys)


def test_distances_that_all_sets_have_are_kept(scored, photos, tmp_path, capsys):
    assert make(photos, tmp_path / "other", 40, "--seed", "4") == 0
    theirs = bapps_gen.score(tmp_path / "other", "ssim", workers=1)["ssim"]
    merged = bapps_gen.merge([scored, tmp_path / "other"], out=tmp_path / "both")
    assert [path.name for path in (merged.folder / "scores").iterdir()] == ["ssim"]
    assert "l2 distances are left out" in capsys.readouterr().err
    ours = bapps_gen.score(scored, "ssim", workers=1)["ssim"]
    found = bapps_gen.score(merged, "ssim", workers=1)["ssim"]
    assert np.array_equal(found.d1, np.concatenate([ours.d1, theirs.d1]))
    assert found.ids.tolist() == ids(merged.folder)


def test_merging_parts_back_in_any_order_keeps_every_row(dataset, tmp_path):
    parts = [
        bapps_gen.subset(dataset, f"row % 3 = {rest}", out=tmp_path / f"part{rest}")
        for rest in (2, 0, 1)
    ]
    merged = bapps_gen.merge(parts, out=tmp_path / "merged")
    assert sorted(ids(merged.folder)) == ids(dataset)
    assert verify(merged.folder) == 0


def test_sets_of_other_sizes_are_not_merged_and_subsets_keep_theirs(dataset, photos, tmp_path):
    large = tmp_path / "large"
    assert make(photos, large, 12, "--patch-size", "96") == 0
    few = bapps_gen.subset(large, "row < 5", out=tmp_path / "few")
    assert few[4].ref.shape == (96, 96, 3)
    assert verify(few.folder) == 0
    with pytest.raises(bapps_gen.UserError, match=r"patches of 64 px and .* of 96 px"):
        bapps_gen.merge([dataset, large], out=tmp_path / "both")
